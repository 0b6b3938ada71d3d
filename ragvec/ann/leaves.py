"""Filtered search in a segment: of the rows that match, only those that may be among the nearest are read.

A segment's rows are divided into leaves. Of each leaf its centre and its spread are kept, and of each row its leaf and
a sketch of how it lies from the centre (see `ragvec.ann.sketch`). From these every match gets an estimate of its score
whose error is known to the extent that it was measured at build. The best by estimate are scored exactly, and then all
those, and only those, whose estimate is not so far below the k-th best that they are unlikely to reach it. This rule
does not depend on where the matches lie: when they are all far from the query, so is the k-th best of them.

Scores are those of `ragvec.ann.projection`: x·q − |x|²/2, measured from the mean of the rows, as one inner product with
a further coordinate.

Files, beside others:

    leaves.npz          frame, axes, centres, spreads and the measured calibration
    leaf_of_row.npy     uint16 (rows,), uint32 from 65,537 leaves on
    leaf_sketches.npy   uint64 (rows, 2)
"""

from __future__ import annotations

import math
from functools import cached_property
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from ragvec.ann import sketch
from ragvec.ann.calibration import Calibration, Contenders, Trial, first_looked
from ragvec.ann.exact import Neighbours, rescore
from ragvec.ann.few import Few
from ragvec.ann.projection import Frame
from ragvec.distance import Probe
from ragvec.errors import Corrupted
from ragvec.types import FloatMatrix, FloatVector, Metric, RowArray

__all__ = ["LEAVES_FILE", "Grouped", "Leaves", "Visit"]

LEAVES_FILE = "leaves.npz"
_OF_ROW = "leaf_of_row.npy"
_SKETCHES = "leaf_sketches.npy"
_FORMAT = 1

_BLOCK = 4096
_SAMPLE = 32768
"""Rows that tell where the middle is and along which axes the rows lie."""
_CALIBRATION_ROWS = 65536
_QUERIES = 192
_UNSAMPLED_QUERIES = 96
"""What recall is measured with: so many rows, of these so many as queries, and half of those against all rows."""
_GROUPS = 1024
_GROUPS_PER_FIRST = 8
_ALL = 256
"""Up to this many matches are all scored."""
_LEAST_K = 10
_COARSE = 16384
"""From this many matches on, a first look at a third of the query's bits saves more than it costs."""
_MOST_REACHES = 256
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


