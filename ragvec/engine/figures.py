"""What an engine tells about an index and a search: figures for people and tools, with HTML for notebooks."""

from __future__ import annotations

import html
from typing import Literal, TypeAlias

import msgspec

from ragvec.types import Metric

__all__ = ["Explanation", "IndexStats", "SearchStep", "SegmentStats", "TextStats", "TextStatus", "Tuning"]

TextStatus: TypeAlias = Literal["ACTIVE", "BUILDING"]
"""Whether the lists of a text field are there, or many rows have none yet: searches are right either way, and slower
meanwhile."""


class SegmentStats(msgspec.Struct, frozen=True):
    """One ANN segment over the rows [first, last). Times in seconds; `bytes` is what it holds in memory.

    Recalls are what its build measured with held-out rows as queries, for the recall target that is set; its first pass
    visits some of its `leaves` in `width` coordinates.
    """

    first: int
    last: int
    backend: str
    bytes: int
    build_seconds: float
    recall_at_10: float
    recall_at_100: float
    leaves: int
    width: int


class TextStats(msgspec.Struct, frozen=True):
    """The lists of one text field. `documents` of the live rows have text in it, `tokens` in all; `rows` are covered by
    files of `bytes`, in which there are `terms` (one that is in several files counts as often)."""

    key: str
    language: str | None
    status: TextStatus
    documents: int
    tokens: int
    terms: int
    rows: int
    bytes: int


class IndexStats(msgspec.Struct, frozen=True):
    """Figures of one index at one moment. `rows` counts live vectors and tombstones; sizes in bytes.

    `memory_bytes` is what searches hold in this process: segments, kept filters, marks of deleted rows; vectors, keys
    and posting lists are mapped files, which the system reads and drops as it sees fit. `effort` is what `tune` set.
    """

    vectors: int
    rows: int
    tombstones: int
    sequence: int
    generation: int
    dimension: int
    metric: Metric
    backend: str
    segments: tuple[SegmentStats, ...]
    exact_rows: int
    disk_bytes: int
    recall_target: float
    effort: float = 1.0
    memory_bytes: int = 0
    text: tuple[TextStats, ...] = ()

    def _repr_html_(self) -> str:
        figures = {
            "vectors": f"{self.vectors:,} of {self.dimension} dimensions, {self.metric}",
            "search": f"{self.backend} over {self.rows - self.exact_rows:,} rows, exact over {self.exact_rows:,}",
            "recall target": f"{self.recall_target:g}" + ("" if self.effort == 1.0 else f", effort {self.effort:g}"),
            "deleted rows": f"{self.tombstones:,} not yet reclaimed",
            "on disk": f"{self.disk_bytes / 2**20:,.1f} MiB",
            "in memory": f"{self.memory_bytes / 2**20:,.1f} MiB",
        }
        for segment in self.segments:
            figures[f"rows {segment.first:,} to {segment.last - 1:,}"] = (
                f"{segment.backend}, recall {segment.recall_at_10:.3f} at 10 and {segment.recall_at_100:.3f} at 100, "
                f"{segment.bytes / 2**20:,.1f} MiB, built in {segment.build_seconds:.1f} s"
            )
        for field in self.text:
            figures[f"text {field.key}"] = (
                f"{field.documents:,} texts, {field.tokens:,} words, {field.bytes / 2**20:,.1f} MiB"
                + (", still building" if field.status == "BUILDING" else "")
            )
        left = 'style="text-align:left"'
        rows = "".join(
            f"<tr><th {left}>{html.escape(name)}</th><td {left}>{html.escape(value)}</td></tr>"
            for name, value in figures.items()
        )
        return f"<table>{rows}</table>"


class SearchStep(msgspec.Struct, frozen=True):
    """One step of a search: what was done to `rows` rows, how many `candidates` it left, and how long it took."""

    name: str
    rows: int
    candidates: int
    microseconds: float
    detail: str = ""


class Explanation(msgspec.Struct, frozen=True):
    """How one search ran. `matches` of `rows` satisfied the filter; `recall` is what the segments asked are tuned to
    find of the `k` nearest, 1.0 where `exact`."""

    k: int
    rows: int
    matches: int
    effort: float
    exact: bool
    recall: float
    steps: tuple[SearchStep, ...]

    @property
    def microseconds(self) -> float:
        """The time of all steps."""
        return sum(step.microseconds for step in self.steps)

    def __str__(self) -> str:
        head = (
            f"k = {self.k:,} of {self.matches:,} matching rows, {self.rows:,} in all · "
            f"{'exact' if self.exact else f'recall {self.recall:.3f}'} · effort {self.effort:g} · "
            f"{self.microseconds:,.0f} µs"
        )
        width = max((len(step.name) for step in self.steps), default=0)
        lines = [
            f"  {step.name:<{width}}  {step.rows:>11,} rows → {step.candidates:>9,}  {step.microseconds:>9,.1f} µs"
            f"  {step.detail}".rstrip()
            for step in self.steps
        ]
        return "\n".join([head, *lines])

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"


class Tuning(msgspec.Struct, frozen=True):
    """How an index is searched from now on: for this `recall_target`, with `effort` times what its segments measured to
    be needed (infinity: exactly).

    `recall` is the share of the exact `k` nearest that so many `queries` found; without queries it is what the segments
    measured with rows as queries, at k = 10.
    """

    recall_target: float
    effort: float
    recall: float
    k: int = 10
    queries: int = 0
