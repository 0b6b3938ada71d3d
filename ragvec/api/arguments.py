"""The arguments of the Pythonic store, checked and brought into one form."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ragvec.api.dialects import NATIVE
from ragvec.api.names import check_keys
from ragvec.engine.protocol import IndexSpec
from ragvec.errors import InvalidKey, InvalidMetadata, InvalidRequest
from ragvec.filters.nodes import EVERYTHING, And, Compare, Eq, Exists, Filter, In, Not, Or, StartsWith
from ragvec.filters.parsed import parsed_filter
from ragvec.types import Metadata

__all__ = ["at_least_one", "is_matrix", "to_effort", "to_filter", "to_keys", "to_metadata", "to_recall_target"]


def to_filter(where: Mapping[str, Any] | Filter | None, spec: IndexSpec) -> Filter:
    """The filter that `where` describes, everything for None. Raises InvalidFilter."""
    if where is None:
        return EVERYTHING
    if isinstance(where, (And, Compare, Eq, Exists, In, Not, Or, StartsWith)):
        return where
    return parsed_filter(where, non_filterable=spec.non_filterable)


def at_least_one(number: int, name: str) -> int:
    """The argument `name`, an integer from 1 on. Raises InvalidRequest."""
    if isinstance(number, bool) or not isinstance(number, (int, np.integer)) or number < 1:
        raise InvalidRequest(f"Expected an integer of at least 1, got {number!r} - at `{name}`", path=name)
    return int(number)


def to_effort(number: float) -> float:
    """The argument `effort`, a number above 0 or infinity. Raises InvalidRequest."""
    if isinstance(number, bool) or not isinstance(number, (int, float, np.integer, np.floating)) or not number > 0:
        raise InvalidRequest(f"Expected a number above 0, got {number!r} - at `effort`", path="effort")
    return math.inf if isinstance(number, int) and number > sys.float_info.max else float(number)


def to_recall_target(number: float | None) -> float | None:
    """The argument `recall_target`, a number above 0 and at most 1, or None. Raises InvalidRequest."""
    if number is None:
        return None
    plain = isinstance(number, (int, float, np.integer, np.floating)) and not isinstance(number, bool)
    if not plain or not 0.0 < number <= 1.0:
        raise InvalidRequest(
            f"Expected a number above 0 and at most 1, got {number!r} - at `recall_target`", path="recall_target"
        )
    return float(number)


def is_matrix(vector: Any) -> bool:
    """Whether there are several vectors: two axes, or a list of lists or arrays."""
    if isinstance(vector, (list, tuple)):
        return bool(vector) and np.iterable(vector[0]) and not isinstance(vector[0], str)
    return np.ndim(vector) == 2


def to_keys(keys: Sequence[str]) -> list[str]:
    """A key or several as a list. Raises InvalidKey."""
    names = [keys] if isinstance(keys, str) else list(keys)
    for position, name in enumerate(names):
        if not isinstance(name, str):
            raise InvalidKey(f"Expected a text as key, got {name!r} - at `keys[{position}]`", path=f"keys[{position}]")
    check_keys(names, NATIVE, path="keys[{}]")
    return names


def to_metadata(metadata: Any) -> Sequence[Metadata | None] | None:
    """A list of dicts; a DataFrame (known by its `to_dict`) loses its missing values."""
    if metadata is None or isinstance(metadata, (list, tuple)):
        return metadata
    if isinstance(metadata, (str, bytes, Mapping)):
        got = type(metadata).__name__
        raise InvalidMetadata(
            f"Expected a list with an object for each key, or a DataFrame, got {got} - at `metadata`", path="metadata"
        )
    if hasattr(metadata, "to_dict") and hasattr(metadata, "columns"):
        present = metadata.notna().to_numpy()
        rows = metadata.to_dict("records")
        return [
            {name: value for (name, value), there in zip(row.items(), mask, strict=True) if there}
            for row, mask in zip(rows, present, strict=True)
        ]
    return list(metadata)
