"""The retrievers: by each mode, written and read again, streamed and batched, traced, and by who asks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.load import dumps, loads
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnablePassthrough
from pydantic import ValidationError

import ragvec
from ragvec.kendra import Client
from ragvec.langchain import RagvecQueryRetriever, RagvecRetriever, RagvecVectorStore

TEXTS = [
    "Annual leave is 25 days a year.",
    "Leaves fall from trees in autumn.",
    "The canteen serves lunch from noon.",
    "Error E4711 means that the paper tray is empty.",
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "store"
    with ragvec.Store(folder) as store:
        handle = store.bucket("langchain").index("documents")
        RagvecVectorStore(handle, "hashing:128").add_texts(TEXTS, [{"number": at} for at in range(len(TEXTS))])
    return folder


def test_a_code_is_found_by_its_letters(path: Path) -> None:
    for mode in ("text", "hybrid"):
        retriever = RagvecRetriever(path=str(path), mode=mode, k=2)
        assert retriever.invoke("what is e4711?")[0].page_content == TEXTS[3]
    assert len(RagvecRetriever(path=str(path), mode="dense").invoke("lunch", k=3)) == 3


def test_scores_and_filters_are_given_on_wish(path: Path) -> None:
    retriever = RagvecRetriever(path=str(path), score_key="score", k=4)
    found = retriever.invoke("leave", filter={"number": {"$lt": 2}})
    assert {document.metadata["number"] for document in found} == {0, 1}
    assert [document.metadata["score"] for document in found] == sorted(
        (document.metadata["score"] for document in found), reverse=True
    )
    by_distance = retriever.invoke("leave", mode="dense", effort=2.0)
    distances = [document.metadata["score"] for document in by_distance]
    assert distances == sorted(distances)
    assert "score" not in RagvecRetriever(path=str(path)).invoke("leave")[0].metadata


@pytest.mark.filterwarnings("ignore:The function `loads` is in beta")
def test_a_retriever_is_written_and_read_again(path: Path) -> None:
    retriever = RagvecRetriever(path=str(path), mode="text", k=1)
    text = dumps(retriever)
    again = loads(text, valid_namespaces=["ragvec"], allowed_objects=[RagvecRetriever])
    assert isinstance(again, RagvecRetriever)
    assert again.invoke("canteen") == retriever.invoke("canteen")
    assert "canteen" not in text


def test_wrong_arguments_are_refused(path: Path) -> None:
    for arguments in ({}, {"path": str(path), "k": 0}, {"path": str(path), "mode": "fast"}, {"path": "a", "top": 3}):
        with pytest.raises(ValidationError):
            RagvecRetriever(**arguments)
    with pytest.raises(ValueError, match="Expected `mode` hybrid, dense or text, got 'fast'"):
        RagvecRetriever(path=str(path)).invoke("a", mode="fast")


class Seen(BaseCallbackHandler):
    def __init__(self) -> None:
        self.started: list[tuple[str, dict[str, Any]]] = []
        self.ended: list[list[str]] = []

    def on_retriever_start(self, serialized: Any, query: str, *, metadata: Any = None, **kwargs: Any) -> None:
        self.started.append((query, metadata))

    def on_retriever_end(self, documents: Any, **kwargs: Any) -> None:
        self.ended.append([document.page_content for document in documents])


async def test_it_streams_batches_and_is_traced(path: Path) -> None:
    retriever, seen = RagvecRetriever(path=str(path), k=1), Seen()
    expected = [retriever.invoke(text) for text in TEXTS]
    assert retriever.batch(TEXTS, config={"callbacks": [seen]}) == expected
    assert await retriever.abatch(TEXTS) == expected
    assert list(retriever.stream(TEXTS[0])) == [expected[0]]
    assert [part async for part in retriever.astream(TEXTS[0])] == [expected[0]]
    assert sorted(query for query, _ in seen.started) == sorted(TEXTS)
    assert all(metadata["ls_vector_store_provider"] == "ragvec" for _, metadata in seen.started)
    assert sorted(seen.ended) == sorted([[text] for text in TEXTS])


def test_it_stands_in_a_chain(path: Path) -> None:
    def joined(documents: list[Document]) -> str:
        return "\n".join(document.page_content for document in documents)

    prompt = ChatPromptTemplate.from_template("{context}\n\n{question}")
    chain = {"context": RagvecRetriever(path=str(path), k=1) | joined, "question": RunnablePassthrough()} | prompt
    assert chain.invoke("when is lunch?").to_string() == f"Human: {TEXTS[2]}\n\nwhen is lunch?"


@pytest.fixture
def query_index(tmp_path: Path) -> Iterator[ragvec.QueryIndex]:
    with ragvec.Store(tmp_path / "query") as store:
        handle = store.bucket("docs").index("pages")
        ragvec.Pipeline(index=handle, embedder="hashing:128").run(
            [
                {"id": "open", "text": "The salary day is the 25th.", "title": "Pay", "department": "hr"},
                {"id": "secret", "text": "The salary of the board is high.", "_acl_allow": ["group:board"]},
            ],
            progress=False,
        )
        yield ragvec.QueryIndex(handle)


def test_the_query_layer_answers_by_who_asks(query_index: ragvec.QueryIndex) -> None:
    retriever = RagvecQueryRetriever(query_index=query_index, k=5)
    assert len(retriever.invoke("salary")) == 2  # nobody in particular asks: nothing is hidden
    found = retriever.invoke("salary", user="ann")
    assert [document.metadata["document_id"] for document in found] == ["open"]
    document = found[0]
    assert document.page_content == "The salary day is the 25th."
    assert document.metadata["title"] == "Pay"
    assert document.metadata["department"] == "hr"
    assert document.metadata["begin"] == 0
    assert document.metadata["end"] == len(document.page_content)
    assert 0 <= document.metadata["score"] <= 1
    seen = retriever.invoke("salary", user="ann", groups=["board"])
    assert {document.metadata["document_id"] for document in seen} == {"open", "secret"}
    board = RagvecQueryRetriever(query_index=query_index, user="ann", groups=("board",), where={"department": "hr"})
    assert [document.metadata["document_id"] for document in board.invoke("salary")] == ["open"]


def test_small_passages_lead_to_the_larger_parts_they_were_cut_from(tmp_path: Path) -> None:
    steps = " ".join(f"Step {number} has a note on step {number}." for number in range(1, 13))
    closing = "Lock the door. Take the key with you. Switch off the light."
    text = f"OPENING\n\n{steps}\n\nCLOSING\n\n{closing}\n"
    with ragvec.Store(tmp_path / "parents") as store:
        handle = store.bucket("docs").index("manual")
        ragvec.Pipeline(index=handle, embedder="hashing:256", chunker="parents:60:12").run(
            [{"id": "manual", "text": text, "room": "A1"}], progress=False
        )
        vectors = RagvecVectorStore(handle)
        small = RagvecRetriever(vectorstore=vectors, mode="text", k=2).invoke("who takes the key?")
        large = RagvecRetriever(vectorstore=vectors, mode="text", k=2, parents=True).invoke("who takes the key?")
    assert len({document.page_content for document in large}) == len(large) <= 2
    best = large[0]
    assert small[0].page_content in best.page_content
    assert len(best.page_content) > len(small[0].page_content)
    assert text[best.metadata["_begin"] : best.metadata["_end"]] == best.page_content
    assert best.metadata["room"] == "A1"
    assert "_parent" not in best.metadata


@pytest.mark.filterwarnings("ignore:The function `loads` is in beta")
def test_a_path_or_a_client_leads_to_the_same_passages(query_index: ragvec.QueryIndex, tmp_path: Path) -> None:
    by_path = RagvecQueryRetriever(path=str(tmp_path / "query"), bucket="docs", index="pages", k=5)
    again = loads(dumps(by_path), valid_namespaces=["ragvec"], allowed_objects=[RagvecQueryRetriever])
    client = Client(query_index.index.bucket.store)
    by_client = RagvecQueryRetriever(client=client, index_id=query_index.index.uid, k=5)
    here = RagvecQueryRetriever(query_index=query_index, k=5)
    for asker in ({}, {"user": "ann"}, {"user": "ann", "groups": ["board"]}):
        expected = [document.page_content for document in here.invoke("salary", **asker)]
        assert expected
        for other in (by_path, again, by_client):
            assert [document.page_content for document in other.invoke("salary", **asker)] == expected
    (document,) = by_client.invoke("salary", user="ann")
    assert document.metadata["document_id"] == "open"
    assert document.metadata["title"] == "Pay"
    assert document.metadata["confidence"] in ("VERY_HIGH", "HIGH", "MEDIUM", "LOW")
    only = {"EqualsTo": {"Key": "department", "Value": {"StringValue": "hr"}}}
    assert len(by_client.invoke("salary", where=only)) == 1
    for arguments in ({}, {"path": "a"}, {"client": client}, {"client": client, "path": "a", "index_id": "b"}):
        with pytest.raises(ValidationError):
            RagvecQueryRetriever(**arguments)