class Leaves:
    """What a segment keeps for filtered search: see `measure`, which makes it, and `load`."""

    def __init__(
        self,
        frame: Frame,
        *,
        of_row: npt.NDArray[np.unsignedinteger[Any]],
        codes: sketch.Codes,
        axes: FloatMatrix,
        centres: FloatMatrix,
        spreads: FloatVector,
        calibration: Calibration,
    ) -> None:
        self.frame = frame
        self.of_row = of_row
        self.centres = centres
        self.spreads = spreads
        self.calibration = calibration
        self._codes = codes
        self.axes = axes
        self._reaches: dict[tuple[float, int], float] = {}

    @classmethod
    def measure(
        cls, rows: FloatMatrix, of_row: npt.NDArray[np.unsignedinteger[Any]], *, metric: Metric, seed: int = 0
    ) -> Leaves:
        """Make what is needed for `rows` float32 (n, d), n ≥ 1, of which row i is in leaf `of_row[i]`.

        Rows are read in blocks; the same `seed` gives the same result. Nothing is modified.
        """
        chosen = _sample(len(rows), _SAMPLE, seed)
        sampled = np.take(rows, chosen, axis=0)
        frame = Frame.around(sampled, metric=metric)
        count = int(of_row.max()) + 1
        of_row = of_row.astype(np.uint16 if count <= 1 << 16 else np.uint32)
        centres = _centres(rows, of_row, count, frame)
        axes = sketch.axes(_extended(frame, sampled) - centres[of_row[chosen]], seed=seed)
        codes, spreads = _encoded(rows, of_row, frame, centres, axes)
        leaves = cls(
            frame,
            of_row=of_row,
            codes=codes,
            axes=axes,
            centres=centres,
            spreads=spreads,
            calibration=Calibration.none(),
        )
        leaves.calibration = leaves._calibrated(rows, seed=seed)
        return leaves

    def save(self, folder: Path) -> None:
        """Write the files into `folder`; making them durable is the caller's."""
        np.save(folder / _OF_ROW, self.of_row, allow_pickle=False)
        np.save(folder / _SKETCHES, self._codes, allow_pickle=False)
        small: dict[str, Any] = {
            "format": np.array(_FORMAT),
            "metric": np.array(self.frame.metric),
            "middle": self.frame.centre,
            "scale": np.array(self.frame.scale),
            "axes": self.axes,
            "centres": self.centres,
            "spreads": self.spreads,
            **self.calibration.arrays(),
        }
        with (folder / LEAVES_FILE).open("wb") as file:
            np.savez(file, **small)

    @classmethod
    def load(cls, folder: Path) -> Leaves:
        """Open what `save` wrote; what there is of every row stays in mapped files.

        Raises:
            Corrupted: a file is missing or is not what it should be.
        """
        try:
            with (folder / LEAVES_FILE).open("rb") as file, np.load(file, allow_pickle=False) as stored:
                small = {name: stored[name] for name in stored.files}
            if int(small["format"]) != _FORMAT:
                raise ValueError(f"expected format {_FORMAT}, got format {int(small['format'])}")
            of_row = np.lib.format.open_memmap(folder / _OF_ROW, mode="r")
            codes = np.lib.format.open_memmap(folder / _SKETCHES, mode="r")
            if codes.shape != (len(of_row), sketch.WORDS) or codes.dtype != np.uint64:
                raise ValueError(f"expected {len(of_row)} sketches of 128 bits, got {codes.dtype} {codes.shape}")
            frame = Frame(
                metric="cosine" if str(small["metric"]) == "cosine" else "euclidean",
                centre=small["middle"],
                scale=float(small["scale"]),
            )
            return cls(
                frame,
                # Not as np.memmap, whose every operation costs microseconds more.
                of_row=np.asarray(of_row),
                codes=np.asarray(codes),
                axes=small["axes"],
                centres=small["centres"],
                spreads=small["spreads"],
                calibration=Calibration.of(small),
            )
        except (OSError, EOFError, ValueError, KeyError, BadZipFile) as error:
            raise Corrupted(
                f"`{folder / LEAVES_FILE}` and its files do not describe leaves: {error}", store=str(folder)
            ) from error

    def group(self, rows: RowArray) -> Grouped:
        """The matches `rows`, ascending distinct uint32 positions within the segment, by leaf."""
        leaf = self.of_row[rows]
        order = np.argsort(leaf, kind="stable")
        counts = np.bincount(leaf, minlength=len(self.centres))
        there = np.flatnonzero(counts)
        ordered = rows[order]
        codes = _pick(self._codes, rows)
        codes = np.ascontiguousarray(_pick(codes, order).T)
        return Grouped(ordered, leaves=there, counts=counts[there], codes=codes)

    def nearest(
        self,
        rows: FloatMatrix,
        query: FloatVector,
        grouped: Grouped,
        *,
        k: int,
        effort: float = 1.0,
        recall_target: float = 0.98,
    ) -> Visit:
        """The `k` nearest to `query` (d,) among the matches, with exact distances; ties with the k-th are included when
        they were looked at, as nearly all are.

        `rows` are the segment's, float32 (n, d). Each of the true `k` nearest is found with probability
        `recall_target`, as measured with filters of several kinds and selectivities. `effort` divides what is permitted
        to be lost: with 2 half as much as with 1, with infinity nothing.
        """
        lost = (1.0 - recall_target) / effort
        first = first_looked(k)
        reach = self._reach(lost, k)
        if len(grouped) <= max(_ALL, first) or reach == math.inf:
            return self._every(rows, query, grouped, k)
        search = _Search(self, rows, Probe.of(query), grouped, reach)
        # The very nearest are missed more easily than the tenth; as part of the nearest ten they are found.
        wanted = max(k, _LEAST_K)
        if len(grouped) >= _COARSE:
            search.narrow(wanted, first)
        visit = search.finish(wanted, first)
        return visit if wanted == k else visit.cut(k)

    def look(
        self,
        few: Few,
        query: Probe,
        grouped: Grouped,
        *,
        first: int,
        k: int,
        effort: float = 1.0,
        recall_target: float = 0.98,
    ) -> bool:
        """As `nearest`, by `few`, in whose rows the segment's begin at `first`: it looks at the matches that may be among
        the `k` nearest of these and of what it has looked at before. False, and nothing was looked at, where that takes
        more: many matches, or all of them.
        """
        lost = (1.0 - recall_target) / effort
        wanted = max(k, _LEAST_K)
        start = first_looked(k)
        reach = self._reach(lost, k)
        if len(grouped) <= max(_ALL, start):
            few.look(grouped.rows + np.uint32(first))
            return True
        if reach == math.inf or len(grouped) >= _COARSE:
            return False
        search = _Search(self, None, query, grouped, reach)
        search.look(few, wanted, start, first=first)
        return True

    def _reach(self, lost: float, k: int) -> float:
        """`Calibration.reach`, remembered."""
        found = self._reaches.get((lost, k))
        if found is None:
            found = self.calibration.reach(lost, k) if lost > 0 else math.inf
            if len(self._reaches) >= _MOST_REACHES:
                self._reaches.clear()
            self._reaches[lost, k] = found
        return found

    def cost(self, matches: int, k: int, *, recall_target: float = 0.98) -> float:
        """How many of `matches` rows `nearest` scores exactly, on average, when a filter has nothing to do with the
        query."""
        return self.calibration.looked(matches, max(k, _LEAST_K), lost=1.0 - recall_target)

    def _calibrated(self, rows: FloatMatrix, *, seed: int) -> Calibration:
        chosen = _sample(len(rows), _CALIBRATION_ROWS, seed)
        own = _sample(len(chosen), _QUERIES, seed + 1)
        queries = _extended(self.frame, np.take(rows, chosen[own], axis=0))
        queries[:, -1] = 1.0
        scores = np.empty((len(own), len(chosen)), dtype=np.float32)
        for start in range(0, len(chosen), _BLOCK):
            part = _extended(self.frame, np.take(rows, chosen[start : start + _BLOCK], axis=0))
            scores[:, start : start + len(part)] = queries @ part.T
        coordinates = queries @ self.axes.T
        trial = Trial(
            queries=queries,
            coordinates=coordinates,
            own=own,
            scores=scores,
            of_row=self.of_row[chosen].astype(np.intp),
            codes=np.ascontiguousarray(self._codes[chosen].T),
            centres=self.centres,
            spreads=self.spreads,
        )
        if len(chosen) == len(rows):
            return trial.calibration(None, seed=seed)
        some = slice(None, None, max(1, len(own) // _UNSAMPLED_QUERIES))
        contenders = Contenders(queries[some], coordinates[some], own=chosen[own[some]], gain=trial.gain())
        products = queries[some] @ self.centres.T
        for start in range(0, len(rows), _BLOCK):
            leaf = self.of_row[start : start + _BLOCK]
            contenders.add(
                start,
                _extended(self.frame, rows[start : start + _BLOCK]),
                codes=np.ascontiguousarray(self._codes[start : start + _BLOCK].T),
                products=np.take(products, leaf, axis=1),
                spread=self.spreads[leaf],
            )
        return trial.calibration(contenders, seed=seed)

    def _every(self, rows: FloatMatrix, query: FloatVector, grouped: Grouped, k: int) -> Visit:
        found = rescore(rows, query, candidates=grouped.rows, k=min(k, len(grouped)), metric=self.frame.metric)
        return Visit(found, grouped, None)


class _Search:
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


def _pick(codes: sketch.Codes, rows: npt.NDArray[np.integer[Any]]) -> sketch.Codes:
    """The sketches of `rows`, (m, 2)."""
    # numpy copies single elements of 16 bytes many times as fast as rows of two of 8.
    whole = codes.view(np.complex128).ravel().take(rows.astype(np.intp, copy=False), mode="clip")
    return whole.view(np.uint64).reshape(-1, sketch.WORDS)


def _sample(count: int, size: int, seed: int) -> npt.NDArray[np.intp]:
    if count <= size:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, size, replace=False))


