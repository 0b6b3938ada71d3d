from __future__ import annotations

from collections.abc import Sequence

import pytest
from pyroaring import BitMap

from ragvec.filters.bitmap import Bounds, rows_matching
from ragvec.filters.interpret import matches
from ragvec.filters.nodes import EVERYTHING, And, Compare, Eq, Exists, Filter, In, Not, Or, StartsWith
from ragvec.types import Scalar

RECORDS = [{"n": row, "c": "abc"[row % 3], **({"odd": True} if row % 2 else {})} for row in range(24)]


class CountingPostings:
    """Postings that ask the interpreter about every record, and count the leaves that were evaluated."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def rows(self, where: Filter) -> BitMap:
        return BitMap([row for row, record in enumerate(RECORDS) if matches(where, record)])

    def universe(self) -> BitMap:
        return self.rows(EVERYTHING)

    def equal(self, field: str, value: Scalar) -> BitMap:
        self.asked.append("equal")
        return self.rows(Eq(field, value))

    def any_of(self, field: str, values: Sequence[Scalar]) -> BitMap:
        self.asked.append("any_of")
        return self.rows(In(field, tuple(values)))

    def compare(self, field: str, bounds: Bounds) -> BitMap:
        self.asked.append(f"compare {len(bounds)}")
        return self.rows(And(tuple(Compare(field, relation, bound) for relation, bound in bounds)))

    def starts_with(self, field: str, prefix: str) -> BitMap:
        self.asked.append("starts_with")
        return self.rows(StartsWith(field, prefix))

    def exists(self, field: str) -> BitMap:
        self.asked.append("exists")
        return self.rows(Exists(field))


FILTERS: list[Filter] = [
    EVERYTHING,
    Or(()),
    Not(EVERYTHING),
    And((Compare("n", "gte", 4), Not(Eq("c", "a")), Compare("n", "lt", 20))),
    And((Not(Exists("odd")), Not(Eq("c", "b")))),
    And((And((Compare("n", "gt", 3), Eq("c", "a"))), Compare("n", "lte", 12))),
    And((Or((Eq("c", "a"), Eq("n", 1))), Exists("odd"))),
    Or((Not(Eq("c", "a")), In("n", (3, 6)), StartsWith("c", "a"))),
    Not(Not(And((Eq("c", "a"), Eq("odd", True))))),
    And((Compare("n", "gt", 3), Compare("n", "gt", 9), Compare("m", "lt", 1))),
]


@pytest.mark.parametrize("where", FILTERS, ids=repr)
def test_rows_are_those_the_interpreter_finds(where: Filter) -> None:
    expected = [row for row, record in enumerate(RECORDS) if matches(where, record)]
    assert list(rows_matching(where, CountingPostings())) == expected


def test_bounds_on_one_field_are_one_range() -> None:
    postings = CountingPostings()
    where = And((Compare("n", "gte", 4), And((Compare("n", "lt", 9), Compare("m", "lt", 9)))))
    rows_matching(where, postings)
    assert postings.asked == ["compare 2", "compare 1"]


def test_an_empty_intersection_ends_the_work_and_cheap_leaves_come_first() -> None:
    postings = CountingPostings()
    assert not rows_matching(And((Exists("odd"), Compare("n", "gt", 0), Eq("c", "absent"))), postings)
    assert postings.asked == ["equal"]
