"""Change marks: what lets a reader skip SQLite is never stale, whatever becomes of the writers and of the mark."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from other_process import child, says, tell

from ragvec.engine.local.engine import LocalEngine
from ragvec.engine.local.index import LocalIndex
from ragvec.engine.local.marks import ChangeMark
from ragvec.engine.local.sqlite import Database
from ragvec.errors import IndexNotFound, StoreFull
from ragvec.store import Index, Store

ROUNDS = 60


def made(path: Path) -> tuple[Store, Index]:
    store = Store(engine=LocalEngine(path, background=False))
    return store, store.create_bucket("bucket").create_index("index", dimension=2, metric="euclidean")


def local(index: Index) -> LocalIndex:
    found = index.bucket.store.engine.index(index.spec)
    assert isinstance(found, LocalIndex)
    return found


def mark_of(index: Index) -> Path:
    return local(index).snapshot().generation.records._database.path.with_suffix(".mark")


# -- the mark itself ---------------------------------------------------------------------------------------------------


def change(mark: ChangeMark) -> None:
    value, _ = mark.begin(empty=lambda: True)
    mark.ended(value)


def test_a_mark_is_the_same_exactly_as_long_as_nothing_is_committed(tmp_path: Path) -> None:
    reader, writer = (ChangeMark(tmp_path / "a.mark", read_only=read_only) for read_only in (True, False))
    assert reader.value() is writer.value() is None
    seen = set()
    for _ in range(5):
        value, clean = writer.begin(empty=lambda: True)
        assert clean
        assert reader.value() is None
        writer.ended(value)
        now = reader.value()
        assert now is not None
        assert now == writer.value() == reader.value()
        assert now not in seen
        seen.add(now)
    reader.close()
    assert reader.value() == writer.value()


def test_an_abandoned_change_is_unknown_until_the_next_one(tmp_path: Path) -> None:
    reader, writer, other = (ChangeMark(tmp_path / "a.mark", read_only=False) for _ in range(3))
    change(writer)
    before = reader.value()
    writer.begin()
    assert reader.value() is None
    writer.close()
    value, clean = other.begin()
    assert not clean
    other.ended(value)
    assert reader.value() not in (None, before)
    assert writer.begin()[1]


def test_two_writers_in_either_order_leave_no_value_of_before(tmp_path: Path) -> None:
    reader, one, two = (ChangeMark(tmp_path / "a.mark", read_only=False) for _ in range(3))
    change(one)
    before = reader.value()
    (first, _), (second, _) = one.begin(), two.begin()
    assert first != second
    one.ended(first)
    assert reader.value() is None, "the second has begun"
    two.ended(second)
    assert reader.value() not in (None, before)


@pytest.mark.parametrize("content", [b"", b"short", b"garbage, garbage, garbage"])
def test_a_mark_that_is_not_whole_says_nothing(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.mark"
    path.write_bytes(content)
    reader, writer = (ChangeMark(path, read_only=False) for _ in range(2))
    assert reader.value() is None
    change(writer)
    assert reader.value() == writer.value() is not None


def test_a_mark_that_was_cut_off_while_it_is_read_says_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.mark"
    reader, writer = (ChangeMark(path, read_only=False) for _ in range(2))
    change(writer)
    before = reader.value()
    os.truncate(path, 0)
    assert reader.value() is None
    change(writer)
    assert reader.value() not in (None, before)


def test_an_older_copy_of_a_mark_never_counts_up_to_what_was_seen(tmp_path: Path) -> None:
    path = tmp_path / "a.mark"
    reader, writer = (ChangeMark(path, read_only=False) for _ in range(2))
    change(writer)
    older = path.read_bytes()
    seen = set()
    for _ in range(3):
        change(writer)
        seen.add(reader.value())
    path.write_bytes(older)
    for _ in range(4):
        change(writer)
        assert reader.value() not in {None, *seen}


# -- two processes -----------------------------------------------------------------------------------------------------

READER = """
import sys, pathlib
from ragvec.engine.local.engine import LocalEngine
from ragvec.store import Store
read_only = sys.argv[2] == "read-only"
with Store(engine=LocalEngine(pathlib.Path(sys.argv[1]), read_only=read_only, background=False)) as store:
    index = store.bucket("bucket").index("index")
    print("open", flush=True)
    for line in sys.stdin:
        found = index.query([0.0, 0.0], k=1, data=True, metadata=True)
        (record,) = index.get(["a"])
        print(index.count(), index.count({"n": {"$gte": 0}}), int(record.data[0]), record.metadata["n"],
              round(found.distances[0]), found.keys[0], flush=True)
