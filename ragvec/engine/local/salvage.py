"""What can be saved of a generation whose records or vectors are damaged: row by row, from all that tells of them.

The table of records.sqlite, its two indexes and the segments each say something of a row. A row is good when some
combination of what they say matches a checksum that one of them keeps.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import suppress
from itertools import product
from typing import NamedTuple

from ragvec.engine.local.columns import (
    KEYS_FILE,
    METADATA_FILE,
    ROW_CHECKSUMS_FILE,
    Column,
    read_row_checksums,
    witnesses,
)
from ragvec.engine.local.layout import GenerationFolder
from ragvec.engine.local.readable import FoundRow, VectorReader, fault_of, found_rows, index_entries, state_of
from ragvec.engine.local.segment_places import listed, segment_name
from ragvec.errors import Corrupted
from ragvec.types import RowArray

__all__ = ["Salvage", "SavedRow"]


class SavedRow(NamedTuple):
    """A row as it could be made out. `fault` is None for a good one, whose checksum matches or, if not `checked`, is
    kept nowhere; else it says what is wrong, and the other values are the likeliest."""

    row: int
    key: str | None
    metadata: bytes | None
    checksum: int
    vector: memoryview | None
    fault: str | None
    checked: bool = True


class _Segment(NamedTuple):
    first: int
    last: int
    keys: Column | None
    metadata: Column | None
    checksums: RowArray | None


class Salvage:
    """The rows of the generation in `folder`; `sql` is inside a read transaction on its records, None where they cannot
    be opened. Records of another `owner`, or of other rows than those of most segments, are not used."""

    def __init__(
        self, sql: sqlite3.Connection | None, folder: GenerationFolder, *, dimension: int, owner: int = 0
    ) -> None:
        self._folder, self._dimension = folder, dimension
        self._segments = _segments(folder)
        sql = None if sql is not None and _is_foreign(sql, self._segments, owner) else sql
        self._sql = sql
        self._live = None if sql is None else index_entries(sql, live=True)
        self._dead = None if sql is None else index_entries(sql, live=False)
        self.sequence, self.rows = self._extent()

    def saved(self) -> Iterator[tuple[SavedRow, bool | None]]:
        """Each row, in order, and whether it lives, None where nothing tells. Then it lived at some time, and was
        replaced if a later row has its key; else it may have been deleted."""
        with VectorReader(self._folder.vectors, dimension=self._dimension) as vectors:
            for found in self._found(0, self.rows):
                vector = vectors.row(found.row)
                yield self._saved(found, vector), self._lives(found)

    def _found(self, first: int, last: int) -> Iterator[FoundRow]:
        if self._sql is not None:
            yield from found_rows(self._sql, first, last)
            return
        for row in range(first, last):
            yield FoundRow(row, None, "unreadable", None, None, None, None)

    def _extent(self) -> tuple[int, int]:
        """The latest sequence number and the number of rows that anything tells of."""
        state = None if self._sql is None else state_of(self._sql)
        sequence, most = 0, -1
        if self._sql is not None:
            with suppress(sqlite3.Error):
                died, most = self._sql.execute(
                    "SELECT coalesce(max(died), 0), coalesce(max(row), -1) FROM records NOT INDEXED"
                ).fetchone()
                sequence = died if isinstance(died, int) else 0
        told = [most + 1, *(segment.last for segment in self._segments)]
        for entries in (self._live, self._dead):
            if entries:
                told.append(max(entries) + 1)
        known = max(told)
        held = 0
        with suppress(OSError):
            held = self._folder.vectors.stat().st_size // (4 * self._dimension)
        if state is None:
            # What lies behind may never have been committed; but it may be all that there is of some rows.
            return sequence, max(known, held)
        # Rows beyond those committed are of a change that never was; and a count that nothing comes near is no count.
        rows = state[1] if known <= state[1] <= max(known, held) else known
        return max(sequence, state[0]), rows

    def _lives(self, found: FoundRow) -> bool | None:
        votes = []
        if found.kind not in ("unreadable", "missing"):
            votes.append(found.died is None)
        if self._live is not None:
            votes.append(found.row in self._live)
        if self._dead is not None:
            votes.append(found.row not in self._dead)
        return None if not votes else 2 * sum(votes) >= len(votes)

    def _saved(self, found: FoundRow, vector: memoryview | None) -> SavedRow:
        fault = fault_of(found, vector)
        if fault is None:
            assert isinstance(found.checksum, int)
            metadata = found.metadata if isinstance(found.metadata, bytes) else None
            return SavedRow(found.row, found.text, metadata, found.checksum, vector, None)
        segment = next((one for one in self._segments if one.first <= found.row < one.last), None)
        keys = [found.key, None if self._live is None else self._live.get(found.row), _value(segment, found.row)]
        texts: list[object] = [found.metadata] if found.kind not in ("unreadable", "missing") else []
        sums: list[object] = [found.checksum]
        if segment is not None and segment.metadata is not None:
            texts.append(segment.metadata.blobs((found.row - segment.first,))[0] or None)
        if segment is not None and segment.checksums is not None:
            sums.append(int(segment.checksums[found.row - segment.first]))
        wanted = {checksum for checksum in sums if isinstance(checksum, int)}
        likely = [(key, text) for key in keys if isinstance(key, bytes) and (text := _text(key)) is not None]
        if vector is not None:
            blobs = [metadata for metadata in texts or [None] if metadata is None or isinstance(metadata, bytes)]
            for (key, text), metadata in product(likely, blobs):
                checksum = zlib.crc32(metadata or b"", zlib.crc32(key, zlib.crc32(vector)))
                if checksum in wanted:
                    return SavedRow(found.row, text, metadata, checksum, vector, None)
                if not wanted and texts:
                    return SavedRow(found.row, text, metadata, checksum, vector, None, checked=False)
        kept = next((one for one in texts if isinstance(one, bytes)), None)
        return SavedRow(found.row, likely[0][1] if likely else None, kept, 0, vector, fault)


def _segments(folder: GenerationFolder) -> list[_Segment]:
    found = []
    for place in listed(folder.segments):
        path, count = folder.segments / segment_name(place.first, place.last), place.last - place.first
        columns: list[Column | None] = [None, None]
        for at, name in enumerate((KEYS_FILE, METADATA_FILE)):
            with suppress(OSError, Corrupted):
                columns[at] = Column(path / name, count=count)
        checksums = None
        with suppress(OSError, Corrupted):
            checksums = read_row_checksums(path / ROW_CHECKSUMS_FILE, count=count)
        if columns[0] is not None or columns[1] is not None or checksums is not None:
            found.append(_Segment(place.first, place.last, columns[0], columns[1], checksums))
    return found


def _is_foreign(sql: sqlite3.Connection, segments: list[_Segment], owner: int) -> bool:
    """Whether the records are of another owner, or most rows that the segments were made of have another checksum in
    them."""
    with suppress(sqlite3.Error):
        if sql.execute("PRAGMA application_id").fetchone()[0] not in (0, owner):
            return True
    same = other = 0
    for segment in segments:
        if segment.checksums is None:
            continue
        for row in witnesses(segment.first, segment.last):
            try:
                found = sql.execute("SELECT checksum FROM records NOT INDEXED WHERE row = ?", (row,)).fetchone()
            except sqlite3.Error:
                continue
            if found is not None and found[0] == int(segment.checksums[row - segment.first]):
                same += 1
            else:
                other += 1
    return other > same


def _value(segment: _Segment | None, row: int) -> bytes | None:
    if segment is None or segment.keys is None:
        return None
    return segment.keys.blobs((row - segment.first,))[0]


def _text(key: bytes) -> str | None:
    try:
        return key.decode()
    except UnicodeDecodeError:
        return None
