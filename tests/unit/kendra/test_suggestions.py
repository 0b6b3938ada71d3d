"""Suggestions: which queries and values are suggested, to whom, and the settings."""

from __future__ import annotations

import random
from typing import Any

import pytest

from ragvec.filters.nodes import EVERYTHING, Filter
from ragvec.kendra.access import principals, visible_to
from ragvec.kendra.client import Client
from ragvec.kendra.found import Found, Outcome
from ragvec.kendra.learn import suggestions
from ragvec.kendra.learn.journal import record
from ragvec.kendra.learn.suggestions import (
    change_config,
    clear,
    suggested_queries,
    suggested_values,
    suggestible_queries,
)
from ragvec.kendra.notes import Notes
from ragvec.store import Index

DAY = 86_400.0
PUBLIC = visible_to(principals(None, ()))
CREW = visible_to(principals("ana", ("crew",)))


@pytest.fixture
def notes(ferries: Index) -> Notes:
    return Notes(ferries)


class Journal:
    """Asks queries that show the documents given."""

    def __init__(self, notes: Notes) -> None:
        self.notes, self.number = notes, 0

    def ask(self, text: str, *documents: str, at: float = 0.0, user: str | None = None, page: int = 1) -> None:
        self.number += 1
        items = tuple(Found(f"{each}#0", each, {}, 0.5) for each in documents or ("fares.md",))
        outcome = Outcome(items, len(items), len(items), page, 10)
        record(self.notes, f"q{self.number}", text, outcome, user, clock=lambda: at)

    def suggested(self, typed: str, seen: Filter = EVERYTHING, *, at: float = 1.0, most: int = 3) -> list[str]:
        return [each.text for each in suggested_queries(self.notes, typed, seen=seen, most=most, clock=lambda: at)]


@pytest.fixture
def journal(notes: Notes) -> Journal:
    return Journal(notes)


def test_queries_that_begin_so_the_most_frequent_first_then_the_latest(journal: Journal) -> None:
    for text, at in [("ferry fares", 0.1), ("ferry passes", 0.2), ("Ferry  FARES", 0.3), ("ferry times", 0.4)]:
        journal.ask(text, at=at)
    assert journal.suggested("fer") == ["ferry fares", "ferry times", "ferry passes"]
    assert journal.suggested('  FERRY "f') == ["ferry fares"]
    assert journal.suggested("ferry", most=1) == ["ferry fares"]
    assert journal.suggested("passes") == []
    assert journal.suggested("ferry ") == ["ferry fares", "ferry times", "ferry passes"]
    assert journal.suggested("ferr ") == []


def test_what_was_typed_is_highlighted(journal: Journal) -> None:
    journal.ask("ferry fares")
    (found,) = suggested_queries(journal.notes, "Ferry F", seen=EVERYTHING, most=5, clock=lambda: 1.0)
    assert (found.text[found.begin : found.end], found.begin) == ("ferry f", 0)


@pytest.mark.parametrize("typed", ["", "f", " f ", "ferry fares " + "x" * 60])
def test_too_little_or_too_much_typed_suggests_nothing(journal: Journal, typed: str) -> None:
    journal.ask("ferry fares " + "x" * 80)
    assert journal.suggested(typed) == []


def test_queries_that_qualify(journal: Journal) -> None:
    journal.ask("fare card")  # no word of more than four letters
    journal.ask("fares again", page=2)  # only a later page
    record(journal.notes, "none", "fares nowhere", Outcome((), 0, 0, 1, 10), clock=lambda: 0.0)
    journal.ask("fares here")
    assert journal.suggested("fa") == ["fares here"]


def test_how_often_by_whom_and_how_lately(journal: Journal) -> None:
    for text, user, at in [
        ("fares today", "ana", 10 * DAY),
        ("fares today", "ana", 11 * DAY),
        ("fares daily", "ana", 10 * DAY),
        ("fares daily", "bo", 12 * DAY),
        ("fares alone", None, 12 * DAY),
    ]:
        journal.ask(text, at=at, user=user)

    def now(**changes: Any) -> set[str]:
        change_config(journal.notes, changes)
        found = journal.suggested("fares", at=13 * DAY)
        assert suggestible_queries(journal.notes, clock=lambda: 13 * DAY) == len(found)
        return set(found)

    assert now() == {"fares today", "fares daily", "fares alone"}
    assert now(count=2) == {"fares today", "fares daily"}
    assert now(anonymous=False, users=2) == {"fares daily"}
    assert now(count=1, users=1) == {"fares today", "fares daily"}
    assert now(anonymous=True, days=1) == {"fares daily", "fares alone"}
    assert now(days=180, users=9) == {"fares today", "fares daily", "fares alone"}
    clear(journal.notes, clock=lambda: 11.5 * DAY)
    assert now() == {"fares daily", "fares alone"}
    change_config(journal.notes, {"mode": "LEARN_ONLY"})
    assert journal.suggested("fares", at=13 * DAY) == []


