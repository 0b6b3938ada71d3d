"""A mark beside an SQLite file that tells, without asking SQLite, whether anything was committed since one last looked.

The file holds two numbers of 64 bits and its own inode number. A writer, inside its write transaction, sets the first
to a value that was never there before and commits; then it sets the second to the same. So while both are equal and are
what they were when a reader last asked SQLite, nothing was committed since: the reader spares itself a transaction of
some ten microseconds. In every other state, also after a writer died in between, the reader asks SQLite. Numbers that
differ when a writer begins also tell it that the last one did not come to an end (`ragvec.engine.local.sqlite`).

The mark is never fsynced: what it says after a power cut is compared with nothing older. It may be removed, replaced,
truncated or overwritten at any time:

- The numbers are random, so that no later ones are those that a reader remembers.
- The file is read, not mapped: one that was truncated says nothing, where a map would end the process.
- A copy in its place has another inode number than the one it holds, and says nothing.
- Who has it open looks every LEASE_SECONDS whether it still has its name, and a writer each time. A writer that finds
  none that says anything makes one, waits until everybody who has an earlier one open has looked, and then commits.

Only two things deceive a reader, the latter for LEASE_SECONDS: a mark that is overwritten in place by exactly what it
saw last, after other commits; and an older copy put in its place that by chance has the inode number that it holds,
where the next writer is one that has not written before.
"""

from __future__ import annotations

import os
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path

__all__ = ["LEASE_SECONDS", "ChangeMark"]

LEASE_SECONDS = 0.1
"""For so long a reader relies on a mark that it has open to be the one that writers use."""

_WAIT_SECONDS = 0.15
_SIZE = 24
_INODE = struct.Struct("@Q")


class ChangeMark:
    """The mark in the file `path`, which the first writer makes; until then nothing is known. For any thread."""

    def __init__(self, path: Path, *, read_only: bool) -> None:
        self.path = path
        self._name = str(path)
        self._read_only = read_only
        self._open: _Open | None = None
        self._written: tuple[int, int] | None = None
        self._lock = threading.Lock()

    def value(self) -> bytes | None:
        """What stays the same exactly as long as nothing is committed; None when that cannot be told.

        To be read before asking SQLite for what is then kept with it.
        """
        file = self._open
        if file is None or time.monotonic() > file.until:
            file = self._looked_up()
            if file is None:
                return None
        pair = file.pair()
        return pair if pair[:8] == pair[8:] else None

    def begin(self, *, empty: Callable[[], bool] = lambda: False) -> tuple[bytes, bool]:
        """Inside a write transaction, before its first change: readers ask SQLite from here on. Returns what
        `ended` is to be told, and whether the last writer came to an end: it did not where it was killed in its
        transaction, or where its commit failed.

        `empty` tells whether nothing was ever committed to the file, so that nobody can have another mark for it.

        Raises OSError when the mark cannot be written; the transaction must then not go on.
        """
        file = self._looked_up()
        # A copy may by chance have got the inode number that it holds, so who wrote before knows which file it was.
        if file is None or not file.is_whole() or self._written not in (None, file.identity):
            file = self._made(file)
            if not empty():
                time.sleep(_WAIT_SECONDS)
        self._written = file.identity
        pair, value = file.pair(), os.urandom(8)
        file.put(value, at=0)
        return value, pair[:8] == pair[8:]

    def ended(self, value: bytes) -> None:
        """After the commit or a rollback, before anybody is told of it. Another writer may have begun: its number
        stays."""
        file = self._open
        if file is None:
            return
        try:
            if file.pair()[:8] == value:
                file.put(value, at=8)
        except OSError:
            return  # it stays as it is, so that everybody asks SQLite

    def close(self) -> None:
        """Let go of the file; a later call opens it again."""
        with self._lock:
            self._open = None  # the handle goes when no other thread uses it any longer

    def _looked_up(self) -> _Open | None:
        """The file that has the name now, opened if it is another than before; None when there is none, or when it
        may not be opened, as on a file system that became read-only: a reader then asks SQLite, which knows better."""
        with self._lock:
            now = time.monotonic()
            try:
                found = self.path.stat()
                if self._open is None or self._open.identity != (found.st_dev, found.st_ino):
                    self._open = _Open(self._name, os.O_RDONLY if self._read_only else os.O_RDWR)
            except OSError:
                self._open = None
                return None
            self._open.until = now + LEASE_SECONDS
            return self._open

    def _made(self, file: _Open | None) -> _Open:
        with self._lock:
            now = time.monotonic()
            if file is None:
                file = _Open(self._name, os.O_RDWR | os.O_CREAT)
            # Written rather than only lengthened: what a full disk cannot give is found out here.
            file.put(os.urandom(8) * 2 + file.inode, at=0)
            file.until = now + LEASE_SECONDS
            self._open = file
            return file


class _Open:
    """An open mark; its handle is closed when nobody has this any longer."""

    __slots__ = ("_handle", "identity", "inode", "until")

    def __init__(self, name: str, flags: int) -> None:
        self._handle = -1
        self._handle = os.open(name, flags | getattr(os, "O_BINARY", 0), 0o666)
        status = os.fstat(self._handle)
        self.identity = (status.st_dev, status.st_ino)
        self.inode = _INODE.pack(status.st_ino % 2**64)
        self.until = 0.0

    def __del__(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)

    def pair(self) -> bytes:
        """Both numbers, 16 bytes; some that differ when the file is not a whole mark."""
        data = self._read()
        return data[:16] if data[16:] == self.inode else _NOTHING

    def is_whole(self) -> bool:
        """Whether the file is a mark, made where it is."""
        data = self._read()
        return len(data) == _SIZE and data[16:] == self.inode

    if hasattr(os, "pread"):

        def _read(self) -> bytes:
            return os.pread(self._handle, _SIZE, 0)

        def put(self, data: bytes, *, at: int) -> None:
            """Write there."""
            os.pwrite(self._handle, data, at)

    else:  # Windows

        def _read(self) -> bytes:
            with _positioned:
                os.lseek(self._handle, 0, os.SEEK_SET)
                return os.read(self._handle, _SIZE)

        def put(self, data: bytes, *, at: int) -> None:
            """Write there."""
            with _positioned:
                os.lseek(self._handle, at, os.SEEK_SET)
                os.write(self._handle, data)


_NOTHING = bytes(15) + b"\1"

_positioned = threading.Lock()
"""Held while a handle is set to a place and used there, where the system cannot do both at once."""
