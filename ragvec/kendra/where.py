"""Filters on attributes in ragvec's own form, as the Pythonic search takes them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date
from typing import Any

from ragvec.errors import InvalidFilter
from ragvec.filters.nodes import Filter
from ragvec.filters.parse import parse_filter
from ragvec.kendra.attributes import Schema, epoch_seconds
from ragvec.kendra.filters import leaves
from ragvec.pipeline.passages import ACL_ALLOW, ACL_DENY, BEGIN, DOCUMENT_ID, END, PASSAGE, PASSAGES

__all__ = ["attribute_condition"]

_PASSAGE_FIELDS = frozenset({DOCUMENT_ID, PASSAGE, PASSAGES, BEGIN, END, ACL_ALLOW, ACL_DENY})


def attribute_condition(
    where: Mapping[str, Any] | Filter, *, schema: Schema, non_filterable: Collection[str], complete: bool
) -> Filter:
    """The AST of a filter given as JSON or as AST already.

    Dates may stand as datetime or date, and under a date attribute as ISO 8601 text. With `complete`, the schema names
    every attribute there is, and any other name is refused: most often it is misspelt.

    Raises:
        InvalidFilter: the filter is not well-formed, or names an unknown attribute.
        InvalidRequest: text under a date attribute is no date.
    """
    if isinstance(where, Mapping):
        where = parse_filter(_with_seconds(where, schema, of_date=False), non_filterable=non_filterable)
    for leaf in leaves(where) if complete else ():
        name = getattr(leaf, "field", "")
        if name not in schema.fields and name not in _PASSAGE_FIELDS:
            message = f"The index has no attribute {name!r} - at `where`; {schema.instead_of(name)}"
            raise InvalidFilter(message, path="where")
    return where


def _with_seconds(value: Any, schema: Schema, *, of_date: bool) -> Any:
    """`value` with every date as epoch seconds; `of_date` tells that it stands under a date attribute."""
    if isinstance(value, Mapping):
        return {
            name: _with_seconds(inner, schema, of_date=of_date or _is_date(name, schema))
            for name, inner in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_with_seconds(inner, schema, of_date=of_date) for inner in value]
    if isinstance(value, date) or (of_date and isinstance(value, str)):
        return epoch_seconds(value, path="where")
    return value


def _is_date(name: str, schema: Schema) -> bool:
    return name in schema.fields and schema.fields[name].type == "DATE_VALUE"
