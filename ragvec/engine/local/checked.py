"""Rows against their checksums as they are read, so that a damaged row is an error of that row and of no other."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from ragvec.engine.local.columns import witnesses
from ragvec.engine.local.records import Records, StoredRow
from ragvec.engine.local.vectors import VectorFile
from ragvec.errors import Corrupted, StoreError
from ragvec.types import FloatMatrix, Record, RowArray

__all__ = ["NO_VECTOR", "checked_range", "damaged_row", "faults", "records_of", "report_skipped", "require_own_vectors"]

NO_VECTOR = "its vector is not in vectors.f32, which is too short"

_CHUNK = 8192

_log = logging.getLogger("ragvec.store")

_decode = msgspec.json.Decoder(dict[str, object]).decode


def damaged_row(path: Path, row: int, key: object, fault: str) -> Corrupted:
    """The error for a row of the records in `path`."""
    return Corrupted(
        f"Row {row}, key {key!r}, of `{path}` is damaged: {fault}; `ragvec repair` keeps what there is of it and "
        "drops it, all other rows are served",
        store=str(path),
    )


def records_of(
    vectors: VectorFile,
    stored: Sequence[StoredRow],
    *,
    path: Path,
    data: bool,
    metadata: bool,
    damaged: list[tuple[int, object]] | None = None,
) -> list[Record]:
    """The records of rows of the records in `path`; those read with their checksums are compared with them.

    Damaged rows are left out and added to `damaged` as (row, key).

    Raises:
        Corrupted: a row is damaged, and there is no `damaged`.
    """
    if not stored:
        return []
    rows = None
    if data or any(row.checksum is not None for row in stored):
        rows, held = _vectors_of(vectors, stored)
        wrong = faults(stored, rows, held=held)
        if wrong:
            if damaged is None:
                position, fault = next(iter(wrong.items()))
                raise damaged_row(path, stored[position].row, stored[position].key, fault)
            damaged += [(stored[position].row, stored[position].key) for position in wrong]
            kept = [position for position in range(len(stored)) if position not in wrong]
            stored, rows = [stored[position] for position in kept], rows[kept]
    return [
        Record(
            key=row.key,
            data=None if rows is None or not data else rows[position],
            metadata=None if not metadata else {} if row.metadata is None else _decode(row.metadata),
        )
        for position, row in enumerate(stored)
    ]


def faults(stored: Sequence[StoredRow], data: FloatMatrix, *, held: int) -> dict[int, str]:
    """What is wrong with rows, as far as they were read with their checksums, by position in `stored`.

    `data` float32 (n, dimension) are their vectors, of which the file holds those of the rows [0, held).
    """
    found: dict[int, str] = {}
    raw, width = data.data.cast("B") if data.size else memoryview(b""), 4 * data.shape[1]
    crc32, start = zlib.crc32, 0
    for position, (row, key, metadata, checksum) in enumerate(stored):
        if checksum is None:
            pass
        elif row >= held:
            found[position] = NO_VECTOR
        else:
            try:
                got = crc32(metadata or b"", crc32(key.encode(), crc32(raw[start : start + width])))
            except (AttributeError, TypeError, UnicodeEncodeError):
                found[position] = "its key or metadata is not of its type"
            else:
                if got != checksum:
                    found[position] = f"expected vector, key and metadata of CRC-32 {checksum!r}, got {got}"
        start += width
    return found


def checked_range(records: Records, vectors: VectorFile, first: int, last: int) -> RowArray:
    """The checksums of rows [first, last), dead ones included, uint32 (last − first,), each of which the row matches.

    Raises:
        Corrupted: a row does not.
    """
    checksums = np.empty(last - first, dtype=np.uint32)
    for start in range(first, last, _CHUNK):
        stop = min(start + _CHUNK, last)
        rows = vectors.rows(stop)[start:stop]
        stored = records.whole(start, stop)
        if [row.row for row in stored] != list(range(start, stop)):
            raise Corrupted(
                f"Expected the rows {start} to {stop - 1} in `{records.path}`, got {len(stored)} of them; "
                "`ragvec repair` drops what is lost",
                store=str(records.path),
            )
        for position, fault in faults(stored, np.ascontiguousarray(rows, dtype="<f4"), held=stop).items():
            raise damaged_row(records.path, stored[position].row, stored[position].key, fault)
        checksums[start - first : stop - first] = [row.checksum or 0 for row in stored]
    return checksums


def report_skipped(path: Path, skipped: Sequence[tuple[int, object]] | None) -> list[str]:
    """Name rows (row, key) of the records in `path` that were left out in the log, once each; returns the keys that are
    text."""
    keys = []
    for row, raw in dict(skipped or ()).items():
        key = raw.decode(errors="replace") if isinstance(raw, bytes) else raw
        _log.warning(
            "Row %d, key %r, of `%s` is damaged and left out; `ragvec repair` keeps what there is", row, key, path
        )
        if isinstance(key, str):
            keys.append(key)
    return keys


def require_own_vectors(records: Records, vectors: VectorFile, rows: int) -> None:
    """Refuse a vector file that is not the one of the records, by some of the first `rows` rows, which it holds.

    A single row that is damaged is another matter. Raises Corrupted: most of those looked at do not match.
    """
    try:
        stored = list(records.by_rows(witnesses(0, rows), metadata=True, whole=True, unsound=[]).values())
    except StoreError as error:
        _log.warning("The vectors are not compared with the records: %s", error)
        return
    if not stored:
        return
    wrong = faults(stored, _vectors_of(vectors, stored)[0], held=rows)
    if 2 * len(wrong) > len(stored):
        raise Corrupted(
            f"`{vectors.path}` does not hold the vectors of `{records.path}`: {len(wrong)} of {len(stored)} rows "
            "looked at do not match their checksums; `ragvec verify --deep` looks at all of them",
            store=str(vectors.path),
        )


def _vectors_of(vectors: VectorFile, stored: Sequence[StoredRow]) -> tuple[FloatMatrix, int]:
    """Copies of the vectors of these rows, float32 (n, dimension), zeros for those that the file does not hold; and how
    many rows up to the last of them it holds."""
    numbers = np.array([row.row for row in stored], dtype=np.intp)
    last = int(numbers.max()) + 1
    held = vectors.held(last)
    rows = vectors.rows(held)
    if held == last:
        return np.take(rows, numbers, axis=0), held
    found: FloatMatrix = np.zeros((len(numbers), rows.shape[1]), dtype=np.float32)
    there = numbers < held
    found[there] = rows[numbers[there]]
    return found, held