"""


@pytest.mark.parametrize("mode", ["read-only", "writing"])
def test_another_process_is_never_stale_after_a_write_was_acknowledged(tmp_path: Path, mode: str) -> None:
    store, index = made(tmp_path / "store")
    index.put(["a"], [[1_000, 0]], [{"n": -1}])
    with child(READER, tmp_path / "store", mode) as reader:
        assert says(reader) == "open"
        for at in range(ROUNDS):
            near = 900 - at
            index.put(["a", f"b{at}"], [[near, 0], [5_000, 0]], [{"n": at}, {"n": at}])
            if at % 3 == 2:
                index.delete([f"b{at}"])
            count = index.count()
            tell(reader)
            assert says(reader) == f"{count} {count} {near} {at} {near} a"
            if at % 7 == 0:  # nothing was written since
                tell(reader)
                assert says(reader) == f"{count} {count} {near} {at} {near} a"
    store.close()


WRITER = """
import sys, pathlib
from ragvec.engine.local.engine import LocalEngine
from ragvec.store import Store
with Store(engine=LocalEngine(pathlib.Path(sys.argv[1]), background=False)) as store:
    index = store.bucket("bucket").index("index")
    print("open", flush=True)
    for at, line in enumerate(sys.stdin):
        index.put([f"key{at}"], [[at, 1]], [{"n": at}])
        print(at, flush=True)
"""


def test_what_is_kept_between_writes_is_given_up_at_the_next(tmp_path: Path) -> None:
    store, index = made(tmp_path / "store")
    index.put(["first"], [[-9, -9]])
    with child(WRITER, tmp_path / "store") as writer:
        assert says(writer) == "open"
        for at in range(ROUNDS):
            tell(writer)
            assert says(writer) == str(at)
            snapshot = local(index).snapshot()
            assert snapshot.live == at + 2
            assert snapshot.generation.records.unchanged_since() is not None
            assert local(index).snapshot() is snapshot
            assert index.query([at, 1], k=1).keys == [f"key{at}"]
            assert index.count({"n": at}) == 1
    store.close()


DYING = """
import sys, pathlib
import numpy as np
from ragvec.engine.local import marks, vectors
from ragvec.engine.local.engine import LocalEngine
from ragvec.store import Store

def stop(original, before):
    def stopped(*arguments, **options):
        if not before:
            original(*arguments, **options)
        print("there", flush=True)
        sys.stdin.readline()
        return original(*arguments, **options)
    return stopped

with Store(engine=LocalEngine(pathlib.Path(sys.argv[1]), background=False)) as store:
    index = store.bucket("bucket").index("index")
    index.count()
    where = sys.argv[2]
    if where == "before the vectors":
        vectors.VectorAppender.append = stop(vectors.VectorAppender.append, True)
    elif where == "after the vectors":
        vectors.VectorAppender.sync = stop(vectors.VectorAppender.sync, False)
    elif where == "after the commit":
        marks.ChangeMark.ended = stop(marks.ChangeMark.ended, True)
    else:
        print("there", flush=True)
    count = 20_000
    index.put([f"new{n}" for n in range(count)], np.full((count, 2), 3.0), [{"n": n} for n in range(count)])
