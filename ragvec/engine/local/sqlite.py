"""SQLite as the commit point: pooled connections, whole transactions, and errors in the terms of the store.

Connections are never shared by two threads at once nor carried across a fork: they are closed before it (see
`ragvec.engine.local.forks`). A child made behind Python's back, so that nothing could be closed, starts with an empty
pool and leaves its parent's connections untouched.

A commit that failed, or whose process was killed in it, is in doubt: its log entries may be whole on the disk while no
connection counts them, and would count after the next recovery of the log, over files that others have written to
meanwhile. So whose commit failed commits another transaction, which changes nothing: it overwrites the beginning of
what is in doubt, which then never counts. Where that fails as well, or the process is gone, the next writer does so,
told by the change mark, before anything else.
"""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from ragvec.engine.local import forks
from ragvec.engine.local.marks import ChangeMark
from ragvec.errors import Corrupted, StoreBusy, StoreError, StoreFull, StoreReadOnly

__all__ = ["BUSY_SECONDS", "Database", "Durability", "store_error"]

BUSY_SECONDS = 60.0
"""How long a writer waits for another process's transaction before StoreBusy."""

Durability = Literal["full", "none"]

_log = logging.getLogger("ragvec.store")

_MOST_IDLE = 16
"""Connections kept for the next transaction; many threads at once may have more open for a moment."""

_PAUSE = 0.005
"""Seconds between attempts where SQLite does not wait by itself."""

_LEAST_FREE = 1 << 16
"""Bytes below which trouble with a file is put down to a full disk."""

_abandoned: list[list[sqlite3.Connection]] = []
"""Connections inherited over a fork: kept from being closed, which would disturb the parent's locks."""


def store_error(error: sqlite3.Error | OSError | Corrupted, path: Path) -> StoreError:
    """The StoreError that says what `error`, met while working on `path`, means for the store.

    Corrupted is that of derived data that was written just now, by a library that did not notice that it could not.
    """
    where = str(path)
    if isinstance(error, Corrupted):
        if _is_full(path):
            return StoreFull(f"No space left to write `{where}`; the store is as it was before the call", store=where)
        return StoreError(f"What was written to `{where}` cannot be read back: {error}", store=where)
    if isinstance(error, OSError):
        if error.errno in {28, 122}:  # ENOSPC, EDQUOT
            return StoreFull(f"No space left to write `{where}`; the store is as it was before the call", store=where)
        if error.errno in {1, 13, 30}:  # EPERM, EACCES, EROFS
            return StoreReadOnly(f"No permission to write `{where}`: {error.strerror}", store=where)
        return StoreError(f"Input/output trouble with `{where}`: {error}", store=where)
    code = getattr(error, "sqlite_errorcode", None)
    text = str(error)
    primary = None if code is None else code & 0xFF
    if primary == 13 or "disk is full" in text:  # SQLITE_FULL
        return StoreFull(f"No space left to write `{where}`; the store is as it was before the call", store=where)
    if (primary in {10, 14} or "disk I/O" in text or "unable to open" in text) and _is_full(path):
        # SQLite does not say why it could not extend the memory that it shares with other processes, a file too.
        return StoreFull(f"No space left to work on `{where}`; the store is as it was before the call", store=where)
    if primary in {5, 6} or "locked" in text:  # SQLITE_BUSY, SQLITE_LOCKED
        return StoreBusy(f"Another process kept `{where}` locked for over {BUSY_SECONDS:.0f} s; try again", store=where)
    if primary == 8 or "readonly" in text:  # SQLITE_READONLY
        return StoreReadOnly(f"`{where}` cannot be written: check its permissions and those of its folder", store=where)
    if primary in {11, 26} or "malformed" in text or "not a database" in text:  # SQLITE_CORRUPT, SQLITE_NOTADB
        return Corrupted(f"`{where}` is damaged: {text}", store=where)
    return StoreError(f"SQLite could not use `{where}`: {text}", store=where)


def _is_full(path: Path) -> bool:
    try:
        return shutil.disk_usage(path.parent).free < _LEAST_FREE
    except OSError:
        return False


