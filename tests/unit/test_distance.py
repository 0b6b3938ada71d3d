"""Distances are exact in float64, the same wherever a row stands, and bounds on cheap scores really bound."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragvec.distance import Probe, dots, exact_distances, lower_upper_bounds, row_norms, squared_euclidean

_ROOT = Path(__file__).resolve().parents[2]

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


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("dimension", [1, 2, 3, 8, 65, 8193, 20_000])
def test_the_number_of_rows_does_not_matter(metric: str, dimension: int) -> None:
    rng = np.random.default_rng(dimension)
    count = 600 if dimension < 100 else 40
    query = rng.normal(size=dimension).astype(np.float32)
    # Distances so small that rounding in float64 would show.
    rows = (query + 1e-6 * rng.normal(size=(count, dimension))).astype(np.float32)
    alone = [exact_distances(row[None], query, metric=metric)[0] for row in rows]
    for first in (2, 3, 7, 40, count):
        assert exact_distances(rows[:first], query, metric=metric).tolist() == alone[:first]


def in_row_order(row: np.ndarray, query: np.ndarray, metric: str) -> np.float32:
    """The definition: sums in the order of numpy's own loops, in float64, by 8,192 coordinates."""

    def total(one: np.ndarray, other: np.ndarray) -> float:
        starts = range(0, len(one), 8192)
        return sum(float(np.einsum("i,i->", one[at : at + 8192], other[at : at + 8192])) for at in starts)

    a, b = row.astype(np.float64), query.astype(np.float64)
    if metric == "euclidean":
        return np.float32(min(math.sqrt(total(a - b, a - b)), float(np.finfo(np.float32).max)))
    cosine = total(a, b) / math.sqrt(total(a, a) * total(b, b))
    distance = min(1.0 - cosine, 2.0)
    return np.float32(0.0 if distance < 1e-14 else distance)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("dimension", [2, 3, 100, 384, 1537, 8193])
def test_sums_by_the_blas_change_no_value(metric: str, dimension: int) -> None:
    rng = np.random.default_rng(dimension)
    query = rng.normal(size=dimension).astype(np.float32)
    count = min(1200, 600_000 // dimension)
    noise = rng.normal(size=(count, dimension)) * np.logspace(-8, 1, count)[:, None]
    near = (query + noise).astype(np.float32)
    # Small integers: sums are exact, and distances may lie just between two float32.
    grid = rng.integers(-3, 4, size=(count // 3, dimension)).astype(np.float32)
    grid[~grid.any(axis=1)] = 1.0
    for rows in (near, -near, near * np.float32(1e-17), near * np.float32(1e17), grid, grid * np.float32(0.1)):
        got = exact_distances(rows, query, metric=metric)
        assert got.tolist() == [float(in_row_order(row, query, metric)) for row in rows]


@given(
    st.lists(st.lists(floats, min_size=3, max_size=3), min_size=1, max_size=8), st.lists(floats, min_size=3, max_size=3)
)
def test_sums_by_the_blas_change_no_value_of_any_floats(rows: list[list[float]], query: list[float]) -> None:
    matrix = np.array([row if any(row) else [1.0, 0, 0] for row in rows], dtype=np.float32)
    vector = np.array(query if any(query) else [0, 1.0, 0], dtype=np.float32)
    for metric in ("cosine", "euclidean"):
        got = exact_distances(matrix, vector, metric=metric)
        assert got.tolist() == [float(in_row_order(row, vector, metric)) for row in matrix]


_VALUES = """
import hashlib, numpy as np
from ragvec.distance import exact_distances
rng = np.random.default_rng(0)
rows, query = rng.normal(size=(20_000, 96)).astype(np.float32), rng.normal(size=96).astype(np.float32)
near = (query + rng.normal(size=rows.shape) * np.logspace(-8, 0, len(rows))[:, None]).astype(np.float32)
values = [exact_distances(some, query, metric=m) for m in ("cosine", "euclidean") for some in (rows, near)]
print(hashlib.sha256(b"".join(value.tobytes() for value in values)).hexdigest())
"""


def test_values_do_not_depend_on_the_kernels_of_the_blas() -> None:
    seen = set()
    for core in ("", "Nehalem", "Haswell"):  # names that other libraries and processors than x86 ignore
        environment = {**os.environ, **({"OPENBLAS_CORETYPE": core} if core else {})}
        run = subprocess.run(
            [sys.executable, "-c", _VALUES], env=environment, cwd=_ROOT, capture_output=True, text=True, check=True
        )
        seen.add(run.stdout)
    assert len(seen) == 1


def test_euclidean_distances_are_the_nearest_float32_to_the_true_ones() -> None:
    rng = np.random.default_rng(5)
    rows, query = rng.normal(size=(50, 384)).astype(np.float32), rng.normal(size=384).astype(np.float32)
    for row, got in zip(rows.tolist(), exact_distances(rows, query, metric="euclidean"), strict=True):
        square = sum((Fraction(a) - Fraction(b)) ** 2 for a, b in zip(row, query.tolist(), strict=True))
        below, above = np.nextafter(got, np.float32(0)), np.nextafter(got, np.float32(np.inf))
        low, high = (Fraction(float(got)) + Fraction(float(other)) for other in (below, above))
        assert (low / 2) ** 2 <= square <= (high / 2) ** 2


def test_a_probe_gives_the_distances_of_its_vector() -> None:
    rng = np.random.default_rng(6)
    rows = rng.normal(size=(30, 12)).astype(np.float32)
    for scale in (1e-30, 1.0, 1e30):
        query = rng.normal(size=12).astype(np.float32) * np.float32(scale)
        probe = Probe.of(query)
        assert Probe.of(probe) is probe
        assert np.linalg.norm(probe.unit.astype(float)) == pytest.approx(1, rel=1e-6)
        assert probe.length == pytest.approx(np.linalg.norm(query.astype(float)), rel=1e-12)
        for metric in ("cosine", "euclidean"):
            by_probe = exact_distances(rows, probe, metric=metric)
            assert by_probe.tolist() == exact_distances(rows, query, metric=metric).tolist()
    assert Probe.of(np.zeros(3, dtype=np.float32)).unit.tolist() == [0.0, 0.0, 0.0]


def test_neither_rows_nor_query_are_modified() -> None:
    rng = np.random.default_rng(7)
    rows, query = rng.normal(size=(90, 500)).astype(np.float32), rng.normal(size=500).astype(np.float32)
    rows.flags.writeable = query.flags.writeable = False
    for metric in ("cosine", "euclidean"):
        exact_distances(rows, query, metric=metric)
    squared_euclidean(rows, query)


def test_dots_are_the_products_of_rows_with_a_vector_or_with_rows() -> None:
    rng = np.random.default_rng(8)
    rows, other = (rng.normal(size=(40, 30)).astype(np.float32) for _ in range(2))
    out = np.empty(40, dtype=np.float32)
    assert dots(rows, other[0], out=out) is out
    assert out.tolist() == pytest.approx((rows.astype(float) @ other[0]).tolist(), rel=1e-5, abs=1e-5)
    dots(rows, other, out=out)
    assert out.tolist() == pytest.approx((rows.astype(float) * other).sum(axis=1).tolist(), rel=1e-5, abs=1e-5)


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
