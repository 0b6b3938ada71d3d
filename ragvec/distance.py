"""Distances as ragvec reports them, and the cheap scores that select candidates for them.

Every distance that a caller sees is computed by `exact_distances`: in float64, row by row, then rounded to float32. Its
result for a row does not depend on the rows beside it, so the same pair gives the same distance on every path, page and
process, and equal vectors tie exactly.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ragvec.types import Distances, FloatMatrix, FloatVector, Metric

__all__ = ["exact_distances", "lower_upper_bounds", "row_norms", "squared_euclidean"]

_BLOCK = 256
_NOISE = 1e-14
"""Cosine distances below this are rounding noise of 1 − cos θ in float64; they are reported as 0."""
_SAFE_NORMS = (1e-15, 1e15)
"""Norms between these let float32 products of a row with a unit vector neither overflow nor lose precision to
underflow."""


def exact_distances(rows: FloatMatrix, query: FloatVector, *, metric: Metric) -> Distances:
    """Return the distance of each row to `query`, float32 (n,), in row order.

    `rows` is float32 (n, d), `query` float32 (d,). Cosine is 1 − cos θ in [0, 2], independent of scale; euclidean is
    the root of the sum of squares (S3 Vectors; other services give `squared_euclidean`). Neither argument is modified.
    """
    q = query.astype(np.float64)
    out = np.empty(len(rows), dtype=np.float32)
    q_square = float(np.einsum("i,i->", q, q))
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK].astype(np.float64)
        if metric == "cosine":
            # sqrt(a·b) rather than sqrt(a)·sqrt(b): exactly a when both are equal, so a vector is at distance 0 from
            # itself.
            norms = np.sqrt(np.einsum("ij,ij->i", block, block) * q_square)
            cosine = np.einsum("ij,j->i", block, q) / norms
            distance = np.clip(1.0 - cosine, 0.0, 2.0)
            distance[distance < _NOISE] = 0.0
        else:
            block -= q
            distance = np.minimum(np.sqrt(np.einsum("ij,ij->i", block, block)), np.finfo(np.float32).max)
        out[start : start + _BLOCK] = distance
    return out


def squared_euclidean(rows: FloatMatrix, query: FloatVector) -> Distances:
    """Return the squared euclidean distance of each row to `query`, float32 (n,), in row order.

    From the rows, in float64: the square of a rounded root is not the rounded square ([1, 2] to [3, 4] is 8 exactly).
    """
    difference = rows.astype(np.float64) - query
    squares: npt.NDArray[np.float64] = np.einsum("ij,ij->i", difference, difference)
    return squares.clip(max=float(np.finfo(np.float32).max)).astype(np.float32)


def row_norms(rows: FloatMatrix) -> FloatVector:
    """Return the euclidean norm of each row, float32 (n,), computed in float64."""
    out = np.empty(len(rows), dtype=np.float32)
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK].astype(np.float64)
        with np.errstate(over="ignore"):  # an infinite norm is one that no bound relies on
            out[start : start + _BLOCK] = np.sqrt(np.einsum("ij,ij->i", block, block))
    return out


def lower_upper_bounds(
    products: npt.NDArray[np.float32], norms: FloatVector, *, query_norm: float, dimension: int, metric: Metric
) -> tuple[FloatVector, FloatVector]:
    """Return float32 (n,) lower and upper bounds on a monotone function of each row's distance.

    `products` are float32 dot products of the rows with the *unit* query, in any summation order; `norms` are the rows'
    norms. The bounds add the worst-case rounding error of such a product, γ = d·u/(1 − d·u) times both norms (Higham,
    Accuracy and Stability of Numerical Algorithms, 2nd ed., §3.1), doubled for the steps after it. Rows whose norm
    makes float32 unsafe get infinite bounds.
    """
    gamma = 2.0 * (dimension + 8) * 2.0**-24
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        if metric == "cosine":
            score = -products / norms
            slack: npt.NDArray[np.float32] | float = gamma
        else:
            # |x − q|² − |q|² = |x|² − 2 |q| x·q̂
            score = norms * norms - np.float32(2.0 * query_norm) * products
            slack = np.float32(gamma) * (norms + np.float32(query_norm)) ** 2
        lower = (score - slack).astype(np.float32, copy=False)
        upper = (score + slack).astype(np.float32, copy=False)
    unsafe = ~((norms > _SAFE_NORMS[0]) & (norms < _SAFE_NORMS[1]))
    if metric == "euclidean":
        unsafe &= norms != 0
        if not query_norm < _SAFE_NORMS[1]:
            unsafe[:] = True
    if unsafe.any():
        lower[unsafe] = -np.inf
        upper[unsafe] = np.inf
    return lower, upper