def _extended(frame: Frame, rows: FloatMatrix) -> FloatMatrix:
    out = np.empty((len(rows), rows.shape[1] + 1), dtype=np.float32)
    out[:, :-1] = frame.place(rows)
    placed = out[:, :-1]
    out[:, -1] = np.einsum("ij,ij->i", placed, placed)
    out[:, -1] *= np.float32(-0.5)
    return out


def _centres(rows: FloatMatrix, of_row: npt.NDArray[np.unsignedinteger[Any]], count: int, frame: Frame) -> FloatMatrix:
    sums = np.zeros((count, rows.shape[1] + 1))
    for start in range(0, len(rows), _BLOCK):
        leaf = of_row[start : start + _BLOCK]
        order = np.argsort(leaf, kind="stable")
        there, starts = np.unique(leaf[order], return_index=True)
        sums[there] += np.add.reduceat(_extended(frame, rows[start : start + _BLOCK])[order], starts, axis=0)
    counts = np.bincount(of_row, minlength=count)
    return (sums / np.maximum(counts, 1)[:, np.newaxis]).astype(np.float32)


def _encoded(
    rows: FloatMatrix,
    of_row: npt.NDArray[np.unsignedinteger[Any]],
    frame: Frame,
    centres: FloatMatrix,
    axes: FloatMatrix,
) -> tuple[sketch.Codes, FloatVector]:
    """The rows' sketches, and for each leaf the root mean square of its rows' coordinates about its centre."""
    codes = np.empty((len(rows), sketch.WORDS), dtype=np.uint64)
    squares = np.zeros(len(centres))
    for start in range(0, len(rows), _BLOCK):
        leaf = of_row[start : start + _BLOCK]
        coordinates = (_extended(frame, rows[start : start + _BLOCK]) - centres[leaf]) @ axes.T
        codes[start : start + _BLOCK] = sketch.encode(coordinates)
        squares += np.bincount(leaf, weights=np.einsum("ij,ij->i", coordinates, coordinates), minlength=len(centres))
    counts = np.bincount(of_row, minlength=len(centres))
    return codes, np.sqrt(squares / np.maximum(counts, 1)).astype(np.float32)
