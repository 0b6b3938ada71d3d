"""Listing records in byte order of key, whole or by filter, in pages and in disjoint segments."""

from __future__ import annotations

import msgspec

from ragvec.engine.local.records import SLOTS, StoredRow, slot_of
from ragvec.engine.local.snapshot import Generation, Snapshot
from ragvec.filters.interpret import matches
from ragvec.filters.nodes import EVERYTHING, Filter

__all__ = ["scan"]

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
) -> tuple[list[StoredRow], str | None, Generation]:
    """A page of rows, the key to go on after (None at the end), and the generation that the rows are in."""
    position, segments = segment
    slots = (position * SLOTS // segments, (position + 1) * SLOTS // segments)
    if where == EVERYTHING:
        found = snapshot.generation.records.after(after, limit=limit + 1, slots=slots, metadata=metadata)
    elif len(snapshot.matching(where)) <= _FEW:
        found = _sorted_matches(snapshot, where, after=after, limit=limit + 1, slots=slots, metadata=metadata)
    else:
        found = _walk(snapshot, where, after=after, limit=limit + 1, slots=slots, metadata=metadata)
    page = found[:limit]
    if max_bytes is not None:
        page = page[: _fitting(page, max_bytes, vector_bytes=4 * snapshot.generation.spec.dimension if data else 0)]
    return page, page[-1].key if len(page) < len(found) else None, snapshot.generation


def _sorted_matches(
    snapshot: Snapshot, where: Filter, *, after: str | None, limit: int, slots: tuple[int, int], metadata: bool
) -> list[StoredRow]:
    records = snapshot.generation.records
    low, high = slots
    stored = records.by_rows(list(snapshot.matching(where)), metadata=False).values()
    chosen = sorted(
        (row.key, row.row)
        for row in stored
        if (after is None or row.key > after) and low <= slot_of(row.key.encode()) < high
    )[:limit]
    if not metadata:
        return [StoredRow(row, key, None) for key, row in chosen]
    whole = records.by_rows([row for _, row in chosen], metadata=True)
    return [whole[row] for _, row in chosen]


def _walk(
    snapshot: Snapshot, where: Filter, *, after: str | None, limit: int, slots: tuple[int, int], metadata: bool
) -> list[StoredRow]:
    """Matches in order of key, each as it is when the walk comes by."""
    records, matching = snapshot.generation.records, snapshot.matching(where)
    found: list[StoredRow] = []
    while len(found) < limit:
        walked = records.after(after, limit=2 * limit, slots=slots, metadata=metadata)
        newer = [row.row for row in walked if row.row >= snapshot.rows]
        kept = {row for row, stored in records.by_rows(newer, metadata=True).items() if _matches(where, stored)}
        found += [row for row in walked if row.row in matching or row.row in kept]
        if len(walked) < 2 * limit:
            break
        after = walked[-1].key
    return found[:limit]


def _matches(where: Filter, stored: StoredRow) -> bool:
    # Posting lists do not have it yet. Waiting for them would never end while others write faster.
    return matches(where, {} if stored.metadata is None else msgspec.json.decode(stored.metadata))


def _fitting(page: list[StoredRow], max_bytes: int, *, vector_bytes: int) -> int:
    """How many rows of the page to give: up to and with the one that passes `max_bytes`."""
    total = 0
    for count, row in enumerate(page, start=1):
        total += len(row.key.encode()) + vector_bytes + len(row.metadata or b"")
        if total > max_bytes:
            return count
    return len(page)
