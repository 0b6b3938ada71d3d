"""Segments by faiss: a partition into leaves, and in each leaf codes of half a byte for every two coordinates.

The same kind of index as by ScaNN, for platforms where that has no wheels: residual product quantisation with 4-bit
codes, scanned by table look-ups in registers (https://arxiv.org/abs/1704.07355 and faiss's fast scan), and every row in
a second leaf chosen as SOAR does (https://arxiv.org/abs/2404.00774), which faiss has not of itself.

On 117,159 MiniLM vectors in 192 coordinates, at recall 0.98 of the 10 nearest: 92 µs a query with the second leaf and
124 µs without it; RaBitQ codes of 1, 2 and 4 bits a coordinate 328, 454 and 654 µs.

Files of a segment, besides `checksums.json` (`ragvec.ann.sealed`), `report.json` and `projection.npz`
(`ragvec.ann.segment_files`):

    index.faiss         faiss's own serialisation of an IndexIVFPQFastScan
    row_leaves.npy      the first leaf of every row, uint16 or uint32 (rows,)
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from ragvec.ann import tuning
from ragvec.ann.backends import BuildReport
from ragvec.ann.faiss_build import LeafNumbers, encode, widened
from ragvec.ann.faiss_library import library, single_thread, workers
from ragvec.ann.projection import Projection, fit
from ragvec.ann.sealed import seal, verify
from ragvec.ann.segment_files import PROJECTION, Stages, processors, read_projection, read_report, write_report
from ragvec.errors import Corrupted, StoreError
from ragvec.types import FloatMatrix, FloatVector, Metric, RowArray

__all__ = ["FaissBackend", "FaissSegment"]

_NAME = "faiss"
_FORMAT = 1
_INDEX = "index.faiss"
_LEAVES = "row_leaves.npy"
_MOST_THREADS = 16
_MOST_SETTINGS = 1000
_TRIAL_QUERIES = 32
_COPIES = 2
_SCAN = 11
"""faiss's way to scan for one query at a time with a reservoir for any k. Against its own choice it takes an eighth off
a query alone and adds a twentieth to one in a batch."""
_ENTRY_NS = 0.3
_COORDINATE_NS = 0.02
"""A quantised distance takes so long, and so much more for each coordinate, where two share a code."""
_BATCH_ENTRIES = 1 << 21
"""Results asked of faiss in one call: 24 MB of labels and distances."""


class FaissSegment:
    """A segment loaded into memory; its files may be moved or removed afterwards."""

    def __init__(self, report: BuildReport, projection: Projection | None, index: Any, leaves: LeafNumbers) -> None:
        self.report = report
        self.absorbed = 0
        self._projection = projection
        self._index = index
        self._leaves = leaves
        self._all: RowArray | None = None
        self._settings: dict[tuple[int, float, float | None], tuple[int, int]] = {}

    def candidates(
        self, queries: FloatMatrix, *, k: int, effort: float = 1.0, recall_target: float | None = None
    ) -> list[RowArray]:
        """See `AnnSegment`."""
        leaves, count = self._setting(k, effort, recall_target)
        if count >= self.report.rows or self._projection is None:
            return [self._everything()] * len(queries)
        found: list[RowArray] = []
        step = max(1, _BATCH_ENTRIES // (_COPIES * count))
        for start in range(0, len(queries), step):
            projected = self._projection.queries(queries[start : start + step])
            found += self._search(projected, count=count, leaves=leaves, least=min(k, self.report.rows))
        return found

    def nearest_candidates(
        self, query: FloatVector, *, k: int, effort: float = 1.0, recall_target: float | None = None
    ) -> RowArray:
        """See `AnnSegment`."""
        leaves, count = self._setting(k, effort, recall_target)
        if count >= self.report.rows or self._projection is None:
            return self._everything()
        projected = self._projection.query(query)[np.newaxis]
        return self._search(projected, count=count, leaves=leaves, least=min(k, self.report.rows))[0]

    def absorb(self, rows: FloatMatrix) -> bool:
        """See `AnnSegment`; not offered."""
        return not len(rows)

    def row_leaves(self) -> RowArray:
        """The leaf of each row, uint32 (rows,): of the two that it is in, the one whose centre is nearest."""
        return self._leaves.astype(np.uint32)

    def _setting(self, k: int, effort: float, recall_target: float | None) -> tuple[int, int]:
        """`tuning.setting`, remembered: it takes as long as a tenth of a search."""
        asked = k, effort, recall_target
        found = self._settings.get(asked)
        if found is None:
            found = tuning.setting(self.report, k=k, recall_target=recall_target, effort=effort)
            if len(self._settings) >= _MOST_SETTINGS:
                self._settings.clear()
            self._settings[asked] = found
        return found

    def _search(self, projected: FloatMatrix, *, count: int, leaves: int, least: int) -> list[RowArray]:
        found = [_distinct(labels, count) for labels in _ask(self._index, projected, count=count, leaves=leaves)]
        short = [at for at, row in enumerate(found) if len(row) < least]
        if short and leaves < self.report.leaves:
            wider = min(4 * leaves, self.report.leaves)
            again = self._search(projected[short], count=count, leaves=wider, least=least)
            for at, row in zip(short, again, strict=True):
                found[at] = row
        return found

    def _everything(self) -> RowArray:
        if self._all is None:
            every = np.arange(self.report.rows, dtype=np.uint32)
            every.flags.writeable = False
            self._all = every
        return self._all


class FaissBackend:
    """Builds and opens segments with faiss.

    A build runs in up to `threads` threads (every processor of this process, at most 16, when None) and leaves the
    interpreter lock free. The same rows and seed give the same segment, whatever the threads.
    """

    name = _NAME
    absorbs = False

    def __init__(self, *, threads: int | None = None) -> None:
        self._threads = threads if threads is not None else min(_MOST_THREADS, processors())

    def build(
        self, rows: FloatMatrix, *, metric: Metric, recall_target: float, folder: Path, seed: int = 0
    ) -> BuildReport:
        """See `AnnBackend`."""
        stages = Stages()
        report = tuning.exhaustive(rows, metric=metric, recall_target=recall_target)
        if len(rows) >= tuning.EXHAUSTIVE_ROWS:
            report = self._build_leaves(rows, report, folder=folder, seed=seed, stages=stages)
        if report.exhaustive:
            for path in folder.iterdir():
                path.unlink()
        size = sum(path.stat().st_size for path in folder.iterdir())
        report = msgspec.structs.replace(report, seconds=stages.total, stages=stages.seconds, bytes=size)
        write_report(folder, report, backend=_NAME, version=_FORMAT)
        seal(folder)
        return report

    def open(self, folder: Path) -> FaissSegment:
        """See `AnnBackend`."""
        verify(folder)
        report = read_report(folder, backend=_NAME, version=_FORMAT)
        if report.exhaustive:
            return FaissSegment(report, None, None, np.zeros(report.rows, dtype=np.uint16))
        projection = read_projection(folder, report)
        return FaissSegment(report, projection, _load(folder, report, projection), _load_leaves(folder, report))

    def _build_leaves(
        self, rows: FloatMatrix, report: BuildReport, *, folder: Path, seed: int, stages: Stages
    ) -> BuildReport:
        projection = fit(rows, metric=report.metric, seed=seed)
        projection.save(folder / PROJECTION)
        stages.done("projection")
        plan = tuning.plan(len(rows), projection.width)
        try:
            coded = encode(rows, projection, plan=plan, seed=seed, threads=self._threads)
        except RuntimeError as error:
            raise StoreError(f"faiss could not build a segment in `{folder}`: {error}", store=str(folder)) from error
        coded.content.tofile(folder / _INDEX)
        np.save(folder / _LEAVES, coded.leaves)
        del coded
        stages.done("tree")
        # What is measured is what will serve: the index as it comes back from the files.
        loaded = _load(folder, report, projection)
        with workers(self._threads) as pool:

            def search(queries: FloatMatrix, *, count: int, leaves: int) -> npt.NDArray[np.int32]:
                def part(projected: FloatMatrix) -> list[RowArray]:
                    return [_distinct(labels, count) for labels in _ask(loaded, projected, count=count, leaves=leaves)]

                parts = np.array_split(projection.queries(queries), max(1, len(queries) // _TRIAL_QUERIES))
                out = np.full((len(queries), count), -1, dtype=np.int32)
                for at, found in enumerate(row for rows_found in pool.map(part, parts) for row in rows_found):
                    out[at, : len(found)] = found
                return out

            curves = tuning.measure(
                search,
                rows,
                metric=report.metric,
                leaves=plan.leaves,
                seed=seed,
                entry_ns=_ENTRY_NS + _COORDINATE_NS * projection.width,
            )
        stages.done("measurement")
        report = msgspec.structs.replace(report, width=projection.width)
        return tuning.tuned(report, curves, leaves=plan.leaves)


def _ask(index: Any, projected: FloatMatrix, *, count: int, leaves: int) -> npt.NDArray[np.int64]:
    """Labels (m, 2 × count) in ascending order of estimated distance, most of them twice, −1 where there are fewer."""
    faiss = library()
    queries = widened(projected, index.d)
    asked = _COPIES * count
    distances = np.empty((len(queries), asked), dtype=np.float32)
    labels = np.empty((len(queries), asked), dtype=np.int64)
    pointer = faiss.swig_ptr
    with single_thread(faiss):
        index.search_c(len(queries), pointer(queries), asked, pointer(distances), pointer(labels), _visiting(leaves))
    return labels


@lru_cache(maxsize=1024)
def _visiting(leaves: int) -> Any:
    """faiss's object that asks for so many leaves; it is only read."""
    return library().SearchParametersIVF(nprobe=leaves)


