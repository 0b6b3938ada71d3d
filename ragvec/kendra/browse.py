"""Documents read without a ranking: all that a filter lets through, those named, and the texts of a page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec

from ragvec.errors import NonFilterableKey
from ragvec.filters.nodes import Eq, Filter, In
from ragvec.filters.predicate import predicate
from ragvec.kendra.filters import leaves
from ragvec.kendra.found import Found
from ragvec.kendra.request.asked import conjunction
from ragvec.pipeline.passages import BEGIN, DOCUMENT_ID, END, PAGE_NUMBER, PASSAGE, TEXT

if TYPE_CHECKING:
    from ragvec.store import Index

__all__ = ["browsed", "check_filterable", "named", "with_text"]

_OF_PASSAGES = frozenset({PAGE_NUMBER, PASSAGE, BEGIN, END})
"""What differs between the passages of one document."""
_AT_ONCE = 10_000
"""Records read at a time: a store finds the places of all matches anew for each batch."""


def browsed(index: Index, where: Filter) -> list[Found]:
    """Every document that satisfies the filter, in order of key, its text left out.

    The first passage stands for its document, unless the filter looks at what differs between passages.

    Raises:
        NonFilterableKey: the filter looks at what the index keeps but cannot search.
    """
    check_filterable(index, where)
    by_passage = any(getattr(leaf, "field", "") in _OF_PASSAGES for leaf in leaves(where))
    return list(_first_passages(index, where if by_passage else conjunction(where, Eq(PASSAGE, 0))))


def named(index: Index, ids: Sequence[str], *, access: Filter) -> dict[str, Found]:
    """By id, those of the documents that there are and that `access` lets be seen, by their first passages."""
    if not ids:
        return {}
    where = conjunction(In(DOCUMENT_ID, tuple(ids)), Eq(PASSAGE, 0), access)
    return {found.document_id: found for found in _first_passages(index, where)}


def with_text(index: Index, found: Iterable[Found], *, where: Filter) -> list[Found]:
    """The same with their texts read, and those of their groups.

    What was replaced meanwhile is read as it is now, if it still satisfies the filter, which may say who may see it;
    what does not, or is gone, stays without text.
    """
    shown = list(found)
    wanted = [each.key for each in _with_members(shown) if TEXT not in each.metadata]
    if not wanted:
        return shown
    records = index.get(wanted, data=False)
    holds = predicate(where)
    now = {record.key: record.metadata for record in records if record.metadata and holds(record.metadata)}

    def read(each: Found) -> Found:
        group = None if each.group is None else tuple(read(member) for member in each.group)
        return msgspec.structs.replace(each, metadata=now.get(each.key, each.metadata), group=group)

    return [read(each) for each in shown]


def check_filterable(index: Index, where: Filter) -> None:
    """Raise NonFilterableKey if the filter looks at what the index keeps but cannot search."""
    fixed = index.non_filterable
    for leaf in leaves(where):
        name = getattr(leaf, "field", "")
        if name in fixed:
            raise NonFilterableKey(f"The index {index.name!r} has {name!r} declared non-filterable", path=name)


def _first_passages(index: Index, where: Filter) -> Iterator[Found]:
    """The first passage of each document that satisfies the filter."""
    seen = set()
    for record in index.iter(where=where, batch=_AT_ONCE):
        metadata = record.metadata or {}
        if DOCUMENT_ID in metadata and metadata[DOCUMENT_ID] not in seen:
            seen.add(metadata[DOCUMENT_ID])
            metadata.pop(TEXT, None)
            yield Found(record.key, metadata[DOCUMENT_ID], metadata, None)


def _with_members(found: Iterable[Found]) -> Iterator[Found]:
    for each in found:
        yield each
        yield from each.group or ()
