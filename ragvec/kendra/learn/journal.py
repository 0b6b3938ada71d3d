"""The journal of an index: which queries were asked, and what they showed.

Queries are kept in memory and written in batches, at the latest a second after they were asked, when the store is
closed, and before anything reads the journal; a query never waits for a disk. Each batch is an entry of the index's
notes, so that processes write side by side. Small batches are merged when there are many, and what is old or beyond the
most that is kept is dropped then. People stand in it as a hash of who they are and of the index.
"""

from __future__ import annotations

import atexit
import hashlib
import logging
import os
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable
from threading import Lock, Timer
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary, ref

import msgspec

from ragvec.errors import NotFound, StoreError
from ragvec.kendra.found import Outcome
from ragvec.kendra.notes import Notes

if TYPE_CHECKING:
    from ragvec.store import Store

__all__ = ["KEPT", "KEPT_DAYS", "Asked", "Shown", "asked", "flush", "normal_text", "record", "who"]

KEPT = 50_000
"""Queries that a journal keeps at least; more are dropped, oldest first, when batches are merged."""
KEPT_DAYS = 400
"""How long a journal keeps a query."""

_NAME = "journal"
_BATCH = 64
_MERGED = 1024
_ENTRIES = 128
_SECONDS = 1.0
_SHOWN = 100
_TEXT = 1000
_DAY = 86_400.0

_log = logging.getLogger(__name__)


