"""The block list of an index: words and phrases that no suggested query contains.

A file has a phrase a line. A phrase blocks a query that has its words one after the other; case and punctuation do not
count, endings do.
"""

from __future__ import annotations

from collections.abc import Iterable

from ragvec.errors import QuotaExceeded
from ragvec.kendra.learn.listed import TextLists
from ragvec.kendra.notes import Notes
from ragvec.text.words import words

__all__ = ["BLOCK_LISTS", "FILE_BYTES", "PHRASES", "Blocked", "blocked"]

FILE_BYTES = 2 * 1024 * 1024
"""The longest file of phrases."""
PHRASES = 20_000
"""Phrases of one list."""


class Blocked:
    """Whether a query has a blocked phrase: `query in blocked`."""

    def __init__(self, phrases: Iterable[str] = ()) -> None:
        self._by_first: dict[str, set[tuple[str, ...]]] = {}
        for phrase in phrases:
            if parts := _words(phrase):
                self._by_first.setdefault(parts[0], set()).add(parts)

    def __bool__(self) -> bool:
        return bool(self._by_first)

    def __contains__(self, query: str) -> bool:
        parts = _words(query)
        return any(
            parts[place : place + len(phrase)] == phrase
            for place, word in enumerate(parts)
            for phrase in self._by_first.get(word, ())
        )


def blocked(notes: Notes) -> Blocked:
    """What the block list of an index blocks now; nothing without one."""
    return BLOCK_LISTS.current(notes)


def _words(text: str) -> tuple[str, ...]:
    lower = text.lower()
    return tuple(lower[word.begin : word.end] for word in words(lower))


def _phrases(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(line.strip() for line in text.removeprefix("\ufeff").splitlines() if _words(line)))


def _count(text: str) -> dict[str, int]:
    found = len(_phrases(text))
    if found > PHRASES:
        raise QuotaExceeded(f"A block list has at most {PHRASES:,} words and phrases, got {found:,}")
    return {"items": found}


def _parse(text: str) -> Blocked:
    return Blocked(_phrases(text))


BLOCK_LISTS: TextLists[Blocked] = TextLists(
    "block list", note="block_list", most_bytes=FILE_BYTES, parse=_parse, count=_count, nothing=Blocked()
)
"""Block lists; `figures` count their `items`."""
