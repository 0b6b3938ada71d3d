"""From small passages that were found back to the larger part of the document that each was cut from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from ragvec.pipeline.passages import BEGIN, DOCUMENT_ID, END, HASH, PASSAGE, TEXT, passage_key
from ragvec.types import Record

__all__ = ["GAP", "PARENT", "Parent", "parent_of_each", "parents_of"]

PARENT = "_parent"
"""Where the parent of a passage begins and ends in the document, and which passages are its: [first, after)."""

GAP = "_gap"
"""The white space of the parent between what stands before a passage and the passage."""


class Parent(msgspec.Struct, frozen=True):
    """The part of a document that passages were cut from: `text` is its characters `[begin, end)`.

    A passage that was not cut from a larger part is its own parent.
    """

    document_id: str
    text: str
    begin: int
    end: int


class _Passages(Protocol):
    def get(self, keys: Sequence[str], *, data: bool = True) -> list[Record]: ...


class _Found(Protocol):
    @property
    def metadata(self) -> dict[str, Any] | None: ...


def parents_of(index: _Passages, found: Iterable[_Found]) -> list[Parent]:
    """The parents of passages that were found (hits of a query, or records, with their metadata), in the order in
    which they come first; each once, so that there may be fewer than passages.

    Passages of another version of the document, written meanwhile, are left out of a text; it is then that of the
    passage itself.
    """
    return list(dict.fromkeys(parent for parent in parent_of_each(index, found) if parent is not None))


def parent_of_each(index: _Passages, found: Iterable[_Found]) -> list[Parent | None]:
    """The parent of each passage that was found, as `parents_of` tells; None for what the pipeline did not write."""
    every = [item.metadata or {} for item in found]
    keys = [
        [passage_key(at[DOCUMENT_ID], number) for number in range(*_numbers(at))] if DOCUMENT_ID in at else []
        for at in every
    ]
    wanted = list(dict.fromkeys(name for names in keys for name in names))
    records = {record.key: record.metadata or {} for record in index.get(wanted, data=False)} if wanted else {}
    return [
        _parent(at, [records.get(name, {}) for name in names]) if names else None
        for at, names in zip(every, keys, strict=True)
    ]


def _parent(found: Mapping[str, Any], children: list[Mapping[str, Any]]) -> Parent:
    begin, end = _span(found)
    text, reached = [], begin
    for child in children:
        if child.get(HASH) != found[HASH] or child.get(PARENT) != found.get(PARENT):
            break
        if child[BEGIN] > reached:
            text.append(child.get(GAP, ""))
        text.append(child[TEXT][max(0, reached - child[BEGIN]) :])
        reached = max(reached, child[END])
    whole = "".join(text)
    if len(whole) != end - begin:
        return Parent(found[DOCUMENT_ID], found[TEXT], found[BEGIN], found[END])
    return Parent(found[DOCUMENT_ID], whole, begin, end)


def _span(metadata: Mapping[str, Any]) -> tuple[int, int]:
    begin, end = (metadata.get(PARENT) or (metadata[BEGIN], metadata[END]))[:2]
    return begin, end


def _numbers(metadata: Mapping[str, Any]) -> tuple[int, int]:
    if not metadata.get(PARENT):
        return metadata[PASSAGE], metadata[PASSAGE] + 1
    first, after = metadata[PARENT][2:4]
    return first, after
