"""Segments by faiss: a partition into leaves, and in each leaf codes of half a byte for every two coordinates.

The same kind of index as by ScaNN, for platforms where that has no wheels: residual product quantisation with 4-bit
codes, scanned by table look-ups in registers (https://arxiv.org/abs/1704.07355 and faiss's fast scan), and every row in
a second leaf chosen as SOAR does (https://arxiv.org/abs/2404.00774), which faiss has not of itself.

On 117,159 MiniLM vectors in 192 coordinates, at recall 0.98 of the 10 nearest: 92 µs a query with the second leaf and
124 µs without it; RaBitQ codes of 1, 2 and 4 bits a coordinate 328, 454 and 654 µs.

Files of a segment, besides `checksums.json` (`ragvec.ann.sealed`), `report.json` and `projection.npz`
(`ragvec.ann.segment_files`):

    index.faiss         faiss's own serialisation of an IndexIVFPQFastScan
    leaves.npy          the first leaf of every row, uint16 or uint32 (rows,)
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from ragvec.ann import tuning
from ragvec.ann.backends import BuildReport
from ragvec.ann.faiss_library import library, run_threaded, single_thread
from ragvec.ann.projection import Projection, fit
from ragvec.ann.sealed import seal, verify
from ragvec.ann.segment_files import PROJECTION, processors, read_projection, read_report, write_report
from ragvec.errors import Corrupted, StoreError
from ragvec.types import FloatMatrix, Metric, RowArray

__all__ = ["FaissBackend", "FaissSegment"]

_Leaves = npt.NDArray[np.unsignedinteger[Any]]

_NAME = "faiss"
_FORMAT = 1
_INDEX = "index.faiss"
_LEAVES = "leaves.npy"
_MOST_THREADS = 16
_BLOCK = 1 << 14
"""Rows that are projected, assigned and encoded at a time."""
_CODEBOOK_ROWS = 8192
"""Rows that the codebooks are trained on; with twice as many the error of the codes was within 2 %."""
_BITS = 4
_PACK = 32
"""Codes that are scanned together; the one packing that all of faiss's instruction sets share."""
_SPILL_CHOICES = 8
"""The second leaf is one of the nearest 7 after the first."""
_COPIES = 2
_BATCH_ENTRIES = 1 << 21
"""Results asked of faiss in one call: 24 MB of labels and distances."""


