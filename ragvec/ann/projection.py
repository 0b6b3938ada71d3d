"""From stored rows to the coordinates that a segment's first pass runs on, whose inner products order the rows.

In the frame of the rows (`ragvec.ann.frame`) rows get an extra coordinate for −|x|²/2 and queries a constant there. The
more the lengths differ the more often it is repeated, a part of its value in each, because the error of its
quantisation then averages out.

Only the leading principal axes are kept where that makes a query cheaper: fewer coordinates are scanned faster and need
more candidates to be rescored. How many, is measured (`ragvec.ann.width`); |x|² is that of the whole vector.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from ragvec.ann.array_files import read_arrays
from ragvec.ann.frame import Frame, heights
from ragvec.ann.width import principal_axes
from ragvec.types import FloatMatrix, FloatVector, Metric

__all__ = ["Frame", "Projection", "fit"]

_BLOCK = 4096
_SAMPLE = 16_384
_SMALL_DIMENSION = 64
"""Below this a projection saves too little."""
_LENGTHS = (1e-12, 1e12)
"""Between these, queries can be divided by the unit of the frame in float32."""
_MOST_COPIES = 8
_COPIES_PER_SPREAD = 40
"""One copy of the extra coordinate serves a standard deviation of 1/40, eight one of 0.2; more brought nothing."""


class Projection:
    """A map of rows and of queries to float32 coordinates with `width` columns, whose inner products order the rows.

    The order is that of the metric (nearest first is greatest first), up to what the dropped axes carry.
    """

    def __init__(self, frame: Frame, *, axes: FloatMatrix | None, copies: int) -> None:
        self.frame = frame
        self.axes = axes
        self.copies = copies
        self._kept = len(frame.centre) if axes is None else axes.shape[1]
        self.width = self._kept + copies
        self._middle = frame.centre.astype(np.float32)
        self._plain = _LENGTHS[0] < frame.scale < _LENGTHS[1]
        self._constant = float(frame.scale / np.sqrt(copies))

    def rows(self, rows: FloatMatrix, *, out: FloatMatrix | None = None) -> FloatMatrix:
        """The coordinates of `rows` (n, dimension): C-contiguous float32 (n, width), new or written to `out`."""
        if out is None:
            out = np.empty((len(rows), self.width), dtype=np.float32)
        for start in range(0, len(rows), _BLOCK):
            placed = self.frame.place(rows[start : start + _BLOCK])
            target = out[start : start + _BLOCK]
            target[:, : self._kept] = placed if self.axes is None else placed @ self.axes
            target[:, self._kept :] = (heights(placed) / np.sqrt(self.copies))[:, np.newaxis]
        return out

    def queries(self, queries: FloatMatrix) -> FloatMatrix:
        """The coordinates of `queries` (m, dimension): a new C-contiguous float32 (m, width)."""
        out = np.empty((len(queries), self.width), dtype=np.float32)
        placed = self.frame.place(queries)
        out[:, : self._kept] = placed if self.axes is None else placed @ self.axes
        out[:, self._kept :] = 1.0 / np.sqrt(self.copies)
        return out

    def query(self, query: FloatVector) -> FloatVector:
        """A positive multiple of the coordinates of one query (dimension,): a new float32 (width,)."""
        length = math.sqrt(query @ query) if self.frame.metric == "cosine" else 1.0
        if not (self._plain and _LENGTHS[0] < length < _LENGTHS[1]):
            coordinates: FloatVector = self.queries(query[np.newaxis])[0]
            return coordinates
        out = np.empty(self.width, dtype=np.float32)
        if self.frame.metric == "cosine":
            moved = self._middle * np.float32(-length)
            moved += query
        else:
            moved = query - self._middle
        if self.axes is None:
            out[: self._kept] = moved
        else:
            np.dot(moved, self.axes, out=out[: self._kept])
        out[self._kept :] = self._constant * length
        return out

    def save(self, path: Path) -> None:
        """Write the projection as a numpy archive without pickles."""
        with path.open("wb") as file:
            np.savez(
                file,
                metric=np.array(self.frame.metric),
                centre=self.frame.centre,
                scale=np.array(self.frame.scale),
                axes=np.empty((0, 0), dtype=np.float32) if self.axes is None else self.axes,
                copies=np.array(self.copies),
            )

    @classmethod
    def load(cls, path: Path) -> Projection:
        """Read what `save` wrote. Raises ValueError, KeyError or OSError when it is something else."""
        stored = read_arrays(path)
        centre, axes = stored["centre"], stored["axes"]
        if centre.ndim != 1 or axes.ndim != 2 or (axes.size and axes.shape[0] != len(centre)):
            raise ValueError(f"expected a centre and its axes, got {centre.shape} and {axes.shape}")
        if any(stored[name].shape for name in ("metric", "scale", "copies")):
            raise ValueError("expected single values for metric, scale and copies")
        metric: Metric = "cosine" if str(stored["metric"]) == "cosine" else "euclidean"
        frame = Frame(metric=metric, centre=centre, scale=float(stored["scale"]))
        return cls(frame, axes=axes if axes.size else None, copies=int(stored["copies"]))


def fit(rows: FloatMatrix, *, metric: Metric, seed: int) -> Projection:
    """The projection for `rows` float32 (n, dimension), n ≥ 1; all choices come from samples drawn with `seed`."""
    dimension = rows.shape[1]
    random = np.random.default_rng(seed)
    chosen = np.sort(random.choice(len(rows), min(len(rows), max(_SAMPLE, 8 * dimension)), replace=False))
    sample = np.take(rows, chosen, axis=0)
    frame = Frame.around(sample, metric=metric)
    placed = frame.place(sample)
    copies = int(np.clip(round(_COPIES_PER_SPREAD * float(heights(placed).std())), 1, _MOST_COPIES))
    axes = principal_axes(rows, frame, placed, random=random) if dimension >= _SMALL_DIMENSION else None
    # Few coordinates are not to be outweighed by the copies of one.
    kept = dimension if axes is None else axes.shape[1]
    return Projection(frame, axes=axes, copies=min(copies, max(1, kept // 8)))