def test_nobody_learns_of_queries_that_showed_what_they_may_not_see(journal: Journal) -> None:
    journal.ask("crew wages", "crew/rota.md", "fares.md")
    journal.ask("crew wages", "crew/rota.md")
    journal.ask("crossing fares", "fares.md", "deck/bicycles.md")
    journal.ask("crossing gone", "deleted.md")
    assert journal.suggested("cr", PUBLIC) == ["crossing fares"]
    assert journal.suggested("cr", CREW) == ["crew wages", "crossing fares"]
    # Asked by somebody who sees less, the same query shows other documents: that use counts for everybody.
    journal.ask("crew wages", "fares.md")
    assert set(journal.suggested("cr", PUBLIC)) == {"crew wages", "crossing fares"}


@pytest.mark.parametrize("seed", range(5))
def test_random_journals_against_the_rule(journal: Journal, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    monkeypatch.setattr(suggestions, "_TRIED", 2)
    rng = random.Random(seed)
    documents = ["fares.md", "deck/bicycles.md", "crew/rota.md", "gone.md"]
    open_to = {"public": {"fares.md", "deck/bicycles.md"}, "crew": {"fares.md", "deck/bicycles.md", "crew/rota.md"}}
    uses: list[tuple[str, tuple[str, ...], float]] = []
    for _ in range(80):
        text = "ferry " + rng.choice(["a", "b", "c", "ab", "ba"]) + rng.choice(["", " x"])
        shown = tuple(rng.sample(documents, rng.randrange(1, 5)))
        uses.append((text, shown, len(uses) / 100))
        journal.ask(text, *shown, at=uses[-1][2])
    count = rng.randrange(1, 4)
    change_config(journal.notes, {"count": count})
    for who, seen in (("public", PUBLIC), ("crew", CREW)):
        for typed in ("fe", "ferry a", "ferry b", "ferry a "):
            times: dict[str, list[float]] = {}
            for text, shown, at in uses:
                if text.startswith(typed) and set(shown[:3]) <= open_to[who]:
                    times.setdefault(text, []).append(at)
            expected = sorted(
                (text for text, when in times.items() if len(when) >= count),
                key=lambda text: (-len(times[text]), -max(times[text]), text),
            )
            assert journal.suggested(typed, seen) == expected[:3]


def test_values_of_attributes(notes: Notes) -> None:
    def values(typed: str, where: Filter = EVERYTHING, *names: str) -> list[tuple[str, list[Any]]]:
        attributes = names or ("_document_title", "tags")
        found = suggested_values(notes.index, typed, attributes=attributes, where=where, most=5)
        return [(each.suggestion.text, [metadata["_document_id"] for metadata, _ in each.documents]) for each in found]

    assert values("bic") == [
        ("bicycle", ["deck/bicycles.md", "fares.md"]),
        ("Bicycles on Brightwater ferries", ["deck/bicycles.md"]),
    ]
    assert values("PASS") == [("Fares and passes", ["fares.md"])]
    assert values("ares") == []
    assert values("crew", PUBLIC) == []
    assert [text for text, _ in values("crew", CREW)] == ["Crew rota", "crew"]
    assert values("op", EVERYTHING, "department") == [("Operations", ["crew/rota.md", "deck/bicycles.md"])]
    notes.index.delete(where={"_document_id": "fares.md"})
    assert values("bic")[1:] == [("bicycle", ["deck/bicycles.md"])]


def test_where_a_value_has_what_was_typed(notes: Notes) -> None:
    (found,) = suggested_values(notes.index, "pas", attributes=("_document_title",), where=EVERYTHING, most=5)
    assert found.suggestion.text[found.suggestion.begin : found.suggestion.end] == "pas"


def test_the_operations_of_a_client(client: Client, ferries: Index) -> None:
    uid = ferries.uid
    client.query(IndexId=uid, QueryText="Bicycle fares", VisitorId="v1", PageSize=1)
    client.query(IndexId=uid, QueryText="bicycle fares", VisitorId="v2", PageSize=1)
    client.query(IndexId=uid, QueryText="crew swaps", UserContext={"UserId": "ana", "Groups": ["crew"]})

    def texts(typed: str, **members: Any) -> list[str]:
        found = client.get_query_suggestions(IndexId=uid, QueryText=typed, **members)
        assert len(found["QuerySuggestionsId"]) == 36
        assert all(each["Id"].startswith(found["QuerySuggestionsId"] + "-") for each in found["Suggestions"])
        return [each["Value"]["Text"]["Text"] for each in found["Suggestions"]]

    assert texts("bic") == ["bicycle fares"]
    assert texts("cre") == []
    crew = {"UserContext": {"UserId": "bo", "Groups": ["crew"]}}
    assert texts("cre", AttributeSuggestionsConfig=crew) == ["crew swaps"]
    by_title = {"SuggestionTypes": ["DOCUMENT_ATTRIBUTES"]}
    assert texts("fare", **by_title, AttributeSuggestionsConfig={"SuggestionAttributes": ["_document_title"]}) == [
        "Fares and passes"
    ]
    found = client.get_query_suggestions(
        IndexId=uid,
        QueryText="sal",
        SuggestionTypes=["DOCUMENT_ATTRIBUTES"],
        AttributeSuggestionsConfig={
            "SuggestionAttributes": ["department"],
            "AdditionalResponseAttributes": ["priority", "_created_at"],
            "AttributeFilter": {"EqualsTo": {"Key": "_category", "Value": {"StringValue": "deck"}}},
        },
    )["Suggestions"]
    assert found[0]["SourceDocuments"] == [
        {
            "DocumentId": "fahrrad.md",
            "SuggestionAttributes": ["department"],
            "AdditionalAttributes": [{"Key": "priority", "Value": {"LongValue": 3}}],
        }
    ]


def test_settings_through_a_client(client: Client, ferries: Index) -> None:
    uid = ferries.uid
    held = client.describe_query_suggestions_config(IndexId=uid)
    assert {name: held[name] for name in ("Mode", "Status", "QueryLogLookBackWindowInDays")} == {
        "Mode": "ENABLED",
        "Status": "ACTIVE",
        "QueryLogLookBackWindowInDays": 180,
    }
    assert held["TotalSuggestionsCount"] == 0
    assert "LastClearTime" not in held
    client.query(IndexId=uid, QueryText="bicycle")
    client.update_query_suggestions_config(
        IndexId=uid,
        MinimumQueryCount=2,
        AttributeSuggestionsConfig={"SuggestableConfigList": [{"AttributeName": "department", "Suggestable": False}]},
    )
    held = client.describe_query_suggestions_config(IndexId=uid)
    assert (held["MinimumQueryCount"], held["TotalSuggestionsCount"]) == (2, 0)
    assert held["AttributeSuggestionsConfig"] == {
        "SuggestableConfigList": [{"AttributeName": "department", "Suggestable": False}],
        "AttributeSuggestionsMode": "ACTIVE",
    }
    client.query(IndexId=uid, QueryText="bicycle")
    assert client.describe_query_suggestions_config(IndexId=uid)["TotalSuggestionsCount"] == 1
    client.clear_query_suggestions(IndexId=uid)
    held = client.describe_query_suggestions_config(IndexId=uid)
    assert (held["TotalSuggestionsCount"], "LastClearTime" in held) == (0, True)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"MaxSuggestionsCount": 11}, "Expected a whole number from 1 to 10, got 11 - at `MaxSuggestionsCount`"),
        ({"SuggestionTypes": ["QUERY", "DOCUMENT_ATTRIBUTES"]}, "Expected 1 to 1 entries, got 2"),
        ({"SuggestionTypes": ["WORDS"]}, "one of QUERY, DOCUMENT_ATTRIBUTES, got 'WORDS'"),
        (
            {
                "SuggestionTypes": ["DOCUMENT_ATTRIBUTES"],
                "AttributeSuggestionsConfig": {"SuggestionAttributes": ["priority"]},
            },
            "The field 'priority' is of type LONG_VALUE",
        ),
    ],
)
def test_requests_are_checked(client: Client, ferries: Index, members: dict[str, Any], message: str) -> None:
    with pytest.raises(client.exceptions.ValidationException, match=message):
        client.get_query_suggestions(IndexId=ferries.uid, QueryText="fe", **members)
