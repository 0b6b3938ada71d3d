from __future__ import annotations

from typing import Any

import pytest

from ragvec.filters.interpret import matches
from ragvec.filters.nodes import EVERYTHING, And, Compare, Eq, Exists, Filter, In, Not, Or, StartsWith

CASES: list[tuple[Filter, dict[str, Any], bool]] = [
    (Eq("a", 1), {"a": 1.0}, True),
    (Eq("a", 1), {"a": True}, False),
    (Eq("a", True), {"a": True}, True),
    (Eq("a", True), {"a": 1}, False),
    (Eq("a", "5"), {"a": 5}, False),
    (Eq("a", "e"), {"a": "E"}, False),
    (Eq("a", "e\u0301"), {"a": "\u00e9"}, False),
    (Eq("a", "x"), {"a": ["w", "x"]}, True),
    (Eq("a", "x"), {}, False),
    (Eq("a", 2**53 + 1), {"a": 2.0**53}, False),
    (Eq("a", 2.0**53), {"a": 2**53}, True),
    (Eq("a", ""), {"a": []}, False),
    (In("a", ("x", 2)), {"a": [1, 2]}, True),
    (In("a", ("x", 2)), {"a": "y"}, False),
    (In("a", ()), {"a": 1}, False),
    (Not(Eq("a", "x")), {"a": ["w", "x"]}, False),
    (Not(Eq("a", "x")), {"b": 1}, True),
    (Not(In("a", ("x",))), {}, True),
    (Compare("a", "gt", 1), {"a": 2}, True),
    (Compare("a", "gt", 2), {"a": 2}, False),
    (Compare("a", "gte", 2), {"a": 2.0}, True),
    (Compare("a", "lt", 2), {"a": True}, False),
    (Compare("a", "lt", 2), {"a": "1"}, False),
    (Compare("a", "lt", 2), {"a": [1]}, False),
    (Compare("a", "lt", 2), {}, False),
    (Compare("a", "gt", 2.0**53), {"a": 2**53 + 1}, True),
    (Compare("a", "lt", 10**400), {"a": 1e308}, True),
    (StartsWith("a", "do"), {"a": "dog"}, True),
    (StartsWith("a", "do"), {"a": ["cat", "dog"]}, True),
    (StartsWith("a", ""), {"a": ""}, True),
    (StartsWith("a", ""), {"a": 1}, False),
    (StartsWith("a", "Do"), {"a": "dog"}, False),
    (Exists("a"), {"a": []}, True),
    (Exists("a"), {"b": 1}, False),
    (Not(Exists("a")), {"b": 1}, True),
    (EVERYTHING, {}, True),
    (Or(()), {"a": 1}, False),
    (And((Eq("a", 1), Eq("b", 2))), {"a": 1, "b": 3}, False),
    (Or((Eq("a", 1), Eq("b", 2))), {"a": 1, "b": 3}, True),
]


@pytest.mark.parametrize(("where", "metadata", "expected"), CASES, ids=repr)
def test_matches(where: Filter, metadata: dict[str, Any], expected: bool) -> None:
    assert matches(where, metadata) is expected
