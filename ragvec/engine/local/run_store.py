"""Runs of what is derived of an index's rows, such as posting lists: how they are written, merged, chosen, kept whole.

Log-structured: the newest rows are in a tail in memory; a full block of them becomes a run, and runs merge as they
grow, so that there are O(log n). Row numbers never change, so runs are written once and never updated; rows that were
deleted stay in and are masked by the caller. All of it can be made again from the records, so damage is no error here:
a damaged file is left out, reported, and replaced.
"""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from ragvec.errors import Corrupted

__all__ = ["BLOCK_ROWS", "Run", "RunStore", "RunTail"]

BLOCK_ROWS = 16_384
"""Rows in a full tail block, the smallest run."""

_FANOUT = 4
_RELISTINGS = 16
_ABANDONED_SECONDS = 3600.0
_TEMPORARY_SUFFIX = ".tmp"
_log = logging.getLogger("ragvec.postings")


class Run(Protocol):
    """What is derived of the rows [first, last); `path` is the file it is in, None for memory only."""

    @property
    def first(self) -> int:
        """Its first row."""
        ...

    @property
    def last(self) -> int:
        """The row after its last one."""
        ...

    @property
    def path(self) -> Path | None:
        """The file."""
        ...

    def verify(self) -> None:
        """Check every section. Raises Corrupted."""
        ...


class RunTail(Protocol):
    """The newest rows, from `first` on."""

    @property
    def first(self) -> int:
        """Its first row."""
        ...


AnyRun = TypeVar("AnyRun", bound=Run)
AnyTail = TypeVar("AnyTail", bound=RunTail)
Item = TypeVar("Item")


