"""Compaction: the live rows of a generation are written as the next one, beside readers and writers, in three steps.

1. Copy what is committed, in row order, without holding up anybody; then, as often as needed, what was written and
   what died meanwhile, until little is left.
2. Build the segments, posting lists and inverted lists of the copy, so that its first searches are no slower than the
   last ones before.
3. In one write transaction of the old generation, copy the rest and set `successor`. Its commit is the switch: before
   it, a crash leaves a folder that the next sweep removes; after it, every process goes on in the new generation.

Sequence numbers go on where they were, and rows keep their order.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ragvec.engine.local.checked import checked_range
from ragvec.engine.local.forks import operation
from ragvec.engine.local.generations import remove, retire
from ragvec.engine.local.layout import GenerationFolder, sync_folder
from ragvec.engine.local.merging import Lane
from ragvec.engine.local.snapshot import Generation
from ragvec.engine.local.sqlite import store_error
from ragvec.engine.local.text_move import carry_over
from ragvec.errors import StoreFull
from ragvec.types import RowArray

__all__ = ["FEWEST_DEAD", "build_segment", "compact", "is_due"]

FEWEST_DEAD = 4096
"""Fewer tombstones are left alone, however many of the rows they are: masking them costs next to nothing."""

_DEAD_SHARE = 1 / 3
"""Of the live rows: from this many tombstones on a generation is rewritten. Each row that was replaced then costs the
copy of three, a good deal less than what merging segments does with it."""

_CHUNK = 1 << 14
_LITTLE = 1024
"""Rows that may be left to copy while writers wait: some milliseconds."""

_ROUNDS = 8
_SPARE = 1.25


def is_due(*, live: int, dead: int, kept: int) -> bool:
    """Whether tombstones are so many that a generation should be rewritten.

    `kept` earlier generations are still on the disk. Each doubles what is waited for, so that those kept for their
    pages never take more than a few times the space of the index.
    """
    return dead >= FEWEST_DEAD and dead > live * _DEAD_SHARE * 2.0**kept


def compact(
    index: Path,
    old: Generation,
    *,
    opened: Callable[[int], Generation],
    ready: Callable[[Generation], None],
    clock: Callable[[], float],
) -> Generation | None:
    """Rewrite `old` in the folder `index` as its successor and return that, opened by `opened`; `ready` is told of it
    when little is left to do before it is current.

    None when another thread or process is merging or compacting there, or has compacted already.

    Raises:
        StoreFull: there is no space for a copy. StoreReadOnly, StoreError, Corrupted: see those. Everything is as it
        was.
    """
    number = old.number + 1
    try:
        with old.segments.lease("merge") as held:
            if not held or old.records.state().successor is not None:
                return None
            remove(index, number)
            _require_space(index, old)
            with _target(index, number):
                new = opened(number)
                try:
                    _fill(old, new, ready=ready)
                except BaseException:
                    new.close()
                    raise
            retire(index, old.number, now=clock())
            return new
    except OSError as error:
        raise store_error(error, index) from error


@contextmanager
def _target(index: Path, number: int) -> Iterator[None]:
    """The folder of a new generation, removed again if the block fails."""
    folder = GenerationFolder(index, number)
    folder.path.mkdir()
    try:
        sync_folder(index)
        yield
    except BaseException:
        remove(index, number)
        raise


def _require_space(index: Path, old: Generation) -> None:
    """Refuse before the disk is full, which would hold up every writer."""
    state, dead = old.records.state(), old.records.dead()
    share = 1.0 if not state.rows else (state.rows - dead) / state.rows
    needed = int(old.folder.bytes() * share * _SPARE)
    free = shutil.disk_usage(index).free
    if free < needed:
        raise StoreFull(
            f"Expected {needed:,} bytes free for rewriting `{index}` without its deleted rows, got {free:,}; the store "
            "is as it was",
            store=str(index),
        )


def build_segment(generation: Generation, first: int, last: int, *, lane: Lane) -> bool:
    """Build the segment over the rows [first, last); False when somebody else is building in the lane.

    Raises:
        Corrupted: a row is damaged. What is made of damaged rows would hide that, or confuse the library.
    """
    with operation():
        rows = generation.vectors.rows(last)[first:last]
        checksums = checked_range(generation.records, generation.vectors, first, last)
    built = generation.segments.build(
        first,
        last,
        rows,
        columns=generation.records.columns(first, last),
        row_checksums=checksums,
        lane=lane,
    )
    return built is not None


def _fill(old: Generation, new: Generation, *, ready: Callable[[Generation], None]) -> None:
    copy = _Copy(old, new)
    copy.catch_up()
    carry_over(old, new, origins=copy.origins(), rows=copy.seen)
    for _ in range(_ROUNDS):
        _build(new, copy.count)
        if copy.catch_up() <= _LITTLE:
            break
    ready(new)
    copy.switch()


def _build(new: Generation, rows: int) -> None:
    if new.postings_behind(rows):
        new.postings_view(rows)
    while (behind := new.text.due(rows)) is not None:
        new.text.persist(behind[1])
    while (due := new.segments.due(rows)) is not None:
        if not build_segment(new, *due, lane="tail"):
            break


class _Copy:
    """What of `old` is in `new`. `count` rows are, of the `seen` that were looked at."""

    def __init__(self, old: Generation, new: Generation) -> None:
        self._old, self._new = old, new
        self._sequence = 0
        self.seen = 0
        self._origins: list[RowArray] = []
        self.count = 0

    def catch_up(self) -> int:
        """Copy what was committed by now and is not there; returns how many rows were looked at."""
        changes = self._old.records.changes(self._sequence)
        self._bury(changes.died, sequence=changes.state.sequence)
        before = self.seen
        # Rows are read after `changes`: what died in between is left out here, and is no news in the next round.
        while self.seen < changes.state.rows:
            last = min(self.seen + _CHUNK, changes.state.rows)
            self._append(self.seen, last, sequence=changes.state.sequence)
            self.seen = last
        self._sequence = changes.state.sequence
        return self.seen - before

    def origins(self) -> RowArray:
        """The rows of `old` that are in `new`, ascending, which is their order there."""
        if len(self._origins) != 1:
            self._origins = [np.concatenate([np.empty(0, np.uint32), *self._origins])]
        return self._origins[0]

    def switch(self) -> None:
        """Copy the rest while writers wait, and let the new generation take the place of the old one."""
        records = self._old.records
        with records.writing() as sql:
            self.catch_up()
            with self._new.records.writing() as target:
                self._new.records.set_state(target, sequence=self._sequence, rows=self.count)
            sync_folder(self._new.folder.path)
            records.set_successor(sql, self._new.number)

    def _append(self, first: int, last: int, *, sequence: int) -> None:
        with operation():
            stored = self._old.records.live(first, last)
            if not stored:
                return
            rows = np.fromiter((row.row for row in stored), dtype=np.uint32, count=len(stored))
            self._new.vectors.append(self.count, np.take(self._old.vectors.rows(last), rows, axis=0))
            with self._new.records.writing() as sql:
                self._new.records.insert(sql, (row._replace(row=at) for at, row in enumerate(stored, self.count)))
                self._new.records.set_state(sql, sequence=sequence, rows=self.count + len(stored))
        self._origins.append(rows)
        self.count += len(stored)

    def _bury(self, died: list[int], *, sequence: int) -> None:
        if not died or not self._origins:
            return
        origins = self.origins()
        gone = np.asarray(died, dtype=np.uint32)
        places = np.searchsorted(origins, gone)
        places = places[origins[np.minimum(places, len(origins) - 1)] == gone]
        with self._new.records.writing() as sql:
            self._new.records.bury_rows(sql, places.tolist(), sequence=sequence)
