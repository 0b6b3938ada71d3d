"""Metadata: which values are stored, what they read back as, how large they count, and how refusals name the key."""

from __future__ import annotations

import datetime
import json
from decimal import Decimal
from enum import Enum
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ragvec import limits
from ragvec.api.metadata import encode_metadata, metadata_size, size_at_most
from ragvec.errors import InvalidMetadata
from ragvec.limits import Limits

pd = pytest.importorskip("pandas")


class Language(str, Enum):
    ENGLISH = "en"


def fault(text: str, hint: str) -> InvalidMetadata:
    return InvalidMetadata(f"{text}: {hint}")


def encoded(metadata: Any, numbers: Limits = limits.NATIVE, keys: frozenset[str] = frozenset()) -> Any:
    found = encode_metadata(metadata, limits=numbers, non_filterable=keys, fault=fault)
    return None if found is None else json.loads(found)


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        ("text", "text"),
        ("", ""),
        ("日本 𝄞 \u0000", "日本 𝄞 \u0000"),
        (True, True),
        (0, 0),
        (-(2**63), -(2**63)),
        (2**64 - 1, 2**64 - 1),
        (0.1, 0.1),
        (1e308, 1e308),
        (5e-324, 5e-324),
        (["a", ""], ["a", ""]),
        ((1, 2.5), [1, 2.5]),
        (np.int64(7), 7),
        (np.float32(0.5), 0.5),
        (np.bool_(True), True),
        (np.str_("x"), "x"),
        (np.array([1, 2]), [1, 2]),
        (np.array(["a", "b"]), ["a", "b"]),
        ([np.float64(1.5), 2], [1.5, 2]),
        (Language.ENGLISH, "en"),
        ([Language.ENGLISH], ["en"]),
    ],
)
def test_values_that_are_stored(value: Any, stored: Any) -> None:
    found = encoded({"k": value})["k"]
    assert found == stored
    assert type(found) is type(stored)


@pytest.mark.parametrize("key", ["", "$eq", "a.b", "x" * 1024, "日本"])
def test_keys_are_any_text(key: str) -> None:
    assert encoded({key: 1}) == {key: 1}


def test_none_is_no_metadata_and_the_argument_stays_as_it_was() -> None:
    assert encoded(None) is None
    assert encoded({}) == {}
    metadata = {"a": (1, 2), "b": np.int64(3)}
    assert encoded(metadata) == {"a": [1, 2], "b": 3}
    assert metadata["a"] == (1, 2)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "`k` is null; leave the key out where there is no value"),
        ({"a": 1}, "`k` is an object"),
        ([], "`k` is one"),
        ([None], "`k[0]` is null"),
        (["a", {}], "`k[1]` is an object"),
        (["a", ["b"]], "`k[1]` is list"),
        ([True, False], "`k` holds a boolean"),
        ([1, True], "`k` holds a boolean"),
        (["a", 1], "`k` holds both"),
        (float("nan"), "`k` is nan; leave the key out where there is no value"),
        (np.float32("nan"), "`k` is nan"),
        (float("inf"), "`k` is inf"),
        ([1.0, float("-inf")], "`k[1]` is -inf"),
        (2**64, "`k` is an integer of 65 bits"),
        (-(2**63) - 1, "`k` is an integer of 64 bits"),
        (datetime.datetime(2026, 1, 1), "`k` is of type datetime; pass dates as epoch seconds"),
        (datetime.date(2026, 1, 1), "`k` is of type date; pass dates as epoch seconds"),
        (np.datetime64("2026-01-01"), "`k` is of type datetime64; pass dates as epoch seconds"),
        (pd.Timestamp("2026-01-01"), "`k` is of type Timestamp; pass dates as epoch seconds"),
        (pd.NaT, "`k` is of type NaTType; pass dates as epoch seconds"),
        (pd.NA, "`k` is NAType"),
        (b"bytes", "`k` is bytes"),
        (Decimal("1.5"), "`k` is Decimal"),
        (1j, "`k` is complex"),
        ({"a"}, "`k` is set"),
        (np.ones((2, 2)), "`k` is an array of shape (2, 2)"),
        ("a\ud800", "a string holds an unpaired surrogate"),
    ],
)
@pytest.mark.parametrize("numbers", [limits.NATIVE, limits.S3], ids=["native", "s3"])
def test_values_that_are_refused(value: Any, words: str, numbers: Limits) -> None:
    with pytest.raises(InvalidMetadata) as caught:
        encoded({"good": 1, "k": value}, numbers)
    assert words in caught.value.message


@pytest.mark.parametrize(
    ("metadata", "words"),
    [("text", "got str"), ([1], "got list"), ({1: "a"}, "got 1, of type int"), ({None: 1}, "None")],
)
def test_what_is_no_object_is_refused(metadata: Any, words: str) -> None:
    with pytest.raises(InvalidMetadata, match=words):
        encoded(metadata)


@pytest.mark.parametrize(
    ("metadata", "size"),
    [
        ({}, 4),
        ({"": ""}, 12),
        ({"ab": "xyz"}, 4 + 8 + 2 + 3),
        ({"é": "日本"}, 4 + 8 + 2 + 6),
        ({"a": 1, "b": 1.5}, 4 + 2 * (8 + 1 + 4)),
        ({"a": True}, 4 + 8 + 1),
        ({"a": ["x", "yz"]}, 4 + 8 + 1 + (4 + 1) + (4 + 2)),
        ({"a": [1, 2, 3]}, 4 + 8 + 1 + 3 * (4 + 4)),
    ],
)
def test_size_model(metadata: dict[str, Any], size: int) -> None:
    assert metadata_size(metadata) == size


values = st.one_of(
    st.text(max_size=8),
    st.integers(-9, 9),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.lists(st.integers(0, 9), min_size=1, max_size=9),
    st.lists(st.text(max_size=3), min_size=1, max_size=9),
)


@given(metadata=st.dictionaries(st.text(max_size=3), values, max_size=6))
@example(metadata={"": [1] * 400})
@example(metadata={str(i): 1 for i in range(50)})
def test_what_json_takes_bounds_the_size(metadata: dict[str, Any]) -> None:
    stored = encode_metadata(metadata, limits=limits.NATIVE, non_filterable=frozenset(), fault=fault)

    assert stored is not None
    assert metadata_size(metadata) <= size_at_most(len(stored))


def test_limits_count_non_filterable_keys_only_in_the_whole() -> None:
    text = {"a": "x" * 2035, "text": "y" * 30_000}

    assert encoded(text, limits.S3, frozenset({"text"})) == text
    with pytest.raises(
        InvalidMetadata, match=r"Filterable metadata must have at most 2048 bytes: got 32060; keys that"
    ):
        encoded(text, limits.S3)
    with pytest.raises(InvalidMetadata, match="Metadata object must have at most 40960 bytes: got 4"):
        encoded({"text": "y" * 40_945}, limits.S3, frozenset({"text"}))
    with pytest.raises(InvalidMetadata, match="Metadata object must have at most 50 keys: got 51"):
        encoded({f"{i}": True for i in range(51)}, limits.S3)
