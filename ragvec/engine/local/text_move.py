"""Inverted lists of a generation for its successor: the same terms under new row numbers, without reading a text."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from ragvec.engine.local.snapshot import Generation
from ragvec.errors import Corrupted
from ragvec.text.bm25 import Lists
from ragvec.text.inverted import Inverted
from ragvec.types import RowArray

__all__ = ["carry_over", "moved"]

_log = logging.getLogger("ragvec.text")


def carry_over(old: Generation, new: Generation, *, origins: RowArray, rows: int) -> None:
    """Give `new` the lists of `old`. Row i of `new` was row `origins[i]`, ascending; the first `rows` rows of `old`
    were looked at. Of the newest rows, and where lists are damaged or cannot be written, they are left to be made
    anew."""
    targets = {feed.field: feed for feed in new.text.usable()}
    for source in old.text.usable():
        target = targets.get(source.field)
        if target is None:
            continue  # added or removed just now
        source.persist(rows)
        try:
            target.take_over(_moved(source.lists(rows), origins))
        except Corrupted as damage:
            source.recover(damage)
        except OSError as error:
            _log.warning("The lists of `%s` are made anew: %s", source.field.key, error)


def _moved(lists: Sequence[Lists], origins: RowArray) -> Iterator[Inverted]:
    for part in lists:
        if not isinstance(part, Inverted):
            break
        first, last = np.searchsorted(origins, (part.first, part.last)).tolist()
        if first < last:
            yield moved(part, kept=origins[first:last] - np.uint32(part.first), first=first)


def moved(lists: Inverted, *, kept: RowArray, first: int) -> Inverted:
    """The lists of the rows `kept`, ascending and counted from the first of `lists`, as rows `first`, `first` + 1, …

    Raises:
        Corrupted: the file of `lists` is damaged.
    """
    arrays = lists.arrays()
    place = np.full(len(lists.lengths), -1, np.int64)
    place[kept] = np.arange(len(kept))
    rows = place[arrays["rows"]]
    there = rows >= 0
    ends = np.concatenate([[0], np.cumsum(there)])[arrays["starts"]].tolist()
    rows, counts = rows[there].astype(np.uint32), arrays["counts"][there]
    terms, occurrences = [], []
    for term, (start, end) in zip(lists.vocabulary(), pairwise(ends), strict=True):
        if start < end:
            terms.append(term)
            occurrences.append((rows[start:end], counts[start:end]))
    return Inverted.of(terms, occurrences, lengths=lists.lengths[kept], first=first)
