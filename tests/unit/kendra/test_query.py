"""Query: what is found, its order, pages, totals, facets and sorting, against plain Python over the same documents."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kendra_corpus import BagOfStems, fill, present

from ragvec.api.exceptions import ClientError
from ragvec.errors import InvalidRequest
from ragvec.kendra import NATIVE, Client, QueryIndex, Scale, Settings
from ragvec.kendra.model.check import ParamValidationError
from ragvec.store import Index, Store

WORDS = ["ferry", "bicycle", "deck", "rota", "fares", "crew", "rail", "pass", "noon", "cargo"]
TYPES = {
    "team": "STRING_VALUE",
    "rank": "LONG_VALUE",
    "due": "DATE_VALUE",
    "tags": "STRING_LIST_VALUE",
    "ok": "BOOLEAN",
}
TEAMS = ["A", "B", "a", "é"]


REFUSED = (ClientError, ParamValidationError)
"""What a request in bad shape is refused with, and one in good shape that asks for what cannot be."""


def random_documents(count: int) -> list[dict[str, Any]]:
    dice = random.Random(3)
    documents = []
    for n in range(count):
        paragraphs = [" ".join(dice.choices(WORDS, k=6)) + "." for _ in range(dice.randint(1, 4))]
        document: dict[str, Any] = {"id": f"{n:03d}", "title": dice.choice(WORDS), "text": "\n\n".join(paragraphs)}
        for name, value in (
            ("team", dice.choice(TEAMS)),
            ("rank", dice.randint(-2, 3)),
            ("due", dice.choice([0, 86_400, 10**9])),
            ("tags", dice.sample(WORDS, 2)),
            ("ok", dice.random() < 0.5),
        ):
            if dice.random() < 0.8:
                document[name] = value
        documents.append(document)
    return documents


DOCUMENTS = random_documents(130)
BY_ID = {document["id"]: document for document in DOCUMENTS}


def scores(text: str) -> dict[str, float]:
    """Every document's best similarity, computed from its paragraphs."""
    embedder = BagOfStems()
    query = embedder.embed_query(text)
    return {
        x["id"]: max(float(embedder.embed_query(f"{x['title']} {part}") @ query) for part in x["text"].split("\n\n"))
        for x in DOCUMENTS
    }


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    folder: Path = tmp_path_factory.mktemp("query")
    with Store(folder / "store") as store:
        yield fill(store, DOCUMENTS, types=TYPES)


@pytest.fixture
def client(filled: Index) -> Client:
    return Client(filled.bucket.store, embedder=BagOfStems())


def ids(response: dict[str, Any]) -> list[str]:
    return [item["DocumentId"] for item in response["ResultItems"] if item["Type"] == "DOCUMENT"]


def kinds(response: dict[str, Any]) -> list[tuple[str, str]]:
    return [(item["Type"], item["DocumentId"]) for item in response["ResultItems"]]


# ---- finding


@pytest.mark.parametrize("text", ["ferry bicycle", "crew rota deck", "noon"])
def test_found_is_what_lies_above_the_floor_best_first(filled: Index, text: str) -> None:
    scale = Scale(least=0.3, of_best=0.5, medium=0.5, high=0.6, very_high=0.7)
    results = QueryIndex(filled, embedder=BagOfStems(), settings=Settings(limits=NATIVE, scale=scale)).search(
        text, page_size=200
    )
    expected = scores(text)
    floor = max(0.3, 0.5 * max(expected.values()))
    clear = {name for name, score in expected.items() if score >= floor + 1e-5}
    unclear = {name for name, score in expected.items() if abs(score - floor) < 1e-5}
    found = [item.document_id for item in results]
    assert clear <= set(found) <= clear | unclear
    assert len(found) == len(set(found)) == results.total
    assert np.allclose([item.score for item in results], [expected[name] for name in found], atol=1e-5)
    assert [item.score for item in results] == sorted((item.score for item in results), reverse=True)
    assert all(item.confidence == scale.confidence(item.score) for item in results)


