"""Kendra's shapes as AWS's own service model and released clients have them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from botocore.validate import ParamValidator

from ragvec.kendra import Client
from ragvec.store import Store

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "kendra"))
from kendra_corpus import FERRIES, TYPES, BagOfStems, fill

MODEL = botocore.session.get_session().get_service_model("kendra")
CATEGORY = {"EqualsTo": {"Key": "_category", "Value": {"StringValue": "deck"}}}
SINCE = {"GreaterThan": {"Key": "_created_at", "Value": {"DateValue": datetime(2022, 5, 1, tzinfo=timezone.utc)}}}
SHARED: list[dict[str, Any]] = [
    {"QueryText": "bicycle ferry"},
    {"QueryText": "bicycle", "AttributeFilter": CATEGORY, "PageNumber": 1, "PageSize": 2},
    {"QueryText": "bicycle", "AttributeFilter": {"OrAllFilters": [SINCE, {"NotFilter": CATEGORY}]}},
    {"QueryText": "bicycle", "RequestedDocumentAttributes": ["_created_at", "tags", "priority"]},
    {"QueryText": "crew", "UserContext": {"UserId": "purser", "Groups": ["crew"]}},
    {"QueryText": "what is it"},
]
QUERIES: list[dict[str, Any]] = [
    *SHARED,
    {"AttributeFilter": CATEGORY, "SortingConfiguration": {"DocumentAttributeKey": "_created_at", "SortOrder": "DESC"}},
    {
        "Facets": [
            {"DocumentAttributeKey": "tags", "MaxResults": 3, "Facets": [{"DocumentAttributeKey": "reviewed"}]},
            {"DocumentAttributeKey": "priority"},
        ],
        "QueryResultTypeFilter": "DOCUMENT",
        "VisitorId": "visitor-1",
    },
]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with Store(tmp_path_factory.mktemp("wire") / "store") as store:
        yield store


@pytest.fixture(scope="module")
def uid(store: Store) -> str:
    return fill(store, FERRIES, types=TYPES).uid


@pytest.fixture
def client(store: Store) -> Client:
    return Client(store, embedder=BagOfStems())


def calls(uid: str) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        *(("Query", "query", {"IndexId": uid, **members}) for members in QUERIES),
        *(("Retrieve", "retrieve", {"IndexId": uid, **members}) for members in SHARED),
        ("DescribeIndex", "describe_index", {"Id": uid}),
        ("ListIndices", "list_indices", {"MaxResults": 5}),
    ]


def complaints(value: Any, shape: Any) -> list[str]:
    report = ParamValidator().validate(value, shape).generate_report()
    # The model asks for at least one character where the service itself sends "" (titles and URIs that are not known).
    return [
        line
        for line in report.splitlines()
        if not (
            line.startswith("Invalid length for parameter")
            and (".DocumentURI," in line or ".Text," in line or ".DocumentTitle," in line)
        )
    ]


def as_json(value: Any) -> Any:
    return value.timestamp() if isinstance(value, datetime) else str(value)


def test_requests_and_responses_are_those_of_the_service_model(client: Client, uid: str) -> None:
    for operation, method, members in calls(uid):
        model = MODEL.operation_model(operation)
        assert complaints(members, model.input_shape) == []
        response = getattr(client, method)(**members)
        response.pop("ResponseMetadata")
        assert complaints(response, model.output_shape) == [], operation


def test_boto3_reads_a_response_from_json_as_it_is(client: Client, uid: str) -> None:
    parser = create_parser("json")
    for operation, method, members in calls(uid):
        response = getattr(client, method)(**members)
        metadata = response.pop("ResponseMetadata")
        body = json.dumps(response, default=as_json).encode()
        http = {"body": body, "status_code": 200, "headers": {"x-amzn-requestid": metadata["RequestId"]}}
        parsed = parser.parse(http, MODEL.operation_model(operation).output_shape)
        assert parsed.pop("ResponseMetadata")["RequestId"] == metadata["RequestId"]
        assert parsed == response, operation


def test_members_as_boto3_sends_them_mean_the_same(client: Client, uid: str) -> None:
    serializer = create_serializer("json")
    for operation, method, members in calls(uid):
        sent = serializer.serialize_to_request(members, MODEL.operation_model(operation))
        received = json.loads(sent["body"])
        direct, through_json = getattr(client, method)(**members), getattr(client, method)(**received)
        assert without_ids(direct) == without_ids(through_json), operation


def without_ids(response: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in response.items() if name not in ("ResponseMetadata", "QueryId")}
    items = [
        {name: value for name, value in item.items() if name not in ("Id", "FeedbackToken")}
        for item in kept.get("ResultItems", ())
    ]
    return {**kept, "ResultItems": items}


def test_every_query_finds_something_but_the_last(client: Client, uid: str) -> None:
    totals = [client.query(IndexId=uid, **members)["TotalNumberOfResults"] for members in QUERIES]
    assert [total > 0 for total in totals] == [members.get("QueryText") != "what is it" for members in QUERIES]


def test_langchains_retriever_takes_this_client(client: Client, uid: str) -> None:
    retrievers = pytest.importorskip("langchain_aws.retrievers")
    retriever = retrievers.AmazonKendraRetriever(index_id=uid, client=client, top_k=2, min_score_confidence=0.0)
    found = retriever.invoke("how many bicycles fit on the morning ferry")
    assert found[0].metadata["document_id"] == "deck/bicycles.md"
    assert found[0].page_content.startswith(
        "Document Title: Bicycles on Brightwater ferries\nDocument Excerpt: \nEvery morning"
    )
    assert found[0].metadata["document_attributes"]["priority"] == 2
    assert found[0].metadata["score"] == "HIGH"

    sure = retrievers.AmazonKendraRetriever(index_id=uid, client=client, top_k=9, min_score_confidence=0.75)
    assert {document.metadata["score"] for document in sure.invoke("bicycles on the morning ferry")} <= {
        "HIGH",
        "VERY_HIGH",
    }

    narrowed = retrievers.AmazonKendraRetriever(
        index_id=uid,
        client=client,
        min_score_confidence=None,
        attribute_filter={"EqualsTo": {"Key": "_language_code", "Value": {"StringValue": "de"}}},
        user_context={"UserId": "mallory"},
    )
    assert [document.metadata["document_id"] for document in narrowed.invoke("bicycle ferry")] == ["fahrrad.md"]
    assert narrowed.invoke("purser consent swaps") == []
