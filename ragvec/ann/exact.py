"""Exact nearest neighbours: the answer that every approximation is measured against, and the last step of each of
them.

All ways end alike: float32 products with a proven bound on their error say which rows may be among the nearest, and
`exact_distances` decides between those. `nearest` looks at every row, `among` at the rows that a filter left, `rescore`
at the few that an index proposed.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ragvec.distance import Probe, dots, exact_distances, lower_upper_bounds, safe_norms, slack
from ragvec.types import Distances, FloatMatrix, FloatVector, Metric, RowArray

__all__ = ["Neighbours", "among", "nearest", "rescore"]

_Positions = npt.NDArray[np.intp]

_TILE_ENTRIES = 1 << 17
"""Entries gathered at a time, 512 KB: more would leave the processor's own cache before it is read again."""
_FEW = 64
"""Choosing among rows costs as much as the distances of this many."""
_TOUCH = 32
"""From this many rows on, loads of one entry each before the gather pay: the memory answers them side by side."""
_DENSE = 4
"""From one candidate in this many rows on, the products with all rows cost less than gathering the candidates."""
_QUERIES = 32
_SCAN_ENTRIES = 1 << 22
"""Entries of a block of rows that a group of queries is multiplied with: 16 MB, milliseconds of work for the BLAS,
whose threads wait for each other after each block."""


class Neighbours(NamedTuple):
    """Rows with their exact distances, in ascending order of (distance, row). Ties with the last one are all there."""

    rows: RowArray
    distances: Distances


class _Scratch(threading.local):
    """Memory for a tile in each thread; fresh pages from the system would cost more than the products."""

    def __init__(self) -> None:
        self._entries = np.empty(0, dtype=np.float32)

    def tile(self, rows: int, dimension: int) -> FloatMatrix:
        if len(self._entries) < rows * dimension:
            self._entries = np.empty(max(_TILE_ENTRIES, rows * dimension), dtype=np.float32)
        return self._entries[: rows * dimension].reshape(rows, dimension)


_scratch = _Scratch()


def rescore(
    rows: FloatMatrix,
    query: FloatVector | Probe,
    *,
    candidates: RowArray,
    k: int,
    metric: Metric,
    norms: FloatVector | None = None,
) -> Neighbours:
    """Return the `k` nearest to one query among the distinct `candidates` (row numbers in any order), and every row
    tied with the last.

    `rows` is float32 (n, d), `norms` the rows' norms (n,) if they are at hand. Nothing is modified.
    """
    ordered = candidates.astype(np.intp)
    ordered.sort()
    return _gather(rows, Probe.of(query), ordered, k=k, metric=metric, norms=norms)


def among(
    rows: FloatMatrix,
    queries: FloatMatrix,
    *,
    candidates: RowArray,
    k: int,
    metric: Metric,
    norms: FloatVector | None = None,
) -> list[Neighbours]:
    """Return for each query its `k` nearest among `candidates`, ascending row numbers, and every row tied with the
    last.

    As `nearest` with a mask of n entries, of which this has no need: its work grows with the candidates alone.
    """
    ordered = candidates.astype(np.intp)
    if len(queries) != 1:
        return _many(rows, queries, k=k, metric=metric, norms=norms, kept=ordered)
    first, last = (int(ordered[0]), int(ordered[-1]) + 1) if len(ordered) else (0, 0)
    if last - first > _DENSE * len(ordered):
        return [_gather(rows, Probe.of(queries[0]), ordered, k=k, metric=metric, norms=norms)]
    ordered -= first
    near, distances = _scan(
        rows[first:last],
        Probe.of(queries[0]),
        k=k,
        metric=metric,
        norms=None if norms is None else norms[first:last],
        kept=None if len(ordered) == last - first else ordered,
    )
    return [Neighbours(near + np.uint32(first), distances)]