def test_only_the_nearest_passages_count(filled: Index) -> None:
    index = QueryIndex(filled, embedder=BagOfStems(), settings=Settings(depth=5))
    assert 1 <= index.search("ferry").total <= 5


@pytest.mark.parametrize("text", ["what is it", "???"])
def test_a_text_that_means_nothing_to_the_embedder_finds_nothing(client: Client, filled: Index, text: str) -> None:
    response = client.query(IndexId=filled.uid, QueryText=text, Facets=[{"DocumentAttributeKey": "team"}])
    assert (response["ResultItems"], response["TotalNumberOfResults"]) == ([], 0)
    assert response["FacetResults"][0]["DocumentAttributeValueCountPairs"] == []


def test_the_excerpt_is_of_the_best_passage(client: Client, filled: Index) -> None:
    text = "bicycle cargo rail"
    for item in client.query(IndexId=filled.uid, QueryText=text, QueryResultTypeFilter="DOCUMENT")["ResultItems"]:
        document = BY_ID[item["DocumentId"]]
        embedder = BagOfStems()
        best = max(
            document["text"].split("\n\n"),
            key=lambda part: float(embedder.embed_query(f"{document['title']} {part}") @ embedder.embed_query(text)),
        )
        assert item["DocumentExcerpt"]["Text"].removeprefix("...").removesuffix("...") == best


# ---- pages


@pytest.mark.parametrize("size", [1, 7, 10, 100])
@pytest.mark.parametrize("text", ["ferry bicycle", None])
def test_pages_hold_everything_reachable_once(client: Client, filled: Index, size: int, text: str | None) -> None:
    members = present(IndexId=filled.uid, QueryText=text, Facets=[{"DocumentAttributeKey": "team"}])
    total = client.query(**members)["TotalNumberOfResults"]
    seen: list[tuple[str, str]] = []
    page = 0
    while True:
        page += 1
        response = client.query(**members, PageNumber=page, PageSize=size)
        assert response["TotalNumberOfResults"] == total
        if not response["ResultItems"]:
            break
        seen += kinds(response)
    assert len(seen) == len(set(seen)) == min(total, 100)
    assert seen == kinds(client.query(**members, PageSize=100))
    assert page == -(-min(total, 100) // size) + 1


def test_at_most_a_hundred_unless_the_setting_lifts_it(client: Client, filled: Index) -> None:
    browse = {"IndexId": filled.uid, "Facets": [{"DocumentAttributeKey": "team"}], "PageSize": 1000}
    response = client.query(**browse)
    assert (len(response["ResultItems"]), response["TotalNumberOfResults"]) == (100, 130)
    lifted = Client(filled.bucket.store, embedder=BagOfStems(), settings=Settings(limits=NATIVE))
    assert len(lifted.query(**browse)["ResultItems"]) == 130
    results = QueryIndex(filled).search(page=13)
    assert (results.pages, results.page, len(results)) == (13, 13, 10)
    assert [item.document_id for item in results] == sorted(BY_ID)[120:]


@pytest.mark.parametrize("member", ["PageNumber", "PageSize"])
@pytest.mark.parametrize("value", [0, -1, True])
def test_pages_count_from_one(client: Client, filled: Index, member: str, value: Any) -> None:
    with pytest.raises(client.exceptions.ValidationException, match=rf"at least 1, got {value!r} - at `{member}`"):
        client.query(IndexId=filled.uid, QueryText="ferry", **{member: value})


# ---- facets

FIELDS = ["team", "rank", "due", "tags", "ok"]


def values_of(document: dict[str, Any], name: str) -> set[Any]:
    value = document.get(name)
    return set() if value is None else set(value) if isinstance(value, list) else {value}


def counted(documents: list[dict[str, Any]], name: str, most: int | None) -> list[tuple[Any, int]]:
    counts = Counter(value for document in documents for value in values_of(document, name))
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:most]


