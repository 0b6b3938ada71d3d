"""The write path: one transaction a batch, vectors durable before the commit that makes them visible."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from ragvec.engine.local.records import Records, slot_of
from ragvec.engine.local.vectors import VectorFile
from ragvec.errors import QuotaExceeded
from ragvec.types import FloatMatrix

__all__ = ["MAX_ROWS", "Superseded", "delete_keys", "delete_matching", "put", "record_checksum"]

MAX_ROWS = 2**32 - 2
"""Rows of one generation, tombstones included: row numbers are uint32."""


class Superseded(Exception):
    """Another generation took this one's place before the transaction began; do it there."""


def record_checksum(vector: memoryview, key: bytes, metadata: bytes | None) -> int:
    """CRC-32 over the vector's little-endian bytes, the key in UTF-8 and the metadata."""
    return zlib.crc32(metadata or b"", zlib.crc32(key, zlib.crc32(vector)))


def put(
    records: Records, vectors: VectorFile, *, keys: Sequence[str], rows: FloatMatrix, metadata: Sequence[bytes | None]
) -> int:
    """Insert or replace, all or nothing, durable on return; returns the number of rows there are now.

    The order is what makes it safe: the rows are fsynced past the committed end of the vector file first, then one
    SQLite commit makes them count. A crash between leaves bytes that the next batch overwrites.

    Raises:
        QuotaExceeded: row numbers have run out. Superseded: another generation is current.
    """
    little = np.ascontiguousarray(rows, dtype="<f4")
    prepared = list(_prepared(little, keys, metadata))
    with records.writing() as sql:
        state = records.state_in(sql)
        if state.successor is not None:
            raise Superseded
        if state.rows + len(keys) > MAX_ROWS:
            raise QuotaExceeded(
                f"An index holds at most {MAX_ROWS:,} rows, replaced and deleted ones included: it has {state.rows:,}, "
                f"got {len(keys):,} more"
            )
        vectors.append(state.rows, little)
        sequence = state.sequence + 1
        if state.rows:
            records.bury(sql, keys, sequence=sequence)
        records.insert(
            sql,
            (
                (row, key, slot, blob, checksum)
                for row, (key, slot, blob, checksum) in enumerate(prepared, start=state.rows)
            ),
        )
        records.set_state(sql, sequence=sequence, rows=state.rows + len(keys))
    return state.rows + len(keys)


def delete_keys(records: Records, keys: Sequence[str]) -> int:
    """Delete the live rows of these keys, durable on return; returns how many there were."""
    with records.writing() as sql:
        state = records.state_in(sql)
        if state.successor is not None:
            raise Superseded
        count = records.bury(sql, keys, sequence=state.sequence + 1)
        if count:
            records.set_state(sql, sequence=state.sequence + 1, rows=state.rows)
    return count


def delete_matching(records: Records, matching: Callable[[], Iterable[int]]) -> int:
    """Delete the rows that `matching` names, durable on return; returns how many.

    `matching` is called inside the write transaction, so nothing can change between finding the rows and deleting them.
    """
    with records.writing() as sql:
        state = records.state_in(sql)
        if state.successor is not None:
            raise Superseded
        count = records.bury_rows(sql, matching(), sequence=state.sequence + 1)
        if count:
            records.set_state(sql, sequence=state.sequence + 1, rows=state.rows)
    return count


def _prepared(
    rows: FloatMatrix, keys: Sequence[str], metadata: Sequence[bytes | None]
) -> Iterator[tuple[str, int, bytes | None, int]]:
    raw = rows.data.cast("B")
    width = rows.shape[1] * 4
    for position, (key, blob) in enumerate(zip(keys, metadata, strict=True)):
        encoded = key.encode()
        start = position * width
        yield key, slot_of(encoded), blob, record_checksum(raw[start : start + width], encoded, blob)
