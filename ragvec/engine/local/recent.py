"""Keys and metadata of rows that no segment has yet, kept once they were read: rows never change.

SQLite takes some hundred microseconds for the metadata of ten rows, more than all else that a search of a few thousand
rows does.
"""

from __future__ import annotations

from collections.abc import Sequence

from ragvec.engine.local.checked import faults
from ragvec.engine.local.records import Records, StoredRow
from ragvec.engine.local.vectors import VectorFile

__all__ = ["RecentRows"]

_KEYS_KEPT = 65_536
_BYTES_KEPT = 8 << 20
_ROW_BYTES = 300
"""About what a kept row takes beside its metadata."""


class RecentRows:
    """Reads rows from the records, and keeps some of them; safe to use from several threads.

    A row with metadata is kept only after it was found to match its checksum.
    """

    def __init__(self, records: Records, vectors: VectorFile) -> None:
        self._records, self._vectors = records, vectors
        self._keys: dict[int, str] = {}
        self._rows: dict[int, StoredRow] = {}
        self._bytes = 0

    def keys(self, rows: Sequence[int]) -> dict[int, str]:
        """The keys of at least these rows. Raises Corrupted: one is missing."""
        known = self._keys
        missing = [row for row in rows if row not in known]
        if missing:
            if len(known) + len(missing) > _KEYS_KEPT:
                known = self._keys = {row: known[row] for row in rows if row in known}
            known.update((row, stored.key) for row, stored in self._records.by_rows(missing, metadata=False).items())
        return known

    def rows(self, rows: Sequence[int]) -> dict[int, StoredRow]:
        """Keys and metadata of these rows, with checksums where they are still to be compared. Raises Corrupted: a row
        is missing."""
        known = self._rows
        found = {row: known[row] for row in rows if row in known}
        missing = [row for row in rows if row not in found]
        if missing:
            read = self._records.by_rows(missing, metadata=True, whole=True)
            found.update(read)
            self._keep(list(read.values()))
        return found

    def forget(self) -> None:
        """Keep nothing of what was read."""
        self._keys, self._rows, self._bytes = {}, {}, 0

    def _keep(self, read: list[StoredRow]) -> None:
        size = sum(_ROW_BYTES + len(stored.metadata or b"") for stored in read)
        if size > _BYTES_KEPT or faults(read, self._vectors):
            return
        # Two threads may count the same rows: then the next round of forgetting comes a little earlier.
        if self._bytes + size > _BYTES_KEPT:
            self._rows, self._bytes = {}, 0
        self._bytes += size
        self._rows.update((stored.row, stored._replace(checksum=None)) for stored in read)
