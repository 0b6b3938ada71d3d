"""Filters over posting lists: a filter becomes the Roaring bitmap of the rows that satisfy it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from pyroaring import BitMap

from ragvec.filters.nodes import And, Compare, Eq, Exists, Filter, In, Not, Operator, Or, StartsWith
from ragvec.types import Scalar

__all__ = ["Bounds", "Postings", "rows_matching"]

Bounds = Sequence[tuple[Operator, "int | float"]]
"""Comparisons with numbers, all of which must hold."""


class Postings(Protocol):
    """The rows that satisfy each kind of leaf. Every bitmap returned is the caller's own, to modify at will."""

    def universe(self) -> BitMap:
        """All rows, deleted ones included."""
        ...

    def equal(self, field: str, value: Scalar) -> BitMap:
        """Rows whose field is `value`, or is a list that holds it."""
        ...

    def any_of(self, field: str, values: Sequence[Scalar]) -> BitMap:
        """Rows whose field is one of `values`, or is a list that holds one."""
        ...

    def compare(self, field: str, bounds: Bounds) -> BitMap:
        """Rows whose field is a number, not in a list, that satisfies every bound (at least one is given)."""
        ...

    def starts_with(self, field: str, prefix: str) -> BitMap:
        """Rows whose field is a string that begins with `prefix`, or is a list that holds one."""
        ...

    def exists(self, field: str) -> BitMap:
        """Rows that have the field, whatever its value."""
        ...


def rows_matching(filter: Filter, postings: Postings) -> BitMap:  # noqa: A002 - the word for it everywhere in this package
    """The rows of `postings` that satisfy the filter, as a bitmap of the caller's own."""
    match filter:
        case Eq():
            return postings.equal(filter.field, filter.value)
        case In():
            return postings.any_of(filter.field, filter.values)
        case Compare():
            return postings.compare(filter.field, [(filter.operator, filter.value)])
        case StartsWith():
            return postings.starts_with(filter.field, filter.prefix)
        case Exists():
            return postings.exists(filter.field)
        case And():
            return _intersection(filter, postings)
        case Or():
            parts = [rows_matching(child, postings) for child in filter.children]
            return BitMap.union(*parts) if parts else BitMap()
        case Not():
            rows = postings.universe()
            rows -= rows_matching(filter.child, postings)
            return rows


# Cheap and mostly narrow tests first: an empty intersection ends the work.
_COST: dict[type, int] = {Eq: 0, In: 1, StartsWith: 2, Compare: 3, Exists: 4, Or: 5, Not: 6}


def _intersection(conjunction: And, postings: Postings) -> BitMap:
    parts = list(_flat(conjunction))
    bounds: dict[str, list[tuple[Operator, int | float]]] = {}
    for part in parts:
        if isinstance(part, Compare):
            bounds.setdefault(part.field, []).append((part.operator, part.value))
    rows: BitMap | None = None
    for part in sorted(parts, key=lambda part: _COST[type(part)]):
        if rows is not None and not rows:
            return rows
        if isinstance(part, Not):
            rows = postings.universe() if rows is None else rows
            rows -= rows_matching(part.child, postings)
            continue
        if isinstance(part, Compare):
            # All bounds on one field are one range of the sorted column: far fewer rows than each has alone.
            together = bounds.pop(part.field, None)
            if together is None:
                continue
            found = postings.compare(part.field, together)
        else:
            found = rows_matching(part, postings)
        if rows is None:
            rows = found
        else:
            rows &= found
    return postings.universe() if rows is None else rows


def _flat(conjunction: And) -> Iterable[Filter]:
    for child in conjunction.children:
        if isinstance(child, And):
            yield from _flat(child)
        else:
            yield child
