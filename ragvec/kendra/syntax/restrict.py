"""What a query in the advanced syntax demands, as one filter over the documents of an index.

It is exact over the whole index: a document is found however it ranks. A document has a word where any of its passages
has it, in its text, title or heading. Words are looked up in the inverted lists of the index's text fields, by which
they meet their other forms too. Phrases are read in the passages that hold all their words, and wildcards in all
passages of the documents that the rest leaves. An index without text fields is read from end to end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from ragvec.engine.protocol import IndexEngine, TextQuery
from ragvec.errors import ExpiredToken
from ragvec.filters.nodes import EVERYTHING, And, Filter, In, Not, Or
from ragvec.kendra.syntax.read import ParsedQuery
from ragvec.kendra.syntax.texts import folded_words, glob_parts, has_glob, has_phrase, has_word
from ragvec.kendra.syntax.tree import Attribute, Demand, Every, Phrase, Some, Unless, Wildcard, Word, leaves_of
from ragvec.pipeline.passages import DOCUMENT_ID, DOCUMENT_TITLE, HEADING, TEXT
from ragvec.text.analyzers import Analyzer, analyzer
from ragvec.types import RowArray

if TYPE_CHECKING:
    from ragvec.store import Index

__all__ = ["restrict"]

_READ_WITHOUT_LISTS: Mapping[str, str | None] = {TEXT: "en", DOCUMENT_TITLE: "en", HEADING: "en"}
_CONTEXTUAL = frozenset({"zh", "ja", "ko"})
"""Languages in which the terms of a word depend on what stands around it."""
_ATTEMPTS = 5
_FEW_DOCUMENTS = 4_096
_AT_ONCE = 1_024

_TextLeaf: TypeAlias = "Word | Phrase | Wildcard"
_Found: TypeAlias = "dict[_TextLeaf, set[str]]"


def restrict(index: Index, parsed: ParsedQuery) -> Filter:
    """The filter that holds for the passages of exactly those documents of the index that a query asks for.

    Raises:
        MissingExtra: the library of a text field's language is not installed.
    """
    if parsed.terms is None:
        return parsed.where
    found = _documents(index, parsed.terms)
    demanded = _filter_of(_evaluated(parsed.terms, found))
    return demanded if parsed.where == EVERYTHING else And((parsed.where, demanded))


def _evaluated(demand: Demand, found: _Found) -> Filter | set[str]:
    """The documents that satisfy the demand, or a filter where attributes take part in it."""
    if isinstance(demand, Attribute):
        return demand.where
    if isinstance(demand, Unless):
        wanted, unwanted = _evaluated(demand.wanted, found), _evaluated(demand.unwanted, found)
        if isinstance(wanted, set) and isinstance(unwanted, set):
            return wanted - unwanted
        return And((_filter_of(wanted), Not(_filter_of(unwanted))))
    if isinstance(demand, (Every, Some)):
        parts = [_evaluated(part, found) for part in demand.parts]
        sets = [part for part in parts if isinstance(part, set)]
        filters: list[Filter] = [part for part in parts if not isinstance(part, set)]
        if isinstance(demand, Every):
            common = set.intersection(*sets) if sets else set()
            return common if not filters else And((*([In(DOCUMENT_ID, _listed(common))] if sets else []), *filters))
        together = set[str]().union(*sets)
        return together if not filters else Or((*([In(DOCUMENT_ID, _listed(together))] if sets else []), *filters))
    return found[demand]


def _filter_of(evaluated: Filter | set[str]) -> Filter:
    return In(DOCUMENT_ID, _listed(evaluated)) if isinstance(evaluated, set) else evaluated


def _listed(documents: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(documents))


def _documents(index: Index, demand: Demand) -> _Found:
    """The documents that have each word, phrase and wildcard of the demand; those that the demand as a whole cannot
    hold for may be left out of the ones that are costly to find."""
    leaves = list(dict.fromkeys(leaf for leaf in leaves_of(demand) if not isinstance(leaf, Attribute)))
    fields = index.text_fields
    if not fields:
        return _read_through(index, leaves, fields=_READ_WITHOUT_LISTS, documents=None)
    found = _looked_up(index, [leaf for leaf in leaves if not isinstance(leaf, Wildcard)], fields=fields)
    rest = [leaf for leaf in leaves if leaf not in found]
    if rest:
        found |= _read_through(index, rest, fields=fields, documents=_possible(demand, found))
    return found


def _possible(demand: Demand, found: _Found) -> set[str] | None:
    """Documents among which all are that satisfy the demand, as far as is known without reading; None for any."""
    if isinstance(demand, Every):
        known = [some for part in demand.parts if (some := _possible(part, found)) is not None]
        return set.intersection(*known) if known else None
    if isinstance(demand, Some):
        parts = [_possible(part, found) for part in demand.parts]
        return None if None in parts else set[str]().union(*(part for part in parts if part is not None))
    if isinstance(demand, Unless):
        return _possible(demand.wanted, found)
    return None if isinstance(demand, Attribute) else found.get(demand)


def _read_through(
    index: Index, leaves: Sequence[_TextLeaf], *, fields: Mapping[str, str | None], documents: set[str] | None
) -> _Found:
    """The documents that have each of the leaves, by reading every passage of these documents, None for all."""
    found: _Found = {leaf: set() for leaf in leaves}
    tests = [(leaf, _Test(leaf, fields)) for leaf in leaves]
    for metadata in _passages(index, documents):
        document = metadata.get(DOCUMENT_ID)
        if not isinstance(document, str) or (documents is not None and document not in documents):
            continue
        for leaf, test in tests:
            if document not in found[leaf] and test.holds(metadata):
                found[leaf].add(document)
    return found


def _passages(index: Index, documents: set[str] | None) -> Iterator[Mapping[str, Any]]:
    where: Filter = EVERYTHING
    if documents is not None and len(documents) <= _FEW_DOCUMENTS:
        where = In(DOCUMENT_ID, _listed(documents))
    return (record.metadata for record in index.iter(where=where) if record.metadata is not None)


class _Test:
    """Whether a passage has a word, phrase or wildcard in one of these fields."""

    def __init__(self, leaf: _TextLeaf, fields: Mapping[str, str | None]) -> None:
        self._leaf = leaf
        self._fields = [(key, analyzer(language)) for key, language in fields.items()]
        self._words = folded_words(leaf.text) if isinstance(leaf, Phrase) else []
        self._parts = glob_parts(leaf.pattern) if isinstance(leaf, Wildcard) else ()

    def holds(self, metadata: Mapping[str, Any]) -> bool:
        return any(self._in(text, terms) for key, terms in self._fields for text in _texts(metadata.get(key)))

    def _in(self, text: str, terms: Analyzer) -> bool:
        if isinstance(self._leaf, Word):
            return has_word(text, self._leaf.text, analyzer=terms)
        if isinstance(self._leaf, Phrase):
            return bool(self._words) and has_phrase(text, self._words)
        return has_glob(text, self._parts)


def _texts(value: object) -> Sequence[str]:
    """The texts of a text field: it holds one, or a list of them."""
    if isinstance(value, str):
        return (value,)
    return [text for text in value if isinstance(text, str)] if isinstance(value, (list, tuple)) else ()


class _Sought(NamedTuple):
    """Words to look up, all of which a passage needs to have in one field, and what else it has to pass."""

    words: tuple[str, ...]
    test: _Test | None


def _looked_up(index: Index, leaves: Sequence[Word | Phrase], *, fields: Mapping[str, str | None]) -> _Found:
    """The documents of those leaves with which the inverted lists help."""
    sought = {leaf: one for leaf in leaves if (one := _sought(leaf, fields)) is not None}
    texts = list(dict.fromkeys(word for one in sought.values() for word in one.words))
    if not texts:
        return {}
    for _ in range(_ATTEMPTS - 1):
        try:
            return _ranked(index, sought, texts, fields=fields)
        except ExpiredToken:  # the index was compacted between looking up and reading
            continue
    return _ranked(index, sought, texts, fields=fields)


def _sought(leaf: Word | Phrase, fields: Mapping[str, str | None]) -> _Sought | None:
    analyzers = [analyzer(language) for language in set(fields.values())]
    if isinstance(leaf, Word):
        # Several terms are sought as any of them, so that it remains to be seen which passages have them all.
        single = all(len(set(one.tokens(leaf.text))) <= 1 for one in analyzers)
        return _Sought((leaf.text,), None if single else _Test(leaf, fields))
    if _CONTEXTUAL.intersection(fields.values()):
        return None
    # Of the words of a phrase, those narrow down where it may stand that make one term each.
    single_words = [
        word for word in folded_words(leaf.text) if all(len(set(one.tokens(word))) == 1 for one in analyzers)
    ]
    return _Sought(tuple(dict.fromkeys(single_words)), _Test(leaf, fields)) if single_words else None


def _ranked(
    index: Index, sought: Mapping[Word | Phrase, _Sought], texts: Sequence[str], *, fields: Mapping[str, str | None]
) -> _Found:
    engine = index.bucket.store.engine.index(index.spec)
    queries = [TextQuery(key, text) for text in texts for key in fields]
    # No list is longer than the index has records, also if some are written meanwhile.
    ranked = engine.rank(vector=None, texts=queries, depth=2 * engine.count() + _AT_ONCE, where=EVERYTHING)
    lists = [ranking.rows for ranking in ranked.texts]
    rows = {text: lists[at * len(fields) : (at + 1) * len(fields)] for at, text in enumerate(texts)}
    found: _Found = {}
    for leaf, one in sought.items():
        of_fields = [_common([rows[word][at] for word in one.words]) for at in range(len(fields))]
        candidates: RowArray = np.unique(np.concatenate(of_fields))
        found[leaf] = _documents_of(engine, candidates, generation=ranked.generation, test=one.test)
    return found


def _common(rows: Sequence[RowArray]) -> RowArray:
    common = np.unique(rows[0])
    for others in rows[1:]:
        common = np.intersect1d(common, others)
    return common


def _documents_of(engine: IndexEngine, rows: RowArray, *, generation: int, test: _Test | None) -> set[str]:
    """The documents of the rows that pass the test, if there is one."""
    if test is None:
        records = engine.fetch(rows, generation=generation, data=False, metadata=False)
        return _documents_by_key(engine, [record.key for record in records if record is not None])
    found = set()
    for first in range(0, len(rows), _AT_ONCE):
        some = rows[first : first + _AT_ONCE]
        for record in engine.fetch(some, generation=generation, data=False, metadata=True):
            metadata = (record and record.metadata) or {}
            document = metadata.get(DOCUMENT_ID)
            if isinstance(document, str) and document not in found and test.holds(metadata):
                found.add(document)
    return found


def _documents_by_key(engine: IndexEngine, keys: Sequence[str]) -> set[str]:
    """The documents of the passages with these keys: what stands before the number, unless that is but a digest."""
    found, unknown = set(), []
    for key in keys:
        document, _, number = key.rpartition("#")
        if number.isdigit() and not document.startswith("sha256:"):
            found.add(document)
        else:
            unknown.append(key)
    for record in engine.get(unknown, data=False, metadata=True) if unknown else ():
        known = (record.metadata or {}).get(DOCUMENT_ID)
        if isinstance(known, str):
            found.add(known)
    return found
