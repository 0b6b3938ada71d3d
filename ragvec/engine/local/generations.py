"""The generations of an index: which one is current, which earlier ones are still needed, and removing the others.

A compaction writes the next generation beside the current one and then sets `successor` in the current one's state. So
of the folders g000000, g000001, … in an index, the newest whose predecessor has a successor set is current; one above
it is unfinished, being made or left by a process that died. Earlier ones serve what was ranked in them: for a few
minutes the queries under way in any process, and the result lists kept for later pages until these expire.

A folder that goes is first renamed to `old-*`, in one step, so that nobody opens half of a generation.
"""

from __future__ import annotations

import logging
import shutil
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

from ragvec.engine.local.cursors import Cursors
from ragvec.engine.local.layout import GenerationFolder, generations, sync_folder
from ragvec.engine.local.records import Records
from ragvec.engine.local.vectors import VectorFile
from ragvec.errors import Corrupted, ExpiredToken, StoreError

__all__ = ["RETIRED_SECONDS", "Kept", "KeptGenerations", "is_untidy", "newest", "remove", "retire", "sweep"]

RETIRED_SECONDS = 300.0
"""How long an earlier generation stays whole for whoever is still at work in it."""

_log = logging.getLogger("ragvec.store")
_REMOVED = "old-"
_MARK = "retired"


class Kept(NamedTuple):
    """What is read of an earlier generation."""

    records: Records
    vectors: VectorFile
    cursors: Cursors


class KeptGenerations:
    """The earlier generations of the index in the folder `index` that are still there; for any thread."""

    def __init__(self, index: Path, *, dimension: int, read_only: bool, clock: Callable[[], float]) -> None:
        self._index = index
        self._dimension = dimension
        self._read_only = read_only
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: dict[int, Kept] = {}

    def add(self, number: int, kept: Kept) -> None:
        """Go on using the files that were open while the generation was current; they are opened again on use."""
        with self._lock:
            self._kept.setdefault(number, kept)
        self.prune()

    def get(self, number: int) -> Kept:
        """Raises ExpiredToken when the generation is no longer there."""
        folder = GenerationFolder(self._index, number)
        with self._lock:
            found = self._kept.get(number)
            if not folder.path.is_dir():
                self._forget(number)
                raise _expired()
            if found is None:
                try:
                    found = self._opened(folder)
                except StoreError as error:
                    if folder.path.is_dir():
                        raise
                    raise _expired() from error
                self._kept[number] = found
            return found

    def cursors(self, *, before: int) -> Iterator[Cursors]:
        """The result lists kept in generations below `before`, the latest generation first."""
        for number in reversed(generations(self._index)):
            if number < before:
                try:
                    yield self.get(number).cursors
                except ExpiredToken:
                    continue

    def prune(self) -> None:
        """Let go of the files of generations that were removed, which would otherwise take up space."""
        with self._lock:
            for number in list(self._kept):
                if not GenerationFolder(self._index, number).path.is_dir():
                    self._forget(number)

    def close(self) -> None:
        """Close files and connections; later use opens them again."""
        with self._lock:
            for kept in self._kept.values():
                _close(kept)

    def _forget(self, number: int) -> None:
        kept = self._kept.pop(number, None)
        if kept is not None:
            _close(kept)

    def _opened(self, folder: GenerationFolder) -> Kept:
        return Kept(
            Records(folder.records, read_only=self._read_only),
            VectorFile(folder.vectors, dimension=self._dimension),
            Cursors(folder.cursors, read_only=self._read_only, clock=self._clock),
        )


