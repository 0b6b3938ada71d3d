"""Exact search is what sorting all distances would give, ties included."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from ragvec.ann.exact import Neighbours, among, nearest, rescore
from ragvec.distance import Probe, exact_distances, row_norms


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


def pairs(found: Neighbours) -> list[tuple[float, int]]:
    assert found.rows.dtype == np.uint32
    assert found.distances.dtype == np.float32
    return list(zip(found.distances.tolist(), found.rows.tolist(), strict=True))


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("share", [0.02, 0.5, 1.0])
@pytest.mark.parametrize("k", [0, 1, 10, 3000])
def test_every_way_gives_the_same(metric: str, share: float, k: int) -> None:
    rng = np.random.default_rng(k)
    rows = rng.normal(size=(4000, 24)).astype(np.float32)
    rows[rng.integers(4000, size=900)] = rows[7]
    # More than a group of queries, some of them rows.
    queries = np.concatenate([rows[:20], rng.normal(size=(20, 24)).astype(np.float32)])
    keep = rng.random(4000) < share
    kept = np.flatnonzero(keep).astype(np.uint32)
    expected = [by_sorting(rows, query, k, metric, keep) if k else [] for query in queries]
    for norms in (row_norms(rows), None):
        options = {"k": k, "metric": metric, "norms": norms}
        for batch in (nearest(rows, queries, keep=keep, **options), among(rows, queries, candidates=kept, **options)):
            assert [pairs(found) for found in batch] == expected
        for query, want in zip(queries[::13], expected[::13], strict=True):
            (one,) = nearest(rows, query[None], keep=keep, **options)
            (other,) = among(rows, query[None], candidates=kept, **options)
            mixed = rescore(rows, query, candidates=rng.permutation(kept), **options)
            prepared = rescore(rows, Probe.of(query), candidates=kept, **options)
            assert [pairs(found) for found in (one, other, mixed, prepared)] == [want] * 4


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_rows_longer_than_a_tile(metric: str) -> None:
    rng = np.random.default_rng(4)
    rows = rng.normal(size=(40, 9000)).astype(np.float32)
    for k in (1, 2, 7, 40):
        want = by_sorting(rows, rows[3], k, metric, np.ones(40, dtype=bool))
        every = np.arange(40, dtype=np.uint32)
        assert pairs(rescore(rows, rows[3], candidates=every, k=k, metric=metric)) == want
        assert pairs(nearest(rows, rows[3:5], k=k, metric=metric)[0]) == want
        assert [pairs(found) for found in among(rows, rows[3:4], candidates=every, k=k, metric=metric)] == [want]


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_a_group_of_queries_over_several_blocks(metric: str) -> None:
    rng = np.random.default_rng(9)
    rows = rng.normal(size=(9000, 1200)).astype(np.float32)
    # The nearest come last, and twice.
    rows[-300:-150] = rows[-150:] = rows[0] + 0.1 * rows[-150:]
    queries = rows[[0, 5, 8990]]
    found = nearest(rows, queries, k=100, metric=metric)
    for query, neighbours in zip(queries, found, strict=True):
        assert pairs(neighbours) == by_sorting(rows, query, 100, metric, np.ones(9000, dtype=bool))


def test_no_queries_give_no_results() -> None:
    rows = np.eye(3, dtype=np.float32)
    assert nearest(rows, rows[:0], k=2, metric="cosine") == []
    assert among(rows, rows[:0], candidates=np.arange(3, dtype=np.uint32), k=2, metric="cosine") == []


def test_threads_do_not_share_memory() -> None:
    rng = np.random.default_rng(10)
    rows = rng.normal(size=(20_000, 64)).astype(np.float32)
    tasks = [(rows[i], np.sort(rng.choice(20_000, 3000, replace=False)).astype(np.uint32)) for i in range(60)]

    def run(task: tuple[np.ndarray, np.ndarray]) -> list[tuple[float, int]]:
        return pairs(rescore(rows, task[0], candidates=task[1], k=10, metric="cosine"))

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(run, tasks)) == [run(task) for task in tasks]


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
    assert len(among(rows, rows[:1], candidates=np.empty(0, np.uint32), k=2, metric="cosine")[0].rows) == 0
    assert [len(found.rows) for found in nearest(rows, rows, k=2, metric="cosine", keep=np.zeros(3, bool))] == [0, 0, 0]
    assert len(nearest(rows[:0], rows[:1], k=2, metric="euclidean")[0].rows) == 0
