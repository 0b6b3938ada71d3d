"""How many principal axes the first pass of a segment keeps, by the time that a query would take.

Of some rows asked for their neighbours, the rows nearest by exact distance are ordered again by what the kept axes and
quantisation would leave of it: the coordinates of the first pass, with normal noise of the size that codes of two bits
a coordinate have in a leaf. The candidates needed to find the true neighbours among them, at the cost of rescoring
each, are weighed against the coordinates that are scanned. On real embeddings of 384 dimensions that gives 192 axes
for 116,659 rows and 128 to 160 for a million, and on random vectors all, as trials with whole segments do.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ragvec.ann.frame import Frame, heights
from ragvec.types import FloatMatrix, FloatVector

__all__ = ["principal_axes"]

_STEPS = (16, 32, 48, 64, 96, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640, 768, 1024, 1280, 1536, 2048, 3072)
_QUERIES = 128
_SCANNED = 250_000
"""Rows in which neighbours are looked for; a greater segment is judged by so many of its rows."""
_CONTENDERS = 600
_K = 10
_LOSS = 0.0075
"""A third of what a recall target of 0.98 permits: the rest goes to leaves that are not visited, and to luck."""
_NOISE = 0.07
"""Variance of quantisation as a share of the rows': 0.115 of the residual at two bits, which is about 0.6 of it."""
_ENTRIES = 12_000
"""Quantised distances of a query at that target, for 10^5 to 10^6 embeddings."""
_COORDINATE_NS = 0.0168 * _ENTRIES + 40.0
"""Scanning one more coordinate in all entries and all centres."""
_CANDIDATE_NS = 370.0
_PRODUCT_NS = 0.06
_NEARLY = 1.1
"""Of numbers that cost so little more than the best the least is taken: it is built faster and takes less memory."""
_BLOCK = 8192


def principal_axes(
    rows: FloatMatrix, frame: Frame, sample: FloatMatrix, *, random: np.random.Generator
) -> FloatMatrix | None:
    """The leading principal axes, float32 (dimension, kept), of the number that is cheapest; None where that is all.

    `rows` (n, dimension), n ≥ 2, are those of the segment; the axes are those of a `sample` of them as placed in
    `frame`, and the neighbours, in a further sample, are drawn with `random`.
    """
    dimension = rows.shape[1]
    values, vectors = np.linalg.eigh((sample.T @ sample).astype(np.float64) / len(sample))
    values, vectors = values[::-1].clip(min=0.0), vectors[:, ::-1]
    largest = np.abs(vectors).argmax(axis=0)
    # An eigenvector's sign is arbitrary; this one does not depend on the linear algebra library.
    vectors = (vectors * np.sign(vectors[largest, np.arange(dimension)])).astype(np.float32)
    queries, near = _nearby(rows, frame, random)
    trial = _Trial(queries @ vectors, [(rows @ vectors, heights(rows)) for rows in near], values, random)
    costs = {}
    for kept in [*(step for step in _STEPS if step < dimension), dimension]:
        costs[kept] = kept * _COORDINATE_NS + trial.candidates(kept) * _CANDIDATE_NS
        if kept < dimension:
            costs[kept] += dimension * kept * _PRODUCT_NS
    least = min(costs.values())
    best = next(kept for kept, cost in costs.items() if cost <= _NEARLY * least)
    return None if best == dimension else np.ascontiguousarray(vectors[:, :best])


class _Trial:
    """Queries (m, dimension) along the axes; for each the rows nearest to it, by distance, and their heights."""

    def __init__(
        self,
        queries: FloatMatrix,
        near: list[tuple[FloatMatrix, FloatVector]],
        values: npt.NDArray[np.float64],
        random: np.random.Generator,
    ) -> None:
        self._queries = queries
        self._rows = [rows for rows, _ in near]
        self._scores = [high.copy() for _, high in near]
        self._spread = np.sqrt(_NOISE * (np.square(queries) * values).cumsum(axis=1))
        self._noise = [random.standard_normal(len(rows)) for rows in self._rows]
        self._added = 0

    def candidates(self, kept: int) -> int:
        """How many candidates hold all but `_LOSS` of the nearest when `kept` axes are scanned; `kept` may only
        grow."""
        found = np.zeros(_CONTENDERS)
        part = slice(self._added, kept)
        for i, scores in enumerate(self._scores):
            scores += self._rows[i][:, part] @ self._queries[i, part]
            order = np.argsort(-(scores + self._spread[i, kept - 1] * self._noise[i]))
            found[np.flatnonzero(order < _K)] += 1.0
        self._added = kept
        shares = found.cumsum() / found.sum()
        return int(np.searchsorted(shares, 1.0 - _LOSS)) + 1


def _nearby(rows: FloatMatrix, frame: Frame, random: np.random.Generator) -> tuple[FloatMatrix, list[FloatMatrix]]:
    """Some rows as placed, and for each of them its nearest others, in order."""
    scanned = np.sort(random.choice(len(rows), min(len(rows), _SCANNED), replace=False))
    own = np.sort(random.choice(len(scanned), min(_QUERIES, len(scanned)), replace=False))
    queries = frame.place(np.take(rows, scanned[own], axis=0))
    most = min(_CONTENDERS, len(scanned) - 1)
    scores = np.empty((len(own), len(scanned)), dtype=np.float32)
    for start in range(0, len(scanned), _BLOCK):
        placed = frame.place(np.take(rows, scanned[start : start + _BLOCK], axis=0))
        scores[:, start : start + len(placed)] = queries @ placed.T + heights(placed)
    scores[np.arange(len(own)), own] = -np.inf
    near = []
    for row in scores:
        best = np.argpartition(row, len(row) - most)[-most:]
        near.append(frame.place(np.take(rows, scanned[best[np.argsort(-row[best])]], axis=0)))
    return queries, near
