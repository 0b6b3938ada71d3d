"""Documents enriched as they are put."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kendra_corpus import BagOfStems

from ragvec.errors import InvalidRequest
from ragvec.kendra import KENDRA, Client
from ragvec.kendra.attributes import Schema
from ragvec.kendra.enrich import enriched, read_enrichment
from ragvec.store import Store

SCHEMA = Schema.of({"line": "STRING_VALUE", "year": "LONG_VALUE", "tags": "STRING_LIST_VALUE"}, strict=True)


def rules(*inline: dict[str, Any]) -> Any:
    members = {"CustomDocumentEnrichmentConfiguration": {"InlineConfigurations": list(inline)}}
    return read_enrichment(members, schema=SCHEMA, limits=KENDRA)


def when(key: str, operator: str, **value: Any) -> dict[str, Any]:
    condition: dict[str, Any] = {"ConditionDocumentAttributeKey": key, "Operator": operator}
    return {"Condition": {**condition, "ConditionOnValue": value} if value else condition}


def set_to(key: str, **value: Any) -> dict[str, Any]:
    return {"Target": {"TargetDocumentAttributeKey": key, "TargetDocumentAttributeValue": value}}


def remove(key: str) -> dict[str, Any]:
    return {"Target": {"TargetDocumentAttributeKey": key, "TargetDocumentAttributeValueDeletion": True}}


MOMENT = datetime(2024, 1, 2, tzinfo=timezone.utc)
MARK = set_to("_category", StringValue="hit")
NUMBERS: dict[str, Callable[[int, int], bool]] = {
    "GreaterThan": lambda a, b: a > b, "GreaterThanOrEquals": lambda a, b: a >= b, "LessThan": lambda a, b: a < b,
    "LessThanOrEquals": lambda a, b: a <= b, "Equals": lambda a, b: a == b, "NotEquals": lambda a, b: a != b,
}  # fmt: skip
TEXTS: dict[str, Callable[[str, str], bool]] = {
    "Contains": lambda a, b: b in a, "NotContains": lambda a, b: b not in a, "BeginsWith": lambda a, b: a.startswith(b),
    "Equals": lambda a, b: a == b, "NotEquals": lambda a, b: a != b,
}  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_conditions_hold_as_python_says(data: Any) -> None:
    number, other = data.draw(st.integers(-3, 3) | st.none()), data.draw(st.integers(-3, 3))
    text, part = data.draw(st.text("ab", max_size=3) | st.none()), data.draw(st.text("ab", min_size=1, max_size=2))
    tags = data.draw(st.lists(st.sampled_from(["a", "b", "c"]), max_size=3) | st.none())
    stored = {
        name: value for name, value in (("year", number), ("line", text), ("tags", tags)) if value is not None
    }  # fmt: skip

    def hit(*rule: dict[str, Any]) -> bool:
        merged = {name: value for each in rule for name, value in each.items()}
        return "_category" in enriched(rules({**merged, **MARK}), stored).stored

    for operator, holds in NUMBERS.items():
        expected = operator == "NotEquals" if number is None else holds(number, other)
        assert hit(when("year", operator, LongValue=other)) == expected
    for operator, holds_for in TEXTS.items():
        expected = operator.startswith("Not") if text is None else holds_for(text, part)
        assert hit(when("line", operator, StringValue=part)) == expected
    assert hit(when("tags", "Contains", StringListValue=["a", "b"])) == (tags is not None and {"a", "b"} <= set(tags))
    assert hit(when("tags", "Contains", StringValue="c")) == (tags is not None and "c" in tags)
    assert hit(when("tags", "NotContains", StringValue="c")) == (tags is None or "c" not in tags)
    assert hit(when("line", "Exists")) == (text is not None)
    assert hit(when("line", "NotExists")) == (text is None)
    assert hit()


def test_rules_act_in_their_order_on_what_is_left() -> None:
    chain = rules(
        {**when("line", "Equals", StringValue="N"), **set_to("line", StringValue="North")},
        {**when("line", "Equals", StringValue="North"), **set_to("year", LongValue=7)},
        {**when("year", "Exists"), **remove("tags")},
        {**when("tags", "NotExists"), "DocumentContentDeletion": True},
    )
    before = {"line": "N", "tags": ["a"]}
    after = enriched(chain, before)
    assert (after.stored, after.content) == ({"line": "North", "year": 7}, False)
    assert before == {"line": "N", "tags": ["a"]}
    after = enriched(chain, {"line": "S", "tags": ["a"]})
    assert (after.stored, after.content) == ({"line": "S", "tags": ["a"]}, True)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({}, "Expected a Target or DocumentContentDeletion, got neither"),
        ({**when("city", "Exists"), **MARK}, "The index has no field 'city'"),
        ({**when("line", "Is", StringValue="x"), **MARK}, "Expected one of GreaterThan"),
        ({**when("line", "GreaterThan", StringValue="x"), **MARK}, "GreaterThan is not for the field 'line'"),
        ({**when("year", "BeginsWith", LongValue=1), **MARK}, "BeginsWith is not for the field 'year'"),
        ({**when("year", "Equals", StringValue="1"), **MARK}, "expected LongValue, got StringValue"),
        ({**when("year", "Equals"), **MARK}, "Expected a value, got nothing"),
        (set_to("_file_type", StringValue="PDF"), "The attribute '_file_type' cannot be set"),
        ({"Target": {"TargetDocumentAttributeKey": "line"}}, "got neither - at"),
        ({"Target": {**MARK["Target"], "TargetDocumentAttributeValueDeletion": True}}, "got both - at"),
    ],
)
def test_rules_that_are_refused(rule: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        rules(rule)
    assert message in str(caught.value)


def test_more_rules_than_a_hundred_and_hooks_are_refused() -> None:
    assert len(rules(*[MARK] * 100)) == 100
    with pytest.raises(InvalidRequest, match="0 to 100 entries, got 101"):
        rules(*[MARK] * 101)
    hook = {"PreExtractionHookConfiguration": {"LambdaArn": "arn", "S3Bucket": "own"}}
    with pytest.raises(InvalidRequest, match="PreExtractionHookConfiguration is not supported"):
        read_enrichment({"CustomDocumentEnrichmentConfiguration": hook}, schema=SCHEMA, limits=KENDRA)


def test_documents_are_put_as_they_were_enriched(store: Store) -> None:
    client = Client(store, embedder=BagOfStems())
    uid = client.create_index(Name="ferries", RoleArn="")["Id"]
    shown = [
        {"Name": name, "Type": kind, "Search": {"Displayable": True}}
        for name, kind in (("_category", "STRING_VALUE"), ("_created_at", "DATE_VALUE"))
    ]
    client.update_index(Id=uid, DocumentMetadataConfigurationUpdates=shown)
    inline = [
        {**when("_file_type", "Equals", StringValue="MD"), **set_to("_category", StringValue="notes")},
        {
            **when("_category", "NotExists"),
            **set_to("_created_at", DateValue=MOMENT),
        },
        {**when("_document_title", "BeginsWith", StringValue="Secret"), "DocumentContentDeletion": True},
        {**when("_document_title", "Equals", StringValue="Draft"), **set_to("_document_title", StringValue="Final")},
    ]
    failed = client.batch_put_document(
        IndexId=uid,
        Documents=[
            {"Id": "notes", "Blob": "# Ferry\n\nThe ferry sails.", "ContentType": "MD"},
            {"Id": "draft", "Blob": b"The ferry sails.", "Title": "Draft"},
            {"Id": "secret", "Blob": b"The ferry is leaking.", "Title": "Secret of the ferry"},
        ],
        CustomDocumentEnrichmentConfiguration={"InlineConfigurations": inline},
    )["FailedDocuments"]
    assert failed == []
    found = client.query(
        IndexId=uid, QueryText="ferry", QueryResultTypeFilter="DOCUMENT",
        RequestedDocumentAttributes=["_category", "_created_at"],
    )["ResultItems"]  # fmt: skip
    items = {item["DocumentId"]: item for item in found}
    assert set(items) == {"notes", "draft", "secret"}
    assert [each["Key"] for each in items["notes"]["DocumentAttributes"]] == ["_category"]
    assert [each["Key"] for each in items["draft"]["DocumentAttributes"]] == ["_created_at"]
    assert items["draft"]["DocumentTitle"]["Text"] == "Final"
    assert items["secret"]["DocumentExcerpt"]["Text"] == "Secret of the ferry"
