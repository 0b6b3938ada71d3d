"""The coordinates of the first pass, against sorting by distance."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from ragvec.ann.projection import Projection, fit
from ragvec.types import FloatMatrix, Metric

METRICS: tuple[Metric, ...] = ("cosine", "euclidean")


def some_rows(rows: int = 2000, dimension: int = 12, *, seed: int = 0) -> FloatMatrix:
    return np.random.default_rng(seed).standard_normal((rows, dimension)).astype(np.float32)


def sorted_positions(rows: FloatMatrix, queries: FloatMatrix, metric: Metric) -> npt.NDArray[np.int32]:
    x, q = rows.astype(np.float64), queries.astype(np.float64)
    if metric == "cosine":
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        q /= np.linalg.norm(q, axis=1, keepdims=True)
    far = np.square(x).sum(axis=1)[np.newaxis] - 2.0 * q @ x.T
    return np.argsort(far, axis=1, kind="stable").astype(np.int32)


def order_kept(projection: Projection, rows: FloatMatrix, queries: FloatMatrix, metric: Metric) -> float:
    """The share of the true 10 nearest among the 20 greatest inner products of the projected vectors."""
    products = projection.queries(queries) @ projection.rows(rows).T
    best = np.argsort(-products, axis=1)[:, :20]
    truth = sorted_positions(rows, queries, metric)[:, :10]
    return float(np.mean([np.isin(t, b).mean() for t, b in zip(truth, best, strict=True)]))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(("shift", "lengths"), [(0.0, 0.0), (50.0, 0.0), (0.0, 0.5)])
def test_inner_products_of_projected_vectors_order_as_the_metric(metric: Metric, shift: float, lengths: float) -> None:
    random = np.random.default_rng(4)
    rows = some_rows(3000, 20) * np.exp(random.normal(0, lengths, (3000, 1))).astype(np.float32) + np.float32(shift)
    queries = (rows[:100] + 0.1 * random.standard_normal((100, 20))).astype(np.float32)
    projection = fit(rows, metric=metric, seed=0)
    assert projection.axes is None
    assert order_kept(projection, rows, queries, metric) > 0.999


@pytest.mark.parametrize("metric", METRICS)
def test_axes_without_variance_are_dropped(metric: Metric) -> None:
    random = np.random.default_rng(5)
    inner = random.standard_normal((3000, 30)) @ random.standard_normal((30, 128))
    rows = (inner + 0.05 * random.standard_normal((3000, 128)) + 7.0).astype(np.float32)
    projection = fit(rows, metric=metric, seed=0)
    assert projection.width < 64
    queries = (rows[:100] + 0.1 * random.standard_normal((100, 128))).astype(np.float32)
    assert order_kept(projection, rows, queries, metric) > 0.98


def test_random_directions_are_all_kept() -> None:
    assert fit(some_rows(4000, 96), metric="cosine", seed=0).axes is None


def test_decaying_variance_keeps_what_a_search_needs() -> None:
    rows = some_rows(6000, 256) * (0.97 ** np.arange(256)).astype(np.float32)
    projection = fit(rows, metric="euclidean", seed=0)
    assert projection.axes is not None
    kept = projection.axes.shape[1]
    assert 48 <= kept < 256
    assert kept == fit(rows, metric="euclidean", seed=0).axes.shape[1]  # type: ignore[union-attr]  # as above


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(("shift", "scale"), [(0.0, 1.0), (1000.0, 1.0), (0.0, 1e-15), (0.0, 1e15), (3.0, 1e-6)])
def test_one_query_is_a_positive_multiple_of_what_it_is_in_a_batch(metric: Metric, shift: float, scale: float) -> None:
    rows = ((some_rows(3000, 80) * (0.9 ** np.arange(80)) + shift) * scale).astype(np.float32)
    projection = fit(rows, metric=metric, seed=0)
    queries = (rows[:20] * np.float32(1.5)) if metric == "cosine" else rows[:20]
    for query, want in zip(queries, projection.queries(queries), strict=True):
        got = projection.query(query)
        assert got.dtype == np.float32
        factor = got[-1] / want[-1]
        assert factor > 0
        spread = np.abs(want).max()
        assert np.allclose(got / factor, want, rtol=1e-3, atol=2e-3 * spread)


@pytest.mark.parametrize("metric", METRICS)
def test_a_projection_comes_back_from_its_file(tmp_path: Path, metric: Metric) -> None:
    rows = some_rows(2000, 80)
    rows[:, 20:] *= np.float32(0.1)
    projection = fit(rows, metric=metric, seed=0)
    projection.save(tmp_path / "projection.npz")
    again = Projection.load(tmp_path / "projection.npz")
    assert again.width == projection.width
    assert np.array_equal(again.rows(rows), projection.rows(rows))
    assert np.array_equal(again.queries(rows[:3]), projection.queries(rows[:3]))
