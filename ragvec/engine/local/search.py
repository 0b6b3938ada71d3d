"""Search within one snapshot: a plan by the number of matching rows, candidates, exact distances, ties by key."""

from __future__ import annotations

from typing import Literal

import msgspec
import numpy as np
import numpy.typing as npt
from pyroaring import BitMap

from ragvec.ann.exact import Neighbours, nearest, rescore
from ragvec.distance import exact_distances
from ragvec.engine.local.segments import Segment
from ragvec.engine.local.snapshot import Snapshot
from ragvec.engine.protocol import Ranking
from ragvec.filters.nodes import EVERYTHING, Filter
from ragvec.types import FloatMatrix, FloatVector, RowArray

__all__ = ["EXACT_MATCHES", "Plan", "plan", "search"]

EXACT_MATCHES = 20_000
"""Up to this many matching rows are all scored exactly: their gather and product take about as long as a filtered ANN
search."""

_FILTERED_FETCH = 2.0
"""Under a filter, segments are asked for this many times the neighbours of which k match on average (for a small k for
somewhat more, since chance then plays a larger part)."""

_DENSE = 4
"""A scan of everything with a mask beats gathering the matches from one match in this many rows on."""


_WIDER = 4
"""The factor by which a segment is asked for more."""

_WIDEST = 0.25
"""Asking for more than this share of all rows costs more than exact search."""

_LAST = 9
"""How many of the last proposals tell how far a segment has looked."""


class Plan(msgspec.Struct, frozen=True):
    """How a search will run: "scan" every row with a mask, "gather" the matching rows, or ask the "segments".

    `matches` is the number of rows that satisfy the filter, `fetch` the neighbours asked of each segment at first.
    """

    kind: Literal["scan", "gather", "segments"]
    matches: int
    fetch: int = 0


def plan(*, rows: int, matches: int, k: int, segment_rows: int) -> Plan:
    """Choose by cost. `rows` are all, `matches` those that satisfy the filter and live, `segment_rows` those that
    segments cover."""
    if segment_rows and matches > EXACT_MATCHES:
        # Of the neighbours that a segment proposes only the matching share counts; the wider net also finds matches
        # that lie off the leaves where most neighbours are.
        wanted = max(_FILTERED_FETCH * k, k + 4 * k**0.5 + 8)
        fetch = k if matches == rows else int(np.ceil(wanted * rows / matches))
        if fetch < _WIDEST * segment_rows:
            return Plan("segments", matches, fetch)
    if matches * _DENSE >= rows:
        return Plan("scan", matches)
    return Plan("gather", matches)


def search(snapshot: Snapshot, queries: FloatMatrix, *, k: int, where: Filter) -> list[Ranking]:
    """One ranking a query, each of min(k, matches) rows, nearest first, ties by key."""
    matching = None if where == EVERYTHING else snapshot.matching(where)
    matches = snapshot.live if matching is None else len(matching)
    segments = snapshot.segments()
    covered = segments[-1].last if segments else 0
    chosen = plan(rows=snapshot.rows, matches=matches, k=k, segment_rows=covered)
    k = min(k, matches)
    if k == 0:
        found = [Neighbours(np.empty(0, np.uint32), np.empty(0, np.float32)) for _ in queries]
    elif chosen.kind == "segments":
        found = _segments(snapshot, queries, k=k, matching=matching, segments=segments, fetch=chosen.fetch)
    else:
        found = _exact(snapshot, queries, k=k, matching=matching)
    exact = k == 0 or chosen.kind != "segments"
    return [_rank(snapshot, neighbours, k=k, exact=exact) for neighbours in found]


def _scan(
    snapshot: Snapshot, queries: FloatMatrix, *, k: int, keep: npt.NDArray[np.bool_] | None, first: int = 0
) -> list[Neighbours]:
    """Exact search over rows [first, snapshot.rows), rows numbered as in the whole."""
    vectors = snapshot.generation.vectors
    found = nearest(
        vectors.rows(snapshot.rows)[first:],
        queries,
        k=k,
        metric=snapshot.generation.spec.metric,
        norms=vectors.norms(first, snapshot.rows),
        keep=None if keep is None else keep[first:],
    )
    if not first:
        return found
    return [Neighbours(rows + np.uint32(first), distances) for rows, distances in found]


def _exact(snapshot: Snapshot, queries: FloatMatrix, *, k: int, matching: BitMap | None) -> list[Neighbours]:
    matches = snapshot.live if matching is None else len(matching)
    if matches * _DENSE >= snapshot.rows:
        return _scan(snapshot, queries, k=k, keep=_mask(snapshot, matching))
    rows = snapshot.generation.vectors.rows(snapshot.rows)
    candidates = _array(matching if matching is not None else snapshot.matching(EVERYTHING))
    metric = snapshot.generation.spec.metric
    return [rescore(rows, query, candidates=candidates, k=k, metric=metric) for query in queries]