def shown(pair: dict[str, Any]) -> Any:
    ((member, value),) = pair["DocumentAttributeValue"].items()
    if member == "DateValue":
        return value.timestamp()
    return {"true": True, "false": False}.get(value, value) if member == "StringValue" else value


@settings(max_examples=40, deadline=None)
@given(
    name=st.sampled_from(FIELDS),
    inner=st.none() | st.sampled_from(FIELDS),
    most=st.none() | st.integers(0, 12),
    text=st.sampled_from([None, "ferry deck", "crew"]),
    team=st.none() | st.sampled_from(TEAMS),
)
def test_facets_count_every_document_found(
    filled: Index, name: str, inner: str | None, most: int | None, text: str | None, team: str | None
) -> None:
    client = Client(filled.bucket.store, embedder=BagOfStems())
    facet = present(DocumentAttributeKey=name, MaxResults=most)
    if inner:
        facet["Facets"] = [{"DocumentAttributeKey": inner}]
    condition = {"EqualsTo": {"Key": "team", "Value": {"StringValue": team}}} if team else None
    members = present(IndexId=filled.uid, QueryText=text, AttributeFilter=condition)
    (result,) = client.query(**members, Facets=[facet], PageSize=3)["FacetResults"]
    lifted = Client(filled.bucket.store, embedder=BagOfStems(), settings=Settings(limits=NATIVE))
    documents = [BY_ID[i] for i in ids(lifted.query(**members, Facets=[facet], PageSize=1000))]
    pairs = result["DocumentAttributeValueCountPairs"]
    assert [(shown(pair), pair["Count"]) for pair in pairs] == counted(documents, name, 10 if most is None else most)
    for pair in pairs:
        if not inner:
            assert "FacetResults" not in pair
            continue
        having = [document for document in documents if shown(pair) in values_of(document, name)]
        (nested,) = pair["FacetResults"]
        assert nested["DocumentAttributeKey"] == inner
        expected = counted(having, inner, 10)
        assert [(shown(p), p["Count"]) for p in nested["DocumentAttributeValueCountPairs"]] == expected


@pytest.mark.parametrize(
    ("facets", "message"),
    [
        ([{"DocumentAttributeKey": "nope"}], "The index has no field 'nope'"),
        ([{"DocumentAttributeKey": "team", "MaxResults": 5001}], "Expected a whole number from 0 to 5000, got 5001"),
        ([{"DocumentAttributeKey": "team", "Max": 1}], 'Unknown parameter in Facets[0]: "Max", must be one of'),
        ([{}], "Expected an object with DocumentAttributeKey"),
        ("team", "Invalid type for parameter Facets, value: team"),
        (
            [
                {
                    "DocumentAttributeKey": "team",
                    "Facets": [{"DocumentAttributeKey": "ok"}, {"DocumentAttributeKey": "ok"}],
                }
            ],
            "Expected one nested facet in a facet",
        ),
    ],
)
def test_facets_that_are_refused(client: Client, filled: Index, facets: Any, message: str) -> None:
    with pytest.raises(REFUSED) as caught:
        client.query(IndexId=filled.uid, Facets=facets)
    assert message in str(caught.value)


# ---- sorting


@settings(max_examples=30, deadline=None)
@given(
    keys=st.lists(st.tuples(st.sampled_from(["team", "rank", "due"]), st.booleans()), min_size=1, max_size=3),
    text=st.sampled_from([None, "ferry deck"]),
)
def test_sorting_orders_all_that_was_found_absent_values_last(
    filled: Index, keys: list[tuple[str, bool]], text: str | None
) -> None:
    index = QueryIndex(filled, embedder=BagOfStems())
    plain = [item.document_id for item in index.search(text, page_size=200)]

    def before(one: str, other: str) -> bool:
        """By the rule for each key in turn; then as without sorting."""
        for name, descending in keys:
            a, b = BY_ID[one].get(name), BY_ID[other].get(name)
            if (a is None) != (b is None):
                return b is None
            if a is not None and a != b:
                return bool(a > b) if descending else bool(a < b)
        return plain.index(one) < plain.index(other)

    ordered = [
        item.document_id
        for item in index.search(
            text, sort=[("-" if descending else "") + name for name, descending in keys], page_size=200
        )
    ]
    assert sorted(ordered) == sorted(plain)
    assert all(before(one, other) for one, other in pairwise(ordered))


