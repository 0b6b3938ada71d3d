"""Indexes that are dropped while they are used, by this or another process: a right answer or IndexNotFound."""

from __future__ import annotations

import random
import threading
from pathlib import Path

import numpy as np
import pytest
from local_store import filled, make_index, names_in

from ragvec.engine.local.engine import LocalEngine
from ragvec.errors import IndexNotFound, NotFound
from ragvec.store import Index, Store


def test_an_index_that_was_dropped_does_not_come_back_empty(tmp_path: Path) -> None:
    store, index = filled(tmp_path / "store")
    stale = index.spec
    handle = store.engine.index(stale)
    with LocalEngine(tmp_path / "store") as elsewhere:
        unopened = LocalEngine(tmp_path / "store")
        elsewhere.catalog.delete_index("bucket", "index")
    for engine in (store.engine, unopened):
        with pytest.raises(IndexNotFound):
            engine.index(stale).put(["a"], np.ones((1, 2), dtype=np.float32), [None])
        engine.close()
    with pytest.raises(IndexNotFound):
        handle.count()
    assert names_in(tmp_path / "store" / "indexes") == []


def test_a_handle_kept_over_a_drop_says_so(tmp_path: Path) -> None:
    store, index = filled(tmp_path / "store")
    handle = store.engine.index(index.spec)
    listing = index.iter(batch=10)
    assert next(listing).key == "k0"
    index.delete_index()
    for use in (handle.count, handle.stats, handle.optimize, lambda: handle.delete(["k0"]), lambda: list(listing)):
        with pytest.raises(IndexNotFound):
            use()
    assert make_index(store, "index").query([0.0, 0.0], k=1).keys == ["k0"]
    store.close()


def test_indexes_dropped_elsewhere_let_go_of_their_files(tmp_path: Path) -> None:
    store, _ = filled(tmp_path / "store")
    other = Store(tmp_path / "store")
    indexes = [make_index(store, f"i{n}") for n in range(5)]
    assert len(list(store.engine.opened())) == 6
    for index in indexes:
        other.bucket("bucket").index(index.name).delete_index()
    assert make_index(other, "new").count() == store.bucket("bucket").index("new").count()
    assert {index.spec.name for index in store.engine.opened()} == {"index", "new"}
    other.close()
    store.close()


def test_readers_of_indexes_that_come_and_go_get_right_answers_or_not_found(tmp_path: Path) -> None:
    stores = [filled(tmp_path / "store")[0], Store(tmp_path / "store")]
    names, wrong, stop = ["index"], [], threading.Event()

    def read(seed: int) -> None:
        chosen = random.Random(seed)
        while not stop.is_set():
            store = stores[seed % 2]
            index = store.bucket("bucket").index(names[-1])
            try:
                answer = _answer(index, chosen.randrange(4))
            except NotFound:
                continue
            if answer is not None:
                wrong.append((seed, answer))
            if chosen.random() < 0.05:
                store.close()

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for n in range(25):
        fresh = make_index(stores[n % 2], f"i{n}")
        names.append(fresh.name)
        stores[(n + 1) % 2].bucket("bucket").index(names[-2]).delete_index()
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    for store in stores:
        store.close()
    with LocalEngine(tmp_path / "store") as again:
        assert names_in(tmp_path / "store" / "indexes") == [again.catalog.index("bucket", names[-1]).uid]


def _answer(index: Index, question: int) -> object:
    """None when the answer is the right one."""
    match question:
        case 0:
            keys = index.query([0.0, 0.0], k=3, where={"n": {"$gte": 0}}).keys
            return None if keys == ["k0", "k1", "k2"] else keys
        case 1:
            data = [list(record.data) for record in index.get(["k3", "k1"]) if record.data is not None]
            return None if data == [[3, 0], [1, 0]] else data
        case 2:
            keys = [record.key for record in index.iter(where={"n": 1}, batch=3)]
            return None if keys == sorted(f"k{n}" for n in range(1, 50, 7)) else keys
        case _:
            count = index.stats().vectors
            return None if count == index.count() == 50 else count
