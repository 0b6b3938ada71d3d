"""Arguments of the Pythonic store: what is taken, what it becomes, and what is refused in which words."""

from __future__ import annotations

import datetime
import decimal
import enum
import math
import sys
import uuid
from typing import Any

import numpy as np
import pytest

from ragvec.api.arguments import at_least_one, is_matrix, to_effort, to_filter, to_keys, to_metadata, to_recall_target
from ragvec.engine.protocol import IndexSpec
from ragvec.errors import InvalidFilter, InvalidKey, InvalidMetadata, InvalidRequest
from ragvec.filters.nodes import EVERYTHING, Eq
from ragvec.filters.parse import parse_filter


def spec(*non_filterable: str) -> IndexSpec:
    return IndexSpec(
        uid=str(uuid.uuid4()),
        bucket="bucket",
        name="index",
        dimension=2,
        metric="cosine",
        created=1.0,
        non_filterable=non_filterable,
    )


SPEC = spec()


class Colour(enum.Enum):
    RED = "red"


# -- filters -----------------------------------------------------------------------------------------------------------


def test_no_filter_is_everything_and_a_parsed_one_is_itself() -> None:
    assert to_filter(None, SPEC) is EVERYTHING
    assert to_filter({}, SPEC) == EVERYTHING
    condition = Eq("n", 1)
    assert to_filter(condition, SPEC) is condition


def test_equal_filters_give_the_same_object() -> None:
    where = {"$and": [{"n": {"$gte": 1}}, {"s": {"$in": ["x", "y"]}}]}
    found = to_filter(where, SPEC)
    assert found == parse_filter(where)
    assert to_filter({"$and": [{"n": {"$gte": 1}}, {"s": {"$in": ["x", "y"]}}]}, spec()) is found


def test_changing_a_filter_afterwards_changes_what_it_describes() -> None:
    where: dict[str, Any] = {"n": {"$in": [1, 2]}}
    assert to_filter(where, SPEC) == parse_filter({"n": {"$in": [1, 2]}})
    where["n"]["$in"].append(3)
    assert to_filter(where, SPEC) == parse_filter({"n": {"$in": [1, 2, 3]}})


def test_values_that_are_equal_and_not_the_same_are_told_apart() -> None:
    for value in (1, 1.0, True, 0, 0.0, False):
        found = to_filter({"n": value}, SPEC)
        assert isinstance(found, Eq)
        assert (found.value, type(found.value)) == (value, type(value))


def test_keys_that_cannot_be_filtered_are_those_of_the_index() -> None:
    assert to_filter({"text": "x"}, SPEC) == Eq("text", "x")
    with pytest.raises(InvalidFilter, match="text"):
        to_filter({"text": "x"}, spec("text"))
    assert to_filter({"text": "x"}, spec("other")) == Eq("text", "x")


@pytest.mark.parametrize(
    ("like", "refused"),
    [
        ({"n": {"$in": [1, 2]}}, {"n": {"$in": {1, 2}}}),
        ({"n": "red"}, {"n": Colour.RED}),
        ({"n": "1.5"}, {"n": decimal.Decimal("1.5")}),
        ({"n": "2024-05-01"}, {"n": datetime.date(2024, 5, 1)}),
        ({"n": str(uuid.UUID(int=7))}, {"n": uuid.UUID(int=7)}),
    ],
)
def test_what_is_refused_is_refused_whatever_was_asked_before(like: dict[str, Any], refused: dict[str, Any]) -> None:
    for _ in range(2):
        with pytest.raises(InvalidFilter):
            to_filter(refused, SPEC)
        to_filter(like, SPEC)


@pytest.mark.parametrize("where", [{"n": math.nan}, {"n": {"$gte": "x"}}, {"n": {"$what": 1}}, {1: 2}, {"n": object()}])
def test_a_wrong_filter_is_refused_each_time(where: Any) -> None:
    for _ in range(3):
        with pytest.raises(InvalidFilter):
            to_filter(where, SPEC)


