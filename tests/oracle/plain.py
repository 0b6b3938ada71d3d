"""The store's contract in plain Python over a dict: slow, short, and written without looking at how ragvec does it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def same(a: Any, b: Any) -> bool:
    """Equality of metadata values: booleans only equal booleans, strings only strings, 1 equals 1.0."""
    if isinstance(a, bool) or isinstance(b, bool):
        return isinstance(a, bool) and isinstance(b, bool) and a == b
    if isinstance(a, str) or isinstance(b, str):
        return isinstance(a, str) and isinstance(b, str) and a == b
    return bool(a == b)


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def satisfies(metadata: dict[str, Any], where: dict[str, Any]) -> bool:
    """Whether a record's metadata satisfies a JSON filter of the native dialect."""
    return all(_condition(metadata, key, operand) for key, operand in where.items())


def _condition(metadata: dict[str, Any], key: str, operand: Any) -> bool:
    if key == "$and":
        return all(satisfies(metadata, part) for part in operand)
    if key == "$or":
        return any(satisfies(metadata, part) for part in operand)
    tests = operand if isinstance(operand, dict) else {"$eq": operand}
    return all(_test(metadata, key, operator, value) for operator, value in tests.items())


def _test(metadata: dict[str, Any], key: str, operator: str, value: Any) -> bool:
    present = key in metadata
    stored = metadata.get(key)
    elements = stored if isinstance(stored, list) else [stored] if present else []
    if operator == "$exists":
        return present == value
    if operator == "$eq":
        return any(same(element, value) for element in elements)
    if operator == "$ne":
        return not any(same(element, value) for element in elements)
    if operator == "$in":
        return any(same(element, one) for element in elements for one in value)
    if operator == "$nin":
        return not any(same(element, one) for element in elements for one in value)
    if operator == "$startsWith":
        return any(isinstance(element, str) and element.startswith(value) for element in elements)
    if not is_number(stored):
        return False
    return {"$gt": stored > value, "$gte": stored >= value, "$lt": stored < value, "$lte": stored <= value}[operator]


def distance(a: list[float], b: list[float], metric: str) -> float:
    """The distance of two vectors, as the float32 that the store reports."""
    if metric == "cosine":
        dot = sum(x * y for x, y in zip(a, b, strict=True))
        value = 1.0 - dot / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))
        value = 0.0 if value < 1e-14 else min(value, 2.0)
    else:
        value = math.sqrt(sum((x - y) ** 2 for x, y in zip(a, b, strict=True)))
    return float(np.float32(value))


class PlainIndex:
    """Records by key: (vector, metadata)."""

    def __init__(self, metric: str) -> None:
        self.metric = metric
        self.records: dict[str, tuple[list[float], dict[str, Any]]] = {}

    def put(self, records: list[tuple[str, list[float], dict[str, Any]]]) -> None:
        for key, vector, metadata in records:
            self.records[key] = (vector, metadata)

    def delete(self, keys: list[str]) -> int:
        return sum(self.records.pop(key, None) is not None for key in dict.fromkeys(keys))

    def matching(self, where: dict[str, Any]) -> list[str]:
        return sorted(key for key, (_, metadata) in self.records.items() if satisfies(metadata, where))

    def query(self, vector: list[float], k: int, where: dict[str, Any]) -> list[tuple[str, float, dict[str, Any]]]:
        ranked = sorted(
            (distance(self.records[key][0], vector, self.metric), key.encode()) for key in self.matching(where)
        )
        return [(key.decode(), value, self.records[key.decode()][1]) for value, key in ranked[:k]]