class RunStore(ABC, Generic[AnyRun, AnyTail, Item]):
    """Runs of one kind, persisted in `folder` (which may be absent). A subclass says what a run is, and is made of.

    The rows [0, covered) are indexed, of which [0, runs_end) by run files. After opening, and after `seal`, `refresh`
    or `recover`, the caller indexes what is missing by `extend` from `covered` on. Rows that are indexed must be
    committed: nothing here ever forgets a row. `damaged` lists the run files that were found damaged.

    One thread at a time calls the methods; what they give may be used by any. Several processes may work in one folder:
    runs of equal ranges have equal content, and a file that is superseded stays readable for those who have it open.
    """

    subject = "Runs"
    """What log lines call them."""

    def __init__(self, folder: Path, *, read_only: bool, block_rows: int) -> None:
        self.folder = folder
        self.read_only = read_only
        self.damaged: list[Path] = []
        self._block_rows = block_rows
        self._rejected: dict[Path, tuple[int, int] | None] = {}
        self._runs: tuple[AnyRun, ...] = ()
        self._tail = self._new_tail(0)
        self.covered = 0
        self.refresh()

    @abstractmethod
    def _new_tail(self, first: int) -> AnyTail:
        """A tail of the rows from `first` on."""

    @abstractmethod
    def _index(self, item: Item) -> None:
        """Add the row `covered` to the tail."""

    @abstractmethod
    def _frozen(self) -> AnyRun:
        """The tail, which ends before row `covered`, as a run in memory."""

    @abstractmethod
    def _merged(self, runs: Sequence[AnyRun]) -> AnyRun:
        """Adjacent runs, in row order, as one in memory. Raises Corrupted."""

    @abstractmethod
    def _range(self, name: str) -> tuple[int, int] | None:
        """The range of rows in the name of a run file; None for other files."""

    @abstractmethod
    def _opened(self, path: Path) -> AnyRun:
        """The run in a file. Raises FileNotFoundError; Corrupted: it is none, or one of something else."""

    @abstractmethod
    def _write(self, runs: Sequence[AnyRun]) -> Path:
        """Write adjacent runs, in row order, as one file, durable on return. Raises OSError, Corrupted."""

    def _make_folder(self) -> None:
        # Not its parents: a generation that was removed meanwhile must not come back with nothing else in it.
        self.folder.mkdir(exist_ok=True)

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
    def runs(self) -> tuple[AnyRun, ...]:
        """The runs in row order, each beginning where the one before ends."""
        return self._runs

    def extend(self, first: int, rows: Iterable[Item]) -> None:
        """Index the rows first, first + 1, …, where `first` is `covered`."""
        if first != self.covered:
            raise ValueError(f"Expected the rows from {self.covered} on, got {first}")
        full = self.block_end
        frozen = False
        for item in rows:
            self._index(item)
            self.covered += 1
            if self.covered == full:
                self._runs += (self._frozen(),)
                self._tail = self._new_tail(full)
                full += self._block_rows
                frozen = True
        if frozen:
            self._merge_in_memory()

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
            _log.warning("%s are rebuilt: %s", self.subject, damage)
            self.recover()
        except OSError as error:
            self.unwritten(error)

    def due(self) -> tuple[AnyRun, ...]:
        """The runs to persist or merge, and their neighbours; none when nothing is due, or when read-only."""
        if self.read_only or not self._is_due():
            return ()
        self.refresh()
        return self._runs

    def written(self, runs: tuple[AnyRun, ...]) -> tuple[AnyRun, ...]:
        """These runs, merged as is due, all in files. Changes nothing else, so it needs no lock.

        Raises:
            OSError: some could not be written. Corrupted: a file is damaged.
        """
        self._make_folder()
        in_files: list[AnyRun] = []
        for group in _merge_plan(runs, self._block_rows):
            if len(group) == 1 and group[0].path is not None:
                in_files.append(group[0])
            else:
                in_files.append(self._opened(self._write(group)))
        return tuple(in_files)

    def unwritten(self, error: OSError) -> None:
        """Say that what was to be written stays in memory: no news where the folder, or a file just written, was
        removed by another process because another generation, or file, has taken its place."""
        level = logging.DEBUG if isinstance(error, FileNotFoundError) else logging.WARNING
        _log.log(level, "%s stay in memory for now: %s", self.subject, error)

    def adopt(self, runs: tuple[AnyRun, ...]) -> None:
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
            kept: list[AnyRun] = []
            for run in self._runs:
                if run.path in damaged:
                    break
                kept.append(run)
            self._runs = tuple(kept)
            self._begin_at(kept[-1].last if kept else 0)
        if not self.read_only:
            self._sweep()

    def _choose(self, available: Iterable[AnyRun]) -> None:
        self._runs = _cover(available, avoid=range(self._tail.first + 1, self.covered))
        end = self._runs[-1].last if self._runs else 0
        if end != self._tail.first:
            self._begin_at(end)

    def _begin_at(self, end: int) -> None:
        self._tail = self._new_tail(end)
        self.covered = end

    def _is_due(self) -> bool:
        unsaved = any(run.path is None for run in self._runs)
        return unsaved or any(len(group) > 1 for group in _merge_plan(self._runs, self._block_rows))

    def _merge_in_memory(self) -> None:
        start = len(self._runs)
        while start and self._runs[start - 1].path is None:
            start -= 1
        groups = _merge_plan(self._runs[start:], self._block_rows)
        merged = (self._merged(group) if len(group) > 1 else group[0] for group in groups)
        self._runs = (*self._runs[:start], *merged)

    def _listed(self) -> list[AnyRun]:
        """The whole run files of the folder that are not in use yet."""
        in_use = {run.path for run in self._runs}
        opened: dict[Path, AnyRun] = {}
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

    def _files(self) -> list[Path]:
        try:
            return sorted(path for path in self.folder.iterdir() if self._range(path.name) is not None)
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
            first, last = self._range(path.name) or (0, 0)
            superseded = path not in kept and any(low <= first and last <= high for low, high in ranges)
            if superseded or (path in self._rejected and self._rejected[path] == _signature(path)):
                _remove(path)
        for path in self.folder.glob("*" + _TEMPORARY_SUFFIX):
            signature = _signature(path)
            if signature is not None and time.time() - signature[1] / 1e9 > _ABANDONED_SECONDS:
                _remove(path)


def _cover(runs: Iterable[AnyRun], *, avoid: range) -> tuple[AnyRun, ...]:
    """The chain of runs from row 0 that reaches farthest, not into `avoid`; the shortest such, files before memory."""
    best: dict[int, tuple[tuple[int, int], AnyRun | None]] = {0: ((0, 0), None)}
    for run in sorted(runs, key=lambda run: (run.first, run.last)):
        if run.first in best:
            length, unsaved = best[run.first][0]
            cost = (length + 1, unsaved + (run.path is None))
            if run.last not in best or cost < best[run.last][0]:
                best[run.last] = (cost, run)
    chain: list[AnyRun] = []
    end = max(end for end in best if end not in avoid)
    while (last := best[end][1]) is not None:
        chain.append(last)
        end = last.first
    return tuple(reversed(chain))


def _merge_plan(runs: Iterable[AnyRun], block_rows: int) -> list[list[AnyRun]]:
    """The runs in groups, each to become one run: four neighbours of a size, and a small one before a larger one."""
    groups: list[list[AnyRun]] = []
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
