"""The exact answers that a segment is measured against: the nearest rows of some queries, found among all rows.

Equal distances count alike: any of several rows tied with the last neighbour does for another. Queries with so many
ties that all candidates could be copies of one neighbour are left out, since any answer serves them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ragvec.ann.frame import Frame
from ragvec.types import FloatMatrix, Metric

__all__ = ["HeldOut", "others"]

_CHUNK = 8192
_SLACK = 1e-5
"""In units of the rows' spread; what is nearer to the limit than this may owe it to rounding."""
_MOST_TIES = 4
"""Times k, and 64."""


class HeldOut:
    """Queries (m, d) with their nearest rows; `own` (m,) is the row that each query is and does not find, or −1.

    `ks` tells how many of the first queries each k is measured with, fewer for greater k. `found` holds for each of
    these k positions (that many, ≥ k), of which the nearest bound the search; the better they are the faster it is.
    """

    def __init__(
        self,
        rows: FloatMatrix,
        queries: FloatMatrix,
        own: npt.NDArray[np.int32],
        *,
        metric: Metric,
        ks: dict[int, int],
        found: Sequence[npt.NDArray[np.int32]],
    ) -> None:
        self._rows = len(rows)
        exact = _Exact(queries, metric)
        largest = np.zeros(len(queries), dtype=np.int64)
        bounds = np.full(len(queries), np.inf, dtype=np.float32)
        for (k, count), positions in zip(ks.items(), found, strict=True):
            largest[:count] = min(k, len(rows) - 1 if own[0] >= 0 else len(rows))
            bounds[:count] = _bounds(exact, rows, positions, k=int(largest[0]))
        near = _Near(exact, rows, own, largest=largest, bounds=bounds)
        self._used = ~near.tied
        self._nearest = {
            k: [near.within(i, k=min(k, int(largest[i]))) for i in range(count)] for k, count in ks.items()
        }

    def recall(self, found: npt.NDArray[np.int32], *, k: int) -> npt.NDArray[np.float64]:
        """The mean share of the `k` nearest among the first 1, 2, … of the positions found (queries, count), −1 = none.

        float64 (count,); 1 where no query is left to measure with.
        """
        used = np.flatnonzero(self._used[: len(found)])
        if not len(used):
            return np.ones(found.shape[1])
        wanted = np.zeros(self._rows + 1, dtype=np.bool_)  # the last for −1
        total = np.zeros(found.shape[1])
        for i in used.tolist():
            nearest = self._nearest[k][i]
            wanted[nearest] = True
            total += np.minimum(wanted[found[i]].cumsum(), min(k, len(nearest)))
            wanted[nearest] = False
        shares: npt.NDArray[np.float64] = total / sum(min(k, len(self._nearest[k][i])) for i in used.tolist())
        return shares


def others(found: npt.NDArray[np.int32], own: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """Positions (m, c) → (m, c − 1), without each query's own row (−1 = none), or else without the last."""
    itself = (found == own[:, np.newaxis]) & (found >= 0)
    itself[:, -1] |= ~itself.any(axis=1)
    kept: npt.NDArray[np.int32] = found[~itself].reshape(len(found), -1)
    return kept


class _Exact:
    """Squared distances of rows to fixed queries (for cosine: of unit vectors), in units of the queries' spread.

    They order rows as the metric does and survive float32 also where all vectors are alike.
    """

    def __init__(self, queries: FloatMatrix, metric: Metric) -> None:
        self._frame = Frame.around(queries, metric=metric)
        self._queries = _extended(self._frame.place(queries), np.float32(-2.0))
        self._queries[:, [-1, -2]] = self._queries[:, [-2, -1]]

    def __call__(self, rows: FloatMatrix, *, of: slice = slice(None)) -> FloatMatrix:
        """Float32 (m, n) for the queries `of` and all `rows`."""
        distances: FloatMatrix = self._queries[of] @ _extended(self._frame.place(rows), np.float32(1.0)).T
        return distances


def _extended(placed: FloatMatrix, factor: np.float32) -> FloatMatrix:
    """`placed` times `factor`, and two columns: squared lengths and ones. One product of two such gives distances."""
    out = np.empty((len(placed), placed.shape[1] + 2), dtype=np.float32)
    np.multiply(placed, factor, out=out[:, :-2])
    out[:, -2] = np.einsum("ij,ij->i", placed, placed)
    out[:, -1] = 1.0
    return out


def _bounds(exact: _Exact, rows: FloatMatrix, found: npt.NDArray[np.int32], *, k: int) -> npt.NDArray[np.float32]:
    """For each of the first queries the k-th smallest distance to the positions found for it."""
    bounds = np.full(len(found), np.inf, dtype=np.float32)
    for i, positions in enumerate(found):
        there = np.sort(positions[positions >= 0])
        if len(there) >= k:
            bounds[i] = np.partition(exact(np.take(rows, there, axis=0), of=slice(i, i + 1))[0], k - 1)[k - 1]
    bounds += np.float32(_SLACK)
    return bounds


class _Near:
    """The rows within a bound of each query, the bound being drawn in as far as the `largest` k of the query allows."""

    def __init__(
        self,
        exact: _Exact,
        rows: FloatMatrix,
        own: npt.NDArray[np.int32],
        *,
        largest: npt.NDArray[np.int64],
        bounds: npt.NDArray[np.float32],
    ) -> None:
        self._bounds, self._largest = bounds, largest
        self._found: list[list[tuple[npt.NDArray[np.int64], FloatMatrix]]] = [[] for _ in own]
        self._counts = np.zeros(len(own), dtype=np.int64)
        self.tied = np.zeros(len(own), dtype=np.bool_)
        most = _MOST_TIES * largest + 64
        for start in range(0, len(rows), _CHUNK):
            near = exact(rows[start : start + _CHUNK])
            inside = np.flatnonzero((own >= start) & (own < start + near.shape[1]))
            near[inside, own[inside] - start] = np.inf
            within = near <= self._bounds[:, np.newaxis]
            for i in np.flatnonzero(within.any(axis=1)).tolist():
                at = np.flatnonzero(within[i])
                self._found[i].append((at + start, near[i, at]))
                self._counts[i] += len(at)
                if self._counts[i] > most[i]:
                    self._draw_in(i, int(most[i]))

    def within(self, query: int, *, k: int) -> npt.NDArray[np.int64]:
        """The positions of the `k` nearest, and of those tied with the last."""
        if not self._found[query]:
            return np.empty(0, dtype=np.int64)
        positions, distances = self._joined(query)
        limit = np.partition(distances, min(k, len(distances)) - 1)[min(k, len(distances)) - 1]
        kept: npt.NDArray[np.int64] = positions[distances <= limit + np.float32(_SLACK)]
        return kept

    def _joined(self, query: int) -> tuple[npt.NDArray[np.int64], FloatMatrix]:
        parts = self._found[query]
        return np.concatenate([p for p, _ in parts]), np.concatenate([d for _, d in parts])

    def _draw_in(self, query: int, most: int) -> None:
        positions, distances = self._joined(query)
        k = int(self._largest[query])
        bound = np.partition(distances, k - 1)[k - 1] + np.float32(_SLACK)
        kept = distances <= bound
        self._bounds[query] = bound
        self._found[query] = [(positions[kept], distances[kept])]
        self._counts[query] = np.count_nonzero(kept)
        if self._counts[query] > most:
            self.tied[query] = True
            self._bounds[query] = -np.inf
            self._found[query] = []
