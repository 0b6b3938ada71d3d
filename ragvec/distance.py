"""Distances as ragvec reports them, and the cheap scores that select candidates for them.

Every distance that a caller sees is computed by `exact_distances`: in float64, row by row, then rounded to float32. Its
result for a row does not depend on the rows beside it, so the same pair gives the same distance on every path, page and
process, and equal vectors tie exactly. Float32 products (`dots`) come from whatever BLAS numpy has and only choose
whose distances are computed; `lower_upper_bounds` says how far they can be off.
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from ragvec.types import Distances, FloatMatrix, FloatVector, Metric

__all__ = [
    "Probe",
    "cosine_error",
    "dots",
    "exact_distances",
    "lower_upper_bounds",
    "row_norms",
    "safe_norms",
    "slack",
    "squared_euclidean",
]

_BLOCK_ENTRIES = 1 << 15
"""Entries that are widened to float64 at a time: 256 KB, which stays in the cache."""
_NOISE = 1e-14
"""Cosine distances below this are rounding noise of 1 − cos θ in float64; they are reported as 0."""
_SAFE_NORMS = (1e-15, 1e15)
"""Norms between these let float32 products of a row with a unit vector neither overflow nor lose precision to
underflow."""
_LARGEST = float(np.finfo(np.float32).max)
_ROUNDING = 2.0**-53
_vecdot: Any = getattr(np, "vecdot", None)  # numpy 2
_BUFFER = 8192
"""Longer rows numpy's loops add in pieces of this length (np.getbufsize), unless there is only one of them."""
_ONE_THREAD = 8192
"""Up to this length OpenBLAS's dot stays in the thread that calls it; from 10,000 on it starts others."""
_Wide: TypeAlias = npt.NDArray[np.float64]


class Probe(msgspec.Struct, frozen=True, eq=False):
    """A query with what all distances to it need, so that it is computed once: make one with `Probe.of`.

    `vector` is the query, float32 (d,), `wide` the same in float64, `square` the sum of its squares and `length` its
    root, both to the precision of float64, `unit` the query's direction, float32 (d,), zeros for a query of zeros.
    """

    vector: FloatVector
    wide: _Wide
    square: float
    length: float
    unit: FloatVector

    @classmethod
    def of(cls, query: FloatVector | Probe) -> Probe:
        """The probe for a float32 vector, which must not change while the probe is used; a probe gives itself."""
        if isinstance(query, Probe):
            return query
        wide = query.astype(np.float64)
        square = float(wide.dot(wide))
        length = math.sqrt(square)
        if _SAFE_NORMS[0] < length < _SAFE_NORMS[1]:
            return cls(query, wide, square, length, query * np.float32(1.0 / length))
        return cls(query, wide, square, length, (wide / (length or 1.0)).astype(np.float32))


