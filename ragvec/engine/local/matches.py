"""What satisfies a filter, kept by the filter's content and caught up after writes.

Rows never change: whether a row satisfies a filter is settled once. So a filter is evaluated over all rows only the
first time; later snapshots add the rows that came and take away those that died. A snapshot's `Matches` shares its
arrays with its predecessor where no match died: new rows are written past the end of what the earlier one sees.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar, cast

import numpy as np
import numpy.typing as npt
from pyroaring import BitMap

from ragvec.engine.local.row_bitmaps import array_of, mask_of
from ragvec.filters.nodes import Filter
from ragvec.filters.predicate import Predicate, predicate
from ragvec.types import RowArray

__all__ = ["CACHED_BYTES", "CACHED_FILTERS", "MatchCache", "MatchSource", "Matches"]

T = TypeVar("T")
Item = TypeVar("Item", bound=np.generic)

CACHED_FILTERS = 256
"""Filters whose matches are kept, those used last."""

CACHED_BYTES = 64 << 20
"""Bytes that the matches kept may hold, the filter used last apart."""

_DERIVED = 32
"""Values that one `Matches` keeps for its callers."""

_SLACK = 1.25
_SPARE = 8
_DERIVED_ROW_BYTES = 8
_ENDS = 1 << 32


class MatchSource(Protocol):
    """Where matches come from."""

    def rows_matching(self, where: Filter, *, first: int, rows: int) -> tuple[BitMap, int]:
        """The rows from `first` on that satisfy the filter, dead ones included, and the row, at least `rows`, before
        which they are complete and from which on there are none. The bitmap is the caller's own."""
        ...

    def newest(self, first: int, rows: int) -> Sequence[Mapping[str, Any]] | None:
        """The filterable metadata of rows [first, rows), if they are few and at hand."""
        ...


class _Derived(NamedTuple):
    first: int
    last: int
    value: Any
    nbytes: int
    spare: int
    """How many more of its matches may die before it is made again."""


