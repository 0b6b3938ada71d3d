"""What a query in the advanced syntax demands of a document, as a tree."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from ragvec.filters.nodes import Filter

__all__ = ["Attribute", "Demand", "Every", "Phrase", "Some", "Unless", "Wildcard", "Word", "leaves_of"]


class Word(msgspec.Struct, frozen=True, tag=True):
    """The document has this word, in any of its forms."""

    text: str


class Phrase(msgspec.Struct, frozen=True, tag=True):
    """The document has these words one after the other, as they are written but for case."""

    text: str


class Wildcard(msgspec.Struct, frozen=True, tag=True):
    """The document has a word of this form, in which `*` stands for any characters or none."""

    pattern: str


class Attribute(msgspec.Struct, frozen=True, tag=True):
    """The document's attributes satisfy the filter."""

    where: Filter


class Every(msgspec.Struct, frozen=True, tag=True):
    """All parts hold."""

    parts: tuple[Demand, ...]


class Some(msgspec.Struct, frozen=True, tag=True):
    """At least one part holds."""

    parts: tuple[Demand, ...]


class Unless(msgspec.Struct, frozen=True, tag=True):
    """`wanted` holds, and `unwanted` does not."""

    wanted: Demand
    unwanted: Demand


Demand: TypeAlias = "Word | Phrase | Wildcard | Attribute | Every | Some | Unless"


def leaves_of(demand: Demand) -> list[Word | Phrase | Wildcard | Attribute]:
    """The demands that consist of no others, left to right."""
    if isinstance(demand, (Every, Some)):
        return [leaf for part in demand.parts for leaf in leaves_of(part)]
    if isinstance(demand, Unless):
        return [*leaves_of(demand.wanted), *leaves_of(demand.unwanted)]
    return [demand]
