"""Rows against their checksums as they are read, so that a damaged row is an error of that row and of no other."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Iterable, Sequence
from itertools import repeat
from pathlib import Path

import msgspec
import numpy as np

from ragvec.engine.local.columns import witnesses
from ragvec.engine.local.records import Records, StoredRow
from ragvec.engine.local.vectors import VectorFile
from ragvec.errors import Corrupted, StoreError
from ragvec.types import FloatVector, Record, RowArray

__all__ = ["checked_range", "damaged_row", "faults", "records_of", "report_skipped", "require_own_vectors"]

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


def faults(stored: Sequence[StoredRow], vectors: VectorFile) -> dict[int, str]:
    """What is wrong with rows, as far as they were read with their checksums, by position in `stored`."""
    found: dict[int, str] = {}
    last = max((row.row for row in stored), default=-1) + 1
    held = vectors.held(last)
    rows = vectors.rows(held)
    raw, width, crc32 = rows.data.cast("B") if held else memoryview(b""), 4 * rows.shape[1], zlib.crc32
    for position, (row, key, metadata, checksum) in enumerate(stored):
        if checksum is None:
            continue
        if row >= held:
            found[position] = "its vector is not in vectors.f32, which is too short"
            continue
        start = row * width
        try:
            got = crc32(metadata or b"", crc32(key.encode(), crc32(raw[start : start + width])))
        except (AttributeError, TypeError, UnicodeEncodeError):
            found[position] = "its key or metadata is not of its type"
        else:
            if got != checksum:
                found[position] = f"expected vector, key and metadata of CRC-32 {checksum!r}, got {got}"
    return found


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
    if any(row.checksum is not None for row in stored) and (wrong := faults(stored, vectors)):
        if damaged is None:
            position, fault = next(iter(wrong.items()))
            raise damaged_row(path, stored[position].row, stored[position].key, fault)
        damaged += [(stored[position].row, stored[position].key) for position in wrong]
        stored = [row for position, row in enumerate(stored) if position not in wrong]
    entries: Iterable[dict[str, object] | None] = repeat(None)
    if metadata:
        entries = [{} if row.metadata is None else _decode(row.metadata) for row in stored]
    rows: Iterable[FloatVector | None] = repeat(None)
    if data and stored:
        numbers = np.array([row.row for row in stored], dtype=np.intp)
        rows = np.take(vectors.rows(int(numbers.max()) + 1), numbers, axis=0)
    return list(map(Record, [row.key for row in stored], rows, entries))


def report_skipped(path: Path, skipped: Sequence[tuple[int, object]] | None) -> list[str]:
    """Name rows (row, key) of the records in `path` that were left out in the log, once each; returns the keys that are
    text."""
    keys = []
    for row, raw in dict(skipped or ()).items():
        key = raw.decode(errors="replace") if isinstance(raw, bytes) else raw
        _log.warning(
            "Row %d, key %r, of `%s` is damaged and left out; `ragvec repair` keeps what there is of it", row, key, path
        )
        if isinstance(key, str):
            keys.append(key)
    return keys


def checked_range(records: Records, vectors: VectorFile, first: int, last: int) -> RowArray:
    """The checksums of rows [first, last), dead ones included, uint32 (last − first,), each of which the row matches.

    Raises:
        Corrupted: a row does not.
    """
    checksums = np.empty(last - first, dtype=np.uint32)
    for start in range(first, last, _CHUNK):
        stop = min(start + _CHUNK, last)
        stored = records.whole(start, stop)
        if [row.row for row in stored] != list(range(start, stop)):
            raise Corrupted(
                f"Expected the rows {start} to {stop - 1} in `{records.path}`, got {len(stored)} of them; "
                "`ragvec repair` drops what is lost",
                store=str(records.path),
            )
        for position, fault in faults(stored, vectors).items():
            raise damaged_row(records.path, stored[position].row, stored[position].key, fault)
        checksums[start - first : stop - first] = [row.checksum or 0 for row in stored]
    return checksums


def require_own_vectors(records: Records, vectors: VectorFile, rows: int) -> None:
    """Refuse a vector file that is not the one of the records, by some of the first `rows` rows, which it holds.

    A single row that is damaged is another matter. Raises Corrupted: most of those looked at do not match.
    """
    try:
        stored = list(records.by_rows(witnesses(0, rows), metadata=True, whole=True).values())
    except StoreError as error:
        _log.warning("The vectors are not compared with the records: %s", error)
        return
    wrong = faults(stored, vectors)
    if 2 * len(wrong) > len(stored):
        raise Corrupted(
            f"`{vectors.path}` does not hold the vectors of `{records.path}`: {len(wrong)} of {len(stored)} rows "
            "looked at do not match their checksums; `ragvec verify --deep` looks at all of them",
            store=str(vectors.path),
        )
