"""Search analytics: intervals, figures against counting by hand, and the operation."""

from __future__ import annotations

import random
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from ragvec.kendra.client import Client
from ragvec.kendra.found import Answer, Found, Outcome
from ragvec.kendra.learn.analytics import INTERVALS, METRICS, bounds, report
from ragvec.kendra.learn.feedback import Verdict, submit
from ragvec.kendra.learn.journal import asked, record
from ragvec.kendra.notes import Notes
from ragvec.store import Index

START = datetime(2024, 5, 5, tzinfo=timezone.utc)
END = START + timedelta(days=7)


@pytest.fixture
def notes(ferries: Index) -> Notes:
    return Notes(ferries)


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        # A Wednesday.
        (
            "2024-05-15T13:00",
            {
                "THIS_WEEK": ("2024-05-12", "2024-05-15"),
                "ONE_WEEK_AGO": ("2024-05-05", "2024-05-12"),
                "TWO_WEEKS_AGO": ("2024-04-28", "2024-05-05"),
                "THIS_MONTH": ("2024-05-01", "2024-05-15"),
                "ONE_MONTH_AGO": ("2024-04-01", "2024-05-01"),
                "TWO_MONTHS_AGO": ("2024-03-01", "2024-04-01"),
            },
        ),
        # The first day of a month, of a year and of a week.
        (
            "2023-01-01T00:00",
            {
                "THIS_WEEK": ("2023-01-01", "2023-01-01"),
                "ONE_WEEK_AGO": ("2022-12-25", "2023-01-01"),
                "TWO_WEEKS_AGO": ("2022-12-18", "2022-12-25"),
                "THIS_MONTH": ("2023-01-01", "2023-01-01"),
                "ONE_MONTH_AGO": ("2022-12-01", "2023-01-01"),
                "TWO_MONTHS_AGO": ("2022-11-01", "2022-12-01"),
            },
        ),
    ],
)
def test_intervals(now: str, expected: dict[str, tuple[str, str]]) -> None:
    seconds = datetime.fromisoformat(f"{now}+00:00").timestamp()
    for interval in INTERVALS:
        first, last = bounds(interval, now=seconds)
        assert (f"{first:%Y-%m-%d}", f"{last:%Y-%m-%d}") == expected[interval]
        assert first.tzinfo is not None


def ask(notes: Notes, number: int, text: str, *, day: float, items: int = 2, answered: bool = False) -> None:
    found = tuple(Found(f"d{n}#0", f"d{n}", {}, 0.25 * (n + 1)) for n in range(items))
    answers = (Answer(found[0], 0, 1, "HIGH", 0.9),) if answered else ()
    outcome = Outcome(found, len(found), len(found), 1, 10, answers=answers)
    record(notes, f"q{number}", text, outcome, clock=lambda: (START + timedelta(days=day)).timestamp())


def click(notes: Notes, number: int, place: int, verdict: Verdict = "click") -> None:
    (query,) = [query for query in asked(notes) if query.id == f"q{number}"]
    submit(notes, query, [(place, verdict, query.at + 60)])


def rows(notes: Notes, metric: Any) -> list[dict[str, Any]]:
    found = report(notes, metric, start=START, end=END)
    return [dict(zip(found.columns, row, strict=True)) for row in found.rows]


@pytest.fixture
def week(notes: Notes) -> Notes:
    ask(notes, 0, "too early", day=-0.1)
    ask(notes, 1, "fares", day=0)
    ask(notes, 2, "Fares", day=1.5, answered=True)
    ask(notes, 3, "nothing", day=1.6, items=0)
    ask(notes, 4, "fares", day=6.9)
    ask(notes, 5, "too late", day=7)
    click(notes, 1, 1)
    click(notes, 4, 0)
    click(notes, 4, 1)
    click(notes, 4, 1, "relevant")
    click(notes, 5, 0)
    click(notes, 2, 1, "irrelevant")
    return notes


def test_top_queries(week: Notes) -> None:
    fares, nothing = rows(week, "QUERIES_BY_COUNT")
    assert fares == pytest.approx(
        {
            "query_content": "fares",
            "count": 3,
            "click_through_rate": 2 / 3,
            "zero_click_rate": 1 / 3,
            "click_depth": (2 + 1 + 2) / 3,
            "instant_answer_rate": 1 / 3,
            "confidence": 0.375,
        }
    )
    assert (nothing["query_content"], nothing["count"], nothing["confidence"]) == ("nothing", 1, None)


