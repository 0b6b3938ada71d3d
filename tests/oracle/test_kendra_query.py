"""Query against plain Python: whatever is asked, what is shown and counted is what the documents say."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragvec.kendra import NATIVE, Client, CollapseBy, Facet, QueryIndex, Settings
from ragvec.store import Index, Store

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "kendra"))
sys.path.insert(0, str(Path(__file__).parent))
from kendra_corpus import BagOfStems, fill
from kendra_plain import collapsed, counts, having, ordered, satisfies, sees

WORDS = ["ferry", "bicycle", "deck", "rota", "fares", "crew", "rail", "pass"]
TYPES = {"team": "STRING_VALUE", "rank": "LONG_VALUE", "due": "DATE_VALUE", "tags": "STRING_LIST_VALUE"}
TEAMS, TAGS, DUES = ["A", "B", "a", "é"], ["x", "y", "z"], [0, 86_400, 951_782_400, 1_700_000_000]
PEOPLE, GROUPS = ["ann", "bob"], ["hr", "it"]
PRINCIPALS = [f"user:{name}" for name in PEOPLE] + [f"group:{name}" for name in GROUPS]


def make_documents(number: int) -> list[dict[str, Any]]:
    dice = random.Random(11)
    documents = []
    for n in range(number):
        document: dict[str, Any] = {
            "id": f"{n:03d}",
            "title": dice.choice(WORDS),
            "text": " ".join(dice.choices(WORDS, k=9)),
        }
        values = {
            "team": dice.choice(TEAMS),
            "rank": dice.randint(-2, 2),
            "due": dice.choice(DUES),
            "tags": dice.sample(TAGS, dice.randint(1, 2)),
            "_acl_allow": dice.sample(PRINCIPALS, 2),
            "_acl_deny": dice.sample(PRINCIPALS, 1),
        }
        document |= {name: value for name, value in values.items() if dice.random() < (0.3 if "_acl" in name else 0.75)}
        documents.append(document)
    return documents


DOCUMENTS = make_documents(140)
BY_ID = {document["id"]: document for document in DOCUMENTS}


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    with Store(tmp_path_factory.mktemp("query") / "store") as store:
        yield fill(store, DOCUMENTS, types=TYPES)


def clients(index: Index) -> tuple[Client, Client]:
    """One with Kendra's limits, one without."""
    store = index.bucket.store
    plain = Settings(journal=False)
    lifted = Settings(limits=NATIVE, journal=False)
    return Client(store, embedder=BagOfStems(), settings=plain), Client(store, embedder=BagOfStems(), settings=lifted)


def everything(index: Index, text: str | None) -> list[dict[str, Any]]:
    """The documents found for a text without any condition, in order of relevance."""
    found = QueryIndex(index, embedder=BagOfStems()).search(text, page_size=1000, answers=False)
    return [BY_ID[item.document_id] for item in found]


def condition(key: str, operator: str, member: str, value: Any) -> dict[str, Any]:
    return {operator: {"Key": key, "Value": {member: value}}}


COMPARISONS = st.sampled_from(["EqualsTo", "GreaterThan", "GreaterThanOrEquals", "LessThan", "LessThanOrEquals"])
LEAVES = st.one_of(
    st.builds(condition, st.just("team"), st.just("EqualsTo"), st.just("StringValue"), st.sampled_from(TEAMS)),
    st.builds(condition, st.just("rank"), COMPARISONS, st.just("LongValue"), st.integers(-3, 3)),
    st.builds(condition, st.just("due"), COMPARISONS, st.just("DateValue"), st.sampled_from(DUES)),
    st.builds(
        condition,
        st.just("tags"),
        st.sampled_from(["EqualsTo", "ContainsAll", "ContainsAny"]),
        st.just("StringListValue"),
        st.lists(st.sampled_from(TAGS), min_size=1, max_size=3),
    ),
)