def test_numbers_of_any_size_and_arrays_of_numpy() -> None:
    assert to_filter({"n": 2**70}, SPEC) == parse_filter({"n": 2**70})
    assert to_filter({"n": np.int64(3)}, SPEC) == parse_filter({"n": 3})
    for values in ([1, 2], [3, 4]):
        assert to_filter({"n": {"$in": np.array(values)}}, SPEC) == parse_filter({"n": {"$in": values}})


def test_many_different_filters_do_not_confuse_each_other() -> None:
    for _ in range(2):
        for n in range(1_000):
            assert to_filter({"n": n}, SPEC) == Eq("n", n)


# -- numbers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [1, 10_000, np.int32(5), np.uint8(1), 10**30])
def test_counts(number: int) -> None:
    found = at_least_one(number, "k")
    assert (found, type(found)) == (int(number), int)


@pytest.mark.parametrize("number", [0, -3, 1.0, "1", None, True, np.bool_(True), np.float32(2), [1], math.inf])
def test_what_is_no_count_is_refused(number: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"^Expected an integer of at least 1, got .* - at `k`$") as caught:
        at_least_one(number, "k")
    assert repr(number) in str(caught.value)


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (1, 1.0),
        (0.25, 0.25),
        (math.inf, math.inf),
        (np.float32(0.5), 0.5),
        (np.int64(3), 3.0),
        (10**400, math.inf),
        (sys.float_info.max, sys.float_info.max),
    ],
)
def test_efforts(number: float, expected: float) -> None:
    found = to_effort(number)
    assert (found, type(found)) == (expected, float)


@pytest.mark.parametrize("number", [0, 0.0, -1, -math.inf, math.nan, "1", None, True, 1j, np.complex64(1), [1.0]])
def test_what_is_no_effort_is_refused(number: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"^Expected a number above 0, got .* - at `effort`$") as caught:
        to_effort(number)
    assert repr(number) in str(caught.value)
    assert caught.value.path == "effort"


@pytest.mark.parametrize(("number", "expected"), [(None, None), (1, 1.0), (0.5, 0.5), (np.float64(0.9), 0.9)])
def test_recall_targets(number: float | None, expected: float | None) -> None:
    assert to_recall_target(number) == expected


@pytest.mark.parametrize("number", [0, 0.0, -0.5, 1.0001, 98, math.nan, math.inf, "0.9", True, False, 1j, [0.9]])
def test_what_is_no_recall_target_is_refused(number: Any) -> None:
    with pytest.raises(
        InvalidRequest, match=r"^Expected a number above 0 and at most 1, got .* - at `recall_target`$"
    ) as caught:
        to_recall_target(number)
    assert repr(number) in str(caught.value)
    assert caught.value.path == "recall_target"


# -- vectors, keys, metadata -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("vector", "several"),
    [
        ([1, 2], False),
        ([], False),
        ((1.0, 2.0), False),
        (["1", "2"], False),
        ([[1, 2]], True),
        ([np.ones(2)], True),
        ((np.ones(2), np.ones(2)), True),
        (np.ones(2), False),
        (np.ones((1, 2)), True),
        (np.ones((0, 2)), True),
        (np.ones((1, 2, 2)), False),
        (5, False),
    ],
)
def test_one_vector_or_several(vector: Any, several: bool) -> None:
    assert is_matrix(vector) is several


def test_keys() -> None:
    assert to_keys("a") == ["a"]
    assert to_keys(("a", "b")) == ["a", "b"]
    assert to_keys(key for key in "ab") == ["a", "b"]  # type: ignore[arg-type]  # any iterable does
    with pytest.raises(InvalidKey, match=r"^Expected a text as key, got 5 - at `keys\[1\]`$"):
        to_keys(["a", 5])  # type: ignore[list-item]  # that is the point


def test_metadata_is_a_list_or_a_frame() -> None:
    entries = [{"n": 1}, None]
    assert to_metadata(entries) is entries
    assert to_metadata(None) is None
    assert to_metadata(entry for entry in entries) == entries
    for wrong in ({"n": 1}, "n", b"n"):
        with pytest.raises(InvalidMetadata, match="Expected a list with an object for each key, or a DataFrame, got"):
            to_metadata(wrong)