def _distinct(labels: npt.NDArray[np.int64], count: int) -> RowArray:
    """The first `count` different positions of one query's labels, in their order."""
    order = labels.argsort(kind="stable")
    ordered = labels[order]
    new = ordered >= 0
    new[1:] &= ordered[1:] != ordered[:-1]
    places = order[new]
    places.sort()
    return labels[places[:count]].astype(np.uint32)


def _load(folder: Path, report: BuildReport, projection: Projection) -> Any:
    faiss = library()
    try:
        index = faiss.deserialize_index(np.fromfile(folder / _INDEX, dtype=np.uint8))
    except (RuntimeError, OSError) as error:
        raise Corrupted(f"faiss cannot read the segment `{folder}`: {error}", store=str(folder)) from error
    if (
        not isinstance(index, faiss.IndexIVFPQFastScan)
        or index.ntotal != _COPIES * report.rows
        or index.d < projection.width
    ):
        raise Corrupted(
            f"Expected an IndexIVFPQFastScan of {_COPIES * report.rows} entries of {projection.width} coordinates or "
            f"more, got an {type(index).__name__} of {index.ntotal} of {index.d}, in `{folder / _INDEX}`",
            store=str(folder),
        )
    index.implem = _SCAN
    return index


def _load_leaves(folder: Path, report: BuildReport) -> LeafNumbers:
    path = folder / _LEAVES
    try:
        leaves: LeafNumbers = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise Corrupted(f"`{path}` does not tell the leaves: {error}", store=str(folder)) from error
    if leaves.shape != (report.rows,) or leaves.dtype.kind != "u":
        raise Corrupted(
            f"Expected the leaves of {report.rows} rows, got {leaves.dtype} {leaves.shape}, in `{path}`",
            store=str(folder),
        )
    return leaves
