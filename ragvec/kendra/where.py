"""Filters on attributes in ragvec's own form, as the Pythonic search takes them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date
from typing import Any

from ragvec.errors import InvalidFilter
from ragvec.filters.nodes import Compare, Eq, Filter, In, StartsWith
from ragvec.filters.parse import parse_filter
from ragvec.kendra.access.lists import is_access_field
from ragvec.kendra.attributes import Field, Schema, epoch_seconds
from ragvec.kendra.filters import leaves
from ragvec.pipeline.passages import BEGIN, DOCUMENT_ID, END, PASSAGE, PASSAGES

__all__ = ["attribute_condition"]

_PASSAGE_FIELDS = frozenset({DOCUMENT_ID, PASSAGE, PASSAGES, BEGIN, END})


def attribute_condition(
    where: Mapping[str, Any] | Filter, *, schema: Schema, non_filterable: Collection[str], complete: bool
) -> Filter:
    """The AST of a filter given as JSON or as AST already.

    Dates may stand as datetime or date, and under a date attribute as ISO 8601 text. With `complete`, the schema names
    every attribute there is, and any other name is refused: most often it is misspelt.

    Raises:
        InvalidFilter: the filter is not well-formed, names an unknown attribute, or gives one a value of another type.
        InvalidRequest: text under a date attribute is no date.
    """
    if isinstance(where, Mapping):
        where = parse_filter(_with_seconds(where, schema, of_date=False), non_filterable=non_filterable)
    for leaf in leaves(where) if complete else ():
        name = getattr(leaf, "field", "")
        if name in _PASSAGE_FIELDS or is_access_field(name):
            continue
        if name not in schema.fields:
            message = f"The index has no attribute {name!r} - at `where`; {schema.instead_of(name)}"
            raise InvalidFilter(message, path="where")
        _check_type(leaf, schema.fields[name])
    return where


_NUMBERS = ("LONG_VALUE", "DOUBLE", "DATE_VALUE")


def _check_type(leaf: Filter, field: Field) -> None:
    """Refuse a value that no document can have, since an attribute has one type in all of them."""
    expected = "a number" if field.type in _NUMBERS else "true or false" if field.type == "BOOLEAN" else "text"
    if isinstance(leaf, Eq):
        wrong = [leaf.value]
    elif isinstance(leaf, In):
        wrong = list(leaf.values)
    elif isinstance(leaf, Compare):
        wrong = [leaf.value]
    elif isinstance(leaf, StartsWith):
        wrong = [leaf.prefix]
    else:
        return
    for value in wrong:
        got = "true or false" if isinstance(value, bool) else "text" if isinstance(value, str) else "a number"
        if got != expected:
            raise InvalidFilter(
                f"Expected {expected} for the attribute {field.name!r}, got {value!r} - at `where`", path="where"
            )


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