class FaissSegment:
    """A segment loaded into memory; its files may be moved or removed afterwards."""

    def __init__(self, report: BuildReport, projection: Projection | None, index: Any, leaves: _Leaves) -> None:
        self.report = report
        self._projection = projection
        self._index = index
        self._leaves = leaves
        self._all: RowArray | None = None

    def candidates(self, queries: FloatMatrix, *, k: int, effort: float = 1.0) -> list[RowArray]:
        """See `AnnSegment`."""
        leaves, count = tuning.setting(self.report, k=k, effort=effort)
        if count >= self.report.rows or self._projection is None:
            everything = self._everything()
            return [everything] * len(queries)
        found: list[RowArray] = []
        step = max(1, _BATCH_ENTRIES // (_COPIES * count))
        for start in range(0, len(queries), step):
            projected = _even(self._projection.queries(queries[start : start + step]))
            found += self._search(projected, count=count, leaves=leaves, least=min(k, self.report.rows))
        return found

    def row_leaves(self) -> RowArray:
        """The leaf of each row, uint32 (rows,): of the two that it is in, the one whose centre is nearest."""
        return self._leaves.astype(np.uint32)

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

    A build runs in up to `threads` threads (every processor of this process, at most 16, when None; one on macOS) and
    leaves the interpreter lock free. The same rows and seed give the same segment, whatever the threads.
    """

    name = _NAME

    def __init__(self, *, threads: int | None = None) -> None:
        self._threads = threads if threads is not None else min(_MOST_THREADS, processors())

    def build(
        self, rows: FloatMatrix, *, metric: Metric, recall_target: float, folder: Path, seed: int = 0
    ) -> BuildReport:
        """See `AnnBackend`."""
        started = time.monotonic()
        report = _exhaustive(rows, metric=metric, recall_target=recall_target)
        if len(rows) >= tuning.EXHAUSTIVE_ROWS:
            report = self._build_tree(rows, report, folder=folder, seed=seed)
        if report.exhaustive:
            for path in folder.iterdir():
                path.unlink()
        size = sum(path.stat().st_size for path in folder.iterdir())
        report = msgspec.structs.replace(report, seconds=time.monotonic() - started, bytes=size)
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
        return FaissSegment(report, projection, _load(folder), _load_leaves(folder, report))

    def _build_tree(self, rows: FloatMatrix, report: BuildReport, *, folder: Path, seed: int) -> BuildReport:
        projection = fit(rows, metric=report.metric, seed=seed)
        projection.save(folder / PROJECTION)
        plan = tuning.plan(len(rows), projection.width)
        try:
            content, leaves = run_threaded(
                lambda: _index(rows, projection, plan=plan, seed=seed), threads=self._threads
            )
        except RuntimeError as error:
            raise StoreError(f"faiss could not build a segment in `{folder}`: {error}", store=str(folder)) from error
        content.tofile(folder / _INDEX)
        np.save(folder / _LEAVES, leaves)
        del content
        # What is measured is what will serve: the index as it comes back from the files.
        loaded = _load(folder)

        def search(queries: FloatMatrix, *, count: int, leaves: int) -> npt.NDArray[np.int32]:
            out = np.full((len(queries), count), -1, dtype=np.int32)
            step = max(1, _BATCH_ENTRIES // (_COPIES * count))
            for start in range(0, len(queries), step):
                projected = _even(projection.queries(queries[start : start + step]))
                for at, labels in enumerate(_ask(loaded, projected, count=count, leaves=leaves), start):
                    found = _distinct(labels, count)
                    out[at, : len(found)] = found
            return out

        points = tuning.measure(
            search, rows, metric=report.metric, leaves=plan.leaves, recall_target=report.recall_target, seed=seed
        )
        first, second = points[0], points[min(1, len(points) - 1)]
        if first.k * first.over_fetch >= len(rows):
            return report
        return msgspec.structs.replace(
            report,
            leaves=plan.leaves,
            leaves_to_search=first.leaves,
            over_fetch=first.over_fetch,
            recall_at_10=first.recall,
            recall_at_100=second.recall,
            points=points,
            exhaustive=False,
        )


def _exhaustive(rows: FloatMatrix, *, metric: Metric, recall_target: float) -> BuildReport:
    return BuildReport(
        rows=len(rows),
        dimension=rows.shape[1],
        metric=metric,
        leaves=1,
        leaves_to_search=1,
        over_fetch=max(1.0, len(rows) / 10),
        recall_at_10=1.0,
        recall_at_100=1.0,
        seconds=0.0,
        bytes=0,
        recall_target=recall_target,
        exhaustive=True,
    )


def _index(
    rows: FloatMatrix, projection: Projection, *, plan: tuning.Plan, seed: int
) -> tuple[npt.NDArray[np.uint8], _Leaves]:
    """The serialised index over `rows`, and the first leaf of each."""
    faiss = library()
    random = np.random.default_rng(seed)
    chosen = np.sort(random.choice(len(rows), plan.training_rows, replace=False))
    sample = _even(projection.rows(np.take(rows, chosen, axis=0)))
    width = sample.shape[1]
    near = _partition(sample, plan=plan, seed=seed)
    centres = faiss.vector_to_array(near.codes).view(np.float32).reshape(plan.leaves, width)
    quantizer = faiss.IndexFlatIP(width)
    quantizer.add(centres)
    plain = faiss.IndexIVFPQ(quantizer, width, plan.leaves, width // 2, _BITS, faiss.METRIC_INNER_PRODUCT)
    plain.by_residual = True
    few = sample[: min(len(sample), _CODEBOOK_ROWS)] if len(sample) <= _CODEBOOK_ROWS else _thinned(sample, random)
    _, own = near.search(few, 1)
    _train(plain.pq.cp, rows=len(few), centres=1 << _BITS, iterations=plan.iterations, seed=seed)
    plain.pq.train(few - centres[own[:, 0]])
    plain.is_trained = True
    leaves: _Leaves = np.empty(len(rows), dtype=np.uint16 if plan.leaves <= 1 << 16 else np.uint32)
    for start in range(0, len(rows), _BLOCK):
        block = _even(projection.rows(rows[start : start + _BLOCK]))
        ids = np.arange(start, start + len(block), dtype=np.int64)
        _, nearest = near.search(block, min(_SPILL_CHOICES, plan.leaves))
        leaves[start : start + len(block)] = nearest[:, 0]
        second = _second(block, centres, nearest, weight=plan.soar)
        for assigned in (np.ascontiguousarray(nearest[:, 0]), second):
            plain.add_core(len(block), *map(faiss.swig_ptr, (block, ids, assigned)), None)
    packed = faiss.IndexIVFPQFastScan(plain, _PACK)
    return faiss.serialize_index(packed), leaves


def _partition(sample: FloatMatrix, *, plan: tuning.Plan, seed: int) -> Any:
    """An exact index over the centres of the leaves."""
    faiss = library()
    parameters = faiss.ClusteringParameters()
    _train(parameters, rows=len(sample), centres=plan.leaves, iterations=plan.iterations, seed=seed)
    clustering = faiss.Clustering(sample.shape[1], plan.leaves, parameters)
    near = faiss.IndexFlatL2(sample.shape[1])
    clustering.train(sample, near)
    return near


def _train(parameters: Any, *, rows: int, centres: int, iterations: int, seed: int) -> None:
    """Have k-means use all `rows` without a warning on stderr about their number."""
    parameters.niter = iterations
    parameters.seed = seed % (1 << 31)
    parameters.min_points_per_centroid = 1
    parameters.max_points_per_centroid = -(-rows // centres)


def _thinned(sample: FloatMatrix, random: np.random.Generator) -> FloatMatrix:
    chosen = np.sort(random.choice(len(sample), _CODEBOOK_ROWS, replace=False))
    return np.take(sample, chosen, axis=0)


def _second(
    block: FloatMatrix, centres: FloatMatrix, nearest: npt.NDArray[np.int64], *, weight: float
) -> npt.NDArray[np.int64]:
    """Of the leaves `nearest` to each row after the first the one with the least loss of SOAR: the squared residual
    plus `weight` times its part along the residual of the first."""
    own = block - centres[nearest[:, 0]]
    own /= np.maximum(np.sqrt(np.einsum("ij,ij->i", own, own)), np.float32(1e-20))[:, np.newaxis]
    losses = np.empty((len(block), nearest.shape[1] - 1), dtype=np.float32)
    for choice in range(1, nearest.shape[1]):
        residual = block - centres[nearest[:, choice]]
        along = np.einsum("ij,ij->i", residual, own)
        losses[:, choice - 1] = np.einsum("ij,ij->i", residual, residual) + np.float32(weight) * np.square(along)
    best = losses.argmin(axis=1)
    chosen: npt.NDArray[np.int64] = np.ascontiguousarray(nearest[np.arange(len(block)), best + 1])
    return chosen


def _even(projected: FloatMatrix) -> FloatMatrix:
    """The coordinates with one of 0 added where their number is odd: each code is for two."""
    return np.pad(projected, ((0, 0), (0, 1))) if projected.shape[1] % 2 else projected


def _ask(index: Any, projected: FloatMatrix, *, count: int, leaves: int) -> npt.NDArray[np.int64]:
    """Labels (m, 2 × count) in ascending order of estimated distance, most of them twice, −1 where there are fewer.

    Runs in this thread alone.
    """
    faiss = library()
    asked = _COPIES * count
    distances = np.empty((len(projected), asked), dtype=np.float32)
    labels = np.empty((len(projected), asked), dtype=np.int64)
    parameters = faiss.SearchParametersIVF(nprobe=leaves)
    with single_thread(faiss):
        index.search_c(
            len(projected),
            *map(faiss.swig_ptr, (projected,)),
            asked,
            *map(faiss.swig_ptr, (distances, labels)),
            parameters,
        )
    return labels


def _distinct(labels: npt.NDArray[np.int64], count: int) -> RowArray:
    """The first `count` different positions of one query's labels, in their order."""
    order = labels.argsort(kind="stable")
    ordered = labels[order]
    new = ordered >= 0
    new[1:] &= ordered[1:] != ordered[:-1]
    places = order[new]
    places.sort()
    return labels[places[:count]].astype(np.uint32)


def _load(folder: Path) -> Any:
    faiss = library()
    try:
        index = faiss.deserialize_index(np.fromfile(folder / _INDEX, dtype=np.uint8))
    except (RuntimeError, OSError) as error:
        raise Corrupted(f"faiss cannot read the segment `{folder}`: {error}", store=str(folder)) from error
    if not isinstance(index, faiss.IndexIVFPQFastScan):
        raise Corrupted(f"Expected an IndexIVFPQFastScan, got {type(index).__name__}, in `{folder}`", store=str(folder))
    return index


def _load_leaves(folder: Path, report: BuildReport) -> _Leaves:
    path = folder / _LEAVES
    try:
        leaves: _Leaves = np.load(path, allow_pickle=False)
    except (ValueError, OSError) as error:
        raise Corrupted(f"`{path}` does not tell the leaves: {error}", store=str(folder)) from error
    if leaves.shape != (report.rows,):
        raise Corrupted(
            f"Expected the leaves of {report.rows} rows, got {leaves.shape}, in `{path}`", store=str(folder)
        )
    return leaves
