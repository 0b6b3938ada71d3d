"""Runs kept up with the records: who indexes which rows, and when files are written.

A query indexes the rows that it needs and that no file has yet, in memory. It writes files only after it had to index
a whole block, as when a process ended before it had written its own; otherwise that is background work, which holds the
lock for no longer than a few hundred rows take, and merges without it.
"""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, Generic, TypeVar

from ragvec.engine.local.forks import operation
from ragvec.engine.local.records import Records
from ragvec.engine.local.run_store import RunStore
from ragvec.errors import Corrupted

__all__ = ["RunFeed"]

_log = logging.getLogger("ragvec.postings")

STRIDE = 8_192
"""Rows read at a time by a query that is behind."""

AnyStore = TypeVar("AnyStore", bound=RunStore[Any, Any, Any])


class RunFeed(ABC, Generic[AnyStore]):
    """Keeps a `store`, of runs in blocks of `block_rows`, up with `records`. A subclass says what is made of a row.

    For any thread; several processes may have one on the same folder.
    """

    step = 512
    """Rows indexed at a time in the background."""

    def __init__(self, records: Records, store: AnyStore, *, block_rows: int) -> None:
        self._records = records
        self._block_rows = block_rows
        self._store = store
        self._lock = threading.Lock()
        self._persisting = threading.Lock()
        self._tried = 0
        self._owes = False

    @property
    def persisted(self) -> int:
        """The rows [0, persisted) are in files."""
        return self._store.runs_end

    def recover(self, damage: Corrupted) -> None:
        """Leave out what is damaged: it is derived, and made again from the records."""
        _log.warning("%s are rebuilt: %s", self._store.subject, damage)
        with operation(), self._lock:
            self._store.recover()

    @property
    def tried(self) -> int:
        """The rows [0, tried) are in files, or could not be written, as on a full disk."""
        return max(self.persisted, self._tried)

    def behind(self, rows: int) -> bool:
        """Whether `persist` has something to do; an attempt that failed is due again a block later."""
        return not self._store.read_only and rows - self.tried >= self._block_rows

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

    @abstractmethod
    def _items(self, first: int, last: int) -> Iterable[Any]:
        """What the store is given of the rows [first, last); made while it is iterated, where it takes much memory."""

    def _index_block(self, rows: int) -> None:
        """Index to the end of a block, or to `rows`."""
        end = min(self._store.block_end, rows)
        while (first := self._store.covered) < end:
            with operation():  # the library of a language is imported when it is first used
                items = list(self._items(first, min(first + self.step, end)))
            with operation(), self._lock:  # a child forked meanwhile would find the lock taken for ever
                if self._store.covered == first:
                    self._store.extend(first, items)

    def _write_due(self) -> None:
        with operation(), self._lock:
            runs = self._store.due()
            self._tried = self._store.block_end - self._block_rows
        if not runs:
            return
        try:
            written = self._store.written(runs)
        except Corrupted as damage:
            self.recover(damage)
        except OSError as error:
            self._store.unwritten(error)
        else:
            with operation(), self._lock:
                self._store.adopt(written)

    def _catch_up(self, rows: int) -> None:
        missing = rows - self._store.covered
        if missing <= 0:
            return
        if missing >= self.step:
            self._store.refresh()
        while (first := self._store.covered) < rows:
            last = min(first + STRIDE, self._store.block_end, rows)
            self._store.extend(first, self._items(first, last))
            if self._store.covered + self._block_rows == self._store.block_end:
                self._store.refresh()  # another process may have written this block
        if missing >= self._block_rows or self._owes:
            self._store.seal()
            self._owes = self._store.runs_end + self._block_rows < self._store.block_end
