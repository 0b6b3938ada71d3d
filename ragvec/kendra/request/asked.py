"""What a search asks for, checked: the request that every stage reads."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from ragvec.filters.nodes import EVERYTHING, And, Filter
from ragvec.kendra.attributes import Field
from ragvec.kendra.rank.tuning import Tuning
from ragvec.kendra.settings import Interval

__all__ = [
    "Collapse",
    "FacetRequest",
    "Missing",
    "Request",
    "ResultType",
    "SortKey",
    "conjunction",
    "conjuncts",
]

ResultType: TypeAlias = Literal["DOCUMENT", "QUESTION_ANSWER", "ANSWER"]
Missing: TypeAlias = Literal["COLLAPSE", "IGNORE", "EXPAND"]


class SortKey(msgspec.Struct, frozen=True):
    """One field of an order."""

    field: Field
    descending: bool


class FacetRequest(msgspec.Struct, frozen=True):
    """A field to count the values of, at most `most` of them (None: all), and one field to count inside each value.

    With an `interval`, dates count under the beginning of theirs, in UTC, and numbers under the largest multiple of it
    that they reach. A `disjunctive` facet counts as if the
    filter did not restrict its own field, so that a page can offer further values beside the one chosen.
    """

    field: Field
    most: int | None
    nested: FacetRequest | None = None
    interval: Interval | float | None = None
    disjunctive: bool = False


class Collapse(msgspec.Struct, frozen=True, kw_only=True):
    """Documents that share the value of `field` shown as one, the first of them by `sort` (else the most relevant).

    `missing`: what becomes of documents without a value: one group, none shown, or each shown. With `expand`, the
    first `groups` shown carry up to `members` of the other documents of their group.
    """

    field: Field
    sort: tuple[SortKey, ...] = ()
    missing: Missing = "COLLAPSE"
    expand: bool = False
    groups: int = 10
    members: int = 10


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A checked request. Without `text` it browses; `requested` None stands for every displayable attribute.

    `where` holds for all that may be found: the filter, the language, and `access`, which alone says who may see it.
    `kind` keeps one type of result. `syntax` reads operators in the text. `answers` and `faqs` ask for those types;
    with `beside` they stand beside the pages of documents, on the first page, else in front of them, within the pages.
    """

    text: str | None = None
    where: Filter = EVERYTHING
    access: Filter = EVERYTHING
    facets: tuple[FacetRequest, ...] = ()
    sort: tuple[SortKey, ...] = ()
    page: int = 1
    page_size: int = 10
    requested: tuple[str, ...] | None = None
    kind: ResultType | None = None
    overrides: tuple[Tuning, ...] = ()
    collapse: Collapse | None = None
    spelling: bool = False
    visitor: str | None = None
    user: str | None = None
    syntax: bool = False
    answers: bool = False
    faqs: bool = False
    featured: bool = False
    beside: bool = False


def conjunction(*filters: Filter) -> Filter:
    """All of the filters at once, those that restrict nothing left out."""
    real = tuple(where for where in filters if where != EVERYTHING)
    return real[0] if len(real) == 1 else And(real)


def conjuncts(where: Filter) -> tuple[Filter, ...]:
    """The filters that all have to hold for `where` to hold."""
    if not isinstance(where, And):
        return (where,)
    return tuple(part for child in where.children for part in conjuncts(child))
