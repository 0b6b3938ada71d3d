"""A disk that fills up under each kind of file: a clear error, nothing half-done, and work goes on afterwards."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from local_store import ROWS, filled, make_index

from ragvec.engine.local.engine import LocalEngine
from ragvec.engine.local.index import LocalIndex
from ragvec.engine.local.reserve import RESERVE_BYTES, RESERVE_FILE
from ragvec.engine.protocol import Ranking
from ragvec.errors import BucketNotFound, StoreFull
from ragvec.filters.parse import parse_filter
from ragvec.store import Index, Store


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a small tmpfs needs root")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def fill_up(disk: Path) -> Path:
    """Take all space that is left; remove the file to give it back."""
    ballast = disk / "ballast"
    with ballast.open("ab", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
    return ballast


def local(index: Index) -> LocalIndex:
    handle = index.bucket.store.engine.index(index.spec)
    assert isinstance(handle, LocalIndex)
    return handle


def test_changes_of_the_catalog_are_whole_or_not_at_all(disk: Path) -> None:
    store, index = filled(disk / "store")
    ballast = fill_up(disk)
    made: list[str] = []

    def make_many() -> None:
        for n in range(2000):
            store.create_bucket(f"bucket-{n}")
            made.append(f"bucket-{n}")

    with pytest.raises(StoreFull):
        make_many()
    with pytest.raises(StoreFull):
        index.set_property("note", "x" * 100_000)
    assert index.property("note") is None
    assert {bucket.name for bucket in store.buckets()} == {"bucket", *made}
    with pytest.raises(BucketNotFound):
        store.engine.catalog.bucket(f"bucket-{len(made)}")
    ballast.unlink()
    store.create_bucket("after")
    index.set_property("note", "short")
    store.close()
    with Store(disk / "store") as again:
        assert again.bucket("after").exists()
        assert again.bucket("bucket").index("index").property("note") == "short"


def test_making_and_dropping_an_index(disk: Path) -> None:
    store, _ = filled(disk / "store")
    ballast = fill_up(disk)
    with pytest.raises(StoreFull):
        make_index(store, "second")
    assert store.bucket("bucket").index("index").count() == ROWS
    ballast.unlink()
    second = store.bucket("bucket").create_index("second", dimension=2, metric="euclidean", exist_ok=True)
    second.put(["a"], [[1.0, 2.0]])
    ballast = fill_up(disk)
    second.delete_index()
    ballast.unlink()
    assert [index.name for index in store.bucket("bucket").indexes()] == ["index"]
    store.close()


def test_deletes(disk: Path) -> None:
    store, index = filled(disk / "store")
    keys = [f"key{n:05d}" * 20 for n in range(2000)]
    index.put(keys, np.ones((2000, 2), dtype=np.float32), [{"n": 100}] * 2000)
    ballast = fill_up(disk)
    assert index.delete([f"k{n}" for n in range(ROWS)]) == ROWS
    assert index.count() == 2000
    # The deletion of very many records may need more than the space that is kept.
    fill_up(disk)
    with pytest.raises(StoreFull):
        index.delete(where={})
    assert index.count() == 2000
    ballast.unlink()
    assert index.delete(where={"n": 100}) == 2000
    assert index.count() == 0
    store.close()


def test_space_comes_back_by_deleting_in_a_store_opened_on_a_full_disk(disk: Path) -> None:
    store, index = filled(disk / "store")
    index.put([f"b{n}" for n in range(20_000)], np.ones((20_000, 2), dtype=np.float32))
    store.close()
    fill_up(disk)
    for suffix in ("catalog", "records"):
        assert not list(disk.rglob(f"{suffix}.sqlite-shm"))
    with Store(disk / "store") as again:
        found = again.bucket("bucket").index("index")
        with pytest.raises(StoreFull):
            found.put([f"c{n}" for n in range(20_000)], np.ones((20_000, 2), dtype=np.float32))
        assert found.count() == ROWS + 20_000
        found.delete_index()
        assert list(again.bucket("bucket").indexes()) == []
        fresh = make_index(again, "fresh")
        assert fresh.query([0.0, 0.0], k=1).keys == ["k0"]
    assert (disk / "store" / RESERVE_FILE).stat().st_size == RESERVE_BYTES, "it is kept again"


def test_saved_rankings(disk: Path) -> None:
    store, index = filled(disk / "store")
    handle = local(index)
    ranking = Ranking(
        rows=np.arange(10_000, dtype=np.uint32), distances=np.zeros(10_000, np.float32), generation=0, exact=True
    )
    ballast = fill_up(disk)
    with pytest.raises(StoreFull):
        handle.save_ranking(ranking, request=b"r", ttl=60)
    assert handle.count() == ROWS
    ballast.unlink()
    cursor = handle.save_ranking(ranking, request=b"r", ttl=60)
    assert len(handle.load_ranking(cursor, request=b"r").rows) == 10_000
    store.close()


def test_opening(disk: Path) -> None:
    store, _ = filled(disk / "store")
    store.close()
    ballast = fill_up(disk)
    (disk / "store" / RESERVE_FILE).unlink()
    fill_up(disk)
    with pytest.raises(StoreFull):
        Store(disk / "store")
    with Store(disk / "store", read_only=True) as reader:
        assert reader.bucket("bucket").index("index").count() == ROWS
    ballast.unlink()
    assert store.bucket("bucket").index("index").count() == ROWS
    store.close()


def test_posting_lists_stay_in_memory_and_are_written_later(disk: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = Store(engine=LocalEngine(disk / "store", background=False))
    store.create_bucket("bucket")
    index = make_index(store, "index")
    keys = [f"p{n}" for n in range(20_000)]
    index.put(keys, np.ones((20_000, 2), dtype=np.float32), [{"p": n % 50} for n in range(20_000)])
    ballast = fill_up(disk)
    assert index.count({"p": 7}) == 400
    assert "Posting lists stay in memory for now" in caplog.text
    ballast.unlink()
    index.put(["one more"], [[1.0, 1.0]], [{"p": 7}])
    assert index.count({"p": 7}) == 401
    index.optimize()
    assert list((disk / "store").rglob("*.post")) != []
    store.close()


def test_segments_are_built_once_there_is_space(disk: Path) -> None:
    store = Store(engine=LocalEngine(disk / "store", background=False))
    store.create_bucket("bucket")
    index = store.bucket("bucket").create_index("index", dimension=8)
    rows = np.random.default_rng(0).normal(size=(6000, 8)).astype(np.float32)
    index.put([f"s{n}" for n in range(6000)], rows)
    ballast = fill_up(disk)
    try:
        index.optimize()
    except StoreFull:
        assert index.stats().segments == ()
    assert index.query(rows[17], k=1).keys == ["s17"]
    ballast.unlink()
    index.optimize()
    assert index.query(rows[17], k=1).keys == ["s17"]
    assert local(index).count(parse_filter({})) == 6000
    store.close()
