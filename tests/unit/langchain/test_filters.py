"""LangChain's forms of filters against a plain reading of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain_core.structured_query import Comparator, Comparison, Operation, Operator, StructuredQuery

import ragvec
from ragvec.errors import InvalidFilter
from ragvec.langchain import RagvecTranslator
from ragvec.langchain.filters import native_filter

RECORDS: list[dict[str, Any]] = [
    {"kind": kind, "year": year, "tags": tags, "name": f"{kind}-{year}"}
    for kind, tags in (("report", ["a", "b"]), ("letter", ["b"]), ("note", ["c"]))
    for year in (2019, 2021, 2024)
]
RECORDS.append({"kind": "bare"})


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ragvec.Index]:
    path: Path = tmp_path_factory.mktemp("filters") / "store"
    with ragvec.Store(path) as store:
        made = store.create_bucket("tests").create_index("records", dimension=2)
        made.put([str(at) for at in range(len(RECORDS))], np.ones((len(RECORDS), 2)), RECORDS)
        yield made


FORMS = {
    "equality": ({"kind": "note"}, lambda r: r["kind"] == "note"),
    "any of": ({"kind": ["note", "letter"]}, lambda r: r["kind"] in ("note", "letter")),
    "several keys": ({"kind": "note", "year": 2021}, lambda r: (r["kind"], r.get("year")) == ("note", 2021)),
    "with dollar": ({"year": {"$gt": 2019}}, lambda r: r.get("year", 0) > 2019),
    "without dollar": ({"year": {"gte": 2021, "lt": 2024}}, lambda r: r.get("year") == 2021),
    "between": ({"year": {"$between": [2020, 2024]}}, lambda r: 2020 <= r.get("year", 0) <= 2024),
    "like": ({"name": {"$like": "report-%"}}, lambda r: r.get("name", "").startswith("report-")),
    "in": ({"kind": {"in": ("note",)}}, lambda r: r["kind"] == "note"),
    "list member": ({"tags": {"$in": ["a", "c"]}}, lambda r: bool({"a", "c"} & set(r.get("tags", ())))),
    "and": (
        {"$and": [{"kind": "note"}, {"year": {"$lte": 2021}}]},
        lambda r: r.get("name") in ("note-2019", "note-2021"),
    ),
    "or without dollar": (
        {"or": [{"kind": "note"}, {"year": 2019}]},
        lambda r: "note" in r["kind"] or r.get("year") == 2019,
    ),
    "not a value": ({"kind": {"$not": "note"}}, lambda r: r["kind"] != "note"),
    "not either": (
        {"$not": {"$or": [{"kind": "note"}, {"kind": "letter"}]}},
        lambda r: r["kind"] not in ("note", "letter"),
    ),
    "not both": (
        {"not": {"kind": "note", "year": 2019}},
        lambda r: not (r["kind"] == "note" and r.get("year") == 2019),
    ),
    "has no": ({"year": {"$not": {"$exists": True}}}, lambda r: "year" not in r),
    "no condition": ({}, lambda r: True),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_form_means_what_a_plain_reading_says(index: ragvec.Index, form: str) -> None:
    given, plain = FORMS[form]
    expected = {str(at) for at, record in enumerate(RECORDS) if plain(record)}
    found = index.query([1.0, 1.0], k=100, where=native_filter(given))
    assert set(found.keys) == expected
    assert expected  # a form that nothing satisfies would tell little


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"year": {"$near": 3}}, r"Expected one of \$between, .*, got '\$near' - at `filter\.year\.\$near`"),
        ({"year": {}}, "Expected an operator, got an empty object - at `filter.year`"),
        ({"$and": []}, r"Expected a list of filters, got \[\] - at `filter\.\$and`"),
        ({"$nor": [{"a": 1}]}, r"Expected a metadata key, \$and, \$or or \$not, got '\$nor'"),
        ({"year": {"$between": [1]}}, r"Expected the two ends of a range, got \[1\]"),
        ({"name": {"$like": "%end"}}, "Expected a text that ends in its only %, got '%end'"),
        ({"year": {"$not": {"$gt": 3}}}, r"got \$gt: write \$lte for records that have the key"),
        ("kind = 'note'", "Expected a filter as a mapping, got str"),
    ],
    ids=["operator", "empty", "list", "joint", "ends", "pattern", "opposite", "type"],
)
def test_what_is_none_of_the_forms_is_refused_with_its_place(given: Any, message: str) -> None:
    with pytest.raises(InvalidFilter, match=message):
        native_filter(given)


def test_a_structured_query_becomes_a_filter() -> None:
    wanted = StructuredQuery(
        query="holidays",
        filter=Operation(
            operator=Operator.AND,
            arguments=[
                Comparison(comparator=Comparator.GTE, attribute="year", value=2020),
                Operation(
                    operator=Operator.NOT,
                    arguments=[Comparison(comparator=Comparator.EQ, attribute="kind", value="note")],
                ),
            ],
        ),
        limit=None,
    )
    text, options = RagvecTranslator().visit_structured_query(wanted)
    assert text == "holidays"
    assert options == {"filter": {"$and": [{"year": {"$gte": 2020}}, {"kind": {"$ne": "note"}}]}}
    with pytest.raises(ValueError, match="disallowed comparator"):
        RagvecTranslator().visit_comparison(Comparison(comparator=Comparator.CONTAIN, attribute="kind", value="n"))
