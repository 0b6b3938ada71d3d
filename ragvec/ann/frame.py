"""Where a segment measures its vectors from, and in what unit: what makes inner products of any embeddings tell.

Cosine distance orders vectors as euclidean distance orders them once normalised, so there is one case. For x and q
measured from the mean of the rows and in units of their root mean square, |x − q|² = |q|² − 2 (x·q − |x|²/2). Measuring
from the mean matters for embeddings that all lie in one narrow cone, whose inner products differ in their last digits
only.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from ragvec.types import FloatMatrix, Metric

__all__ = ["Frame", "heights"]

_BLOCK = 4096
_NARROW = 1e-3
"""Where the spread of unit vectors is less than this share of their mean, normalising them in float32 is too coarse."""
_SAFE = (1e-12, 1e12)
"""Lengths between these can be squared and divided by in float32."""


class Frame:
    """Where and in what unit vectors are measured: from `centre` float64 (dimension,), in units of `scale`."""

    def __init__(self, *, metric: Metric, centre: npt.NDArray[np.float64], scale: float) -> None:
        self.metric = metric
        self.centre = centre
        self.scale = scale
        narrow = metric == "cosine" and scale < _NARROW * float(np.sqrt(centre @ centre))
        self._exact = narrow or not _SAFE[0] < scale < _SAFE[1]
        self._near = (centre / scale).astype(np.float32)

    @classmethod
    def around(cls, rows: FloatMatrix, *, metric: Metric) -> Frame:
        """The frame in which `rows` float32 (n, dimension), n ≥ 1, have mean 0 and root mean square 1, or all are 0."""
        whole = cls(metric=metric, centre=np.zeros(rows.shape[1]), scale=1.0)
        centre = np.zeros(rows.shape[1])
        for block in _blocks(rows):
            centre += whole.place64(block).sum(axis=0)
        whole.centre = centre / len(rows)
        total = sum(float(np.square(whole.place64(block)).sum()) for block in _blocks(rows))
        return cls(metric=metric, centre=whole.centre, scale=math.sqrt(total / len(rows)) or 1.0)

    def place(self, rows: FloatMatrix) -> FloatMatrix:
        """`rows` float32 (n, dimension), normalised first under cosine (none may be zero), as seen in the frame."""
        if self._exact:
            return self.place64(rows).astype(np.float32)
        if self.metric == "euclidean":
            placed: FloatMatrix = rows - self.centre.astype(np.float32)
            placed *= np.float32(1.0 / self.scale)
            return placed
        squares = np.einsum("ij,ij->i", rows, rows)
        if len(rows) and not (squares.min() > _SAFE[0] ** 2 and squares.max() < _SAFE[1] ** 2):
            return self.place64(rows).astype(np.float32)
        placed = rows * (np.float32(1.0 / self.scale) / np.sqrt(squares))[:, np.newaxis]
        placed -= self._near
        return placed

    def place64(self, rows: FloatMatrix) -> npt.NDArray[np.float64]:
        """As `place`, in float64 throughout."""
        wide = rows.astype(np.float64)
        if self.metric == "cosine":
            wide /= np.sqrt(np.einsum("ij,ij->i", wide, wide))[:, np.newaxis]
        wide -= self.centre
        wide /= self.scale
        return wide


def heights(placed: FloatMatrix) -> FloatMatrix:
    """The extra coordinate of rows as placed (n, dimension): float32 (n,), (1 − |x|²) / 2."""
    squares: FloatMatrix = np.einsum("ij,ij->i", placed, placed)
    out: FloatMatrix = (np.float32(1.0) - squares) / np.float32(2.0)
    return out


def _blocks(rows: FloatMatrix) -> Iterator[FloatMatrix]:
    for start in range(0, len(rows), _BLOCK):
        yield rows[start : start + _BLOCK]
