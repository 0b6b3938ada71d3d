"""Whatever is asked of Query and Retrieve, the response is one that the service model describes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator
from hypothesis import given, settings
from hypothesis import strategies as st

from ragvec.kendra import Client
from ragvec.store import Store

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "kendra"))
from kendra_corpus import FERRIES, TYPES, BagOfStems, fill

MODEL = botocore.session.get_session().get_service_model("kendra")
ENUMS = {
    "Type": {"ANSWER", "QUESTION_ANSWER", "DOCUMENT"},
    "Format": {"TEXT", "TABLE"},
    "ScoreConfidence": {"VERY_HIGH", "HIGH", "MEDIUM", "LOW", "NOT_AVAILABLE"},
}
TEXT_VALUES = ["Sales", "Operations", "deck", "en", "de", "no such"]
VALUES: dict[str, Any] = {
    "StringValue": st.sampled_from(TEXT_VALUES),
    "LongValue": st.integers(-(2**63), 2**63 - 1) | st.sampled_from([1, 2, 40]),
    "DateValue": st.sampled_from([datetime(2023, 11, 14, tzinfo=timezone.utc), 1_700_000_000, 0.5]),
    "StringListValue": st.lists(st.sampled_from(["bicycle", "deck", "crew"]), min_size=1, max_size=10),
}
MEMBERS = {
    "department": "StringValue",
    "priority": "LongValue",
    "reviewed": "DateValue",
    "tags": "StringListValue",
    "_category": "StringValue",
    "_view_count": "LongValue",
    "_created_at": "DateValue",
    "_language_code": "StringValue",
}
OPERATORS = {
    "StringValue": ["EqualsTo"],
    "LongValue": ["EqualsTo", "GreaterThan", "GreaterThanOrEquals", "LessThan", "LessThanOrEquals"],
    "DateValue": ["EqualsTo", "GreaterThan", "GreaterThanOrEquals", "LessThan", "LessThanOrEquals"],
    "StringListValue": ["EqualsTo", "ContainsAll", "ContainsAny"],
}
FIELDS = list(MEMBERS)
ORDERED = [name for name, member in MEMBERS.items() if member != "StringListValue"]


def among(*values: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from(values)


def mostly(good: st.SearchStrategy[Any], bad: st.SearchStrategy[Any], wrong: bool) -> st.SearchStrategy[Any]:
    """The good one, or where things may be wrong, either."""
    return good | bad if wrong else good


@st.composite
def conditions(draw: st.DrawFn, wrong: bool) -> dict[str, Any]:
    key = draw(st.sampled_from(FIELDS))
    member = MEMBERS[key]
    operator = draw(st.sampled_from(OPERATORS[member]))
    if wrong:
        key = draw(among(key, key, "nope", "_document_id"))
        operator = draw(among(operator, operator, "ContainsAll", "GreaterThan"))
        member = draw(among(member, member, *VALUES))
    return {operator: {"Key": key, "Value": {member: draw(VALUES[member])}}}


def filters(wrong: bool) -> st.SearchStrategy[Any]:
    level: st.SearchStrategy[Any] = conditions(wrong)
    for _ in range(3 if wrong else 2):
        some = st.lists(level, min_size=0 if wrong else 1, max_size=11 if wrong else 3)
        level = st.one_of(
            level,
            st.builds(lambda each: {"AndAllFilters": each}, some),
            st.builds(lambda each: {"OrAllFilters": each}, some),
            st.builds(lambda each: {"NotFilter": each}, level),
        )
    return level


def orders(wrong: bool) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries(
        {
            "DocumentAttributeKey": mostly(st.sampled_from(ORDERED), among("tags", "nope"), wrong),
            "SortOrder": mostly(among("ASC", "DESC"), among("UP"), wrong),
        }
    )


def facets(wrong: bool) -> st.SearchStrategy[Any]:
    key = {"DocumentAttributeKey": mostly(st.sampled_from(FIELDS), among("nope"), wrong)}
    return st.lists(
        st.fixed_dictionaries(
            key,
            optional={
                "MaxResults": st.integers(0, 5001 if wrong else 5000),
                "Facets": st.lists(st.fixed_dictionaries(key), max_size=2 if wrong else 1),
            },
        ),
        max_size=3,
    )


@st.composite
def overrides(draw: st.DrawFn, wrong: bool) -> dict[str, Any]:
    name = draw(mostly(st.sampled_from(FIELDS), among("nope"), wrong))
    member = MEMBERS.get(name, "StringValue")
    optional: dict[str, Any] = {"Importance": st.integers(1, 11 if wrong else 10)}
    if wrong or member == "DateValue":
        optional |= {"Freshness": st.booleans(), "Duration": mostly(among("86400s"), among("5", "0s"), wrong)}
    if wrong or member in ("DateValue", "LongValue"):
        optional["RankOrder"] = among("ASCENDING", "DESCENDING")
    if wrong or member == "StringValue":
        optional["ValueImportanceMap"] = st.dictionaries(st.sampled_from(TEXT_VALUES), st.integers(1, 10))
    return {"Name": name, "Relevance": draw(st.fixed_dictionaries({}, optional=optional))}


def contexts(wrong: bool) -> st.SearchStrategy[Any]:
    optional: dict[str, Any] = {
        "UserId": mostly(among("purser", "mallory"), among("x" * 201), wrong),
        "Groups": st.lists(among("crew", "guests"), min_size=1, max_size=2),
        "DataSourceGroups": st.just([{"GroupId": "crew", "DataSourceId": "source-1"}]),
    }
    return st.fixed_dictionaries({}, optional=optional | ({"Token": st.just("token")} if wrong else {}))


TEXTS = among(
    "bicycle ferry",
    "How many bicycles fit on the morning ferry?",
    "Must I reserve a space?",
    "featured ferry",
    "mornng ferri",
    "boat",
    "(ferry AND bicycle) NOT crew",
    'department:Sales "day pass"',
    "ferry OR",
    "priority:[1 TO 2] cycl*",
    "what is it",
    "🚲 Fahrräder",
    " ",
) | st.text(max_size=60)


def shared(wrong: bool) -> dict[str, Any]:
    """The members of Query and Retrieve; where they may be `wrong`, some are for the service to refuse."""
    return {
        "AttributeFilter": filters(wrong),
        "RequestedDocumentAttributes": st.lists(among(*FIELDS, "nope"), min_size=1, max_size=4),
        "DocumentRelevanceOverrideConfigurations": st.lists(
            overrides(wrong), max_size=2, unique_by=None if wrong else lambda each: each["Name"]
        ),
        "PageNumber": st.integers(0 if wrong else 1, 4),
        "PageSize": st.integers(0 if wrong else 1, 101),
        "UserContext": contexts(wrong),
    }


def queries(wrong: bool) -> st.SearchStrategy[Any]:
    sizes = {"MaxResultItemsToExpand": st.integers(0, 3), "MaxExpandedResultsPerItem": st.integers(0, 3)}
    collapse = st.fixed_dictionaries(
        {"DocumentAttributeKey": mostly(st.sampled_from(ORDERED), among("tags"), wrong)},
        optional={
            "SortingConfigurations": st.lists(orders(wrong), min_size=1, max_size=2),
            "MissingAttributeKeyStrategy": among("COLLAPSE", "IGNORE", "EXPAND"),
            "Expand": st.booleans(),
            "ExpandConfiguration": st.fixed_dictionaries({}, optional=sizes),
        },
    )
    optional = {
        **shared(wrong),
        "Facets": facets(wrong),
        "QueryResultTypeFilter": mostly(among("DOCUMENT", "QUESTION_ANSWER", "ANSWER"), among("TABLE"), wrong),
        "SortingConfigurations": st.lists(orders(wrong), min_size=1, max_size=4 if wrong else 3),
        "VisitorId": mostly(among("visitor-1"), among("v!"), wrong),
        "SpellCorrectionConfiguration": st.builds(lambda on: {"IncludeQuerySpellCheckSuggestions": on}, st.booleans()),
        "CollapseConfiguration": collapse,
    }
    if wrong:
        return st.fixed_dictionaries(
            {}, optional=optional | {"SortingConfiguration": orders(wrong), "QueryText": TEXTS}
        )
    browse = st.fixed_dictionaries(
        {"Facets": optional["Facets"].filter(bool)},
        optional={name: member for name, member in optional.items() if name != "Facets"},
    )
    return st.fixed_dictionaries({"QueryText": TEXTS.filter(str.strip)}, optional=optional) | browse


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Client, str]]:
    """A client, and an index with every kind of thing in it."""
    folder = tmp_path_factory.mktemp("responses")
    (folder / "files").mkdir()
    (folder / "files" / "words.txt").write_text("ferry, boat\nbicycle => bike\n")
    (folder / "files" / "faq.csv").write_text('"Must I reserve a space?","No. First come, first served.",\n')
    with Store(folder / "store") as store:
        uid = fill(store, FERRIES, types=TYPES).uid
        client = Client(store, embedder=BagOfStems(), folders={"files": folder / "files"})
        client.create_featured_results_set(
            IndexId=uid,
            FeaturedResultsSetName="set",
            QueryTexts=["featured ferry"],
            FeaturedDocuments=[{"Id": "fares.md"}, {"Id": "gone"}],
        )
        place = {"IndexId": uid, "RoleArn": "arn:aws:iam::1:role/x"}
        client.create_thesaurus(**place, Name="words", SourceS3Path={"Bucket": "files", "Key": "words.txt"})
        client.create_faq(**place, Name="faq", S3Path={"Bucket": "files", "Key": "faq.csv"})
        yield client, uid


def complaints(response: dict[str, Any], operation: str) -> list[str]:
    shape = MODEL.operation_model(operation).output_shape
    report = ParamValidator().validate(response, shape).generate_report()
    # The service itself sends empty titles and URIs, which its model does not allow for.
    found = [line for line in report.splitlines() if not ("length" in line and ("URI," in line or "Title" in line))]
    return [line for line in found if "Excerpt.Text" not in line] + wrong_values(response)


def wrong_values(value: Any) -> list[str]:
    """Values that an enumeration of the model does not have: botocore does not look at them."""
    if isinstance(value, dict):
        wrong = [
            f"{name}: {each}"
            for name, each in value.items()
            if name in ENUMS and isinstance(each, str) and each not in ENUMS[name] | {"STANDARD", "THESAURUS_SYNONYM"}
        ]
        return wrong + [problem for each in value.values() for problem in wrong_values(each)]
    return [problem for each in value for problem in wrong_values(each)] if isinstance(value, list) else []


def check_places(value: Any) -> None:
    """Every highlight lies in its text and is not empty."""
    if isinstance(value, dict):
        for mark in value.get("Highlights", ()):
            assert 0 <= mark["BeginOffset"] < mark["EndOffset"] <= len(value["Text"])
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        check_places(each)


def call(client: Client, operation: str, method: str, members: dict[str, Any]) -> dict[str, Any] | None:
    """The response, checked; None where the request is refused as it should be."""
    model = MODEL.operation_model(operation)
    assert not ParamValidator().validate(members, model.input_shape).has_errors()
    try:
        response: dict[str, Any] = getattr(client, method)(**members)
    except client.exceptions.ValidationException:
        return None
    response.pop("ResponseMetadata")
    assert complaints(response, operation) == []
    check_places(response)
    items = response["ResultItems"] + response.get("FeaturedResultsItems", [])
    assert len({item["Id"] for item in items}) == len(items)
    return response


@settings(max_examples=400, deadline=None)
@given(members=queries(wrong=False))
def test_a_query_that_is_as_it_should_be_is_answered(target: tuple[Client, str], members: dict[str, Any]) -> None:
    client, uid = target
    response = call(client, "Query", "query", {"IndexId": uid, **members})
    assert response is not None
    types = [item["Type"] for item in response["ResultItems"]]
    assert types == sorted(types, key=["ANSWER", "QUESTION_ANSWER", "DOCUMENT"].index)
    assert len(types) <= min(members.get("PageSize", 10), 100)
    assert response["TotalNumberOfResults"] >= len(types)
    wanted = members.get("QueryResultTypeFilter")
    assert wanted is None or set(types) <= {wanted}
    assert len(response["FacetResults"]) == len(members.get("Facets", []))


@settings(max_examples=150, deadline=None)
@given(members=st.fixed_dictionaries({"QueryText": TEXTS.filter(str.strip)}, optional=shared(wrong=False)))
def test_so_is_a_retrieve(target: tuple[Client, str], members: dict[str, Any]) -> None:
    client, uid = target
    assert call(client, "Retrieve", "retrieve", {"IndexId": uid, **members}) is not None


@settings(max_examples=300, deadline=None)
@given(members=queries(wrong=True))
def test_others_are_answered_or_refused(target: tuple[Client, str], members: dict[str, Any]) -> None:
    client, uid = target
    call(client, "Query", "query", {"IndexId": uid, **members})


def test_each_kind_of_thing_is_found(target: tuple[Client, str]) -> None:
    client, uid = target
    row = client.query(IndexId=uid, QueryText="Must I reserve a space?")["ResultItems"]
    assert "QUESTION_ANSWER" in {item["Type"] for item in row}
    featured = client.query(IndexId=uid, QueryText=" Featured  FERRY")
    assert [item["DocumentId"] for item in featured["FeaturedResultsItems"]] == ["fares.md"]
    assert "fares.md" not in {item["DocumentId"] for item in featured["ResultItems"] if item["Type"] == "DOCUMENT"}
    kinds = {
        mark["Type"]
        for item in client.query(IndexId=uid, QueryText="boat bicycle")["ResultItems"]
        for mark in item["DocumentExcerpt"]["Highlights"]
    }
    assert kinds == {"STANDARD", "THESAURUS_SYNONYM"}
