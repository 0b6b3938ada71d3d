"""`parse_filter`, remembered: applications repeat a few filters, and what is known of a filter is found fastest by the
very object."""

from __future__ import annotations

from typing import Any

import msgspec

from ragvec.filters.nodes import Filter
from ragvec.filters.parse import NATIVE, FilterRules, parse_filter

__all__ = ["parsed_filter"]

_MOST_PARSED = 256
_SCALARS = frozenset({str, int, float, bool, type(None)})

_parsed: dict[tuple[bytes, FilterRules, tuple[str, ...]], Filter] = {}
"""Filters parsed lately, by content: in MessagePack, which keeps 1, 1.0 and true apart."""


def parsed_filter(document: object, rules: FilterRules = NATIVE, *, non_filterable: tuple[str, ...] = ()) -> Filter:
    """As `parse_filter`; the same object for the same content, as long as it is remembered."""
    try:
        # MessagePack writes a set like a list and a date like a text, which filters tell apart.
        content = msgspec.msgpack.encode(document) if _is_plain(document) else None
    except (TypeError, OverflowError, ValueError, RecursionError):
        content = None
    if content is None:
        return parse_filter(document, rules, non_filterable=non_filterable)
    key = (content, rules, non_filterable)
    found = _parsed.get(key)
    if found is None:
        found = parse_filter(document, rules, non_filterable=non_filterable)
        if len(_parsed) >= _MOST_PARSED:
            _parsed.clear()
        _parsed[key] = found
    return found


def _is_plain(value: Any) -> bool:
    """Whether a value consists of nothing but dicts, lists, tuples, texts, numbers, booleans and None."""
    if type(value) is dict:
        return all(map(_is_plain, value.values()))
    if type(value) is list or type(value) is tuple:
        return _SCALARS.issuperset(map(type, value)) or all(map(_is_plain, value))
    return type(value) in _SCALARS
