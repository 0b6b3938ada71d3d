"""`ragvec.engine.word_lists.WordLists` of a snapshot: inverted lists and posting lists read as arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from ragvec.engine.local.posting_values import Texts, merge_values
from ragvec.engine.local.postings import PostingView
from ragvec.engine.local.snapshot import Snapshot
from ragvec.engine.word_lists import Mask
from ragvec.errors import Corrupted
from ragvec.text.bm25 import Lists
from ragvec.types import RowArray

__all__ = ["LocalWordLists"]

T = TypeVar("T")


class _Groups(NamedTuple):
    """`names` are the texts of the groups in UTF-8, ascending; `of_row` int32 (rows,) the group of each row, −1 for
    none."""

    names: Texts
    of_row: npt.NDArray[np.int32]


class LocalWordLists:
    """The word lists of `snapshot`, with groups of rows that have the same text under the metadata key `by`; of a row
    with several texts, one counts."""

    def __init__(self, snapshot: Snapshot, *, by: str) -> None:
        self.generation = snapshot.generation.number
        self._snapshot = snapshot
        found = snapshot.grouped.get(by)
        if found is None:
            found = snapshot.grouped[by] = _groups(snapshot, by)
        self._groups: _Groups = found

    def rows(self, key: str, terms: Iterable[str]) -> RowArray:
        """See `WordLists`."""
        wanted = list(terms)
        flags = self._with_lists(key, lambda lists: _marked(lists, wanted, rows=self._snapshot.rows))
        if self._snapshot.alive is not None:
            flags &= self._snapshot.alive
        return np.flatnonzero(flags).astype(np.uint32)

    def beginning(self, key: str, prefix: str) -> list[str]:
        """See `WordLists`."""
        return self._with_lists(key, lambda lists: list({term for part in lists for term in part.beginning(prefix)}))

    def groups(self, rows: RowArray) -> Mask:
        """See `WordLists`."""
        found = np.zeros(len(self._groups.names), np.bool_)
        numbers = self._groups.of_row[rows]
        found[numbers[numbers >= 0]] = True
        return found

    def members(self, groups: Mask) -> RowArray:
        """See `WordLists`."""
        # One more for the rows without a group, which have the number −1.
        flags = np.append(groups, np.False_)[self._groups.of_row]
        if self._snapshot.alive is not None:
            flags &= self._snapshot.alive
        return np.flatnonzero(flags).astype(np.uint32)

    def names(self, groups: Mask) -> list[str]:
        """See `WordLists`."""
        names = self._groups.names
        if not groups.any():
            return []
        chosen = np.flatnonzero(groups)
        low, high = int(chosen[0]), int(chosen[-1]) + 1
        between = names.between(low, high)
        return [between[at].decode("utf-8", "surrogatepass") for at in (chosen - low).tolist()]

    def _with_lists(self, key: str, use: Callable[[tuple[Lists, ...]], T]) -> T:
        feed = self._snapshot.generation.text.of(key)
        try:
            return use(feed.lists(self._snapshot.rows))
        except Corrupted as damage:
            feed.recover(damage)
            self._snapshot.texts.pop(feed, None)
            return use(feed.lists(self._snapshot.rows))


def _marked(lists: tuple[Lists, ...], terms: list[str], *, rows: int) -> Mask:
    """Which of the first `rows` rows have one of the terms."""
    flags = np.zeros(rows, np.bool_)
    for part in lists:
        own = flags[part.first : part.last]
        for term in terms:
            there = part.find(term)
            if there is not None:
                own[there.rows] = True
    return flags


def _groups(snapshot: Snapshot, by: str) -> _Groups:
    postings = snapshot.generation.postings
    try:
        return _read(postings.view(snapshot.rows), by, rows=snapshot.rows)
    except Corrupted as damage:
        postings.recover(damage)
        return _read(postings.view(snapshot.rows), by, rows=snapshot.rows)


def _read(view: PostingView, by: str, *, rows: int) -> _Groups:
    of_row = np.full(rows, -1, np.int32)
    columns = view.texts(by)
    if not columns:
        return _Groups(Texts.of([]), of_row)
    names, numbers = merge_values([column.values for column in columns if isinstance(column.values, Texts)])
    assert isinstance(names, Texts)
    for column, places in zip(columns, numbers, strict=True):
        ends = column.offsets.astype(np.int64)
        repeated = np.repeat(places.astype(np.int32), ends[1:] - ends[:-1])
        seen = column.rows < rows
        of_row[column.rows[seen]] = repeated[seen]
    return _Groups(names, of_row)
