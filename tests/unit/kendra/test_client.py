"""The client as code written for boto3 sees it: indexes, errors, metadata."""

from __future__ import annotations

import botocore.exceptions
import pytest
from kendra_corpus import FERRIES, BagOfStems, fill

from ragvec.errors import RagvecError, ResourceNotFound
from ragvec.kendra import Client
from ragvec.kendra.errors import client_error
from ragvec.store import Index, Store


def test_an_index_described(client: Client, ferries: Index) -> None:
    described = client.describe_index(Id=ferries.uid)
    assert (described["Id"], described["Name"], described["Status"]) == (ferries.uid, "pages", "ACTIVE")
    statistics = described["IndexStatistics"]["TextDocumentStatistics"]
    passages = [part for document in FERRIES for part in document["text"].split("\n\n")]
    assert statistics == {
        "IndexedTextDocumentsCount": len(FERRIES),
        "IndexedTextBytes": sum(len(part.encode()) for part in passages),
    }
    fields = {field["Name"]: field for field in described["DocumentMetadataConfigurations"]}
    assert len(fields) == 14 + 4
    assert fields["priority"]["Type"] == "LONG_VALUE"
    assert fields["tags"]["Search"] == {"Facetable": True, "Searchable": False, "Displayable": True, "Sortable": False}
    assert described["CreatedAt"].tzinfo is not None


def test_indices_are_listed_in_pages(client: Client, store: Store) -> None:
    made = [
        fill(store, [], bucket=bucket, name=name).uid
        for bucket in ("a-b", "a.b", "aaa")
        for name in ("x", "y-z", "y.z")
    ]
    store.bucket("aaa").create_index("no-query-index", dimension=3)
    seen: list[str] = []
    more: dict[str, str] = {}
    while True:
        page = client.list_indices(MaxResults=2, **more)
        seen += [item["Id"] for item in page["IndexConfigurationSummaryItems"]]
        if "NextToken" not in page:
            break
        more = {"NextToken": page["NextToken"]}
    assert len(seen) == len(made)
    assert set(seen) == set(made)
    assert len(client.list_indices()["IndexConfigurationSummaryItems"]) == len(made)


@pytest.mark.parametrize("most", [101, True])
def test_pages_of_indices_have_1_to_100_entries(client: Client, most: object) -> None:
    with pytest.raises(client.exceptions.ValidationException, match="a whole number from 1 to 100"):
        client.list_indices(MaxResults=most)


def test_an_unknown_index_is_not_found(client: Client, ferries: Index) -> None:
    absent = "00000000-0000-4000-8000-000000000000"
    for call in (
        lambda: client.query(IndexId=absent, QueryText="x"),
        lambda: client.retrieve(IndexId=absent, QueryText="x"),
        lambda: client.describe_index(Id=absent),
    ):
        with pytest.raises(client.exceptions.ResourceNotFoundException) as caught:
            call()
        assert caught.value.response["Error"]["Code"] == "ResourceNotFoundException"
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
        assert absent in caught.value.response["Error"]["Message"]
        assert isinstance(caught.value.__cause__, ResourceNotFound)
    uid = ferries.uid
    client.query(IndexId=uid, QueryText="x")
    ferries.delete_index()
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.query(IndexId=uid, QueryText="x")


@pytest.mark.parametrize("uid", [None, "", "short", 7])
def test_an_id_of_less_than_36_characters_is_not_even_sent(client: Client, uid: object) -> None:
    with pytest.raises(botocore.exceptions.ParamValidationError, match="for parameter IndexId, value"):
        client.query(IndexId=uid, QueryText="x")


def test_an_id_has_36_characters(client: Client) -> None:
    with pytest.raises(client.exceptions.ValidationException, match="the id of an index, of 36 characters"):
        client.query(IndexId="x" * 37, QueryText="x")


def test_errors_are_caught_as_boto3s(client: Client, ferries: Index) -> None:
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        client.query(IndexId=ferries.uid)
    assert caught.value.operation_name == "Query"
    assert caught.value.response["message"] == caught.value.response["Error"]["Message"]
    assert "fieldList" not in caught.value.response
    with pytest.raises(botocore.exceptions.ParamValidationError, match='Unknown parameter in input: "IndexId"'):
        client.describe_index(Id=ferries.uid, IndexId=ferries.uid)


def every_error(kind: type[RagvecError] = RagvecError) -> list[type[RagvecError]]:
    return [kind, *(deeper for child in kind.__subclasses__() for deeper in every_error(child))]


def test_every_error_has_a_wire_code_of_kendras(client: Client) -> None:
    codes = {
        "ValidationException", "ResourceNotFoundException", "ConflictException", "ServiceQuotaExceededException",
        "AccessDeniedException", "ThrottlingException", "InternalServerException",
    }  # fmt: skip
    for kind in every_error():
        if kind.__module__ != "ragvec.errors":
            continue
        error = kind.__new__(kind)
        Exception.__init__(error, "message")
        error.__dict__.update(path="", detail="", fields=())
        raised = client_error(error, operation="Query")
        assert raised.response["Error"]["Code"] in codes
        assert raised.response["ResponseMetadata"]["HTTPStatusCode"] in (400, 500)


def test_responses_carry_metadata_and_the_client_says_what_it_is(client: Client, ferries: Index) -> None:
    metadata = client.query(IndexId=ferries.uid, QueryText="ferry")["ResponseMetadata"]
    assert metadata["HTTPStatusCode"] == 200
    assert len(metadata["RequestId"]) == 36
    assert client.meta.service_model.service_name == "kendra"
    assert client.can_paginate("query") is False


def test_one_embedder_serves_every_index(store: Store) -> None:
    client = Client(store, embedder=BagOfStems())
    for name in ("x", "y"):
        uid = fill(store, [{"id": name, "text": "ferry"}], name=name).uid
        assert client.query(IndexId=uid, QueryText="ferry")["ResultItems"][0]["DocumentId"] == name
