"""The newest rows' inverted lists: they grow by appending, until a block is full and is frozen."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ragvec.text.inverted import Counts, Inverted, Occurrences
from ragvec.text.near import TermShapes
from ragvec.types import RowArray

__all__ = ["InvertedTail", "TailView"]

_SCANNED = 32_768
"""Terms in a row that are looked through for each term of a query; of more, lists are made first."""


class _Numbers(dict[str, int]):
    """Terms by number: 0, 1, … in the order in which they are first asked for."""

    def __missing__(self, term: str) -> int:
        number = self[term] = len(self)
        return number


class _Made(NamedTuple):
    """Lists of the first `rows` rows, which have `tokens` terms: term n occurs in `places[starts[n]:starts[n + 1]]`."""

    rows: int
    tokens: int
    starts: npt.NDArray[np.int64]
    places: RowArray
    counts: Counts


class InvertedTail:
    """Inverted lists of the rows from `first` on, one thread adding. Everything is only ever appended to, and copied in
    one step before it is looked at, so threads may read while one adds."""

    def __init__(self, first: int) -> None:
        self.first = first
        self._numbers = _Numbers()
        self._ids = array("I")
        self._lengths = array("I")
        self._made: _Made | None = None
        self._shapes = TermShapes.of(())

    @property
    def last(self) -> int:
        """The row after the newest."""
        return self.first + len(self._lengths)

    def add(self, tokens: Iterable[str]) -> None:
        """Index the next row, whose text has these terms; none for a row without text."""
        ids = list(map(self._numbers.__getitem__, tokens))
        self._ids.extend(ids)
        # The row is there once its length is.
        self._lengths.append(len(ids))

    def view(self, last: int) -> TailView:
        """The rows [first, last) as they are now."""
        return TailView(self, last)

    def beginning(self, prefix: str) -> list[str]:
        """The terms that begin so."""
        return [term for term in list(self._numbers) if term.startswith(prefix)]

    def freeze(self) -> Inverted:
        """All of it, as immutable lists."""
        terms = sorted((term.encode("utf-8", "surrogatepass"), number) for term, number in self._numbers.items())
        rank = np.empty(len(terms), np.uint32)
        rank[np.fromiter((number for _, number in terms), np.int64, len(terms))] = np.arange(len(terms))
        lengths = np.array(self._lengths, np.uint32)
        made = _lists(rank[np.frombuffer(self._ids.tobytes(), np.uint32)], lengths, terms=len(terms))
        return Inverted.of_arrays(
            [term for term, _ in terms],
            sizes=np.diff(made.starts),
            rows=made.places,
            counts=made.counts,
            lengths=lengths,
            first=self.first,
        )

    def shapes(self) -> TermShapes:
        """The terms, to look for those near a word; made anew when there are more."""
        shapes = self._shapes
        if len(shapes) != len(self._numbers):
            shapes = self._shapes = TermShapes.of(list(self._numbers))
        return shapes

    def lengths(self, rows: int) -> Counts:
        """The number of terms of each of the first `rows` rows."""
        return np.frombuffer(self._lengths.tobytes(), np.uint32)[:rows]

    def occurrences(self, term: str, lengths: Counts, *, tokens: int) -> Occurrences | None:
        """Where the term occurs among the rows of these `lengths`, the first ones, which have `tokens` terms."""
        number = self._numbers.get(term)
        if number is None:
            return None
        made = self._made
        if made is None or tokens - made.tokens > _SCANNED:
            ids = np.frombuffer(self._ids[:tokens].tobytes(), np.uint32)
            # Terms that came meanwhile have no place in it.
            made = _lists(ids, lengths, terms=int(ids.max()) + 1 if len(ids) else 0)
            if self._made is None or made.tokens > self._made.tokens:
                self._made = made
        rows = np.empty(0, np.uint32)
        counts: Counts = rows
        if number + 1 < len(made.starts):
            start, stop = made.starts[number], made.starts[number + 1]
            rows, counts = made.places[start:stop], made.counts[start:stop]
            if made.rows > len(lengths):
                cut = int(np.searchsorted(rows, len(lengths)))
                rows, counts = rows[:cut], counts[:cut]
        if made.rows < len(lengths):
            later = np.frombuffer(self._ids[made.tokens : tokens].tobytes(), np.uint32)
            found = np.flatnonzero(later == number)
            if len(found):
                ends = np.cumsum(lengths[made.rows :], dtype=np.int64)
                newest, more = np.unique(np.searchsorted(ends, found, side="right") + made.rows, return_counts=True)
                rows = np.concatenate([rows, newest.astype(np.uint32)])
                counts = np.concatenate([counts, more.astype(np.uint32)])
        return Occurrences(rows, counts, 1.0) if len(rows) else None


class TailView:
    """The first rows of a tail, as `Inverted` has them; what is added to the tail later is not seen."""

    def __init__(self, tail: InvertedTail, last: int) -> None:
        self.first, self.last = tail.first, last
        self._tail = tail
        self.lengths = tail.lengths(last - tail.first)
        self.documents = int(np.count_nonzero(self.lengths))
        self.tokens = int(self.lengths.sum(dtype=np.int64))

    @property
    def shapes(self) -> TermShapes:
        """The terms, to look for those near a word; some may be of later rows."""
        return self._tail.shapes()

    def find(self, term: str) -> Occurrences | None:
        """Where the term occurs; None where it does not."""
        return self._tail.occurrences(term, self.lengths, tokens=self.tokens)

    def beginning(self, prefix: str) -> list[str]:
        """The terms that begin so; some may be of later rows."""
        return self._tail.beginning(prefix)


def _lists(ids: npt.NDArray[np.uint32], lengths: Counts, *, terms: int) -> _Made:
    """The lists of rows of these lengths, whose terms are `ids`, one row after the other."""
    pairs = ids.astype(np.uint64) << np.uint64(32)
    pairs |= np.repeat(np.arange(len(lengths), dtype=np.uint64), lengths)
    pairs.sort()
    first = np.ones(len(pairs), np.bool_)
    np.not_equal(pairs[1:], pairs[:-1], out=first[1:])
    begin = np.flatnonzero(first)
    distinct = pairs[begin]
    counts = np.diff(begin, append=len(pairs)).astype(np.uint32)
    starts = np.searchsorted(distinct, np.arange(terms + 1, dtype=np.uint64) << np.uint64(32))
    return _Made(len(lengths), len(ids), starts.astype(np.int64), distinct.astype(np.uint32), counts)
