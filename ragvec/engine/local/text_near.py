"""Terms of a text field near others, counted among the rows that satisfy a filter."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import numpy as np

from ragvec.engine.local.snapshot import Snapshot
from ragvec.engine.protocol import NearTerm, NearTerms
from ragvec.errors import Corrupted
from ragvec.filters.nodes import EVERYTHING, Filter
from ragvec.text.bm25 import Lists
from ragvec.text.near import near
from ragvec.types import RowArray

__all__ = ["near_terms"]

_KEYS = 24


def near_terms(snapshot: Snapshot, key: str, terms: Sequence[str], *, most: Sequence[int], where: Filter) -> NearTerms:
    """As `ragvec.engine.protocol.IndexEngine.near_terms`."""
    feed = snapshot.generation.text.of(key)
    alive = snapshot.alive if where == EVERYTHING else snapshot.matches(where).mask
    found = []
    for sought, errors in zip(terms, most, strict=True):
        try:
            rows = _near(feed.lists(snapshot.rows), sought, most=errors)
        except Corrupted as damage:
            feed.recover(damage)
            with suppress(KeyError):
                del snapshot.texts[feed]
            rows = _near(feed.lists(snapshot.rows), sought, most=errors)
        seen = []
        for term, (away, those) in rows.items():
            those = those if alive is None else those[alive[those]]
            if len(those):
                spread = those[np.linspace(0, len(those) - 1, min(len(those), _KEYS)).astype(np.int64)]
                keys = snapshot.generation.keys(spread)
                seen.append(NearTerm(term, away, len(those), tuple(keys)))
        found.append(tuple(sorted(seen, key=lambda one: (one.distance, -one.rows, one.term))))
    return found


def _near(lists: Sequence[Lists], sought: str, *, most: int) -> dict[str, tuple[int, RowArray]]:
    """The terms near the one sought, each with how near it is and the rows in which it occurs, ascending."""
    found: dict[str, int] = {}
    for part in lists:
        found |= near(part.shapes, sought, most=most)
    return {term: (away, _rows(lists, term)) for term, away in found.items()}


def _rows(lists: Sequence[Lists], term: str) -> RowArray:
    """Where the term occurs, ascending."""
    there = [(part, occurrences) for part in lists if (occurrences := part.find(term)) is not None]
    return np.concatenate(
        [np.empty(0, np.uint32), *(occurrences.rows + np.uint32(part.first) for part, occurrences in there)]
    )
