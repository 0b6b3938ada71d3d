"""Posting lists kept up with the records, for whoever filters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pyroaring import BitMap

from ragvec.engine.local.postings import BLOCK_ROWS, PostingStore, PostingView
from ragvec.engine.local.records import Records
from ragvec.engine.local.run_feed import RunFeed
from ragvec.errors import Corrupted
from ragvec.filters.bitmap import rows_matching
from ragvec.filters.nodes import Filter

__all__ = ["PostingFeed"]

_FEW = 512
"""Up to this many rows, a filter is tested on them one by one."""


class PostingFeed(RunFeed[PostingStore]):
    """The posting lists in `folder` of what `records` holds (a `ragvec.engine.local.matches.MatchSource`).

    For any thread; several processes may have one on the same folder.
    """

    def __init__(
        self,
        records: Records,
        folder: Path,
        *,
        non_filterable: tuple[str, ...],
        read_only: bool,
        block_rows: int = BLOCK_ROWS,
    ) -> None:
        store = PostingStore(
            folder,
            non_filterable=non_filterable,
            read_only=read_only,
            block_rows=block_rows,
            checksums=records.checksums,
        )
        super().__init__(records, store, block_rows=block_rows)

    def rows_matching(self, where: Filter, *, first: int, rows: int) -> tuple[BitMap, int]:
        """The rows from `first` on that satisfy the filter, dead ones included, and the row, at least `rows`, before
        which they are complete and from which on there are none. The bitmap is the caller's own."""
        view = self.view(rows, first=first)
        try:
            return rows_matching(where, view), view.covered
        except Corrupted as damage:
            self.recover(damage)
            view = self.view(rows, first=first)
            return rows_matching(where, view), view.covered

    def newest(self, first: int, rows: int) -> Sequence[Mapping[str, Any]] | None:
        """The filterable metadata of rows [first, rows), if they are few and at hand."""
        if rows - first > _FEW:
            return None
        with self._lock:
            self._catch_up(rows)
            return self._store.newest(first, rows)

    def view(self, rows: int, *, first: int = 0) -> PostingView:
        """Posting lists that cover the rows [first, rows), perhaps some more from `rows` on, none before `first`."""
        with self._lock:
            self._catch_up(rows)
            return self._store.view(first)

    def _items(self, first: int, last: int) -> list[bytes | None]:
        return self._records.metadata(first, last)