def above(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    some = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(
        st.builds(lambda all_: {"AndAllFilters": all_}, some),
        st.builds(lambda any_: {"OrAllFilters": any_}, some),
        st.builds(lambda not_: {"NotFilter": not_}, inner),
    )


FILTERS = st.none() | LEAVES | above(LEAVES) | above(LEAVES | above(LEAVES))
TEXTS = st.sampled_from([None, "ferry deck", "crew", "bicycle fares rail pass", "zeppelin"])
ORDERS = st.lists(
    st.tuples(st.sampled_from(["team", "rank", "due"]), st.sampled_from(["ASC", "DESC"])),
    max_size=3,
    unique_by=lambda k: k[0],
)
FACET = st.fixed_dictionaries(
    {"DocumentAttributeKey": st.sampled_from(list(TYPES))},
    optional={
        "MaxResults": st.integers(0, 6),
        "Facets": st.lists(
            st.fixed_dictionaries(
                {"DocumentAttributeKey": st.sampled_from(list(TYPES))}, optional={"MaxResults": st.integers(0, 4)}
            ),
            max_size=1,
        ),
    },
)


def sorting(order: list[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"DocumentAttributeKey": name, "SortOrder": direction} for name, direction in order]


COLLAPSES = st.builds(
    lambda name, missing, within, expand, items, results: {
        "DocumentAttributeKey": name,
        "MissingAttributeKeyStrategy": missing,
        "Expand": expand,
        "ExpandConfiguration": {"MaxResultItemsToExpand": items, "MaxExpandedResultsPerItem": results},
        **({"SortingConfigurations": sorting(within)} if within else {}),
    },
    st.sampled_from(["team", "rank", "due"]),
    st.sampled_from(["COLLAPSE", "IGNORE", "EXPAND"]),
    ORDERS,
    st.booleans(),
    st.integers(0, 4),
    st.integers(0, 4),
)
CONTEXTS = st.none() | st.fixed_dictionaries(
    {},
    optional={
        "UserId": st.sampled_from([*PEOPLE, "eve"]),
        "Groups": st.lists(st.sampled_from(GROUPS), min_size=1, max_size=2),
    },
)


def value_of(pair: dict[str, Any]) -> Any:
    (value,) = pair["DocumentAttributeValue"].values()
    return value.timestamp() if isinstance(value, datetime) else value


def check_facets(results: list[dict[str, Any]], asked: list[dict[str, Any]], found: list[Any]) -> None:
    assert [result["DocumentAttributeKey"] for result in results] == [facet["DocumentAttributeKey"] for facet in asked]
    for result, facet in zip(results, asked, strict=True):
        name = facet["DocumentAttributeKey"]
        pairs = result["DocumentAttributeValueCountPairs"]
        assert result["DocumentAttributeValueType"] == TYPES[name]
        assert [(value_of(pair), pair["Count"]) for pair in pairs] == counts(found, name, facet.get("MaxResults", 10))
        for pair in pairs:
            assert ("FacetResults" in pair) == bool(facet.get("Facets"))
            check_facets(pair.get("FacetResults", []), facet.get("Facets", []), having(found, name, value_of(pair)))


def attribute(document: Any, name: str) -> dict[str, Any]:
    value = document.get(name)
    if value is None:
        return {}
    if TYPES[name] == "DATE_VALUE":
        return {"DateValue": datetime.fromtimestamp(value, timezone.utc)}
    return {"LongValue": value} if TYPES[name] == "LONG_VALUE" else {"StringValue": value}


@settings(max_examples=150, deadline=None)
@given(
    text=TEXTS,
    where=FILTERS,
    context=CONTEXTS,
    facets=st.lists(FACET, max_size=2),
    order=ORDERS,
    collapse=st.none() | COLLAPSES,
    page=st.integers(1, 4),
    size=st.sampled_from([1, 7, 40, 100]),
)
def test_query_shows_and_counts_what_the_documents_say(
    index: Index,
    text: str | None,
    where: dict[str, Any] | None,
    context: dict[str, Any] | None,
    facets: list[dict[str, Any]],
    order: list[tuple[str, str]],
    collapse: dict[str, Any] | None,
    page: int,
    size: int,
) -> None:
    members: dict[str, Any] = {
        "QueryText": text,
        "AttributeFilter": where,
        "UserContext": context,
        "Facets": facets or [{"DocumentAttributeKey": "team"}],
        "SortingConfigurations": sorting(order) or None,
        "CollapseConfiguration": collapse,
        "PageNumber": page,
        "PageSize": size,
    }
    client, _ = clients(index)
    asked = {name: member for name, member in members.items() if member is not None}
    response = client.query(IndexId=index.uid, QueryResultTypeFilter="DOCUMENT", **asked)

    context = context or {}
    # The floor of what counts as found depends on the best passage, so ask for what this text finds under the filter.
    mine = [
        document
        for document in DOCUMENTS
        if satisfies(document, where) and sees(document, context.get("UserId"), context.get("Groups", []))
    ]
    relevant = found_among(index, text, mine)
    assert response["TotalNumberOfResults"] == len(relevant)
    check_facets(response["FacetResults"], members["Facets"], relevant)
    shown: list[tuple[Any, list[Any]]]
    if collapse is None:
        shown = [(document, []) for document in ordered(relevant, order)]
    else:
        within = [(key["DocumentAttributeKey"], key["SortOrder"]) for key in collapse.get("SortingConfigurations", [])]
        name = collapse["DocumentAttributeKey"]
        missing = collapse["MissingAttributeKeyStrategy"]
        shown = collapsed(relevant, name, missing=missing, within=within, order=order)
    first = (page - 1) * size
    on_page = list(enumerate(shown[:100]))[first : first + size]
    assert [item["DocumentId"] for item in response["ResultItems"]] == [document["id"] for _, (document, _) in on_page]
    for item, (place, (document, others)) in zip(response["ResultItems"], on_page, strict=True):
        if collapse is None or (document.get(name) is None and missing == "EXPAND"):
            assert "CollapsedResultDetail" not in item
            continue
        detail = item["CollapsedResultDetail"]
        assert detail["DocumentAttribute"] == {"Key": name, "Value": attribute(document, name)}
        assert ("ExpandedResults" in detail) == collapse["Expand"]
        sizes = collapse["ExpandConfiguration"]
        most = sizes["MaxExpandedResultsPerItem"] if place < sizes["MaxResultItemsToExpand"] else 0
        expanded = [other["DocumentId"] for other in detail.get("ExpandedResults", [])]
        assert expanded == [other["id"] for other in others[:most] if collapse["Expand"]]


def found_among(index: Index, text: str | None, mine: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a text finds in an index of these documents alone, in order of relevance."""
    if text is None:
        return mine
    ids = [document["id"] for document in mine]
    if not ids:
        return []
    where = {"_document_id": {"$in": ids}}
    found = QueryIndex(index, embedder=BagOfStems()).search(text, where=where, page_size=1000, answers=False)
    assert {item.document_id for item in found} <= set(ids)
    return [BY_ID[item.document_id] for item in found]


@settings(max_examples=40, deadline=None)
@given(
    text=TEXTS,
    teams=st.lists(st.sampled_from(TEAMS), min_size=1, max_size=2, unique=True),
    rank=st.none() | st.integers(-2, 2),
    user=st.none() | st.sampled_from(PEOPLE),
)
def test_disjunctive_facets_count_without_the_condition_on_their_own_field(
    index: Index, text: str | None, teams: list[str], rank: int | None, user: str | None
) -> None:
    where: dict[str, Any] = {"team": {"$in": teams}, **({} if rank is None else {"rank": {"$gte": rank}})}
    results = QueryIndex(index, embedder=BagOfStems()).search(
        text, where=where, facets=[Facet("team", disjunctive=True), Facet("rank", nested="team")], user=user
    )
    visible = [x for x in DOCUMENTS if sees(x, user, []) and (rank is None or x.get("rank", -9) >= rank)]
    others = found_among(index, text, visible)
    assert [(c.value, c.count) for c in results.facets["team"]] == counts(others, "team")
    chosen = found_among(index, text, [x for x in visible if x.get("team") in teams])
    assert [(c.value, c.count) for c in results.facets["rank"]] == counts(chosen, "rank")
    for count in results.facets["rank"]:
        inner = [(c.value, c.count) for c in count.nested or ()]
        assert inner == counts(having(chosen, "rank", count.value), "team")


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(["team", "rank", "due"]),
    missing=st.sampled_from(["COLLAPSE", "IGNORE", "EXPAND"]),
    order=ORDERS,
    within=ORDERS,
    expand=st.integers(0, 3),
    text=TEXTS,
)
def test_collapse_in_python_is_the_same(
    index: Index,
    name: str,
    missing: Any,
    order: list[tuple[str, str]],
    within: list[tuple[str, str]],
    expand: int,
    text: str | None,
) -> None:
    by = CollapseBy(name, sort=names(within), missing=missing, expand=expand)
    results = QueryIndex(index, embedder=BagOfStems()).search(
        text, collapse=by, sort=names(order), page_size=500, answers=False
    )
    relevant = everything(index, text)
    expected = collapsed(relevant, name, missing=missing, within=within, order=order)
    assert [item.document_id for item in results] == [document["id"] for document, _ in expected]
    assert results.total == len(relevant)
    for item, (document, others) in zip(results, expected, strict=True):
        alone = document.get(name) is None and missing == "EXPAND"
        assert item.group_size == (None if alone else len(others) + 1)
        assert [member.document_id for member in item.group] == [other["id"] for other in others[:expand]]
        assert all(member.passage == BY_ID[member.document_id]["text"] for member in item.group)


def names(order: list[tuple[str, str]]) -> list[str]:
    return [("-" if direction == "DESC" else "") + name for name, direction in order]


@pytest.mark.parametrize("interval", ["year", "quarter", "month", "week", "day", "hour"])
def test_histograms_of_dates(tmp_path: Path, interval: Any) -> None:
    dice = random.Random(5)
    times = [dice.randrange(-(10**9), 2 * 10**9) for _ in range(150)] + [951_782_399, 951_782_400, 0, -1, 0.5]
    with Store(tmp_path / "store") as store:
        made = fill(store, [{"id": f"{n}", "text": "ferry", "due": t} for n, t in enumerate(times)], types=TYPES)
        results = QueryIndex(made, embedder=BagOfStems()).search(facets=[Facet("due", None, interval=interval)])
        by_setting = Client(store, embedder=BagOfStems(), settings=Settings(date_interval=interval))
        (facet,) = by_setting.query(IndexId=made.uid, Facets=[{"DocumentAttributeKey": "due", "MaxResults": 5000}])[
            "FacetResults"
        ]
    expected: dict[datetime, int] = {}
    for moment in (datetime.fromtimestamp(t, timezone.utc) for t in times):
        year, week, _ = moment.isocalendar()
        start = {
            "year": lambda m=moment: datetime(m.year, 1, 1, tzinfo=timezone.utc),
            "quarter": lambda m=moment: datetime(m.year, (m.month - 1) // 3 * 3 + 1, 1, tzinfo=timezone.utc),
            "month": lambda m=moment: datetime(m.year, m.month, 1, tzinfo=timezone.utc),
            "week": lambda y=year, w=week: datetime.fromisocalendar(y, w, 1).replace(tzinfo=timezone.utc),
            "day": lambda m=moment: datetime(m.year, m.month, m.day, tzinfo=timezone.utc),
            "hour": lambda m=moment: datetime(m.year, m.month, m.day, m.hour, tzinfo=timezone.utc),
        }[interval]()
        expected[start] = expected.get(start, 0) + 1
    assert [(count.value, count.count) for count in results.facets["due"]] == sorted(expected.items())
    pairs = facet["DocumentAttributeValueCountPairs"]
    assert {pair["DocumentAttributeValue"]["DateValue"]: pair["Count"] for pair in pairs} == expected


@settings(max_examples=40, deadline=None)
@given(width=st.integers(1, 6) | st.sampled_from([0.5, 2.5]), text=TEXTS)
def test_histograms_of_numbers(index: Index, width: float, text: str | None) -> None:
    results = QueryIndex(index, embedder=BagOfStems()).search(
        text, facets=[Facet("rank", None, interval=width)], answers=False
    )
    expected: dict[float, int] = {}
    for document in everything(index, text):
        if "rank" in document:
            start = max(k * width for k in range(-9, 9) if k * width <= document["rank"])
            expected[start] = expected.get(start, 0) + 1
    assert [(count.value, count.count) for count in results.facets["rank"]] == sorted(expected.items())
