"""The thesaurus of an index: terms that bring their synonyms into a query.

A term is found in a query word by word, by the stems that text search and highlights go by: case, accents, punctuation
and endings do not count, so `dead-letter queue` is `dead letter queues`. Of several terms that begin at the same word
the longest is taken. A term that is a single stop word is ignored.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from ragvec.errors import QuotaExceeded
from ragvec.kendra.learn.listed import TextLists
from ragvec.kendra.learn.solr import Rule, rules_of, term_count
from ragvec.kendra.limits import Limits
from ragvec.kendra.notes import Notes
from ragvec.kendra.problems import shown, unexpected
from ragvec.text.words import STOP_WORDS, words

__all__ = ["NO_SYNONYMS", "THESAURI", "StoodFor", "Synonyms", "synonyms"]


class StoodFor(NamedTuple):
    """Part of a text, and the `terms` that a thesaurus lets stand for it."""

    part: str
    terms: tuple[str, ...]


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
        terms = {stems: tuple(brought) for stems, brought in found.items() if brought}
        self._terms: Mapping[tuple[str, ...], tuple[str, ...]] = MappingProxyType(terms)
        self._longest = max(map(len, terms), default=0)

    def __repr__(self) -> str:
        return f"Synonyms of {len(self._terms):,} terms"

    def __bool__(self) -> bool:
        return bool(self._terms)

    def expand(self, text: str) -> tuple[str, ...]:
        """The terms that the words of `text` bring, in order, each once; none that stand in `text` themselves."""
        return tuple(dict.fromkeys(term for stood_for in self.brought(text) for term in stood_for.terms))

    def brought(self, text: str) -> tuple[StoodFor, ...]:
        """What each part of `text` brings, in order, the same part once; nothing that stands in `text` itself."""
        if not self._terms:
            return ()
        spans = list(words(text))
        query = _stems(text)
        found: dict[tuple[str, ...], StoodFor] = {}
        first = 0
        while first < len(query):
            for last in range(min(first + self._longest, len(query)), first, -1):
                brought = self._terms.get(query[first:last])
                if brought is not None:
                    terms = tuple(term for term in brought if not _within(_stems(term), query))
                    if terms:
                        part = text[spans[first].begin : spans[last - 1].end]
                        found.setdefault(query[first:last], StoodFor(part, terms))
                    first = last - 1
                    break
            first += 1
        return tuple(found.values())


NO_SYNONYMS = Synonyms()


def synonyms(notes: Notes) -> Synonyms:
    """The synonyms of an index as they are now; none without a thesaurus."""
    return THESAURI.current(notes)


def _stems(text: str) -> tuple[str, ...]:
    """The words of a text as they are compared: their stems, stop words in lower case."""
    return tuple(word.term or text[word.begin : word.end].lower() for word in words(text))


def _within(inner: tuple[str, ...], outer: tuple[str, ...]) -> bool:
    return any(outer[i : i + len(inner)] == inner for i in range(len(outer) - len(inner) + 1))


def _count(text: str, limits: Limits) -> dict[str, int]:
    rules = rules_of(text)
    if limits.thesaurus_rules is not None and len(rules) > limits.thesaurus_rules:
        raise QuotaExceeded(f"A thesaurus has at most {limits.thesaurus_rules:,} rules, got {len(rules):,}")
    brought: dict[str, set[str]] = {}
    for rule in rules:
        for term in rule.left:
            brought.setdefault(term.lower(), set()).update(each for each in rule.right if each.lower() != term.lower())
    for term, found in brought.items():
        if limits.synonyms is not None and len(found) > limits.synonyms:
            expected = f"at most {limits.synonyms} synonyms of a term"
            raise unexpected(expected, f"{len(found)} of {shown(term)}", path="text")
    return {"rules": len(rules), "terms": term_count(rules)}


def _parse(text: str) -> Synonyms:
    return Synonyms(rules_of(text))


THESAURI: TextLists[Synonyms] = TextLists(
    "thesaurus",
    note="thesaurus",
    most_bytes=lambda limits: limits.thesaurus_bytes,
    parse=_parse,
    count=_count,
    nothing=NO_SYNONYMS,
)
"""Thesauri, of synonym files; `figures` count their `rules` and `terms`."""
