"""langchain-aws' AmazonKendraRetriever, with no argument but keys and endpoint, against a server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from ragvec.kendra import Client
from ragvec.store import Store
from tests.wire.kendra_exchanges import FOLDER, TEXTS, write_files
from tests.wire.serving import OWNER, REGION, Serving, serving

retrievers = pytest.importorskip("langchain_aws.retrievers")

DECK = {"EqualsTo": {"Key": "department", "Value": {"StringValue": "Deck"}}}
ANSWER = "On a leash."


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kendra")
    write_files(folder / "own")
    return folder


@pytest.fixture(scope="module")
def index_id(folder: Path) -> str:
    """An index of a few documents and a FAQ, made in this process."""
    with Store(folder / "store") as store:
        client = Client(store, embedder="hashing:64", folders={FOLDER: folder / "own"})
        uid: str = client.create_index(Name="ferries", RoleArn="r")["Id"]
        department = {"Name": "department", "Type": "STRING_VALUE"}
        client.update_index(Id=uid, DocumentMetadataConfigurationUpdates=[department])
        documents: list[dict[str, Any]] = [
            {
                "Id": name,
                "Title": name,
                "Blob": text.encode(),
                "Attributes": [{"Key": "department", "Value": {"StringValue": "Deck" if "deck" in text else "Sales"}}],
            }
            for name, text in TEXTS.items()
        ]
        documents[0]["AccessControlList"] = [{"Name": "ana", "Type": "USER", "Access": "ALLOW"}]
        assert client.batch_put_document(IndexId=uid, Documents=documents)["FailedDocuments"] == []
        path = {"Bucket": FOLDER, "Key": "faq.json"}
        client.create_faq(IndexId=uid, Name="dogs", S3Path=path, RoleArn="r", FileFormat="JSON")
        return uid


@pytest.fixture(scope="module")
def server(folder: Path, index_id: str) -> Iterator[Serving]:
    with serving(folder / "store", dialects="kendra") as running:
        yield running


def retriever(server: Serving, index_id: str, **options: Any) -> Any:
    return retrievers.AmazonKendraRetriever(
        index_id=index_id,
        endpoint_url=server.url,
        region_name=REGION,
        aws_access_key_id=SecretStr(OWNER.access_key),
        aws_secret_access_key=SecretStr(OWNER.secret_key),
        **{"min_score_confidence": 0.0, **options},
    )


def called(asked: Any) -> list[str]:
    """The operations that a retriever asks for from now on."""
    operations: list[str] = []
    asked.client.meta.events.register("before-call.kendra", lambda model, **_: operations.append(model.name))
    return operations


@pytest.mark.sdk("AmazonKendraRetriever", "Retrieve")
def test_passages_come_by_retrieve(server: Serving, index_id: str) -> None:
    asked = retriever(server, index_id, attribute_filter=DECK)
    operations = called(asked)
    found = asked.invoke("Who meets on deck?")
    assert [document.metadata["document_id"] for document in found] == ["crew.md"]
    assert TEXTS["crew.md"] in found[0].page_content
    assert found[0].metadata["document_attributes"]["department"] == "Deck"
    assert found[0].metadata["score"] in {"VERY_HIGH", "HIGH", "MEDIUM", "LOW"}
    assert operations == ["Retrieve"]


@pytest.mark.sdk("AmazonKendraRetriever", "Query")
def test_where_no_passage_is_found_answers_come_by_query(server: Serving, index_id: str) -> None:
    of_faqs = {"EqualsTo": {"Key": "_category", "Value": {"StringValue": "help"}}}
    asked = retriever(server, index_id, attribute_filter=of_faqs)
    operations = called(asked)
    (document,) = asked.invoke("May dogs come aboard?")
    assert operations == ["Retrieve", "Query"]
    assert ANSWER in document.page_content


def test_documents_are_found_for_the_user_in_the_context_not_for_the_signer(server: Serving, index_id: str) -> None:
    question = "When does the ferry sail?"

    def ids(user: str) -> set[str]:
        found = retriever(server, index_id, user_context={"UserId": user}).invoke(question)
        return {document.metadata["document_id"] for document in found}

    assert "timetable.md" in ids("ana")
    assert "timetable.md" not in ids("bob")
    assert "timetable.md" not in ids(OWNER.name)


def test_the_same_as_with_the_client_of_this_process(server: Serving, index_id: str) -> None:
    question = "What is free of charge?"
    over_http = retriever(server, index_id, top_k=2).invoke(question)
    with Store(server.store) as store:
        here = retrievers.AmazonKendraRetriever(
            index_id=index_id, client=Client(store), top_k=2, min_score_confidence=0.0
        ).invoke(question)
    assert [each.page_content for each in over_http] == [each.page_content for each in here]
    assert [each.metadata["score"] for each in over_http] == [each.metadata["score"] for each in here]
    assert over_http
