"""What can still be read of a records.sqlite that may be damaged: row by row, around pages that are broken.

Every function works inside a read transaction of the caller, on the table alone: what its indexes say is another
matter. Nothing here raises for damage of a row; what makes all of the file unreadable is `sqlite3.Error`.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

from ragvec.engine.local.records import SLOTS

__all__ = ["FoundRow", "VectorReader", "fault_of", "found_rows", "index_entries", "state_of"]

_CHUNK = 4096

_COLUMNS = "row, CAST(key AS BLOB), typeof(key), slot, metadata, checksum, died"


class FoundRow(NamedTuple):
    """A row of the table as it was read, whatever is in it. `kind` is SQLite's type of the key, "text" in a good row;
    "unreadable" where the page of the row is broken, "missing" where no row has the number: the rest is then None."""

    row: int
    key: object
    kind: str
    slot: object
    metadata: object
    checksum: object
    died: object

    @property
    def text(self) -> str | None:
        """The key, None where it is no text."""
        if not isinstance(self.key, bytes):
            return None
        try:
            return self.key.decode()
        except UnicodeDecodeError:
            return None


def state_of(sql: sqlite3.Connection) -> tuple[int, int, int | None] | None:
    """Sequence, rows and successor; None when they cannot be read or cannot be true."""
    try:
        found = sql.execute("SELECT sequence, rows, successor FROM state").fetchall()
    except sqlite3.Error:
        return None
    if len(found) != 1:
        return None
    sequence, rows, successor = found[0]
    numbers = (sequence, rows, 0 if successor is None else successor)
    if not all(isinstance(number, int) and number >= 0 for number in numbers):
        return None
    return sequence, rows, successor


def found_rows(sql: sqlite3.Connection, first: int, last: int) -> Iterator[FoundRow]:
    """One for each row of [first, last), in order."""
    at = first
    while at < last:
        stop = min(at + _CHUNK, last)
        try:
            # A chunk is read as a whole before any of it is given out, so that an error repeats nothing.
            chunk = [
                FoundRow(*values)
                for values in sql.execute(
                    f"SELECT {_COLUMNS} FROM records NOT INDEXED WHERE row >= ? AND row < ? ORDER BY row", (at, stop)
                )
            ]
        except sqlite3.Error:
            yield from (_found_row(sql, row) for row in range(at, stop))
            at = stop
            continue
        for found in chunk:
            if not at <= found.row < stop:
                continue
            yield from map(_missing, range(at, found.row))
            yield found
            at = found.row + 1
        yield from map(_missing, range(at, stop))
        at = stop


def fault_of(found: FoundRow, vector: memoryview | None) -> str | None:
    """What is wrong with a row whose vector, little-endian, is `vector` (None: it is not there); None for nothing."""
    if found.kind == "unreadable":
        return "its page in records.sqlite cannot be read"
    if found.kind == "missing":
        return "records.sqlite has no such row"
    if vector is None:
        return "its vector is not in vectors.f32"
    metadata = found.metadata
    if found.kind != "text" or found.text is None or not isinstance(found.checksum, int):
        return "its entry in records.sqlite is not one"
    if not (metadata is None or isinstance(metadata, bytes)) or not isinstance(found.slot, int):
        return "its entry in records.sqlite is not one"
    if not (found.died is None or isinstance(found.died, int)):
        return "its entry in records.sqlite is not one"
    key = found.key
    assert isinstance(key, bytes)
    checksum = zlib.crc32(metadata or b"", zlib.crc32(key, zlib.crc32(vector)))
    if checksum != found.checksum:
        kept = found.checksum & 0xFFFFFFFF
        return f"expected vector, key and metadata of CRC-32 {kept:08x}, got {checksum:08x}"
    if found.slot != zlib.crc32(key) % SLOTS:
        return f"expected slot {zlib.crc32(key) % SLOTS}, got {found.slot}"
    return None


def index_entries(sql: sqlite3.Connection, *, live: bool) -> dict[int, bytes | None] | None:
    """The rows in the index of live keys, each with its key as the index has it, or in that of dead rows; None when the
    index cannot be read whole."""
    try:
        if live:
            cursor = sql.execute("SELECT row, CAST(key AS BLOB) FROM records INDEXED BY live_keys WHERE died IS NULL")
            return dict(cursor)
        cursor = sql.execute("SELECT row FROM records INDEXED BY tombstones WHERE died IS NOT NULL")
        return {row: None for (row,) in cursor}
    except sqlite3.Error:
        return None


class VectorReader:
    """The rows of a vectors.f32 read without a map, whose file may be short, absent, or grow; some are read ahead."""

    def __init__(self, path: Path, *, dimension: int) -> None:
        self._width = 4 * dimension
        self._file: BinaryIO | None = None
        with suppress(OSError):
            self._file = path.open("rb")
        self._first, self._block = 0, memoryview(b"")

    def __enter__(self) -> VectorReader:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def row(self, row: int) -> memoryview | None:
        """The bytes of a row; None when the file does not hold it, or it cannot be read."""
        start = (row - self._first) * self._width
        if start < 0 or start + self._width > len(self._block):
            self._first, self._block, start = row, self._read(row), 0
        found = self._block[start : start + self._width]
        return found if len(found) == self._width else None

    def _read(self, row: int) -> memoryview:
        if self._file is None:
            return memoryview(b"")
        try:
            self._file.seek(row * self._width)
            wanted, parts = max(1, (1 << 22) // self._width) * self._width, []
            while wanted and (part := self._file.read(wanted)):
                parts.append(part)
                wanted -= len(part)
        except OSError:
            return memoryview(b"")
        return memoryview(parts[0] if len(parts) == 1 else b"".join(parts))


def _found_row(sql: sqlite3.Connection, row: int) -> FoundRow:
    try:
        values = sql.execute(f"SELECT {_COLUMNS} FROM records NOT INDEXED WHERE row = ?", (row,)).fetchone()
    except sqlite3.Error:
        return FoundRow(row, None, "unreadable", None, None, None, None)
    return _missing(row) if values is None else FoundRow(*values)


def _missing(row: int) -> FoundRow:
    return FoundRow(row, None, "missing", None, None, None, None)
