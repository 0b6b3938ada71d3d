"""Backups while other processes write, delete, make and compact; and processes killed while they back up or restore."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from local_store import filled, names_in

from ragvec.engine.local.backup import backup
from ragvec.engine.local.restore import restore
from ragvec.engine.local.verify import verify
from ragvec.errors import Corrupted, InvalidRequest, NotAStore
from ragvec.store import Store

# Puts the same counter into index `a` and then into `b`: no moment has `b` ahead of `a`, and none has `a` ahead by
# more than one.
_TRANSFERS = """
import sys
from ragvec.store import Store
store, who = Store(sys.argv[1]), sys.argv[2]
a, b = (store.bucket("bucket").index(name) for name in "ab")
count = 0
while True:
    count += 1
    for index in (a, b):
        index.put([who, f"{who}-{count % 50}"], [[count, 1.0]] * 2, [{"n": count}, {"n": count}])
    if count % 40 == 0:
        (a if count % 80 else b).compact()
    print(count, flush=True)
"""

# Makes indexes in pairs, the first before the second, and deletes them in the other order.
_COMERS = """
import sys
from ragvec.store import Store
bucket = Store(sys.argv[1]).bucket("bucket")
count = 0
while True:
    count += 1
    for name in ("first", "second"):
        bucket.create_index(f"{name}-{count}", dimension=2).put(["x"], [[count, 1.0]])
    if count > 2:
        for name in ("second", "first"):
            bucket.index(f"{name}-{count - 2}").delete_index()
    print(count, flush=True)
"""


@contextmanager
def running(script: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """A process that has begun its work, killed at the end."""
    with subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        try:
            yield process
        finally:
            process.kill()


def counters(store: Store, name: str) -> dict[str, int]:
    index = store.bucket("bucket").index(name)
    records = {record.key: record for record in index.iter(data=True)}
    found = {}
    for key, record in records.items():
        assert record.data is not None
        assert record.metadata == {"n": int(record.data[0])}
        if "-" not in key:
            found[key] = int(record.data[0])
            own = records[f"{key}-{found[key] % 50}"]
            assert own.metadata == record.metadata, "a transaction is whole"
    assert index.count() == len(records)
    return found


def check(folder: Path) -> None:
    """What holds at every moment of a store that is written by the scripts above."""
    assert verify(folder, deep=True).problems == ()
    with Store(folder, read_only=True) as store:
        a, b = counters(store, "a"), counters(store, "b")
        assert all(0 <= a[who] - b.get(who, 0) <= 1 for who in a), (a, b)
        assert b.keys() <= a.keys()
        names = {index.name for index in store.bucket("bucket").indexes()}
        seconds = {name.partition("-")[2] for name in names if name.startswith("second-")}
        assert {f"first-{count}" for count in seconds} <= names, names
        made = sorted((int(name.partition("-")[2]), name) for name in names - {"a", "b"})
        for _, name in made[:-1]:
            assert store.bucket("bucket").index(name).count() == 1
        assert not made or store.bucket("bucket").index(made[-1][1]).count() in (0, 1), "the one being made"


def test_every_backup_shows_one_moment_of_the_whole_store(tmp_path: Path) -> None:
    with Store(tmp_path / "store") as store:
        bucket = store.create_bucket("bucket")
        for name in "ab":
            bucket.create_index(name, dimension=2)
    with (
        running(_TRANSFERS, tmp_path / "store", "one"),
        running(_TRANSFERS, tmp_path / "store", "two"),
        running(_COMERS, tmp_path / "store"),
    ):
        earlier = None
        for number in range(7):
            target = tmp_path / f"backup-{number}"
            made = backup(tmp_path / "store", target, since=earlier)
            assert made.bytes == sum(
                path.stat().st_size for path in target.rglob("*") if path.is_file() and path.name != "backup.json"
            )
            check(target)
            earlier = target
    for number in (2, 6):
        restore(tmp_path / f"backup-{number}", tmp_path / f"restored-{number}")
        check(tmp_path / f"restored-{number}")
        with Store(tmp_path / f"restored-{number}") as store:
            index = store.bucket("bucket").index("a")
            index.put(["one"], [[1.0, 1.0]], [{"n": 1}])
            index.compact()
            assert index.get(["one"])[0].metadata == {"n": 1}
        check(tmp_path / f"backup-{number}")
    assert not [name for name in names_in(tmp_path) if "unfinished" in name]


def test_backups_are_consistent_where_looking_does_not_do_and_locks_are_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ragvec.engine.local import backup_cut

    with Store(tmp_path / "store") as store:
        bucket = store.create_bucket("bucket")
        for name in "ab":
            bucket.create_index(name, dimension=2)
    monkeypatch.setattr(backup_cut, "_TRIES", 1)
    with (
        running(_TRANSFERS, tmp_path / "store", "one"),
        running(_TRANSFERS, tmp_path / "store", "two"),
        running(_COMERS, tmp_path / "store"),
    ):
        for number in range(3):
            backup(tmp_path / "store", tmp_path / f"backup-{number}")
            check(tmp_path / f"backup-{number}")


_BACKUP = """
import sys
from ragvec.engine.local.backup import backup
print("here", flush=True)
backup(sys.argv[1], sys.argv[2], progress=lambda done, total: print(done, flush=True))
"""
_RESTORE = _BACKUP.replace("backup", "restore")


@pytest.mark.parametrize("script", [_BACKUP, _RESTORE], ids=["backup", "restore"])
def test_a_process_killed_while_it_backs_up_or_restores_leaves_nothing_that_looks_whole(
    tmp_path: Path, script: str
) -> None:
    store, _ = filled(tmp_path / "store")
    for number in range(5):
        index = store.bucket("bucket").create_index(f"more-{number}", dimension=2)
        index.put([f"k{n}" for n in range(2000)], [[n, 1.0] for n in range(2000)])
    store.close()
    source, target = tmp_path / "store", tmp_path / "target"
    if script is _RESTORE:
        source = tmp_path / "backup"
        backup(tmp_path / "store", source)
    chance = random.Random(7)
    finished = 0
    for _ in range(8):
        with running(script, source, target) as process:
            assert process.stdout is not None
            for _ in range(chance.randrange(14)):
                process.stdout.readline()
            os.kill(process.pid, signal.SIGKILL)
        if target.exists():
            finished += 1
            with Store(target, read_only=True) as whole:
                assert len(whole.bucket("bucket").indexes()) == 6
            shutil.rmtree(target)
        for left in tmp_path.glob(".target.unfinished-*"):
            with pytest.raises(NotAStore):
                restore(left, tmp_path / "again")
            if not (left / "backup.json").exists() and script is _BACKUP:
                assert not (left / "catalog.sqlite").exists() or list(left.rglob("vectors.f32"))
    (backup if script is _BACKUP else restore)(source, target)
    assert not list(tmp_path.glob(".target.unfinished-*")), "what was left is removed by the next one"


_RESTORE_INDEX = """
import itertools, sys
from ragvec.engine.local.restore import restore
print("here", flush=True)
for number in itertools.count():
    restore(sys.argv[1], sys.argv[2], index="bucket/index", name=f"bucket/{sys.argv[3]}-{number}")
    print(f"{sys.argv[3]}-{number}", flush=True)
