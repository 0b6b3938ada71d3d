"""Segment sets to test with: a backend that is exact, and what a set has on the disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from ragvec.ann.backends import AnnBackend, BuildReport
from ragvec.ann.sealed import seal, verify
from ragvec.engine.local.merging import SEGMENT_MIN_ROWS
from ragvec.engine.local.segments import Segment, SegmentSet
from ragvec.extras import available
from ragvec.types import FloatMatrix, Metric, RowArray

STEP = SEGMENT_MIN_ROWS
with_each_library = pytest.mark.parametrize(
    "library",
    [
        pytest.param(name, marks=pytest.mark.skipif(not available(name), reason=f"{name} is not installed"))
        for name in ("scann", "faiss")
    ],
)


class PlainSegment:
    def __init__(self, report: BuildReport) -> None:
        self.report = report
        self.absorbed = 0

    def candidates(self, queries: FloatMatrix, *, k: int, effort: float = 1.0) -> list[RowArray]:
        return [np.arange(self.report.rows, dtype=np.uint32)] * len(queries)


class PlainBackend:
    """A backend of its own that is exact and builds at once, so that long histories of segments can be run."""

    name = "plain"
    absorbs = False

    def __init__(self, meanwhile: Callable[[Path], None] = lambda folder: None) -> None:
        self.meanwhile = meanwhile
        self.rows_built: list[int] = []

    def build(
        self, rows: FloatMatrix, *, metric: Metric, recall_target: float, folder: Path, seed: int = 0
    ) -> BuildReport:
        self.rows_built.append(len(rows))
        report = BuildReport(
            rows=len(rows),
            dimension=rows.shape[1],
            metric=metric,
            leaves=1,
            leaves_to_search=1,
            over_fetch=1.0,
            recall_at_10=1.0,
            recall_at_100=1.0,
            seconds=0.5,
            bytes=7,
            recall_target=recall_target,
            exhaustive=True,
        )
        (folder / "report").write_bytes(msgspec.json.encode(report))
        self.meanwhile(folder)
        seal(folder)
        return report

    def open(self, folder: Path) -> PlainSegment:
        verify(folder)
        return PlainSegment(msgspec.json.decode((folder / "report").read_bytes(), type=BuildReport))


def make_set(folder: Path, backend: AnnBackend | None, *, metric: Metric = "cosine", **options: object) -> SegmentSet:
    settings: dict[str, object] = {"recall_target": 0.95, "read_only": False, **options}
    return SegmentSet(folder, backend=backend, metric=metric, **settings)  # type: ignore[arg-type]  # settings by name


def vectors(rows: int, *, dimension: int = 2, seed: int = 0) -> FloatMatrix:
    return np.random.default_rng(seed).standard_normal((rows, dimension)).astype(np.float32)


def ranges(segments: SegmentSet) -> list[tuple[int, int]]:
    return [(segment.first, segment.last) for segment in segments.current()]


def folders(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_dir())


def build(segments: SegmentSet, first: int, last: int) -> Segment:
    built = segments.build(first, last, np.zeros((last - first, 2), dtype=np.float32))
    assert built is not None
    return built


def damage(folder: Path, name: str = "report") -> None:
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
