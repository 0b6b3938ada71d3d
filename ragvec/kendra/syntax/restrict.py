"""What a query in the advanced syntax demands, as one filter over the documents of an index.

It is exact over the whole index: a document is found however it ranks. A document has a word where any of its passages
has it, in its text, title or heading. Words are looked up in the inverted lists of the index's text fields, by which
they meet their other forms too, and wildcards likewise, as far as stems tell them (`ragvec.text.forms`). What the lists
cannot tell is read: phrases, in the passages that hold all their words, and wildcards in those with a word that may be
of their form. An index without text fields is read from end to end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ragvec.engine.protocol import IndexEngine
from ragvec.engine.word_lists import Mask
from ragvec.errors import ExpiredToken
from ragvec.filters.nodes import EVERYTHING, And, Filter, In, Not, Or
from ragvec.kendra.syntax.listed import Documents, TextLeaf, in_lists
from ragvec.kendra.syntax.read import ParsedQuery
from ragvec.kendra.syntax.reading import Reading
from ragvec.kendra.syntax.tree import Attribute, Demand, Every, Some, Unless, leaves_of
from ragvec.pipeline.passages import DOCUMENT_ID, DOCUMENT_TITLE, HEADING, TEXT
from ragvec.types import RowArray

if TYPE_CHECKING:
    from ragvec.store import Index

__all__ = ["restrict"]

_READ_WITHOUT_LISTS: Mapping[str, str | None] = {TEXT: "en", DOCUMENT_TITLE: "en", HEADING: "en"}
_ATTEMPTS = 5
_AT_ONCE = 1_024


def restrict(index: Index, parsed: ParsedQuery) -> Filter:
    """The filter that holds for the passages of exactly those documents of the index that a query asks for.

    Raises:
        MissingExtra: the library of a text field's language is not installed.
    """
    if parsed.terms is None:
        return parsed.where
    found = _documents(index, parsed.terms)
    demanded = _filter_of(_evaluated(parsed.terms, found), found)
    return demanded if parsed.where == EVERYTHING else And((parsed.where, demanded))


class _Found(NamedTuple):
    """For each leaf the documents that have it, numbered as in `documents`."""

    documents: Documents
    by_leaf: Mapping[TextLeaf, Mask]


def _evaluated(demand: Demand, found: _Found) -> Filter | Mask:
    """The documents that satisfy the demand, or a filter where attributes take part in it."""
    if isinstance(demand, Attribute):
        return demand.where
    if isinstance(demand, Unless):
        wanted, unwanted = _evaluated(demand.wanted, found), _evaluated(demand.unwanted, found)
        if isinstance(wanted, np.ndarray) and isinstance(unwanted, np.ndarray):
            return wanted & ~unwanted
        return And((_filter_of(wanted, found), Not(_filter_of(unwanted, found))))
    if isinstance(demand, (Every, Some)):
        parts = [_evaluated(part, found) for part in demand.parts]
        masks = [part for part in parts if isinstance(part, np.ndarray)]
        filters: list[Filter] = [part for part in parts if not isinstance(part, np.ndarray)]
        combine = np.logical_and if isinstance(demand, Every) else np.logical_or
        if not masks:
            return And(tuple(filters)) if isinstance(demand, Every) else Or(tuple(filters))
        together: Mask = combine.reduce(masks)
        if not filters:
            return together
        every = (_filter_of(together, found), *filters)
        return And(every) if isinstance(demand, Every) else Or(every)
    return found.by_leaf[demand]


def _filter_of(evaluated: Filter | Mask, found: _Found) -> Filter:
    if isinstance(evaluated, np.ndarray):
        return In(DOCUMENT_ID, tuple(found.documents.names(evaluated)))
    return evaluated


def _documents(index: Index, demand: Demand) -> _Found:
    """The documents that have each word, phrase and wildcard of the demand; those that the demand as a whole cannot
    hold for may be left out of the ones that are costly to find."""
    leaves = list(dict.fromkeys(leaf for leaf in leaves_of(demand) if not isinstance(leaf, Attribute)))
    fields = index.text_fields
    if not fields:
        return _read_through(index, leaves)
    for _ in range(_ATTEMPTS - 1):
        try:
            return _looked_up(index, demand, leaves, fields=fields)
        except ExpiredToken:  # the index was compacted between looking up and reading
            continue
    return _looked_up(index, demand, leaves, fields=fields)


def _looked_up(index: Index, demand: Demand, leaves: Sequence[TextLeaf], *, fields: Mapping[str, str | None]) -> _Found:
    engine = index.bucket.store.engine.index(index.spec)
    lists = engine.word_lists(by=DOCUMENT_ID)
    looked = {leaf: in_lists(lists, leaf, fields) for leaf in leaves}
    known = {leaf: one.sure for leaf, one in looked.items() if one.unsure is not None and not len(one.unsure)}
    found = {leaf: one.sure for leaf, one in looked.items()}
    possible = _possible(demand, known)
    for leaf, one in looked.items():
        if leaf in known:
            continue
        rows = one.unsure
        if rows is None:
            rows = lists.members(~found[leaf] if possible is None else possible & ~found[leaf])
        elif possible is not None:
            rows = np.intersect1d(rows, lists.members(possible & ~found[leaf]), assume_unique=True)
        found[leaf] = found[leaf] | _read(engine, lists, rows, Reading(leaf, fields))
    return _Found(lists, found)


def _possible(demand: Demand, known: Mapping[TextLeaf, Mask]) -> Mask | None:
    """Documents among which all are that satisfy the demand, as far as is known without reading; None for any."""
    if isinstance(demand, (Every, Some)):
        parts = [_possible(part, known) for part in demand.parts]
        masks = [part for part in parts if part is not None]
        if isinstance(demand, Some):
            return np.logical_or.reduce(masks) if len(masks) == len(parts) else None
        return np.logical_and.reduce(masks) if masks else None
    if isinstance(demand, Unless):
        return _possible(demand.wanted, known)
    return None if isinstance(demand, Attribute) else known.get(demand)


def _read(engine: IndexEngine, lists: Documents, rows: RowArray, test: Reading) -> Mask:
    """The documents of those of the rows whose texts pass the test."""
    passed: list[int] = []
    seen: set[Any] = set()
    for first in range(0, len(rows), _AT_ONCE):
        some = rows[first : first + _AT_ONCE]
        records = engine.fetch(some, generation=lists.generation, data=False, metadata=True)
        for row, record in zip(some.tolist(), records, strict=True):
            metadata = (record and record.metadata) or {}
            document = metadata.get(DOCUMENT_ID)
            if isinstance(document, str) and document not in seen and test.holds(metadata):
                seen.add(document)
                passed.append(row)
    return lists.groups(np.array(passed, np.uint32))


class _AllRead:
    """Documents by their numbers in a list of names."""

    generation = 0

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names

    def names(self, groups: Mask) -> list[str]:
        return [self._names[number] for number in np.flatnonzero(groups).tolist()]

    def groups(self, rows: RowArray) -> Mask:
        found = np.zeros(len(self._names), np.bool_)
        found[rows] = True
        return found


def _read_through(index: Index, leaves: Sequence[TextLeaf]) -> _Found:
    """The documents that have each of the leaves, by reading every passage."""
    having: dict[TextLeaf, set[str]] = {leaf: set() for leaf in leaves}
    tests = [(leaf, Reading(leaf, _READ_WITHOUT_LISTS)) for leaf in leaves]
    for record in index.iter():
        metadata = record.metadata or {}
        document = metadata.get(DOCUMENT_ID)
        if not isinstance(document, str):
            continue
        for leaf, test in tests:
            if document not in having[leaf] and test.holds(metadata):
                having[leaf].add(document)
    names = sorted(set[str]().union(*having.values()))
    number_of = {name: number for number, name in enumerate(names)}
    documents = _AllRead(names)
    by_leaf = {
        leaf: documents.groups(np.array([number_of[name] for name in those], np.uint32))
        for leaf, those in having.items()
    }
    return _Found(documents, by_leaf)
