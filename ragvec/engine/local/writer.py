"""The write path: one transaction a call, vectors durable before the commit that makes them visible."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from ragvec.engine.local.records import Records, slot_of
from ragvec.engine.local.reserve import spends_reserve
from ragvec.engine.local.vectors import VectorFile
from ragvec.engine.protocol import Batch
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


def put(records: Records, vectors: VectorFile, batches: Iterable[Batch]) -> tuple[int, int]:
    """Insert or replace all batches or nothing, durable on return; returns how many records they held and the number of
    rows there are now. Batches are asked for one by one, in the write transaction; no key is in two of them.

    The order is what makes it safe: the rows are fsynced past the committed end of the vector file first, then one
    SQLite commit makes them count. A crash between leaves bytes that the next batch overwrites.

    Raises:
        QuotaExceeded: row numbers have run out. Superseded: another generation is current; no batch was asked for.
    """
    with records.writing() as sql:
        state = records.state_in(sql)
        if state.successor is not None:
            raise Superseded
        sequence, rows = state.sequence + 1, state.rows
        with vectors.appending(state.rows) as file:
            for keys, matrix, metadata in batches:
                if rows + len(keys) > MAX_ROWS:
                    raise QuotaExceeded(
                        f"An index holds at most {MAX_ROWS:,} rows, replaced and deleted ones included: it has "
                        f"{rows:,}, got {len(keys):,} more"
                    )
                little = np.ascontiguousarray(matrix, dtype="<f4")
                file.append(little)
                if state.rows:
                    records.bury(sql, keys, sequence=sequence)
                records.insert(sql, _prepared(rows, little, keys, metadata))
                rows += len(keys)
        if rows > state.rows:
            records.set_state(sql, sequence=sequence, rows=rows)
    return rows - state.rows, rows


@spends_reserve
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


@spends_reserve
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
    first: int, rows: FloatMatrix, keys: Sequence[str], metadata: Sequence[bytes | None]
) -> Iterator[tuple[int, str, int, bytes | None, int]]:
    raw = rows.data.cast("B")
    width = rows.shape[1] * 4
    for position, (key, blob) in enumerate(zip(keys, metadata, strict=True)):
        encoded = key.encode()
        start = position * width
        checksum = record_checksum(raw[start : start + width], encoded, blob)
        yield first + position, key, slot_of(encoded), blob, checksum
