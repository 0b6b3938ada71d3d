"""Suggestions: queries that others have asked, and values of attributes, that begin as what somebody types.

A query of the journal is suggested when it found something, has a word of more than four letters and no blocked phrase,
and was asked often enough, by enough people, lately enough. What a query showed says who may know of it: it counts for
somebody who may see each of the first three documents that it showed, so that nobody learns from a suggestion what
others read. Most frequent first, then the latest.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import msgspec

from ragvec.filters.interpret import matches
from ragvec.filters.nodes import And, Eq, Filter, In
from ragvec.kendra.faqs.stored import questions_index
from ragvec.kendra.learn.blocked import blocked
from ragvec.kendra.learn.cached import Latest
from ragvec.kendra.learn.journal import Asked, asked, normal_text
from ragvec.kendra.notes import Notes
from ragvec.pipeline.passages import DOCUMENT_ID, PASSAGE, TEXT, passage_key
from ragvec.text.words import words

if TYPE_CHECKING:
    from ragvec.kendra.attributes import Schema
    from ragvec.store import Index

__all__ = [
    "LONGEST",
    "SHORTEST",
    "SUGGESTIBLE",
    "Config",
    "Suggestion",
    "Value",
    "change_config",
    "clear",
    "config_of",
    "suggested_queries",
    "suggested_values",
    "suggestible_fields",
    "suggestible_queries",
]

SHORTEST, LONGEST = 2, 60
"""How many characters may have been typed."""

SUGGESTIBLE = ("STRING_VALUE", "STRING_LIST_VALUE")
"""The types of fields whose values may be suggested."""

_NOTE = "suggestions"
_DAY = 86_400.0
_WORD = 4
_FIRST = 3
_TRIED = 200
_SOURCES = 10
_SCANNED = 1 << 16


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """How suggestions are made. By default one use by one person makes a query a suggestion: Kendra asks for three
    people, and a laptop has one. `suggestible` says of attributes whether their values are suggested; those it does not
    name are when they are text that words are sought in."""

    mode: Literal["ENABLED", "LEARN_ONLY"] = "ENABLED"
    days: int = 180
    anonymous: bool = True
    users: int = 1
    count: int = 1
    attributes: Literal["ACTIVE", "INACTIVE"] = "ACTIVE"
    suggestible: dict[str, bool] = {}
    cleared: float | None = None
    changed: float | None = None


class Suggestion(msgspec.Struct, frozen=True):
    """A suggested text and the characters [begin, end) of it that were typed."""

    text: str
    begin: int
    end: int


class Value(msgspec.Struct, frozen=True):
    """A suggested value with documents that have it, ten at most: the metadata of each, and in which attributes."""

    suggestion: Suggestion
    documents: tuple[tuple[Mapping[str, Any], tuple[str, ...]], ...]


def config_of(notes: Notes) -> Config:
    """How suggestions are made in this index."""
    return notes.read(_NOTE, Config) or Config()


def change_config(notes: Notes, changes: Mapping[str, Any], *, clock: Callable[[], float] = time.time) -> Config:
    """Change some of the settings; `suggestible` is changed for the attributes named. Returns what holds now."""

    def change(before: Config | None) -> Config:
        held = before or Config()
        suggestible = {**held.suggestible, **changes.get("suggestible", {})}
        return msgspec.structs.replace(held, **{**changes, "suggestible": suggestible, "changed": clock()})

    return notes.change(_NOTE, Config, change) or Config()


def clear(notes: Notes, *, clock: Callable[[], float] = time.time) -> None:
    """Suggest no query that was asked up to now, unless it is asked again."""
    now = clock()
    notes.change(_NOTE, Config, lambda before: msgspec.structs.replace(before or Config(), cleared=now))


def suggestible_queries(notes: Notes, *, clock: Callable[[], float] = time.time) -> int:
    """How many queries are asked often enough to be suggested, to whoever may know of them."""
    config, now, barred = config_of(notes), clock(), blocked(notes)
    uses = _uses(notes)
    return sum(_qualifies(uses.of[text], config, now=now) and text not in barred for text in uses.texts)


def suggested_queries(
    notes: Notes, typed: str, *, seen: Filter, most: int, clock: Callable[[], float] = time.time
) -> tuple[Suggestion, ...]:
    """The queries that begin with what was typed and may be known to whoever sees what satisfies `seen`."""
    config, prefix = config_of(notes), _prefix(typed)
    if config.mode != "ENABLED" or prefix is None or most < 1:
        return ()
    now, barred, uses = clock(), blocked(notes), _uses(notes)
    candidates = sorted(uses.beginning(prefix), key=lambda text: (-len(uses.of[text]), text))
    found: list[tuple[str, list[Asked]]] = []
    for first in range(0, len(candidates), _TRIED):
        some = candidates[first : first + _TRIED]
        # No more uses may count than there are, so that those to come cannot be before these.
        if len(found) == most and len(found[-1][1]) > len(uses.of[some[0]]):
            break
        counted = {text: _counted(uses.of[text], config, now=now) for text in some if text not in barred}
        counted = {text: those for text, those in counted.items() if _enough(those, config)}
        documents = {document for those in counted.values() for use in those for document in _shown(use)}
        visible = _visible(notes.index, documents, seen)
        for text, those in counted.items():
            open_to = [use for use in those if visible.issuperset(_shown(use))]
            if _enough(open_to, config):
                found.append((text, open_to))
        found = sorted(found, key=_order)[:most]
    return tuple(Suggestion(text, 0, len(prefix)) for text, _ in found)


def _order(candidate: tuple[str, Sequence[Asked]]) -> tuple[int, float, str]:
    """The most frequent first, then the latest."""
    text, uses = candidate
    return -len(uses), -uses[-1].at, text


class _Uses:
    """Queries that could be suggested, in order of text, with the times they were asked."""

    def __init__(self, queries: Iterable[Asked]) -> None:
        self.of: dict[str, list[Asked]] = {}
        for query in queries:
            if query.page == 1 and query.shown:
                self.of.setdefault(query.text, []).append(query)
        self.of = {text: uses for text, uses in self.of.items() if any(w.end - w.begin > _WORD for w in words(text))}
        self.texts = sorted(self.of)

    def beginning(self, prefix: str) -> Iterator[str]:
        """The queries that begin so."""
        for place in range(bisect_left(self.texts, prefix), len(self.texts)):
            if not self.texts[place].startswith(prefix):
                return
            yield self.texts[place]


_made: Latest[_Uses] = Latest()


def _uses(notes: Notes) -> _Uses:
    queries = asked(notes)
    newest = f"{len(queries)} {queries[0].id} {queries[-1].id}" if queries else ""
    return _made.of(notes.index.uid, newest, partial(_Uses, queries))


def _prefix(typed: str) -> str | None:
    """What was typed, as the journal writes queries; a space at its end stays, since the word before is complete."""
    normal = normal_text(typed)
    if not SHORTEST <= len(normal) <= LONGEST:
        return None
    return f"{normal} " if typed[-1:].isspace() else normal


def _counted(uses: Sequence[Asked], config: Config, *, now: float) -> list[Asked]:
    """The uses that the settings let count."""
    return [
        use
        for use in uses
        if use.at >= now - config.days * _DAY
        and (config.cleared is None or use.at > config.cleared)
        and (config.anonymous or use.who is not None)
    ]


def _qualifies(uses: Sequence[Asked], config: Config, *, now: float) -> bool:
    return _enough(_counted(uses, config, now=now), config)


def _enough(uses: Sequence[Asked], config: Config) -> bool:
    people = len({use.who for use in uses})
    return len(uses) >= max(1, config.count) and (config.anonymous or people >= config.users)


def _shown(use: Asked) -> tuple[str, ...]:
    return tuple(shown.document for shown in use.shown[:_FIRST])


def _visible(index: Index, documents: set[str], seen: Filter) -> set[str]:
    """Those of the documents, and rows of FAQs, that satisfy `seen`."""
    keys = [passage_key(document, 0) for document in sorted(documents)]
    records = index.get(keys, data=False) if keys else []
    visible = {
        str(record.metadata[DOCUMENT_ID])
        for record in records
        if record.metadata and DOCUMENT_ID in record.metadata and matches(seen, record.metadata)
    }
    rest = sorted(documents - visible)
    beside = questions_index(index) if rest else None
    if beside is not None:
        rows = beside.iter(where=And((In(DOCUMENT_ID, tuple(rest)), seen)))
        visible |= {str(row.metadata[DOCUMENT_ID]) for row in rows if row.metadata}
    return visible


def suggestible_fields(notes: Notes, schema: Schema) -> tuple[str, ...]:
    """The fields whose values are suggested, in order: searchable ones of text, unless the configuration says otherwise
    of one."""
    suggestible = config_of(notes).suggestible
    return tuple(
        sorted(
            name
            for name, field in schema.fields.items()
            if field.type in SUGGESTIBLE and suggestible.get(name, field.searchable)
        )
    )


def suggested_values(
    index: Index, typed: str, *, attributes: Sequence[str], where: Filter, most: int
) -> tuple[Value, ...]:
    """Values of these attributes, of documents that satisfy `where`, in which a word begins what was typed; those of
    most documents first, then in order of value. Looks at every document, and remembers what it saw until the index
    changes."""
    prefix = _prefix(typed)
    if prefix is None or most < 1:
        return ()
    now = index.stats()
    having = _values.of(
        f"{index.uid} {sorted(attributes)} {where!r}",
        f"{now.generation} {now.sequence}",
        partial(_having, index, attributes=attributes, where=where),
    )
    placed = [(text, place) for text in having if (place := _placed(text, prefix)) is not None]
    best = sorted(placed, key=lambda one: (-len(having[one[0]]), one[0]))[:most]
    return tuple(Value(place, tuple(having[text][:_SOURCES])) for text, place in best)


_Having: TypeAlias = "dict[str, list[tuple[Mapping[str, Any], tuple[str, ...]]]]"
_values: Latest[_Having] = Latest(most=4)


def _having(index: Index, *, attributes: Sequence[str], where: Filter) -> _Having:
    """The documents that have each value, by their metadata, and in which attributes."""
    having: _Having = {}
    for record in index.iter(where=And((where, Eq(PASSAGE, 0))), batch=_SCANNED):
        metadata = record.metadata or {}
        metadata.pop(TEXT, None)
        of_document: dict[str, list[str]] = {}
        for name in attributes:
            value = metadata.get(name)
            for text in value if isinstance(value, (list, tuple)) else (value,):
                if isinstance(text, str):
                    of_document.setdefault(text, []).append(name)
        for text, names in of_document.items():
            having.setdefault(text, []).append((metadata, tuple(names)))
    return having


def _placed(text: str, prefix: str) -> Suggestion | None:
    """Where a word of `text` begins the prefix, its case aside."""
    lower = text.lower()
    if len(lower) != len(text):  # a few letters have a longer lower case
        lower = "".join(letter.lower()[:1] for letter in text)
    for word in words(text):
        if lower.startswith(prefix, word.begin):
            return Suggestion(text, word.begin, word.begin + len(prefix))
    return None
