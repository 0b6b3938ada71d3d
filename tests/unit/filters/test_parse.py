from __future__ import annotations

import pickle
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from ragvec.errors import InvalidFilter, NonFilterableKey
from ragvec.filters.nodes import EVERYTHING, And, Compare, Eq, Exists, Filter, In, Not, Or, StartsWith
from ragvec.filters.parse import ALL_OPERATORS, MAX_NESTING, NATIVE, FilterRules, parse_filter, to_json

STRICT = FilterRules(strict_shape=True, operators=ALL_OPERATORS - {"$startsWith"})

READ_BY_ALL: list[tuple[dict[str, Any], Filter]] = [
    ({"a": "x"}, Eq("a", "x")),
    ({"a": {"$eq": True}}, Eq("a", True)),
    ({"a": {"$ne": 1.5}}, Not(Eq("a", 1.5))),
    ({"a": {"$gt": 1}}, Compare("a", "gt", 1)),
    ({"a": {"$gte": 1}}, Compare("a", "gte", 1)),
    ({"a": {"$lt": -1.5}}, Compare("a", "lt", -1.5)),
    ({"a": {"$lte": 2**70}}, Compare("a", "lte", 2**70)),
    ({"a": {"$in": ["x", 1, True]}}, In("a", ("x", 1, True))),
    ({"a": {"$nin": ["x"]}}, Not(In("a", ("x",)))),
    ({"a": {"$exists": True}}, Exists("a")),
    ({"a": {"$exists": False}}, Not(Exists("a"))),
    ({"a": {"$gt": 1, "$lt": 5}}, And((Compare("a", "gt", 1), Compare("a", "lt", 5)))),
    ({"a.b": 1}, Eq("a.b", 1)),
    ({"": 1}, Eq("", 1)),
    ({"$and": [{"a": 1}, {"b": 2}]}, And((Eq("a", 1), Eq("b", 2)))),
    ({"$or": [{"a": 1}, {"$and": [{"b": 2}, {"c": 3}]}]}, Or((Eq("a", 1), And((Eq("b", 2), Eq("c", 3)))))),
    ({"$or": [{"a": 1}]}, Eq("a", 1)),
]

READ_BY_NATIVE: list[tuple[dict[str, Any], Filter]] = [
    ({}, EVERYTHING),
    ({"a": 1, "b": 2}, And((Eq("a", 1), Eq("b", 2)))),
    ({"a": 1, "$or": [{"b": 2}, {"c": 3}]}, And((Eq("a", 1), Or((Eq("b", 2), Eq("c", 3)))))),
    ({"$and": [{}]}, EVERYTHING),
    ({"a": {"$startsWith": ""}}, StartsWith("a", "")),
]

REFUSED_BY_ALL: list[tuple[object, str, str]] = [
    (None, "filter", "Expected an object, got null - at `filter`"),
    ([], "filter", "Expected an object, got a list - at `filter`"),
    ({"a": None}, "filter.a", "Expected a string, number or boolean, got null - at `filter.a`"),
    ({"a": [1]}, "filter.a", "Expected a string, number or boolean, got a list - at `filter.a`"),
    ({"a": {}}, "filter.a", "Expected a value or at least one operator, got an empty object - at `filter.a`"),
    ({"a": {"$eq": None}}, "filter.a.$eq", "got null"),
    ({"a": {"$ne": {"b": 1}}}, "filter.a.$ne", "got an object"),
    ({"a": {"$eq": float("nan")}}, "filter.a.$eq", "got nan"),
    ({"a": {"$gt": "5"}}, "filter.a.$gt", "Expected a number, got '5' - at `filter.a.$gt`"),
    ({"a": {"$gt": True}}, "filter.a.$gt", "Expected a number, got true - at `filter.a.$gt`"),
    ({"a": {"$lt": float("inf")}}, "filter.a.$lt", "got inf"),
    ({"a": {"$lt": 10**400}}, "filter.a.$lt", "got an integer of 1329 bits"),
    ({"a": {"$in": []}}, "filter.a.$in", "Expected a list of values under $in, got an empty one - at `filter.a.$in`"),
    ({"a": {"$nin": []}}, "filter.a.$nin", "got an empty one"),
    ({"a": {"$in": "x"}}, "filter.a.$in", "Expected a list of values under $in, got 'x'"),
    ({"a": {"$in": [1, None]}}, "filter.a.$in[1]", "got null - at `filter.a.$in[1]`"),
    ({"a": {"$in": [[1]]}}, "filter.a.$in[0]", "got a list"),
    ({"a": {"$exists": 1}}, "filter.a.$exists", "Expected true or false, got 1 - at `filter.a.$exists`"),
    ({"a": {"$exists": "true"}}, "filter.a.$exists", "got 'true'"),
    ({"a": {"$regex": "x"}}, "filter.a.$regex", "got '$regex' - at `filter.a.$regex`"),
    ({"a": {"b": 1}}, "filter.a.b", "Expected one of the operators $and, $eq, "),
    ({"$not": {"a": 1}}, "filter.$not", "got '$not' - at `filter.$not`"),
    ({"$eq": 1}, "filter.$eq", 'write {"field": {"$eq": …}}'),
    ({"a": {"$or": [{"b": 1}]}}, "filter.a.$or", "$or combines filters and stands above the fields"),
    ({"$and": []}, "filter.$and", "Expected a list of filters under $and, got an empty one - at `filter.$and`"),
    ({"$or": {"a": 1}}, "filter.$or", "Expected a list of filters under $or, got an object - at `filter.$or`"),
    ({"$and": [{"a": 1}, {"year": {"$gt": "x"}}]}, "filter.$and[1].year.$gt", "at `filter.$and[1].year.$gt`"),
    ({"$and": [1]}, "filter.$and[0]", "Expected an object, got 1 - at `filter.$and[0]`"),
    ({1: 2}, "filter", "Expected a text key, got 1 - at `filter`"),
    ({"a": "\ud800"}, "filter.a", "Expected Unicode text, got a lone surrogate - at `filter.a`"),
    ({"a": {"$gt": "x" * 99}}, "filter.a.$gt", f"got {'x' * 40 + '…'!r}"),
    ({"a": object()}, "filter.a", "got object"),
]

