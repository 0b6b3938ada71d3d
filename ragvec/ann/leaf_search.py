"""One filtered search by the leaves of a segment, step by step: see `ragvec.ann.leaves`."""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ragvec.ann import sketch
from ragvec.ann.exact import Neighbours, rescore
from ragvec.ann.few import Few
from ragvec.ann.frame import Frame
from ragvec.distance import Probe
from ragvec.types import FloatMatrix, FloatVector, RowArray

if TYPE_CHECKING:
    from ragvec.ann.leaves import Leaves

__all__ = ["Grouped", "LeafSearch", "Visit"]

_GROUPS = 1024
_GROUPS_PER_FIRST = 8
_DEVIATIONS = 2.5
"""How far, in standard deviations, the bits not looked at may add to an estimate."""


class Grouped:
    """The matches of a filter in a segment, by leaf: made once for each filter and segment, and not modified after."""

    def __init__(
        self, rows: RowArray, *, leaves: npt.NDArray[np.intp], counts: npt.NDArray[np.intp], codes: sketch.Codes
    ) -> None:
        self.rows = rows
        """Positions within the segment, uint32 (m,), ascending within each leaf."""
        self.leaves = leaves
        """The leaves that have matches, ascending."""
        self.counts = counts
        """How many each of them has."""
        self.codes = codes
        """The matches' sketches, uint64 (2, m)."""

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def nbytes(self) -> int:
        """The memory that it takes: about 20 bytes a match."""
        return self.rows.nbytes + self.leaves.nbytes + self.counts.nbytes + self.codes.nbytes


class Visit:
    """What a search found, and what it looked at to find it."""

    def __init__(self, neighbours: Neighbours, grouped: Grouped, looked: npt.NDArray[np.intp] | None) -> None:
        self.neighbours = neighbours
        self._grouped = grouped
        self._looked = looked

    def cut(self, k: int) -> Visit:
        """The same for the `k` nearest alone, and what ties with the last of them."""
        rows, distances = self.neighbours
        end = int(np.searchsorted(distances, distances[k - 1], side="right")) if k < len(rows) else len(rows)
        return Visit(Neighbours(rows[:end], distances[:end]), self._grouped, self._looked)

    @property
    def rows(self) -> int:
        """How many matches were scored exactly."""
        return len(self._grouped) if self._looked is None else len(self._looked)

    @cached_property
    def leaves(self) -> int:
        """How many leaves those are in."""
        if self._looked is None:
            return len(self._grouped.leaves)
        ends = np.cumsum(self._grouped.counts)
        return len(np.unique(np.searchsorted(ends, self._looked, side="right")))