def nearest(
    rows: FloatMatrix,
    queries: FloatMatrix,
    *,
    k: int,
    metric: Metric,
    norms: FloatVector | None = None,
    keep: npt.NDArray[np.bool_] | None = None,
) -> list[Neighbours]:
    """Return for each query its `k` nearest among the rows for which `keep` is true, and every further row tied with
    the last.

    `rows` is float32 (n, d), `queries` float32 (m, d), `norms` the rows' norms (n,) if they are at hand, `keep` (n,) or
    None for all. One result a query, with fewer than `k` rows only when fewer are kept. Nothing is modified.
    """
    kept = None if keep is None else keep.nonzero()[0]
    if kept is not None and len(kept) == len(rows):
        kept = None
    if len(queries) != 1:
        return _many(rows, queries, k=k, metric=metric, norms=norms, kept=kept)
    probe = Probe.of(queries[0])
    if kept is not None and len(kept) * _DENSE < len(rows):
        return [_gather(rows, probe, kept, k=k, metric=metric, norms=norms)]
    return [_scan(rows, probe, k=k, metric=metric, norms=norms, kept=kept)]


def _gather(
    rows: FloatMatrix, probe: Probe, ordered: _Positions, *, k: int, metric: Metric, norms: FloatVector | None
) -> Neighbours:
    """The nearest of the rows at `ordered`, ascending positions, which are copied tile by tile."""
    count, dimension = len(ordered), rows.shape[1]
    step = max(1, _TILE_ENTRIES // dimension)
    tile = _scratch.tile(min(step, count), dimension)
    if count <= min(k + _FEW, step):
        _copy(rows, ordered, tile)
        return _cut(ordered, exact_distances(tile, probe, metric=metric), k)
    products = np.empty(count, dtype=np.float32)
    lengths = np.empty(count, dtype=np.float32) if norms is None else norms.take(ordered)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for start in range(0, count, step):
            part = ordered[start : start + step]
            block = tile[: len(part)]
            _copy(rows, part, block)
            dots(block, probe.unit, out=products[start : start + step])
            if norms is None:
                dots(block, block, out=lengths[start : start + step])
        if norms is None:
            np.sqrt(lengths, out=lengths)
        best = _possible(products, lengths, probe, k=k, metric=metric)
    chosen = ordered[best]
    # The rows of a single tile are still at hand.
    copies = tile.take(best, axis=0) if count <= step else rows.take(chosen, axis=0)
    return _cut(chosen, exact_distances(copies, probe, metric=metric), k)


def _scan(
    rows: FloatMatrix,
    probe: Probe,
    *,
    k: int,
    metric: Metric,
    norms: FloatVector | None,
    kept: _Positions | None,
) -> Neighbours:
    """The nearest of all rows, or of those at `kept` (ascending positions), multiplied where they lie."""
    count = len(rows) if kept is None else len(kept)
    if count <= k + _FEW:
        chosen = np.arange(count) if kept is None else kept
        return _cut(chosen, exact_distances(rows if kept is None else rows.take(kept, axis=0), probe, metric=metric), k)
    products = np.empty(len(rows), dtype=np.float32)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        dots(rows, probe.unit, out=products)
        lengths = _norms(rows) if norms is None else norms
        if kept is None:
            chosen = _possible(products, lengths, probe, k=k, metric=metric)
        else:
            chosen = kept[_possible(products.take(kept), lengths.take(kept), probe, k=k, metric=metric)]
    return _cut(chosen, exact_distances(rows.take(chosen, axis=0), probe, metric=metric), k)


def _many(
    rows: FloatMatrix,
    queries: FloatMatrix,
    *,
    k: int,
    metric: Metric,
    norms: FloatVector | None,
    kept: _Positions | None,
) -> list[Neighbours]:
    """The nearest of all rows, or of those at `kept` (ascending positions), for groups of queries, whose products with
    blocks of rows the BLAS computes in as many threads as it has."""
    results: list[Neighbours] = []
    for first in range(0, len(queries), _QUERIES):
        probes = [Probe.of(query) for query in queries[first : first + _QUERIES]]
        units = np.stack([probe.unit for probe in probes])
        contenders = [_Contenders(k) for _ in probes]
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            for positions, block in _blocks(rows, kept):
                lengths = _norms(block) if norms is None else norms.take(positions)
                products = np.dot(units, block.T)
                for probe, line, some in zip(probes, products, contenders, strict=True):
                    some.add(positions, *_bounds(line, lengths, probe, metric))
        for probe, some in zip(probes, contenders, strict=True):
            chosen = some.positions()
            results.append(_cut(chosen, exact_distances(rows.take(chosen, axis=0), probe, metric=metric), k))
    return results


def _blocks(rows: FloatMatrix, kept: _Positions | None) -> Iterator[tuple[_Positions, FloatMatrix]]:
    """Positions, ascending, with their rows; those of `kept` as copies."""
    step = max(1, _SCAN_ENTRIES // rows.shape[1])
    if kept is None:
        for start in range(0, len(rows), step):
            block = rows[start : start + step]
            yield np.arange(start, start + len(block)), block
        return
    copies = np.empty((min(step, len(kept)), rows.shape[1]), dtype=np.float32)
    for start in range(0, len(kept), step):
        part = kept[start : start + step]
        block = copies[: len(part)]
        rows.take(part, axis=0, out=block, mode="clip")
        yield part, block


class _Contenders:
    """Positions that may be among the k nearest or tied with the k-th, of all those added so far."""

    def __init__(self, k: int) -> None:
        self._k = k
        self._limit = np.float32(np.inf)
        self._parts: list[tuple[_Positions, FloatVector, FloatVector]] = []
        self._held = 0

    def add(self, positions: _Positions, lower: FloatVector, upper: FloatVector) -> None:
        if self._held < self._k <= len(upper):
            self._limit = min(self._limit, np.partition(upper, self._k - 1)[self._k - 1])
        inside = (lower <= self._limit).nonzero()[0]
        if not len(inside) or not self._k:
            return
        self._parts.append((positions[inside], lower[inside], upper[inside]))
        self._held += len(inside)
        if self._held >= 4 * self._k + 64:
            self._prune()

    def positions(self) -> _Positions:
        """Ascending, if they were added so."""
        if not self._parts:
            return np.empty(0, dtype=np.intp)
        if len(self._parts) > 1:
            self._prune()
        return self._parts[0][0]

    def _prune(self) -> None:
        positions, lower, upper = (np.concatenate(part) for part in zip(*self._parts, strict=True))
        if len(positions) > self._k:
            self._limit = np.partition(upper, self._k - 1)[self._k - 1]
            inside = (lower <= self._limit).nonzero()[0]
            positions, lower, upper = positions[inside], lower[inside], upper[inside]
        self._parts, self._held = [(positions, lower, upper)], len(positions)


def _copy(rows: FloatMatrix, positions: _Positions, target: FloatMatrix) -> None:
    if len(positions) >= _TOUCH and rows.flags.c_contiguous:
        rows.reshape(-1).take(positions * rows.shape[1])
    rows.take(positions, axis=0, out=target, mode="clip")


def _norms(rows: FloatMatrix) -> FloatVector:
    squares = dots(rows, rows, out=np.empty(len(rows), dtype=np.float32))
    norms: FloatVector = np.sqrt(squares, out=squares)
    return norms


def _bounds(products: FloatVector, norms: FloatVector, probe: Probe, metric: Metric) -> tuple[FloatVector, FloatVector]:
    return lower_upper_bounds(products, norms, query_norm=probe.length, dimension=len(probe.unit), metric=metric)


def _possible(products: FloatVector, norms: FloatVector, probe: Probe, *, k: int, metric: Metric) -> _Positions:
    """Positions, ascending, that may be among the k nearest or tied with the k-th; `products` is overwritten."""
    count = len(products)
    if count <= k:
        return np.arange(count)
    if k == 0:
        return np.empty(0, dtype=np.intp)
    if metric == "cosine" and safe_norms(norms):
        # Of equal margins only their sum matters.
        cosines = np.divide(products, norms, out=products)
        ranked = cosines.copy()
        ranked.partition(count - k)
        inside = cosines >= ranked[count - k] - np.float32(2.0 * slack(len(probe.unit)))
    else:
        lower, upper = _bounds(products, norms, probe, metric)
        upper.partition(k - 1)
        inside = lower <= upper[k - 1]
    chosen: _Positions = inside.nonzero()[0]
    return chosen


def _cut(rows: _Positions, distances: Distances, k: int) -> Neighbours:
    """The k nearest and the ties of the last; `rows` ascending."""
    order = distances.argsort(kind="stable")
    distances = distances[order]
    if len(order) > k:
        inside = int(distances.searchsorted(distances[k - 1], side="right")) if k else 0
        order, distances = order[:inside], distances[:inside]
    return Neighbours(rows[order].astype(np.uint32), distances)
