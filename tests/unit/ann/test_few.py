from __future__ import annotations

import numpy as np
import pytest

from ragvec.ann.exact import rescore
from ragvec.ann.few import Few
from ragvec.distance import Probe, exact_distances, row_norms


def unit_rows(rng: np.random.Generator, count: int, dimension: int, *, spread: float = 0.0) -> np.ndarray:
    rows = rng.normal(size=(count, dimension))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows * (1.0 + spread * rng.random((count, 1)))).astype(np.float32)


def range_of(rows: np.ndarray) -> tuple[float, float]:
    lengths = row_norms(rows)
    return float(lengths.min()), float(lengths.max())


@pytest.mark.parametrize(("dimension", "spread"), [(2, 0.0), (24, 1e-3), (384, 1e-7), (384, 0.2), (9000, 1e-7)])
@pytest.mark.parametrize("side", [1.0, -1.0])
def test_the_nearest_of_several_looks_are_those_of_rescore(dimension: int, spread: float, side: float) -> None:
    # On side -1 every product with the query is negative, and the least norm is then the one that counts.
    rng = np.random.default_rng(dimension)
    rows = unit_rows(rng, 400, dimension, spread=spread)
    settled = 0
    for scale in (1.0, 40.0, 1e-3):
        for _ in range(20):
            near = rows[rng.integers(400)] + (0.3 / np.sqrt(dimension)) * rng.normal(size=dimension)
            query = (side * scale * near).astype(np.float32)
            k = int(rng.integers(1, 30))
            everyone = rng.choice(400, size=int(rng.integers(k + 1, 120)), replace=False).astype(np.uint32)
            if side < 0:
                everyone = everyone[rows[everyone] @ query < 0]
            few = Few.of(rows, Probe.of(query), norms=range_of(rows))
            assert few is not None
            looks = np.split(everyone, [len(everyone) // 3, len(everyone) // 2])
            for some in looks:
                few.look(some)
            assert len(few) == len(everyone)
            found = few.settle(k)
            if found is not None:
                settled += 1
                near_rows, distances, places = found
                many = rescore(rows, query, candidates=everyone, k=k, metric="cosine")
                assert near_rows.tolist() == many.rows.tolist()
                assert distances.tolist() == many.distances.tolist()
                assert everyone[places].tolist() == near_rows.tolist()
    assert settled > 15


def test_the_cosine_of_the_kth_is_at_least_what_is_said_and_hardly_more() -> None:
    rng = np.random.default_rng(2)
    rows = unit_rows(rng, 300, 32, spread=0.005)
    every = np.arange(300, dtype=np.uint32)
    for query in (rows[4] + 0.1, -rows[:50].sum(axis=0)):
        few = Few.of(rows, Probe.of(query), norms=range_of(rows))
        assert few is not None
        few.look(every)
        distances = np.sort(exact_distances(rows, query, metric="cosine"))
        for k in (1, 10, 290):
            cosine = 1.0 - float(distances[k - 1])
            assert few.cosine(k) <= cosine
            assert few.cosine(k) == pytest.approx(cosine, abs=0.006)


def test_ties_odd_lengths_and_too_few_are_left_to_others() -> None:
    rng = np.random.default_rng(5)
    rows = unit_rows(rng, 50, 16)
    rows[20] = rows[7]

    def settled(query: np.ndarray, *, k: int = 10, count: int = 50) -> bool:
        few = Few.of(rows, Probe.of(query), norms=(0.999, 1.001))
        assert few is not None
        few.look(np.arange(count, dtype=np.uint32))
        return few.settle(k) is not None

    assert settled(rows[3])
    assert settled(rows[3] + 0.1)
    assert not settled(rows[7] + 0.1)
    assert not settled(rows[3], k=50)
    assert not settled(rows[3], count=0)
    assert Few.of(rows, Probe.of(np.full(16, 1e-12, dtype=np.float32)), norms=(0.999, 1.001)) is None
    assert Few.of(rows, Probe.of(rows[3]), norms=(0.0, 1.001)) is None
