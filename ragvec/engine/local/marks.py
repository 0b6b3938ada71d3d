"""A mark beside an SQLite file that tells, without asking SQLite, whether anything was committed since one last looked.

The file holds two counters, memory-mapped by every process. A writer, inside its write transaction, sets the first to
a value that no commit had before and commits; then it sets the second to the same. So while both are equal and are what
they were when a reader last asked SQLite, nothing was committed since: the reader spares itself a transaction of some
ten microseconds. In every other state, also after a writer died in between, the reader asks SQLite.

The mark is never fsynced: what it says after a power cut is compared with nothing older.
"""

from __future__ import annotations

import mmap
import os
import struct
import threading
from pathlib import Path

__all__ = ["ChangeMark"]

_SIZE = 16
_PAIR = struct.Struct("@QQ")
_ONE = struct.Struct("@Q")


class ChangeMark:
    """The mark in the file `path`, which the first writer makes; until then nothing is known."""

    def __init__(self, path: Path, *, read_only: bool) -> None:
        self.path = path
        self._read_only = read_only
        self._map: mmap.mmap | None = None
        self._lock = threading.Lock()

    def value(self) -> bytes | None:
        """What stays the same exactly as long as nothing is committed; None when that cannot be told.

        To be read before asking SQLite for what is then kept with it.
        """
        mapped = self._map or self._opened()
        if mapped is None:
            return None
        pair = mapped[:_SIZE]
        return pair if pair[:8] == pair[8:] else None

    def begin(self) -> int:
        """Inside a write transaction, before its first change: readers ask SQLite from here on. Returns what
        `committed` is to be told.

        Raises OSError when the mark cannot be written; the transaction must then not go on.
        """
        mapped = self._map or self._opened(make=True)
        assert mapped is not None
        value: int = (max(_PAIR.unpack_from(mapped)) + 1) % 2**64
        _ONE.pack_into(mapped, 0, value)
        return value

    def committed(self, value: int) -> None:
        """After the commit, before anybody is told of it. Another writer may have begun: its counter stays."""
        mapped = self._map
        if mapped is not None:
            _ONE.pack_into(mapped, 8, value)

    def close(self) -> None:
        """Let go of the file; a later call opens it again."""
        with self._lock:
            self._map = None  # the map itself goes when no other thread uses it any longer

    def _opened(self, *, make: bool = False) -> mmap.mmap | None:
        with self._lock:
            if self._map is None:
                self._map = self._open(make=make)
            return self._map

    def _open(self, *, make: bool) -> mmap.mmap | None:
        flags = (os.O_RDWR if not self._read_only else os.O_RDONLY) | (os.O_CREAT if make else 0)
        try:
            handle = os.open(self.path, flags | getattr(os, "O_BINARY", 0), 0o666)
        except OSError:
            # Absent, not permitted, on a file system that became read-only: a reader asks SQLite, which knows better.
            if make:
                raise
            return None
        try:
            if os.fstat(handle).st_size < _SIZE:
                if not make:
                    return None
                # Written rather than only lengthened: a map of space that a full disk cannot give ends the process.
                os.write(handle, bytes(_SIZE))
            return mmap.mmap(handle, _SIZE, access=mmap.ACCESS_READ if self._read_only else mmap.ACCESS_WRITE)
        finally:
            os.close(handle)
