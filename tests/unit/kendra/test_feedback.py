"""Feedback: what it adds to the relevance of a document, who counts how often, and the judged pairs it makes."""

from __future__ import annotations

import random
from datetime import datetime, timezone
from typing import Any

import pytest

from ragvec.kendra.client import Client
from ragvec.kendra.learn import feedback
from ragvec.kendra.learn.feedback import (
    HALF_LIFE,
    Judgement,
    boosts,
    judgements,
    judgements_frame,
    submit,
    votes,
)
from ragvec.kendra.learn.journal import Asked, Shown
from ragvec.kendra.notes import Notes
from ragvec.store import Index

CLICKED = datetime(2024, 5, 1, tzinfo=timezone.utc)


@pytest.fixture
def notes(ferries: Index) -> Notes:
    return Notes(ferries)


def query(text: str, *, who: str | None = None, number: int = 0) -> Asked:
    return Asked(f"q{number}", 0.0, text, who, 1, 2, 0.5, (Shown("DOCUMENT", "a"), Shown("DOCUMENT", "b")))


def say(notes: Notes, asked: Asked, verdict: Any, *, place: int = 0, at: float = 0.0) -> None:
    submit(notes, asked, [(place, verdict, None)], clock=lambda: at)


def now(notes: Notes, text: str, *, at: float = 0.0) -> dict[str, float]:
    return dict(boosts(notes, text, clock=lambda: at))


def test_a_vote_moves_its_document_for_queries_of_the_same_words(notes: Notes) -> None:
    assert now(notes, "ferry fares") == {}
    say(notes, query("ferry fares"), "relevant")
    say(notes, query("ferry fares"), "irrelevant", place=1)

    for text in ("ferry fares", "Fares of the FERRY?"):
        assert now(notes, text) == pytest.approx({"a": 0.2 / 3, "b": -0.2 / 3})
    assert now(notes, "ferry") == {}
    assert now(notes, "the of") == {}


def test_the_formula(notes: Notes) -> None:
    for number in range(3):
        say(notes, query("fares", number=number), "relevant")
    say(notes, query("fares", number=3), "irrelevant")
    say(notes, query("fares", number=4), "click")
    total = 3 - 1 + 0.3
    assert now(notes, "fares") == pytest.approx({"a": 0.2 * total / (total + 2)})
    total /= 2
    assert now(notes, "fares", at=HALF_LIFE) == pytest.approx({"a": 0.2 * total / (total + 2)})
    assert now(notes, "fares", at=40 * HALF_LIFE)["a"] < 1e-9


def test_never_more_than_a_fifth(notes: Notes) -> None:
    for number in range(200):
        say(notes, query("fares", number=number), "relevant")
        say(notes, query("fares", number=number), "irrelevant", place=1)
    assert 0.19 < now(notes, "fares")["a"] < 0.2
    assert -0.2 < now(notes, "fares")["b"] < -0.19


def test_a_person_counts_once_and_by_the_last_verdict(notes: Notes) -> None:
    for number in range(5):
        say(notes, query("fares", who="ana", number=number), "relevant", at=number)
        say(notes, query("fares", who="ana", number=number), "click", at=number)
    assert now(notes, "fares", at=4) == pytest.approx({"a": 0.2 * 1.3 / 3.3})
    say(notes, query("fares", who="ana", number=9), "irrelevant", at=9)
    assert now(notes, "fares", at=9)["a"] == pytest.approx(0.2 * -0.7 / 2.7, rel=1e-4)


def test_many_votes_are_merged_and_nothing_changes(notes: Notes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feedback, "_ENTRIES", 3)
    rng, plain = random.Random(1), {}
    for number in range(40):
        who, place = rng.choice("abcdef"), rng.randrange(2)
        verdict = rng.choice(["relevant", "irrelevant"])
        plain[who, place] = 1.0 if verdict == "relevant" else -1.0
        say(notes, query("fares", who=who, number=number), verdict, place=place, at=number / 1000)
    sums = [sum(weight for (_, place), weight in plain.items() if place == wanted) for wanted in (0, 1)]
    found = now(notes, "fares", at=0.04)
    for name, total in zip("ab", sums, strict=True):
        assert found.get(name, 0.0) == pytest.approx(0.2 * total / (abs(total) + 2), abs=1e-6)
    assert len(notes.entries("feedback")) <= 4
    assert len(votes(notes)) == 40


def test_judged_pairs(notes: Notes) -> None:
    say(notes, query("fares", number=1), "relevant")
    say(notes, query("fares", number=2), "click", place=1)
    say(notes, query("crew", number=3), "irrelevant")
    say(notes, query("tie", number=4), "relevant")
    say(notes, query("tie", number=5), "irrelevant")
    expected = (Judgement("crew", "a", 0), Judgement("fares", "a", 2), Judgement("fares", "b", 1))
    assert judgements(notes) == expected
    frame = judgements_frame(notes)
    assert list(frame.columns) == ["query", "document", "grade"]
    assert list(frame.itertuples(index=False, name=None)) == [(e.query, e.document, e.grade) for e in expected]


def test_feedback_through_a_client(client: Client, ferries: Index) -> None:
    uid = ferries.uid
    found = client.query(IndexId=uid, QueryText="bicycle ferry")
    items = {item["DocumentId"]: item["Id"] for item in found["ResultItems"] if item["Type"] == "DOCUMENT"}
    client.submit_feedback(
        IndexId=uid,
        QueryId=found["QueryId"],
        ClickFeedbackItems=[{"ResultId": items["fares.md"], "ClickTime": CLICKED}],
        RelevanceFeedbackItems=[
            {"ResultId": items["fares.md"], "RelevanceValue": "RELEVANT"},
            {"ResultId": items["deck/bicycles.md"], "RelevanceValue": "NOT_RELEVANT"},
        ],
    )
    moved = boosts(Notes(ferries), "Ferry bicycles")
    assert moved["fares.md"] > 0.06
    assert moved["deck/bicycles.md"] == pytest.approx(-0.2 / 3, rel=1e-3)
    clicked = [vote for vote in votes(Notes(ferries)) if vote.verdict == "click"]
    assert [vote.at for vote in clicked] == [CLICKED.timestamp()]


def test_what_feedback_is_about_must_be_known(client: Client, ferries: Index) -> None:
    uid = ferries.uid
    found = client.query(IndexId=uid, QueryText="bicycle")
    query_id, result = found["QueryId"], found["ResultItems"][0]["Id"]
    said = {"RelevanceFeedbackItems": [{"ResultId": result, "RelevanceValue": "RELEVANT"}]}
    with pytest.raises(client.exceptions.ResourceUnavailableException, match="keeps no query with the id"):
        client.submit_feedback(IndexId=uid, QueryId="0" * 36, **said)
    other = [{"ResultId": "x", "RelevanceValue": "RELEVANT"}]
    with pytest.raises(client.exceptions.ResourceUnavailableException, match="has no result with the id 'x'"):
        client.submit_feedback(IndexId=uid, QueryId=query_id, RelevanceFeedbackItems=other)
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.submit_feedback(IndexId="0" * 36, QueryId=query_id, **said)
    with pytest.raises(client.exceptions.ValidationException, match="got neither"):
        client.submit_feedback(IndexId=uid, QueryId=query_id)
    wrong = [{"ResultId": result, "RelevanceValue": "GOOD"}]
    with pytest.raises(client.exceptions.ValidationException, match="one of RELEVANT, NOT_RELEVANT, got 'GOOD'"):
        client.submit_feedback(IndexId=uid, QueryId=query_id, RelevanceFeedbackItems=wrong)
    assert votes(Notes(ferries)) == []
