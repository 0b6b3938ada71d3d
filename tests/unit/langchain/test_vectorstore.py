"""The vector store beyond LangChain's own suite: what is kept, found, refused, and how it goes with other parts."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.indexing import InMemoryRecordManager, index
from langchain_core.vectorstores import InMemoryVectorStore

import ragvec
from ragvec.errors import EmbedderMismatch, InvalidMetadata, InvalidRequest
from ragvec.langchain import RagvecEmbeddings, RagvecVectorStore

ANIMALS = ("cat", "dog", "hen", "cow", "fox", "owl", "ant", "bee", "eel", "yak")
TEXTS = [f"The {animal} number {number} sleeps." for animal in ANIMALS for number in range(6)]
METADATAS = [{"animal": animal, "number": number} for animal in ANIMALS for number in range(6)]
EMBEDDING = DeterministicFakeEmbedding(size=24)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ragvec.Store]:
    with ragvec.Store(tmp_path / "store") as opened:
        yield opened


@pytest.fixture
def vectors(store: ragvec.Store) -> RagvecVectorStore:
    made = RagvecVectorStore(store.bucket("tests").index("animals"), EMBEDDING)
    made.add_texts(TEXTS, METADATAS, ids=[f"id{at}" for at in range(len(TEXTS))])
    return made


@pytest.fixture
def memory() -> InMemoryVectorStore:
    made = InMemoryVectorStore(EMBEDDING)
    made.add_texts(TEXTS, METADATAS, ids=[f"id{at}" for at in range(len(TEXTS))])
    return made


def test_the_nearest_are_those_of_langchains_own_store(vectors: RagvecVectorStore, memory: InMemoryVectorStore) -> None:
    for question in TEXTS[::7]:
        expected = memory.similarity_search_with_score(question, k=8)
        found = vectors.similarity_search_with_score(question, k=8)
        assert [document.id for document, _ in found] == [document.id for document, _ in expected]
        assert [document.metadata for document, _ in found] == [document.metadata for document, _ in expected]
        np.testing.assert_allclose([1 - distance for _, distance in found], [score for _, score in expected], atol=1e-5)


def test_a_function_filters_as_in_langchains_own_store(vectors: RagvecVectorStore, memory: InMemoryVectorStore) -> None:
    def wanted(document: Document) -> bool:
        return document.metadata["animal"] == "yak"

    found = vectors.similarity_search(TEXTS[0], k=5, filter=wanted)
    expected = memory.similarity_search(TEXTS[0], k=5, filter=wanted)
    assert [document.id for document in found] == [document.id for document in expected]
    assert len(vectors.similarity_search(TEXTS[0], k=50, filter=wanted)) == 6


def test_marginal_relevance_chooses_as_langchains_own_store(
    vectors: RagvecVectorStore, memory: InMemoryVectorStore
) -> None:
    for part in (0.0, 0.3, 1.0):
        found = vectors.max_marginal_relevance_search(TEXTS[3], k=5, fetch_k=20, lambda_mult=part)
        expected = memory.max_marginal_relevance_search(TEXTS[3], k=5, fetch_k=20, lambda_mult=part)
        assert [document.id for document in found] == [document.id for document in expected]


def test_relevance_is_between_0_and_1(store: ragvec.Store) -> None:
    class Opposed(DeterministicFakeEmbedding):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return [[-1.0, 0.0], [1.0, 0.0], [0.0, 1.0]][: len(texts)]

        def embed_query(self, text: str) -> list[float]:
            return [1.0, 0.0]

    made = RagvecVectorStore(store.bucket("tests").index("opposed"), Opposed(size=2))
    made.add_texts(["against", "along", "across"])
    found = made.similarity_search_with_relevance_scores("any", k=3)
    assert [(document.page_content, round(score, 6)) for document, score in found] == [
        ("along", 1.0),
        ("across", 0.0),
        ("against", 0.0),
    ]
    far = RagvecVectorStore(store.bucket("tests").index("far"), Opposed(size=2), metric="euclidean")
    far.add_texts(["against", "along", "across"])
    scores = [score for _, score in far.similarity_search_with_relevance_scores("any", k=3)]
    assert scores == pytest.approx([1.0, 1 / (1 + math.sqrt(2)), 1 / 3])


def test_metadata_come_back_as_they_were(vectors: RagvecVectorStore) -> None:
    metadata: dict[str, Any] = {
        "text": "plain",
        "number": 3,
        "ratio": 0.5,
        "flag": False,
        "names": ["a", "b"],
        "nothing": None,
        "empty": [],
        "mixed": [1, "a", None],
        "nested": {"a": {"b": [1, 2]}},
        "huge": 2**70,
    }
    vectors.add_documents([Document(id="odd", page_content="An odd one.", metadata=metadata)])
    (document,) = vectors.get_by_ids(["odd"])
    assert document == Document(id="odd", page_content="An odd one.", metadata=metadata)
    assert [found.id for found in vectors.similarity_search("any", k=9, filter={"names": {"$in": ["b"]}})] == ["odd"]


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"_text": "mine"}, "Expected metadata without the key '_text'"),
        ({"value": {"deep": [float("nan")]}}, r"Expected a finite number, got nan - at `metadata\.value\.deep\[0\]`"),
        ({"value": {"what": object}}, "Expected metadata that JSON has a form for, got"),
    ],
    ids=["own key", "not finite", "no JSON"],
)
def test_metadata_that_would_not_come_back_are_refused(
    vectors: RagvecVectorStore, metadata: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidMetadata, match=message):
        vectors.add_documents([Document(page_content="first"), Document(page_content="second", metadata=metadata)])
    assert len(vectors) == len(TEXTS)


def test_what_is_added_last_counts(vectors: RagvecVectorStore) -> None:
    vectors.add_texts(["one", "two", "three"], ids=["same", "other", "same"])
    assert [document.page_content for document in vectors.get_by_ids(["same", "other", "same"])] == ["three", "two"]
    assert vectors.upsert([Document(id="same", page_content="four")]) == {"succeeded": ["same"], "failed": []}
    assert vectors.get_by_ids(["same"])[0].page_content == "four"


def test_documents_are_deleted_by_ids_or_by_a_filter(vectors: RagvecVectorStore) -> None:
    assert vectors.delete(["id0", "absent"])
    assert len(vectors) == len(TEXTS) - 1
    assert vectors.delete(filter={"animal": "bee"})
    assert len(vectors) == len(TEXTS) - 7
    for arguments in ({}, {"ids": ["id1"], "filter": {"animal": "cat"}}):
        with pytest.raises(InvalidRequest, match="Expected exactly one of `ids` and `filter`"):
            vectors.delete(**arguments)
    with pytest.raises(InvalidRequest, match="Expected a filter with a condition"):
        vectors.delete(filter={})


def test_wrong_arguments_are_named(vectors: RagvecVectorStore) -> None:
    with pytest.raises(InvalidRequest, match="Expected 2 `ids`, one a text, got 1"):
        vectors.add_texts(["a", "b"], ids=["a"])
    with pytest.raises(InvalidRequest, match="Unknown argument 'namespace'"):
        vectors.add_texts(["a"], namespace="mine")
    with pytest.raises(InvalidRequest, match="Expected options among boosts, effort, fusion, got 'fetch'"):
        vectors.similarity_search("a", fetch=3)
    with pytest.raises(InvalidRequest, match="Expected an integer of at least 1, got 0"):
        vectors.similarity_search("a", k=0)
    with pytest.raises(InvalidRequest, match="Expected `path`, the folder of a store, or `index`"):
        RagvecVectorStore.from_texts(["a"], EMBEDDING)


def test_words_are_searched_too(vectors: RagvecVectorStore) -> None:
    found = vectors.text_search("sleeping foxes", k=60)
    assert [document.metadata["animal"] for document, _ in found[:6]] == ["fox"] * 6  # by their stems
    scores = [score for _, score in found]
    assert scores == sorted(scores, reverse=True)
    best, _ = vectors.hybrid_search(TEXTS[13], k=1)[0]
    assert best.page_content == TEXTS[13]
    assert vectors.search("eel", "text", k=3)[0].metadata["animal"] == "eel"
    assert vectors.search(TEXTS[8], "hybrid", k=1)[0].page_content == TEXTS[8]
    assert vectors.search(TEXTS[8], "similarity", k=1)[0].page_content == TEXTS[8]


def test_an_index_remembers_its_embedder(store: ragvec.Store) -> None:
    handle = store.bucket("tests").index("remembered")
    RagvecVectorStore(handle, RagvecEmbeddings("hashing:32")).add_texts(["a cat", "a dog"])
    reopened = RagvecVectorStore(handle)
    assert repr(reopened.embeddings) == repr(RagvecEmbeddings("hashing:32"))
    assert reopened.similarity_search("dog", k=1)[0].page_content == "a dog"
    with pytest.raises(EmbedderMismatch, match="was filled by the embedder 'hashing:32', got 'hashing:64'"):
        RagvecVectorStore(handle, "hashing:64")


def test_what_the_pipeline_wrote_is_read(store: ragvec.Store) -> None:
    handle = store.bucket("tests").index("notes")
    ragvec.Pipeline(index=handle, embedder="hashing:64").run(
        [{"id": "leave", "text": "Leave is 25 days.", "title": "Leave"}], progress=False
    )
    (document,) = RagvecVectorStore(handle).similarity_search("how much leave?", k=1)
    assert document.page_content == "Leave is 25 days."
    assert document.metadata["_document_id"] == "leave"


def test_many_documents_are_written_in_batches(store: ragvec.Store) -> None:
    made = RagvecVectorStore(store.bucket("tests").index("many"), EMBEDDING)
    ids = made.add_texts([f"text {at}" for at in range(45)], batch_size=10)
    assert len(set(ids)) == len(made) == 45


def test_langchains_indexing_adds_changes_and_cleans_up(store: ragvec.Store) -> None:
    ours = RagvecVectorStore(store.bucket("tests").index("pages"), EMBEDDING)
    theirs = InMemoryVectorStore(EMBEDDING)
    first = [Document(page_content=f"page {at}", metadata={"source": f"s{at // 3}"}) for at in range(6)]
    changed = [Document(page_content="page 0, again", metadata={"source": "s0"}), first[1]]
    steps: list[tuple[list[Document], Any]] = [
        (first, "incremental"),
        (first, "incremental"),
        (changed, "incremental"),
        ([*changed, first[5]], "full"),
        ([], "full"),
    ]
    told: dict[str, list[Any]] = {}
    held: dict[str, list[set[str]]] = {}
    for name, target in (("ours", ours), ("theirs", theirs)):
        manager = InMemoryRecordManager(namespace="tests")
        manager.create_schema()
        told[name], held[name] = [], []
        for documents, cleanup in steps:
            done = index(documents, manager, target, cleanup=cleanup, source_id_key="source", key_encoder="sha256")
            told[name].append(done)
            held[name].append({document.page_content for document in target.similarity_search("page", k=99)})
    assert told["ours"] == told["theirs"]
    assert held["ours"] == held["theirs"]
    assert held["ours"][2] == {"page 0, again", "page 1", "page 3", "page 4", "page 5"}
    assert held["ours"][-1] == set()


def test_every_method_has_its_asynchronous_twin(vectors: RagvecVectorStore) -> None:
    async def together() -> list[list[Document]]:
        return list(await asyncio.gather(*(vectors.asimilarity_search(text, k=1) for text in TEXTS[:20])))

    found = asyncio.run(together())
    assert [documents[0].page_content for documents in found] == TEXTS[:20]
    assert asyncio.run(vectors.amax_marginal_relevance_search(TEXTS[0], k=2))[0].page_content == TEXTS[0]
    assert asyncio.run(vectors.adelete(["id0"]))
    assert asyncio.run(vectors.aget_by_ids(["id0", "id1"]))[0].id == "id1"
