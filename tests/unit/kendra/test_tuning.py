"""Relevance tuning: the published formula against plain arithmetic, what is refused, and what overrides replace."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragvec.errors import InvalidRequest
from ragvec.kendra.attributes import Field, Schema
from ragvec.kendra.rank.tuning import (
    DURATION,
    Tuning,
    configured,
    effective,
    factors,
    read_relevance,
    tuned,
    usual_importance,
)

DAY = 86_400
NOW = 1_700_000_000.0
TEAM = Field(name="team", type="STRING_VALUE")
TAGS = Field(name="tags", type="STRING_LIST_VALUE")
VIEWS = Field(name="views", type="LONG_VALUE")
DUE = Field(name="due", type="DATE_VALUE")
OK = Field(name="ok", type="BOOLEAN")
TITLE = Field(name="_document_title", type="STRING_VALUE")


def factor(document: dict[str, Any], tuning: Tuning, *, text: str = "red ferries", others: Any = ()) -> float:
    return factors([document, *others], [tuning], text=text, now=NOW)[0][tuning.field.name]


@given(st.floats(0.001, 0.999), st.lists(st.floats(0.3, 8), max_size=4))
def test_factors_multiply_the_odds(score: float, by_field: list[float]) -> None:
    found = tuned(score, {str(at): each for at, each in enumerate(by_field)})
    assert math.isclose(found / (1 - found), score / (1 - score) * math.prod(by_field), rel_tol=1e-6)
    assert 0 < found < 1


@pytest.mark.parametrize("score", [0.0, 1.0])
def test_nothing_and_certainty_stay(score: float) -> None:
    assert tuned(score, {"team": 4.0}) == score


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"team": "Red ferry"}, 4.0),
        ({"team": "the FERRIES"}, 2.5),
        ({"team": "blue"}, 1.0),
        ({}, 1.0),
        ({"team": ""}, 1.0),
    ],
)
def test_text_counts_by_the_share_of_the_words_asked_for(document: dict[str, Any], expected: float) -> None:
    assert factor(document, Tuning(field=TEAM, importance=10)) == expected


def test_a_list_of_texts_counts_as_one() -> None:
    assert factor({"tags": ["red", "ferry"]}, Tuning(field=TAGS, importance=4)) == 2.0


def test_words_of_no_subject_are_not_asked_for() -> None:
    assert factor({"team": "who is it"}, Tuning(field=TEAM, importance=10), text="what is it") == 1.0


def test_a_value_in_the_map_has_a_factor_of_its_own() -> None:
    tuning = Tuning(field=TEAM, importance=4, values={"red": 7, "Red": 10})
    assert factor({"team": "red"}, tuning) == (1 + 1 * 0.5) * 3
    assert factor({"team": "RED"}, tuning) == 1.5
    assert factor({"ok": True}, Tuning(field=OK, values={"true": 4})) == 2.0


@pytest.mark.parametrize("descending", [False, True])
def test_a_number_counts_by_how_many_it_beats(descending: bool) -> None:
    dice = random.Random(5)
    documents = [{"views": dice.randint(0, 6)} if dice.random() < 0.8 else {} for _ in range(40)]
    found = factors(documents, [Tuning(field=VIEWS, importance=10, descending=descending)], text="x", now=NOW)
    known = [each["views"] for each in documents if each]
    for each, by_field in zip(documents, found, strict=True):
        beaten = sum(other > each["views"] if descending else other < each["views"] for other in known) if each else 0
        assert by_field["views"] == pytest.approx(1 + 3 * beaten / (len(known) - 1))


def test_a_lone_number_beats_none() -> None:
    assert factor({"views": 9}, Tuning(field=VIEWS, importance=10), others=[{}, {"views": True}]) == 1.0


@pytest.mark.parametrize(
    ("age", "importance", "expected"),
    [
        (0, 3, 1.0),
        (-5, 3, 1.0),
        (50, 3, 2**-0.5),
        (100, 3, 0.5),
        (200, 3, 0.5 * 2**-3),
        (200, 9, 0.5 * 2**-9),
    ],
)
def test_freshness_halves_in_its_duration_and_then_fades_by_importance(
    age: int, importance: int, expected: float
) -> None:
    tuning = Tuning(field=DUE, importance=importance, freshness=True, duration=100 * DAY)
    assert factor({"due": NOW - age * DAY}, tuning) == pytest.approx(1 + importance / 3 * expected)


def test_freshness_of_no_duration_is_for_what_is_dated_now() -> None:
    tuning = Tuning(field=DUE, importance=10, freshness=True, duration=0)
    assert factor({"due": NOW}, tuning) == pytest.approx(1 + 10 / 3)
    assert factor({"due": NOW - DAY}, tuning) == pytest.approx(1)


def test_a_date_without_freshness_counts_as_a_number() -> None:
    assert factor({"due": 5}, Tuning(field=DUE, importance=10), others=[{"due": 4}, {"due": 6}]) == 2.5


def test_the_title_counts_beyond_what_it_counts_anyway() -> None:
    assert factor({"_document_title": "red ferries"}, Tuning(field=TITLE, importance=5)) == 2.0
    assert factor({"_document_title": "red ferries"}, Tuning(field=TITLE, importance=1)) == pytest.approx(2 / 3)
    assert usual_importance("_document_title") == usual_importance("_excerpt_page_number") == 2
    assert usual_importance("_category") == 1


def test_what_moves_nothing_is_neutral() -> None:
    assert Tuning(field=TEAM, values={"red": 1}).neutral
    assert Tuning(field=TITLE, importance=2).neutral
    assert not Tuning(field=TITLE).neutral
    assert not Tuning(field=DUE, freshness=True).neutral
    assert not Tuning(field=TEAM, values={"red": 2}).neutral


# ---- reading


def test_a_relevance_is_read() -> None:
    read = read_relevance(
        {"Importance": 4, "Freshness": True, "Duration": "86400s", "RankOrder": "DESCENDING"}, field=DUE, path="R"
    )
    assert read == Tuning(field=DUE, importance=4, freshness=True, duration=DAY, descending=True)
    assert read_relevance({}, field=TITLE, path="R") == Tuning(field=TITLE, importance=2, duration=DURATION)
    assert read_relevance({"Freshness": False, "ValueImportanceMap": {}}, field=VIEWS, path="R") == Tuning(field=VIEWS)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        (
            TEAM,
            None,
            "Expected an object with Importance, Freshness, Duration, RankOrder, ValueImportanceMap, got None",
        ),
        (TEAM, {"Importance": 11}, "Expected a whole number from 1 to 10, got 11 - at `R.Importance`"),
        (TEAM, {"Importance": True}, "Expected a whole number from 1 to 10, got True - at `R.Importance`"),
        (TEAM, {"Weight": 1}, "Unknown member 'Weight' - at `R`; known are Importance"),
        (TEAM, {"Freshness": True}, "Freshness does not apply to the field 'team', of type STRING_VALUE"),
        (VIEWS, {"Duration": "1s"}, "Duration does not apply to the field 'views', of type LONG_VALUE"),
        (TEAM, {"RankOrder": "ASCENDING"}, "RankOrder does not apply to the field 'team'"),
        (TAGS, {"ValueImportanceMap": {"a": 2}}, "ValueImportanceMap does not apply to the field 'tags'"),
        (DUE, {"Freshness": 1}, "Expected true or false, got 1 - at `R.Freshness`"),
        (DUE, {"Duration": "3 days"}, "Expected seconds as text, like '25920000s', got '3 days' - at `R.Duration`"),
        (DUE, {"RankOrder": "UP"}, "Expected ASCENDING or DESCENDING, got 'UP' - at `R.RankOrder`"),
        (TEAM, {"ValueImportanceMap": {"": 2}}, "Expected values of 1 to 50 characters, got ''"),
        (TEAM, {"ValueImportanceMap": {"a": 0}}, "got 0 - at `R.ValueImportanceMap.a`"),
    ],
)
def test_what_is_wrong_is_refused(field: Field, value: object, message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_relevance(value, field=field, path="R")
    assert message in str(caught.value)


# ---- index and query


def test_overrides_replace_a_field_whole_and_leave_the_others() -> None:
    of_index = (Tuning(field=TEAM, importance=5, values={"red": 3}), Tuning(field=VIEWS, importance=2))
    override = Tuning(field=TEAM, importance=8)
    assert effective(of_index, (override,)) == (override, of_index[1])
    assert effective((), (override,)) == (override,)
    assert effective(of_index, (Tuning(field=TEAM),)) == (of_index[1],)


def test_the_rules_of_the_service_can_be_had() -> None:
    of_index = (Tuning(field=TEAM, importance=5), Tuning(field=VIEWS, importance=2))
    override = Tuning(field=TEAM, importance=8)
    assert effective(of_index, (override,), as_kendra=True) == (override,)
    assert effective((Tuning(field=TEAM),), (override,), as_kendra=True) == ()
    assert effective(of_index, (), as_kendra=True) == of_index


def test_the_tuning_of_an_index_is_that_of_its_configured_fields() -> None:
    field = Field(name="views", type="LONG_VALUE", relevance={"Importance": 3, "RankOrder": "DESCENDING"})
    schema = Schema.of({"team": "STRING_VALUE"}, configured={"views": field})
    assert configured(schema) == (Tuning(field=field, importance=3, descending=True),)
