"""Segments by ScaNN: a partition into leaves, and in each leaf codes of half a byte for every two coordinates.

Files of a segment, besides `checksums.json` (`ragvec.ann.sealed`), `report.json` and `projection.npz`
(`ragvec.ann.segment_files`):

    scann_config.pb, scann_assets.pbtxt, serialized_partitioner.pb, ah_codebook.pb, datapoint_to_token.npy,
    hashed_dataset.npy, hashed_dataset_soar.npy         ScaNN's own, naming each other by relative paths
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from ragvec.ann import tuning
from ragvec.ann.backends import BuildReport
from ragvec.ann.gate import Gate
from ragvec.ann.projection import Projection, fit
from ragvec.ann.scann_library import library
from ragvec.ann.sealed import seal, verify
from ragvec.ann.segment_files import PROJECTION, Stages, processors, read_projection, read_report, write_report
from ragvec.errors import Corrupted, StoreError
from ragvec.types import FloatMatrix, FloatVector, Metric, RowArray

__all__ = ["ScannBackend", "ScannSegment"]

_NAME = "scann"
_FORMAT = 2
_ASSETS = "scann_assets.pbtxt"
_LEAVES = "datapoint_to_token.npy"
_LEAVES_PER_ROW = 2
"""ScaNN's file holds, row by row, the leaf of the row and the one that SOAR adds."""
_MOST_THREADS = 16
_MOST_BLOCKS = 256
"""ScaNN's fast selection over all leaves works up to this many blocks of dimensions."""
_BATCH_ENTRIES = 1 << 22
"""Results asked of ScaNN in one call: 32 MB of positions and distances."""


_MOST_SETTINGS = 1000
_TRIAL_QUERIES = 32
_SCRATCH = "projected.tmp"
_LARGE = 1 << 27
_ENTRY_NS = 0.3
_COORDINATE_NS = 0.0168
"""A quantised distance takes so long, and so much more for each coordinate, where two share a code."""


