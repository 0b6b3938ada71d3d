"""The parameters of a segment: before the build from its size, after it from measured recall.

What is measured is the whole procedure: the share of the true nearest rows among the candidates, since rescoring the
candidates exactly then finds them. Queries are rows of the segment, each excluded from its own result, or questions
that are given. Rows are asked for as such: their recall is what anyone measures who leaves out rows as queries.

Questions that resemble no row find a little less. WordNet glosses with noise added that is as long as the vectors are,
measured from their mean, are 0.49 from their nearest rows instead of 0.29, and as far as SciFact's questions; they find
0.973 of the 10 nearest where unchanged glosses find 0.985, and 0.989 where these find 0.994. Who has such questions
measures with them (`queries`), or asks for a higher target.
"""

from __future__ import annotations

import math
from typing import Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from ragvec.ann.held_out import HeldOut, others
from ragvec.ann.report import BuildReport, OperatingPoint, setting
from ragvec.types import FloatMatrix, Metric

__all__ = ["EXHAUSTIVE_ROWS", "Plan", "Search", "exhaustive", "measure", "plan", "setting", "tuned"]

EXHAUSTIVE_ROWS = 1024
"""Segments of fewer rows propose all of them: a matrix product is as fast as any index."""

_LEAVES_PER_ROOT = 1.75
_SAMPLE_PER_LEAF = 60
_CODEBOOK_ROWS = 10_000
_FEW_COORDINATES = 32

_QUERIES = {10: 800, 100: 240, 1000: 80, 10_000: 24}
"""For each k measured the number of queries, at most; recalls of 0.98 are then known to about 0.002."""
_ROWS_PER_QUERY = 8
_MANY_ROWS = 300_000
_FEWER = 0.7
"""Share of the queries in segments of many rows, where each takes longer."""
_ROWS_PER_K = 32
"""A k is measured in segments of at least this many times as many rows; above, nearly all leaves are visited anyway."""
_MOST_CANDIDATES = {10: 640, 100: 3200, 1000: 6000, 10_000: 40_000}
_OVER_FETCH = (1.0, 1.1, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 12.0, 16.0, 24.0, 32.0, 48.0, 64.0)
_LEAF_STEP = 1.45
_FEWEST_LEAVES = 0.002
_BOUNDING_LEAVES = 0.2
_BOUNDING_OVER_FETCH = (4, 1.5)
_ENOUGH = 0.9995
"""A recall past which more leaves are not tried."""
_LOSSES = (0.5, 0.3, 0.2, 0.15, 0.1, 0.08, 0.06, 0.05, 0.04, 0.03, 0.025, 0.02, 0.0175, 0.015, 0.0125, 0.01, 0.008)
_SMALL_LOSSES = (0.006, 0.005, 0.004, 0.003, 0.002, 0.0015, 0.001, 0.0005, 0.0)
"""Curves keep the cheapest point for each of these, where they reach it."""
_SEEN = 12.0
"""How much more queries lose that are not rows, times the share of a leaf that a row makes up: it has drawn its leaf to
itself. 0.017 measured was 0.022 with 57 rows a leaf, and 0.018 with 195 as measured to within its error."""
_CANDIDATE_NS = 370.0
"""Selecting a candidate and rescoring it exactly (384 dimensions)."""
ENTRY_NS = 3.5