REFUSED_BY_STRICT: list[tuple[object, str, str]] = [
    ({}, "filter", "Expected exactly one field, or $and or $or alone, got an empty object - at `filter`"),
    ({"a": 1, "b": 2}, "filter", "got 2 keys - at `filter`; combine conditions with $and"),
    ({"a": 1, "$and": [{"b": 1}]}, "filter", "got 2 keys"),
    ({"$and": [{"b": 1}], "$or": [{"b": 1}]}, "filter", "got 2 keys"),
    ({"$and": [{"b": 1, "c": 2}]}, "filter.$and[0]", "got 2 keys"),
    ({"$and": [{}]}, "filter.$and[0]", "got an empty object"),
    ({"a": {"$startsWith": "x"}}, "filter.a.$startsWith", "Expected one of the operators $and, $eq, $exists, $gt"),
]


@pytest.mark.parametrize(("document", "expected"), READ_BY_ALL + READ_BY_NATIVE, ids=repr)
def test_native_rules_read(document: dict[str, Any], expected: Filter) -> None:
    assert parse_filter(document, NATIVE) == expected


@pytest.mark.parametrize(("document", "expected"), READ_BY_ALL, ids=repr)
def test_strict_rules_read(document: dict[str, Any], expected: Filter) -> None:
    assert parse_filter(document, STRICT) == expected


@pytest.mark.parametrize(
    ("document", "path", "message"), REFUSED_BY_ALL, ids=lambda value: repr(value).partition(" at 0x")[0][:40]
)
@pytest.mark.parametrize("rules", [NATIVE, STRICT], ids=["native", "strict"])
def test_both_refuse(document: object, path: str, message: str, rules: FilterRules) -> None:
    with pytest.raises(InvalidFilter) as caught:
        parse_filter(document, rules)
    assert caught.value.path == path
    assert message in caught.value.message


@pytest.mark.parametrize(("document", "path", "message"), REFUSED_BY_STRICT, ids=repr)
def test_strict_rules_refuse(document: object, path: str, message: str) -> None:
    with pytest.raises(InvalidFilter) as caught:
        parse_filter(document, STRICT)
    assert caught.value.path == path
    assert message in caught.value.message


def test_an_unknown_operator_is_named_and_the_known_ones_are_listed() -> None:
    with pytest.raises(InvalidFilter) as caught:
        parse_filter({"a": {"$like": "x"}}, FilterRules(operators=frozenset({"$eq", "$and"})))
    assert caught.value.message == "Expected one of the operators $and, $eq, got '$like' - at `filter.a.$like`"


def test_a_connective_that_the_rules_leave_out_is_unknown() -> None:
    with pytest.raises(InvalidFilter, match=r"got '\$or'"):
        parse_filter({"$or": [{"a": 1}]}, FilterRules(operators=ALL_OPERATORS - {"$or"}))


def test_a_negation_can_demand_that_the_field_is_there() -> None:
    rules = FilterRules(missing_satisfies_negation=False)
    assert parse_filter({"a": {"$ne": 1}}, rules) == And((Exists("a"), Not(Eq("a", 1))))
    assert parse_filter({"a": {"$nin": [1, 2]}}, rules) == And((Exists("a"), Not(In("a", (1, 2)))))
    assert parse_filter({"a": {"$exists": False}}, rules) == Not(Exists("a"))


