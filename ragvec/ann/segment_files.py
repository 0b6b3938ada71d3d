"""What the segments of every backend have in common on disk: the report and the projection.

    report.json         {"backend": name, "format": number, "report": BuildReport}
    projection.npz      from stored rows to the coordinates that are indexed (`ragvec.ann.projection`)

A segment of few rows, or one whose rows no parameters serve well, has the report alone and proposes all its rows.
"""

from __future__ import annotations

import os
import time
import zipfile
from pathlib import Path

import msgspec

from ragvec.ann.backends import BuildReport
from ragvec.ann.projection import Projection
from ragvec.errors import Corrupted

__all__ = [
    "PROJECTION",
    "Stages",
    "processors",
    "read_description",
    "read_projection",
    "read_report",
    "write_report",
    "written_by",
]

PROJECTION = "projection.npz"
_REPORT = "report.json"


class _Description(msgspec.Struct, frozen=True):
    backend: str
    format: int
    report: BuildReport


class _Author(msgspec.Struct, frozen=True):
    backend: str


def write_report(folder: Path, report: BuildReport, *, backend: str, version: int) -> None:
    """Write `report` as that of a segment by `backend`, whose files are of format `version`."""
    description = _Description(backend=backend, format=version, report=report)
    (folder / _REPORT).write_bytes(msgspec.json.encode(description))


def read_report(folder: Path, *, backend: str, version: int) -> BuildReport:
    """The report in `folder`. Raises Corrupted when there is none, or one of another backend or format."""
    try:
        description = msgspec.json.decode((folder / _REPORT).read_bytes(), type=_Description)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Corrupted(f"`{folder / _REPORT}` does not describe a segment: {error}", store=str(folder)) from error
    if (description.backend, description.format) != (backend, version):
        raise Corrupted(
            f"Expected a segment by {backend}, format {version}, got one by {description.backend}, format "
            f"{description.format}, in `{folder}`",
            store=str(folder),
        )
    return description.report


def read_description(folder: Path) -> BuildReport:
    """The report of the segment in `folder`, whichever backend wrote it. Raises Corrupted when there is none."""
    try:
        return msgspec.json.decode((folder / _REPORT).read_bytes(), type=_Description).report
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Corrupted(f"`{folder / _REPORT}` does not describe a segment: {error}", store=str(folder)) from error


def written_by(folder: Path) -> str | None:
    """The name of the backend that wrote the segment in `folder`; None when that cannot be read."""
    try:
        return msgspec.json.decode((folder / _REPORT).read_bytes(), type=_Author).backend
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def read_projection(folder: Path, report: BuildReport) -> Projection:
    """The projection in `folder`. Raises Corrupted when it is none, or not one for the rows of `report`."""
    path = folder / PROJECTION
    try:
        projection = Projection.load(path)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise Corrupted(f"`{path}` is not a projection: {error}", store=str(folder)) from error
    frame = projection.frame
    if len(frame.centre) != report.dimension or frame.metric != report.metric:
        raise Corrupted(
            f"Expected a projection for {report.metric} in {report.dimension} dimensions, got one for "
            f"{frame.metric} in {len(frame.centre)}, in `{path}`",
            store=str(folder),
        )
    return projection


class Stages:
    """The seconds that each stage of a build took."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._started = self._last = time.monotonic()

    @property
    def total(self) -> float:
        """The seconds since the start."""
        return time.monotonic() - self._started

    def done(self, stage: str) -> None:
        """Note that what happened since the last call was `stage`."""
        now = time.monotonic()
        self.seconds[stage], self._last = now - self._last, now


def processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


# Made once while the module is imported: msgspec may crash where threads meet a type for the first time together.
msgspec.json.Decoder(_Description)
msgspec.json.Decoder(_Author)
