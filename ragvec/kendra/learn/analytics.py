"""Search analytics: what was asked and clicked within a time, from the journal and the feedback of an index.

Shares are of queries, from 0 to 1; later pages of a query are no queries of their own. A query is clicked when feedback
names a click on one of its results; the depth of a click is the place of the result on its page, from 1. An instant
answer is a result of type ANSWER or QUESTION_ANSWER. Times are in UTC, days and weeks too; weeks begin on Sunday.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import msgspec

from ragvec.extras import require
from ragvec.filters.nodes import Eq
from ragvec.kendra.learn.feedback import Vote, votes
from ragvec.kendra.learn.journal import Asked, asked
from ragvec.kendra.notes import Notes
from ragvec.pipeline.passages import PASSAGE

if TYPE_CHECKING:
    import pandas

__all__ = ["INTERVALS", "METRICS", "TOP", "Interval", "Metric", "Report", "bounds", "report"]

Interval: TypeAlias = Literal[
    "THIS_MONTH", "THIS_WEEK", "ONE_WEEK_AGO", "TWO_WEEKS_AGO", "ONE_MONTH_AGO", "TWO_MONTHS_AGO"
]
Metric: TypeAlias = Literal[
    "QUERIES_BY_COUNT",
    "QUERIES_BY_ZERO_CLICK_RATE",
    "QUERIES_BY_ZERO_RESULT_RATE",
    "DOCS_BY_CLICK_COUNT",
    "AGG_QUERY_DOC_METRICS",
    "TREND_QUERY_DOC_METRICS",
]
INTERVALS: tuple[Interval, ...] = get_args(Interval)
METRICS: tuple[Metric, ...] = get_args(Metric)
TOP = 100
"""Rows of the lists of queries and documents."""

_ANSWERS = frozenset({"ANSWER", "QUESTION_ANSWER"})
_DAY = timedelta(days=1)
_WEEK = timedelta(days=7)


class Report(msgspec.Struct, frozen=True):
    """A table: the names of its columns, and its rows, with None where there is nothing to say."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]

    def to_pandas(self) -> pandas.DataFrame:
        """The table as a DataFrame. Raises MissingExtra: pandas is not installed."""
        frames = require("pandas", extra="notebook", purpose="to_pandas()")
        frame: pandas.DataFrame = frames.DataFrame(list(self.rows), columns=list(self.columns))
        return frame


def bounds(interval: Interval, *, now: float) -> tuple[datetime, datetime]:
    """The first moment of an interval and the first after it. The current week and month end before today."""
    today = datetime.fromtimestamp(now, tz=timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)
    sunday = today - _DAY * (today.isoweekday() % 7)
    first = today.replace(day=1)
    if interval == "THIS_WEEK":
        return sunday, today
    if interval == "ONE_WEEK_AGO":
        return sunday - _WEEK, sunday
    if interval == "TWO_WEEKS_AGO":
        return sunday - 2 * _WEEK, sunday - _WEEK
    if interval == "THIS_MONTH":
        return first, today
    before = (first - _DAY).replace(day=1)
    return (before, first) if interval == "ONE_MONTH_AGO" else ((before - _DAY).replace(day=1), before)


def report(notes: Notes, metric: Metric, *, start: datetime, end: datetime) -> Report:
    """What the queries from `start` until before `end` say. Lists have 100 rows at most, the largest numbers first."""
    first, last = start.timestamp(), end.timestamp()
    given = votes(notes)
    if metric == "DOCS_BY_CLICK_COUNT":
        return _documents([vote for vote in given if first <= vote.at < last])
    queries = [query for query in asked(notes, since=first) if query.at < last and query.page == 1]
    seen = _Seen(queries, given)
    if metric == "QUERIES_BY_COUNT":
        return seen.top()
    if metric == "QUERIES_BY_ZERO_CLICK_RATE":
        return seen.without_clicks()
    if metric == "QUERIES_BY_ZERO_RESULT_RATE":
        return seen.without_results()
    if metric == "AGG_QUERY_DOC_METRICS":
        totals = seen.totals(queries)
        documents = notes.index.count(Eq(PASSAGE, 0))
        return Report(("total_documents", *_TOTALS), ((documents, *totals),))
    days = []
    while start < end:
        following = start + _DAY
        those = [query for query in queries if start.timestamp() <= query.at < following.timestamp()]
        days.append((f"{start:%Y-%m-%d}", *seen.totals(those)))
        start = following
    return Report(("date", *_TOTALS), tuple(days))


