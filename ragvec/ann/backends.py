"""The ANN seam: what a segment of an approximate index must do, and the choice of the library behind it.

A segment covers a contiguous range of rows, holds no float32 rows of its own, and only proposes candidates: distances
that anyone sees are computed exactly from the stored rows afterwards.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Protocol

from ragvec.ann.report import BuildReport, OperatingPoint
from ragvec.errors import InvalidRequest, MissingExtra
from ragvec.extras import available
from ragvec.types import FloatMatrix, FloatVector, Metric, RowArray

__all__ = ["AnnBackend", "AnnSegment", "BuildReport", "OperatingPoint", "available_backend"]

_log = logging.getLogger("ragvec.ann")
_LIBRARIES = {"scann": "scann", "faiss": "faiss-cpu"}
"""The backends, best first, and the packages that bring their libraries."""


class AnnSegment(Protocol):
    """An opened segment; safe to search from several threads, usable after a fork."""

    report: BuildReport
    absorbed: int
    """How many rows `absorb` has taken."""

    def candidates(
        self, queries: FloatMatrix, *, k: int, effort: float = 1.0, recall_target: float | None = None
    ) -> list[RowArray]:
        """For each query (m, dimension) the positions within the segment of the rows likely to hold its `k` nearest.

        Distinct uint32, never fewer than min(k, rows), nearest first by the segment's own estimate unless they are all
        its rows; not to be modified. `recall_target` is the report's when None; where the measured curve does not reach
        it, all rows are proposed. `effort` above 1 searches more leaves for more candidates in proportion, below 1
        fewer; infinity proposes all rows.
        """
        ...

    def nearest_candidates(
        self, query: FloatVector, *, k: int, effort: float = 1.0, recall_target: float | None = None
    ) -> RowArray:
        """As `candidates`, for one query (dimension,)."""
        ...

    def absorb(self, rows: FloatMatrix) -> bool:
        """Take further rows float32 (n, dimension) into the opened segment, in memory alone: they are proposed like the
        others from now on, at positions that go on from `report.rows`. False when this kind of segment cannot.

        Nothing is retrained, so recall falls where the new rows are unlike those that the segment was built from.
        Searches in other threads wait for it.
        """
        ...

    def row_leaves(self) -> RowArray:
        """The leaf (below `report.leaves`) that each row lies in: a new uint32 (rows,)."""
        ...


class AnnBackend(Protocol):
    """A library that builds and opens segments."""

    name: str
    absorbs: bool
    """Whether its segments absorb rows."""

    def build(
        self, rows: FloatMatrix, *, metric: Metric, recall_target: float, folder: Path, seed: int = 0
    ) -> BuildReport:
        """Build a segment over `rows` float32 (n, dimension), n ≥ 1, not modified, into the empty `folder`, fsynced.

        Raises StoreError when the library or the disk refuses; what `folder` then holds is not a segment.
        """
        ...

    def open(self, folder: Path) -> AnnSegment:
        """Open what `build` wrote, under whatever path it lies now.

        Raises Corrupted when the files do not match their checksums or another backend wrote them.
        """
        ...


def available_backend(name: str | None = None, *, threads: int | None = None) -> AnnBackend | None:
    """The backend called `name`, "scann" or "faiss"; None for "exact": everything is then searched exactly.

    Without a name the best one here: ScaNN where it is installed and loads, else faiss likewise, else None. It builds
    in up to `threads` threads, by default as many as suit this process.

    Raises:
        InvalidRequest: there is no backend of that name. MissingExtra: it is not installed, or does not load here.
    """
    if name == "exact":
        return None
    if name is None:
        return next((found for known in _LIBRARIES if (found := _if_it_loads(known, threads)) is not None), None)
    if name not in _LIBRARIES:
        raise InvalidRequest(
            f"Expected a backend of `scann`, `faiss` and `exact`, got `{name}`: leave it out for the best one here",
            path="backend",
        )
    try:
        return _backend(name, threads)
    except ImportError as error:
        limits = ", for which there are packages on Linux only," if name == "scann" else ""
        raise MissingExtra(
            package=_LIBRARIES[name], extra=name, purpose=f"The backend `{name}`{limits} does not load ({error}); it"
        ) from error


def _if_it_loads(name: str, threads: int | None) -> AnnBackend | None:
    if not available(name):
        return None
    try:
        return _backend(name, threads)
    except ImportError as error:
        _log.warning("%s is installed but does not load, segments do without it: %s", _LIBRARIES[name], error)
        return None


def _backend(name: str, threads: int | None) -> AnnBackend:
    """The backend with its library loaded. Raises ImportError when that fails."""
    if name == "scann":
        from ragvec.ann import scann_library
        from ragvec.ann.scann_segment import ScannBackend

        scann_library.library()
        return ScannBackend(threads=threads)
    from ragvec.ann import faiss_library
    from ragvec.ann.faiss_segment import FaissBackend

    faiss_library.library()
    return FaissBackend(threads=threads)