class Shown(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A result: its type, as in Kendra's responses, and its document."""

    type: str
    document: str


class Asked(msgspec.Struct, frozen=True, array_like=True):
    """One query. `text` is as `normal_text` makes it, `who` a hash, None without a user; `shown` are the results of its
    page, in order. `total` counts all that were found, `confidence` is the mean score of the first ten documents.
    """

    id: str
    at: float
    text: str
    who: str | None
    page: int
    total: int
    confidence: float | None
    shown: tuple[Shown, ...]


class _Batch(msgspec.Struct, frozen=True):
    queries: tuple[Asked, ...]


def normal_text(text: str) -> str:
    """A query as the journal has it: lower case, without quotation marks, white space reduced to single spaces, none at
    the ends, the first 1,000 characters."""
    return " ".join(text.lower().translate(_QUOTES).split())[:_TEXT]


_QUOTES = dict.fromkeys(map(ord, "\"'“”‘’«»„‚"))


def who(notes: Notes, user: str | None) -> str | None:
    """How a user or visitor stands in the journal: the same for the same name, and another in every index."""
    if user is None:
        return None
    return hashlib.blake2b(user.encode(), key=notes.index.uid.encode()[:64], digest_size=8).hexdigest()


def record(
    notes: Notes,
    query_id: str,
    text: str | None,
    outcome: Outcome,
    user: str | None = None,
    *,
    clock: Callable[[], float] = time.time,
) -> None:
    """Note that a query was asked by `user` (or a visitor) and what it showed; without text nothing is noted.

    Returns at once. A journal that cannot be written, as in a store that is read-only, is told in the log.
    """
    normal = normal_text(text or "")
    if not normal:
        return
    shown = [Shown("ANSWER", answer.passage.document_id) for answer in outcome.answers]
    shown += [Shown("QUESTION_ANSWER", hit.document_id) for hit in outcome.faqs]
    shown += [Shown("DOCUMENT", found.document_id) for found in outcome.items]
    shown += [Shown("DOCUMENT", found.document_id) for found in outcome.featured]
    shown += [Shown("DOCUMENT", other.document_id) for found in outcome.items for other in found.group or ()]
    scores = [found.score for found in outcome.items[:10] if found.score is not None]
    mean = round(sum(scores) / len(scores), 4) if scores else None
    query = Asked(query_id, clock(), normal, who(notes, user), outcome.page, outcome.total, mean, tuple(shown[:_SHOWN]))
    _stores.of(notes.index.bucket.store).add(notes.index.uid, query)


def flush(store: Store) -> None:
    """Write what is still in memory for the indexes of this store."""
    _stores.of(store).flush()


def asked(notes: Notes, *, since: float = 0.0) -> list[Asked]:
    """The queries of an index from `since` on, in epoch seconds, in order of time; each once. The list is not to be
    changed."""
    journals = _stores.of(notes.index.bucket.store)
    journals.flush()
    queries = journals.read(notes)
    return queries if not since else queries[bisect_left(queries, since, key=lambda query: query.at) :]


class _Journals:
    """The queries of one store that are not written yet, by index, and the batches that were read, by index and id.

    It holds the store weakly: the store is what keeps it.
    """

    def __init__(self, store: Store) -> None:
        self._store = ref(store)
        self.begin()
        store.on_close(self.flush)

    def begin(self) -> None:
        """Start without anything, as the child of a fork does: what waited is the parent's to write."""
        self._lock = Lock()
        self._writing = Lock()
        self._waiting: dict[str, list[Asked]] = {}
        self._read: dict[str, dict[str, tuple[Asked, ...]]] = {}
        self._ordered: dict[str, tuple[list[str], list[Asked]]] = {}
        self._written: dict[str, int] = {}
        self._timer: Timer | None = None

    def add(self, uid: str, query: Asked) -> None:
        with self._lock:
            waiting = self._waiting.setdefault(uid, [])
            waiting.append(query)
            if self._timer is None:
                self._start(_SECONDS)
            elif len(waiting) == _BATCH:
                self._timer.cancel()
                self._start(0.0)

    def _start(self, seconds: float) -> None:
        self._timer = Timer(seconds, self.flush)
        self._timer.daemon = True
        self._timer.start()

    def flush(self) -> None:
        """Write what waits. What cannot be written is dropped, and told in the log."""
        with self._writing:  # and whoever calls this sees what another thread is just writing
            with self._lock:
                waiting, self._waiting = self._waiting, {}
                if self._timer is not None:
                    self._timer.cancel()
                    self._timer = None
            store = self._store()
            if store is None:
                return
            for uid, queries in waiting.items():
                try:
                    self._write(Notes(store.index_by_uid(uid)), queries)
                except NotFound:  # the index was deleted, and its journal with it
                    self._read.pop(uid, None)
                except (StoreError, OSError) as error:
                    _log.warning("%d queries are not in the journal of %s: %s", len(queries), uid, error)

    def _write(self, notes: Notes, queries: list[Asked]) -> None:
        notes.append(_NAME, _Batch(tuple(queries)), at=int(queries[0].at * 1e9))
        uid = notes.index.uid
        # The first write of a process looks at what others left, and then every so many.
        if self._written.setdefault(uid, 0) % _ENTRIES == 0:
            self._merge(notes, newest=queries[-1].at)
        self._written[uid] += 1

    def _merge(self, notes: Notes, *, newest: float) -> None:
        """Put many small batches into few large ones, when there are many.

        Where two processes merge the same batches at once, queries stand twice until the next time; readers take each
        once.
        """
        entries = notes.entries(_NAME)
        if len(entries) < _ENTRIES + KEPT // _MERGED:
            return
        queries = [query for query in self.read(notes) if query.at >= newest - KEPT_DAYS * _DAY][-KEPT:]
        for first in range(0, len(queries), _MERGED):
            batch = tuple(queries[first : first + _MERGED])
            notes.append(_NAME, _Batch(batch), at=int(batch[0].at * 1e9))
        for entry in entries:
            notes.forget(_NAME, entry)

    def read(self, notes: Notes) -> list[Asked]:
        """Every query written, by time, in a list that is not to be changed. Batches are read once: they never
        change."""
        uid = notes.index.uid
        while True:
            entries = notes.entries(_NAME)
            with self._lock:
                known, (of, ordered) = self._read.get(uid, {}), self._ordered.get(uid, ([], []))
            if of == entries:
                return ordered
            found: dict[str, tuple[Asked, ...]] = {}
            for entry in entries:
                batch = known.get(entry)
                if batch is None:
                    read = notes.entry(_NAME, entry, _Batch)
                    if read is None:  # merged into another meanwhile
                        break
                    batch = read.queries
                found[entry] = batch
            else:
                ordered = _in_order(found.values())
                with self._lock:
                    self._read[uid], self._ordered[uid] = found, (entries, ordered)
                return ordered


def _in_order(batches: Iterable[tuple[Asked, ...]]) -> list[Asked]:
    once = {query.id: query for batch in batches for query in batch}
    return sorted(once.values(), key=lambda query: (query.at, query.id))


class _Stores:
    """The journals of every store in use."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._found: WeakKeyDictionary[Store, _Journals] = WeakKeyDictionary()
        self._hooked = False

    def of(self, store: Store) -> _Journals:
        with self._lock:
            if not self._hooked:
                self._hooked = True
                atexit.register(self._flush)
                if hasattr(os, "register_at_fork"):
                    os.register_at_fork(after_in_child=self._forked)
            found = self._found.get(store)
            if found is None:
                found = self._found[store] = _Journals(store)
            return found

    def _flush(self) -> None:
        """Write what waits in stores that nobody closed."""
        for journals in list(self._found.values()):
            journals.flush()

    def _forked(self) -> None:
        self._lock = Lock()
        for journals in list(self._found.values()):
            journals.begin()


_stores = _Stores()
