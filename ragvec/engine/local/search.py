"""Search within one snapshot: candidates part by part as planned, exact distances, ties by key.

Whatever proposes the candidates, what is returned are distances computed from the stored rows, and where a proposal
cannot be relied on (a filter whose matches lie away from the query, many rows at one distance) that part is searched
in the next surer way.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter_ns
from typing import TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from ragvec.ann.exact import Neighbours, among, nearest, rescore
from ragvec.engine.local.lean import FEW_OF_ALL, LATE, MANY_MATCHES, Lean, grouped_matches, numbered
from ragvec.engine.local.matches import Matches
from ragvec.engine.local.newest import NOTHING_ABSORBED
from ragvec.engine.local.plan import Part, ann_target, exact_part, plan
from ragvec.engine.local.snapshot import Snapshot
from ragvec.engine.protocol import Explanation, Ranking, SearchStep
from ragvec.filters.nodes import EVERYTHING, Filter
from ragvec.types import FloatMatrix, FloatVector, RowArray

__all__ = ["Trace", "explain", "search"]

T = TypeVar("T")

_WIDER = 4
"""The factor by which a segment is asked for more, once, where many rows match."""
_WIDEST = 0.1
_QUERIES_A_THREAD = 16
"""Fewer queries are not worth a thread of their own."""
_MOST_PLANS = 64


class Trace:
    """Collects the steps of one search, each with the time since the one before."""

    def __init__(self) -> None:
        self.steps: list[SearchStep] = []
        self._at = perf_counter_ns()

    def step(self, name: str, *, rows: int, candidates: int, detail: str = "") -> None:
        """Note what was done since the last step."""
        now = perf_counter_ns()
        self.steps.append(SearchStep(name, rows, candidates, (now - self._at) / 1000.0, detail))
        self._at = perf_counter_ns()


def search(
    snapshot: Snapshot,
    queries: FloatMatrix,
    *,
    k: int,
    where: Filter,
    recall_target: float,
    effort: float = 1.0,
    trace: Trace | None = None,
) -> list[Ranking]:
    """One ranking a query, each of min(k, matches) rows, nearest first, ties by key."""
    asked = (k, recall_target, effort)
    matches = None if where is EVERYTHING or where == EVERYTHING else snapshot.matches(where)
    kept = snapshot.lean if matches is None else matches.searches
    lean = None if trace is not None else kept.get(asked)
    if lean is not None and len(queries) == 1 and (found := lean(snapshot, queries[0], matches)) is not None:
        return [found]
    count = snapshot.live if matches is None else matches.count
    k = min(k, count)
    if trace is not None and matches is not None:
        trace.step("filter", rows=snapshot.rows, candidates=count)
    if not k:
        nothing = Neighbours(np.empty(0, np.uint32), np.empty(0, np.float32))
        return [_rank(snapshot, nothing, k=0, exact=True) for _ in queries]
    parts = _planned(snapshot, k=k, matches=matches, recall_target=recall_target, effort=effort)
    if trace is not None:
        trace.step("plan", rows=snapshot.rows, candidates=count, detail=", ".join(map(_described, parts)))
    run = _Run(snapshot, parts, k=k, matches=matches, recall_target=recall_target, effort=effort, trace=trace)
    exact = all(part.segment is None for part in parts)
    ranked: list[Ranking | None] = [None] * len(queries)
    if trace is None and not (exact and (matches is None or len(queries) > 1)):
        if lean is None or not lean.serves(snapshot):
            lean = Lean.of(snapshot, parts, matches=matches, k=k, recall_target=recall_target, effort=effort)
            if lean is not None:
                if len(kept) >= _MOST_PLANS:
                    kept.clear()
                kept[asked] = lean
        elif len(queries) == 1:
            lean = None  # it was asked already
        if lean is not None:
            ranked = (
                lean.many(snapshot, queries, matches=matches, threads=_processors())
                if len(queries) > 1
                else [lean(snapshot, queries[0], matches)]
            )
    left = [at for at, some in enumerate(ranked) if some is None]
    if left:
        others = queries if len(left) == len(queries) else queries[left]
        for at, neighbours in zip(left, _divided(run, others, exact=exact), strict=True):
            ranked[at] = _rank(snapshot, neighbours, k=k, exact=exact)
    if trace is not None:
        trace.step("order", rows=k, candidates=k)
    return [some for some in ranked if some is not None]


def _planned(
    snapshot: Snapshot, *, k: int, matches: Matches | None, recall_target: float, effort: float
) -> tuple[Part, ...]:
    segments, generation = snapshot.segments(), snapshot.generation
    if segments is generation.segments.current(wait=False):
        absorbed = generation.newest.absorbed(segments, rows=snapshot.rows, vectors=generation.vectors)
    else:
        absorbed = NOTHING_ABSORBED
    key = (matches, segments, absorbed.last, k, recall_target, effort)
    found = snapshot.plans.get(key)
    if found is None:
        found = plan(
            segments,
            rows=snapshot.rows,
            live=snapshot.live,
            k=k,
            dimension=generation.spec.dimension,
            matches=matches,
            absorbed=absorbed,
            recall_target=recall_target,
            effort=effort,
        )
        if len(snapshot.plans) >= _MOST_PLANS:
            snapshot.plans.clear()
        snapshot.plans[key] = found
    return found


def _described(part: Part) -> str:
    fetch = f" {part.fetch:,}" if part.kind == "ann" else ""
    first, last = part.newest
    newest = f" and {first:,} to {last - 1:,}" if last > first else ""
    return f"{part.kind}{fetch} in rows {part.first:,} to {part.last - 1:,}{newest}"


def _divided(run: Callable[[FloatMatrix], list[T]], queries: FloatMatrix, *, exact: bool) -> list[T]:
    """What `run` finds for each query, many queries in as many threads as there are processors; what is all products is
    divided by the linear algebra library itself."""
    threads = min(len(queries) // _QUERIES_A_THREAD, _processors())
    if exact or threads < 2:
        return run(queries)
    with ThreadPoolExecutor(threads, thread_name_prefix="ragvec-search") as pool:
        return [found for some in pool.map(run, np.array_split(queries, threads)) for found in some]


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Run:
    """One search under way, for any number of queries; shared by threads."""

    def __init__(
        self,
        snapshot: Snapshot,
        parts: tuple[Part, ...],
        *,
        k: int,
        matches: Matches | None,
        recall_target: float,
        effort: float,
        trace: Trace | None,
    ) -> None:
        self.parts = parts
        self.k = k
        self.live = snapshot.live
        self.matches = matches
        self.recall_target = recall_target
        self.ann_target = ann_target(recall_target, filtered=matches is not None)
        self.effort = effort
        self.trace = trace
        self.keep: npt.NDArray[np.bool_] | None = snapshot.alive
        if matches is not None and any(part.kind in ("scan", "ann") for part in parts):
            self.keep = matches.mask
        self.vectors = snapshot.generation.vectors
        self.rows = self.vectors.rows(snapshot.rows)
        self.metric = snapshot.generation.spec.metric

    def __call__(self, queries: FloatMatrix) -> list[Neighbours]:
        """The k nearest to each query, and what ties with the last."""
        looked = [self._look(part, queries) for part in self.parts]
        return [self._finish(query, [found[at] for found in looked]) for at, query in enumerate(queries)]

    def _look(self, part: Part, queries: FloatMatrix) -> Sequence[RowArray | Neighbours]:
        """For each query what a part has to offer: candidates, or neighbours already."""
        found: Sequence[RowArray | Neighbours]
        if part.kind == "ann":
            found = self._proposed(part, queries)
        elif part.kind == "leaves":
            found = [self._by_leaves(part, query) for query in queries]
        else:
            found = self._exactly(part, queries)
        if self.trace is not None:
            offered = len(found[0].rows) if isinstance(found[0], Neighbours) else len(found[0])
            self.trace.step(_described(part), rows=part.matches, candidates=offered)
        return found

    def _proposed(self, part: Part, queries: FloatMatrix) -> list[RowArray]:
        assert part.segment is not None
        ann = part.segment.ann
        if len(queries) == 1:
            positions = [
                ann.nearest_candidates(queries[0], k=part.fetch, effort=self.effort, recall_target=self.ann_target)
            ]
        else:
            positions = ann.candidates(queries, k=part.fetch, effort=self.effort, recall_target=self.ann_target)
        return [numbered(part, some) for some in positions]

    def _by_leaves(self, part: Part, query: FloatVector) -> Neighbours:
        segment, matches = part.segment, self.matches
        assert segment is not None
        assert segment.leaves is not None
        assert matches is not None
        first = segment.first
        visit = segment.leaves.nearest(
            self.rows[first : segment.last],
            query,
            grouped_matches(part, matches),
            k=min(self.k, part.matches),
            effort=self.effort,
            recall_target=self.recall_target,
        )
        return _moved(visit.neighbours, first)

    def _exactly(self, part: Part, queries: FloatMatrix) -> list[Neighbours]:
        if part.kind == "gather" and self.matches is not None:
            rows = self.matches.within(part.first, part.last)
            return among(self.rows, queries, candidates=rows, k=self.k, metric=self.metric)
        found = nearest(
            self.rows[part.first : part.last],
            queries,
            k=self.k,
            metric=self.metric,
            norms=self.vectors.norms(part.first, part.last) if part.segment is None else None,
            keep=None if self.keep is None else self.keep[part.first : part.last],
        )
        return [_moved(neighbours, part.first) for neighbours in found]

    def _finish(self, query: FloatVector, looked: list[RowArray | Neighbours]) -> Neighbours:
        """The nearest of all that the parts offer. A part whose proposals cannot be relied on is looked at again."""
        parts = list(self.parts)
        while True:
            found = [some for some in looked if isinstance(some, Neighbours)]
            proposals = [(at, some) for at, some in enumerate(looked) if not isinstance(some, Neighbours)]
            kept = [self._kept(some) for _, some in proposals]
            if kept:
                together = kept[0] if len(kept) == 1 else np.concatenate(kept)
                found.append(rescore(self.rows, query, candidates=together, k=self.k, metric=self.metric))
            best = found[0] if len(found) == 1 else _merged(found, self.k)
            doubtful = [
                at
                for (at, proposed), some in zip(proposals, kept, strict=True)
                if self._doubtful(parts[at], proposed, kept=some, best=best)
            ]
            if self.trace is not None:
                self.trace.step("distances", rows=sum(map(len, kept)), candidates=len(best.rows))
            if not doubtful:
                return best
            for at in doubtful:
                parts[at], *others = self._surer(parts[at])
                looked[at] = self._look(parts[at], query[np.newaxis])[0]
                parts += others
                looked += [self._look(part, query[np.newaxis])[0] for part in others]

    def _kept(self, rows: RowArray) -> RowArray:
        if self.keep is None:
            return rows
        kept: RowArray = rows[self.keep[rows]]
        return kept

    def _doubtful(self, part: Part, proposed: RowArray, *, kept: RowArray, best: Neighbours) -> bool:
        """Whether rows that a segment did not propose are likely to belong to the `best`."""
        if len(proposed) >= len(part):
            return False
        if len(kept) < min(self.k, part.matches):
            return True
        if len(best.rows) > self.k or len(best.rows) >= len(kept):
            # Where rows beyond the proposals tie with the last, the key decides, and theirs may be a lesser one.
            tied = int(np.count_nonzero(best.distances == best.distances[-1]))
            if tied > 1 and not len(np.setdiff1d(kept, best.rows)):
                return True
        if self.matches is None:
            return False
        if len(kept) < FEW_OF_ALL * len(proposed) * part.matches / (part.last - part.first):
            return True
        late = set(self._kept(proposed[int(LATE * len(proposed)) :]).tolist())
        return len(late.intersection(best.rows[: self.k].tolist())) > (1.0 - self.recall_target) * self.k

    def _surer(self, part: Part) -> list[Part]:
        """The next way to search a part when the proposals of its segment, which is how it was searched, do not do."""
        assert part.segment is not None
        wider = _WIDER * part.fetch
        if part in self.parts and wider <= _WIDEST * len(part) and part.matches > MANY_MATCHES:
            return [msgspec.structs.replace(part, fetch=wider)]
        exact = [self._exact_part(part.first, part.last), self._exact_part(*part.newest)]
        parts = [found for found in exact if found is not None]
        if self.matches is not None and part.segment.leaves is not None and parts and parts[0].first == part.first:
            parts[0] = Part("leaves", part.first, part.last, parts[0].matches, part.segment)
        return parts

    def _exact_part(self, first: int, last: int) -> Part | None:
        return exact_part(
            first, last, rows=len(self.rows), live=self.live, dimension=self.rows.shape[1], matches=self.matches
        )


def _moved(found: Neighbours, first: int) -> Neighbours:
    return Neighbours(found.rows + np.uint32(first), found.distances) if first else found


def _merged(found: list[Neighbours], k: int) -> Neighbours:
    """The k nearest of several lists, and what ties with the last, in order of (distance, row)."""
    rows = np.concatenate([some.rows for some in found])
    distances = np.concatenate([some.distances for some in found])
    order = np.lexsort((rows, distances))
    if len(order) > k:
        limit = distances[order[k - 1]]
        order = order[: int(np.searchsorted(distances[order], limit, side="right"))]
    return Neighbours(rows[order], distances[order])


def _rank(snapshot: Snapshot, found: Neighbours, *, k: int, exact: bool) -> Ranking:
    rows, distances = found
    same = distances[1:] == distances[:-1]
    if same.any():
        tied = np.zeros(len(rows), dtype=np.bool_)
        tied[1:] |= same
        tied[:-1] |= same
        positions = np.flatnonzero(tied)
        keys = snapshot.generation.keys(rows[positions])
        ordered = [at for _, _, at in sorted(zip(distances[positions].tolist(), keys, positions.tolist(), strict=True))]
        rows = rows.copy()
        rows[positions] = rows[ordered]
    return Ranking(rows=rows[:k], distances=distances[:k], generation=snapshot.generation.number, exact=exact)


def explain(
    snapshot: Callable[[], Snapshot],
    query: FloatVector,
    *,
    k: int,
    where: Filter,
    recall_target: float,
    effort: float,
) -> Explanation:
    """Search once to bring everything into memory, then again step by step, from taking the `snapshot` to the keys."""
    search(snapshot(), query[np.newaxis], k=k, where=where, recall_target=recall_target, effort=effort)
    trace = Trace()
    seen = snapshot()
    trace.step("snapshot", rows=seen.rows, candidates=seen.live, detail=f"change {max(seen.sequence, 0):,}")
    (ranking,) = search(
        seen, query[np.newaxis], k=k, where=where, recall_target=recall_target, effort=effort, trace=trace
    )
    seen.generation.keys(ranking.rows)
    trace.step("keys", rows=len(ranking.rows), candidates=len(ranking.rows))
    return Explanation(
        k=k,
        rows=seen.rows,
        matches=seen.live if where == EVERYTHING else seen.matches(where).count,
        effort=effort,
        exact=ranking.exact,
        recall=1.0
        if ranking.exact
        else min(segment.ann.report.recall(k, recall_target) for segment in seen.segments()),
        steps=tuple(trace.steps),
    )