class Matches:
    """The live rows of one snapshot that satisfy one filter; for any thread.

    `sequence` and `size` are the snapshot's sequence number and rows, `count` is the number of matches. Nothing that
    the attributes and methods give may be modified.
    """

    __slots__ = ("_bitmap", "_dead", "_derived", "_flags", "_listed", "_truth", "count", "searches", "sequence", "size")

    def __init__(self, truth: BitMap, *, sequence: int, size: int, dead: BitMap, count: int) -> None:
        self.sequence, self.size, self.count = sequence, size, count
        self.searches: dict[Hashable, Any] = {}
        """How searches of these matches run; kept by whoever plans them."""
        # `truth` may hold rows from `size` on, and more of them as time goes by.
        self._truth, self._dead = truth, dead
        self._bitmap: BitMap | None = None
        self._listed: RowArray | None = None
        self._flags: npt.NDArray[np.bool_] | None = None
        self._derived: OrderedDict[Hashable, _Derived] = OrderedDict()

    def __repr__(self) -> str:
        return f"Matches({self.count} of {self.size})"

    def __len__(self) -> int:
        return self.count

    def __contains__(self, row: int) -> bool:
        return row < self.size and row in self._truth and row not in self._dead

    def __iter__(self) -> Iterator[int]:
        return iter(self.bitmap)

    @property
    def bitmap(self) -> BitMap:
        """The matches as a Roaring bitmap, made on first use."""
        if self._bitmap is None:
            self._bitmap = self._live()
        return self._bitmap

    @property
    def rows(self) -> RowArray:
        """The matches, sorted: uint32 (count,), made on first use."""
        if self._listed is None:
            self._listed = array_of(self._live() if self._bitmap is None else self._bitmap)
        return _seen(self._listed, self.count)

    @property
    def mask(self) -> npt.NDArray[np.bool_]:
        """Which rows match: bool (size,), made on first use."""
        if self._flags is None:
            self._flags = mask_of(self._live() if self._bitmap is None else self._bitmap, size=self.size)
        return _seen(self._flags, self.size)

    def within(self, first: int, last: int) -> RowArray:
        """The matches of [first, last), sorted, numbered as in the whole: uint32.

        A part of `rows` where these are made, or most of them are wanted.
        """
        last = max(first, min(last, self.size))
        if self._listed is None and 2 * (last - first) < self.size:
            return _seen(array_of(self._part(first, last)), self.size)
        rows = self.rows
        low, high = np.searchsorted(rows, (first, last))
        return rows[low:high]

    def count_within(self, first: int, last: int) -> int:
        """How many matches [first, last) holds; no array is made for it."""
        if first <= 0 and last >= self.size:
            return self.count
        last = max(first, min(last, self.size))
        if self._bitmap is not None:
            return int(self._bitmap.range_cardinality(first, last))
        return len(self._part(first, last))

    def derived(
        self, key: Hashable, *, first: int, last: int, make: Callable[[RowArray], T], lasting: bool = False
    ) -> T:
        """`make(self.within(first, last))`, kept under `key` for the next who asks.

        It is kept for later snapshots too, as long as the matches of [first, last) stay the same: `make` may depend on
        nothing else that changes. A `lasting` value is kept though some of its matches have died, up to one in eight:
        whoever uses it leaves out what `mask` denies. Of many keys the latest are kept.
        """
        found = self._derived.get(key)
        if found is not None and (found.first, found.last) == (first, last):
            return cast("T", found.value)
        rows = self.within(first, last)
        value = make(rows)
        spare = len(rows) // _SPARE if lasting else 0
        self._derived[key] = _Derived(first, last, value, _bytes_of(value, rows=len(rows)), spare)
        if len(self._derived) > _DERIVED:
            self._derived.popitem(last=False)
        return value

    @property
    def nbytes(self) -> int:
        """The bytes that it holds, about, its share of what others hold too included."""
        bitmaps = min(2 * self.count, self.size // 8) * (1 if self._bitmap is None else 2)
        listed = 0 if self._listed is None else 4 * self.count
        flags = 0 if self._flags is None else self.size
        return bitmaps + listed + flags + sum(kept.nbytes for kept in list(self._derived.values()))

    def after(self, *, sequence: int, size: int, dead: BitMap) -> Matches:
        """The matches of a later snapshot, for which the rows up to `size` have been looked at.

        Made at the cost of the changes. To be called by one thread at a time, and on the latest `Matches` only.
        """
        truth, died = self._truth, None
        fresh = truth & BitMap(range(self.size, size)) if size > self.size else None
        if dead is not self._dead:
            if fresh:
                fresh -= dead
            died = (dead - self._dead) & truth
            died.remove_range(self.size, _ENDS)
        later = Matches(truth, sequence=sequence, size=size, dead=dead, count=self.count)
        if fresh:
            later.count += len(fresh)
        if died:
            later.count -= len(died)
        if self._listed is not None and not died:
            later._listed = _appended(self._listed, fresh, used=self.count) if fresh else self._listed
        if self._flags is not None:
            later._flags = _flagged(self._flags, fresh, died, used=self.size, size=size)
        if self._derived:
            for key, kept in list(self._derived.items()):
                gone = died.range_cardinality(kept.first, kept.last) if died else 0
                if kept.last <= self.size and gone <= kept.spare:
                    later._derived[key] = kept._replace(spare=kept.spare - gone) if gone else kept
        return later

    def _part(self, first: int, last: int) -> BitMap:
        part = self._truth & BitMap(range(first, last))
        part -= self._dead
        return part

    def _live(self) -> BitMap:
        live = self._truth - self._dead
        live.remove_range(self.size, _ENDS)
        return live


class _Entry:
    """What is known of one filter."""

    __slots__ = ("accounted", "end", "key", "latest", "lock", "predicate", "truth", "where")

    def __init__(self, key: str, where: Filter) -> None:
        self.key, self.where = key, where
        self.lock = threading.Lock()
        self.truth = BitMap()
        """The rows of [0, end) that satisfy it, dead ones included; only ever added to."""
        self.end = 0
        self.predicate: Predicate | None = None
        self.latest: Matches | None = None
        self.accounted = 0

    def look_at(self, rows: int, source: MatchSource) -> None:
        """Extend `truth` to `rows` at least."""
        if self.end >= rows:
            return
        newest = source.newest(self.end, rows) if self.end else None
        if newest is None:
            found, end = source.rows_matching(self.where, first=self.end, rows=rows)
            self.truth |= found
            self.end = end
            return
        if self.predicate is None:
            self.predicate = predicate(self.where)
        for row, metadata in enumerate(newest, start=self.end):
            if self.predicate(metadata):
                self.truth.add(row)
        self.end = rows

    def of(self, *, sequence: int, rows: int, dead: BitMap, source: MatchSource) -> Matches:
        with self.lock:
            latest = self.latest
            if latest is not None and latest.sequence == sequence:
                return latest
            self.look_at(rows, source)
            if latest is not None and latest.sequence < sequence:
                self.latest = latest.after(sequence=sequence, size=rows, dead=dead)
                return self.latest
            count = self.truth.range_cardinality(0, rows) - self.truth.intersection_cardinality(dead)
            found = Matches(self.truth, sequence=sequence, size=rows, dead=dead, count=count)
            if latest is None:
                self.latest = found
            return found


class MatchCache:
    """The matches of the filters used last, for the snapshots of one generation; shared by threads."""

    def __init__(self, *, filters: int = CACHED_FILTERS, nbytes: int = CACHED_BYTES) -> None:
        self._filters, self._nbytes = filters, nbytes
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._by_identity: dict[int, _Entry] = {}
        self._held = 0
        self._previous: _Entry | None = None

    @property
    def nbytes(self) -> int:
        """The bytes held, about."""
        with self._lock:
            return sum(0 if entry.latest is None else entry.latest.nbytes for entry in self._entries.values())

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, where: Filter, *, sequence: int, rows: int, dead: BitMap, source: MatchSource) -> Matches:
        """The matches of the snapshot of that sequence number, which has so many rows, and these dead among them."""
        entry = self._entry(where)
        latest = entry.latest
        if latest is not None and latest.sequence == sequence:
            return latest
        return entry.of(sequence=sequence, rows=rows, dead=dead, source=source)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._entries.clear()
            self._by_identity.clear()
            self._held, self._previous = 0, None

    def _entry(self, where: Filter) -> _Entry:
        with self._lock:
            entry = self._by_identity.get(id(where))
            if entry is None or entry.where is not where:
                entry = self._by_content(where)
            elif entry is self._previous:
                return entry
            self._entries.move_to_end(entry.key)
            # What an entry holds grows after it was given out, so it is accounted for when the next one is wanted.
            previous, self._previous = self._previous, entry
            if previous is not None and self._entries.get(previous.key) is previous:
                self._account(previous)
            return entry

    def _by_content(self, where: Filter) -> _Entry:
        # The text keeps 1, 1.0 and true apart, which equality would not, and infinities and giants, which JSON would.
        key = repr(where)
        entry = self._entries.get(key)
        if entry is None:
            entry = self._entries[key] = _Entry(key, where)
            self._by_identity[id(where)] = entry
            if len(self._entries) > self._filters:
                self._evict()
        return entry

    def _account(self, entry: _Entry) -> None:
        held = 0 if entry.latest is None else entry.latest.nbytes
        self._held += held - entry.accounted
        entry.accounted = held
        while self._held > self._nbytes and len(self._entries) > 1:
            self._evict()

    def _evict(self) -> None:
        _, entry = self._entries.popitem(last=False)
        self._by_identity.pop(id(entry.where), None)
        self._held -= entry.accounted


