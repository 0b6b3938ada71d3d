"""What inverted lists alone tell of a word, phrase or wildcard: documents that have it, and passages that may."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol, TypeAlias

import numpy as np

from ragvec.engine.word_lists import Mask, WordLists
from ragvec.kendra.syntax.texts import folded_words
from ragvec.kendra.syntax.tree import Phrase, Wildcard, Word
from ragvec.text.analyzers import analyzer
from ragvec.text.forms import TELLING, form_parts, stems_of
from ragvec.types import RowArray

__all__ = ["Documents", "InLists", "TextLeaf", "in_lists"]

TextLeaf: TypeAlias = "Word | Phrase | Wildcard"

_CONTEXTUAL = frozenset({"zh", "ja", "ko"})
"""Languages in which the terms of a word depend on what stands around it."""
_NONE = np.empty(0, np.uint32)


class Documents(Protocol):
    """Documents by number: the part of `WordLists` that names them."""

    generation: int

    def names(self, groups: Mask) -> list[str]:
        """Their ids, ascending."""
        ...

    def groups(self, rows: RowArray) -> Mask:
        """Those of these rows."""
        ...


class InLists(NamedTuple):
    """The documents that have the leaf for `sure`, and the rows, uint32 ascending, that have to be read to find the
    others: none if there are no others, None for any row."""

    sure: Mask
    unsure: RowArray | None


def in_lists(lists: WordLists, leaf: TextLeaf, fields: Mapping[str, str | None]) -> InLists:
    """What the lists of these text fields, given with their languages, tell of the leaf."""
    if isinstance(leaf, Word):
        return _word(lists, leaf, fields)
    return _phrase(lists, leaf, fields) if isinstance(leaf, Phrase) else _wildcard(lists, leaf, fields)


def _word(lists: WordLists, leaf: Word, fields: Mapping[str, str | None]) -> InLists:
    by_field = [(key, set(analyzer(language).tokens(leaf.text))) for key, language in fields.items()]
    rows = _union([_every(lists, key, terms) for key, terms in by_field])
    if all(len(terms) <= 1 for _, terms in by_field):
        return InLists(lists.groups(rows), _NONE)
    # A field may hold several texts, of which each has only some of the terms.
    return InLists(lists.groups(_NONE), rows)


def _phrase(lists: WordLists, leaf: Phrase, fields: Mapping[str, str | None]) -> InLists:
    nothing = lists.groups(_NONE)
    if _CONTEXTUAL.intersection(fields.values()):
        return InLists(nothing, None)
    analyzers = [analyzer(language) for language in set(fields.values())]
    # Of the words of a phrase, those narrow down where it may stand that make one term each.
    single = [word for word in folded_words(leaf.text) if all(len(set(one.tokens(word))) == 1 for one in analyzers)]
    if not single:
        return InLists(nothing, None)
    rows = [
        _every(lists, key, {term for word in single for term in analyzer(language).tokens(word)})
        for key, language in fields.items()
    ]
    return InLists(nothing, _union(rows))


def _wildcard(lists: WordLists, leaf: Wildcard, fields: Mapping[str, str | None]) -> InLists:
    sure: list[RowArray] = []
    unsure: list[RowArray] = []
    for key, language in fields.items():
        parts = form_parts(leaf.pattern, language=language)
        if language not in TELLING or not parts[0]:
            return InLists(lists.groups(_union(sure)), None)
        stems = stems_of(parts, lists.beginning(key, parts[0]), language=language)
        sure.append(lists.rows(key, stems.sure))
        unsure.append(lists.rows(key, stems.unsure))
    found = lists.groups(_union(sure))
    rows = _union(unsure)
    if len(rows):
        rows = np.intersect1d(rows, lists.members(~found), assume_unique=True)
    return InLists(found, rows)


def _every(lists: WordLists, key: str, terms: set[str]) -> RowArray:
    """The rows with all of the terms in the field; none where there are no terms."""
    rows: RowArray | None = None
    for term in sorted(terms):
        there = lists.rows(key, [term])
        rows = there if rows is None else np.intersect1d(rows, there, assume_unique=True)
    return _NONE if rows is None else rows


def _union(parts: list[RowArray]) -> RowArray:
    return np.unique(np.concatenate([_NONE, *parts]))
