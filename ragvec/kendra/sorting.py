"""Results in the order of attribute values."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from ragvec.kendra.request.asked import SortKey

if TYPE_CHECKING:
    from ragvec.kendra.found import Found

__all__ = ["in_order"]


def in_order(documents: Sequence[Found], keys: Sequence[SortKey]) -> list[Found]:
    """The documents by the first key, then the next; ties keep the order given, which is that of relevance.

    Text compares by code point. Documents without a value come last in either direction.
    """
    ordered = list(documents)
    for key in reversed(keys):
        name = key.field.name
        present = [found for found in ordered if name in found.metadata]
        absent = [found for found in ordered if name not in found.metadata]
        present.sort(key=partial(_value, name=name), reverse=key.descending)
        ordered = present + absent
    return ordered


def _value(found: Found, *, name: str) -> tuple[bool, Any]:
    """Comparable also where a field holds numbers in some documents and text in others."""
    value = found.metadata[name]
    return isinstance(value, str), value
