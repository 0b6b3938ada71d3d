"""The block list of an index: words and phrases that no suggested query contains.

A file has a phrase a line. A phrase blocks a query that has its words one after the other; case and punctuation do not
count, endings do.
"""

from __future__ import annotations

from collections.abc import Iterable

from ragvec.errors import QuotaExceeded
from ragvec.kendra.learn.listed import TextLists
from ragvec.kendra.limits import Limits
from ragvec.kendra.notes import Notes
from ragvec.text.words import words

__all__ = ["BLOCK_LISTS", "Blocked", "blocked"]


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


def _count(text: str, limits: Limits) -> dict[str, int]:
    found, most = len(_phrases(text)), limits.block_list_phrases
    if most is not None and found > most:
        raise QuotaExceeded(f"A block list has at most {most:,} words and phrases, got {found:,}")
    return {"items": found}


def _parse(text: str) -> Blocked:
    return Blocked(_phrases(text))


BLOCK_LISTS: TextLists[Blocked] = TextLists(
    "block list",
    note="block_list",
    most_bytes=lambda limits: limits.block_list_bytes,
    parse=_parse,
    count=_count,
    nothing=Blocked(),
)
"""Block lists; `figures` count their `items`."""
