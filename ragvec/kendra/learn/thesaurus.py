"""The thesaurus of an index: terms that bring their synonyms into a query.

A term is found in a query word by word, by the stems that text search and highlights go by: case, accents, punctuation
and endings do not count, so `dead-letter queue` is `dead letter queues`. Of several terms that begin at the same word
the longest is taken. A term that is a single stop word is ignored.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import msgspec

from ragvec.errors import Conflict, QuotaExceeded, ResourceNotFound
from ragvec.kendra.learn.cached import Latest
from ragvec.kendra.learn.featured import Clock
from ragvec.kendra.learn.solr import SYNONYMS, Rule, rules_of, term_count
from ragvec.kendra.notes import Notes
from ragvec.kendra.problems import shown, unexpected
from ragvec.text.words import STOP_WORDS, words

__all__ = [
    "FILE_BYTES",
    "NO_SYNONYMS",
    "Synonyms",
    "Thesaurus",
    "change_thesaurus",
    "create_thesaurus",
    "delete_thesaurus",
    "synonyms",
    "thesauri",
    "thesaurus",
]

FILE_BYTES = 5 * 1024 * 1024
"""The longest file of synonyms."""

_NOTE = "thesaurus"
_TEXT = "thesaurus.text"


class Thesaurus(msgspec.Struct, frozen=True, kw_only=True):
    """A thesaurus, less its text. `version` is another one whenever the text is; `source` is where it came from."""

    id: str
    name: str
    description: str | None = None
    role: str | None = None
    source: dict[str, str] | None = None
    created: float
    updated: float
    version: str
    bytes: int
    terms: int
    rules: int
    token: str | None = None


class _Text(msgspec.Struct, frozen=True):
    """The text of a thesaurus, kept apart since it may be large and is read once for each version."""

    version: str
    text: str


class Synonyms:
    """What each term brings. `repr` tells how many there are."""

    def __init__(self, rules: Iterable[Rule] = ()) -> None:
        found: dict[tuple[str, ...], dict[str, None]] = {}
        for rule in rules:
            for term in rule.left:
                stems = _stems(term)
                if stems and not (len(stems) == 1 and stems[0] in STOP_WORDS):
                    brought = found.setdefault(stems, {})
                    brought.update(dict.fromkeys(each for each in rule.right if _stems(each) != stems))
        terms = {stems: tuple(brought)[:SYNONYMS] for stems, brought in found.items() if brought}
        self._terms: Mapping[tuple[str, ...], tuple[str, ...]] = MappingProxyType(terms)
        self._longest = max(map(len, terms), default=0)

    def __repr__(self) -> str:
        return f"Synonyms of {len(self._terms):,} terms"

    def __bool__(self) -> bool:
        return bool(self._terms)

    def expand(self, text: str) -> tuple[str, ...]:
        """The terms that the words of `text` bring, in order, each once; none that stand in `text` themselves."""
        if not self._terms:
            return ()
        query = _stems(text)
        added: dict[str, None] = {}
        first = 0
        while first < len(query):
            for last in range(min(first + self._longest, len(query)), first, -1):
                brought = self._terms.get(query[first:last])
                if brought is not None:
                    added.update(dict.fromkeys(brought))
                    first = last - 1
                    break
            first += 1
        return tuple(term for term in added if not _within(_stems(term), query))


NO_SYNONYMS = Synonyms()


def _stems(text: str) -> tuple[str, ...]:
    """The words of a text as they are compared: their stems, stop words in lower case."""
    return tuple(word.term or text[word.begin : word.end].lower() for word in words(text))


def _within(inner: tuple[str, ...], outer: tuple[str, ...]) -> bool:
    return any(outer[i : i + len(inner)] == inner for i in range(len(outer) - len(inner) + 1))


_parsed: Latest[Synonyms] = Latest()


def synonyms(notes: Notes) -> Synonyms:
    """The synonyms of an index as they are now; none without a thesaurus."""
    while True:
        held = notes.read(_NOTE, Thesaurus)
        if held is None:
            return NO_SYNONYMS
        try:
            return _parsed.of(notes.index.uid, held.version, partial(_read, notes, held))
        except _Gone:
            again = notes.read(_NOTE, Thesaurus)
            if again is not None and again.version == held.version:
                raise


class _Gone(Conflict):
    """The text of a thesaurus was replaced between reading what it is and reading it."""


def _read(notes: Notes, held: Thesaurus) -> Synonyms:
    stored = notes.read(f"{_TEXT}.{held.version}", _Text)
    if stored is None:
        raise _Gone(f"The text of the thesaurus {held.name!r} of {notes.index!r} is gone; update the thesaurus")
    return Synonyms(rules_of(stored.text))


def thesauri(notes: Notes) -> tuple[Thesaurus, ...]:
    """The thesauri of an index: one or none."""
    held = notes.read(_NOTE, Thesaurus)
    return () if held is None else (held,)


def thesaurus(notes: Notes, thesaurus_id: str) -> Thesaurus:
    """The thesaurus with this id. Raises ResourceNotFound."""
    for held in thesauri(notes):
        if held.id == thesaurus_id:
            return held
    raise _absent(thesaurus_id)


def create_thesaurus(
    notes: Notes, text: str, *, name: str, clock: Clock = time.time, token: str | None = None, **about: Any
) -> Thesaurus:
    """Give the index a thesaurus of this synonym file; `about` are its description, role and source.

    Raises:
        InvalidRequest: the text is no synonym file. QuotaExceeded: it is too long, or the index has a thesaurus.
    """
    now = clock()
    stored, figures = _figures(text)
    made = Thesaurus(id=str(uuid.uuid4()), name=name, created=now, updated=now, token=token, **about, **figures)
    notes.change(f"{_TEXT}.{stored.version}", _Text, lambda _: stored)

    def put(before: Thesaurus | None) -> Thesaurus:
        if before is not None and (token is None or before.token != token):
            raise QuotaExceeded(f"An index has at most 1 thesaurus, and this one has {before.name!r}")
        return before or made

    try:
        held = notes.change(_NOTE, Thesaurus, put) or made
    except QuotaExceeded:
        _forget(notes, stored.version)
        raise
    if held.version != stored.version:
        _forget(notes, stored.version)
    return held


def change_thesaurus(
    notes: Notes, thesaurus_id: str, text: str | None = None, *, clock: Clock = time.time, **about: Any
) -> Thesaurus:
    """Give the thesaurus another text, or another of name, description, role and source; return what it is now.

    Raises:
        ResourceNotFound: the index has no such thesaurus. InvalidRequest, QuotaExceeded: as `create_thesaurus`; the
        thesaurus stays as it was.
    """
    before = thesaurus(notes, thesaurus_id)
    changes: dict[str, Any] = {**about, "updated": clock()}
    if text is not None:
        stored, figures = _figures(text)
        notes.change(f"{_TEXT}.{stored.version}", _Text, lambda _: stored)
        changes |= figures
    replaced = [before.version]

    def change(held: Thesaurus | None) -> Thesaurus:
        if held is None or held.id != thesaurus_id:
            raise _absent(thesaurus_id)
        replaced[0] = held.version
        return msgspec.structs.replace(held, **changes)

    after = notes.change(_NOTE, Thesaurus, change) or before
    if after.version != replaced[0]:
        _forget(notes, replaced[0])
    return after


def delete_thesaurus(notes: Notes, thesaurus_id: str) -> None:
    """Remove a thesaurus. Raises ResourceNotFound."""
    held = thesaurus(notes, thesaurus_id)

    def remove(before: Thesaurus | None) -> None:
        if before is None or before.id != thesaurus_id:
            raise _absent(thesaurus_id)

    notes.change(_NOTE, Thesaurus, remove)
    _forget(notes, held.version)


def _figures(text: str) -> tuple[_Text, dict[str, Any]]:
    """The text under a new version, and what a thesaurus tells of it."""
    size = len(text.encode())
    if size > FILE_BYTES:
        raise QuotaExceeded(f"A thesaurus has at most {FILE_BYTES:,} bytes, got {size:,}")
    rules = rules_of(text)
    brought: dict[str, set[str]] = {}
    for rule in rules:
        for term in rule.left:
            brought.setdefault(term.lower(), set()).update(each for each in rule.right if each.lower() != term.lower())
    for term, found in brought.items():
        if len(found) > SYNONYMS:
            raise unexpected(f"at most {SYNONYMS} synonyms of a term", f"{len(found)} of {shown(term)}", path="text")
    version = uuid.uuid4().hex
    return _Text(version, text), {
        "version": version,
        "bytes": size,
        "terms": term_count(rules),
        "rules": len(rules),
    }


def _forget(notes: Notes, version: str) -> None:
    notes.change(f"{_TEXT}.{version}", _Text, lambda _: None)


def _absent(thesaurus_id: str) -> ResourceNotFound:
    return ResourceNotFound(f"There is no thesaurus with the id {shown(thesaurus_id)}")
