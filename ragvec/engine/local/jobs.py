"""Background work on one index as data, so that this process or a worker process can carry it out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec

from ragvec.engine.local.compact import build_segment, compact
from ragvec.engine.local.snapshot import Generation
from ragvec.engine.protocol import IndexSpec, TextField

__all__ = ["Job", "Kind", "perform"]

Kind = Literal["segment", "postings", "text", "merge", "compact"]


class Job(msgspec.Struct, frozen=True):
    """One piece of work on the index in the folder `index`, whose current generation is `generation`.

    "segment", "merge": build the segment of rows [first, last), in the lane for new or that for older rows. "postings":
    write the posting lists of rows [first, last). "text": write the inverted lists of the fields `text` of these rows.
    "compact": rewrite the generation without its tombstones, with lists of the fields `text`; `last` is the number of
    rows that remain. Segments are built by the `backend` of this name.
    """

    kind: Kind
    index: Path
    generation: int
    spec: IndexSpec
    backend: str
    recall_target: float
    first: int
    last: int
    text: tuple[TextField, ...] = ()

    @property
    def cost(self) -> int:
        """About how much work it is, in coordinates of vectors."""
        width = self.spec.dimension
        if self.kind == "postings":
            width = _POSTING_WIDTH
        elif self.kind == "text":
            width = _TEXT_WIDTH * len(self.text)
        return (self.last - self.first) * width


_POSTING_WIDTH = 16
_TEXT_WIDTH = 64
"""Indexing the metadata of a row, or a text of it, takes about as long as building so many coordinates into a
segment."""


def perform(
    job: Job,
    generation: Generation,
    *,
    opened: Callable[[int], Generation],
    ready: Callable[[Generation], None],
    clock: Callable[[], float],
) -> Generation | None:
    """Carry it out on the open `generation`; returns the generation that is current afterwards, None when somebody else
    is at work there.

    A compaction opens its new generation by `opened`, and tells `ready` of it when it is about to become current.
    """
    if job.kind == "segment":
        return generation if build_segment(generation, job.first, job.last, lane="tail") else None
    if job.kind == "merge":
        return generation if build_segment(generation, job.first, job.last, lane="merge") else None
    if job.kind == "postings":
        generation.postings_view(job.last)
        return generation
    if job.kind == "text":
        generation.text.persist(job.last)
        return generation
    return compact(job.index, generation, opened=opened, ready=ready, clock=clock)
