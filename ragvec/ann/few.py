"""The nearest of some dozen rows under cosine, for rows of nearly the same norm.

At this size the time goes into calls rather than numbers, so there are few of them, and rows are read once. The range
of the norms takes the part of the norms: with p the product of a row and the query, float32 products tell which rows
may be among the nearest, and only of these distances are computed, in float64.
"""

from __future__ import annotations

import struct
import threading
from typing import Any

import numpy as np
import numpy.typing as npt

from ragvec.distance import Probe, cosine_error, exact_distances, slack
from ragvec.types import Distances, FloatMatrix, FloatVector, RowArray

__all__ = ["Few"]

_vecdot: Any = getattr(np, "vecdot", None)  # numpy 2

_TILE_ENTRIES = 1 << 17
"""Entries copied at a time, 512 KB: more would leave the processor's own cache before they are read again."""
_SAFE_RANGE = (1e-6, 1e6)
"""Norms of rows and queries between which their float32 products are as exact as their error bound says."""
_TOUCH = 32
"""From this many rows on, loads of one entry each before the copy pay: the memory answers them side by side."""


class _Scratch(threading.local):
    """Memory for a tile in each thread; fresh pages from the system would cost more than the products."""

    def __init__(self) -> None:
        self._entries = np.empty(0, dtype=np.float32)

    def tile(self, dimension: int) -> FloatMatrix:
        rows = max(1, _TILE_ENTRIES // dimension)
        if len(self._entries) < rows * dimension:
            self._entries = np.empty(rows * dimension, dtype=np.float32)
        return self._entries[: rows * dimension].reshape(rows, dimension)


_scratch = _Scratch()


class Few:
    """A query and the rows looked at for it so far; for one thread, and one at a time in each.

    `rows` is float32 (n, d), C-contiguous, and all norms of those looked at lie in `norms`, least and greatest.
    """

    __slots__ = ("_candidates", "_error", "_norms", "_probe", "_products", "_rows", "_tile", "_used")

    def __init__(self, rows: FloatMatrix, probe: Probe, *, norms: tuple[float, float]) -> None:
        self._rows = rows
        self._probe = probe
        self._norms = norms
        self._error = slack(rows.shape[1]) * norms[1] * probe.length
        self._tile = _scratch.tile(rows.shape[1])
        self._used = 0
        """Rows of the tile that hold those looked at, all of them unless it is beyond its end."""
        self._candidates: list[RowArray] = []
        self._products: list[FloatVector] = []

    @classmethod
    def of(cls, rows: FloatMatrix, probe: Probe, *, norms: tuple[float, float]) -> Few | None:
        """None where the bounds on errors do not hold, or where this numpy has no loop for it."""
        least, greatest = norms
        if (
            _vecdot is None
            or not _SAFE_RANGE[0] < least <= greatest < _SAFE_RANGE[1]
            or not _SAFE_RANGE[0] < probe.length < _SAFE_RANGE[1]
        ):
            return None
        return cls(rows, probe, norms=norms)

    def look(self, candidates: RowArray) -> None:
        """Take in further rows, by number; none may come twice."""
        count = len(candidates)
        if not count:
            return
        positions = candidates.astype(np.intp)
        first, self._used = self._used, self._used + count
        self._candidates.append(candidates)
        if self._used <= len(self._tile):
            self._products.append(self._multiplied(positions, self._tile[first : self._used]))
            return
        step = len(self._tile)
        parts = [positions[at : at + step] for at in range(0, count, step)]
        self._products += [self._multiplied(part, self._tile[: len(part)]) for part in parts]

    def __len__(self) -> int:
        """How many rows were looked at."""
        return self._used

    def cosine(self, k: int) -> float:
        """What the cosine of the k-th nearest of those looked at, of which there are as many, is at least; by no more
        than the norms differ."""
        bound = self._least_product(self._all_products(), k)
        return bound / (self._norms[bound >= 0.0] * self._probe.length)

    def settle(self, k: int) -> tuple[RowArray, Distances, list[int]] | None:
        """The k nearest, nearest first, with their exact distances, and where each is among all that were looked at;
        None where two of them, or the last and the next, are at one distance, or no more than k were looked at."""
        count = self._used
        if not 0 < k < count:
            return None
        products = self._all_products()
        # At least k cosines are bound / (norm · length) or more. A row of such a cosine has a product of at least this.
        bound = self._least_product(products, k)
        least, greatest = self._norms
        bound *= least / greatest if bound >= 0.0 else greatest / least
        chosen = (products >= np.float32(bound - self._error)).nonzero()[0]
        candidates = self._candidates[0] if len(self._candidates) == 1 else np.concatenate(self._candidates)
        copies = self._tile.take(chosen, axis=0) if count <= len(self._tile) else self._rows.take(candidates[chosen], 0)
        block = copies.astype(np.float64)
        square = self._probe.square
        distances = [
            1.0 - product / (norm * square) ** 0.5
            for product, norm in zip(
                _vecdot(block, self._probe.wide).tolist(), _vecdot(block, block).tolist(), strict=True
            )
        ]
        margin = cosine_error(block.shape[1])
        form = f"{len(distances)}f"
        low = struct.pack(form, *[distance - margin for distance in distances])
        if low == struct.pack(form, *[distance + margin for distance in distances]):
            rounded = struct.unpack(form, low)
        else:
            rounded = tuple(exact_distances(copies, self._probe, metric="cosine").tolist())
        order = sorted(range(len(rounded)), key=rounded.__getitem__)[: k + 1]
        best = [rounded[at] for at in order]
        if len(set(best)) < len(best):
            return None
        places = chosen[order[:k]]
        return candidates[places], np.array(best[:k], dtype=np.float32), places.tolist()

    def _multiplied(self, positions: npt.NDArray[np.intp], tile: FloatMatrix) -> FloatVector:
        if len(positions) >= _TOUCH:
            self._rows.reshape(-1).take(positions * self._rows.shape[1])
        self._rows.take(positions, axis=0, out=tile, mode="clip")
        products: FloatVector = _vecdot(tile, self._probe.vector)
        return products

    def _all_products(self) -> FloatVector:
        if len(self._products) > 1:
            self._products = [np.concatenate(self._products)]
        return self._products[0]

    def _least_product(self, products: FloatVector, k: int) -> float:
        """The k-th greatest product, less its error."""
        ranked = products.copy()
        ranked.partition(len(ranked) - k)
        return float(ranked[len(ranked) - k]) - self._error
