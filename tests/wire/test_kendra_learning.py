"""Operations that learn from queries, as AWS's own service model has them: requests and responses as boto3's."""

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
from ragvec.kendra.operations.learning import LEARNING
from ragvec.store import Store

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "kendra"))
from kendra_corpus import FERRIES, TYPES, BagOfStems, fill

MODEL = botocore.session.get_session().get_service_model("kendra")
MONTH_AGO = {"Interval": "ONE_MONTH_AGO"}


class Wire:
    """Calls a client with what boto3 would send, and holds requests and responses against the model."""

    def __init__(self, client: Client, uid: str) -> None:
        self.client, self.uid = client, uid
        self.called: set[str] = set()

    def __call__(self, method: str, **members: Any) -> dict[str, Any]:
        operation = LEARNING.get(method, "Query")
        self.called.add(operation)
        model = MODEL.operation_model(operation)
        given = {"IndexId": self.uid, **members}
        assert _complaints(given, model.input_shape) == []
        sent = create_serializer("json").serialize_to_request(given, model)
        response: dict[str, Any] = getattr(self.client, method)(**json.loads(sent["body"]))
        response.pop("ResponseMetadata")
        if model.output_shape is None:
            assert response == {}
            return response
        assert _complaints(response, model.output_shape) == [], operation
        http = {"body": json.dumps(response, default=_as_json).encode(), "status_code": 200, "headers": {}}
        parsed = create_parser("json").parse(http, model.output_shape)
        parsed.pop("ResponseMetadata")
        assert parsed == response, operation
        return response

    def refused(self, method: str, **members: Any) -> str:
        """The code of the error, which the model lists for this operation."""
        with pytest.raises(self.client.exceptions.ClientError) as caught:
            getattr(self.client, method)(**{"IndexId": self.uid, **members})
        code: str = caught.value.response["Error"]["Code"]
        assert code in {shape.name for shape in MODEL.operation_model(LEARNING[method]).error_shapes}
        return code


def _complaints(value: Any, shape: Any) -> list[str]:
    report: str = ParamValidator().validate(value, shape).generate_report()
    # The service itself sends "" for titles and URIs that are not known.
    return [line for line in report.splitlines() if ".DocumentURI," not in line and ".Text," not in line]


def _as_json(value: Any) -> Any:
    return value.timestamp() if isinstance(value, datetime) else str(value)


@pytest.fixture
def wire(tmp_path: Path) -> Iterator[Wire]:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "words.txt").write_text("bike, bicycle\n", encoding="utf-8")
    with Store(tmp_path / "store") as store:
        index = fill(store, FERRIES, types=TYPES)
        yield Wire(Client(store, embedder=BagOfStems(), folders={"files": tmp_path / "files"}), index.uid)


SOURCE = {"SourceS3Path": {"Bucket": "files", "Key": "words.txt"}, "RoleArn": "arn:aws:iam::000000000000:role/any"}


