"""The block list of an index: words and phrases that no suggested query contains.

A phrase blocks a query that has its words one after the other; case and punctuation do not count, endings do.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import msgspec

from ragvec.errors import Conflict, QuotaExceeded, ResourceNotFound
from ragvec.kendra.learn.cached import Latest
from ragvec.kendra.learn.featured import Clock
from ragvec.kendra.notes import Notes
from ragvec.kendra.problems import shown
from ragvec.text.words import words

__all__ = [
    "FILE_BYTES",
    "PHRASES",
    "BlockList",
    "Blocked",
    "block_list",
    "block_lists",
    "blocked",
    "change_block_list",
    "create_block_list",
    "delete_block_list",
]

FILE_BYTES = 2 * 1024 * 1024
"""The longest file of phrases."""
PHRASES = 20_000
"""Phrases of one list."""

_NOTE = "block_list"
_ITEMS = "block_list.items"


class BlockList(msgspec.Struct, frozen=True, kw_only=True):
    """A block list, less its phrases. `version` is another one whenever these are."""

    id: str
    name: str
    description: str | None = None
    role: str | None = None
    source: dict[str, str] | None = None
    created: float
    updated: float
    version: str
    bytes: int
    items: int
    token: str | None = None


class _Items(msgspec.Struct, frozen=True):
    phrases: tuple[str, ...]


class Blocked:
    """Whether a query has a blocked phrase."""

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


NOTHING = Blocked()

_parsed: Latest[Blocked] = Latest()


def blocked(notes: Notes) -> Blocked:
    """What the block list of an index blocks now; nothing without one."""
    while True:
        held = notes.read(_NOTE, BlockList)
        if held is None:
            return NOTHING
        try:
            return _parsed.of(notes.index.uid, held.version, partial(_read, notes, held))
        except _Gone:
            again = notes.read(_NOTE, BlockList)
            if again is not None and again.version == held.version:
                raise


class _Gone(Conflict):
    """The phrases of a list were replaced between reading what it is and reading them."""


def _read(notes: Notes, held: BlockList) -> Blocked:
    stored = notes.read(f"{_ITEMS}.{held.version}", _Items)
    if stored is None:
        raise _Gone(f"The phrases of the block list {held.name!r} of {notes.index!r} are gone; update the list")
    return Blocked(stored.phrases)


def block_lists(notes: Notes) -> tuple[BlockList, ...]:
    """The block lists of an index: one or none."""
    held = notes.read(_NOTE, BlockList)
    return () if held is None else (held,)


def block_list(notes: Notes, list_id: str) -> BlockList:
    """The block list with this id. Raises ResourceNotFound."""
    for held in block_lists(notes):
        if held.id == list_id:
            return held
    raise _absent(list_id)


def create_block_list(
    notes: Notes, text: str, *, name: str, clock: Clock = time.time, token: str | None = None, **about: Any
) -> BlockList:
    """Give the index a block list: a phrase a line. `about` are its description, role and source.

    Raises:
        QuotaExceeded: there are too many phrases, or the index has a block list.
    """
    now = clock()
    items, figures = _figures(text)
    made = BlockList(id=str(uuid.uuid4()), name=name, created=now, updated=now, token=token, **about, **figures)
    notes.change(f"{_ITEMS}.{made.version}", _Items, lambda _: items)

    def put(before: BlockList | None) -> BlockList:
        if before is not None and (token is None or before.token != token):
            raise QuotaExceeded(f"An index has at most 1 block list, and this one has {before.name!r}")
        return before or made

    held: BlockList | None = None
    try:
        held = notes.change(_NOTE, BlockList, put)
    finally:
        if held is None or held.version != made.version:
            _forget(notes, made.version)
    return held or made


def change_block_list(
    notes: Notes, list_id: str, text: str | None = None, *, clock: Clock = time.time, **about: Any
) -> BlockList:
    """Give the list other phrases, or another of name, description, role and source; return what it is now.

    Raises:
        ResourceNotFound: the index has no such list. QuotaExceeded: there are too many phrases; the list stays.
    """
    before = block_list(notes, list_id)
    changes: dict[str, Any] = {**about, "updated": clock()}
    if text is not None:
        items, figures = _figures(text)
        notes.change(f"{_ITEMS}.{figures['version']}", _Items, lambda _: items)
        changes |= figures
    replaced = [before.version]

    def change(held: BlockList | None) -> BlockList:
        if held is None or held.id != list_id:
            raise _absent(list_id)
        replaced[0] = held.version
        return msgspec.structs.replace(held, **changes)

    after = notes.change(_NOTE, BlockList, change) or before
    if after.version != replaced[0]:
        _forget(notes, replaced[0])
    return after


def delete_block_list(notes: Notes, list_id: str) -> None:
    """Remove a block list. Raises ResourceNotFound."""
    held = block_list(notes, list_id)

    def remove(before: BlockList | None) -> None:
        if before is None or before.id != list_id:
            raise _absent(list_id)

    notes.change(_NOTE, BlockList, remove)
    _forget(notes, held.version)


def _figures(text: str) -> tuple[_Items, Mapping[str, Any]]:
    """The phrases of a text, and what a list tells of them."""
    size = len(text.encode())
    if size > FILE_BYTES:
        raise QuotaExceeded(f"A block list has at most {FILE_BYTES:,} bytes, got {size:,}")
    phrases = tuple(dict.fromkeys(line.strip() for line in text.removeprefix("\ufeff").splitlines() if _words(line)))
    if len(phrases) > PHRASES:
        raise QuotaExceeded(f"A block list has at most {PHRASES:,} words and phrases, got {len(phrases):,}")
    return _Items(phrases), {"version": uuid.uuid4().hex, "bytes": size, "items": len(phrases)}


def _words(text: str) -> tuple[str, ...]:
    lower = text.lower()
    return tuple(lower[word.begin : word.end] for word in words(lower))


def _forget(notes: Notes, version: str) -> None:
    notes.change(f"{_ITEMS}.{version}", _Items, lambda _: None)


def _absent(list_id: str) -> ResourceNotFound:
    return ResourceNotFound(f"There is no block list with the id {shown(list_id)}")