@pytest.mark.parametrize("document", [{"text": "x"}, {"$or": [{"a": 1}, {"text": {"$exists": True}}]}, {"text": {}}])
def test_a_non_filterable_key_is_refused_by_name(document: dict[str, Any]) -> None:
    with pytest.raises(NonFilterableKey, match="got 'text', which the index declares non-filterable") as caught:
        parse_filter(document, NATIVE, non_filterable=("text", "hash"))
    assert caught.value.path.endswith("text")
    assert pickle.loads(pickle.dumps(caught.value)).path == caught.value.path


def nested(levels: int) -> dict[str, Any]:
    document: dict[str, Any] = {"a": 1}
    for level in range(levels):
        document = {("$and", "$or")[level % 2]: [document]}
    return document


def test_depth_counts_levels_of_connectives() -> None:
    rules = FilterRules(max_depth=2)
    assert parse_filter(nested(2), rules) == Eq("a", 1)
    with pytest.raises(InvalidFilter, match=r"^Expected at most 2 levels of \$and and \$or, got at least 3 - at `"):
        parse_filter(nested(3), rules)


def test_no_rules_allow_more_than_the_hard_cap() -> None:
    assert parse_filter(nested(MAX_NESTING)) == Eq("a", 1)
    with pytest.raises(InvalidFilter, match="Expected at most 64 levels"):
        parse_filter(nested(MAX_NESTING + 1), FilterRules(max_depth=10_000))


def test_a_nesting_bomb_is_an_invalid_filter() -> None:
    deep: Any = 1
    for _ in range(100_000):
        deep = [deep]
    cyclic: dict[str, Any] = {"$and": []}
    cyclic["$and"] += [cyclic, cyclic]
    for bomb in (nested(100_000), cyclic, {"a": deep}, {"a": {"$in": deep}}, {"a": {"$eq": deep}}, deep):
        with pytest.raises(InvalidFilter):
            parse_filter(bomb, FilterRules(max_bytes=100, max_conditions=10))


def test_conditions_are_operators_under_fields() -> None:
    document = {"a": {"$gt": 1, "$lt": 2}, "$or": [{"b": 1}, {"c": {"$in": list(range(50))}}]}
    assert parse_filter(document, FilterRules(max_conditions=4))
    with pytest.raises(InvalidFilter, match="Expected at most 3 conditions, got 4 - at `filter`"):
        parse_filter(document, FilterRules(max_conditions=3))


def test_bytes_are_those_of_compact_json() -> None:
    document = {"é": {"$in": (np.int64(1), 2)}}  # {"é":{"$in":[1,2]}}
    assert parse_filter(MappingProxyType(document), FilterRules(max_bytes=20)) == In("é", (1, 2))
    with pytest.raises(InvalidFilter, match="Expected at most 19 bytes of JSON, got 20 - at `filter`"):
        parse_filter(MappingProxyType(document), FilterRules(max_bytes=19))


def test_numpy_scalars_count_as_the_python_values_they_hold() -> None:
    read = parse_filter({"a": {"$gte": np.int32(3), "$lt": np.float64(4.5)}, "b": np.bool_(True), "c": np.str_("x")})
    assert read == And((Compare("a", "gte", 3), Compare("a", "lt", 4.5), Eq("b", True), Eq("c", "x")))
    assert isinstance(read, And)
    assert [type(child.value) for child in read.children if isinstance(child, (Eq, Compare))] == [int, float, bool, str]


def test_the_document_is_not_modified() -> None:
    document = {"a": {"$in": [1, 2]}, "$and": [{"b": 1}]}
    parse_filter(document)
    assert document == {"a": {"$in": [1, 2]}, "$and": [{"b": 1}]}


def test_json_of_a_filter_has_one_key_an_object() -> None:
    where = And((Eq("a", 1), EVERYTHING, Not(In("b", ("x",))), Or((Not(Exists("c")), StartsWith("d", "p")))))
    assert to_json(where) == {
        "$and": [
            {"a": {"$eq": 1}},
            {"b": {"$nin": ["x"]}},
            {"$or": [{"c": {"$exists": False}}, {"d": {"$startsWith": "p"}}]},
        ]
    }
    assert to_json(Not(Or((Eq("a", 1), Not(Eq("b", 2)))))) == {"$and": [{"a": {"$ne": 1}}, {"b": {"$eq": 2}}]}
    assert to_json(EVERYTHING) == {}
    assert to_json(Or((EVERYTHING, Eq("a", 1)))) == {}


@pytest.mark.parametrize("where", [Not(Compare("a", "gt", 1)), Not(StartsWith("a", "x")), Eq("$a", 1)], ids=repr)
def test_json_has_no_words_for_some_filters(where: Filter) -> None:
    with pytest.raises(InvalidFilter, match="^Expected a f"):
        to_json(where)
