"""The search that most come to, with no step that it does not need."""

from __future__ import annotations

import numpy as np

from ragvec.ann.exact import nearest_of_few
from ragvec.engine.local.plan import Part
from ragvec.engine.local.snapshot import Snapshot
from ragvec.engine.protocol import Ranking
from ragvec.types import FloatVector, RowArray

__all__ = ["Lean", "numbered"]

_MOST_NEWEST = 128
"""Rows that neither a segment covers nor one has absorbed, which are candidates all."""
_LIKE_NORMS = 0.99
"""With norms farther apart too many candidates would have to be looked at closely."""


def numbered(part: Part, positions: RowArray) -> RowArray:
    """The rows at positions within the segment of a part; what it has absorbed since, or what is not asked for, is left
    out."""
    assert part.segment is not None
    absorbed = part.segment.ann.absorbed
    if not absorbed:
        return positions + np.uint32(part.first) if part.first else positions
    first, last = part.newest
    if len(positions) == part.last - part.first:
        # All rows that the segment was built from, asked for as such: what it has absorbed is not among them.
        return np.concatenate([positions + np.uint32(part.first), np.arange(first, last, dtype=np.uint32)])
    newest = positions >= part.last - part.first
    rows: RowArray = positions + np.uint32(part.first)
    rows[newest] += np.uint32(max(first, part.last) - part.last)
    if absorbed > last - first:
        rows = rows[~newest | ((rows >= first) & (rows < last))]
    return rows


class Lean:
    """One query, no filter, cosine, rows of nearly the same norm, and segments that have all but a few of them."""

    __slots__ = ("_alive", "_k", "_keys", "_newest", "_norms", "_parts", "_rows", "_segments", "_settings")

    def __init__(
        self,
        snapshot: Snapshot,
        parts: list[Part],
        *,
        newest: RowArray | None,
        norms: tuple[float, float],
        k: int,
        recall_target: float,
        effort: float,
    ) -> None:
        self._segments = snapshot.segments()
        self._parts = [(part, part.segment.ann, part.segment.ann.absorbed) for part in parts if part.segment]
        self._newest = newest
        self._norms = norms
        self._alive = snapshot.alive
        self._rows = snapshot.generation.vectors.rows(snapshot.rows)
        self._k = k
        self._settings = {"effort": effort, "recall_target": recall_target}
        whole = len(self._segments) == 1 and self._segments[0].last == snapshot.rows
        self._keys = self._segments[0].keys if whole else None

    @classmethod
    def of(
        cls, snapshot: Snapshot, parts: tuple[Part, ...], *, k: int, recall_target: float, effort: float
    ) -> Lean | None:
        """The search of this snapshot by these parts, if it is of that kind."""
        asked = [part for part in parts if part.kind == "ann"]
        others = [part for part in parts if part.kind != "ann"]
        segments = snapshot.segments()
        if [part.segment for part in asked] != list(segments):
            return None  # one is searched exactly, or others serve since this was planned
        covered = segments[-1].last
        if snapshot.generation.spec.metric != "cosine" or len(others) > 1:
            return None
        newest = None
        if others:
            if others[0].first < covered or len(others[0]) > _MOST_NEWEST:
                return None
            newest = np.arange(others[0].first, others[0].last, dtype=np.uint32)
        ranges = [part.segment.norms for part in asked if part.segment is not None]
        if covered < snapshot.rows:
            ranges.append(snapshot.generation.newest.norms(rows=snapshot.rows, vectors=snapshot.generation.vectors))
        known = [norms for norms in ranges if norms is not None]
        least, greatest = min(norms[0] for norms in known), max(norms[1] for norms in known)
        if len(known) < len(ranges) or not least > _LIKE_NORMS * greatest:
            return None
        return cls(
            snapshot,
            asked,
            newest=newest,
            norms=(least, greatest),
            k=k,
            recall_target=recall_target,
            effort=effort,
        )

    def __call__(self, snapshot: Snapshot, query: FloatVector) -> Ranking | None:
        """The k nearest with their keys; None where that takes more than this."""
        generation = snapshot.generation
        if generation.segments.current(wait=False) is not self._segments:
            return None
        proposed = [] if self._newest is None else [self._newest]
        for part, ann, absorbed in self._parts:
            positions = ann.nearest_candidates(query, k=part.fetch, **self._settings)
            # Afterwards: what another thread has absorbed before the search is in its positions.
            if ann.absorbed != absorbed:
                return None
            proposed.append(numbered(part, positions) if absorbed or part.first else positions)
        candidates = proposed[0] if len(proposed) == 1 else np.concatenate(proposed)
        if self._alive is not None:
            candidates = candidates[self._alive[candidates]]
        found = nearest_of_few(self._rows, query, candidates=candidates, k=self._k, norms=self._norms)
        if found is None:
            return None
        rows, distances = found
        keys = self._keys.take(rows) if self._keys is not None else generation.keys(rows)
        return Ranking(rows, distances, generation.number, False, keys)
