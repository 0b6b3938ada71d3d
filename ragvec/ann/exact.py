"""Exact nearest neighbours: the answer that every approximation is measured against, and the last step of each of
them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ragvec.distance import exact_distances, lower_upper_bounds, row_norms
from ragvec.types import Distances, FloatMatrix, FloatVector, Metric, RowArray

__all__ = ["Neighbours", "nearest", "rescore"]

_GATHER = 512
_QUERIES = 16


class Neighbours(NamedTuple):
    """Rows with their exact distances, in ascending order of (distance, row). Ties with the last one are all there."""

    rows: RowArray
    distances: Distances


def nearest(
    rows: FloatMatrix,
    queries: FloatMatrix,
    *,
    k: int,
    metric: Metric,
    norms: FloatVector,
    keep: npt.NDArray[np.bool_] | None = None,
) -> list[Neighbours]:
    """Return for each query its `k` nearest among the rows for which `keep` is true, and every further row tied with
    the last.

    `rows` is float32 (n, d), `queries` float32 (m, d), `norms` the rows' norms (n,), `keep` (n,) or None for all. One
    result a query, with fewer than `k` rows only when fewer are kept. Nothing is modified.
    """
    results: list[Neighbours] = []
    for start in range(0, len(queries), _QUERIES):
        group = queries[start : start + _QUERIES]
        lengths = row_norms(group).astype(np.float64)
        units = _units(group, lengths)
        with np.errstate(over="ignore", invalid="ignore"):
            products = rows @ units.T
        for column, (query, length) in enumerate(zip(group, lengths, strict=True)):
            lower, upper = lower_upper_bounds(
                np.ascontiguousarray(products[:, column]),
                norms,
                query_norm=float(length),
                dimension=rows.shape[1],
                metric=metric,
            )
            if keep is not None:
                lower = np.where(keep, lower, np.float32(np.inf))
                upper = np.where(keep, upper, np.float32(np.inf))
                allowed = int(np.count_nonzero(keep))
            else:
                allowed = len(rows)
            results.append(_finish(rows, query, lower, upper, k=min(k, allowed), metric=metric, keep=keep))
    return results


def rescore(rows: FloatMatrix, query: FloatVector, *, candidates: RowArray, k: int, metric: Metric) -> Neighbours:
    """Return the `k` nearest to one query among the distinct `candidates` (uint32 row numbers), and every row tied with
    the last."""
    ordered = np.sort(candidates)
    if len(ordered) <= max(4 * k, 256):
        return _cut(ordered, exact_distances(np.take(rows, ordered, axis=0), query, metric=metric), k)
    length = float(row_norms(query[np.newaxis])[0])
    unit = _units(query[np.newaxis], np.array([length]))[0]
    products = np.empty(len(ordered), dtype=np.float32)
    norms = np.empty(len(ordered), dtype=np.float32)
    # One small buffer for all blocks stays in the cache; fresh ones of some megabytes cost five times the product.
    buffer = np.empty((min(_GATHER, len(ordered)), rows.shape[1]), dtype=np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, len(ordered), _GATHER):
            part = slice(start, start + _GATHER)
            block = buffer[: len(ordered[part])]
            np.take(rows, ordered[part], axis=0, out=block, mode="clip")
            np.dot(block, unit, out=products[part])
            np.sqrt(np.einsum("ij,ij->i", block, block), out=norms[part])
    lower, upper = lower_upper_bounds(products, norms, query_norm=length, dimension=rows.shape[1], metric=metric)
    best = _possible(lower, upper, min(k, len(ordered)))
    chosen = ordered[best]
    return _cut(chosen, exact_distances(np.take(rows, chosen, axis=0), query, metric=metric), k)


def _units(queries: FloatMatrix, lengths: npt.NDArray[np.float64]) -> FloatMatrix:
    safe = np.where(lengths > 0, lengths, 1.0)
    return (queries.astype(np.float64) / safe[:, np.newaxis]).astype(np.float32)


def _possible(lower: FloatVector, upper: FloatVector, k: int) -> npt.NDArray[np.intp]:
    """Positions that may be among the k smallest (or tied with the k-th), given bounds on each."""
    if k == 0:
        return np.empty(0, dtype=np.intp)
    limit = np.partition(upper, k - 1)[k - 1]
    return np.flatnonzero(lower <= limit)


def _finish(
    rows: FloatMatrix,
    query: FloatVector,
    lower: FloatVector,
    upper: FloatVector,
    *,
    k: int,
    metric: Metric,
    keep: npt.NDArray[np.bool_] | None,
) -> Neighbours:
    chosen = _possible(lower, upper, k)
    if keep is not None:
        chosen = chosen[keep[chosen]]
    return _cut(chosen.astype(np.uint32), exact_distances(np.take(rows, chosen, axis=0), query, metric=metric), k)


def _cut(rows: RowArray, distances: Distances, k: int) -> Neighbours:
    """The k nearest and the ties of the last; `rows` ascending."""
    if len(rows) > k:
        if k == 0:
            return Neighbours(rows[:0], distances[:0])
        limit = np.partition(distances, k - 1)[k - 1]
        inside = distances <= limit
        rows, distances = rows[inside], distances[inside]
    order = np.argsort(distances, kind="stable")
    return Neighbours(rows[order], distances[order])
