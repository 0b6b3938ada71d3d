"""The float32 rows of one generation: an append-only file that is written with pwrite and read through a memory map."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from ragvec.distance import row_norms
from ragvec.engine.local.layout import sync_folder
from ragvec.engine.local.sqlite import store_error
from ragvec.errors import Corrupted
from ragvec.types import FloatMatrix, FloatVector

__all__ = ["VectorAppender", "VectorFile"]


def _fsync(handle: int) -> None:
    try:
        import fcntl
    except ModuleNotFoundError:  # Windows
        os.fsync(handle)
        return
    full = getattr(fcntl, "F_FULLFSYNC", None)  # on macOS fsync alone does not reach the platter
    if full is None:
        os.fsync(handle)
    else:
        fcntl.fcntl(handle, full)


class VectorAppender:
    """The end of a vector file while rows are added to it."""

    def __init__(self, handle: int, path: Path, *, at: int) -> None:
        self._handle = handle
        self._path = path
        self._at = at

    def append(self, rows: FloatMatrix) -> None:
        """Write float32 rows (n, dimension) after those before. Raises StoreFull, StoreError."""
        data = np.ascontiguousarray(rows, dtype="<f4").data.cast("B")
        try:
            os.lseek(self._handle, self._at, os.SEEK_SET)
            while data:
                written = os.write(self._handle, data[: 1 << 28])
                data, self._at = data[written:], self._at + written
        except OSError as error:
            raise store_error(error, self._path) from error

    def sync(self) -> None:
        """Make what was written durable. Raises StoreFull, StoreError."""
        try:
            _fsync(self._handle)
        except OSError as error:
            raise store_error(error, self._path) from error


class VectorFile:
    """Rows of `dimension` float32. Bytes past the committed number of rows are garbage that the next append
    overwrites."""

    def __init__(self, path: Path, *, dimension: int) -> None:
        self.path = path
        self._dimension = dimension
        self._row_bytes = 4 * dimension
        self._map: FloatMatrix = np.empty((0, dimension), dtype="<f4")
        self._norms: FloatVector = np.empty(0, dtype=np.float32)
        self._lock = threading.Lock()

    @contextmanager
    def appending(self, first: int) -> Iterator[VectorAppender]:
        """Within the block rows can be appended as first, first + 1, …; at its end they are durable.

        Raises:
            StoreFull, StoreReadOnly, StoreError: nothing that was committed is touched. Corrupted: rows before `first`
            are missing, in whose place there would be zeros.
        """
        try:
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
        except OSError as error:
            raise store_error(error, self.path) from error
        try:
            start = first * self._row_bytes
            if os.fstat(handle).st_size < start:
                raise self._short(os.fstat(handle).st_size, first)
            appender = VectorAppender(handle, self.path, at=start)
            try:
                yield appender
                appender.sync()
            except BaseException:
                # Give the space back: nothing past `first` is committed, and the caller holds the write lock.
                with suppress(OSError):
                    os.ftruncate(handle, start)
                raise
        finally:
            os.close(handle)
        if not first:
            # Not "if it was absent": a process may have died between making the file and this line.
            try:
                sync_folder(self.path.parent)
            except OSError as error:
                raise store_error(error, self.path) from error

    def append(self, first: int, rows: FloatMatrix) -> None:
        """Write float32 rows (n, dimension) as rows first, first + 1, …, durable on return; raises as `appending`."""
        if len(rows):
            with self.appending(first) as file:
                file.append(rows)

    def rows(self, count: int) -> FloatMatrix:
        """The first `count` rows, float32 (count, dimension), read-only, not copied.

        Raises:
            Corrupted: the file is shorter than that.
        """
        mapped = self._map
        if len(mapped) < count:
            with self._lock:
                mapped = self._map
                if len(mapped) < count:
                    mapped = self._map = self._open(count)
        return mapped[:count]

    def held(self, count: int) -> int:
        """How many of the first `count` rows the file holds: all of them, unless it is damaged."""
        if len(self._map) >= count:
            return count
        try:
            return min(count, self.path.stat().st_size // self._row_bytes)
        except FileNotFoundError:
            return 0
        except OSError as error:
            raise store_error(error, self.path) from error

    def norms(self, first: int, last: int) -> FloatVector:
        """The euclidean norms of rows [first, last), float32; each is computed once in a process."""
        rows = self.rows(last)
        with self._lock:
            if len(self._norms) < last:
                # NaN marks what is not known yet; the array grows by doubling.
                grown = np.full(max(last, 2 * len(self._norms), 1024), np.nan, dtype=np.float32)
                grown[: len(self._norms)] = self._norms
                self._norms = grown
            unknown = np.flatnonzero(np.isnan(self._norms[first:last]))
            if len(unknown):
                start, stop = first + int(unknown[0]), first + int(unknown[-1]) + 1
                self._norms[start:stop] = row_norms(rows[start:stop])
            return self._norms[first:last]

    def close(self) -> None:
        """Let go of the map and the norms; a later call makes them again."""
        with self._lock:
            self._map = self._map[:0].copy()
            self._norms = self._norms[:0].copy()

    def _open(self, count: int) -> FloatMatrix:
        try:
            size = self.path.stat().st_size
            if size < count * self._row_bytes:
                raise self._short(size, count)
            mapped = np.memmap(self.path, dtype="<f4", mode="r", shape=(size // self._row_bytes, self._dimension))
        except OSError as error:
            raise store_error(error, self.path) from error
        # A plain array over the map: numpy's memmap subclass makes every slice several times slower.
        return np.asarray(mapped)

    def _short(self, size: int, count: int) -> Corrupted:
        return Corrupted(
            f"`{self.path}` has {size} bytes where {count} rows of {self._dimension} float32 need "
            f"{count * self._row_bytes}; `ragvec repair` drops the rows that are lost",
            store=str(self.path),
        )
