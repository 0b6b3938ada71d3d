"""Explaining a ranking: its numbers sum up to the score, and absence has a reason."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest
from kendra_corpus import FERRIES, TYPES, BagOfStems, fill

from ragvec.filters.nodes import Eq
from ragvec.kendra.attributes import Schema
from ragvec.kendra.notes import Notes
from ragvec.kendra.rank.documents import best_documents
from ragvec.kendra.rank.explain import explain
from ragvec.kendra.rank.passages import ranked_passages
from ragvec.kendra.rank.reasons import DocumentReasons, RankingExplanation
from ragvec.kendra.rank.tuning import Tuning
from ragvec.kendra.rank.versions import Versions
from ragvec.kendra.relevance import Scale
from ragvec.kendra.request.asked import Request
from ragvec.kendra.settings import Settings
from ragvec.store import Index, Store

SCALE = Scale(least=0.1, of_best=0.4, medium=0.3, high=0.5, very_high=0.7, words=0.4, more=0.2, context=0.5)
SCHEMA = Schema.of(TYPES)
TEXT = "bicycle on the morning ferry"
TUNINGS = (
    Tuning(field=SCHEMA.fields["_view_count"], importance=4),
    Tuning(field=SCHEMA.fields["department"], values={"Sales": 4}),
)


@pytest.fixture(params=[True, False], ids=["words and vectors", "vectors"])
def index(request: pytest.FixtureRequest, store: Store) -> Index:
    made = fill(store, FERRIES, types=TYPES)
    if request.param:
        made.add_text("_text", language="en")
        made.add_text("_document_title", language="en")
    return made


@pytest.fixture
def searched(store: Store) -> Index:
    made = fill(store, FERRIES, types=TYPES, name="searched")
    made.add_text("_text", language="en")
    return made


def options(index: Index, **settings: Any) -> dict[str, Any]:
    return {
        "embed": BagOfStems().embed_query,
        "scale": SCALE,
        "settings": Settings(**settings),
        "notes": Notes(index),
        "schema": SCHEMA,
        "now": 0.0,
    }


def explained(index: Index, document_id: str | None = None, **given: Any) -> RankingExplanation:
    settings = given.pop("settings", {})
    request = Request(**{"text": TEXT, "overrides": TUNINGS, **given})
    return explain(index, request, document_id=document_id, **options(index, **settings))


def only(index: Index, document_id: str, **given: Any) -> DocumentReasons:
    (item,) = explained(index, document_id, **given).items
    return item


def test_the_numbers_sum_up_to_what_is_ranked(index: Index) -> None:
    found = explained(index)
    documents = best_documents(
        ranked_passages(index, Request(text=TEXT, overrides=TUNINGS), **options(index)), more=SCALE.more
    )
    assert [(item.document_id, item.place, item.score) for item in found.items] == [
        (each.document_id, place, each.score) for place, each in enumerate(documents, 1)
    ]
    assert found.documents == len(documents)
    for item in found.items:
        assert item.passages[0].score + item.added == pytest.approx(item.score)
        assert item.confidence == SCALE.confidence(item.score)
        for passage in item.passages:
            odds = passage.relevance / (1 - passage.relevance) * math.prod(passage.factors.values())
            assert passage.score == pytest.approx(odds / (1 + odds) + passage.feedback)
            assert passage.relevance >= found.floor
            assert set(passage.factors) == {"_view_count", "department"}
            if passage.coverage is None:
                assert (found.words, passage.fields, passage.relevance) == (0.0, (), passage.similarity)
            else:
                similar = max(passage.similarity or 0.0, 0.0)
                assert passage.relevance == pytest.approx(0.6 * similar + 0.4 * passage.coverage)


def test_a_second_passage_tells_what_it_adds(index: Index) -> None:
    item = only(index, "deck/bicycles.md")
    first, second = item.passages
    assert item.added == pytest.approx(0.2 * (1 - first.score) * second.score)


def test_ranks_are_those_of_each_list(searched: Index) -> None:
    found = [passage for item in explained(searched).items for passage in item.passages]
    by_similarity = sorted(found, key=lambda each: each.similarity_rank or 0)
    assert [each.similarity for each in by_similarity] == sorted((each.similarity or 0 for each in found), reverse=True)
    by_words = sorted((each.fields[0] for each in found if each.fields[0].bm25), key=lambda each: each.rank or 0)
    assert [each.bm25 for each in by_words] == sorted((each.bm25 for each in by_words), reverse=True)
    assert all(each.rank is not None for each in by_words)


def test_one_document_can_be_asked_for(index: Index) -> None:
    every = {item.document_id: item for item in explained(index).items}
    assert only(index, "fares.md") == every["fares.md"]


@pytest.mark.parametrize(
    ("document_id", "given", "missing"),
    [
        ("nowhere.md", {}, "there is no such document, or nothing in it that the text could be compared with"),
        ("fares.md", {"where": Eq("department", "Operations")}, "the filter leaves it out"),
        (
            "fares.md",
            {"access": Eq("department", "Operations"), "where": Eq("department", "Operations")},
            "there is no",
        ),
        ("crew/rota.md", {"text": "bicycle racks"}, "its best passage has "),
        ("fares.md", {"settings": {"depth": 1}}, "its passages lie beyond the depth of the search"),
        ("fares.md", {"settings": {"versions": Versions(same="_language_code")}}, "another document found is in its"),
    ],
)
def test_what_was_not_found_has_a_reason(
    searched: Index, document_id: str, given: dict[str, Any], missing: str
) -> None:
    item = only(searched, document_id, **({"overrides": ()} | given))
    assert (item.place, item.score, item.confidence) == (None, None, "NOT_AVAILABLE")
    assert item.missing.startswith(missing)
    assert all(passage.similarity_rank is None for passage in item.passages)


def test_it_reads_as_a_report(searched: Index) -> None:
    lines = repr(explained(searched)).splitlines()
    assert lines[0].startswith(f"{TEXT!r} by words (40%) and vectors (60%): 3 documents in 4 passages at or above 0.")
    assert lines[1].startswith("  1. ")
    assert any("BM25 _text 1 × " in line for line in lines)
    assert any("odds tuned by _view_count × " in line for line in lines)
    assert "<mark>" not in explained(searched)._repr_html_()
    odd = msgspec.structs.replace(explained(searched), text="<script>")
    assert "<script>" not in odd._repr_html_()


def test_it_is_a_table_too(searched: Index) -> None:
    found = explained(searched)
    frame = found.to_pandas()
    assert len(frame) == sum(len(item.passages) for item in found.items)
    assert {"document_id", "place", "similarity", "bm25:_text", "rank:_text", "factor:department"} <= set(frame.columns)


def test_nothing_sought_is_nothing_explained(store: Store) -> None:
    made = fill(store, FERRIES, types=TYPES)
    found = explained(made, text="???")
    assert (found.items, found.candidates, found.documents) == ((), 0, 0)
    assert repr(found) == "'???' by vectors: 0 documents in 0 passages at or above 0.000, of 0 candidates"