class ScannSegment:
    """A segment loaded into memory; its files may be moved or removed afterwards."""

    def __init__(
        self, report: BuildReport, projection: Projection | None, searcher: Any, tokens: npt.NDArray[np.int32] | None
    ) -> None:
        self.report = report
        self.absorbed = 0
        self._gate = Gate()
        self._tokens = tokens
        self._projection = projection
        self._searcher = searcher
        self._all: RowArray = np.arange(report.rows if report.exhaustive else 0, dtype=np.uint32)
        self._all.flags.writeable = False
        self._settings: dict[tuple[int, float, float | None], tuple[int, int]] = {}

    def candidates(
        self, queries: FloatMatrix, *, k: int, effort: float = 1.0, recall_target: float | None = None
    ) -> list[RowArray]:
        """See `AnnSegment`."""
        leaves, count = self._setting(k, effort, recall_target)
        if count >= self.report.rows or self._projection is None:
            everything = self._everything()
            return [everything] * len(queries)
        found: list[RowArray] = []
        step = max(1, _BATCH_ENTRIES // count)
        for start in range(0, len(queries), step):
            projected = self._projection.queries(queries[start : start + step])
            found += self._search(projected, count=count, leaves=leaves, least=min(k, self.report.rows))
        return found

    def nearest_candidates(
        self, query: FloatVector, *, k: int, effort: float = 1.0, recall_target: float | None = None
    ) -> RowArray:
        """See `AnnSegment`."""
        leaves, count = self._settings.get((k, effort, recall_target)) or self._setting(k, effort, recall_target)
        if count >= self.report.rows or self._projection is None:
            return self._everything()
        projected = self._projection.query(query)
        positions: RowArray
        self._gate.enter()
        try:
            positions, _ = self._searcher.search(projected, count, count, leaves)
        finally:
            self._gate.leave()
        if len(positions) < k and leaves < self.report.leaves:
            least = min(k, self.report.rows)
            (positions,) = self._search(projected[np.newaxis], count=count, leaves=leaves, least=least)
        return positions

    def absorb(self, rows: FloatMatrix) -> bool:
        """See `AnnSegment`; some 20 µs a row."""
        if self._projection is None:
            return False
        projected = self._projection.rows(rows)
        with self._gate.changing():
            try:
                self._searcher.upsert([None] * len(rows), list(projected), len(rows))
            except RuntimeError as error:
                raise StoreError(f"ScaNN could not take in {len(rows):,} rows: {error}", store="") from error
            finally:
                # Also what it took before it failed: positions from the report's rows on are then known for such.
                self.absorbed = int(self._searcher.size()) - self.report.rows
        return True

    def _setting(self, k: int, effort: float, recall_target: float | None) -> tuple[int, int]:
        """`tuning.setting`, remembered: it takes longer than a tenth of a search."""
        asked = k, effort, recall_target
        found = self._settings.get(asked)
        if found is None:
            found = tuning.setting(self.report, k=k, recall_target=recall_target, effort=effort)
            if len(self._settings) >= _MOST_SETTINGS:
                self._settings.clear()
            self._settings[asked] = found
        return found

    def row_leaves(self) -> RowArray:
        """The leaf (below `report.leaves`) that each row lies in, a new uint32 (rows,); read from disk at each call."""
        if self._tokens is None:
            return np.zeros(self.report.rows, dtype=np.uint32)
        return self._tokens[::_LEAVES_PER_ROW].astype(np.uint32)

    def _search(self, projected: FloatMatrix, *, count: int, leaves: int, least: int) -> list[RowArray]:
        self._gate.enter()
        try:
            positions, there = _ask(self._searcher, projected, count=count, leaves=leaves)
        finally:
            self._gate.leave()
        enough = np.count_nonzero(there, axis=1) >= least
        found = [row[kept] for row, kept in zip(positions, there, strict=True)]
        if leaves < self.report.leaves and not enough.all():
            short = np.flatnonzero(~enough)
            wider = min(4 * leaves, self.report.leaves)
            again = self._search(projected[short], count=count, leaves=wider, least=least)
            for at, row in zip(short.tolist(), again, strict=True):
                found[at] = row
        return found

    def _everything(self) -> RowArray:
        if len(self._all) != self.report.rows:
            every = np.arange(self.report.rows, dtype=np.uint32)
            every.flags.writeable = False
            self._all = every
        return self._all


class ScannBackend:
    """Builds and opens segments with ScaNN.

    A build runs in up to `threads` threads (every processor of this process, at most 16, when None) and leaves the
    interpreter lock free. The same rows and seed give the same segment, whatever the threads.
    """

    name = _NAME
    absorbs = True

    def __init__(self, *, threads: int | None = None) -> None:
        self._threads = threads if threads is not None else min(_MOST_THREADS, processors())

    def build(
        self, rows: FloatMatrix, *, metric: Metric, recall_target: float, folder: Path, seed: int = 0
    ) -> BuildReport:
        """See `AnnBackend`."""
        stages = Stages()
        report = tuning.exhaustive(rows, metric=metric, recall_target=recall_target)
        if len(rows) >= tuning.EXHAUSTIVE_ROWS:
            report = self._build_tree(rows, report, folder=folder, seed=seed, stages=stages)
        if report.exhaustive:
            for path in folder.iterdir():
                path.unlink()
        size = sum(path.stat().st_size for path in folder.iterdir())
        report = msgspec.structs.replace(report, seconds=stages.total, stages=stages.seconds, bytes=size)
        write_report(folder, report, backend=_NAME, version=_FORMAT)
        seal(folder)
        return report

    def open(self, folder: Path) -> ScannSegment:
        """See `AnnBackend`."""
        verify(folder)
        report = read_report(folder, backend=_NAME, version=_FORMAT)
        if report.exhaustive:
            return ScannSegment(report, None, None, None)
        return ScannSegment(report, read_projection(folder, report), _load(folder), _read_tokens(folder, report))

    def _build_tree(
        self, rows: FloatMatrix, report: BuildReport, *, folder: Path, seed: int, stages: Stages
    ) -> BuildReport:
        projection = fit(rows, metric=report.metric, seed=seed)
        projection.save(folder / PROJECTION)
        stages.done("projection")
        plan = tuning.plan(len(rows), projection.width)
        try:
            with _scratch(folder, len(rows), projection.width) as projected:
                projection.rows(rows, out=projected)
                stages.done("rows")
                searcher = library().ScannNumpy(projected, _config(plan, projection.width, seed), self._threads)
            searcher.serialize(os.fsencode(folder), True)
        except RuntimeError as error:
            raise StoreError(f"ScaNN could not build a segment in `{folder}`: {error}", store=str(folder)) from error
        del searcher
        stages.done("tree")
        # What is measured is what will serve: the searcher as it comes back from the files.
        loaded = _load(folder)
        with ThreadPoolExecutor(self._threads) as pool:

            def search(queries: FloatMatrix, *, count: int, leaves: int) -> npt.NDArray[np.int32]:
                def part(of: FloatMatrix) -> npt.NDArray[np.int32]:
                    positions, there = _ask(loaded, of, count=count, leaves=leaves)
                    return np.where(there, positions.astype(np.int32), np.int32(-1))

                parts = np.array_split(projection.queries(queries), max(1, len(queries) // _TRIAL_QUERIES))
                return np.concatenate(list(pool.map(part, parts)))

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


@contextmanager
def _scratch(folder: Path, rows: int, width: int) -> Iterator[FloatMatrix]:
    """A float32 (rows, width) to write to; where it is large, in a file that goes, so that the system may page it out.

    ScaNN copies what it is given, so it would take the memory twice.
    """
    size = rows * width * 4
    if size < _LARGE:
        yield np.empty((rows, width), dtype=np.float32)
        return
    path = folder / _SCRATCH
    try:
        with path.open("w+b") as file:
            os.posix_fallocate(file.fileno(), 0, size)  # a full disk is an error here, not a signal at some write
            yield np.memmap(file, dtype=np.float32, mode="r+", shape=(rows, width))
    finally:
        path.unlink(missing_ok=True)


def _ask(
    searcher: Any, projected: FloatMatrix, *, count: int, leaves: int
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.bool_]]:
    """Positions (m, count) in ascending order of estimated distance, and which of them are results at all.

    Runs in this thread alone: ScaNN's own pool would not survive a fork, and callers bring threads of their own.
    """
    positions, scores = searcher.search_batched(projected, count, count, leaves, False, 0)
    return positions, ~np.isnan(scores)


def _load(folder: Path) -> Any:
    try:
        _require_whole(folder)
        assets = (folder / _ASSETS).read_text(encoding="utf-8")
        searcher = library().ScannNumpy(os.fsencode(folder.resolve()), assets)
    except (RuntimeError, ValueError, OSError) as error:
        raise Corrupted(f"ScaNN cannot read the segment `{folder}`: {error}", store=str(folder)) from error
    searcher.set_num_threads(0)
    return searcher


def _require_whole(folder: Path) -> None:
    """Raises ValueError, OSError: a file was cut off.

    ScaNN does not notice when it cannot write one, as on a full disk, and reading it again may end the process.
    """
    for path in folder.iterdir():
        if not path.stat().st_size:
            raise ValueError(f"`{path.name}` is empty")
        if path.suffix == ".npy":
            np.load(path, mmap_mode="r", allow_pickle=False)


def _read_tokens(folder: Path, report: BuildReport) -> npt.NDArray[np.int32]:
    """A memory map, which stays readable once the file is unlinked."""
    path = folder / _LEAVES
    try:
        tokens: npt.NDArray[np.int32] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise Corrupted(f"`{path}` is not an array of leaves: {error}", store=str(folder)) from error
    if tokens.shape != (_LEAVES_PER_ROW * report.rows,) or tokens.dtype != np.int32:
        raise Corrupted(
            f"Expected int32 ({_LEAVES_PER_ROW * report.rows},), got {tokens.dtype} {tokens.shape}, in `{path}`",
            store=str(folder),
        )
    return tokens


def _config(plan: tuning.Plan, width: int, seed: int) -> str:
    """ScaNN's configuration (the ScannConfig message as text) of a tree over residual codes, without reordering.

    Centres start by k-means++ because ScaNN's random choice of them ignores every seed; it costs a fifth of the build.
    """
    full, rest = divmod(width, plan.dims_per_block)
    blocks = f"variable_blocks {{ num_blocks: {full} num_dims_per_block: {plan.dims_per_block} }}"
    if rest:
        blocks += f" variable_blocks {{ num_blocks: 1 num_dims_per_block: {rest} }}"
    count = full + (rest > 0)
    return f"""
        num_neighbors: 10
        distance_measure {{ distance_measure: "DotProductDistance" }}
        partitioning {{
          num_children: {plan.leaves}
          clustering_seed: {seed}
          max_clustering_iterations: {plan.iterations}
          expected_sample_size: {plan.training_rows}
          single_machine_center_initialization: DEFAULT_KMEANS_PLUS_PLUS
          partitioning_type: GENERIC
          partitioning_distance {{ distance_measure: "SquaredL2Distance" }}
          query_tokenization_distance_override {{ distance_measure: "DotProductDistance" }}
          query_tokenization_type: FLOAT
          query_spilling {{ spilling_type: FIXED_NUMBER_OF_CENTERS max_spill_centers: {max(1, plan.leaves // 10)} }}
          database_spilling {{
            spilling_type: TWO_CENTER_ORTHOGONALITY_AMPLIFIED
            orthogonality_amplification_lambda: {plan.soar}
            overretrieve_factor: 2
          }}
        }}
        hash {{
          asymmetric_hash {{
            lookup_type: INT8_LUT16
            num_clusters_per_block: 16
            use_residual_quantization: true
            use_global_topn: {str(count <= _MOST_BLOCKS).lower()}
            quantization_distance {{ distance_measure: "SquaredL2Distance" }}
            projection {{ projection_type: VARIABLE_CHUNK input_dim: {width} {blocks} }}
            fixed_point_lut_conversion_options {{ float_to_int_conversion_method: ROUND }}
            clustering_seed: {seed}
            sampling_seed: {seed}
            expected_sample_size: {plan.codebook_rows}
            max_clustering_iterations: {plan.iterations}
          }}
        }}
    """