def test_the_first_page_of_a_sort_holds_the_first_of_all(client: Client, filled: Index) -> None:
    members = {"IndexId": filled.uid, "QueryText": "ferry", "QueryResultTypeFilter": "DOCUMENT"}
    order = {"DocumentAttributeKey": "rank", "SortOrder": "DESC"}
    one = client.query(**members, SortingConfiguration=order, PageSize=3)
    ranks = [BY_ID[i].get("rank") for i in ids(client.query(**members, PageSize=100))]
    assert [BY_ID[i]["rank"] for i in ids(one)] == sorted((r for r in ranks if r is not None), reverse=True)[:3]
    assert ids(one) == ids(client.query(**members, SortingConfigurations=[order], PageSize=3))


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"SortingConfiguration": {"DocumentAttributeKey": "tags", "SortOrder": "ASC"}}, "'tags' is not sortable"),
        ({"SortingConfiguration": {"DocumentAttributeKey": "x", "SortOrder": "ASC"}}, "has no field 'x'"),
        (
            {"SortingConfiguration": {"DocumentAttributeKey": "rank", "SortOrder": "UP"}},
            "Expected ASC or DESC, got 'UP'",
        ),
        (
            {"SortingConfiguration": {"DocumentAttributeKey": "rank"}},
            'Missing required parameter in SortingConfiguration: "SortOrder"',
        ),
        ({"SortingConfigurations": []}, "Invalid length for parameter SortingConfigurations, value: 0"),
        ({"SortingConfigurations": [{"DocumentAttributeKey": "rank", "SortOrder": "ASC"}] * 4}, "got 4"),
        (
            {
                "SortingConfiguration": {"DocumentAttributeKey": "rank", "SortOrder": "ASC"},
                "SortingConfigurations": [{"DocumentAttributeKey": "rank", "SortOrder": "ASC"}],
            },
            "Expected SortingConfiguration or SortingConfigurations, got both",
        ),
    ],
)
def test_sorting_that_is_refused(client: Client, filled: Index, members: dict[str, Any], message: str) -> None:
    with pytest.raises(REFUSED) as caught:
        client.query(IndexId=filled.uid, QueryText="ferry", **members)
    assert message in str(caught.value)


