"""Recall of an index against a plain product of matrices."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import ragvec
from ragvec.errors import InvalidRequest
from ragvec.evaluation.recall import IndexRecall, index_recall

ROWS, DIMENSION = 12_000, 24


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ragvec.Index]:
    generator = np.random.default_rng(1)
    rows = generator.normal(size=(ROWS, DIMENSION)).astype(np.float32)
    with ragvec.Store(tmp_path_factory.mktemp("recall") / "store") as store:
        made = store.create_bucket("b").create_index("i", dimension=DIMENSION)
        made.put([str(at) for at in range(ROWS)], rows, [{"part": at % 3} for at in range(ROWS)])
        made.optimize()
        yield made


@pytest.fixture(scope="module")
def rows(index: ragvec.Index) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(ROWS, DIMENSION)).astype(np.float32)


def test_it_is_the_share_of_the_nearest_that_a_search_finds(index: ragvec.Index, rows: np.ndarray) -> None:
    queries = np.random.default_rng(2).normal(size=(40, DIMENSION)).astype(np.float32)
    normed = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    shares = []
    for query in queries:
        truth = set(np.argsort(-(normed @ query))[:10].tolist())
        shares.append(len(truth & {int(key) for key in index.query(query, k=10).keys}) / 10)
    found = index_recall(index, queries)
    assert found.recall == pytest.approx(np.mean(shares), abs=1e-6)
    assert found.queries == 40
    assert found.low <= found.recall <= found.high
    assert [shares[at] for at in found.worst] == sorted(shares)[: len(found.worst)]
    recalls = [each.recall for each in found.efforts]
    assert recalls == sorted(recalls)
    assert str(found).startswith(f"recall@10 {found.recall:.4f} (")
    assert found.advice in str(found)


def test_a_filter_is_part_of_the_question(index: ragvec.Index, rows: np.ndarray) -> None:
    queries = np.random.default_rng(3).normal(size=(10, DIMENSION)).astype(np.float32)
    found = index_recall(index, queries, k=20, where={"part": 1}, efforts=(1.0,))
    assert found.recall > 0.9
    assert [each.effort for each in found.efforts] == [1.0]


def test_advice_follows_from_the_figures(index: ragvec.Index) -> None:
    found = index_recall(index, np.ones((1, DIMENSION)))
    low = IndexRecall(10, 5, 0.9, 0.8, 0.95, 0.98, (), found.efforts)
    assert "nothing to do" in IndexRecall(10, 5, 0.99, 0.9, 1.0, 0.98, (), ()).advice
    assert "`index.tune(queries=…)`" in low.advice
    assert "effort=math.inf" in IndexRecall(10, 5, 0.9, 0.8, 0.95, 0.98, (), ()).advice
    with pytest.raises(InvalidRequest, match="Expected a matrix of queries, got none"):
        index_recall(index, np.empty((0, DIMENSION)))
