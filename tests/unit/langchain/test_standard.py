"""LangChain's own suites for vector stores and retrievers, whole: on an index, and through a client."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.retrievers import BaseRetriever
from langchain_tests.integration_tests import RetrieversIntegrationTests, VectorStoreIntegrationTests

import ragvec
from ragvec.langchain import RagvecQueryRetriever, RagvecRetriever, RagvecVectorStore

TEXTS = [f"The {animal} eats {food} in the garden." for animal in ("cat", "dog", "hen") for food in ("fish", "corn")]


class TestStoreOnAnIndex(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self, tmp_path: Path) -> Iterator[RagvecVectorStore]:
        with ragvec.Store(tmp_path / "store") as store:
            yield RagvecVectorStore(store.bucket("tests").index("documents"), self.get_embeddings())


class TestStoreThroughAClient(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self, tmp_path: Path) -> Iterator[RagvecVectorStore]:
        with ragvec.connect(tmp_path / "store", dialect="s3") as client:
            yield RagvecVectorStore.from_client(
                client, bucket="tests", index="documents", embedding=self.get_embeddings()
            )


class _Retriever(RetrieversIntegrationTests):
    mode = "hybrid"

    @pytest.fixture(autouse=True)
    def _filled(self, tmp_path: Path) -> Iterator[None]:
        with ragvec.Store(tmp_path / "store") as store:
            self.vectors = RagvecVectorStore(
                store.bucket("tests").index("documents"), DeterministicFakeEmbedding(size=16)
            )
            self.vectors.add_texts(TEXTS)
            yield

    @property
    def retriever_constructor(self) -> type[BaseRetriever]:
        return RagvecRetriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        return {"vectorstore": self.vectors, "mode": self.mode}

    @property
    def retriever_query_example(self) -> str:
        return "what does the cat eat in the garden?"


class TestHybridRetriever(_Retriever):
    pass


class TestDenseRetriever(_Retriever):
    mode = "dense"


class TestTextRetriever(_Retriever):
    mode = "text"


class TestQueryRetriever(RetrieversIntegrationTests):
    @pytest.fixture(autouse=True)
    def _filled(self, tmp_path: Path) -> Iterator[None]:
        with ragvec.Store(tmp_path / "store") as store:
            index = store.bucket("tests").index("documents")
            documents = [{"id": str(at), "text": text} for at, text in enumerate(TEXTS)]
            ragvec.Pipeline(index=index, embedder="hashing:128").run(documents, progress=False)
            self.index = ragvec.QueryIndex(index)
            yield

    @property
    def retriever_constructor(self) -> type[BaseRetriever]:
        return RagvecQueryRetriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        return {"query_index": self.index}

    @property
    def retriever_query_example(self) -> str:
        return "what does the cat eat in the garden?"