def test_a_session_with_every_operation(wire: Wire) -> None:
    thesaurus = wire("create_thesaurus", Name="synonyms", ClientToken="t", **SOURCE)["Id"]
    wire("update_thesaurus", Id=thesaurus, Description="words of the crew", **SOURCE)
    assert wire("describe_thesaurus", Id=thesaurus)["SynonymRuleCount"] == 1
    assert len(wire("list_thesauri", MaxResults=1)["ThesaurusSummaryItems"]) == 1

    featured = wire(
        "create_featured_results_set",
        FeaturedResultsSetName="Bikes for all",
        QueryTexts=["Bicycle racks"],
        FeaturedDocuments=[{"Id": "fares.md"}, {"Id": "gone.md"}],
        Status="ACTIVE",
        Tags=[{"Key": "a", "Value": "b"}],
    )["FeaturedResultsSet"]["FeaturedResultsSetId"]
    wire("update_featured_results_set", FeaturedResultsSetId=featured, Description="for the summer")
    assert wire("describe_featured_results_set", FeaturedResultsSetId=featured)["FeaturedDocumentsMissing"]
    wire("list_featured_results_sets")

    found = wire("query", QueryText="bicycle racks", VisitorId="v-1", UserContext={"UserId": "ana"})
    assert [item["DocumentId"] for item in found["FeaturedResultsItems"]] == ["fares.md"]
    shown = found["ResultItems"] + found["FeaturedResultsItems"]
    wire(
        "submit_feedback",
        QueryId=found["QueryId"],
        ClickFeedbackItems=[
            {"ResultId": item["Id"], "ClickTime": datetime(2024, 5, 1, tzinfo=timezone.utc)} for item in shown
        ],
        RelevanceFeedbackItems=[{"ResultId": shown[0]["Id"], "RelevanceValue": "NOT_RELEVANT"}],
    )

    assert wire("get_query_suggestions", QueryText="bicycle", MaxSuggestionsCount=3)["Suggestions"]
    block_list = wire("create_query_suggestions_block_list", Name="words", **SOURCE)["Id"]
    wire("update_query_suggestions_block_list", Id=block_list, Name="more-words")
    assert wire("describe_query_suggestions_block_list", Id=block_list)["ItemCount"] == 1
    wire("list_query_suggestions_block_lists")
    wire("delete_query_suggestions_block_list", Id=block_list)
    wire(
        "update_query_suggestions_config",
        Mode="ENABLED",
        QueryLogLookBackWindowInDays=30,
        IncludeQueriesWithoutUserInformation=True,
        MinimumNumberOfQueryingUsers=1,
        MinimumQueryCount=1,
        AttributeSuggestionsConfig={
            "SuggestableConfigList": [{"AttributeName": "department", "Suggestable": True}],
            "AttributeSuggestionsMode": "ACTIVE",
        },
    )
    values = wire(
        "get_query_suggestions",
        QueryText="op",
        SuggestionTypes=["DOCUMENT_ATTRIBUTES"],
        AttributeSuggestionsConfig={
            "SuggestionAttributes": ["department"],
            "AdditionalResponseAttributes": ["priority", "reviewed", "tags"],
            "UserContext": {"UserId": "ana"},
        },
    )["Suggestions"]
    assert [each["SourceDocuments"][0]["DocumentId"] for each in values] == ["deck/bicycles.md"]
    wire("clear_query_suggestions")
    assert "LastClearTime" in wire("describe_query_suggestions_config")

    for metric in ("QUERIES_BY_COUNT", "AGG_QUERY_DOC_METRICS", "TREND_QUERY_DOC_METRICS", "DOCS_BY_CLICK_COUNT"):
        wire("get_snapshots", MetricType=metric, **MONTH_AGO)
    wire("delete_thesaurus", Id=thesaurus)
    assert len(wire("batch_delete_featured_results_set", FeaturedResultsSetIds=[featured, "0" * 36])["Errors"]) == 1

    assert wire.called - {"Query"} == set(LEARNING.values())


def test_errors_are_those_that_the_model_lists(wire: Wire) -> None:
    nothing = "0" * 36
    wire("create_featured_results_set", FeaturedResultsSetName="One", QueryTexts=["bike"])
    other = {"FeaturedResultsSetName": "Two", "QueryTexts": ["Bike"]}
    assert wire.refused("create_featured_results_set", **other) == "FeaturedResultsConflictException"
    unknown = {"FeaturedResultsSetId": nothing}
    assert wire.refused("describe_featured_results_set", **unknown) == "ResourceNotFoundException"
    wire("create_thesaurus", Name="one", **SOURCE)
    assert wire.refused("create_thesaurus", Name="two", **SOURCE) == "ServiceQuotaExceededException"
    assert wire.refused("delete_thesaurus", Id="none") == "ResourceNotFoundException"
    missing = {**SOURCE, "SourceS3Path": {"Bucket": "files", "Key": "none.txt"}}
    assert wire.refused("create_query_suggestions_block_list", Name="a", **missing) == "ValidationException"
    said = [{"ResultId": "x", "RelevanceValue": "RELEVANT"}]
    refused = wire.refused("submit_feedback", QueryId=nothing, RelevanceFeedbackItems=said)
    assert refused == "ResourceUnavailableException"
    assert wire.refused("get_snapshots", MetricType="NONE", **MONTH_AGO) == "InvalidRequestException"
    assert wire.refused("get_query_suggestions", QueryText="a\nb") == "ValidationException"


def test_boto3_hands_over_the_conflicting_items(wire: Wire) -> None:
    made = wire("create_featured_results_set", FeaturedResultsSetName="One", QueryTexts=["bike"])
    with pytest.raises(wire.client.exceptions.FeaturedResultsConflictException) as caught:
        wire.client.create_featured_results_set(IndexId=wire.uid, FeaturedResultsSetName="Two", QueryTexts=["bike"])
    shape = MODEL.shape_for("FeaturedResultsConflictException")
    items = caught.value.response["ConflictingItems"]
    assert _complaints({"ConflictingItems": items}, shape) == []
    assert items[0]["SetId"] == made["FeaturedResultsSet"]["FeaturedResultsSetId"]