"""


@pytest.mark.parametrize(
    "moment", ["before the vectors", "after the vectors", "after the commit", "anywhere", "anywhere, again"]
)
def test_a_writer_killed_in_the_middle_of_a_big_put(tmp_path: Path, moment: str) -> None:
    store, index = made(tmp_path / "store")
    index.put(["a"], [[1, 1]], [{"n": 1}])
    assert index.count() == 1
    with child(DYING, tmp_path / "store", moment) as writer:
        assert says(writer) == "there"
        seen = [index.count(), local(index).snapshot().live]
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    after = index.count()
    assert after in (1, 20_001)
    if not moment.startswith("anywhere"):
        assert {*seen, after} == ({20_001} if moment == "after the commit" else {1})
        assert local(index).snapshot().generation.records.unchanged_since() is None
    assert len(index.get(["new7", "a"])) == (2 if after > 1 else 1)
    assert index.query([1, 1], k=1).keys == ["a"]
    index.put(["b"], [[-9, -9]], [{"n": 1}])
    assert index.count() == after + 1
    assert local(index).snapshot().generation.records.unchanged_since() is not None
    assert index.query([-9, -9], k=1).keys == ["b"]
    store.close()
    with Store(tmp_path / "store", read_only=True) as again:
        assert again.bucket("bucket").index("index").count() == after + 1


# -- marks that others tamper with -------------------------------------------------------------------------------------


def replaced(mark: Path, content: bytes) -> None:
    other = mark.with_suffix(".other")
    other.write_bytes(content)
    other.replace(mark)


TAMPERING: dict[str, Callable[[Path, bytes], object]] = {
    "removed": lambda mark, older: mark.unlink(missing_ok=True),
    "moved away": lambda mark, older: mark.exists() and mark.rename(mark.with_suffix(".gone")),
    "cut off": lambda mark, older: mark.exists() and os.truncate(mark, 3),
    "overwritten": lambda mark, older: mark.write_bytes(b"garbage!" * 2),
    "replaced": lambda mark, older: replaced(mark, b"garbage!" * 2),
    "restored": lambda mark, older: replaced(mark, older),
    "restored in place": lambda mark, older: mark.write_bytes(older),
}


@pytest.mark.parametrize("what", TAMPERING)
def test_nobody_is_stale_whatever_is_done_to_a_mark_that_is_in_use(tmp_path: Path, what: str) -> None:
    store, index = made(tmp_path / "store")
    index.put(["a"], [[1, 1]])
    mark = mark_of(index)
    older = mark.read_bytes()
    with Store(tmp_path / "store") as one, Store(tmp_path / "store", read_only=True) as two:
        readers = [index, one.bucket("bucket").index("index"), two.bucket("bucket").index("index")]
        for count in range(2, 6):
            index.put([f"b{count}"], [[count, 1]])
            assert [reader.count() for reader in readers] == [count] * 3
            TAMPERING[what](mark, older)
    with child(WRITER, tmp_path / "store") as writer:  # opens the mark only now
        assert index.count() == 5
        TAMPERING[what](mark, bytes(24))  # who never wrote may be deceived by an older copy of the same inode number
        assert says(writer) == "open"
        for at in range(3):
            tell(writer)
            assert says(writer) == str(at)
            assert index.count() == 6 + at
    store.close()


# -- marks that are missing or cannot be written -----------------------------------------------------------------------


def test_a_store_of_before_there_were_marks(tmp_path: Path) -> None:
    store, index = made(tmp_path / "store")
    index.put(["a"], [[1, 1]])
    mark = mark_of(index)
    store.close()
    for path in (tmp_path / "store").rglob("*.mark"):
        path.unlink()
    assert not mark.exists()
    with Store(tmp_path / "store", read_only=True) as reader:
        old = reader.bucket("bucket").index("index")
        assert (old.count(), old.query([1, 1], k=1).keys) == (1, ["a"])
        assert not mark.exists()
        with child(WRITER, tmp_path / "store") as writer:
            assert says(writer) == "open"
            for at in range(5):
                tell(writer)
                assert says(writer) == str(at)
                assert old.count() == at + 2
                assert old.query([at, 1], k=1).keys
        assert mark.exists()
        assert local(old).snapshot().generation.records.unchanged_since() is not None


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
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
    return ballast


def test_a_mark_that_a_full_disk_has_no_room_for(disk: Path) -> None:
    database, reader = Database(disk / "some.sqlite"), Database(disk / "some.sqlite", read_only=True)
    with database.write() as sql:
        sql.execute("CREATE TABLE numbers (n INTEGER)")
    assert database._mark is not None
    database._mark.close()
    (disk / "some.mark").unlink()
    ballast = fill_up(disk)
    with pytest.raises(StoreFull, match=r"some\.mark"), database.write() as sql:
        sql.execute("INSERT INTO numbers VALUES (1)")
    with reader.read() as sql:
        assert sql.execute("SELECT count(*) FROM numbers").fetchone() == (0,)
    ballast.unlink()
    with database.write() as sql:
        sql.execute("INSERT INTO numbers VALUES (1)")
    with reader.read() as sql:
        assert sql.execute("SELECT count(*) FROM numbers").fetchone() == (1,)
    assert reader.unchanged_since() == database.unchanged_since() is not None
    reader.close()
    database.close()


def test_a_put_that_finds_the_disk_full_commits_nothing(disk: Path) -> None:
    store, index = made(disk / "store")
    index.put(["a"], [[1, 1]])
    ballast = fill_up(disk)
    with pytest.raises(StoreFull):
        index.put([f"n{n}" for n in range(20_000)], np.ones((20_000, 2)))
    assert (index.count(), index.query([1, 1], k=5).keys) == (1, ["a"])
    ballast.unlink()
    index.put(["b"], [[2, 2]])
    assert (index.count(), index.query([2, 2], k=1).keys) == (2, ["b"])
    store.close()


def test_a_file_system_that_became_read_only(disk: Path) -> None:
    store, index = made(disk / "store")
    index.put(["a"], [[1, 1]])
    store.close()
    with Store(disk / "store", read_only=True) as before:
        assert before.bucket("bucket").index("index").count() == 1
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    with Store(disk / "store", read_only=True) as reader:
        assert reader.bucket("bucket").index("index").query([1, 1], k=1).keys == ["a"]
    mark = ChangeMark(next(disk.rglob("records.mark")), read_only=False)
    assert mark.value() is None, "what cannot be opened for writing tells nothing"
    with pytest.raises(OSError, match="Read-only"):
        mark.begin()
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)


# -- the catalog -------------------------------------------------------------------------------------------------------

MAKER = """
import sys, pathlib
from ragvec.engine.local.engine import LocalEngine
from ragvec.store import Store
with Store(engine=LocalEngine(pathlib.Path(sys.argv[1]), background=False)) as store:
    index = store.bucket("bucket").index("index")
    print("open", flush=True)
    for at, line in enumerate(sys.stdin):
        if at % 2 == 0:
            index.delete_index()
            print("deleted", flush=True)
        else:
            index = store.bucket("bucket").create_index("index", dimension=2 + at, metric="euclidean")
            index.put(["new"], [[at] * (2 + at)])
            print(index.uid, flush=True)
"""


def test_an_index_deleted_and_made_again_by_another_process_is_seen_at_once(tmp_path: Path) -> None:
    store, index = made(tmp_path / "store")
    index.put(["a"], [[1, 1]])
    first = index.uid
    with child(MAKER, tmp_path / "store") as maker:
        assert says(maker) == "open"
        for at in range(1, 11, 2):
            assert index.count() == 1
            tell(maker)
            assert says(maker) == "deleted"
            assert not index.exists()
            for use in (index.count, index.stats, lambda: index.get(["a"])):
                with pytest.raises(IndexNotFound):
                    use()
            tell(maker)
            assert says(maker) == index.uid != first
            assert (index.dimension, index.count()) == (2 + at, 1)
            assert index.query([at] * (2 + at), k=3).keys == ["new"]
    store.close()
