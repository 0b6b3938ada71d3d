"""The parameters of a segment: before the build from its size, after it from measured recall.

What is measured is the whole procedure: the share of the true nearest rows among the candidates, since rescoring the
candidates exactly then finds them. Queries are rows of the segment, each excluded from its own result, in three sets:
as they are, and with a little or much noise added. The first are easier than real questions. Recall of the last, whose
noise is as long as the vectors are on average, measured from their mean, follows that of real questions closely: so it
was for SciFact and Cranfield questions against WordNet glosses, whose distance to the nearest of them it also
reproduces. The target has to be reached on each set.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from ragvec.ann.backends import BuildReport, OperatingPoint
from ragvec.ann.projection import Frame
from ragvec.types import FloatMatrix, Metric

__all__ = ["EXHAUSTIVE_ROWS", "Plan", "Search", "measure", "plan", "setting"]

EXHAUSTIVE_ROWS = 1024
"""Segments of fewer rows propose all of them: a matrix product is as fast as any index."""

_QUERIES = 198
_NOISE = (0.0, 0.3, 1.0)
_LEAVES_PER_ROOT = 1.25
_SAMPLE_PER_LEAF = 100
"""Training rows a leaf; with 50 the same recall took a quarter longer, with all rows it took as long."""
_FEW_COORDINATES = 32

_KS = (10, 100, 1000)
_ROWS_PER_K = 32
"""A k is measured in segments of at least this many times as many rows; above, nearly all leaves are visited anyway."""
_MOST_CANDIDATES = {10: 640, 100: 1600, 1000: 4000}
_OVER_FETCH = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0, 48.0, 64.0, 96.0, 160.0, 400.0)
_LEAF_STEP = 1.35
_FEWEST_LEAVES = 0.015
_CANDIDATE_COST = 200.0
"""One exact rescoring costs about as much as this many quantised distances (384 dimensions: 0.45 µs against 2.2 ns)."""
_MARGIN = 0.25
"""Share of the permitted loss that is kept in reserve, for queries unlike those measured with."""
_SLACK = 1e-5
_CHUNK = 1 << 15


class Plan(msgspec.Struct, frozen=True):
    """What a build is told. `leaves` partitions are trained on `training_rows` rows with `iterations` of k-means.

    Codes have 16 centres for each block of `dims_per_block` dimensions; `soar` is the spilling weight of SOAR
    (https://arxiv.org/abs/2404.00774), under which every row is in two leaves.
    """

    leaves: int
    training_rows: int
    smallest_leaf: int
    iterations: int
    dims_per_block: int
    soar: float


class Search(Protocol):
    """The search of a segment under trial."""

    def __call__(self, queries: FloatMatrix, *, count: int, leaves: int) -> npt.NDArray[np.int32]:
        """(m, count) positions, each row in ascending order of estimated distance, −1 where there are fewer."""
        ...


def plan(rows: int, width: int) -> Plan:
    """Parameters for `rows` rows of `width` coordinates (those of the first pass).

    Measured on 40,000 to 100,000 MiniLM vectors: between 0.8 and 2 √n leaves make little difference, SOAR's second
    assignment is worth 1.3 to 1.6 times the speed for twice the codes, one or three dimensions a block lose, and
    score-aware quantisation (https://arxiv.org/abs/1908.10396) costs a quarter of the build and gains at most a
    twentieth of the time.
    """
    leaves = max(2, round(_LEAVES_PER_ROOT * math.sqrt(rows)))
    return Plan(
        leaves=leaves,
        training_rows=min(rows, _SAMPLE_PER_LEAF * leaves),
        smallest_leaf=max(1, min(50, rows // (4 * leaves))),
        iterations=10,
        dims_per_block=1 if width <= _FEW_COORDINATES else 2,
        soar=1.5,
    )


def measure(
    search: Search, rows: FloatMatrix, *, metric: Metric, leaves: int, recall_target: float, seed: int
) -> tuple[OperatingPoint, ...]:
    """The cheapest leaves and over-fetch that reach `recall_target`, with a margin, for each k measured, ascending.

    `rows` float32 (n, d) are those of the segment, `leaves` its number of leaves. Where nothing tried reaches the
    target the point asks for every row (over_fetch = n / k, recall 1). The same `seed` gives the same queries.
    """
    ks = [k for k in _KS if k == _KS[0] or k * _ROWS_PER_K <= len(rows)]
    most = min(len(rows) - 1, max(_MOST_CANDIDATES[k] for k in ks))
    queries, own = _held_out(rows, metric=metric, seed=seed)
    exact = _Exact(queries, metric)
    nearest = _nearest(exact, rows, own, k=min(ks[-1], len(rows) - 1))
    tried = _leaf_counts(leaves)
    found = [_others(search(queries, count=most + 1, leaves=visited), own)[:, :most] for visited in tried]
    distances = _distances(exact, rows, found)
    goal = recall_target + _MARGIN * (1.0 - recall_target)
    points = []
    for k in ks:
        limit = nearest[:, min(k, nearest.shape[1]) - 1]
        best: tuple[float, OperatingPoint] | None = None
        for visited, near in zip(tried, distances, strict=True):
            hits = np.minimum(np.cumsum(near <= limit[:, np.newaxis], axis=1), k) / k
            for factor in _OVER_FETCH:
                count = round(factor * k)
                if count > most:
                    break
                recall = min(float(hits[start :: len(_NOISE), count - 1].mean()) for start in range(len(_NOISE)))
                cost = visited * 2.0 * len(rows) / leaves + count * _CANDIDATE_COST
                if recall >= goal and (best is None or cost < best[0]):
                    best = cost, OperatingPoint(k=k, leaves=visited, over_fetch=factor, recall=recall)
        everything = OperatingPoint(k=k, leaves=leaves, over_fetch=len(rows) / k, recall=1.0)
        points.append(everything if best is None else best[1])
    return tuple(points)


def setting(report: BuildReport, *, k: int, effort: float = 1.0) -> tuple[int, int]:
    """The leaves to visit and the candidates to take for the `k` nearest, interpolated between the points measured.

    Both are at least 1; candidates are at most all rows, and all rows when that is hardly more than what is needed.
    """
    points = report.points
    if report.exhaustive or not points:
        return report.leaves, report.rows
    wanted = max(k, points[0].k)
    leaves = _interpolate([(p.k, float(p.leaves)) for p in points], wanted, beyond=0.5)
    count = max(k, math.ceil(_interpolate([(p.k, p.k * p.over_fetch) for p in points], wanted, beyond=0.9)))
    if 2 * count >= report.rows:
        return report.leaves, report.rows
    # Each row is in two leaves, so a leaf holds 2n / leaves entries; as many are visited as are to be returned.
    leaves = max(leaves * effort, count * report.leaves / (2.0 * report.rows))
    return min(report.leaves, max(1, math.ceil(leaves))), count


def _interpolate(points: Sequence[tuple[int, float]], k: int, *, beyond: float) -> float:
    """Straight lines between the points, both axes logarithmic; past the last point the slope is at least `beyond`."""
    last, value = points[-1]
    if k >= last:
        slope = beyond if len(points) == 1 else max(beyond, _slope(points[-2], points[-1]))
        return float(value * (k / last) ** slope)
    after = next(i for i, (at, _) in enumerate(points) if at > k)
    at, value = points[after - 1]
    return float(value * (k / at) ** _slope(points[after - 1], points[after]))


def _slope(one: tuple[int, float], other: tuple[int, float]) -> float:
    return math.log(other[1] / one[1]) / math.log(other[0] / one[0])


def _leaf_counts(leaves: int) -> list[int]:
    counts = []
    wanted = max(1.0, leaves * _FEWEST_LEAVES)
    while wanted < leaves:
        counts.append(math.ceil(wanted))
        wanted = max(wanted * _LEAF_STEP, wanted + 1.0)
    return [*counts, leaves]


def _held_out(rows: FloatMatrix, *, metric: Metric, seed: int) -> tuple[FloatMatrix, npt.NDArray[np.int32]]:
    """Queries (m, d), the sets of `_NOISE` by turns, and the position that each was made from."""
    random = np.random.default_rng(seed)
    own = np.sort(random.choice(len(rows), min(_QUERIES, len(rows)), replace=False)).astype(np.int32)
    queries = np.take(rows, own, axis=0)
    frame = Frame.around(queries, metric=metric)
    wide = frame.place64(queries)
    noise = np.resize(_NOISE, len(own)) / math.sqrt(rows.shape[1])
    wide += random.standard_normal(wide.shape) * noise[:, np.newaxis]
    return (wide * frame.scale + frame.centre).astype(np.float32), own


def _others(found: npt.NDArray[np.int32], own: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """The positions without each query's own row, which goes to the end as −1."""
    found = np.where(found == own[:, np.newaxis], -1, found)
    order = np.argsort(found < 0, axis=1, kind="stable")
    return np.take_along_axis(found, order, axis=1)


class _Exact:
    """Squared distances of rows to fixed queries (for cosine: of unit vectors), in units of the queries' spread.

    They order rows as the metric does and survive float32 also where all vectors are alike.
    """

    def __init__(self, queries: FloatMatrix, metric: Metric) -> None:
        self._frame = Frame.around(queries, metric=metric)
        self._queries = self._frame.place(queries)
        self._squares = np.einsum("ij,ij->i", self._queries, self._queries)

    def __call__(self, rows: FloatMatrix, *, of: slice = slice(None)) -> FloatMatrix:
        """Float32 (m, n) for the queries `of` and all `rows`."""
        placed = self._frame.place(rows)
        distances: FloatMatrix = np.float32(-2.0) * (self._queries[of] @ placed.T)
        distances += np.einsum("ij,ij->i", placed, placed)
        distances += self._squares[of, np.newaxis]
        return distances


def _nearest(exact: _Exact, rows: FloatMatrix, own: npt.NDArray[np.int32], *, k: int) -> FloatMatrix:
    """The `k` smallest distances of each query to the other rows, ascending, a little enlarged for rounding."""
    best = np.full((len(own), k), np.inf, dtype=np.float32)
    for start in range(0, len(rows), _CHUNK):
        near = exact(rows[start : start + _CHUNK])
        inside = np.flatnonzero((own >= start) & (own < start + near.shape[1]))
        near[inside, own[inside] - start] = np.inf
        best = np.partition(np.concatenate([best, near], axis=1), k - 1, axis=1)[:, :k]
    best.sort(axis=1)
    best += np.float32(_SLACK)
    return best


def _distances(exact: _Exact, rows: FloatMatrix, found: list[npt.NDArray[np.int32]]) -> list[FloatMatrix]:
    """The distances of the rows at each array of positions (m, count), infinite for −1."""
    out = [np.full(positions.shape, np.inf, dtype=np.float32) for positions in found]
    for i in range(len(found[0])):
        together = np.unique(np.concatenate([positions[i] for positions in found]))
        together = together[together >= 0]
        near = exact(np.take(rows, together, axis=0), of=slice(i, i + 1))[0]
        for positions, target in zip(found, out, strict=True):
            there = positions[i] >= 0
            target[i, there] = near[np.searchsorted(together, positions[i][there])]
    return out
