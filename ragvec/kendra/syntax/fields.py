"""Conditions on fields in the advanced syntax, as filters.

Text equals exactly; of a list an element does; a text may end with `*`. Numbers and dates also compare and have ranges.
A date is a year, month, day or hour in UTC, and stands for all of it: `:2021` is that year, `:>2021` is after it,
`:>=2021` from its beginning on, `[2021-03 TO 2021-04]` both months. Other whole numbers are epoch seconds.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import NamedTuple

from ragvec.errors import InvalidRequest
from ragvec.filters.nodes import And, Compare, Eq, Filter, StartsWith
from ragvec.kendra.attributes import Field, Schema, operand
from ragvec.kendra.problems import shown
from ragvec.kendra.syntax.scan import Condition, InvalidSyntax
from ragvec.pipeline.passages import DOCUMENT_ID

__all__ = ["field_filter"]

_DATE = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d))?)?)?", re.ASCII)
_WHOLE = re.compile(r"-?\d{1,19}", re.ASCII)
_NUMBER = re.compile(r"-?\d{1,40}(?:\.\d{1,40})?", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_LONGEST = 2048


class _Span(NamedTuple):
    """What a value stands for: from `first` on, up to but not with `after`; a single number where that is None."""

    first: int | float
    after: int | float | None


def field_filter(condition: Condition, *, schema: Schema) -> Filter:
    """The filter that holds where the condition does. Raises InvalidSyntax: the index has no such field, or the value
    does not fit it."""
    name = condition.name
    if name == DOCUMENT_ID and not condition.operator:
        return Eq(DOCUMENT_ID, condition.value)
    field = schema.fields.get(name)
    if field is None:
        raise InvalidSyntax(f"the index has no field {name!r}")
    if field.type in ("LONG_VALUE", "DOUBLE", "DATE_VALUE"):
        return _of_numbers(field, condition)
    if condition.operator:
        raise InvalidSyntax(f"the field {name!r} holds text, which has neither ranges nor comparisons")
    return _of_text(field, condition)


def _of_text(field: Field, condition: Condition) -> Filter:
    value = condition.value
    if len(value) > _LONGEST:
        raise InvalidSyntax(f"the value of the field {field.name!r} has more than {_LONGEST} characters")
    if "*" in value and not condition.quoted:
        prefix = value.removesuffix("*")
        if "*" in prefix or len(prefix) < 3 or field.type == "BOOLEAN":
            raise InvalidSyntax(f"{value!r}: in a field, * stands at the end alone, after 3 characters or more")
        return StartsWith(field.name, prefix)
    if field.type == "STRING_LIST_VALUE":
        return Eq(field.name, value)
    try:
        return Eq(field.name, operand(field, "StringValue", value, path="QueryText"))
    except InvalidRequest as error:
        raise InvalidSyntax(f"{shown(value)} does not fit the field {field.name!r}") from error


def _of_numbers(field: Field, condition: Condition) -> Filter:
    first = _span(field, condition.value)
    name, operator = field.name, condition.operator
    if operator in ("[", "{"):
        last = _span(field, condition.end)
        if operator == "[":
            return And((_from(name, first), _until(name, last)))
        return And((_after(name, first), _before(name, last)))
    if operator:
        compared = {">": _after, ">=": _from, "<": _before, "<=": _until}[operator]
        return compared(name, first)
    if first.after is None:
        return Eq(name, first.first)
    return And((_from(name, first), _until(name, first)))


def _from(name: str, span: _Span) -> Filter:
    return Compare(name, "gte", span.first)


def _after(name: str, span: _Span) -> Filter:
    return Compare(name, "gt", span.first) if span.after is None else Compare(name, "gte", span.after)


def _before(name: str, span: _Span) -> Filter:
    return Compare(name, "lt", span.first)


def _until(name: str, span: _Span) -> Filter:
    return Compare(name, "lte", span.first) if span.after is None else Compare(name, "lt", span.after)


def _span(field: Field, text: str) -> _Span:
    if field.type == "DATE_VALUE":
        return _date_span(field, text)
    if field.type == "DOUBLE" and _NUMBER.fullmatch(text):
        return _Span(float(text), None)
    if not _WHOLE.fullmatch(text) or not -(2**63) <= int(text) < 2**63:
        raise InvalidSyntax(f"the field {field.name!r} holds numbers, and {shown(text)} is none")
    return _Span(int(text), None)


def _date_span(field: Field, text: str) -> _Span:
    match = _DATE.fullmatch(text)
    if match is None:
        if _WHOLE.fullmatch(text):
            return _Span(int(text), None)
        raise InvalidSyntax(f"the field {field.name!r} holds dates, and {shown(text)} is none")
    year, month, day, hour = (None if part is None else int(part) for part in match.groups())
    assert year is not None
    try:
        first = datetime(year, month or 1, day or 1, hour or 0, tzinfo=timezone.utc)
        if hour is not None:
            after = first + timedelta(hours=1)
        elif day is not None:
            after = first + timedelta(days=1)
        elif month is not None:
            after = first.replace(year=year + month // 12, month=month % 12 + 1)
        else:
            after = first.replace(year=year + 1)
    except (ValueError, OverflowError) as error:
        raise InvalidSyntax(f"there is no date {text}") from error
    return _Span(_seconds(first), _seconds(after))


def _seconds(moment: datetime) -> int:
    return int((moment - _EPOCH).total_seconds())
