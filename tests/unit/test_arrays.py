"""Vectors made into float32 matrices: what is accepted, what is refused, and which vector a refusal names."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ragvec.arrays import to_matrix, to_vector
from ragvec.errors import DimensionMismatch, InvalidVector

pd = pytest.importorskip("pandas")

FLOAT_MAX = 3.4028234663852886e38
"""The largest float32."""
FLOAT_OVER = 3.4028235677973366e38
"""The smallest double that rounds to infinity in float32."""


def matrix(vectors: Any, *, dimension: int = 2, metric: Any = "euclidean") -> Any:
    return to_matrix(vectors, dimension=dimension, metric=metric)


@pytest.mark.parametrize(
    "vectors",
    [
        [[1, 2], [3, 4]],
        ((1.0, 2.0), [3, 4.0]),
        np.array([[1, 2], [3, 4]]),
        np.array([[1, 2], [3, 4]], dtype=np.float16),
        np.array([[1, 2], [3, 4]], dtype=np.uint8),
        np.array([[1, 2], [3, 4]], dtype=np.longdouble),
        np.array([[1, 2], [3, 4]], dtype=">f4"),
        np.asfortranarray([[1.0, 2.0], [3.0, 4.0]]),
        np.array([[1, 3], [2, 4]], dtype=np.float32).T,
        np.array([[1, 0, 2], [3, 0, 4]], dtype=np.float32)[:, ::2],
        [np.array([1, 2]), np.array([3.0, 4.0])],
        [[np.float32(1), np.int64(2)], [Decimal(3), Fraction(4)]],
        pd.DataFrame({"x": [1.0, 3.0], "y": [2, 4]}),
        [pd.Series([1, 2]), pd.Series([3.0, 4.0])],
        np.array([np.array([1, 2]), np.array([3, 4])], dtype=object),
        pd.Series([[1, 2], [3, 4]]),
    ],
)
def test_forms_that_are_accepted(vectors: Any) -> None:
    found = matrix(vectors)

    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    assert found.dtype.isnative
    np.testing.assert_array_equal(found, [[1, 2], [3, 4]])


def test_a_fitting_array_is_not_copied_and_none_is_modified() -> None:
    fitting = np.ones((3, 2), dtype=np.float32)
    assert matrix(fitting) is fitting
    other = np.array([[1e-50, 1.0]])
    assert matrix(other)[0, 0] == 0
    assert other[0, 0] == 1e-50


@pytest.mark.parametrize("vectors", [[], np.empty((0, 2)), np.empty((0, 7))])
def test_no_vectors_are_an_empty_matrix(vectors: Any) -> None:
    assert matrix(vectors).shape == (0, 2)


@given(hnp.arrays(np.float64, (3, 4), elements=st.floats(-1e38, 1e38)))
def test_lists_and_arrays_round_alike(vectors: Any) -> None:
    expected = vectors.astype(np.float32)

    np.testing.assert_array_equal(matrix(vectors, dimension=4), expected)
    np.testing.assert_array_equal(matrix(vectors.tolist(), dimension=4), expected)
    np.testing.assert_array_equal(matrix(list(vectors), dimension=4), expected)
    np.testing.assert_array_equal(matrix([list(row) for row in vectors], dimension=4), expected)


@pytest.mark.parametrize("form", [list, np.array])
def test_the_range_of_float32(form: Any) -> None:
    assert matrix([form([FLOAT_MAX, -FLOAT_MAX])]).tolist() == [[FLOAT_MAX, -FLOAT_MAX]]
    for value in (FLOAT_OVER, -FLOAT_OVER, 1e300, float("inf"), float("-inf"), float("nan")):
        with pytest.raises(InvalidVector, match=r"Invalid vector 1: vector contains NaNs or Infs"):
            matrix([form([1.0, 2.0]), form([1.0, value])])


def test_integers_beyond_all_floats_count_as_infinite() -> None:
    for value in (10**400, -(10**400)):
        with pytest.raises(InvalidVector, match="vector contains NaNs or Infs"):
            matrix([[1, value]])


@pytest.mark.parametrize("zero", [[0, 0], [0.0, -0.0], [1e-46, -1e-46], np.zeros(2), np.full(2, 1e-200)])
def test_zero_vectors_are_refused_under_cosine_only(zero: Any) -> None:
    with pytest.raises(
        InvalidVector, match="Invalid vector 1: cosine distance does not support vectors with zero norm"
    ):
        matrix([[1, 1], zero], metric="cosine")
    assert not matrix([[1, 1], zero])[1].any()
    assert matrix([[1e-45, 0]], metric="cosine")[0, 0] > 0


@pytest.mark.parametrize(
    ("vectors", "words", "path"),
    [
        (
            [[1, 2], [1, "2"]],
            "Invalid vector 1: vector must hold numbers only, but has str at position 1",
            "vectors[1]",
        ),
        ([[1, "NaN"]], "has str at position 1", "vectors[0]"),
        ([[True, 1]], "has bool at position 0", "vectors[0]"),
        ([[1, None]], "has null at position 1", "vectors[0]"),
        ([[1, [2]]], "has list at position 1", "vectors[0]"),
        ([[1, np.bool_(True)]], "has bool at position 1", "vectors[0]"),
        ([[1, 1j]], "has complex at position 1", "vectors[0]"),
        ([1, 2], "vector must be an array or a list of numbers, but is int", "vectors[0]"),
        (["ab"], "but is str", "vectors[0]"),
        ([None], "but is null", "vectors[0]"),
        ([{1, 2}], "but is set", "vectors[0]"),
        ([np.array([True, False])], "an array of bool", "vectors[0]"),
        (np.array([["a", "b"]]), "an array of <U1", "vectors[0]"),
        (np.ones((1, 2), dtype=complex), "an array of complex128", "vectors[0]"),
        (np.array([["2026-01-01"] * 2], dtype="datetime64[D]"), "an array of datetime64[D]", "vectors[0]"),
        ([np.ones((1, 2))], "vector must have one axis, but has shape (1, 2)", "vectors[0]"),
        (np.ones(2), "Expected an array of shape (n, 2), one row a vector, got shape (2,)", "vectors"),
        (np.ones((1, 1, 2)), "got shape (1, 1, 2)", "vectors"),
        ("text", "Expected an array (n, 2) or a list of vectors, got str", "vectors"),
        ({"a": [1, 2]}, "got dict", "vectors"),
        (5, "got int", "vectors"),
    ],
)
def test_what_is_no_matrix_is_refused_with_its_place(vectors: Any, words: str, path: str) -> None:
    with pytest.raises(InvalidVector) as caught:
        matrix(vectors)
    assert words in caught.value.message
    assert caught.value.path == path


@pytest.mark.parametrize(
    ("vectors", "row", "got"),
    [([[1, 2], [1, 2, 3]], 1, 3), ([[1]], 0, 1), ([[]], 0, 0), (np.ones((5, 3)), 0, 3), ([np.ones(4)], 0, 4)],
)
def test_lengths_that_differ_are_refused(vectors: Any, row: int, got: int) -> None:
    with pytest.raises(DimensionMismatch) as caught:
        matrix(vectors)
    error = caught.value
    assert (error.expected, error.got, error.path) == (2, got, f"vectors[{row}]")
    assert error.detail == f"vector must have length 2, but has length {got}"
    assert error.fields == ((f"vectors[{row}]", error.detail),)


def test_the_first_bad_row_of_a_large_array_is_named() -> None:
    rows = np.ones((10_000, 3), dtype=np.float32)
    rows[[7777, 9000], 1] = np.nan
    with pytest.raises(InvalidVector) as caught:
        matrix(rows, dimension=3)
    assert caught.value.path == "vectors[7777]"


def test_a_label_words_the_error() -> None:
    with pytest.raises(InvalidVector) as caught:
        to_matrix([[0, 0]], dimension=2, metric="cosine", label=lambda row: (f"rows/{row}", f"Record {row}: "))
    assert caught.value.message == "Record 0: cosine distance does not support vectors with zero norm"
    assert caught.value.path == "rows/0"


def test_one_vector() -> None:
    assert to_vector([1, 2.5], dimension=2, metric="cosine").tolist() == [1.0, 2.5]
    assert to_vector(np.array([1, 2]), dimension=2, metric="cosine").shape == (2,)
    with pytest.raises(InvalidVector, match="^vector must be an array or a list of numbers, but is float$"):
        to_vector(1.0, dimension=2, metric="cosine")
