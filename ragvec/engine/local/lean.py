"""The search that most come to, with no step that it does not need."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec
import numpy as np
import numpy.typing as npt

from ragvec.ann.few import Few
from ragvec.ann.leaf_search import Grouped
from ragvec.ann.leaves import Leaves
from ragvec.distance import Probe
from ragvec.engine.local.matches import Matches
from ragvec.engine.local.plan import Part, ann_target
from ragvec.engine.local.snapshot import Snapshot
from ragvec.engine.protocol import Ranking
from ragvec.types import FloatMatrix, FloatVector, RowArray

__all__ = ["FEW_OF_ALL", "LATE", "MANY_MATCHES", "Lean", "grouped_matches", "numbered"]

LATE = 0.7
"""Proposals after this share of them are late: where so many of the nearest are among these as may be lost, others are
likely to come after them."""
FEW_OF_ALL = 0.3
"""Where the filter leaves less than this share of the proposals that it leaves of all rows, matches lie away from the
query: the rule above then finds few that are late, above all for small k. Measured on embeddings in cosine and
euclidean distance, recall at 1 fell to 0.95 without this, and is 0.998 with it."""
MANY_MATCHES = 20_000
"""Where more rows match, proposals that cannot be relied on are first asked for in larger numbers."""
_MOST_NEWEST = 128
"""Rows that neither a segment covers nor one has absorbed, which are candidates all. With more of them planning has to
go on, which has them absorbed."""
_MOST_SURE = 1024
"""Matches that are candidates all."""
_QUERIES_A_TURN = 64
"""Of many queries, so many are searched by a segment in one go, while those before are finished."""
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


class _Proposing(msgspec.Struct, frozen=True, eq=False):
    """A part whose segment proposes; `absorbed` is how many rows it had taken in when that was planned."""

    part: Part
    absorbed: int
    target: float
    effort: float
    least: float
    """With a filter, how many proposals it has to leave, at least, for each that there is."""

    def rows(self, query: FloatVector) -> RowArray | None:
        """What is proposed; None when the segment has absorbed more meanwhile."""
        part = self.part
        assert part.segment is not None
        ann = part.segment.ann
        positions = ann.nearest_candidates(query, k=part.fetch, effort=self.effort, recall_target=self.target)
        # Afterwards: what another thread has absorbed before the search is in its positions.
        if ann.absorbed != self.absorbed:
            return None
        return numbered(part, positions) if self.absorbed or part.first else positions

    def rows_of_many(self, queries: FloatMatrix) -> list[RowArray] | None:
        """As `rows`, for each of the queries (m, dimension)."""
        part = self.part
        assert part.segment is not None
        ann = part.segment.ann
        found = ann.candidates(queries, k=part.fetch, effort=self.effort, recall_target=self.target)
        return [numbered(part, positions) for positions in found] if ann.absorbed == self.absorbed else None


class _Leafed(msgspec.Struct, frozen=True, eq=False):
    """A part that is searched by its leaves."""

    leaves: Leaves
    grouped: Grouped
    first: int


class Lean:
    """One query, cosine, rows of nearly the same norm, and parts that segments propose or leaves tell, but for few
    rows."""

    __slots__ = (
        "_always",
        "_arguments",
        "_asked",
        "_exact",
        "_filtered",
        "_k",
        "_keep",
        "_keys",
        "_leafed",
        "_lost",
        "_norms",
        "_rows",
        "_segments",
        "_settings",
        "_surer",
    )

    def __init__(
        self,
        snapshot: Snapshot,
        parts: Sequence[Part],
        *,
        always: RowArray | None,
        matches: Matches | None,
        norms: tuple[float, float],
        k: int,
        recall_target: float,
        effort: float,
    ) -> None:
        target = ann_target(recall_target, filtered=matches is not None)
        self._segments = snapshot.segments()
        self._asked = [
            _Proposing(
                part,
                part.segment.ann.absorbed,
                target,
                effort,
                0.0 if matches is None else FEW_OF_ALL * part.matches / (part.last - part.first),
            )
            for part in parts
            if part.kind == "ann" and part.segment is not None
        ]
        self._leafed = [
            _Leafed(part.segment.leaves, grouped_matches(part, matches), part.first)
            for part in parts
            if part.kind == "leaves" and part.segment is not None and part.segment.leaves is not None
            if matches is not None
        ]
        self._always = always
        self._exact = not (self._asked or self._leafed)
        self._filtered = matches is not None
        self._keep: npt.NDArray[np.bool_] | None = snapshot.alive
        if matches is not None:
            self._keep = matches.mask if self._asked else None
        self._norms = norms
        self._rows = snapshot.generation.vectors.rows(snapshot.rows)
        self._k = k
        self._lost = (1.0 - recall_target) * k
        self._settings = {"effort": effort, "recall_target": recall_target}
        self._arguments = (tuple(parts), recall_target, effort)
        self._surer: Lean | None = None
        whole = len(self._segments) == 1 and self._segments[0].last == snapshot.rows
        self._keys = self._segments[0].keys if whole else None

    @classmethod
    def of(
        cls,
        snapshot: Snapshot,
        parts: tuple[Part, ...],
        *,
        matches: Matches | None,
        k: int,
        recall_target: float,
        effort: float,
    ) -> Lean | None:
        """The search of this snapshot by these parts, if it is of that kind."""
        segments = snapshot.segments()
        if snapshot.generation.spec.metric != "cosine" or not segments:
            return None
        if any(part.segment is not None and part.segment not in segments for part in parts):
            return None  # others serve since this was planned
        always = []
        for part in parts:
            if part.kind not in ("scan", "gather"):
                continue
            newest = part.first >= segments[-1].last
            if (newest and len(part) > _MOST_NEWEST) or (not newest and (matches is None or part.matches > _MOST_SURE)):
                return None
            every = np.arange(part.first, part.last, dtype=np.uint32)
            always.append(every if matches is None else matches.within(part.first, part.last))
        ranges = [segment.norms for segment in segments]
        if segments[-1].last < snapshot.rows:
            ranges.append(snapshot.generation.newest.norms(rows=snapshot.rows, vectors=snapshot.generation.vectors))
        known = [norms for norms in ranges if norms is not None]
        least, greatest = min(norms[0] for norms in known), max(norms[1] for norms in known)
        if len(known) < len(ranges) or not least > _LIKE_NORMS * greatest:
            return None
        return cls(
            snapshot,
            parts,
            always=np.concatenate(always) if always else None,
            matches=matches,
            norms=(least, greatest),
            k=k,
            recall_target=recall_target,
            effort=effort,
        )

    def serves(self, snapshot: Snapshot) -> bool:
        """Whether the segments are those that it was made for, in the same state."""
        if snapshot.generation.segments.current(wait=False) is not self._segments:
            return False
        return all(
            asked.part.segment is not None and asked.part.segment.ann.absorbed == asked.absorbed
            for asked in self._asked
        )

    def __call__(self, snapshot: Snapshot, query: FloatVector, matches: Matches | None) -> Ranking | None:
        """The k nearest of the `matches` that it was made for, with their keys; None where that takes more than
        this."""
        if snapshot.generation.segments.current(wait=False) is not self._segments:
            return None
        proposed = []
        for asked in self._asked:
            rows = asked.rows(query)
            if rows is None:
                return None
            proposed.append(rows)
        return self._settled(snapshot, query, matches, proposed)

    def many(
        self, snapshot: Snapshot, queries: FloatMatrix, *, matches: Matches | None, threads: int
    ) -> list[Ranking | None]:
        """The same for each of the queries (m, dimension).

        Segments search in up to `threads` threads, which need no interpreter for that; meanwhile all else is done here.
        Threads that took turns with the interpreter at every step would lose more time by it than they save.
        """
        if snapshot.generation.segments.current(wait=False) is not self._segments:
            return [None] * len(queries)
        turns = np.array_split(queries, max(1, len(queries) // _QUERIES_A_TURN))
        if len(turns) < 2 or threads < 2:
            return self._in_turn(snapshot, zip(turns, map(self._proposals, turns), strict=True), matches)
        with ThreadPoolExecutor(threads, thread_name_prefix="ragvec-search") as pool:
            return self._in_turn(snapshot, zip(turns, pool.map(self._proposals, turns), strict=True), matches)

    def _proposals(self, queries: FloatMatrix) -> list[list[RowArray] | None]:
        return [asked.rows_of_many(queries) for asked in self._asked]

    def _in_turn(
        self,
        snapshot: Snapshot,
        turns: Iterable[tuple[FloatMatrix, list[list[RowArray] | None]]],
        matches: Matches | None,
    ) -> list[Ranking | None]:
        found: list[Ranking | None] = []
        for queries, proposed in turns:
            known = [rows for rows in proposed if rows is not None]
            if len(known) < len(proposed):
                found += [None] * len(queries)
                continue
            found += [
                self._settled(snapshot, query, matches, [rows[at] for rows in known])
                for at, query in enumerate(queries)
            ]
        return found

    def _settled(
        self, snapshot: Snapshot, query: FloatVector, matches: Matches | None, proposed: list[RowArray]
    ) -> Ranking | None:
        """The k nearest of what the segments propose and what the other parts have."""
        probe = Probe.of(query)
        few = Few.of(self._rows, probe, norms=self._norms)
        if few is None:
            return None
        late: list[tuple[int, int]] = []
        for asked, rows in zip(self._asked, proposed, strict=True):
            if self._keep is None:
                few.look(rows)
                continue
            kept = self._keep[rows].nonzero()[0]
            if len(rows) < len(asked.part):
                # What makes a proposal doubtful in `ragvec.engine.local.search`; ties are for `settle`.
                if len(kept) < min(self._k, asked.part.matches) or len(kept) < asked.least * len(rows):
                    return self._by_leaves(snapshot, query, matches)
                if self._filtered:
                    after = len(few) + int(kept.searchsorted(int(LATE * len(rows))))
                    late.append((after, len(few) + len(kept)))
            few.look(rows[kept])
        if self._always is not None:
            few.look(self._always)
        for leafed in self._leafed:
            if not leafed.leaves.look(few, probe, leafed.grouped, first=leafed.first, k=self._k, **self._settings):
                return None
        found = few.settle(self._k)
        if found is None:
            return None
        rows, distances, places = found
        if any(sum(first <= at < last for at in places) > self._lost for first, last in late):
            return self._by_leaves(snapshot, query, matches)
        generation = snapshot.generation
        keys = self._keys.take(rows) if self._keys is not None else generation.keys(rows)
        return Ranking(rows, distances, generation.number, self._exact, keys)

    def _by_leaves(self, snapshot: Snapshot, query: FloatVector, matches: Matches | None) -> Ranking | None:
        """The same by leaves instead of proposals that cannot be relied on, where that is the next surer way."""
        if matches is None:
            return None
        if self._surer is None:
            parts, recall_target, effort = self._arguments
            surer = [other for part in parts for other in _without_proposals(part, matches)]
            if any(part.kind == "ann" for part in surer):
                return None
            self._surer = Lean.of(
                snapshot, tuple(surer), matches=matches, k=self._k, recall_target=recall_target, effort=effort
            )
        return None if self._surer is None else self._surer(snapshot, query, matches)


def _without_proposals(part: Part, matches: Matches) -> list[Part]:
    """A part by leaves, and what its segment has absorbed; the part itself where there is no such way, or a nearer
    one."""
    if part.kind != "ann" or part.segment is None or part.segment.leaves is None or part.matches > MANY_MATCHES:
        return [part]
    first, last = part.newest
    found = [Part("leaves", part.first, part.last, part.matches, part.segment)]
    newest = matches.count_within(first, last) if last > first else 0
    return [*found, Part("gather", first, last, newest)] if newest else found


def grouped_matches(part: Part, matches: Matches) -> Grouped:
    """The matches of a part whose segment has leaves, by leaf."""
    segment = part.segment
    assert segment is not None
    assert segment.leaves is not None
    leaves, first = segment.leaves, segment.first
    return matches.derived(
        leaves, first=first, last=segment.last, make=lambda rows: leaves.group(rows - np.uint32(first))
    )
