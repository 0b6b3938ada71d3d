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
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
import numpy.typing as npt

from ragvec.ann import sketch
from ragvec.ann.array_files import read_arrays
from ragvec.ann.calibration import Calibration, Contenders, Trial, first_looked
from ragvec.ann.exact import rescore
from ragvec.ann.few import Few
from ragvec.ann.leaf_search import Grouped, LeafSearch, Visit
from ragvec.ann.projection import Frame
from ragvec.distance import Probe
from ragvec.errors import Corrupted
from ragvec.types import FloatMatrix, FloatVector, Metric, RowArray

__all__ = ["LEAVES_FILE", "Leaves"]

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
_ALL = 256
"""Up to this many matches are all scored."""
_LEAST_K = 10
_COARSE = 16384
"""From this many matches on, a first look at a third of the query's bits saves more than it costs."""
_MOST_REACHES = 256


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
            small = read_arrays(folder / LEAVES_FILE)
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
        except (OSError, EOFError, ValueError, TypeError, KeyError, SyntaxError, TokenError) as error:
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
        search = LeafSearch(self, rows, Probe.of(query), grouped, reach)
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
        """As `nearest`, by `few`, in whose rows the segment's begin at `first`: it looks at the matches that may be
        among the `k` nearest of these and of what it has looked at before. False, and nothing was looked at, where that
        takes more: many matches, or all of them.
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
        search = LeafSearch(self, None, query, grouped, reach)
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
