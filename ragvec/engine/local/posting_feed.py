"""Posting lists kept up with the records: who indexes which rows, and when files are written.

A query indexes the rows that it needs and that no file has yet, in memory. It writes files only after it had to index
a whole block, as when a process ended before it had written its own; otherwise that is background work, which holds the
lock for no longer than a few hundred rows take, and merges without it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pyroaring import BitMap

from ragvec.engine.local.forks import operation
from ragvec.engine.local.postings import BLOCK_ROWS, PostingStore, PostingView
from ragvec.engine.local.records import Records
from ragvec.errors import Corrupted
from ragvec.filters.bitmap import rows_matching
from ragvec.filters.nodes import Filter

__all__ = ["PostingFeed"]

_log = logging.getLogger("ragvec.postings")

_STEP = 512
"""Rows indexed at a time in the background."""

_STRIDE = 8_192
"""Rows read at a time by a query that is behind."""

_FEW = 512
"""Up to this many rows, a filter is tested on them one by one."""


class PostingFeed:
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
        self._records = records
        self._block_rows = block_rows
        self._store = PostingStore(
            folder,
            non_filterable=non_filterable,
            read_only=read_only,
            block_rows=block_rows,
            checksums=records.checksums,
        )
        self._lock = threading.Lock()
        self._persisting = threading.Lock()
        self._tried = 0
        self._owes = False

    @property
    def persisted(self) -> int:
        """The rows [0, persisted) are in files."""
        return self._store.runs_end

    def rows_matching(self, where: Filter, *, first: int, rows: int) -> tuple[BitMap, int]:
        """The rows from `first` on that satisfy the filter, dead ones included, and the row, at least `rows`, before
        which they are complete and from which on there are none. The bitmap is the caller's own."""
        view = self.view(rows, first=first)
        try:
            return rows_matching(where, view), view.covered
        except Corrupted as damage:
            # Posting lists are derived: what fails its checksum is made again from the records.
            _log.warning("Posting lists are rebuilt: %s", damage)
            with self._lock:
                self._store.recover()
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

    def behind(self, rows: int) -> bool:
        """Whether `persist` has something to do; an attempt that failed is due again a block later."""
        return not self._store.read_only and rows - max(self.persisted, self._tried) >= self._block_rows

    def persist(self, rows: int) -> None:
        """Index the first `rows` rows and write files of the full blocks, without holding up queries for long.

        What cannot be written, as on a full disk, is logged and stays in memory.
        """
        with self._persisting:
            with operation(), self._lock:  # files are compared with the records
                self._store.refresh()
            while self._store.covered < rows:
                self._index_block(rows)
                self._write_due()
            self._write_due()

    def _index_block(self, rows: int) -> None:
        """Index to the end of a block, or to `rows`."""
        end = min(self._store.block_end, rows)
        while (first := self._store.covered) < end:
            metadata = self._records.metadata(first, min(first + _STEP, end))
            with operation(), self._lock:  # a child forked meanwhile would find the lock taken for ever
                if self._store.covered == first:
                    self._store.extend(first, metadata)

    def _write_due(self) -> None:
        with operation(), self._lock:
            runs = self._store.due()
            self._tried = self._store.block_end - self._block_rows
        if not runs:
            return
        try:
            written = self._store.written(runs)
        except Corrupted as damage:
            _log.warning("Posting lists are rebuilt: %s", damage)
            with self._lock:
                self._store.recover()
        except OSError as error:
            _log.warning("Posting lists stay in memory for now: %s", error)
        else:
            with self._lock:
                self._store.adopt(written)

    def _catch_up(self, rows: int) -> None:
        missing = rows - self._store.covered
        if missing <= 0:
            return
        if missing >= _STEP:
            self._store.refresh()
        while (first := self._store.covered) < rows:
            last = min(first + _STRIDE, self._store.block_end, rows)
            self._store.extend(first, self._records.metadata(first, last))
            if self._store.covered + self._block_rows == self._store.block_end:
                self._store.refresh()  # another process may have written this block
        if missing >= self._block_rows or self._owes:
            self._store.seal()
            self._owes = self._store.runs_end + self._block_rows < self._store.block_end
