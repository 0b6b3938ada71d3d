"""What a run of the pipeline did."""

from __future__ import annotations

import html
from collections import Counter
from typing import Any

import msgspec

from ragvec.extras import require
from ragvec.pipeline.documents import Failure

__all__ = ["STAGES", "Report"]

STAGES = ("load", "chunk", "embed", "write")

_SHOWN = 10
_NAMED = 5
_LISTED = 200


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a run of the pipeline did.

    `documents` were loaded: `added`, `replaced` or `unchanged`. `removed` are those that had vanished from the source.
    `chunks` were written, `embedded` of them by the embedder: the others had vectors already, from an earlier version
    of their document, because another chunk has the same text, or `cached` ones from an earlier run. `failed` did not
    get in. `seconds` is by stage (load, chunk, embed, write), which go on beside each other; `total_seconds` is the
    whole run. `notes` are (document id, remark). With `dry_run`, all of this is what would have been done.
    """

    documents: int = 0
    added: int = 0
    replaced: int = 0
    unchanged: int = 0
    removed: int = 0
    chunks: int = 0
    embedded: int = 0
    cached: int = 0
    failed: tuple[Failure, ...] = ()
    notes: tuple[tuple[str, str], ...] = ()
    seconds: dict[str, float] = {}
    total_seconds: float = 0.0
    dry_run: bool = False

    @property
    def rate(self) -> float:
        """Chunks embedded per second of embedding, 0 when nothing was embedded."""
        spent = self.seconds.get("embed", 0.0)
        return self.embedded / spent if spent and not self.dry_run else 0.0

    def __repr__(self) -> str:
        return (
            f"<Report: {self.documents:,} documents, {self.chunks:,} chunks "
            f"{'to write' if self.dry_run else 'written'}, {len(self.failed):,} failed, {self.total_seconds:.1f} s>"
        )

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def lines(self, *, failures: int | None = _SHOWN) -> list[str]:
        """The report as lines of text, with at most so many of failures: those of one reason share a line."""
        lines = [f"{name:<9} {number:>9}   {details}".rstrip() for name, number, details in self._figures()]
        reasons: dict[str, list[str]] = {}
        for failure in self.failed:
            reasons.setdefault(failure.reason, []).append(failure.source)
        shown = list(reasons.items())[:failures]
        lines += [f"failed    {_names(sources)}: {reason}" for reason, sources in shown]
        left = len(self.failed) - sum(len(sources) for _, sources in shown)
        if left:
            lines.append(f"failed    and {left:,} more: see .failed")
        return lines + [f"note      {note}" for note in self._remarks()]

    def _figures(self) -> list[tuple[str, str, str]]:
        """What is counted, its number, and the details."""
        rate = f" at {self.rate:,.1f} a second" if self.rate else ""
        cached = f", from the cache {self.cached:,}" if self.cached else ""
        stages = ", ".join(f"{stage} {self.seconds.get(stage, 0.0):.1f}" for stage in STAGES)
        documents = (
            f"added {self.added:,}, replaced {self.replaced:,}, unchanged {self.unchanged:,}, "
            f"removed {self.removed:,}, failed {len(self.failed):,}"
        )
        return [
            ("documents", f"{self.documents:,}", documents),
            ("chunks", f"{self.chunks:,}", f"embedded {self.embedded:,}{rate}{cached}"),
            ("seconds", f"{self.total_seconds:,.1f}", stages),
        ]

    def _remarks(self) -> list[str]:
        """The notes, each once, with the number of times."""
        counts = Counter(note for _, note in self.notes)
        told = ["dry run: nothing was embedded or written"] if self.dry_run else []
        return told + [f"{note} ({count} times)" if count > 1 else note for note, count in counts.items()]

    def _repr_html_(self) -> str:
        left, right = 'style="text-align:left;overflow-wrap:anywhere"', 'style="text-align:right"'
        figures = "".join(
            f"<tr><th {left}>{name}</th><td {right}>{number}</td><td {left}>{details}</td></tr>"
            for name, number, details in self._figures()
        )
        parts = [f"<table>{figures}</table>"]
        if self.failed:
            rows = "".join(
                f'<tr><td {left} dir="auto">{html.escape(failure.source)}</td>'
                f"<td {left}>{html.escape(failure.reason)}</td></tr>"
                for failure in self.failed[:_LISTED]
            )
            more = len(self.failed) - _LISTED
            rest = f"<div>and {more:,} more: see <code>.failed</code></div>" if more > 0 else ""
            opened = " open" if len(self.failed) <= _SHOWN else ""
            parts.append(
                f"<details{opened}><summary>{len(self.failed):,} failed</summary><table>{rows}</table>{rest}</details>"
            )
        parts += [f"<div>note: {html.escape(note)}</div>" for note in self._remarks()]
        return f"<div>{''.join(parts)}</div>"

    def to_pandas(self) -> Any:
        """A DataFrame of one row: the counts and the seconds of each stage."""
        pandas = require("pandas", extra="notebook", purpose="Report.to_pandas()")
        counts = {
            name: getattr(self, name)
            for name in ("documents", "added", "replaced", "unchanged", "removed", "chunks", "embedded", "cached")
        }
        seconds = {f"{stage}_seconds": self.seconds.get(stage, 0.0) for stage in STAGES}
        row = {**counts, "failed": len(self.failed), **seconds, "total_seconds": self.total_seconds}
        return pandas.DataFrame([row])


def _names(sources: list[str]) -> str:
    more = len(sources) - _NAMED
    return ", ".join(sources[:_NAMED]) + (f" and {more:,} more" if more > 0 else "")
