"""Listing records in byte order of key, whole or by filter, in pages and in disjoint segments."""

from __future__ import annotations

import logging
from itertools import islice

import msgspec

from ragvec.engine.local.records import SLOTS, StoredRow, slot_of
from ragvec.engine.local.snapshot import Generation, Snapshot
from ragvec.filters.interpret import matches
from ragvec.filters.nodes import EVERYTHING, Filter

__all__ = ["scan"]

_log = logging.getLogger("ragvec.store")
_decode = msgspec.json.Decoder(dict).decode

_FEW = 20_000
"""Up to this many matches, their keys are read and sorted; beyond it the keys are walked in order and tested."""


def scan(
    snapshot: Snapshot,
    *,
    after: str | None,
    limit: int,
    where: Filter,
    segment: tuple[int, int],
    max_bytes: int | None,
    data: bool,
    metadata: bool,
    unsound: list[tuple[int, object]] | None = None,
) -> tuple[list[StoredRow], str | None, Generation]:
    """A page of rows, the key to go on after (None at the end), and the generation that the rows are in.

    With `data` or `metadata` rows come with metadata and checksums, else without. Those with damaged keys go to
    `unsound`, as in `Records.after`.
    """
    whole = data or metadata
    position, segments = segment
    slots = (position * SLOTS // segments, (position + 1) * SLOTS // segments)
    if where == EVERYTHING:
        found = _all(snapshot, after=after, limit=limit + 1, slots=slots, whole=whole, unsound=unsound)
    elif len(snapshot.matching(where)) <= _FEW:
        found = _sorted_matches(
            snapshot, where, after=after, limit=limit + 1, slots=slots, whole=whole, unsound=unsound
        )
    else:
        found = _walk(snapshot, where, after=after, limit=limit + 1, slots=slots, whole=whole, unsound=unsound)
    page = found[:limit]
    if max_bytes is not None:
        vector_bytes = 4 * snapshot.generation.spec.dimension if data else 0
        page = page[: _fitting(page, max_bytes, vector_bytes=vector_bytes, metadata=metadata)]
    return page, page[-1].key if len(page) < len(found) else None, snapshot.generation


def _all(
    snapshot: Snapshot,
    *,
    after: str | None,
    limit: int,
    slots: tuple[int, int],
    whole: bool,
    unsound: list[tuple[int, object]] | None,
) -> list[StoredRow]:
    records, asked = snapshot.generation.records, limit
    while True:
        seen: list[tuple[int, object]] | None = None if unsound is None else []
        found = records.after(after, limit=asked, slots=slots, whole=whole, unsound=seen)
        if not seen or len(found) >= limit or len(found) + len(seen) < asked:
            if unsound is not None and seen:
                unsound += seen
            return found[:limit]
        asked *= 2


def _sorted_matches(
    snapshot: Snapshot,
    where: Filter,
    *,
    after: str | None,
    limit: int,
    slots: tuple[int, int],
    whole: bool,
    unsound: list[tuple[int, object]] | None,
) -> list[StoredRow]:
    records = snapshot.generation.records
    low, high = slots
    listed = snapshot.generation.listed.of(where, snapshot.matching(where), unsound=unsound)
    rest = islice(listed.pairs, listed.after(after), None)
    chosen = list(islice((pair for pair in rest if low <= slot_of(pair[0].encode()) < high), limit))
    if not whole:
        return [StoredRow(row, key, None) for key, row in chosen]
    read = records.by_rows([row for _, row in chosen], metadata=True, whole=True)
    return [read[row] for _, row in chosen]


def _walk(
    snapshot: Snapshot,
    where: Filter,
    *,
    after: str | None,
    limit: int,
    slots: tuple[int, int],
    whole: bool,
    unsound: list[tuple[int, object]] | None,
) -> list[StoredRow]:
    """Matches in order of key, each as it is when the walk comes by."""
    records, matching = snapshot.generation.records, snapshot.matching(where)
    found: list[StoredRow] = []
    while len(found) < limit:
        walked = _all(snapshot, after=after, limit=2 * limit, slots=slots, whole=whole, unsound=unsound)
        newer = [row.row for row in walked if row.row >= snapshot.rows]
        kept = {row for row, stored in records.by_rows(newer, metadata=True).items() if _matches(where, stored)}
        found += [row for row in walked if row.row in matching or row.row in kept]
        if len(walked) < 2 * limit:
            break
        after = walked[-1].key
    return found[:limit]


def _matches(where: Filter, stored: StoredRow) -> bool:
    # Posting lists do not have it yet. Waiting for them would never end while others write faster.
    try:
        metadata = {} if stored.metadata is None else _decode(stored.metadata)
    except (msgspec.MsgspecError, UnicodeDecodeError, TypeError) as error:
        _log.warning("Row %d, key %r, has damaged metadata, and none for filters: %s", stored.row, stored.key, error)
        metadata = {}
    return matches(where, metadata)


def _fitting(page: list[StoredRow], max_bytes: int, *, vector_bytes: int, metadata: bool) -> int:
    """How many rows of the page to give: up to and with the one that passes `max_bytes`."""
    total = 0
    for count, row in enumerate(page, start=1):
        total += len(row.key.encode()) + vector_bytes + (len(row.metadata or b"") if metadata else 0)
        if total > max_bytes:
            return count
    return len(page)
