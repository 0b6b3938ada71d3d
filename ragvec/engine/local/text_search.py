"""Ranking by text and by vector within one snapshot: BM25 over the inverted lists of the text fields, ties by key."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from ragvec.ann.exact import among
from ragvec.engine.local.matches import Matches
from ragvec.engine.local.row_bitmaps import array_of
from ragvec.engine.local.search import Trace, search
from ragvec.engine.local.snapshot import Snapshot
from ragvec.engine.local.text_feed import TextFeed
from ragvec.engine.protocol import Explanation, Ranked, RowScores, TextQuery, TextRanking, TextStats
from ragvec.errors import Corrupted
from ragvec.filters.nodes import EVERYTHING, Filter
from ragvec.text.bm25 import Statistics, top
from ragvec.types import Distances, FloatVector, RowArray

__all__ = ["explain_texts", "rank", "scores", "text_stats"]

T = TypeVar("T")

_FEW = 8
"""Where fewer than one in so many rows match a filter, these are looked up in the lists; else the lists are read, and
rows that do not match passed over."""

_STATISTICS = "text statistics"

_SHOWN = 12
"""Terms that `explain` names."""


class _Asked(NamedTuple):
    """A text query taken apart: `terms` with their weights, `counted` the rows that statistics are of, None for all."""

    feed: TextFeed
    terms: Mapping[str, float]
    counted: Matches | None


def rank(
    snapshot: Snapshot,
    *,
    vector: FloatVector | None,
    texts: Sequence[TextQuery],
    depth: int,
    where: Filter,
    recall_target: float,
    effort: float,
    counted: Filter = EVERYTHING,
    trace: Trace | None = None,
) -> Ranked:
    """As `ragvec.engine.protocol.IndexEngine.rank`."""
    asked = [_asked(snapshot, text, counted=counted) for text in texts]
    matches = None if where is EVERYTHING or where == EVERYTHING else snapshot.matches(where)
    if trace is not None and asked and matches is not None:
        trace.step("filter", rows=snapshot.rows, candidates=matches.count)
    rankings = tuple(_ranking(snapshot, one, depth=depth, matches=matches, trace=trace) for one in asked)
    near = None
    if vector is not None:
        (near,) = search(
            snapshot,
            vector[np.newaxis],
            k=depth,
            where=where,
            recall_target=recall_target,
            effort=effort,
            trace=trace,
        )
    return Ranked(snapshot.generation.number, rankings, near, (snapshot, counted))


def scores(
    snapshot: Snapshot, counted: Filter, rows: RowArray, *, vector: FloatVector | None, texts: Sequence[TextQuery]
) -> RowScores:
    """As `ragvec.engine.protocol.IndexEngine.scores`."""
    order = np.argsort(rows, kind="stable")
    ascending = rows[order]
    found = []
    for text in texts:
        one = _asked(snapshot, text, counted=counted)
        scored = np.zeros(len(rows), np.float32)
        if len(rows):
            use = partial(top, query=one.terms, k=len(ascending), among=ascending)
            hits = _with_lists(snapshot, one, use)
            scored[order[np.searchsorted(ascending, hits.rows)]] = hits.scores
        found.append(scored)
    return RowScores(tuple(found), None if vector is None else _distances(snapshot, ascending, order, vector))


def explain_texts(
    snapshot: Callable[[], Snapshot],
    query: FloatVector | None,
    *,
    texts: Sequence[TextQuery],
    k: int,
    where: Filter,
    recall_target: float,
    effort: float,
) -> Explanation:
    """Rank once to bring everything into memory, then again step by step."""

    def once(seen: Snapshot, trace: Trace | None) -> Ranked:
        return rank(
            seen,
            vector=query,
            texts=texts,
            depth=k,
            where=where,
            recall_target=recall_target,
            effort=effort,
            trace=trace,
        )

    once(snapshot(), None)
    trace = Trace()
    seen = snapshot()
    trace.step("snapshot", rows=seen.rows, candidates=seen.live, detail=f"change {max(seen.sequence, 0):,}")
    ranked = once(seen, trace)
    exact = ranked.vector is None or ranked.vector.exact
    return Explanation(
        k=k,
        rows=seen.rows,
        matches=seen.live if where == EVERYTHING else seen.matches(where).count,
        effort=effort,
        exact=exact,
        recall=1.0 if exact else min(segment.ann.report.recall(k, recall_target) for segment in seen.segments()),
        steps=tuple(trace.steps),
    )


def text_stats(snapshot: Snapshot) -> tuple[TextStats, ...]:
    """Figures of the text fields whose analyzers are installed here, of as many rows as have lists already."""
    feeds, found = snapshot.generation.text, []
    dead = array_of(snapshot.dead)
    for feed in feeds.usable():
        lists = feed.known(snapshot.rows)
        end = lists[-1].last if lists else 0
        statistics = Statistics(lists, dead=dead[: np.searchsorted(dead, end)])
        terms, rows, size = feed.files()
        found.append(
            TextStats(
                key=feed.field.key,
                language=feed.field.language,
                status=feed.status(snapshot.rows),
                documents=statistics.documents,
                tokens=round(statistics.average_length * statistics.documents),
                terms=terms,
                rows=rows,
                bytes=size,
            )
        )
    return tuple(found)


def _asked(snapshot: Snapshot, text: TextQuery, *, counted: Filter) -> _Asked:
    feed = snapshot.generation.text.of(text.key)
    terms = feed.analyzer.query(text.text)
    matches = None if counted == EVERYTHING else snapshot.matches(counted)
    if matches is not None and matches.count == snapshot.live:
        matches = None
    return _Asked(feed, {term: weight * text.weight for term, weight in terms.items()}, matches)


def _ranking(
    snapshot: Snapshot, asked: _Asked, *, depth: int, matches: Matches | None, trace: Trace | None
) -> TextRanking:
    if trace is not None:
        frequencies = _with_lists(
            snapshot, asked, lambda statistics: {term: statistics.frequency(term) for term in asked.terms}
        )
        trace.step(
            f"text {asked.feed.field.key}",
            rows=snapshot.rows,
            candidates=sum(frequencies.values()),
            detail=f"{asked.feed.analyzer.name}: {_listed(frequencies)}",
        )
    if not asked.terms or not depth or (matches is not None and not matches.count):
        return TextRanking(np.empty(0, np.uint32), np.empty(0, np.float32))
    if matches is None:
        alive, rows = snapshot.alive, None
    elif matches.count * _FEW < snapshot.rows:
        alive, rows = None, matches.rows
    else:
        alive, rows = matches.mask, None
    found = _with_lists(
        snapshot, asked, lambda statistics: top(statistics, asked.terms, k=depth, alive=alive, among=rows)
    )
    if trace is not None:
        trace.step("bm25", rows=snapshot.live if matches is None else matches.count, candidates=len(found.rows))
    ordered, scored = _by_key(snapshot, found.rows, found.scores, depth=depth)
    ranking = TextRanking(
        ordered, scored, _with_lists(snapshot, asked, lambda statistics: statistics.once(asked.terms))
    )
    if trace is not None:
        trace.step("order", rows=len(found.rows), candidates=len(ranking.rows))
    return ranking


def _with_lists(snapshot: Snapshot, asked: _Asked, use: Callable[[Statistics], T]) -> T:
    """What `use` makes of the statistics of a snapshot; lists that prove to be damaged meanwhile are made anew."""
    try:
        return use(_statistics(snapshot, asked))
    except Corrupted as damage:
        asked.feed.recover(damage)
        _kept(snapshot, asked).pop(asked.feed, None)
        return use(_statistics(snapshot, asked))


def _statistics(snapshot: Snapshot, asked: _Asked) -> Statistics:
    kept, feed = _kept(snapshot, asked), asked.feed
    found = kept.get(feed)
    if found is None:
        mask = None if asked.counted is None else asked.counted.mask
        found = kept[feed] = Statistics(feed.lists(snapshot.rows), dead=array_of(snapshot.dead), counted=mask)
    return found


def _kept(snapshot: Snapshot, asked: _Asked) -> dict[TextFeed, Statistics]:
    """Where statistics of such rows are kept: with the snapshot, or with the matches of the filter in it."""
    if asked.counted is None:
        return snapshot.texts
    kept: dict[TextFeed, Statistics] = asked.counted.searches.setdefault(_STATISTICS, {})
    return kept


def _by_key(snapshot: Snapshot, rows: RowArray, found: FloatVector, *, depth: int) -> tuple[RowArray, FloatVector]:
    """The best `depth`, in order of score, equal ones in byte order of key."""
    same = found[1:] == found[:-1]
    if same.any():
        tied = np.zeros(len(rows), dtype=np.bool_)
        tied[1:] |= same
        tied[:-1] |= same
        positions = np.flatnonzero(tied)
        keys = snapshot.generation.keys(rows[positions])
        ordered = [at for _, _, at in sorted(zip((-found[positions]).tolist(), keys, positions.tolist(), strict=True))]
        rows = rows.copy()
        rows[positions] = rows[ordered]
    return rows[:depth], found[:depth]


def _distances(snapshot: Snapshot, ascending: RowArray, order: npt.NDArray[np.intp], vector: FloatVector) -> Distances:
    distances = np.zeros(len(ascending), np.float32)
    if len(ascending):
        (near,) = among(
            snapshot.generation.vectors.rows(snapshot.rows),
            vector[np.newaxis],
            candidates=ascending,
            k=len(ascending),
            metric=snapshot.generation.spec.metric,
        )
        distances[order[np.searchsorted(ascending, near.rows)]] = near.distances
    return distances


def _listed(frequencies: Mapping[str, int]) -> str:
    rarest = sorted(frequencies.items(), key=lambda item: (item[1], item[0]))
    named = ", ".join(f"{term} {count:,}" for term, count in rarest[:_SHOWN])
    return named + (f" and {len(rarest) - _SHOWN} more" if len(rarest) > _SHOWN else "")
