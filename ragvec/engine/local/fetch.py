"""Reading the records of a ranking, made in the generation that is current or in one before it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat

import msgspec
from pyroaring import BitMap

from ragvec.engine.local.checked import records_of
from ragvec.engine.local.generations import Kept
from ragvec.engine.local.snapshot import Generation, Snapshot
from ragvec.types import Record, RowArray

__all__ = ["described", "fetched"]

_decode_all = msgspec.json.Decoder(list[dict[str, object]]).decode


def described(
    current: Generation, rows: RowArray, *, metadata: bool, keys: Sequence[str] | None
) -> list[Record | None]:
    """The records at these rows of the current generation without their vectors, deleted ones too; `keys` are theirs,
    where they are known."""
    if not metadata:
        return [Record(key) for key in current.keys(rows)]
    blobs = None if keys is None else current.metadata(rows)
    if keys is not None and blobs is not None:
        entries = _decode_all(b"[%b]" % b",".join([blob or b"{}" for blob in blobs]))
        return list(map(Record, keys, repeat(None), entries))
    stored = current.stored(rows)
    return list(records_of(current.vectors, stored, path=current.records.path, data=False, metadata=True))


def fetched(
    snapshot: Snapshot, source: Generation | Kept, rows: RowArray, *, data: bool, metadata: bool, drop_deleted: bool
) -> list[Record | None]:
    """The records at these rows of `source`, as `ragvec.engine.protocol.IndexEngine.fetch` gives them; which are
    deleted, the `snapshot` tells."""
    current = snapshot.generation
    only_keys = not (data or metadata)
    gone: set[int] = set()
    if source is current:
        if drop_deleted and (died := snapshot.dead & BitMap(rows)):
            gone = current.records.deleted(died)
        if only_keys:
            named = zip(rows.tolist(), current.keys(rows), strict=True)
            return [None if row in gone else Record(key) for row, key in named]
        if metadata:
            found = [row for row in current.stored(rows, whole=data) if row.row not in gone]
            path = current.records.path
            present = iter(records_of(source.vectors, found, path=path, data=data, metadata=True))
            return [None if row in gone else next(present) for row in rows.tolist()]
    numbers = rows.tolist()
    named_rows = source.records.by_rows(numbers, metadata=metadata, whole=data or metadata)
    if drop_deleted and source is not current:
        live = current.records.live_keys({row.key for row in named_rows.values()})
        gone = {row.row for row in named_rows.values() if row.key not in live}
    kept = [named_rows[row] for row in numbers if row not in gone]
    path = source.records.path
    records = iter(records_of(source.vectors, kept, path=path, data=data, metadata=metadata))
    return [None if row in gone else next(records) for row in numbers]
