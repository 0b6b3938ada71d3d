"""Exact search is what sorting all distances would give, ties included."""

from __future__ import annotations

import numpy as np
import pytest

from ragvec.ann.exact import nearest, rescore
from ragvec.distance import exact_distances, row_norms


def by_sorting(rows: np.ndarray, query: np.ndarray, k: int, metric: str, keep: np.ndarray) -> list[tuple[float, int]]:
    """Every kept row not farther than the k-th."""
    ranked = sorted((float(d), i) for i, d in enumerate(exact_distances(rows, query, metric=metric)) if keep[i])
    return [pair for pair in ranked if pair[0] <= ranked[min(k, len(ranked)) - 1][0]] if ranked else []


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("scale", [1.0, 1e-18, 1e18])
@pytest.mark.parametrize("k", [1, 10, 999, 5000])
def test_nearest_and_rescore_are_sorting(metric: str, scale: float, k: int) -> None:
    rng = np.random.default_rng(k)
    # Few distinct values, so that many rows tie exactly.
    rows = (rng.integers(-2, 3, size=(3000, 4)) + np.array([0, 0, 0, 3])).astype(np.float32) * np.float32(scale)
    queries = np.array([[1, 0, 2, 3], [-1, 2, 0, 1]], dtype=np.float32) * np.float32(scale)
    keep = rng.random(3000) < 0.7
    for kept in (keep, np.ones(3000, dtype=bool)):
        found = nearest(rows, queries, k=k, metric=metric, norms=row_norms(rows), keep=kept)
        for query, neighbours in zip(queries, found, strict=True):
            expected = by_sorting(rows, query, k, metric, kept)
            assert list(zip(neighbours.distances.tolist(), neighbours.rows.tolist(), strict=True)) == expected
            candidates = np.flatnonzero(kept).astype(np.uint32)[::-1].copy()
            again = rescore(rows, query, candidates=candidates, k=k, metric=metric)
            assert list(zip(again.distances.tolist(), again.rows.tolist(), strict=True)) == expected


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_mixed_scales_lose_nothing_to_float32(metric: str) -> None:
    rng = np.random.default_rng(3)
    rows = rng.normal(size=(2000, 16)).astype(np.float32) * np.logspace(-36, 36, 2000)[:, None].astype(np.float32)
    for scale in (1e-30, 1.0, 1e30):
        query = rng.normal(size=16).astype(np.float32) * np.float32(scale)
        (found,) = nearest(rows, query[None], k=20, metric=metric, norms=row_norms(rows))
        expected = by_sorting(rows, query, 20, metric, np.ones(2000, dtype=bool))
        assert list(zip(found.distances.tolist(), found.rows.tolist(), strict=True)) == expected


def test_nothing_kept_gives_nothing() -> None:
    rows = np.eye(3, dtype=np.float32)
    (found,) = nearest(rows, rows[:1], k=2, metric="cosine", norms=row_norms(rows), keep=np.zeros(3, dtype=bool))
    assert len(found.rows) == 0
    assert len(rescore(rows, rows[0], candidates=np.empty(0, np.uint32), k=2, metric="cosine").rows) == 0
