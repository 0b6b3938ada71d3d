"""An index large enough for segments: the same answers in form, recall at the target, never a dead row."""

from __future__ import annotations

import uuid
from pathlib import Path

import numpy as np
import pytest

from ragvec.ann.backends import available_backend
from ragvec.engine.local.engine import LocalEngine
from ragvec.engine.local.index import LocalIndex
from ragvec.engine.protocol import BucketInfo, IndexSpec
from ragvec.extras import available
from ragvec.filters.nodes import EVERYTHING, Filter
from ragvec.filters.parse import parse_filter

BACKENDS = [
    pytest.param(name, marks=pytest.mark.skipif(not available(name), reason=f"{name} is not installed"))
    for name in ("scann", "faiss")
]
with_a_library = pytest.mark.skipif(available_backend() is None, reason="no library for segments: all is exact")
ROWS, DIMENSION = 30_000, 48


def clustered(seed: int, rows: int) -> np.ndarray:
    """Rows of one distribution: queries are of the kind that is stored, as recall is measured on."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(0).normal(size=(300, DIMENSION))
    return (centres[rng.integers(300, size=rows)] + 0.7 * rng.normal(size=(rows, DIMENSION))).astype(np.float32)


class Truth:
    """What is in the index, searched by a matrix product."""

    def __init__(self, metric: str) -> None:
        self.metric = metric
        self.vectors: dict[str, np.ndarray] = {}
        self.even: dict[str, bool] = {}

    def nearest(self, query: np.ndarray, k: int, *, even: bool | None = None) -> list[str]:
        keys = [key for key in self.vectors if even is None or self.even[key] is even]
        matrix = np.stack([self.vectors[key] for key in keys]).astype(np.float64)
        q = query.astype(np.float64)
        if self.metric == "cosine":
            scores = 1 - matrix @ q / np.linalg.norm(matrix, axis=1) / np.linalg.norm(q)
        else:
            scores = np.linalg.norm(matrix - q, axis=1)
        return [keys[at] for at in np.argsort(scores, kind="stable")[:k]]


def recall(index: LocalIndex, truth: Truth, *, k: int, where: Filter = EVERYTHING, even: bool | None = None) -> float:
    queries = clustered(99, 40)
    hits = 0
    for ranking, query in zip(index.search(queries, k=k, where=where), queries, strict=True):
        records = index.fetch(ranking.rows, generation=ranking.generation, data=True, metadata=False)
        found = [record.key for record in records if record is not None]
        assert len(set(found)) == k
        assert np.all(np.diff(ranking.distances) >= 0)
        assert all(key in truth.vectors for key in found), "a dead row was returned"
        for record in records:
            assert record is not None
            assert np.array_equal(record.data, truth.vectors[record.key]), "an old version was returned"
        hits += len(set(found) & set(truth.nearest(query, k, even=even)))
    return hits / (k * len(queries))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_segments_serve_most_rows_through_updates_deletes_filters_and_reopening(
    tmp_path: Path, metric: str, backend: str
) -> None:
    engine = LocalEngine(tmp_path / "store", background=False, backend=backend)
    engine.catalog.create_bucket(BucketInfo("bucket", 1.0), tags={}, max_buckets=None)
    spec = IndexSpec(
        uid=str(uuid.uuid4()), bucket="bucket", name="index", dimension=DIMENSION, metric=metric, created=1.0
    )
    engine.catalog.create_index(spec, tags={}, max_indexes=None)
    index = engine.index(spec)
    truth = Truth(metric)

    def put(keys: list[str], vectors: np.ndarray) -> None:
        index.put(keys, vectors, [b'{"even":%s}' % (b"true" if int(key) % 2 == 0 else b"false") for key in keys])
        truth.vectors.update(zip(keys, vectors, strict=True))
        truth.even.update((key, int(key) % 2 == 0) for key in keys)

    put([str(n) for n in range(ROWS)], clustered(1, ROWS))
    assert index.maintenance_due()
    assert all(ranking.exact for ranking in index.search(clustered(99, 1), k=5)), "until a segment is there"
    index.optimize()
    assert not index.maintenance_due()
    stats = index.stats()
    assert (stats.backend, stats.exact_rows, len(stats.segments)) == (backend, 0, 1)
    assert stats.segments[0].recall_at_10 >= 0.98
    assert not any(ranking.exact for ranking in index.search(clustered(99, 1), k=5))
    assert recall(index, truth, k=10) >= 0.97

    put([str(n) for n in range(0, ROWS, 3)], clustered(2, ROWS // 3))
    gone = [str(n) for n in range(1, ROWS, 10)]
    index.delete(gone)
    for key in gone:
        del truth.vectors[key]
    assert recall(index, truth, k=10) >= 0.97
    index.optimize()
    assert index.stats().exact_rows == 0
    for k in (1, 10, 100):
        assert recall(index, truth, k=k) >= 0.97
    assert recall(index, truth, k=10, where=parse_filter({"even": True}), even=True) >= 0.97
    engine.close()

    with LocalEngine(tmp_path / "store", read_only=True, backend=backend) as reader:
        index = reader.index(reader.catalog.index("bucket", "index"))
        assert index.stats().exact_rows == 0
        assert recall(index, truth, k=10) >= 0.97


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_segment_built_by_one_process_serves_in_another(tmp_path: Path, backend: str) -> None:
    one, two = (LocalEngine(tmp_path / "store", background=False, backend=backend) for _ in range(2))
    one.catalog.create_bucket(BucketInfo("bucket", 1.0), tags={}, max_buckets=None)
    spec = IndexSpec(
        uid=str(uuid.uuid4()), bucket="bucket", name="index", dimension=DIMENSION, metric="cosine", created=1.0
    )
    one.catalog.create_index(spec, tags={}, max_indexes=None)
    builder, other = one.index(spec), two.index(spec)
    builder.put([str(n) for n in range(8000)], clustered(3, 8000), [None] * 8000)
    assert other.stats().exact_rows == 8000
    builder.optimize()
    assert other.stats().exact_rows == 0
    one.close()
    two.close()


@with_a_library
def test_the_background_builds_without_being_asked(tmp_path: Path) -> None:
    with LocalEngine(tmp_path / "store") as engine:
        engine.catalog.create_bucket(BucketInfo("bucket", 1.0), tags={}, max_buckets=None)
        spec = IndexSpec(
            uid=str(uuid.uuid4()), bucket="bucket", name="index", dimension=DIMENSION, metric="cosine", created=1.0
        )
        engine.catalog.create_index(spec, tags={}, max_indexes=None)
        engine.index(spec).put([str(n) for n in range(8000)], clustered(3, 8000), [None] * 8000)
        engine.settle()
    with LocalEngine(tmp_path / "store", read_only=True) as reader:
        assert reader.index(spec).stats().exact_rows == 0
