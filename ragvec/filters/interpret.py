"""The plain reading of a filter, record by record: the oracle that every faster path answers to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ragvec.filters.nodes import And, Compare, Eq, Exists, Filter, In, Not, Or, StartsWith
from ragvec.types import Scalar

__all__ = ["matches"]


def matches(filter: Filter, metadata: Mapping[str, Any]) -> bool:  # noqa: A002 - the word for it everywhere in this package
    """Whether a record with this metadata (decoded JSON) satisfies the filter. Never raises for any metadata value."""
    match filter:
        case Eq():
            return any(_same(element, filter.value) for element in _elements(filter.field, metadata))
        case In():
            elements = _elements(filter.field, metadata)
            return any(_same(element, value) for element in elements for value in filter.values)
        case Compare():
            return _stands(metadata.get(filter.field), filter)
        case StartsWith():
            texts = (element for element in _elements(filter.field, metadata) if isinstance(element, str))
            return any(text.startswith(filter.prefix) for text in texts)
        case Exists():
            return filter.field in metadata
        case And():
            return all(matches(child, metadata) for child in filter.children)
        case Or():
            return any(matches(child, metadata) for child in filter.children)
        case Not():
            return not matches(filter.child, metadata)


def _elements(field: str, metadata: Mapping[str, Any]) -> Iterator[Any]:
    if field in metadata:
        value = metadata[field]
        if isinstance(value, (list, tuple)):
            yield from value
        else:
            yield value


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _same(element: object, value: Scalar) -> bool:
    if isinstance(element, str) and isinstance(value, str):
        return element == value
    if isinstance(element, bool) and isinstance(value, bool):
        return element == value
    return _is_number(element) and _is_number(value) and element == value


def _stands(value: Any, test: Compare) -> bool:
    if not _is_number(value):
        return False
    match test.operator:
        case "gt":
            return bool(value > test.value)
        case "gte":
            return bool(value >= test.value)
        case "lt":
            return bool(value < test.value)
        case "lte":
            return bool(value <= test.value)
