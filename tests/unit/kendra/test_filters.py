"""AttributeFilter: what it finds, against an interpreter written from Kendra's description, and what it refuses."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kendra_corpus import BagOfStems, fill, present

from ragvec.errors import InvalidFilter
from ragvec.kendra import KENDRA, NATIVE, Client, QueryIndex, Scale, Settings
from ragvec.kendra.attributes import Schema
from ragvec.kendra.filters import compile_filter
from ragvec.store import Store

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
TYPES = {"s": "STRING_VALUE", "n": "LONG_VALUE", "d": "DATE_VALUE", "tags": "STRING_LIST_VALUE", "é-1": "STRING_VALUE"}
TEXTS = ["a", "A", "ab", "naïve", "🚲"]
NUMBERS = [-1, 0, 1, 2, 10**12, 2**53 + 1]
DATES = [0, -62_135_596_800, 86_400, 1_700_000_000, 1_700_000_000.25]
EVERYTHING_RELATED = Scale(least=-2.0, of_best=0.0, medium=0.3, high=0.5, very_high=0.7)


def random_documents(count: int) -> list[dict[str, Any]]:
    dice = random.Random(7)
    documents = []
    for n in range(count):
        document: dict[str, Any] = {
            "id": f"doc-{n:03d}",
            "title": f"Title {n}",
            "text": dice.choice(["ferry bicycle", "rota crew"]),
        }
        if dice.random() < 0.8:
            document["s"] = dice.choice(TEXTS)
        if dice.random() < 0.7:
            document["n"] = dice.choice(NUMBERS)
        if dice.random() < 0.7:
            document["d"] = dice.choice(DATES)
        if dice.random() < 0.7:
            document["tags"] = dice.sample(TEXTS, dice.randint(1, 3))
        if dice.random() < 0.5:
            document["é-1"] = dice.choice(TEXTS)
        if dice.random() < 0.5:
            document["_category"] = dice.choice(TEXTS)
        documents.append(document)
    return documents


DOCUMENTS = random_documents(60)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, str]]:
    folder: Path = tmp_path_factory.mktemp("filters")
    with Store(folder / "store") as store:
        yield store, fill(store, DOCUMENTS, types=TYPES).uid


# ---- the description of Kendra's operators, in plain Python


def plain(value: dict[str, Any]) -> Any:
    (member,) = value
    content = value[member]
    return (content - EPOCH).total_seconds() if member == "DateValue" else content


def satisfies(document: dict[str, Any], condition: dict[str, Any]) -> bool:
    return all(holds(document, operator, content) for operator, content in condition.items())


def holds(document: dict[str, Any], operator: str, content: Any) -> bool:
    if operator == "AndAllFilters":
        return all(satisfies(document, child) for child in content)
    if operator == "OrAllFilters":
        return any(satisfies(document, child) for child in content)
    if operator == "NotFilter":
        return not satisfies(document, content)
    have = document["id"] if content["Key"] == "_document_id" else document.get(content["Key"])
    want = plain(content["Value"])
    if have is None:
        return False
    if operator == "ContainsAll" or (operator == "EqualsTo" and isinstance(want, list)):
        return set(want) <= set(have)
    return {
        "EqualsTo": lambda: have == want,
        "ContainsAny": lambda: bool(set(want) & set(have)),
        "GreaterThan": lambda: have > want,
        "GreaterThanOrEquals": lambda: have >= want,
        "LessThan": lambda: have < want,
        "LessThanOrEquals": lambda: have <= want,
    }[operator]()


# ---- random filters

texts = st.sampled_from([*TEXTS, "absent"]).map(lambda text: {"StringValue": text})
lists = st.lists(st.sampled_from([*TEXTS, "absent"]), min_size=1, max_size=3).map(
    lambda all_: {"StringListValue": all_}
)
numbers = st.sampled_from([*NUMBERS, 5]).map(lambda number: {"LongValue": number})
dates = st.sampled_from([*DATES, 5]).map(lambda seconds: {"DateValue": EPOCH + timedelta(seconds=seconds)})
ordered = st.sampled_from(["EqualsTo", "GreaterThan", "GreaterThanOrEquals", "LessThan", "LessThanOrEquals"])


def condition(
    operators: st.SearchStrategy[str], keys: list[str], values: st.SearchStrategy[Any]
) -> st.SearchStrategy[Any]:
    return st.builds(
        lambda op, key, value: {op: {"Key": key, "Value": value}}, operators, st.sampled_from(keys), values
    )


leaf = st.one_of(
    condition(st.just("EqualsTo"), ["s", "é-1", "_category"], texts),
    condition(
        st.just("EqualsTo"),
        ["_document_id"],
        st.sampled_from(["doc-001", "doc-059", "nope"]).map(lambda i: {"StringValue": i}),
    ),
    condition(st.sampled_from(["ContainsAll", "ContainsAny", "EqualsTo"]), ["tags"], lists),
    condition(ordered, ["n"], numbers),
    condition(ordered, ["d"], dates),
)


def nested(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    several = st.lists(children, min_size=1, max_size=3)
    return st.one_of(
        several.map(lambda all_: {"AndAllFilters": all_}),
        several.map(lambda all_: {"OrAllFilters": all_}),
        children.map(lambda one: {"NotFilter": one}),
        st.builds(lambda one, all_: {**one, "AndAllFilters": all_}, leaf, several),
    )


@settings(max_examples=150, deadline=None)
@given(attribute_filter=st.recursive(leaf, nested, max_leaves=6), text=st.sampled_from([None, "ferry"]))
def test_query_finds_exactly_the_documents_that_satisfy_the_filter(
    filled: tuple[Store, str], attribute_filter: dict[str, Any], text: str | None
) -> None:
    store, uid = filled
    client = Client(store, embedder=BagOfStems(), settings=Settings(limits=NATIVE, scale=EVERYTHING_RELATED))
    kind = {"PageSize": 100, "QueryResultTypeFilter": "DOCUMENT"}
    response = client.query(IndexId=uid, AttributeFilter=attribute_filter, **kind, **present(QueryText=text))
    expected = {document["id"] for document in DOCUMENTS if satisfies(document, attribute_filter)}
    assert {item["DocumentId"] for item in response["ResultItems"]} == expected
    assert response["TotalNumberOfResults"] == len(expected)


def test_the_pythonic_filter_finds_the_same(filled: tuple[Store, str]) -> None:
    store, uid = filled
    index = QueryIndex(store.index_by_uid(uid), embedder=BagOfStems())
    found = index.search(where={"d": {"$gte": EPOCH + timedelta(days=1)}, "tags": "a"}, page_size=100)
    expected = {x["id"] for x in DOCUMENTS if x.get("d", 0) >= 86_400 and "a" in x.get("tags", ())}
    assert {item.document_id for item in found} == expected
    with pytest.raises(InvalidFilter, match="no attribute 'tag'"):
        index.search(where={"tag": "a"})


# ---- refusals

SCHEMA = Schema.of({**TYPES, "price": "DOUBLE", "open": "BOOLEAN"})
EQUALS_A = {"EqualsTo": {"Key": "s", "Value": {"StringValue": "a"}}}


def compiled(attribute_filter: Any) -> Any:
    return compile_filter(attribute_filter, schema=SCHEMA, limits=KENDRA)


def at(key: str, value: Any, operator: str = "EqualsTo") -> dict[str, Any]:
    return {operator: {"Key": key, "Value": value}}


def test_the_two_documented_messages() -> None:
    two = {"AndAllFilters": [EQUALS_A, {"OrAllFilters": [EQUALS_A, EQUALS_A]}]}
    compiled(two)
    for outer in ({"NotFilter": two}, {"AndAllFilters": [two]}, {"OrAllFilters": [EQUALS_A, two]}):
        with pytest.raises(InvalidFilter) as caught:
            compiled(outer)
        assert str(caught.value) == "AttributeFilter cannot have a depth of more than 2."
    compiled({"OrAllFilters": [EQUALS_A] * 10})
    with pytest.raises(InvalidFilter) as caught:
        compiled({"OrAllFilters": [EQUALS_A] * 11})
    assert str(caught.value) == "AttributeFilter cannot have a length of more than 10"


def test_the_native_limits_let_them_pass() -> None:
    deep: dict[str, Any] = {"OrAllFilters": [EQUALS_A] * 50}
    for _ in range(20):
        deep = {"NotFilter": deep}
    compile_filter(deep, schema=SCHEMA, limits=NATIVE)
    for _ in range(100_000):
        deep = {"NotFilter": deep}
    with pytest.raises(InvalidFilter, match="depth of more than 32"):
        compile_filter(deep, schema=SCHEMA, limits=NATIVE)


@pytest.mark.parametrize(
    ("attribute_filter", "message"),
    [
        (at("nope", {"StringValue": "a"}), "The index has no field 'nope' - at `AttributeFilter.EqualsTo.Key`"),
        (at("s", {"LongValue": 1}), "'s' is of type STRING_VALUE: expected StringValue, got LongValue"),
        (at("n", {"StringValue": "1"}), "'n' is of type LONG_VALUE: expected LongValue, got StringValue"),
        (at("d", {"LongValue": 1}), "'d' is of type DATE_VALUE: expected DateValue, got LongValue"),
        (at("tags", {"StringValue": "a"}), "expected StringListValue, got StringValue"),
        (at("s", {"StringListValue": ["a"]}, "ContainsAny"), "ContainsAny needs a field of type STRING_LIST_VALUE"),
        (at("s", {"StringValue": "a"}, "GreaterThan"), "GreaterThan needs a field of type LONG_VALUE or DATE_VALUE"),
        (at("s", {}), "Expected exactly one of StringValue, StringListValue, LongValue, DateValue, got nothing"),
        (
            at("s", {"StringValue": "a", "LongValue": 1}),
            "got StringValue, LongValue - at `AttributeFilter.EqualsTo.Value`",
        ),
        (at("s", {"StringValue": ""}), "Expected 1 to 2048 characters, got 0"),
        (at("s", {"StringValue": "x" * 2049}), "Expected 1 to 2048 characters, got 2049"),
        (at("tags", {"StringListValue": ["a"] * 11}), "Expected a list of 1 to 10 texts, got 11"),
        (at("tags", {"StringListValue": []}), "Expected a list of 1 to 10 texts, got 0"),
        (at("n", {"LongValue": True}), "Expected a whole number of 64 bits, got True"),
        (at("n", {"LongValue": 1.5}), "Expected a whole number of 64 bits, got 1.5"),
        (at("n", {"LongValue": 2**63}), "Expected a whole number of 64 bits, got 9223372036854775808"),
        (at("d", {"DateValue": "yesterday"}), "Expected a date in ISO 8601, got 'yesterday'"),
        (at("open", {"StringValue": "yes"}), "Expected true or false"),
        ({"Equals": EQUALS_A["EqualsTo"]}, "Unknown operator 'Equals' - at `AttributeFilter`"),
        ([], "Expected a filter object, got [] - at `AttributeFilter`"),
        ({"EqualsTo": {"Key": "s"}}, "Expected an object with Key and Value"),
        ({"AndAllFilters": EQUALS_A}, "Expected a list of filter objects"),
        ({"AndAllFilters": [7]}, "Expected a filter object, got 7 - at `AttributeFilter.AndAllFilters[0]`"),
        ({"OrAllFilters": []}, "Expected at least one filter object, got an empty list"),
        (at("_document_id", {"StringValue": "a"}, "GreaterThan"), "_document_id takes EqualsTo with StringValue only"),
        (at("_user_id", {"StringListValue": ["a"]}), "_user_id takes EqualsTo with StringValue only"),
        (at("_group_ids", {"StringValue": "a"}), "_group_ids takes EqualsTo with StringListValue only"),
        ({"NotFilter": at("_user_id", {"StringValue": "a"})}, "_user_id says who is asking and cannot be negated"),
    ],
)
def test_what_is_refused_says_where_and_why(attribute_filter: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidFilter) as caught:
        compiled(attribute_filter)
    assert message in str(caught.value)


@pytest.mark.parametrize("nothing", [{}, {"AndAllFilters": []}])
def test_an_empty_filter_restricts_nothing(filled: tuple[Store, str], nothing: Any) -> None:
    store, uid = filled
    client = Client(store, embedder=BagOfStems())
    response = client.query(IndexId=uid, AttributeFilter=nothing, Facets=[{"DocumentAttributeKey": "s"}])
    assert response["TotalNumberOfResults"] == len(DOCUMENTS)