class LeafSearch:
    """One query under one filter: at first all matches are in play, and each step leaves fewer.

    `heights` and `gains` are float32 (m,), one for each match in play: an estimate is the height plus the gain times
    the product of the query's weights with the row's signs.
    """

    def __init__(self, leaves: Leaves, rows: FloatMatrix | None, probe: Probe, grouped: Grouped, reach: float) -> None:
        self._rows = rows
        self._probe = probe
        self._frame = leaves.frame
        self._grouped = grouped
        self._kept: npt.NDArray[np.intp] | None = None
        self._placed = _placed(leaves.frame, probe)
        self._coordinates = leaves.axes @ self._placed
        there = grouped.leaves
        spreads = leaves.spreads[there]
        gains = spreads * np.float32(leaves.calibration.gain)
        heights = (leaves.centres @ self._placed)[there]
        heights += spreads * np.float32(reach * math.sqrt(float(self._placed @ self._placed)))
        self._codes = grouped.codes
        self._heights = np.repeat(heights, grouped.counts)
        self._gains = np.repeat(gains, grouped.counts)

    def narrow(self, k: int, first: int) -> None:
        """Leave in play those whose estimate by the signs alone of the query's coordinates does not rule them out."""
        sums = float(np.abs(self._coordinates).sum())
        square = float(self._coordinates @ self._coordinates)
        if not sums > 0:
            return
        # For vectors that agree with the query the product with ±unit is right on average; what it leaves out of the
        # query has this length, and its product with signs about the same standard deviation.
        unit = square / sums
        beyond = math.sqrt(max(0.0, unit * unit * sketch.BITS - square))
        query = sketch.encode(self._coordinates[np.newaxis])
        estimates = sketch.differences(self._codes, query)
        estimates *= np.float32(-2.0 * unit)
        estimates += np.float32(sketch.BITS * unit + _DEVIATIONS * beyond)
        estimates *= self._gains
        estimates += self._heights
        cut = _cut(estimates, first)
        limit = self._limit(self._look(np.flatnonzero(estimates >= cut), k), k)
        kept = np.flatnonzero(~(estimates < min(cut, limit)))
        self._kept = kept
        self._codes = np.take(self._codes, kept, axis=1)
        self._heights, self._gains = self._heights[kept], self._gains[kept]

    def finish(self, k: int, first: int) -> Visit:
        """Score the best, and then all that may still be among the `k` nearest."""
        estimates = self._estimates()
        if len(estimates) <= first:
            return self._visit(np.arange(len(estimates)), k)
        cut = _cut(estimates, first)
        looked = np.flatnonzero(estimates >= cut)
        found = self._look(looked, k)
        limit = self._limit(found, k)
        if limit >= cut:
            return Visit(found, self._grouped, self._in_grouped(looked))
        return self._visit(np.flatnonzero(~(estimates < limit)), k)

    def look(self, few: Few, k: int, start: int, *, first: int) -> None:
        """As `finish`, by `few`, in whose rows the segment's begin at `first`."""
        estimates = self._estimates()
        rows = self._grouped.rows
        cut = _cut(estimates, start)
        best = estimates >= cut
        few.look(rows[best.nonzero()[0]] + np.uint32(first))
        limit = self._score(1.0 - few.cosine(k))
        if limit < cut:
            best |= estimates < limit
            few.look(rows[np.logical_not(best, out=best).nonzero()[0]] + np.uint32(first))

    def _estimates(self) -> FloatVector:
        query, unit = sketch.planes(self._coordinates)
        estimates = sketch.differences(self._codes, query)
        estimates *= np.float32(-2.0 * unit)
        estimates += np.float32(unit * sketch.MOST)
        estimates *= self._gains
        estimates += self._heights
        return estimates

    def _visit(self, looked: npt.NDArray[np.intp], k: int) -> Visit:
        return Visit(self._look(looked, k), self._grouped, self._in_grouped(looked))

    def _in_grouped(self, places: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
        return places if self._kept is None else self._kept[places]

    def _look(self, places: npt.NDArray[np.intp], k: int) -> Neighbours:
        assert self._rows is not None
        candidates = self._grouped.rows[self._in_grouped(places)]
        return rescore(self._rows, self._probe, candidates=candidates, k=k, metric=self._frame.metric)

    def _limit(self, found: Neighbours, k: int) -> float:
        """The score of the k-th of those found."""
        return self._score(float(found.distances[k - 1]))

    def _score(self, distance: float) -> float:
        """The score of a row at that distance."""
        wide = self._placed[:-1].astype(np.float64)
        square = 2.0 * distance if self._frame.metric == "cosine" else distance * distance
        return (float(wide @ wide) - square / self._frame.scale**2) / 2.0


def _placed(frame: Frame, probe: Probe) -> FloatVector:
    """The query as the vector (d + 1,) whose inner products with extended rows are their scores."""
    wide = probe.wide / probe.length if frame.metric == "cosine" else probe.wide
    placed = np.empty(len(wide) + 1, dtype=np.float32)
    np.multiply(wide - frame.centre, 1.0 / frame.scale, out=placed[:-1], casting="same_kind")
    placed[-1] = 1.0
    return placed


def _cut(estimates: FloatVector, first: int) -> float:
    """What at least `first` of the estimates reach, and few more.

    The `first`-th greatest of the maxima of groups takes a fraction of the time of that of all.
    """
    groups = min(len(estimates), max(_GROUPS, _GROUPS_PER_FIRST * first))
    size = len(estimates) // groups
    maxima = estimates[: size * groups].reshape(size, groups).max(axis=0)
    return float(np.partition(maxima, groups - first)[groups - first])