_TOTALS = ("total_queries", "click_through_rate", "zero_click_rate", "zero_result_rate", "instant_answer_rate")


class _Seen:
    """Queries with the clicks on their results."""

    def __init__(self, queries: Sequence[Asked], given: Sequence[Vote]) -> None:
        self._queries = queries
        self._clicks: dict[str, list[int]] = {}
        for vote in given:
            if vote.verdict == "click":
                self._clicks.setdefault(vote.query, []).append(vote.rank)
        self._by_text: dict[str, list[Asked]] = {}
        for query in queries:
            self._by_text.setdefault(query.text, []).append(query)

    def totals(self, queries: Sequence[Asked]) -> tuple[Any, ...]:
        """The figures of `_TOTALS`."""
        clicked = _share(queries, self._clicked)
        return (
            len(queries),
            clicked,
            None if clicked is None else 1 - clicked,
            _share(queries, _found_nothing),
            _share(queries, _answered),
        )

    def top(self) -> Report:
        rows = []
        for text, same in self._by_text.items():
            clicked = _share(same, self._clicked) or 0.0
            depths = [rank for query in same for rank in self._clicks.get(query.id, ())]
            depth = _mean(depths)
            rows.append((text, len(same), clicked, 1 - clicked, depth, _share(same, _answered), _confidence(same)))
        columns = (
            "query_content",
            "count",
            "click_through_rate",
            "zero_click_rate",
            "click_depth",
            "instant_answer_rate",
            "confidence",
        )
        return _first(columns, rows)

    def without_clicks(self) -> Report:
        rows = []
        for text, same in self._by_text.items():
            missed = [query for query in same if not self._clicked(query)]
            if missed:
                share = len(missed) / len(same)
                rows.append((text, len(missed), share, _share(same, _answered), _confidence(same)))
        columns = ("query_content", "zero_click_count", "zero_click_rate", "instant_answer_rate", "confidence")
        return _first(columns, rows)

    def without_results(self) -> Report:
        rows = []
        for text, same in self._by_text.items():
            missed = sum(map(_found_nothing, same))
            if missed:
                rows.append((text, missed, missed / len(same), len(same) / len(self._queries)))
        return _first(("query_content", "zero_result_count", "zero_result_rate", "share_of_queries"), rows)

    def _clicked(self, query: Asked) -> bool:
        return query.id in self._clicks


def _documents(given: Sequence[Vote]) -> Report:
    """How often documents were clicked and judged."""
    counted = Counter((vote.document, vote.verdict) for vote in given)
    rows = [
        (document, counted[document, "click"], counted[document, "relevant"], counted[document, "irrelevant"])
        for document in {vote.document for vote in given}
    ]
    return _first(("document_id", "click_count", "likes", "dislikes"), rows)


def _first(columns: tuple[str, ...], rows: list[tuple[Any, ...]]) -> Report:
    return Report(columns, tuple(sorted(rows, key=lambda row: (-row[1], row[0]))[:TOP]))


def _share(queries: Sequence[Asked], which: Callable[[Asked], bool]) -> float | None:
    return sum(map(which, queries)) / len(queries) if queries else None


def _found_nothing(query: Asked) -> bool:
    return query.total == 0


def _answered(query: Asked) -> bool:
    return any(shown.type in _ANSWERS for shown in query.shown)


def _confidence(queries: Sequence[Asked]) -> float | None:
    return _mean([query.confidence for query in queries if query.confidence is not None])


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