def _segments(
    snapshot: Snapshot,
    queries: FloatMatrix,
    *,
    k: int,
    matching: BitMap | None,
    segments: tuple[Segment, ...],
    fetch: int,
) -> list[Neighbours]:
    keep = _mask(snapshot, matching)
    covered = segments[-1].last
    tail = _scan(snapshot, queries, k=k, keep=keep, first=covered) if covered < snapshot.rows else None
    proposals = [segment.ann.candidates(queries, k=fetch) for segment in segments]
    found = []
    for position, query in enumerate(queries):
        newest = None if tail is None else tail[position].rows
        best = _nearest_proposed(
            snapshot,
            query,
            k=k,
            keep=keep,
            segments=segments,
            proposed=[candidates[position] for candidates in proposals],
            newest=newest,
            fetch=fetch,
        )
        found.append(best or _exact(snapshot, query[np.newaxis], k=k, matching=matching)[0])
    return found


def _nearest_proposed(
    snapshot: Snapshot,
    query: FloatVector,
    *,
    k: int,
    keep: npt.NDArray[np.bool_] | None,
    segments: tuple[Segment, ...],
    proposed: list[RowArray],
    newest: RowArray | None,
    fetch: int,
) -> Neighbours | None:
    """The k nearest of what the segments propose and the `newest` rows; None when exact search is the better way.

    A segment proposes its nearest rows, kept or not, so it has said all that matters once its proposals reach as far
    as the k-th neighbour. A segment whose proposals do not is asked once for more, if there are kept rows around the
    query at all. Where the matches of a filter lie far from it, the leaves that a segment looks into are the wrong ones
    however much is asked of them.
    """
    rows = snapshot.generation.vectors.rows(snapshot.rows)
    metric = snapshot.generation.spec.metric
    proposed = list(proposed)
    widened = False
    while True:
        kept = [_kept(segment, positions, keep) for segment, positions in zip(segments, proposed, strict=True)]
        candidates = np.concatenate(kept if newest is None else [*kept, newest])
        best = rescore(rows, query, candidates=candidates, k=k, metric=metric) if len(candidates) >= k else None
        short = [
            at
            for at, segment in enumerate(segments)
            if len(proposed[at]) < segment.last - segment.first
            and not (best and _reaches(rows, query, segment, proposed[at], best=best, k=k, filtered=keep is not None))
        ]
        if not short:
            return best
        if widened or sum(map(len, kept)) * _WIDER < _FILTERED_FETCH * k or fetch * _WIDER > _WIDEST * snapshot.rows:
            return None
        widened = True
        for at in short:
            proposed[at] = segments[at].ann.candidates(query[np.newaxis], k=fetch * _WIDER)[0]


def _reaches(
    rows: FloatMatrix,
    query: FloatVector,
    segment: Segment,
    positions: RowArray,
    *,
    best: Neighbours,
    k: int,
    filtered: bool,
) -> bool:
    """Whether the proposals go as far as the k-th of `best`, judged by the last few, whose order is only an estimate.

    Where several of these tie with it, the key decides, and ties that were not proposed may have a lesser one.
    """
    distance = best.distances[k - 1]
    last = positions[-_LAST:] + np.uint32(segment.first)
    distances = exact_distances(rows[last], query, metric=segment.ann.report.metric)
    if not len(distances) or (distances.max() <= distance and np.count_nonzero(distances == distance) > 1):
        return False
    return not filtered or bool(np.median(distances) >= distance)


def _kept(segment: Segment, positions: RowArray, keep: npt.NDArray[np.bool_] | None) -> RowArray:
    rows: RowArray = positions + np.uint32(segment.first)
    if keep is None:
        return rows
    kept: RowArray = rows[keep[rows]]
    return kept


def _mask(snapshot: Snapshot, matching: BitMap | None) -> npt.NDArray[np.bool_] | None:
    if matching is None:
        return snapshot.alive
    mask = np.zeros(snapshot.rows, dtype=np.bool_)
    mask[_array(matching)] = True
    return mask


def _array(bitmap: BitMap) -> RowArray:
    return np.frombuffer(bitmap.to_array(), dtype=np.uint32) if len(bitmap) else np.empty(0, dtype=np.uint32)


def _rank(snapshot: Snapshot, found: Neighbours, *, k: int, exact: bool) -> Ranking:
    rows, distances = found
    tied = np.zeros(len(rows), dtype=np.bool_)
    if len(rows) > 1:
        same = distances[1:] == distances[:-1]
        tied[1:] |= same
        tied[:-1] |= same
    if tied.any():
        positions = np.flatnonzero(tied)
        stored = snapshot.generation.records.by_rows(rows[positions].tolist(), metadata=False)
        ordered = sorted(positions.tolist(), key=lambda at: (distances[at], stored[int(rows[at])].key))
        rows = rows.copy()
        rows[positions] = rows[ordered]
    return Ranking(rows=rows[:k], distances=distances[:k], generation=snapshot.generation.number, exact=exact)
