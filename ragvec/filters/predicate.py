"""A filter as a function of one record: what the interpreter says, made once and then quick for every record."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from ragvec.filters.nodes import And, Compare, Eq, Exists, Filter, In, Not, Or, StartsWith
from ragvec.types import Scalar

__all__ = ["Predicate", "predicate"]

Predicate: TypeAlias = "Callable[[Mapping[str, Any]], bool]"

_RELATIONS = {"gt": operator.gt, "gte": operator.ge, "lt": operator.lt, "lte": operator.le}


def predicate(filter: Filter) -> Predicate:  # noqa: A002 - the word for it everywhere in this package
    """The function that says of a record's metadata what `ragvec.filters.interpret.matches` says.

    Its time does not grow with the number of values of an `In`.
    """
    match filter:
        case Eq():
            return _holds(filter.field, (filter.value,))
        case In():
            return _holds(filter.field, filter.values)
        case Compare():
            return _stands(filter)
        case StartsWith():
            return _begins(filter.field, filter.prefix)
        case Exists():
            field = filter.field
            return lambda metadata: field in metadata
        case And():
            children = [predicate(child) for child in filter.children]
            return lambda metadata: all(child(metadata) for child in children)
        case Or():
            children = [predicate(child) for child in filter.children]
            return lambda metadata: any(child(metadata) for child in children)
        case Not():
            child = predicate(filter.child)
            return lambda metadata: not child(metadata)


def _holds(field: str, values: Sequence[Scalar]) -> Predicate:
    # Equal numbers hash alike, whatever their type; a set finds a NaN by identity, so NaN stays out.
    texts = {value for value in values if isinstance(value, str)}
    booleans = {value for value in values if isinstance(value, bool)}
    numbers = {value for value in values if not isinstance(value, (str, bool)) and value == value}

    def among(element: Any) -> bool:
        if isinstance(element, str):
            return element in texts
        if isinstance(element, bool):
            return element in booleans
        return isinstance(element, (int, float)) and element in numbers

    def test(metadata: Mapping[str, Any]) -> bool:
        value = metadata.get(field)
        return any(map(among, value)) if isinstance(value, (list, tuple)) else among(value)

    return test


def _stands(leaf: Compare) -> Predicate:
    field, bound, relation = leaf.field, leaf.value, _RELATIONS[leaf.operator]

    def test(metadata: Mapping[str, Any]) -> bool:
        value = metadata.get(field)
        return isinstance(value, (int, float)) and not isinstance(value, bool) and bool(relation(value, bound))

    return test


def _begins(field: str, prefix: str) -> Predicate:
    def begins(element: Any) -> bool:
        return isinstance(element, str) and element.startswith(prefix)

    def test(metadata: Mapping[str, Any]) -> bool:
        value = metadata.get(field)
        return any(map(begins, value)) if isinstance(value, (list, tuple)) else begins(value)

    return test
