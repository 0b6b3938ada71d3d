"""Our LangChain vector store over HTTP: `ragvec serve` behind boto3's own client, LangChain's suite whole."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

pytest.importorskip("boto3", reason="boto3 is not installed")

from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_tests.integration_tests import VectorStoreIntegrationTests

from ragvec.langchain import RagvecVectorStore
from tests.wire.serving import Serving
from tests.wire.test_server_s3_boto3 import connect

NUMBERS = itertools.count()


def store_on(server: Serving, **options: Any) -> RagvecVectorStore:
    """An empty vector store, in an index of its own."""
    return RagvecVectorStore.from_client(
        connect(server),
        bucket="langchain",
        index=f"documents-{next(NUMBERS)}",
        embedding=DeterministicFakeEmbedding(size=16),
        **options,
    )


class TestStoreOverHttp(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self, server: Serving) -> RagvecVectorStore:
        return store_on(server)


def test_more_than_a_request_holds_is_written_and_found(server: Serving) -> None:
    store = store_on(server)
    texts = [f"text {at}" for at in range(620)]
    ids = store.add_texts(texts, batch_size=600)
    assert [document.page_content for document in store.get_by_ids(ids)] == texts
    found = store.similarity_search_with_score("text 7", k=250)
    assert len({document.id for document, _ in found}) == 250
    assert found[0][0].page_content == "text 7"
    assert [distance for _, distance in found] == sorted(distance for _, distance in found)
    assert store.max_marginal_relevance_search("text 7", k=3)[0].page_content == "text 7"
    store.delete(ids[:510])
    assert store.get_by_ids(ids) == store.get_by_ids(ids[510:])


def test_words_are_searched_over_http_too(server: Serving) -> None:
    store = store_on(server, text="en")
    store.add_texts(["the tray is empty: E4711", "foxes are sleeping", "lunch is at noon"])
    assert store.text_search("what is e4711?", k=1)[0][0].page_content == "the tray is empty: E4711"
    (document, score), *_ = store.hybrid_search("sleep", k=3)
    assert score > 0
    assert document.page_content in ("the tray is empty: E4711", "foxes are sleeping", "lunch is at noon")
