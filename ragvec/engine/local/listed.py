"""The keys of a filter's matches in order, kept from one page of a listing to the next.

Without them each page would read the keys of all matches, and a listing in pages would cost their square. Rows never
change within a generation, so that after a write only the keys of new matches are read.
"""

from __future__ import annotations

import threading
from bisect import bisect_right, insort
from collections import OrderedDict
from typing import NamedTuple

from pyroaring import BitMap

from ragvec.engine.local.records import Records
from ragvec.filters.nodes import Filter

__all__ = ["KeyOrder", "ListedKeys"]

_KEPT = 4
"""Filters whose keys are kept: some thousand keys each."""
_MERGED = 64
"""More new keys than these are sorted together with the others, which takes a walk over all of them."""


class KeyOrder(NamedTuple):
    """Rows and their keys, (key, row) in byte order of key; not to be modified."""

    rows: BitMap
    pairs: list[tuple[str, int]]

    def after(self, key: str | None) -> int:
        """The place of the first key greater than `key`."""
        return 0 if key is None else bisect_right(self.pairs, (key, 1 << 32))


class ListedKeys:
    """Reads the keys of rows from `records`; for any thread."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._lock = threading.Lock()
        self._kept: OrderedDict[Filter, KeyOrder] = OrderedDict()

    def of(self, where: Filter, matching: BitMap, *, unsound: list[tuple[int, object]] | None) -> KeyOrder:
        """The keys of `matching`, the rows that satisfy `where`. Those with damaged keys go to `unsound`, as in
        `Records.by_rows`; then nothing is kept, so that the next page tells of them too.

        Raises:
            Corrupted: a key is damaged, and there is no `unsound`.
        """
        with self._lock:
            known = self._kept.get(where, _NOTHING)
        if known.rows == matching:
            return known
        damaged: list[tuple[int, object]] | None = None if unsound is None else []
        new = list(matching - known.rows)
        read = self._records.by_rows(new, metadata=False, unsound=damaged) if new else {}
        pairs = known.pairs if known.rows <= matching else [pair for pair in known.pairs if pair[1] in matching]
        added = [(stored.key, stored.row) for stored in read.values()]
        if len(added) <= _MERGED and pairs:
            pairs = list(pairs) if pairs is known.pairs else pairs
            for pair in added:
                insort(pairs, pair)
        elif added:
            pairs = sorted([*pairs, *added])
        found = KeyOrder(BitMap(matching), pairs)
        if damaged and unsound is not None:
            unsound += damaged
            return found
        with self._lock:
            self._kept[where] = found
            self._kept.move_to_end(where)
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return found

    def forget(self) -> None:
        """Keep nothing of what was read."""
        with self._lock:
            self._kept.clear()


_NOTHING = KeyOrder(BitMap(), [])
