"""What a person chose to see, as a filter: values of facets, conditions of the builder, and what Python has set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

import msgspec

from ragvec.errors import InvalidRequest
from ragvec.kendra.attributes import Schema
from ragvec.widgets.fields import OPERATORS

__all__ = ["Condition", "chosen_values", "where_of"]

_COMPARISONS = {"is": "$eq", "is not": "$ne", "begins with": "$startsWith", "at least": "$gte", "at most": "$lte"}
_PRESENCE = {"is there": True, "is missing": False}
_BOOLEANS = {"yes": True, "true": True, "no": False, "false": False}


class Condition(msgspec.Struct, frozen=True):
    """A line of the filter builder: a field, one of `OPERATORS` for its type, and the text that was typed."""

    field: str
    operator: str
    value: str = ""

    def __str__(self) -> str:
        return f"{self.field} {self.operator} {self.value}".rstrip()

    def where(self, schema: Schema) -> dict[str, Any]:
        """The condition as a filter.

        Raises:
            InvalidRequest: there is no such field, it knows no such operator, or no such value.
        """
        field = schema.field(self.field, path="conditions")
        if self.operator not in OPERATORS[field.type]:
            raise InvalidRequest(
                f"Expected one of {', '.join(OPERATORS[field.type])} for the field {self.field!r}, got "
                f"{self.operator!r} - at `conditions`",
                path="conditions",
            )
        if self.operator in _PRESENCE:
            return {self.field: {"$exists": _PRESENCE[self.operator]}}
        return {self.field: {_COMPARISONS[self.operator]: self._typed(field.type)}}

    def _typed(self, type_: str) -> Any:
        """The value in the type of the field; texts of dates are read with the filter."""
        text = self.value.strip()
        if not text:
            raise InvalidRequest(f"Expected a value for `{self.field} {self.operator}`, got none", path="conditions")
        if type_ == "BOOLEAN":
            if text.lower() not in _BOOLEANS:
                raise InvalidRequest(f"Expected yes or no for {self.field!r}, got {text!r}", path="conditions")
            return _BOOLEANS[text.lower()]
        if type_ not in ("LONG_VALUE", "DOUBLE"):
            return text if type_ == "DATE_VALUE" else self.value
        try:
            return int(text)
        except ValueError:
            pass
        try:
            return float(text)
        except ValueError:
            raise InvalidRequest(f"Expected a number for {self.field!r}, got {text!r}", path="conditions") from None


def chosen_values(field: str, values: Sequence[Any], *, type_: str) -> dict[str, Any]:
    """The filter for values chosen in a facet: any of them. A date stands for the year that begins with it."""
    if type_ != "DATE_VALUE":
        return {field: {"$in": list(values)}} if len(values) > 1 else {field: values[0]}
    years = [
        {field: {"$gte": _iso(value), "$lt": _iso(datetime(value.year + 1, 1, 1, tzinfo=timezone.utc))}}
        for value in values
    ]
    return {"$or": years} if len(years) > 1 else years[0]


def where_of(
    *,
    chosen: Mapping[str, Sequence[Any]],
    conditions: Sequence[Condition],
    schema: Schema,
    fixed: Mapping[str, Any] | None = None,
) -> dict[str, Any] | None:
    """All of it at once, as `QueryIndex.search` takes it; None where nothing restricts.

    Raises:
        InvalidRequest: a condition is not one.
    """
    parts = [dict(fixed)] if fixed else []
    parts += [
        chosen_values(name, values, type_=schema.field(name, path="facets").type)
        for name, values in chosen.items()
        if values
    ]
    parts += [condition.where(schema) for condition in conditions]
    if len(parts) > 1:
        return {"$and": parts}
    return parts[0] if parts else None


def _iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