class Plan(msgspec.Struct, frozen=True):
    """What a build is told. `leaves` partitions are trained on `training_rows` rows with `iterations` of k-means.

    Codes have 16 centres for each block of `dims_per_block` dimensions, trained on `codebook_rows` rows; `soar` is the
    spilling weight of SOAR (https://arxiv.org/abs/2404.00774), under which every row is in two leaves.
    """

    leaves: int
    training_rows: int
    codebook_rows: int
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

    Measured on 116,659 MiniLM vectors of 192 coordinates: from 1.25 to 2.4 √n leaves the time for a recall of 0.98 to
    0.99 falls by 7 % while the build takes three times as long; 60 training rows a leaf and 8 iterations with 1.75 √n
    leaves find as much as 100 and 10 with 1.25; codebooks trained on 10,000 rows are as good as on 43,000. SOAR's
    second assignment is worth 1.3 to 1.6 times the speed for twice the codes, blocks of one, three or four dimensions
    bring nothing, nor does int8 quantisation of the centres; a least size of leaves, which k-means then fills with far
    rows, costs a quarter of the speed; score-aware quantisation
    (https://arxiv.org/abs/1908.10396) costs a third of the build and gains 4 %.
    """
    leaves = max(2, round(_LEAVES_PER_ROOT * math.sqrt(rows)))
    return Plan(
        leaves=leaves,
        training_rows=min(rows, _SAMPLE_PER_LEAF * leaves),
        codebook_rows=min(rows, _CODEBOOK_ROWS),
        iterations=8,
        dims_per_block=1 if width <= _FEW_COORDINATES else 2,
        soar=1.5,
    )


def exhaustive(rows: FloatMatrix, *, metric: Metric, recall_target: float) -> BuildReport:
    """The report of a segment over `rows` that proposes all of them."""
    return BuildReport(
        rows=len(rows),
        dimension=rows.shape[1],
        metric=metric,
        leaves=1,
        leaves_to_search=1,
        over_fetch=max(1.0, len(rows) / 10),
        recall_at_10=1.0,
        recall_at_100=1.0,
        seconds=0.0,
        bytes=0,
        recall_target=recall_target,
        exhaustive=True,
    )


def tuned(
    report: BuildReport, curves: tuple[tuple[OperatingPoint, ...], ...], *, leaves: int, seen: bool = True
) -> BuildReport:
    """`report` with the `curves` of a segment of so many `leaves`; as it was when its target takes every row.

    Where the curves were measured with rows of the segment (`seen`), the recalls of the report are those to be expected
    of queries that are not rows.
    """
    if seen:
        curves = tuple(tuple(_unseen(point, leaves / report.rows) for point in curve) for curve in curves)
    found = msgspec.structs.replace(report, curves=curves, leaves=leaves, exhaustive=False)
    visited, count = setting(found, k=10)
    if count >= report.rows:
        return report
    return msgspec.structs.replace(
        found,
        leaves_to_search=visited,
        over_fetch=count / 10,
        recall_at_10=found.recall(10),
        recall_at_100=found.recall(100),
    )


def _unseen(point: OperatingPoint, share: float) -> OperatingPoint:
    loss = (1.0 - point.recall) * (1.0 + _SEEN * share)
    return msgspec.structs.replace(point, recall=max(0.0, 1.0 - loss))


def measure(
    search: Search,
    rows: FloatMatrix,
    *,
    metric: Metric,
    leaves: int,
    seed: int,
    queries: FloatMatrix | None = None,
    entry_ns: float = ENTRY_NS,
) -> tuple[tuple[OperatingPoint, ...], ...]:
    """For each k measured, ascending, the operating points for which none is cheaper and finds as much.

    `rows` float32 (n, d) are those of the segment, `leaves` its number of leaves, and `entry_ns` the nanoseconds for
    one quantised distance. `queries` (m, d) are asked instead of rows drawn with `seed`. Recall is as in `HeldOut`.
    """
    own, asked = _asked(rows, queries, seed)
    ks = _sizes(len(rows), len(asked))
    found = []
    for k, size in ks.items():
        count = min(len(rows), math.ceil(k * _BOUNDING_OVER_FETCH[k > 100]) + 64)
        near = search(asked[:size], count=count, leaves=math.ceil(_BOUNDING_LEAVES * leaves))
        found.append(others(near, own[:size]))
    truth = HeldOut(rows, asked, own, metric=metric, ks=ks, found=found)
    return tuple(
        _curve(search, truth, asked[:size], own[:size], k=k, leaves=leaves, entry_ns=entry_ns, rows=len(rows))
        for k, size in ks.items()
    )


def _asked(rows: FloatMatrix, queries: FloatMatrix | None, seed: int) -> tuple[npt.NDArray[np.int32], FloatMatrix]:
    """The position that each query is, or −1, and the queries."""
    if queries is not None:
        return np.full(len(queries), -1, dtype=np.int32), queries
    most = round(_QUERIES[10] * (_FEWER if len(rows) >= _MANY_ROWS else 1.0))
    size = min(-(-len(rows) // _ROWS_PER_QUERY), most)
    random = np.random.default_rng(seed)
    own = np.sort(random.choice(len(rows), size, replace=False)).astype(np.int32)
    order = random.permutation(size)  # the first of them are to be from everywhere
    return own[order], np.take(rows, own, axis=0)[order]


def _sizes(rows: int, queries: int) -> dict[int, int]:
    """How many of the queries each k is measured with."""
    return {
        k: max(1, min(queries, round(queries * size / _QUERIES[10])))
        for k, size in _QUERIES.items()
        if k == 10 or k * _ROWS_PER_K <= rows
    }


def _curve(
    search: Search,
    truth: HeldOut,
    queries: FloatMatrix,
    own: npt.NDArray[np.int32],
    *,
    k: int,
    leaves: int,
    entry_ns: float,
    rows: int,
) -> tuple[OperatingPoint, ...]:
    most = min(rows - 1, _MOST_CANDIDATES[k])
    counts = [count for count in (round(factor * k) for factor in _OVER_FETCH) if count <= most]
    points = []
    for visited in _leaf_counts(leaves):
        found = others(search(queries, count=most + 1, leaves=visited), own)
        recalls = truth.recall(found, k=k)
        for count in counts:
            cost = (visited * 2.0 * rows / leaves * entry_ns + count * _CANDIDATE_NS) / 1000.0
            recall = float(recalls[count - 1])
            points.append(OperatingPoint(k=k, leaves=visited, over_fetch=count / k, recall=recall, cost=cost))
        if recalls[-1] >= _ENOUGH:
            break
    return _frontier(points)


def _frontier(points: list[OperatingPoint]) -> tuple[OperatingPoint, ...]:
    """For each loss of `_LOSSES` the cheapest point that loses no more, ascending; and the best of all."""
    points = sorted(points, key=lambda point: (point.cost, -point.recall))
    kept: list[OperatingPoint] = []
    for loss in (1.0, *_LOSSES, *_SMALL_LOSSES, 1.0 - max(point.recall for point in points)):
        best = next((point for point in points if point.recall >= 1.0 - loss), None)
        if best is not None and (not kept or best.recall > kept[-1].recall):
            kept.append(best)
    return tuple(kept)


def _leaf_counts(leaves: int) -> list[int]:
    counts = []
    wanted = max(1.0, leaves * _FEWEST_LEAVES)
    while wanted < leaves:
        counts.append(math.ceil(wanted))
        wanted = max(wanted * _LEAF_STEP, wanted + 1.0)
    return [*counts, leaves]