def exact_distances(rows: FloatMatrix, query: FloatVector | Probe, *, metric: Metric) -> Distances:
    """Return the distance of each row to `query`, float32 (n,), in row order.

    `rows` is float32 (n, d), `query` float32 (d,). Cosine is 1 − cos θ in [0, 2], independent of scale; euclidean is
    the root of the sum of squares (S3 Vectors; other services give `squared_euclidean`). Neither argument is modified.
    """
    probe = Probe.of(query)
    of_block = _cosine if metric == "cosine" else _euclidean
    step = max(1, _BLOCK_ENTRIES // max(1, rows.shape[1]))
    if len(rows) <= step:
        return of_block(rows.astype(np.float64, order="C"), probe)
    out = np.empty(len(rows), dtype=np.float32)
    wide = np.empty((step, rows.shape[1]), dtype=np.float64)
    for start in range(0, len(rows), step):
        part = rows[start : start + step]
        block = wide[: len(part)]
        block[...] = part
        out[start : start + step] = of_block(block, probe)
    return out


# A distance is defined by sums in the order of numpy's own loops (einsum), which neither the other rows nor the
# processor changes. The BLAS is several times faster but adds in an order of its own. Its sums serve where they are
# proven to round to the same float32, which is nearly always.


def _cosine(block: _Wide, probe: Probe) -> Distances:
    """Float32 distances of the rows of `block`, float64 and C-contiguous."""
    if not _by_blas(block.shape[1]):
        return _cosine_by_definition(block, probe)
    norms = _vecdot(block, block)
    norms *= probe.square
    distance = _vecdot(block, probe.wide)
    distance /= np.sqrt(norms, out=norms)
    np.subtract(1.0, distance, out=distance)
    error = cosine_error(block.shape[1])
    low: Distances = (distance - error).astype(np.float32)
    high: Distances = (distance + error).astype(np.float32)
    if low.tobytes() != high.tobytes():
        unsettled = low != high
        low[unsettled] = _cosine_by_definition(block[unsettled], probe)
    return low


def cosine_error(dimension: int) -> float:
    """By how much cosine distances from float64 sums in two orders differ at most.

    Products of float32 are exact in float64. In either order a sum of d of them is off by d·u of both norms at most, a
    norm's square by d·u of itself; twice that for two orders.
    """
    return (5 * dimension + 32) * _ROUNDING


def _cosine_by_definition(block: _Wide, probe: Probe) -> Distances:
    # sqrt(a·b) rather than sqrt(a)·sqrt(b): exactly a when both are equal, so a vector is at distance 0 from itself.
    norms = np.sqrt(_sums(block, block) * _sums(probe.wide[np.newaxis], probe.wide))
    distance = np.minimum(1.0 - _sums(block, probe.wide) / norms, 2.0)
    distance[distance < _NOISE] = 0.0
    return distance.astype(np.float32)


def _euclidean(block: _Wide, probe: Probe) -> Distances:
    """Float32 distances of the rows of `block`, float64 and C-contiguous, which is overwritten."""
    block -= probe.wide
    if not _by_blas(block.shape[1]):
        return _lengths_by_definition(block)
    length = _vecdot(block, block)
    np.minimum(np.sqrt(length, out=length), _LARGEST, out=length)
    error = (block.shape[1] + 8) * _ROUNDING
    low: Distances = (length * (1.0 - error)).astype(np.float32)
    high: Distances = (length * (1.0 + error)).astype(np.float32)
    if low.tobytes() != high.tobytes():
        unsettled = low != high
        low[unsettled] = _lengths_by_definition(block[unsettled])
    return low


def _lengths_by_definition(block: _Wide) -> Distances:
    return np.minimum(np.sqrt(_sums(block, block)), _LARGEST).astype(np.float32)


def _sums(block: _Wide, other: _Wide) -> _Wide:
    """Float64 (n,): the sum of the products of each row with `other`, a vector (d,) or a matrix (n, d)."""
    subscripts = "ij,j->i" if other.ndim == 1 else "ij,ij->i"
    sums: _Wide = np.einsum(subscripts, block[:, :_BUFFER], other[..., :_BUFFER])
    for start in range(_BUFFER, block.shape[1], _BUFFER):
        part = slice(start, start + _BUFFER)
        sums += np.einsum(subscripts, block[:, part], other[..., part])
    return sums


def squared_euclidean(rows: FloatMatrix, query: FloatVector) -> Distances:
    """Return the squared euclidean distance of each row to `query`, float32 (n,), in row order.

    From the rows, in float64: the square of a rounded root is not the rounded square ([1, 2] to [3, 4] is 8 exactly).
    """
    difference = rows.astype(np.float64) - query
    return _sums(difference, difference).clip(max=_LARGEST).astype(np.float32)


def row_norms(rows: FloatMatrix) -> FloatVector:
    """Return the euclidean norm of each row, float32 (n,), computed in float64, for bounds: not the same to the last
    digit on every machine."""
    out = np.empty(len(rows), dtype=np.float32)
    step = max(1, _BLOCK_ENTRIES // max(1, rows.shape[1]))
    with np.errstate(over="ignore"):  # an infinite norm is one that no bound relies on
        for start in range(0, len(rows), step):
            block = rows[start : start + step].astype(np.float64, order="C")
            squares = _vecdot(block, block) if _by_blas(rows.shape[1]) else _sums(block, block)
            out[start : start + step] = np.sqrt(squares, out=squares)
    return out


def dots(rows: FloatMatrix, other: FloatMatrix | FloatVector, *, out: FloatVector) -> FloatVector:
    """Write into `out`, float32 (n,), the float32 product of each row with `other`: a vector (d,), or a matrix (n, d)
    whose rows it takes by turns. Returns `out`.

    Each product is one call of the BLAS's dot, in this thread. Its matrix-vector product is a little faster on matrices
    that fit the cache, takes twice as long on larger ones, and starts threads for some, for which it waits a time slice
    of the system's when the processors are busy. The caller silences overflow.
    """
    if _by_blas(rows.shape[1]):
        _vecdot(rows, other, out=out)
    else:
        np.einsum("ij,j->i" if other.ndim == 1 else "ij,ij->i", rows, other, out=out)
    return out


def _by_blas(dimension: int) -> bool:
    return _vecdot is not None and dimension <= _ONE_THREAD


def slack(dimension: int) -> float:
    """The worst-case rounding error of a float32 product of a row with the unit query, as a share of the row's norm.

    It is γ = d·u/(1 − d·u) (Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., §3.1), doubled for the
    steps after it: a norm from a float32 sum of squares, a division, a subtraction.
    """
    return 2.0 * (dimension + 8) * 2.0**-24


def safe_norms(norms: FloatVector) -> bool:
    """Whether float32 products of rows with these norms, float32 (n,), n ≥ 1, and a unit vector have the precision that
    `slack` promises, for all of them."""
    # argmin finds a NaN first, and takes a quarter of the time of min.
    return bool(norms[norms.argmin()] > _SAFE_NORMS[0] and norms[norms.argmax()] < _SAFE_NORMS[1])


def lower_upper_bounds(
    products: npt.NDArray[np.float32], norms: FloatVector, *, query_norm: float, dimension: int, metric: Metric
) -> tuple[FloatVector, FloatVector]:
    """Return float32 (n,) lower and upper bounds on a monotone function of each row's distance.

    `products` are float32 dot products of the rows with the *unit* query, in any summation order; `norms` are the rows'
    norms, from a float32 or a better sum of squares. The bounds add and take away the `slack` of both norms. Rows whose
    norm makes float32 unsafe get infinite bounds.
    """
    gamma = slack(dimension)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        if metric == "cosine":
            score = -products / norms
            margin: npt.NDArray[np.float32] | float = gamma
        else:
            # |x − q|² − |q|² = |x|² − 2 |q| x·q̂
            score = norms * norms - np.float32(2.0 * query_norm) * products
            margin = np.float32(gamma) * (norms + np.float32(query_norm)) ** 2
        lower = (score - margin).astype(np.float32, copy=False)
        upper = (score + margin).astype(np.float32, copy=False)
    if not safe_norms(norms):
        unsafe = ~((norms > _SAFE_NORMS[0]) & (norms < _SAFE_NORMS[1]))
        if metric == "euclidean":
            unsafe &= norms != 0
        lower[unsafe] = -np.inf
        upper[unsafe] = np.inf
    if metric == "euclidean" and not query_norm < _SAFE_NORMS[1]:
        lower[:] = -np.inf
        upper[:] = np.inf
    return lower, upper
