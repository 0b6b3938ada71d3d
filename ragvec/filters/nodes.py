"""The filter AST: what a metadata filter means, apart from how it is written or evaluated.

Leaves test one metadata field. A field that holds a list satisfies a leaf when any of its elements does, save that
comparisons look at no lists. Strings compare by code point and exactly, numbers by exact value (1 equals 1.0), booleans
only with booleans; values of different types never match and never raise. A leaf is false where the field is missing,
and `Not` is a plain complement: so `$ne` and `$nin`, which are written with `Not`, hold where the field is missing.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from ragvec.types import Scalar

__all__ = ["EVERYTHING", "And", "Compare", "Eq", "Exists", "Filter", "In", "Not", "Operator", "Or", "StartsWith"]

Operator: TypeAlias = Literal["gt", "gte", "lt", "lte"]


class Eq(msgspec.Struct, frozen=True, tag=True):
    """The field, or an element of it, equals `value`."""

    field: str
    value: Scalar


class In(msgspec.Struct, frozen=True, tag=True):
    """The field, or an element of it, equals one of `values` (which may be empty: then nothing matches)."""

    field: str
    values: tuple[Scalar, ...]


class Compare(msgspec.Struct, frozen=True, tag=True):
    """The field is a number, not in a list, and stands in this relation to `value`."""

    field: str
    operator: Operator
    value: int | float


class StartsWith(msgspec.Struct, frozen=True, tag=True):
    """The field, or an element of it, is a string that begins with `prefix` (the empty prefix matches every string)."""

    field: str
    prefix: str


class Exists(msgspec.Struct, frozen=True, tag=True):
    """The record has the field, whatever its value."""

    field: str


class And(msgspec.Struct, frozen=True, tag=True):
    """Every child holds; with no children, everything matches."""

    children: tuple[Filter, ...]


class Or(msgspec.Struct, frozen=True, tag=True):
    """At least one child holds; with no children, nothing matches."""

    children: tuple[Filter, ...]


class Not(msgspec.Struct, frozen=True, tag=True):
    """The child does not hold."""

    child: Filter


Filter: TypeAlias = "Eq | In | Compare | StartsWith | Exists | And | Or | Not"

EVERYTHING = And(())
"""The filter that every record satisfies."""