"""

# Opens the store again and again, which removes folders of indexes that the catalog does not know.
_OPENINGS = """
import sys
from ragvec.store import Store
while True:
    with Store(sys.argv[1]) as store:
        store.bucket("bucket").index("index").count()
    print("opened", flush=True)
"""


def test_an_index_is_restored_whole_or_not_at_all_whoever_opens_the_store_and_is_killed(tmp_path: Path) -> None:
    store, _ = filled(tmp_path / "store")
    backup(tmp_path / "store", tmp_path / "backup")
    chance = random.Random(3)
    told = []
    with running(_OPENINGS, tmp_path / "store"):
        for number in range(6):
            with running(_RESTORE_INDEX, tmp_path / "backup", tmp_path / "store", f"r{number}") as process:
                assert process.stdout is not None
                told += [process.stdout.readline().strip() for _ in range(chance.randrange(1, 8))]
    names = {index.name for index in store.bucket("bucket").indexes()}
    assert set(told) <= names
    for name in names:
        index = store.bucket("bucket").index(name)
        assert [record.key for record in index.iter()] == sorted(f"k{n}" for n in range(50))
        assert index.count({"n": 1}) == 7
    restore(tmp_path / "backup", tmp_path / "store", index="bucket/index", name="bucket/last")
    uids = {index.uid for index in store.bucket("bucket").indexes()}
    assert uids == set(names_in(tmp_path / "store" / "indexes")), "files of indexes that were not entered go"
    assert not [name for name in names_in(tmp_path / "store") if name.startswith("restoring")]
    store.close()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a small tmpfs needs root")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_is_named_and_nothing_is_left(tmp_path: Path, disk: Path) -> None:
    from ragvec.errors import StoreFull

    store, index = filled(tmp_path / "store")
    keys = [f"key{n:05d}" * 5 for n in range(20_000)]
    index.put(keys, [[n, 1.0] for n in range(20_000)], [{"text": "x" * 50}] * 20_000)
    with pytest.raises(StoreFull, match="No space left"):
        backup(tmp_path / "store", disk / "backup")
    assert names_in(disk) == []
    backup(tmp_path / "store", tmp_path / "backup")
    with pytest.raises(StoreFull, match="No space left"):
        restore(tmp_path / "backup", disk / "store")
    assert names_in(disk) == []
    store.close()


def test_a_damaged_or_unfinished_backup_is_refused_by_name(tmp_path: Path) -> None:
    store, _ = filled(tmp_path / "store")
    store.close()
    backup(tmp_path / "store", tmp_path / "backup")
    files = sorted(path for path in (tmp_path / "backup").rglob("*") if path.is_file())
    for number, path in enumerate(files):
        good = path.read_bytes()
        for bad in (good[:-1], good[:-2] + bytes([good[-2] ^ 1]) + good[-1:], None):
            if bad is None:
                path.unlink()
            else:
                path.write_bytes(bad)
            with pytest.raises((Corrupted, NotAStore), match=path.name):
                restore(tmp_path / "backup", tmp_path / f"restored-{number}")
            assert not (tmp_path / f"restored-{number}").exists()
        path.write_bytes(good)
    restore(tmp_path / "backup", tmp_path / "restored")
    with pytest.raises(InvalidRequest, match="Expected a new or an empty folder"):
        restore(tmp_path / "backup", tmp_path / "restored")
