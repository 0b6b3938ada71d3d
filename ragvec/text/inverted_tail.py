"""The newest rows' inverted lists: they grow by appending, until a block is full and is frozen."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable

import numpy as np

from ragvec.text.inverted import Counts, Inverted, Occurrences

__all__ = ["InvertedTail", "TailView"]


class InvertedTail:
    """Inverted lists of the rows from `first` on, one thread adding. Everything is only ever appended to, and copied in
    one step before it is looked at, so threads may read while one adds."""

    def __init__(self, first: int) -> None:
        self.first = first
        self._lists: dict[str, tuple[array[int], array[int]]] = {}
        self._lengths = array("I")

    @property
    def last(self) -> int:
        """The row after the newest."""
        return self.first + len(self._lengths)

    def add(self, tokens: Iterable[str]) -> None:
        """Index the next row, whose text has these terms; none for a row without text."""
        row, length, lists = len(self._lengths), 0, self._lists
        for term, count in Counter(tokens).items():
            found = lists.get(term)
            if found is None:
                found = lists[term] = (array("I"), array("I"))
            found[1].append(count)
            found[0].append(row)
            length += count
        self._lengths.append(length)

    def view(self, last: int) -> TailView:
        """The rows [first, last) as they are now."""
        return TailView(self, last)

    def freeze(self) -> Inverted:
        """All of it, as immutable lists."""
        encoded = sorted((term.encode("utf-8", "surrogatepass"), lists) for term, lists in self._lists.items())
        occurrences = [(np.array(rows, np.uint32), np.array(counts, np.uint32)) for _, (rows, counts) in encoded]
        lengths = np.array(self._lengths, np.uint32)
        return Inverted.of([term for term, _ in encoded], occurrences, lengths=lengths, first=self.first)

    def occurrences(self, term: str, rows: int) -> Occurrences | None:
        """Where the term occurs among the first `rows` rows."""
        found = self._lists.get(term)
        if found is None:
            return None
        # A count is appended before its row: whatever rows were copied, their counts are there.
        places = np.frombuffer(found[0].tobytes(), np.uint32)
        places = places[: int(np.searchsorted(places, rows))]
        if not len(places):
            return None
        return Occurrences(places, np.frombuffer(found[1].tobytes(), np.uint32)[: len(places)], 1.0)

    def lengths(self, rows: int) -> Counts:
        """The number of terms of each of the first `rows` rows."""
        return np.frombuffer(self._lengths.tobytes(), np.uint32)[:rows]


class TailView:
    """The first rows of a tail, as `Inverted` has them; what is added to the tail later is not seen."""

    def __init__(self, tail: InvertedTail, last: int) -> None:
        self.first, self.last = tail.first, last
        self._tail = tail
        self.lengths = tail.lengths(last - tail.first)
        self.documents = int(np.count_nonzero(self.lengths))
        self.tokens = int(self.lengths.sum(dtype=np.int64))

    def find(self, term: str) -> Occurrences | None:
        """Where the term occurs; None where it does not."""
        return self._tail.occurrences(term, self.last - self.first)
