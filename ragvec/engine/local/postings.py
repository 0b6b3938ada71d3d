"""The posting lists of one index: which rows have which metadata values.

Log-structured: the newest rows are in a `Tail`; a full block of them becomes a `Run`, and runs merge as they grow, so
that there are O(log n). Row numbers never change, so runs are written once and never updated; rows that were deleted
stay in and are masked by the caller. All of it can be made again from the records, so damage is no error here: a
damaged file is left out, reported, and replaced.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from pyroaring import BitMap

from ragvec.engine.local.posting_columns import Wanted
from ragvec.engine.local.posting_runs import (
    TEMPORARY_SUFFIX,
    Checksums,
    Run,
    merge_runs,
    merged_fields,
    open_run,
    run_range,
    write_run,
)
from ragvec.engine.local.posting_tail import Tail
from ragvec.errors import Corrupted
from ragvec.filters.bitmap import Bounds
from ragvec.types import Scalar

__all__ = ["BLOCK_ROWS", "PostingStore", "PostingView"]

BLOCK_ROWS = 16_384
"""Rows in a full tail block, the smallest run."""

_FANOUT = 4
_NEWEST = 512
"""Rows whose metadata is kept as it was decoded."""

_RELISTINGS = 16
_ABANDONED_SECONDS = 3600.0
_log = logging.getLogger("ragvec.postings")


class PostingView:
    """Posting lists of the rows [first, covered) at one moment (a `ragvec.filters.bitmap.Postings`); for any thread.

    Every method raises Corrupted when a section of a run file, checked on first use, does not match its checksum; the
    remedy is `PostingStore.recover`.
    """

    def __init__(self, runs: tuple[Run, ...], *, tail: Tail, covered: int, first: int = 0) -> None:
        self.first, self.covered = first, covered
        self._runs = tuple(run for run in runs if run.last > first) if first else runs
        self._tail = tail

    def universe(self) -> BitMap:
        """All rows, deleted ones included."""
        return BitMap(range(self.first, self.covered))

    def equal(self, field: str, value: Scalar) -> BitMap:
        """Rows whose field is `value`, or is a list that holds it."""
        return self.any_of(field, (value,))

    def any_of(self, field: str, values: Sequence[Scalar]) -> BitMap:
        """Rows whose field is one of `values`, or is a list that holds one."""
        wanted = Wanted(values)
        parts = [part for run in self._runs if field in run.fields for part in run.fields[field].any_of(wanted)]
        return self._joined(parts, self._tail.any_of(field, values))

    def compare(self, field: str, bounds: Bounds) -> BitMap:
        """Rows whose field is a number, not in a list, that satisfies every bound."""
        if any(bound != bound for _, bound in bounds):
            return BitMap()  # NaN
        parts = [part for run in self._runs if field in run.fields for part in run.fields[field].compare(bounds)]
        return self._joined(parts, self._tail.compare(field, bounds))

    def starts_with(self, field: str, prefix: str) -> BitMap:
        """Rows whose field is a string that begins with `prefix`, or is a list that holds one."""
        text = prefix.encode("utf-8", "surrogatepass")
        parts = [part for run in self._runs if field in run.fields for part in run.fields[field].starts_with(text)]
        return self._joined(parts, self._tail.starts_with(field, prefix))

    def exists(self, field: str) -> BitMap:
        """Rows that have the field, whatever its value."""
        parts = [run.fields[field].exists for run in self._runs if field in run.fields]
        return self._joined(parts, self._tail.exists(field))

    def _joined(self, parts: Iterable[BitMap], newest: BitMap) -> BitMap:
        # The tail goes on growing after this view was made.
        newest.remove_range(self.covered, 2**32)
        joined = BitMap.union(newest, *(part for part in parts if part))
        if self.first:
            joined.remove_range(0, self.first)
        return joined


class PostingStore:
    """The posting lists of one index, persisted in `folder` (which may be absent).

    The rows [0, covered) are indexed, of which [0, runs_end) by run files. After opening, and after `seal`, `refresh`
    or `recover`, the caller indexes what is missing by `extend` from `covered` on. Rows that are indexed must be
    committed: nothing here ever forgets a row. `damaged` lists the run files that were found damaged.

    One thread at a time calls the methods; views may be used by any. Several processes may work in one folder: runs of
    equal ranges have equal content, and a file that is superseded stays readable for those who have it open. By
    `checksums`, those of the records, files are known to be of these rows.
    """

    def __init__(
        self,
        folder: Path,
        *,
        non_filterable: Collection[str],
        read_only: bool = False,
        block_rows: int = BLOCK_ROWS,
        checksums: Checksums | None = None,
    ) -> None:
        self.folder = folder
        self._checksums = checksums
        self.read_only = read_only
        self.damaged: list[Path] = []
        self._non_filterable = frozenset(non_filterable)
        self._block_rows = block_rows
        self._rejected: dict[Path, tuple[int, int] | None] = {}
        self._decode = msgspec.json.Decoder(dict).decode
        self._newest: list[dict[str, Any]] = []
        self._runs: tuple[Run, ...] = ()
        self._tail = self._new_tail(0)
        self.covered = 0
        self.refresh()

    @property
    def runs_end(self) -> int:
        """The rows [0, runs_end) need no indexing by the next process that opens the folder."""
        end = 0
        for run in self._runs:
            if run.path is None:
                break
            end = run.last
        return end

    @property
    def block_end(self) -> int:
        """The row before which the block that is being filled will end."""
        return self._tail.first + self._block_rows

    @property
    def runs(self) -> tuple[Run, ...]:
        """The runs in row order, each beginning where the one before ends."""
        return self._runs

    def extend(self, first: int, metadata: Sequence[bytes | None]) -> None:
        """Index the rows first, first + 1, …, where `first` is `covered`; each is a JSON object, or None for none. One
        whose metadata is damaged, and no object, is indexed as having none."""
        if first != self.covered:
            raise ValueError(f"Expected the rows from {self.covered} on, got {first}")
        full = self.block_end
        newest_from = first + len(metadata) - _NEWEST
        if newest_from >= first:
            self._newest = []
        elif len(self._newest) > 2 * _NEWEST:
            del self._newest[:-_NEWEST]
        frozen = False
        for data in metadata:
            filterable = self._decoded(data)
            self._tail.add(self.covered, filterable)
            if self.covered >= newest_from:
                self._newest.append(filterable)
            self.covered += 1
            if self.covered == full:
                self._runs += (self._tail.freeze(full),)
                self._tail = self._new_tail(full)
                full += self._block_rows
                frozen = True
        if frozen:
            self._merge_in_memory()

    def view(self, first: int = 0) -> PostingView:
        """The rows [first, covered) as they are now; later changes do not touch it."""
        return PostingView(self._runs, tail=self._tail, covered=self.covered, first=first)

    def newest(self, first: int, last: int) -> list[dict[str, Any]] | None:
        """The filterable metadata of rows [first, last), all indexed; None unless they are among the newest."""
        start = first - (self.covered - len(self._newest))
        return self._newest[start : start + last - first] if start >= 0 else None

    def refresh(self) -> None:
        """Use the runs that other processes have persisted meanwhile; `covered` may rise."""
        self._choose([*self._runs, *self._listed()])

    def seal(self) -> None:
        """Persist full blocks, merged with what there is as is due, and remove superseded files; no-op when read-only.

        What cannot be written, as on a full disk, is logged, stays in memory, and is tried again the next time. When a
        damaged file is met, it is dropped as by `recover`, and `covered` may fall.
        """
        try:
            runs = self.due()
            if runs:
                self.adopt(self.written(runs))
        except Corrupted as damage:
            _log.warning("Posting lists are rebuilt: %s", damage)
            self.recover()
        except OSError as error:
            _log.warning("Posting lists stay in memory for now: %s", error)

    def due(self) -> tuple[Run, ...]:
        """The runs to persist or merge, and their neighbours; none when nothing is due, or when read-only."""
        if self.read_only or not self._is_due():
            return ()
        self.refresh()
        return self._runs

    def written(self, runs: tuple[Run, ...]) -> tuple[Run, ...]:
        """These runs, merged as is due, all in files. Changes nothing else, so it needs no lock.

        Raises:
            OSError: some could not be written. Corrupted: a file is damaged.
        """
        # Not its parents: a generation that was removed meanwhile must not come back with nothing else in it.
        self.folder.mkdir(exist_ok=True)
        in_files: list[Run] = []
        for group in _merge_plan(runs, self._block_rows):
            if len(group) == 1 and group[0].path is not None:
                in_files.append(group[0])
                continue
            first, last = group[0].first, group[-1].last
            fields = merged_fields(group) if len(group) > 1 else iter(group[0].fields.items())
            path = write_run(
                self.folder,
                fields,
                first=first,
                last=last,
                non_filterable=self._non_filterable,
                checksums=self._checksums,
            )
            in_files.append(self._opened(path))
        return tuple(in_files)

    def adopt(self, runs: tuple[Run, ...]) -> None:
        """Use these runs where they do at least as well as what is in use, and remove superseded files."""
        self._choose([*self._runs, *runs])
        self._sweep()

    def verify(self) -> list[Path]:
        """Check every section of every run file in use; the damaged ones, which are added to `damaged`."""
        found = [run.path for run in self._runs if run.path is not None and not _is_whole(run)]
        for path in found:
            self._reject(path)
        return found

    def recover(self) -> None:
        """Drop damaged runs and all rows after them; `covered` falls, and the caller extends again."""
        damaged = set(self.verify())
        if damaged:
            kept: list[Run] = []
            for run in self._runs:
                if run.path in damaged:
                    break
                kept.append(run)
            self._runs = tuple(kept)
            self._begin_at(kept[-1].last if kept else 0)
        if not self.read_only:
            self._sweep()

    def _choose(self, available: Iterable[Run]) -> None:
        self._runs = _cover(available, avoid=range(self._tail.first + 1, self.covered))
        end = self._runs[-1].last if self._runs else 0
        if end != self._tail.first:
            self._begin_at(end)

    def _begin_at(self, end: int) -> None:
        self._tail = self._new_tail(end)
        self.covered = end
        self._newest = []

    def _is_due(self) -> bool:
        unsaved = any(run.path is None for run in self._runs)
        return unsaved or any(len(group) > 1 for group in _merge_plan(self._runs, self._block_rows))

    def _new_tail(self, first: int) -> Tail:
        return Tail(first, non_filterable=self._non_filterable)

    def _decoded(self, data: bytes | None) -> dict[str, Any]:
        try:
            metadata = {} if data is None else self._decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, TypeError) as error:
            _log.warning(
                "Row %d in `%s` has damaged metadata, and none for filters: %s", self.covered, self.folder, error
            )
            return {}
        for name in self._non_filterable:
            metadata.pop(name, None)
        return metadata

    def _merge_in_memory(self) -> None:
        start = len(self._runs)
        while start and self._runs[start - 1].path is None:
            start -= 1
        groups = _merge_plan(self._runs[start:], self._block_rows)
        merged = (merge_runs(group) if len(group) > 1 else group[0] for group in groups)
        self._runs = (*self._runs[:start], *merged)

    def _listed(self) -> list[Run]:
        """The whole run files of the folder that are not in use yet."""
        in_use = {run.path for run in self._runs}
        opened: dict[Path, Run] = {}
        for _ in range(_RELISTINGS):
            vanished = False
            for path in self._files():
                if path in in_use or path in opened:
                    continue
                try:
                    if path not in self._rejected or self._rejected[path] != _signature(path):
                        opened[path] = self._opened(path)
                except FileNotFoundError:
                    vanished = True  # merged away by another process: its successor is there
                except Corrupted as error:
                    _log.warning("%s", error)
                    self._reject(path)
            if not vanished:
                break
        return list(opened.values())

    def _opened(self, path: Path) -> Run:
        return open_run(path, non_filterable=self._non_filterable, checksums=self._checksums)

    def _files(self) -> list[Path]:
        try:
            return sorted(path for path in self.folder.iterdir() if run_range(path.name) is not None)
        except FileNotFoundError:
            return []

    def _reject(self, path: Path) -> None:
        self._rejected[path] = _signature(path)
        if path not in self.damaged:
            self.damaged.append(path)

    def _sweep(self) -> None:
        """Remove run files that are superseded or damaged, and what a process that died left half-written."""
        kept = {run.path for run in self._runs}
        ranges = [(run.first, run.last) for run in self._runs if run.path is not None]
        for path in self._files():
            first, last = run_range(path.name) or (0, 0)
            superseded = path not in kept and any(low <= first and last <= high for low, high in ranges)
            if superseded or (path in self._rejected and self._rejected[path] == _signature(path)):
                _remove(path)
        for path in self.folder.glob("*" + TEMPORARY_SUFFIX):
            signature = _signature(path)
            if signature is not None and time.time() - signature[1] / 1e9 > _ABANDONED_SECONDS:
                _remove(path)


def _cover(runs: Iterable[Run], *, avoid: range) -> tuple[Run, ...]:
    """The chain of runs from row 0 that reaches farthest, not into `avoid`; the shortest such, files before memory."""
    best: dict[int, tuple[tuple[int, int], Run | None]] = {0: ((0, 0), None)}
    for run in sorted(runs, key=lambda run: (run.first, run.last)):
        if run.first in best:
            length, unsaved = best[run.first][0]
            cost = (length + 1, unsaved + (run.path is None))
            if run.last not in best or cost < best[run.last][0]:
                best[run.last] = (cost, run)
    chain: list[Run] = []
    end = max(end for end in best if end not in avoid)
    while (last := best[end][1]) is not None:
        chain.append(last)
        end = last.first
    return tuple(reversed(chain))


def _merge_plan(runs: Iterable[Run], block_rows: int) -> list[list[Run]]:
    """The runs in groups, each to become one run: four neighbours of a size, and a small one before a larger one."""
    groups: list[list[Run]] = []
    for run in runs:
        groups.append([run])
        while len(groups) > 1:
            levels = [_level(group, block_rows) for group in groups[-_FANOUT:]]
            if levels[-2] < levels[-1]:
                merged = 2
            elif len(levels) == _FANOUT and levels[0] == levels[-1]:
                merged = _FANOUT
            else:
                break
            groups[-merged:] = [[run for group in groups[-merged:] for run in group]]
    return groups


def _level(group: Sequence[Run], block_rows: int) -> int:
    blocks = (group[-1].last - group[0].first) // block_rows
    return max(0, blocks.bit_length() - 1) // 2


def _is_whole(run: Run) -> bool:
    try:
        run.verify()
    except Corrupted as error:
        _log.warning("%s", error)
        return False
    return True


def _signature(path: Path) -> tuple[int, int] | None:
    """What tells a file from one that replaced it: inode and modification time in nanoseconds; None when it is gone."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        # On Windows, a file that another process has mapped; nobody will open it again, and a later sweep tries again.
        _log.debug("`%s` stays for now: %s", path, error)
