"""Equal vectors in segments and in the newest rows: ties are broken by key, however many there are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ragvec.ann.backends import available_backend
from ragvec.engine.local.engine import LocalEngine
from ragvec.store import Store


@pytest.mark.skipif(available_backend() is None, reason="needs a library for segments")
def test_ties_are_broken_by_key_across_segments_and_newest_rows(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    places, rows = random.normal(size=(50, 8)).astype(np.float32), 26_000
    place = random.integers(50, size=rows)
    keys = np.array([f"k{n:05d}" for n in random.permutation(rows)])
    store = Store(engine=LocalEngine(tmp_path / "store", background=False))
    index = store.create_bucket("bucket").create_index("index", dimension=8, metric="euclidean")
    for first, last in ((0, 24_000), (24_000, rows)):
        part = slice(first, last)
        index.put(keys[part].tolist(), places[place[part]], [{"p": int(p)} for p in place[part]])
        if not first:
            index.optimize()
    assert index.stats().exact_rows == rows - 24_000
    for query in range(5):
        distances = np.linalg.norm(places - places[query], axis=1)[place]
        order = np.lexsort((keys, distances))
        for k in (1, 10, 100, 700):
            assert index.query(places[query], k=k).keys == keys[order[:k]].tolist()
            others = order[place[order] != query][:k]
            assert index.query(places[query], k=k, where={"p": {"$ne": query}}).keys == keys[others].tolist()
    store.close()
