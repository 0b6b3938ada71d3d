"""Opening stores and indexes: many processes at once, beside a writer, from elsewhere, and more than may be open."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from local_store import ROWS, Child, filled, make_index, names_in

from ragvec.engine.local import sqlite
from ragvec.engine.local.engine import LocalEngine
from ragvec.engine.local.index import LocalIndex
from ragvec.errors import BucketExists, IndexExists, NotAStore
from ragvec.store import Store

OPEN_FILES = Path("/proc/self/fd")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform does not fork")
def test_processes_that_make_one_store_at_once_all_succeed(tmp_path: Path) -> None:
    for attempt in range(10):
        path = tmp_path / str(attempt)
        barrier_read, barrier_write = os.pipe()

        def child(path: Path = path, barrier: int = barrier_read) -> None:
            os.read(barrier, 1)
            with Store(path) as store:
                with suppress(BucketExists):
                    store.create_bucket("bucket")
                with suppress(IndexExists):
                    make_index(store, "index")

        children = [Child(child) for _ in range(6)]
        os.write(barrier_write, b"123456")
        assert [process.exitcode() for process in children] == [0] * 6
        os.close(barrier_read)
        os.close(barrier_write)


def test_opening_and_reading_do_not_wait_for_a_writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.2)
    store, index = filled(tmp_path / "store")
    handle = store.engine.index(index.spec)
    assert isinstance(handle, LocalIndex)
    with handle.snapshot().generation.records.writing(), Store(tmp_path / "store") as other:
        found = other.bucket("bucket").index("index")
        assert found.query([0.0, 0.0], k=1, where={"n": 1}).keys == ["k1"]
        assert found.count() == ROWS
    store.close()


def test_a_store_opened_by_a_relative_path_stays_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store, index = filled(Path("store"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert index.query([0.0, 0.0], k=1, where={"n": 2}).keys == ["k2"]
    make_index(store, "second")
    store.close()
    assert index.count() == ROWS
    store.close()
    assert names_in(tmp_path / "elsewhere") == []


@pytest.mark.skipif(not OPEN_FILES.is_dir(), reason="counts open files in /proc")
def test_only_so_many_indexes_stay_open(tmp_path: Path) -> None:
    with Store(tmp_path / "store") as made:
        made.create_bucket("bucket")
        indexes = [make_index(made, f"i{n}").name for n in range(12)]
    store = Store(engine=LocalEngine(tmp_path / "store", most_open=3))
    counts = []
    for name in indexes * 2:
        index = store.bucket("bucket").index(name)
        assert index.query([0.0, 0.0], k=1, where={"n": 1}).keys == ["k1"]
        counts.append(len(names_in(OPEN_FILES)))
        assert len(list(store.engine.opened())) <= 3
    # Without closing, each index would add at least its database and its vectors.
    assert max(counts[3:]) <= max(counts[:3]) + 12
    store.close()


def test_indexes_in_use_by_threads_may_be_closed_to_make_room(tmp_path: Path) -> None:
    with Store(tmp_path / "store") as made:
        made.create_bucket("bucket")
        names = [make_index(made, f"i{n}").name for n in range(4)]
    store = Store(engine=LocalEngine(tmp_path / "store", most_open=1))
    wrong: list[object] = []

    def read(names: Iterator[str]) -> None:
        for name in names:
            found = store.bucket("bucket").index(name).query([5.0, 0.0], k=1, where={"n": {"$lt": 9}}, data=True)
            if found.keys != ["k5"]:
                wrong.append(found.keys)

    threads = [threading.Thread(target=read, args=(iter((names[n:] + names[:n]) * 15),)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    store.close()


@pytest.mark.skipif(not OPEN_FILES.is_dir(), reason="counts open files in /proc")
def test_many_threads_leave_few_connections_behind(tmp_path: Path) -> None:
    store, index = filled(tmp_path / "store")
    before = len(names_in(OPEN_FILES))
    barrier = threading.Barrier(60)

    def read() -> None:
        handle = store.engine.index(index.spec)
        assert isinstance(handle, LocalIndex)
        database = handle.snapshot().generation.records._database
        with database.read():
            barrier.wait()

    threads = [threading.Thread(target=read) for _ in range(60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # At most 16 connections stay, each with its database and log; SQLite keeps one file of the others while locks last.
    assert len(names_in(OPEN_FILES)) - before <= 60 + 2 * 16
    store.close()


def test_a_database_of_another_program_is_not_taken_over(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    folder.mkdir()
    sql = sqlite3.connect(folder / "catalog.sqlite")
    sql.execute("CREATE TABLE books (title)")
    sql.close()
    before = (folder / "catalog.sqlite").read_bytes()
    with pytest.raises(NotAStore, match="is not a ragvec catalog"):
        Store(folder)
    assert (folder / "catalog.sqlite").read_bytes() == before


def test_a_new_index_can_be_read_read_only(tmp_path: Path) -> None:
    with Store(tmp_path / "store") as store:
        store.create_bucket("bucket").create_index("empty", dimension=2)
    with Store(tmp_path / "store", read_only=True) as store:
        index = store.bucket("bucket").index("empty")
        assert (index.count(), index.query([1, 0]).keys, list(index.iter())) == (0, [], [])
