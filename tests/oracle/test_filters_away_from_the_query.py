"""Filters whose matches lie away from the query, and deletes around it, answered through segments as by brute force."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ragvec.ann.backends import available_backend
from ragvec.engine.local.engine import LocalEngine
from ragvec.store import Index, Store
from ragvec.types import Metric

pytestmark = pytest.mark.skipif(available_backend() is None, reason="needs a library for segments")

CLUSTERS, DIMENSION, ROWS, LATER = 60, 16, 24_000, 400


@pytest.fixture(params=["euclidean", "cosine"])
def metric(request: pytest.FixtureRequest) -> Metric:
    chosen: Metric = request.param
    return chosen


@pytest.fixture
def data() -> tuple[np.ndarray, np.ndarray]:
    """Vectors in clusters, and the cluster of each."""
    random = np.random.default_rng(5)
    cluster = random.integers(CLUSTERS, size=ROWS + LATER)
    centres = random.normal(size=(CLUSTERS, DIMENSION)) * 3
    return (centres[cluster] + random.normal(size=(ROWS + LATER, DIMENSION))).astype(np.float32), cluster


@pytest.fixture
def index(tmp_path: Path, metric: Metric, data: tuple[np.ndarray, np.ndarray]) -> Index:
    """All of it in one segment and a tail."""
    store = Store(engine=LocalEngine(tmp_path / "store", background=False))
    made = store.create_bucket("bucket").create_index("index", dimension=DIMENSION, metric=metric)
    vectors, cluster = data
    for first, last in ((0, ROWS), (ROWS, ROWS + LATER)):
        keys = [str(n) for n in range(first, last)]
        made.put(keys, vectors[first:last], [{"c": int(c)} for c in cluster[first:last]])
        if not first:
            made.optimize()
    assert [(segment.first, segment.last) for segment in made.stats().segments] == [(0, ROWS)]
    steps = made.explain(vectors[0], where={"c": {"$lt": CLUSTERS // 2}}).steps
    assert any(step.name.startswith(("ann", "leaves")) for step in steps), "the segment is not asked"
    return made


def recall(index: Index, data: tuple[np.ndarray, np.ndarray], *, kept: np.ndarray, k: int, where: Any) -> float:
    """The mean share of the true k nearest that queries in the upper half of the clusters find."""
    vectors, cluster = data
    rows = vectors[kept].astype(np.float64)
    numbers = np.flatnonzero(kept)
    shares = []
    for query in vectors[cluster >= CLUSTERS // 2][:25].astype(np.float64):
        if index.metric == "cosine":
            distances = -(rows @ query) / np.linalg.norm(rows, axis=1)
        else:
            distances = np.linalg.norm(rows - query, axis=1)
        expected = {str(n) for n in numbers[np.argsort(distances)[:k]]}
        found = index.query(query, k=k, where=where).keys
        assert len(found) == len(set(found)) == min(k, len(numbers))
        shares.append(len(expected & set(found)) / len(expected))
    return float(np.mean(shares))


def test_matches_away_from_the_query(index: Index, data: tuple[np.ndarray, np.ndarray]) -> None:
    for below in (6, CLUSTERS // 2):
        for k in (1, 10, 60):
            assert recall(index, data, kept=data[1] < below, k=k, where={"c": {"$lt": below}}) >= 0.95


def test_the_neighbourhood_deleted(index: Index, data: tuple[np.ndarray, np.ndarray]) -> None:
    index.delete(where={"c": {"$gte": CLUSTERS // 2}})
    assert recall(index, data, kept=data[1] < CLUSTERS // 2, k=10, where=None) >= 0.95
    index.delete(where={"c": {"$gte": 4}})
    assert recall(index, data, kept=data[1] < 4, k=10, where=None) >= 0.95