def newest(index: Path, *, read_only: bool) -> int:
    """The number of the current generation, 0 when there is none yet.

    Raises:
        StoreError: it cannot be told; also when a generation was removed in this moment, so that looking again helps.
    """
    numbers = generations(index)
    if len(numbers) < 2:
        return numbers[0] if numbers else 0
    folder = GenerationFolder(index, numbers[-2])
    retired, file = (folder.path / _MARK).exists(), folder.records
    try:
        if not file.exists():
            # Opened for writing it would be made, empty and without a successor: the newer generation would not count.
            raise Corrupted(f"`{file}` is missing: it would tell which generation is current", store=str(file))
        records = Records(file, read_only=read_only)
        try:
            superseded = records.state().successor is not None
        finally:
            records.close()
    except StoreError:
        if not retired:
            raise
        superseded = True
    # A generation is noted as retired once it has a successor: then only damage can hide that.
    return numbers[-1] if superseded or retired else numbers[-2]


def is_retired(index: Path, number: int) -> bool:
    """Whether it was noted that a generation is no longer current."""
    return (GenerationFolder(index, number).path / _MARK).exists()


def retire(index: Path, number: int, *, now: float) -> None:
    """Note that a generation is no longer current; from `now` on, epoch seconds, its time runs."""
    folder = GenerationFolder(index, number)
    try:
        (folder.path / _MARK).write_text(repr(now), encoding="ascii")
    except OSError as error:
        _log.debug("`%s` is noted as superseded later: %s", folder.path, error)


def sweep(
    index: Path, *, current: int, lease: Callable[[], AbstractContextManager[bool]], clock: Callable[[], float]
) -> float | None:
    """Remove generations that nobody needs, and what crashes left. Returns the epoch seconds at which to look again,
    None when nothing waits to be removed.

    `lease` is that of the current generation: who holds it may be at work on the next one.
    """
    now, again = clock(), None
    for number in generations(index):
        if number < current:
            until = _needed_until(index, number, now=now, clock=clock)
            if until > now:
                again = until if again is None else min(again, until)
            elif not remove(index, number):
                again = now + RETIRED_SECONDS
        elif number > current:
            with lease() as held:
                records = Records(GenerationFolder(index, current).records, read_only=False)
                try:
                    unfinished = held and records.state().successor is None and not is_retired(index, current)
                finally:
                    records.close()
                if unfinished:
                    remove(index, number)
    for path in index.glob(_REMOVED + "*"):
        _clear(path)
    return again


def is_untidy(index: Path) -> bool:
    """Whether there is anything beside the current generation, so that `sweep` may have something to do."""
    return len(generations(index)) > 1 or next(index.glob(_REMOVED + "*"), None) is not None


def remove(index: Path, number: int) -> bool:
    """Remove a generation's folder, all at once for those who look for it; False when it is in use and stays (on
    Windows)."""
    gone = index / f"{_REMOVED}{uuid.uuid4().hex}"
    try:
        GenerationFolder(index, number).path.rename(gone)
    except FileNotFoundError:
        return True
    except OSError as error:
        _log.debug("Generation %d of `%s` stays for now: %s", number, index, error)
        return False
    _clear(gone)
    return True


def _clear(gone: Path) -> None:
    """Remove a folder that was renamed, but not before its new name is durable: after a power failure a generation
    would have its name back, but not all of its files."""
    try:
        sync_folder(gone.parent)
    except OSError as error:
        _log.debug("`%s` is removed later: %s", gone, error)
        return
    shutil.rmtree(gone, ignore_errors=True)


def _needed_until(index: Path, number: int, *, now: float, clock: Callable[[], float]) -> float:
    folder = GenerationFolder(index, number)
    try:
        retired = float((folder.path / _MARK).read_text(encoding="ascii"))
    except (OSError, ValueError):  # its process died just then
        retire(index, number, now=now)
        retired = now
    if retired + RETIRED_SECONDS > now:
        return retired + RETIRED_SECONDS
    cursors = Cursors(folder.cursors, read_only=False, clock=clock)
    try:
        return cursors.needed_until()
    finally:
        cursors.close()


def _close(kept: Kept) -> None:
    kept.records.close()
    kept.vectors.close()
    kept.cursors.close()


def _expired() -> ExpiredToken:
    return ExpiredToken("nextToken has expired: repeat the query without it", path="nextToken")