class Database:
    """One SQLite file. `read()` and `write()` give a connection inside a transaction.

    `durability` "full" fsyncs each commit (WAL, synchronous=FULL); "none" leaves it to the system, for data that may be
    lost.
    """

    def __init__(self, path: Path, *, read_only: bool = False, durability: Durability = "full") -> None:
        self.path = path
        self.read_only = read_only
        self._durability = durability
        self._idle: list[sqlite3.Connection] = []
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._write_lock = threading.Lock()
        self._made = False
        self._closings = 0
        self._mark = ChangeMark(path.with_suffix(".mark"), read_only=read_only) if durability == "full" else None
        forks.register(self)
        # A store that nobody closed still closes its connections: when it is collected, or when the interpreter ends.
        self._finalizer = weakref.finalize(self, _close_idle, self._idle, self._pid)

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """A connection inside a read transaction: all its queries see one state."""
        with self._transaction("BEGIN") as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A connection inside a write transaction, committed on return and rolled back on any exception.

        Raises:
            StoreReadOnly: opened read-only. StoreBusy, StoreFull, Corrupted, StoreError: as the names say.
        """
        if self.read_only:
            raise StoreReadOnly(f"`{self.path}` was opened read-only", store=str(self.path))
        self._after_fork()
        # Threads of one process queue here rather than in SQLite's busy handler, which sleeps.
        with forks.operation(), self._write_lock:
            committing = False
            try:
                with self._transaction("BEGIN IMMEDIATE") as connection:
                    value = self._begin_mark(connection)
                    try:
                        yield connection
                    except BaseException:
                        connection.rollback()
                        self._end_mark(value)
                        raise
                    committing = True
            except StoreError as error:
                if committing:
                    self._settle()
                if isinstance(error, StoreFull):
                    self._shrink_log()
                raise
            self._end_mark(value)

    def unchanged_since(self) -> bytes | None:
        """A value that is the same the next time exactly if nothing was committed in between; None when unknown.

        To be read before the transaction whose results are kept with it.
        """
        return None if self._mark is None else self._mark.value()

    def close(self) -> None:
        """Close the connections, those in use when their transaction ends; later use opens new ones."""
        self._after_fork()
        with self._lock:
            self._closings += 1
            _close_idle(self._idle, self._pid)
        if self._mark is not None:
            self._mark.close()

    def forked(self) -> None:
        """In the child of a fork: start anew, leaving alone what belongs to the parent."""
        self._after_fork()

    def _begin_mark(self, connection: sqlite3.Connection) -> bytes:
        if self._mark is None:
            return b""
        while True:
            try:
                value, clean = self._mark.begin(empty=lambda: _is_empty(connection))
            except OSError as error:
                raise store_error(error, self._mark.path) from error
            if clean:
                return value
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            connection.execute(f"PRAGMA user_version = {version}")
            connection.execute("COMMIT")
            self._mark.ended(value)
            connection.execute("BEGIN IMMEDIATE")

    def _settle(self) -> None:
        """After a commit that failed: see to it that it stays so, even after a crash."""
        try:
            with self._transaction("BEGIN IMMEDIATE") as connection:
                self._end_mark(self._begin_mark(connection))
        except StoreError as error:
            _log.warning("The last change of `%s` failed, yet may be there after a power failure: %s", self.path, error)

    def _shrink_log(self) -> None:
        """Give back the space that a change took in the log before the disk was full; SQLite would keep it."""
        try:
            with closing(self._connect("rw")) as connection:
                connection.execute("PRAGMA busy_timeout=0")
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.Error as error:
            _log.debug("The log of `%s` stays as long as it is: %s", self.path, error)

    def _end_mark(self, value: bytes) -> None:
        if self._mark is not None:
            self._mark.ended(value)

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[sqlite3.Connection]:
        with forks.operation():
            closings = self._closings
            connection, pooled = self._take()
            try:
                connection.execute(begin)
                yield connection
                connection.execute("COMMIT")
            except sqlite3.Error as error:
                # Closing rolls back, whatever state the failure left; a broken connection must not return to the pool.
                connection.close()
                raise store_error(error, self.path) from error
            except BaseException:
                try:
                    connection.rollback()
                except sqlite3.Error:
                    pooled = False
                self._give_back(connection, keep=pooled and closings == self._closings)
                raise
            self._give_back(connection, keep=pooled and closings == self._closings)

    def _give_back(self, connection: sqlite3.Connection, *, keep: bool) -> None:
        if keep:
            with self._lock:
                if len(self._idle) < _MOST_IDLE:
                    self._idle.append(connection)
                    return
        connection.close()

    def _after_fork(self) -> None:
        if self._pid != os.getpid():
            if self._idle:
                _abandoned.append(self._idle)
            self._idle = []
            self._finalizer = weakref.finalize(self, _close_idle, self._idle, os.getpid())
            self._lock = threading.Lock()
            self._write_lock = threading.Lock()
            if self._mark is not None:
                self._mark = ChangeMark(self._mark.path, read_only=self.read_only)
            self._pid = os.getpid()

    def _take(self) -> tuple[sqlite3.Connection, bool]:
        """A connection, and whether it may be kept afterwards."""
        self._after_fork()
        with self._lock:
            if self._idle:
                return self._idle.pop(), True
        try:
            return self._open_read_only() if self.read_only else (self._open(), True)
        except sqlite3.Error as error:
            raise store_error(error, self.path) from error

    def _open(self) -> sqlite3.Connection:
        # A file that was there and is gone was removed with its index: an empty one in its place would look like data.
        connection = self._connect("rw" if self._made and self._durability == "full" else "rwc")
        try:
            self._use_log(connection)
            connection.execute(f"PRAGMA synchronous={'FULL' if self._durability == 'full' else 'OFF'}")
            connection.execute("PRAGMA fullfsync=1")
        except BaseException:
            connection.close()
            raise
        self._made = True
        return connection

    @staticmethod
    def _use_log(connection: sqlite3.Connection) -> None:
        deadline = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
                if mode != "wal":
                    # Without a log, removing a journal would be the commit, and that is not fsynced. SQLite does not
                    # say why it would not, as where an fsync failed.
                    raise sqlite3.OperationalError(f"disk I/O error: it has the journal mode {mode!r} instead of 'wal'")
                return
            except sqlite3.OperationalError as error:
                # Two processes that make one file at once: SQLite does not wait here, whatever the timeout.
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise
            time.sleep(_PAUSE)

    def _open_read_only(self) -> tuple[sqlite3.Connection, bool]:
        connection = self._connect("ro")
        try:
            connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
        except sqlite3.OperationalError:
            connection.close()
            # A WAL database in a folder that cannot be written has no shared memory file, so nobody is writing it. That
            # may change, and SQLite would not notice: such a connection serves one transaction.
            if not self._log_bytes():
                return self._connect("ro&immutable=1"), False
            return self._open_with_log(), False
        return connection, True

    def _open_with_log(self) -> sqlite3.Connection:
        """A connection that sees what was committed to a log and not yet moved from there, as after a crash, in a
        folder that cannot be written: the index of the log is made in the memory of this process.

        SQLite does so under an exclusive lock, which needs a file that can be written; so it is told not to lock.
        """
        if os.name == "nt":
            return self._connect("ro")
        connection = self._connect("ro&vfs=unix-none")
        try:
            connection.execute("PRAGMA locking_mode=EXCLUSIVE")
            connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
        except BaseException:
            connection.close()
            raise
        return connection

    def _log_bytes(self) -> int:
        try:
            return self.path.with_name(self.path.name + "-wal").stat().st_size
        except FileNotFoundError:
            return 0

    def _connect(self, mode: str) -> sqlite3.Connection:
        uri = f"file:{quote(os.fsencode(self.path.resolve()))}?mode={mode}"
        return sqlite3.connect(
            uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=64
        )


def _is_empty(connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone() is None


def _close_idle(idle: list[sqlite3.Connection], pid: int) -> None:
    if pid == os.getpid():
        while idle:
            idle.pop().close()
    else:
        _abandoned.append(idle)