def test_queries_without_clicks_and_without_results(week: Notes) -> None:
    found = rows(week, "QUERIES_BY_ZERO_CLICK_RATE")
    assert [(row["query_content"], row["zero_click_count"]) for row in found] == [("fares", 1), ("nothing", 1)]
    assert [row["zero_click_rate"] for row in found] == pytest.approx([1 / 3, 1])
    assert rows(week, "QUERIES_BY_ZERO_RESULT_RATE") == [
        {"query_content": "nothing", "zero_result_count": 1, "zero_result_rate": 1.0, "share_of_queries": 0.25}
    ]


def test_clicked_documents(week: Notes) -> None:
    assert report(week, "DOCS_BY_CLICK_COUNT", start=START, end=END).rows == (("d1", 2, 1, 0), ("d0", 1, 0, 1))


def test_totals_and_days(week: Notes) -> None:
    (totals,) = rows(week, "AGG_QUERY_DOC_METRICS")
    assert totals == pytest.approx(
        {
            "total_documents": 4,
            "total_queries": 4,
            "click_through_rate": 0.5,
            "zero_click_rate": 0.5,
            "zero_result_rate": 0.25,
            "instant_answer_rate": 0.25,
        }
    )
    days = rows(week, "TREND_QUERY_DOC_METRICS")
    assert [(row["date"], row["total_queries"]) for row in days] == [
        ("2024-05-05", 1),
        ("2024-05-06", 2),
        ("2024-05-07", 0),
        ("2024-05-08", 0),
        ("2024-05-09", 0),
        ("2024-05-10", 0),
        ("2024-05-11", 1),
    ]
    assert (days[1]["zero_result_rate"], days[2]["zero_result_rate"]) == (0.5, None)


def test_lists_have_a_hundred_rows(notes: Notes) -> None:
    rng = random.Random(3)
    counts = {f"query {n:03}": rng.randrange(1, 4) for n in range(120)}
    number = 0
    for text, count in counts.items():
        for _ in range(count):
            number += 1
            ask(notes, number, text, day=1)
    expected = sorted(counts, key=lambda text: (-counts[text], text))[:100]
    assert [row["query_content"] for row in rows(notes, "QUERIES_BY_COUNT")] == expected


def test_snapshots_through_a_client(client: Client, notes: Notes) -> None:
    uid = notes.index.uid
    month = bounds("ONE_MONTH_AGO", now=datetime.now(tz=timezone.utc).timestamp())
    for number in range(3):
        outcome = Outcome((), 0, 0, 1, 10)
        record(notes, f"q{number}", f"query {number}", outcome, clock=lambda: month[0].timestamp() + 5)
    got = client.get_snapshots(IndexId=uid, Interval="ONE_MONTH_AGO", MetricType="QUERIES_BY_COUNT", MaxResults=2)
    assert got["SnapShotTimeFilter"] == {"StartTime": month[0], "EndTime": month[1]}
    assert got["SnapshotsDataHeader"][:2] == ["query_content", "count"]
    assert got["SnapshotsData"][0] == ["query 0", "1", "0.0000", "1.0000", "-", "0.0000", "-"]
    rest = client.get_snapshots(
        IndexId=uid, Interval="ONE_MONTH_AGO", MetricType="QUERIES_BY_COUNT", NextToken=got["NextToken"]
    )
    assert [row[0] for row in rest["SnapshotsData"]] == ["query 2"]
    for metric in METRICS:
        for interval in INTERVALS:
            found = client.get_snapshots(IndexId=uid, Interval=interval, MetricType=metric)
            assert all(len(row) == len(found["SnapshotsDataHeader"]) for row in found["SnapshotsData"])
    with pytest.raises(client.exceptions.InvalidRequestException, match="one of THIS_MONTH, .* got 'TODAY'"):
        client.get_snapshots(IndexId=uid, Interval="TODAY", MetricType="QUERIES_BY_COUNT")
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.get_snapshots(IndexId="0" * 36, Interval="THIS_WEEK", MetricType="QUERIES_BY_COUNT")