def _seen(buffer: npt.NDArray[Item], count: int) -> npt.NDArray[Item]:
    view = buffer[:count]
    view.flags.writeable = False
    return view


def _appended(buffer: RowArray, fresh: BitMap, *, used: int) -> RowArray:
    """A buffer with the first `used` and then `fresh`: the same where it has room."""
    end = used + len(fresh)
    if end > len(buffer):
        larger = np.empty(int(end * _SLACK) + 16, np.uint32)
        larger[:used] = buffer[:used]
        buffer = larger
    buffer[used:end] = fresh.to_array()
    return buffer


def _flagged(
    buffer: npt.NDArray[np.bool_], fresh: BitMap | None, died: BitMap | None, *, used: int, size: int
) -> npt.NDArray[np.bool_]:
    """A buffer with the first `used` flags, less those of `died`, and from there to `size` the flags of `fresh`.

    The same buffer where it has room and nothing died, since earlier views see nothing of its end.
    """
    if len(buffer) < size:
        larger = np.zeros(int(size * _SLACK), np.bool_)
        larger[:used] = buffer[:used]
        buffer = larger
    elif died:
        buffer = buffer.copy()
    if used < size:
        buffer[used:size] = False
    if fresh:
        buffer[fresh.to_array()] = True
    if died:
        buffer[died.to_array()] = False
    return buffer


def _bytes_of(value: object, *, rows: int) -> int:
    if isinstance(value, tuple):
        return sum(_bytes_of(part, rows=rows) for part in value)
    nbytes = getattr(value, "nbytes", None)
    return nbytes if isinstance(nbytes, int) else _DERIVED_ROW_BYTES * rows
