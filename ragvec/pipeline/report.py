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


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a run of the pipeline did.

    `documents` were loaded: `added`, `replaced` or `unchanged`. `removed` are those that had vanished from the source.
    `chunks` were written, `embedded` of them by the embedder: the others had vectors already, from an earlier version
    of their document or because another chunk has the same text. `failed` did not get in. `seconds` is by stage (load,
    chunk, embed, write); `total_seconds` is the whole run. `notes` are (document id, remark).
    """

    documents: int = 0
    added: int = 0
    replaced: int = 0
    unchanged: int = 0
    removed: int = 0
    chunks: int = 0
    embedded: int = 0
    failed: tuple[Failure, ...] = ()
    notes: tuple[tuple[str, str], ...] = ()
    seconds: dict[str, float] = {}
    total_seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Chunks embedded per second of embedding, 0 when nothing was embedded."""
        spent = self.seconds.get("embed", 0.0)
        return self.embedded / spent if spent else 0.0

    def __str__(self) -> str:
        lines = [
            f"documents {self.documents:>9,}   added {self.added:,}, replaced {self.replaced:,}, "
            f"unchanged {self.unchanged:,}, removed {self.removed:,}, failed {len(self.failed):,}",
            f"chunks    {self.chunks:>9,}   embedded {self.embedded:,}"
            + (f" at {self.rate:,.1f} a second" if self.embedded else ""),
            f"seconds   {self.total_seconds:>9,.1f}   "
            + ", ".join(f"{stage} {self.seconds.get(stage, 0.0):.1f}" for stage in STAGES),
        ]
        lines += [f"failed    {failure}" for failure in self.failed[:_SHOWN]]
        if len(self.failed) > _SHOWN:
            lines.append(f"failed    and {len(self.failed) - _SHOWN:,} more: see .failed")
        remarks = Counter(note for _, note in self.notes)
        lines += [f"note      {note}" + (f" ({count} times)" if count > 1 else "") for note, count in remarks.items()]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"

    def to_pandas(self) -> Any:
        """A DataFrame of one row: the counts and the seconds of each stage."""
        pandas = require("pandas", extra="notebook", purpose="Report.to_pandas()")
        counts = {
            name: getattr(self, name)
            for name in ("documents", "added", "replaced", "unchanged", "removed", "chunks", "embedded")
        }
        seconds = {f"{stage}_seconds": self.seconds.get(stage, 0.0) for stage in STAGES}
        row = {**counts, "failed": len(self.failed), **seconds, "total_seconds": self.total_seconds}
        return pandas.DataFrame([row])
