"""Filters as LangChain's vector stores take them, in one form.

Besides those of the vector API (`{"year": {"$gte": 2020}}`, `$and`, `$or`) there are a few habits of other stores: a
plain value is compared for equality, a list means any of its values, operators may come without their `$`, and
`$between`, `$not`, `$like` (a text that ends in one %) are written with what there is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ragvec.errors import InvalidFilter

__all__ = ["native_filter"]

_COMPARISONS = frozenset({"eq", "ne", "gt", "gte", "lt", "lte", "in", "nin", "exists", "startsWith"})
_OPPOSITES = {"$eq": "$ne", "$ne": "$eq", "$in": "$nin", "$nin": "$in"}
_OTHER_SIDES = {"$gt": "$lte", "$gte": "$lt", "$lt": "$gte", "$lte": "$gt"}
_JOINED = {"$and": "$or", "$or": "$and"}


def native_filter(given: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The same filter in the vector API's form; None for none, or for one without conditions.

    Raises:
        InvalidFilter: an operator is unknown, or has an operand of another form.
    """
    if given is None:
        return None
    if not isinstance(given, Mapping):
        raise InvalidFilter(f"Expected a filter as a mapping, got {type(given).__name__} - at `filter`", path="filter")
    conditions = [_entry(key, value, "filter") for key, value in given.items()]
    return _all(conditions) if conditions else None


def _entry(key: str, value: Any, path: str) -> dict[str, Any]:
    path = f"{path}.{key}"
    name = key if key.startswith("$") else f"${key}" if key in ("and", "or", "not") and _is_operand(value) else ""
    if name in _JOINED:
        if not isinstance(value, (list, tuple)) or not value:
            raise InvalidFilter(f"Expected a list of filters, got {value!r} - at `{path}`", path=path)
        return {name: [_required(part, f"{path}[{at}]") for at, part in enumerate(value)]}
    if name == "$not":
        return _negated(_required(value, path), path)
    if name:
        raise InvalidFilter(f"Expected a metadata key, $and, $or or $not, got {key!r} - at `{path}`", path=path)
    if isinstance(value, Mapping):
        if not value:
            raise InvalidFilter(f"Expected an operator, got an empty object - at `{path}`", path=path)
        return _all([_comparison(key, operator, operand, path) for operator, operand in value.items()])
    if isinstance(value, (list, tuple, set, frozenset)):
        return {key: {"$in": list(value)}}
    return {key: {"$eq": value}}


def _is_operand(value: Any) -> bool:
    return isinstance(value, Mapping) or (
        isinstance(value, (list, tuple)) and bool(value) and all(isinstance(part, Mapping) for part in value)
    )


def _required(value: Any, path: str) -> dict[str, Any]:
    found = native_filter(value)
    if found is None:
        raise InvalidFilter(f"Expected a filter with a condition, got {value!r} - at `{path}`", path=path)
    return found


def _comparison(key: str, operator: str, operand: Any, path: str) -> dict[str, Any]:
    name = operator.removeprefix("$")
    if name in _COMPARISONS:
        if isinstance(operand, (tuple, set, frozenset)):
            operand = list(operand)
        return {key: {f"${name}": operand}}
    path = f"{path}.{operator}"
    if name == "between":
        if not isinstance(operand, (list, tuple)) or len(operand) != 2:
            raise InvalidFilter(f"Expected the two ends of a range, got {operand!r} - at `{path}`", path=path)
        low, high = operand
        return {"$and": [{key: {"$gte": low}}, {key: {"$lte": high}}]}
    if name == "not":
        inner = operand if isinstance(operand, Mapping) else {"$eq": operand}
        return _negated(_entry(key, inner, path), path)
    if name == "like":
        if not isinstance(operand, str) or not operand.endswith("%") or "%" in operand[:-1] or "_" in operand:
            raise InvalidFilter(f"Expected a text that ends in its only %, got {operand!r} - at `{path}`", path=path)
        return {key: {"$startsWith": operand[:-1]}}
    known = ", ".join(f"${each}" for each in sorted(_COMPARISONS | {"between", "not", "like"}))
    raise InvalidFilter(f"Expected one of {known}, got {operator!r} - at `{path}`", path=path)


def _negated(condition: dict[str, Any], path: str) -> dict[str, Any]:
    """What holds where `condition` does not."""
    ((key, value),) = condition.items()
    if key in _JOINED:
        return {_JOINED[key]: [_negated(part, path) for part in value]}
    ((operator, operand),) = value.items()
    if operator in _OPPOSITES:
        return {key: {_OPPOSITES[operator]: operand}}
    if operator == "$exists":
        return {key: {"$exists": not operand}}
    if operator in _OTHER_SIDES:
        # A record without the key, or with another type under it, is on neither side.
        raise InvalidFilter(
            f"Expected a condition that has an opposite ($eq, $ne, $in, $nin, $exists), got {operator}: write "
            f"{_OTHER_SIDES[operator]} for records that have the key - at `{path}`",
            path=path,
        )
    raise InvalidFilter(f"Expected a condition that has an opposite, got {operator} - at `{path}`", path=path)


def _all(conditions: list[dict[str, Any]]) -> dict[str, Any]:
    return conditions[0] if len(conditions) == 1 else {"$and": conditions}
