from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ragvec.care import backup, migrate, restore
from ragvec.engine.local import backup_files
from ragvec.errors import (
    BucketNotFound,
    Corrupted,
    IndexExists,
    IndexNotFound,
    InvalidRequest,
    NotAStore,
    StoreBusy,
    StoreReadOnly,
    StoreTooNew,
)
from ragvec.store import Index, Store


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two buckets with three indexes, one of them with a segment, one never written to."""
    random = np.random.default_rng(3)
    path = tmp_path_factory.mktemp("template") / "store"
    with Store(path) as opened:
        bucket = opened.create_bucket("one")
        large = bucket.create_index("large", dimension=8, metric="euclidean", non_filterable=["text"])
        large.put([f"k{n}" for n in range(6000)], random.normal(size=(6000, 8)), [{"n": n % 9} for n in range(6000)])
        large.delete(["k7"])
        large.set_property("note", {"a": 1})
        large.optimize()
        bucket.create_index("empty", dimension=2)
        small = opened.create_bucket("two").create_index("small", dimension=2)
        small.put(["x"], [[1.0, 2.0]], [{"a": True}])
    return path


@pytest.fixture
def store(template: Path, tmp_path: Path) -> Any:
    """A copy of it."""
    shutil.copytree(template, tmp_path / "store")
    with Store(tmp_path / "store") as opened:
        yield opened


def state(index: Index) -> list[tuple[str, bytes, Any]]:
    return [
        (record.key, record.data.tobytes(), record.metadata)
        for record in index.iter(data=True)
        if record.data is not None
    ]


def files_of(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def same(one: Store, other: Store) -> None:
    names = [[index.name for index in bucket.indexes()] for bucket in one.buckets()]
    assert names == [[index.name for index in bucket.indexes()] for bucket in other.buckets()]
    for bucket in one.buckets():
        for index in bucket.indexes():
            twin = other.bucket(bucket.name).index(index.name)
            assert twin.spec == index.spec
            assert state(twin) == state(index)
            assert twin.count({"n": 3}) == index.count({"n": 3})
            assert twin.stats().segments == index.stats().segments
            assert twin.property("note") == index.property("note")


def test_a_backup_is_a_store_and_is_restored_as_it_was(store: Store, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    made = backup(tmp_path / "store", tmp_path / "backup", progress=lambda done, total: told.append((done, total)))
    listed = json.loads((tmp_path / "backup" / "backup.json").read_bytes())["backup"]
    found = files_of(tmp_path / "backup")
    del found["backup.json"]
    assert {name: digest for name, (_, digest) in listed["files"].items()} == found
    assert (made.files, made.bytes) == (len(found), sum(size for size, _ in listed["files"].values()))
    assert sorted((one.bucket, one.name, one.rows, one.sequence) for one in made.indexes) == [
        ("one", "empty", 0, 0), ("one", "large", 6000, 2), ("two", "small", 1, 1)
    ]  # fmt: skip
    assert told[-1][0] == told[-1][1]
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert not [name for name in found if name.endswith((".mark", "-wal", "-shm", ".lock")) or "cursors" in name]
    with Store(tmp_path / "backup", read_only=True) as opened:
        same(store, opened)
    assert files_of(tmp_path / "backup").items() >= found.items(), "looking changes nothing"
    done = restore(tmp_path / "backup", tmp_path / "restored")
    assert done.problems == ()
    assert sorted(done.indexes) == ["one/empty", "one/large", "two/small"]
    with Store(tmp_path / "restored") as opened:
        same(store, opened)
        opened.bucket("two").index("small").put(["y"], [[3.0, 4.0]])
        assert opened.bucket("two").index("small").count() == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["backup", "restored", "store"]


def test_a_backup_is_never_written_to(store: Store, tmp_path: Path) -> None:
    backup(tmp_path / "store", tmp_path / "backup")
    with pytest.raises(StoreReadOnly, match="is a backup, which is never written to: open it with read_only=True"):
        Store(tmp_path / "backup")
    with pytest.raises(StoreReadOnly, match="is a backup"):
        migrate(tmp_path / "backup")


def test_what_did_not_change_is_linked_and_each_backup_stands_alone(store: Store, tmp_path: Path) -> None:
    first = backup(tmp_path / "store", tmp_path / "first")
    second = backup(tmp_path / "store", tmp_path / "second", since=tmp_path / "first")
    assert first.linked_bytes == 0
    catalog = (tmp_path / "second" / "catalog.sqlite").stat().st_size
    assert second.linked_bytes == second.bytes - catalog
    store.bucket("two").index("small").put(["y"], [[3.0, 4.0]])
    third = backup(tmp_path / "store", tmp_path / "third", since=tmp_path / "second")
    assert third.bytes - third.linked_bytes < 100_000
    for path in (tmp_path / "first").rglob("*"):
        if path.is_file() and path.name != "catalog.sqlite":
            path.unlink()
    for name, count in (("second", 1), ("third", 2)):
        restore(tmp_path / name, tmp_path / f"restored-{name}")
        with Store(tmp_path / f"restored-{name}") as opened:
            assert opened.bucket("two").index("small").count() == count
            assert state(opened.bucket("one").index("large")) == state(store.bucket("one").index("large"))


def test_files_of_one_name_and_other_content_are_not_linked(store: Store, tmp_path: Path) -> None:
    """Two stores that were one go their own ways: same rows of the same generation, and other vectors."""
    backup(tmp_path / "store", tmp_path / "base")
    restore(tmp_path / "base", tmp_path / "twin")
    with Store(tmp_path / "twin") as twin:
        twin.bucket("two").index("small").put(["y"], [[7.0, 7.0]])
    store.bucket("two").index("small").put(["y"], [[3.0, 4.0]])
    backup(tmp_path / "twin", tmp_path / "other")
    backup(tmp_path / "store", tmp_path / "next", since=tmp_path / "other")
    with Store(tmp_path / "next", read_only=True) as opened:
        assert opened.bucket("two").index("small").get(["y"])[0].data.tolist() == [3.0, 4.0]  # type: ignore[union-attr]


def test_without_links_and_copies_by_the_system_it_is_copied(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup(tmp_path / "store", tmp_path / "first")
    monkeypatch.setattr(backup_files, "_copied_by_system", lambda *_: False)

    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    second = backup(tmp_path / "store", tmp_path / "second", since=tmp_path / "first")
    assert second.linked_bytes == 0
    with Store(tmp_path / "second", read_only=True) as opened:
        same(store, opened)


def test_a_part_of_a_store(store: Store, tmp_path: Path) -> None:
    backup(tmp_path / "store", tmp_path / "bucket", bucket="one")
    backup(tmp_path / "store", tmp_path / "index", index="one/empty")
    with Store(tmp_path / "bucket", read_only=True) as opened:
        assert [bucket.name for bucket in opened.buckets()] == ["one"]
        assert [index.name for index in opened.bucket("one").indexes()] == ["empty", "large"]
        assert state(opened.bucket("one").index("large")) == state(store.bucket("one").index("large"))
    with Store(tmp_path / "index", read_only=True) as opened:
        assert [index.name for index in opened.bucket("one").indexes()] == ["empty"]
    content = (tmp_path / "index" / "catalog.sqlite").read_bytes()
    assert b"large" not in content
    assert b"small" not in content
    restore(tmp_path / "bucket", tmp_path / "restored")
    with Store(tmp_path / "restored") as opened:
        assert opened.bucket("one").index("large").count() == 5999


def test_one_index_into_a_store_in_use(store: Store, tmp_path: Path) -> None:
    large = store.bucket("one").index("large")
    expected = state(large)
    backup(tmp_path / "store", tmp_path / "backup")
    large.delete([f"k{n}" for n in range(100)])
    with pytest.raises(IndexExists):
        restore(tmp_path / "backup", tmp_path / "store", index="one/large")
    done = restore(tmp_path / "backup", tmp_path / "store", index="one/large", name="three/again")
    assert done.indexes == ("three/again",)
    again = store.bucket("three").index("again")
    assert state(again) == expected
    assert again.uid != large.uid
    assert again.property("note") == {"a": 1}
    assert (again.spec.created, again.spec.non_filterable) == (large.spec.created, ("text",))
    assert len(again.stats().segments) == 1
    again.put(["new"], np.ones((1, 8)))
    assert (again.count(), large.count()) == (6000, 5900)
    large.delete_index()
    restore(tmp_path / "backup", tmp_path / "store", index="one/large")
    assert state(store.bucket("one").index("large")) == expected
    restore(tmp_path / "backup", tmp_path / "store", index="one/empty", name="one/none")
    assert store.bucket("one").index("none").count() == 0
    with pytest.raises(IndexNotFound, match="no index 'one/absent'; it has one/empty, one/large, two/small"):
        restore(tmp_path / "backup", tmp_path / "store", index="one/absent")
    assert sorted(path.name for path in (tmp_path / "store").iterdir() if path.name.startswith("restoring")) == []


def test_a_damaged_index_of_a_backup_is_not_restored(store: Store, tmp_path: Path) -> None:
    made = backup(tmp_path / "store", tmp_path / "backup")
    uid = next(one.uid for one in made.indexes if one.name == "small")
    (tmp_path / "backup" / "indexes" / uid / "g000000" / "vectors.f32").write_bytes(bytes(8))
    with pytest.raises(Corrupted, match=r"vectors\.f32` has another SHA-256"):
        restore(tmp_path / "backup", tmp_path / "store", index="two/small", name="two/again")
    assert [index.name for index in store.bucket("two").indexes()] == ["small"]
    restore(tmp_path / "backup", tmp_path / "store", index="one/large", name="two/sound")
    (tmp_path / "backup" / "catalog.sqlite").unlink()
    with pytest.raises(Corrupted) as caught:
        restore(tmp_path / "backup", tmp_path / "restored")
    assert "vectors.f32` has another SHA-256; `catalog.sqlite` is missing" in caught.value.message


def test_a_store_of_format_1_is_backed_up_as_it_is_and_its_parts_restored(tmp_path: Path) -> None:
    golden = Path(__file__).parents[2] / "format" / "store-1.zip"
    with zipfile.ZipFile(golden) as archive:
        archive.extractall(tmp_path)
    backup(tmp_path / "store", tmp_path / "backup")
    with Store(tmp_path / "backup", read_only=True) as opened:
        expected = state(opened.bucket("golden").index("plain"))
    assert len(expected) == 3
    restore(tmp_path / "backup", tmp_path / "whole")
    restore(tmp_path / "backup", tmp_path / "part", index="golden/plain")
    for name in ("whole", "part"):
        with Store(tmp_path / name) as opened:
            index = opened.bucket("golden").index("plain")
            assert state(index) == expected
            assert index.property("embedder") == {"name": "made by hand", "dimension": 3}


def test_damage_that_the_store_had_is_restored_and_told(store: Store, tmp_path: Path) -> None:
    uid = store.bucket("two").index("small").uid
    store.close()
    (tmp_path / "store" / "indexes" / uid / "g000000" / "vectors.f32").write_bytes(bytes(8))
    backup(tmp_path / "store", tmp_path / "backup")
    done = restore(tmp_path / "backup", tmp_path / "restored")
    assert [(problem.severity, problem.index, problem.key) for problem in done.problems] == [("primary", "small", "x")]


def test_the_store_that_is_replaced_is_kept(store: Store, tmp_path: Path) -> None:
    backup(tmp_path / "store", tmp_path / "backup")
    store.bucket("two").index("small").put(["y"], [[3.0, 4.0]])
    store.close()
    done = restore(tmp_path / "backup", tmp_path / "store", replace=True)
    assert done.kept is not None
    for path, count in ((tmp_path / "store", 1), (Path(done.kept), 2)):
        with Store(path) as opened:
            assert opened.bucket("two").index("small").count() == count
    (tmp_path / "else").mkdir()
    (tmp_path / "else" / "notes.txt").write_text("mine")
    with pytest.raises(NotAStore, match="is left as it is"):
        restore(tmp_path / "backup", tmp_path / "else", replace=True)


def test_what_makes_no_sense_is_refused(store: Store, tmp_path: Path) -> None:
    source = tmp_path / "store"
    with pytest.raises(NotAStore, match="has no catalog.sqlite"):
        backup(tmp_path / "absent", tmp_path / "backup")
    with pytest.raises(InvalidRequest, match="Expected a folder outside the store"):
        backup(source, source / "backup")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("x")
    with pytest.raises(InvalidRequest, match="a backup is never written over"):
        backup(source, tmp_path / "full")
    with pytest.raises(InvalidRequest, match="Expected at most one"):
        backup(source, tmp_path / "backup", bucket="one", index="one/large")
    with pytest.raises(InvalidRequest, match="Expected `index` as bucket/name, got 'large'"):
        backup(source, tmp_path / "backup", index="large")
    with pytest.raises(BucketNotFound):
        backup(source, tmp_path / "backup", bucket="three")
    with pytest.raises(IndexNotFound):
        backup(source, tmp_path / "backup", index="one/absent")
    with pytest.raises(NotAStore, match=r"is not a backup: it has no backup\.json"):
        backup(source, tmp_path / "backup", since=source)
    with pytest.raises(NotAStore, match="is not a backup"):
        restore(source, tmp_path / "restored")
    made = backup(source, tmp_path / "backup")
    assert made.path == str(tmp_path / "backup")
    manifest = tmp_path / "backup" / "backup.json"
    manifest.write_bytes(manifest.read_bytes().replace(b'{"format":1', b'{"format":2', 1))
    with pytest.raises(StoreTooNew, match="has format 2, this ragvec knows formats up to 1"):
        restore(tmp_path / "backup", tmp_path / "restored")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["backup", "full", "store"]


def test_a_cut_sees_one_moment_while_commits_and_checkpoints_go_on(store: Store, tmp_path: Path) -> None:
    from ragvec.engine.local.backup_cut import store_cut
    from ragvec.engine.local.layout import StoreFolder

    small = store.bucket("two").index("small")
    with store_cut(StoreFolder(tmp_path / "store")) as cut:
        pinned = next(one for one in cut.indexes if one.spec.name == "small")
        assert pinned.records is not None
        for number in range(50):
            small.put([f"n{number}"], [[1.0, number]], [{"text": "x" * 50_000}])
        small.delete(["x"])
        with sqlite3.connect(pinned.generation.records) as other:
            other.execute("PRAGMA wal_checkpoint(PASSIVE)")
        other.close()
        small.compact()
        store.bucket("one").index("empty").delete_index()
        target = sqlite3.connect(":memory:")
        pinned.records.backup(target, pages=2)
        assert target.execute("SELECT key, died FROM records").fetchall() == [("x", None)]
        target.close()
        assert pinned.vectors is not None
        assert np.frombuffer(os.pread(pinned.vectors, 8, 0), dtype="<f4").tolist() == [1.0, 2.0]
        names = {row[0] for row in cut.catalog.execute("SELECT name FROM indexes")}
        assert names == {"large", "empty", "small"}


def test_writers_that_leave_no_moment_are_named(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ragvec.engine.local import backup_cut

    monkeypatch.setattr(backup_cut.PinnedIndex, "is_latest", lambda _: False)
    monkeypatch.setattr(backup_cut, "_PATIENCE_SECONDS", 0.2)
    with pytest.raises(StoreBusy, match="left no moment at which"):
        backup(tmp_path / "store", tmp_path / "backup")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["store"]


def test_more_indexes_than_files_may_be_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    with Store(tmp_path / "store") as opened:
        bucket = opened.create_bucket("one")
        for number in range(12):
            bucket.create_index(f"i{number}", dimension=2).put(["a"], [[1.0, number]])
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (140, hard))
    try:
        assert len(backup(tmp_path / "store", tmp_path / "backup").indexes) == 12
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 140
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
