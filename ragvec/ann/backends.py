"""The ANN seam: what a segment of an approximate index must do, and the choice of the library behind it.

A segment covers a contiguous range of rows, holds no float32 rows of its own, and only proposes candidates: distances that anyone
sees are computed exactly from the stored rows afterwards.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import msgspec

from ragvec.types import FloatMatrix, Metric, RowArray

__all__ = ["AnnBackend", "AnnSegment", "BuildReport", "available_backend"]


class BuildReport(msgspec.Struct, frozen=True):
    """What a build chose and measured. `recall_at_10` and `recall_at_100` are against exact search on held-out rows of the segment."""

    rows: int
    dimension: int
    metric: Metric
    leaves: int
    leaves_to_search: int
    over_fetch: float
    recall_at_10: float
    recall_at_100: float
    seconds: float
    bytes: int


class AnnSegment(Protocol):
    """An opened segment; safe to search from several threads, usable after a fork."""

    report: BuildReport

    def candidates(self, queries: FloatMatrix, *, k: int, effort: float = 1.0) -> list[RowArray]:
        """For each query (m, dimension) the positions within the segment of about `k` × over-fetch rows likely to hold its `k` nearest.

        Positions are distinct uint32, at most the segment's rows, in no promised order. `effort` above 1 searches more leaves in
        proportion; from the point where all leaves are searched only quantisation costs recall.
        """
        ...


class AnnBackend(Protocol):
    """A library that builds and opens segments."""

    name: str

    def build(self, rows: FloatMatrix, *, metric: Metric, recall_target: float, folder: Path, seed: int = 0) -> BuildReport:
        """Build a segment over `rows` float32 (n, dimension), n ≥ 1, not modified, into the empty `folder`, fsynced."""
        ...

    def open(self, folder: Path) -> AnnSegment:
        """Open what `build` wrote. Raises Corrupted when the files do not match their checksums."""
        ...


def available_backend() -> AnnBackend | None:
    """ScaNN where it is installed, else None: everything is then searched exactly."""
    from ragvec.extras import available

    if not available("scann"):
        return None
    from ragvec.ann.scann_segment import ScannBackend

    return ScannBackend()
