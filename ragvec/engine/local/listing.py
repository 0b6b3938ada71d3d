"""Listing records in byte order of key, whole or by filter, in pages and in disjoint segments."""

from __future__ import annotations

from collections.abc import Callable

from ragvec.engine.local.records import SLOTS, StoredRow, slot_of
from ragvec.engine.local.snapshot import Generation, Snapshot
from ragvec.filters.nodes import EVERYTHING, Filter

__all__ = ["scan"]

_FEW = 20_000
"""Up to this many matches, their keys are read and sorted; beyond it the keys are walked in order and tested."""


def scan(
    current: Callable[[], Snapshot],
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
    snapshot = current()
    if where == EVERYTHING:
        found = snapshot.generation.records.after(after, limit=limit + 1, slots=slots, metadata=metadata)
    elif len(snapshot.matching(where)) <= _FEW:
        found = _sorted_matches(snapshot, where, after=after, limit=limit + 1, slots=slots, metadata=metadata)
    else:
        walked = None
        while walked is None:
            snapshot = current()
            walked = _walk(snapshot, where, after=after, limit=limit + 1, slots=slots, metadata=metadata)
        found = walked
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
) -> list[StoredRow] | None:
    """Matches in order of key; None when a row newer than the snapshot came along, so that it must be taken anew."""
    matching = snapshot.matching(where)
    found: list[StoredRow] = []
    while len(found) < limit:
        walked = snapshot.generation.records.after(after, limit=2 * limit, slots=slots, metadata=metadata)
        for row in walked:
            if row.row >= snapshot.rows:
                return None
            if row.row in matching:
                found.append(row)
        if len(walked) < 2 * limit:
            break
        after = walked[-1].key
    return found[:limit]


def _fitting(page: list[StoredRow], max_bytes: int, *, vector_bytes: int) -> int:
    """How many rows of the page to give: up to and with the one that passes `max_bytes`."""
    total = 0
    for count, row in enumerate(page, start=1):
        total += len(row.key.encode()) + vector_bytes + len(row.metadata or b"")
        if total > max_bytes:
            return count
    return len(page)
