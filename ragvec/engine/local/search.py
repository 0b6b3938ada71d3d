"""Search within one snapshot: a plan by the number of matching rows, candidates, exact distances, ties by key."""

from __future__ import annotations

from typing import Literal

import msgspec
import numpy as np
import numpy.typing as npt
from pyroaring import BitMap

from ragvec.ann.exact import Neighbours, nearest, rescore
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
"""Under a filter, segments are asked for this many times the neighbours of which k match on average."""

_DENSE = 4
"""A scan of everything with a mask beats gathering the matches from one match in this many rows on."""


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
        fetch = k if matches == rows else int(np.ceil(_FILTERED_FETCH * k * rows / matches))
        if fetch < segment_rows // 4:
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
    elif chosen.kind == "scan":
        found = _scan(snapshot, queries, k=k, keep=_mask(snapshot, matching))
    elif chosen.kind == "gather":
        rows = snapshot.generation.vectors.rows(snapshot.rows)
        candidates = _array(matching if matching is not None else snapshot.matching(EVERYTHING))
        found = [
            rescore(rows, query, candidates=candidates, k=k, metric=snapshot.generation.spec.metric)
            for query in queries
        ]
    else:
        found = _segments(snapshot, queries, k=k, keep=_mask(snapshot, matching), segments=segments, fetch=chosen.fetch)
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


def _segments(
    snapshot: Snapshot,
    queries: FloatMatrix,
    *,
    k: int,
    keep: npt.NDArray[np.bool_] | None,
    segments: tuple[Segment, ...],
    fetch: int,
) -> list[Neighbours]:
    rows = snapshot.generation.vectors.rows(snapshot.rows)
    metric = snapshot.generation.spec.metric
    covered = segments[-1].last
    tail = _scan(snapshot, queries, k=k, keep=keep, first=covered) if covered < snapshot.rows else None
    proposals = [segment.ann.candidates(queries, k=fetch) for segment in segments]
    found = []
    for position, query in enumerate(queries):
        proposed = [
            _kept(segment, candidates[position], keep) for segment, candidates in zip(segments, proposals, strict=True)
        ]
        if tail is not None:
            proposed.append(tail[position].rows)
        candidates = np.concatenate(proposed)
        wider = fetch
        while len(candidates) < k and wider < covered:
            wider *= 4
            candidates = _propose(query, segments, keep=keep, fetch=wider)
            if tail is not None:
                candidates = np.concatenate([candidates, tail[position].rows])
        if len(candidates) < k:
            # Only a segment that cannot propose all its rows gets here; what is left is still exact.
            found.extend(_scan(snapshot, query[np.newaxis], k=k, keep=keep))
        else:
            found.append(rescore(rows, query, candidates=candidates, k=k, metric=metric))
    return found


def _propose(
    query: FloatVector, segments: tuple[Segment, ...], *, keep: npt.NDArray[np.bool_] | None, fetch: int
) -> RowArray:
    batch = query[np.newaxis]
    return np.concatenate([_kept(segment, segment.ann.candidates(batch, k=fetch)[0], keep) for segment in segments])


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
