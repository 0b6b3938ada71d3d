"""Distances are exact in float64, the same wherever a row stands, and bounds on cheap scores really bound."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragvec.distance import exact_distances, lower_upper_bounds, row_norms

floats = st.floats(width=32, allow_nan=False, allow_infinity=False)


def fsum_distance(a: np.ndarray, b: np.ndarray, metric: str) -> float:
    x, y = a.astype(float).tolist(), b.astype(float).tolist()
    if metric == "euclidean":
        return math.sqrt(math.fsum((p - q) ** 2 for p, q in zip(x, y, strict=True)))
    dot = math.fsum(p * q for p, q in zip(x, y, strict=True))
    return 1.0 - dot / math.sqrt(math.fsum(p * p for p in x) * math.fsum(q * q for q in y))


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("dimension", [1, 2, 7, 384, 1000])
def test_distances_are_those_of_exactly_summed_arithmetic(metric: str, dimension: int) -> None:
    rng = np.random.default_rng(dimension)
    rows = rng.normal(size=(20, dimension)).astype(np.float32)
    query = rng.normal(size=dimension).astype(np.float32)
    got = exact_distances(rows, query, metric=metric)
    assert got.dtype == np.float32
    assert got.tolist() == pytest.approx([fsum_distance(row, query, metric) for row in rows], rel=1e-6, abs=1e-7)


def test_known_values_of_the_services() -> None:
    rows = np.array([[1, 1, 2], [2, 2, 2]], dtype=np.float32)
    query = np.array([1, 1, 1], dtype=np.float32)
    assert exact_distances(rows, query, metric="euclidean").tolist() == [1.0, 1.7320507764816284]
    assert exact_distances(rows, query, metric="cosine").tolist() == [0.05719095841050148, 0.0]


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_a_row_has_the_same_distance_whatever_stands_beside_it(metric: str) -> None:
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(5000, 37)).astype(np.float32)
    query = rng.normal(size=37).astype(np.float32)
    whole = exact_distances(rows, query, metric=metric)
    for at in (0, 1, 2047, 2048, 4999):
        assert exact_distances(rows[at : at + 1].copy(), query, metric=metric)[0] == whole[at]
    assert np.array_equal(exact_distances(rows[::-1], query, metric=metric), whole[::-1])


def test_a_vector_is_at_distance_zero_from_itself_at_any_scale() -> None:
    rng = np.random.default_rng(2)
    query = rng.normal(size=384).astype(np.float32)
    scaled = np.stack([query * np.float32(s) for s in (1, 3, 1e-20, 7e15)])
    assert exact_distances(scaled, query, metric="cosine").tolist() == [0.0, 0.0, 0.0, 0.0]
    assert exact_distances(-scaled, query, metric="cosine").tolist() == [2.0, 2.0, 2.0, 2.0]


def test_the_largest_floats_give_finite_distances() -> None:
    largest = np.finfo(np.float32).max
    rows = np.array([[largest, largest], [-largest, -largest]], dtype=np.float32)
    assert exact_distances(rows, rows[0], metric="euclidean").tolist() == [0.0, float(largest)]
    assert exact_distances(rows, rows[0], metric="cosine").tolist() == [0.0, 2.0]


@given(
    st.lists(st.lists(floats, min_size=3, max_size=3), min_size=1, max_size=8), st.lists(floats, min_size=3, max_size=3)
)
def test_bounds_enclose_the_true_score(rows: list[list[float]], query: list[float]) -> None:
    matrix = np.array([row if any(row) else [1.0, 0, 0] for row in rows], dtype=np.float32)
    vector = np.array(query if any(query) else [0, 1.0, 0], dtype=np.float32)
    exact = vector.astype(float)
    length = math.sqrt(sum(exact**2))
    unit = (exact / length).astype(np.float32)
    with np.errstate(all="ignore"):
        products = (matrix @ unit).astype(np.float32)
    for metric in ("cosine", "euclidean"):
        lower, upper = lower_upper_bounds(products, row_norms(matrix), query_norm=length, dimension=3, metric=metric)
        for row, low, high in zip(matrix.astype(float), lower, upper, strict=True):
            norm = math.sqrt(sum(row**2))
            score = -sum(row * exact) / length / norm if metric == "cosine" else norm**2 - 2 * sum(row * exact)
            assert low <= score <= high


def test_row_norms_do_not_overflow_before_the_root() -> None:
    rows = np.array([[3, 4], [3e30, 4e30], [3e-30, 4e-30]], dtype=np.float32)
    assert row_norms(rows).tolist() == pytest.approx([5, 5e30, 5e-30], rel=1e-6)