# ---- the request as a whole


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({}, "Expected QueryText, or AttributeFilter or Facets to browse with, got none of them"),
        ({"QueryText": "  "}, "Expected QueryText, or AttributeFilter or Facets"),
        ({"QueryText": "x" * 1001}, "Expected at most 1000 characters, got 1001 - at `QueryText`"),
        ({"QueryText": 7}, "Invalid type for parameter QueryText, value: 7"),
        ({"QueryText": "a", "Query": "b"}, 'Unknown parameter in input: "Query", must be one of: IndexId'),
        (
            {"QueryText": "a", "QueryResultTypeFilter": "FOO"},
            "Expected one of DOCUMENT, QUESTION_ANSWER, ANSWER, got 'FOO'",
        ),
        (
            {"QueryText": "a", "CollapseConfiguration": {"DocumentAttributeKey": "tags"}},
            "'tags' is not sortable - at `CollapseConfiguration.DocumentAttributeKey`",
        ),
        (
            {
                "QueryText": "a",
                "CollapseConfiguration": {"DocumentAttributeKey": "team", "MissingAttributeKeyStrategy": "DROP"},
            },
            "Expected one of COLLAPSE, IGNORE, EXPAND, got 'DROP'",
        ),
        (
            {
                "QueryText": "a",
                "CollapseConfiguration": {
                    "DocumentAttributeKey": "team",
                    "ExpandConfiguration": {"MaxExpandedResultsPerItem": 101},
                },
            },
            "Expected a whole number from 0 to 100, got 101 - at "
            "`CollapseConfiguration.ExpandConfiguration.MaxExpandedResultsPerItem`",
        ),
        (
            {
                "QueryText": "a",
                "DocumentRelevanceOverrideConfigurations": [{"Name": "nope", "Relevance": {"Importance": 2}}],
            },
            "has no field 'nope' - at `DocumentRelevanceOverrideConfigurations[0].Name`",
        ),
        (
            {
                "QueryText": "a",
                "DocumentRelevanceOverrideConfigurations": [{"Name": "rank", "Relevance": {"Importance": 11}}],
            },
            "Expected a whole number from 1 to 10, got 11",
        ),
        (
            {
                "QueryText": "a",
                "DocumentRelevanceOverrideConfigurations": [{"Name": "rank", "Relevance": {"Importance": 2}}] * 2,
            },
            "The field 'rank' is there twice",
        ),
        ({"QueryText": "a", "VisitorId": "-"}, "at `VisitorId`"),
        ({"QueryText": "a", "UserContext": "alice"}, "Invalid type for parameter UserContext, value: alice"),
        ({"QueryText": "a", "RequestedDocumentAttributes": ["x"] * 101}, "Expected 1 to 100 names, got 101"),
        (
            {"QueryText": "a", "RequestedDocumentAttributes": "team"},
            "Invalid type for parameter RequestedDocumentAttributes, value: team",
        ),
    ],
)
def test_requests_that_are_refused(client: Client, filled: Index, members: dict[str, Any], message: str) -> None:
    with pytest.raises(REFUSED) as caught:
        client.query(IndexId=filled.uid, **members)
    assert message in str(caught.value)
    if not isinstance(caught.value, ParamValidationError):
        assert isinstance(caught.value, client.exceptions.ValidationException)
        assert isinstance(caught.value.__cause__, InvalidRequest)


def test_members_that_ask_for_what_happens_anyway_are_accepted(client: Client, filled: Index) -> None:
    plain = client.query(IndexId=filled.uid, QueryText="ferry", QueryResultTypeFilter="DOCUMENT")
    same = client.query(
        IndexId=filled.uid,
        QueryText="ferry",
        QueryResultTypeFilter="DOCUMENT",
        SpellCorrectionConfiguration={"IncludeQuerySpellCheckSuggestions": False},
        DocumentRelevanceOverrideConfigurations=[],
        VisitorId="v-1",
        UserContext={},
    )
    assert ids(plain) == ids(same)
    assert plain["QueryId"] != same["QueryId"]


def test_requested_attributes_are_those_returned(client: Client, filled: Index) -> None:
    response = client.query(IndexId=filled.uid, QueryText="ferry", RequestedDocumentAttributes=["due", "team", "nope"])
    for item in response["ResultItems"]:
        names = [attribute["Key"] for attribute in item["DocumentAttributes"]]
        assert names == [name for name in ("due", "team") if name in BY_ID[item["DocumentId"]]]
    for item in client.query(IndexId=filled.uid, QueryText="ferry")["ResultItems"]:
        assert "due" not in {attribute["Key"] for attribute in item["DocumentAttributes"]}


def test_strict_fields_can_be_neither_counted_nor_sorted_on(filled: Index) -> None:
    client = Client(filled.bucket.store, embedder=BagOfStems(), settings=Settings(strict_fields=True))
    with pytest.raises(client.exceptions.ValidationException, match="'team' is not facetable"):
        client.query(IndexId=filled.uid, Facets=[{"DocumentAttributeKey": "team"}])
    with pytest.raises(client.exceptions.ValidationException, match="'rank' is not sortable"):
        client.query(
            IndexId=filled.uid,
            QueryText="ferry",
            SortingConfiguration={"DocumentAttributeKey": "rank", "SortOrder": "ASC"},
        )
