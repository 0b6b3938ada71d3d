"""LangChain's InMemoryVectorStore: lists of floats in a dict, kept as a JSON dump; it searches by brute force."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import InMemoryVectorStore

from benchmarks.systems.base import Condition, System

__all__ = ["LangchainMemory"]


class Ready(Embeddings):
    """Gives the vectors that were set, for the store has no way in for vectors without a model."""

    def __init__(self) -> None:
        self.vectors: list[list[float]] = []

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        assert len(texts) == len(self.vectors)
        return self.vectors

    def embed_query(self, text: str) -> list[float]:
        raise NotImplementedError(text)


class LangchainMemory(System):
    batch = 20_000

    def _file(self) -> Path:
        return self.folder / "store.json"

    def create(self) -> None:
        self.ready = Ready()
        self.store = InMemoryVectorStore(self.ready)

    def open(self) -> None:
        self.ready = Ready()
        self.store = InMemoryVectorStore.load(str(self._file()), self.ready)

    def put(self, keys: list[str], vectors: np.ndarray, metadata: list[dict[str, Any]]) -> None:
        self.ready.vectors = vectors.tolist()
        documents = [Document("", metadata=entry) for entry in metadata]
        self.store.add_documents(documents, ids=keys)

    def finish(self, *, rows: int) -> None:
        self.store.dump(str(self._file()))

    def search(self, query: np.ndarray, *, k: int) -> Any:
        return self.store.similarity_search_with_score_by_vector(query.tolist(), k=k)

    def search_where(self, query: np.ndarray, *, k: int, where: Any) -> Any:
        return self.store.similarity_search_with_score_by_vector(query.tolist(), k=k, filter=where)

    def condition(self, condition: Condition) -> Any:
        field, equals, low, high = condition.field, condition.equals, condition.low, condition.high
        if equals is not None:
            return lambda document: document.metadata[field] == equals
        return lambda document: low <= document.metadata[field] < high

    def rows(self, answer: Any) -> list[int]:
        return [int(document.id) for document, _ in answer]
