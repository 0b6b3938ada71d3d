"""The local engine: what it opens and refuses, what survives, and what other processes see."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ragvec.engine.local.engine import LocalEngine
from ragvec.engine.local.index import LocalIndex
from ragvec.engine.local.writer import record_checksum
from ragvec.engine.protocol import BucketInfo, IndexSpec, Ranking
from ragvec.errors import (
    ExpiredToken,
    IndexNotFound,
    InvalidToken,
    NotAStore,
    QuotaExceeded,
    StoreFull,
    StoreReadOnly,
    StoreTooNew,
)
from ragvec.filters.parse import parse_filter


def spec(name: str = "index", dimension: int = 4) -> IndexSpec:
    return IndexSpec(
        uid=str(uuid.uuid4()), bucket="bucket", name=name, dimension=dimension, metric="euclidean", created=1.0
    )


def fill(path: Path, **options: object) -> tuple[LocalEngine, LocalIndex]:
    engine = LocalEngine(path, **options)
    engine.catalog.create_bucket(BucketInfo("bucket", 1.0), tags={}, max_buckets=None)
    engine.catalog.create_index(spec(), tags={}, max_indexes=None)
    return engine, engine.index(engine.catalog.index("bucket", "index"))


def rows(*firsts: float, dimension: int = 4) -> np.ndarray:
    out = np.zeros((len(firsts), dimension), dtype=np.float32)
    out[:, 0] = firsts
    return out


def keys_found(ranking: Ranking, index: LocalIndex) -> list[str]:
    found = index.fetch(ranking.rows, generation=ranking.generation, data=False, metadata=False)
    return [record.key for record in found if record is not None]


# -- opening -----------------------------------------------------------------------------------------------------------


def test_a_store_is_made_in_an_absent_or_empty_folder_only(tmp_path: Path) -> None:
    LocalEngine(tmp_path / "a" / "b").close()
    (tmp_path / "empty").mkdir()
    LocalEngine(tmp_path / "empty").close()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.docx").touch()
    with pytest.raises(NotAStore, match=r"is not a ragvec store: it has no catalog.sqlite but holds thesis.docx"):
        LocalEngine(tmp_path / "other")
    (tmp_path / "file").touch()
    with pytest.raises(NotAStore, match="Expected a folder, got a file"):
        LocalEngine(tmp_path / "file")
    with pytest.raises(NotAStore, match="no store at .* to open read-only"):
        LocalEngine(tmp_path / "absent", read_only=True)
    assert not (tmp_path / "absent").exists()


def test_a_newer_format_is_refused_and_left_alone(tmp_path: Path) -> None:
    LocalEngine(tmp_path / "store").close()
    with sqlite3.connect(tmp_path / "store" / "catalog.sqlite") as sql:
        sql.execute("PRAGMA user_version = 3")
    sql.close()
    with pytest.raises(StoreTooNew, match="has format 3, this ragvec knows formats up to 2; upgrade ragvec"):
        LocalEngine(tmp_path / "store")


def test_a_catalog_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    sql = sqlite3.connect(tmp_path / "store" / "catalog.sqlite")
    sql.execute("CREATE TABLE moths (name)")
    sql.execute("PRAGMA user_version = 1")
    sql.close()
    with pytest.raises(NotAStore, match="is not a ragvec catalog"):
        LocalEngine(tmp_path / "store")


def test_read_only_reads_and_refuses_to_write(tmp_path: Path) -> None:
    engine, index = fill(tmp_path / "store")
    index.put(["a"], rows(1), [b'{"n": 1}'])
    engine.close()
    before = {path: path.read_bytes() for path in sorted((tmp_path / "store").rglob("*")) if path.is_file()}
    with LocalEngine(tmp_path / "store", read_only=True) as reader:
        found = reader.index(reader.catalog.index("bucket", "index"))
        assert found.count(parse_filter({"n": 1})) == 1
        (ranking,) = found.search(rows(0), k=1)
        assert ranking.distances.tolist() == [1.0]
        cursor = found.save_ranking(ranking, request=b"r", ttl=60)
        assert found.load_ranking(cursor, request=b"r").rows.tolist() == [0]
        with pytest.raises(StoreReadOnly):
            found.put(["b"], rows(2), [None])
        with pytest.raises(StoreReadOnly):
            reader.catalog.create_bucket(BucketInfo("other", 1.0), tags={}, max_buckets=None)
    after = {path: path.read_bytes() for path in sorted((tmp_path / "store").rglob("*")) if path.is_file()}
    assert {path.name: content for path, content in after.items() if not path.name.endswith(("-wal", "-shm"))} == {
        path.name: content for path, content in before.items()
    }


# -- durability --------------------------------------------------------------------------------------------------------


def test_everything_is_there_after_reopening(tmp_path: Path) -> None:
    engine, index = fill(tmp_path / "store")
    index.put(["a", "b", "ключ"], rows(1, 2, 3), [None, b'{"n":1}', b'{"n":2}'])
    index.put(["b"], rows(5), [b'{"n":9}'])
    assert index.delete(["a", "never"]) == 1
    engine.close()
    with LocalEngine(tmp_path / "store") as again:
        index = again.index(again.catalog.index("bucket", "index"))
        records = index.get(["ключ", "a", "b"], data=True, metadata=True)
        assert [(r.key, r.data.tolist(), r.metadata) for r in records] == [
            ("ключ", [3, 0, 0, 0], {"n": 2}),
            ("b", [5, 0, 0, 0], {"n": 9}),
        ]
        assert (index.count(), index.stats().tombstones) == (2, 2)


WRITER = """
import sys, numpy as np
from ragvec.engine.local.engine import LocalEngine
engine = LocalEngine(sys.argv[1])
index = engine.index(engine.catalog.index("bucket", "index"))
n = 0
while True:
    keys = [f"{n}-{i}" for i in range(7)] + ["same"]
    index.put(keys, np.full((8, 4), n, dtype=np.float32), [b'{"n": %d}' % n] * 8)
    print(n, flush=True)
    n += 1
"""


@pytest.mark.parametrize("after", [1, 7, 40])
def test_a_killed_writer_loses_nothing_that_was_acknowledged(tmp_path: Path, after: int) -> None:
    engine, _ = fill(tmp_path / "store")
    engine.close()
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path / "store")], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    for line in writer.stdout:
        if int(line) == after:
            writer.send_signal(signal.SIGKILL)
            break
    acknowledged = max([after, *map(int, writer.stdout)])
    writer.wait()
    writer.stdout.close()
    with LocalEngine(tmp_path / "store") as engine:
        index = engine.index(engine.catalog.index("bucket", "index"))
        batches = (index.count() - 1) // 7
        assert batches in {acknowledged + 1, acknowledged + 2}, (
            "a batch after the last acknowledged one may have been committed"
        )
        assert index.count() == batches * 7 + 1
        for n in range(batches):
            found = index.get([f"{n}-{i}" for i in range(7)], data=True, metadata=True)
            assert [(record.data.tolist(), record.metadata) for record in found] == [([n] * 4, {"n": n})] * 7
        assert index.count(parse_filter({"n": batches - 1})) == 8
        index.put(["later"], rows(1), [None])
        assert index.get(["later"], data=True, metadata=False)[0].data.tolist() == [1, 0, 0, 0]


def test_bytes_beyond_the_committed_rows_are_overwritten(tmp_path: Path) -> None:
    engine, index = fill(tmp_path / "store")
    index.put(["a"], rows(1), [None])
    (file,) = (tmp_path / "store").rglob("vectors.f32")
    with file.open("ab") as handle:
        handle.write(b"\xff" * 37)
    index.put(["b", "c"], rows(2, 3), [None, None])
    assert [record.data[0] for record in index.get(["a", "b", "c"], data=True, metadata=False)] == [1, 2, 3]
    assert file.stat().st_size >= 3 * 16
    engine.close()


def test_every_row_carries_the_checksum_of_its_vector_key_and_metadata(tmp_path: Path) -> None:
    engine, index = fill(tmp_path / "store")
    index.put(["a", "é"], rows(1, 2), [None, b'{"n":1}'])
    engine.close()
    (records,) = (tmp_path / "store").rglob("records.sqlite")
    vectors = np.fromfile(records.with_name("vectors.f32"), dtype="<f4").reshape(-1, 4)
    sql = sqlite3.connect(records)
    for row, key, metadata, checksum in sql.execute("SELECT row, key, metadata, checksum FROM records"):
        assert checksum == record_checksum(vectors[row].data.cast("B"), key.encode(), metadata)
    sql.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a small tmpfs needs root")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_full_disk_is_said_and_changes_nothing(small_disk: Path) -> None:
    engine, index = fill(small_disk / "store")
    index.put(["a"], rows(1), [b'{"n":1}'])
    many = [f"k{n}" for n in range(100_000)]
    with pytest.raises(StoreFull, match="No space left to write .*; the store is as it was"):
        index.put(many, np.ones((len(many), 4), dtype=np.float32), [None] * len(many))
    with pytest.raises(StoreFull):
        index.put(["big"], rows(1), [json.dumps({"text": "x" * 900_000}).encode()])
    assert index.count() == 1
    index.put(["b"], rows(2), [None])
    engine.close()
    with LocalEngine(small_disk / "store") as again:
        found = again.index(again.catalog.index("bucket", "index")).get(["a", "b"], data=True, metadata=True)
        assert [(record.key, record.metadata) for record in found] == [("a", {"n": 1}), ("b", {})]


def test_a_read_only_file_system_can_be_read(small_disk: Path) -> None:
    engine, index = fill(small_disk / "store")
    index.put(["a"], rows(1), [b'{"n":1}'])
    engine.close()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with LocalEngine(small_disk / "store", read_only=True) as reader:
        assert reader.index(reader.catalog.index("bucket", "index")).count(parse_filter({"n": 1})) == 1


# -- several processes, snapshots
# ---------------------------------------------------------------------------------------


def test_what_another_engine_wrote_is_seen_at_once(tmp_path: Path) -> None:
    one, index = fill(tmp_path / "store")
    two = LocalEngine(tmp_path / "store")
    other = two.index(two.catalog.index("bucket", "index"))
    for n in range(5):
        index.put([f"k{n}"], rows(n), [b'{"n":%d}' % n])
        assert other.count(parse_filter({"n": n})) == 1
        (ranking,) = other.search(rows(n), k=1)
        assert keys_found(ranking, other) == [f"k{n}"]
        assert other.delete([f"k{n}"]) == 1
        assert index.count(parse_filter({"n": n})) == 0
    one.close()
    two.close()


def test_an_index_deleted_elsewhere_is_not_found(tmp_path: Path) -> None:
    one, index = fill(tmp_path / "store")
    index.put(["a"], rows(1), [None])
    two = LocalEngine(tmp_path / "store")
    two.catalog.delete_index("bucket", "index")
    with pytest.raises(IndexNotFound):
        one.catalog.index("bucket", "index")
    two.catalog.create_index(spec(dimension=2), tags={}, max_indexes=None)
    fresh = one.index(one.catalog.index("bucket", "index"))
    assert (fresh.count(), fresh.spec.dimension) == (0, 2)
    one.close()
    two.close()


def test_leftovers_of_a_dropped_index_are_swept(tmp_path: Path) -> None:
    engine, index = fill(tmp_path / "store")
    index.put(["a"], rows(1), [None])
    engine.close()
    left = tmp_path / "store" / "indexes" / str(uuid.uuid4())
    (left / "g000000").mkdir(parents=True)
    with LocalEngine(tmp_path / "store", read_only=True):
        assert left.exists()
    with LocalEngine(tmp_path / "store") as again:
        assert not left.exists()
        assert again.index(again.catalog.index("bucket", "index")).count() == 1


def test_a_snapshot_does_not_change(tmp_path: Path) -> None:
    engine, index = fill(tmp_path / "store")
    index.put(["a", "b"], rows(1, 2), [b'{"n":1}', b'{"n":2}'])
    snapshot = index.snapshot()
    index.delete(["a"])
    index.put(["b", "c"], rows(7, 8), [b'{"n":1}', None])
    assert sorted(snapshot.matching(parse_filter({"n": 1}))) == [0]
    assert (snapshot.rows, snapshot.live, snapshot.alive) == (2, 2, None)
    assert sorted(index.snapshot().matching(parse_filter({"n": 1}))) == [2]
    engine.close()


def test_a_forked_child_uses_the_store_and_leaves_the_parent_be(tmp_path: Path) -> None:
    engine, index = fill(tmp_path / "store", background=False)
    index.put(["a"], rows(1), [b'{"n":1}'])
    assert index.count(parse_filter({"n": 1})) == 1

    def child() -> None:
        index.put(["child"], rows(2), [b'{"n":1}'])
        os._exit(0 if index.count(parse_filter({"n": 1})) == 2 else 1)

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join()
    assert process.exitcode == 0
    assert index.count(parse_filter({"n": 1})) == 2
    index.put(["parent"], rows(3), [b'{"n":1}'])
    assert index.count(parse_filter({"n": 1})) == 3
    engine.close()


# -- rankings
# ------------------------------------------------------------------------------------------------------------


def test_ties_break_by_key_also_at_the_cut(tmp_path: Path) -> None:
    engine, index = fill(tmp_path / "store")
    names = [f"k{n:03d}" for n in range(300)]
    shuffled = [names[n * 7 % 300] for n in range(300)]
    index.put(shuffled, np.ones((300, 4), dtype=np.float32), [None] * 300)
    (ranking,) = index.search(np.zeros((1, 4), dtype=np.float32), k=10)
    assert keys_found(ranking, index) == names[:10]
    engine.close()


def test_a_kept_ranking_outlives_updates_loses_deletes_and_expires(tmp_path: Path) -> None:
    now = [1000.0]
    engine, index = fill(tmp_path / "store", clock=lambda: now[0])
    index.put(["a", "b", "c"], rows(1, 2, 3), [b'{"v":1}'] * 3)
    (ranking,) = index.search(rows(0), k=3)
    cursor = index.save_ranking(ranking, request=b"request", ttl=60)
    index.put(["b"], rows(9), [b'{"v":2}'])
    index.delete(["c"])
    with LocalEngine(tmp_path / "store", clock=lambda: now[0]) as elsewhere:
        other = elsewhere.index(elsewhere.catalog.index("bucket", "index"))
        kept = other.load_ranking(cursor, request=b"request")
        assert kept.distances.tolist() == [1.0, 2.0, 3.0]
        found = other.fetch(kept.rows, generation=kept.generation, data=True, metadata=True, drop_deleted=True)
        assert [record and (record.key, record.data[0], record.metadata) for record in found] == [
            ("a", 1, {"v": 1}),
            ("b", 2, {"v": 1}),
            None,
        ]
        with pytest.raises(InvalidToken, match="belongs to another request"):
            other.load_ranking(cursor, request=b"another")
        now[0] += 61
        with pytest.raises(ExpiredToken, match="repeat the query"):
            other.load_ranking(cursor, request=b"request")
    engine.close()


def test_scan_pages_segments_and_filters_hold_every_key_once(tmp_path: Path) -> None:
    engine, index = fill(tmp_path / "store")
    names = sorted(f"k{n}" for n in range(500))
    index.put(
        names,
        np.ones((500, 4), dtype=np.float32),
        [b'{"even":%s}' % (b"true" if n % 2 else b"false") for n in range(500)],
    )
    for where, expected in (({}, names), ({"even": True}, names[1::2])):
        for segments in (1, 2, 16):
            found: list[str] = []
            for segment in range(segments):
                after = None
                while True:
                    page = index.scan(after=after, limit=7, where=parse_filter(where), segment=(segment, segments))
                    found += [record.key for record in page.records]
                    after = page.next_after
                    if after is None:
                        break
            assert sorted(found) == expected
    page = index.scan(limit=500, data=True, max_bytes=50)
    assert len(page.records) == 3, "two records of 18 bytes stay under 50, the third passes it and ends the page"
    assert page.next_after == page.records[-1].key
    engine.close()


def test_damaged_posting_lists_are_rebuilt(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    engine, index = fill(tmp_path / "store")
    count = 40_000
    index.put(
        [f"k{n}" for n in range(count)], np.ones((count, 4), dtype=np.float32), [b'{"n":%d}' % n for n in range(count)]
    )
    assert index.count(parse_filter({"n": {"$lt": 100}})) == 100
    engine.close()
    runs = sorted((tmp_path / "store").rglob("*.post"))
    assert runs
    for run in runs:
        content = bytearray(run.read_bytes())
        third = len(content) // 3
        content[third : third + 64] = bytes(byte ^ 0xFF for byte in content[third : third + 64])
        run.write_bytes(content)
    with LocalEngine(tmp_path / "store") as again:
        index = again.index(again.catalog.index("bucket", "index"))
        assert index.count(parse_filter({"n": {"$lt": 100}})) == 100
        assert index.count(parse_filter({"n": {"$gte": count - 7}})) == 7
    assert "Posting lists are rebuilt" in caplog.text


def test_an_index_out_of_row_numbers_says_so_and_keeps_what_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ragvec.engine.local.writer.MAX_ROWS", 3)
    engine, index = fill(tmp_path / "store")
    index.put(["a", "b"], rows(1, 2), [None, None])
    with pytest.raises(QuotaExceeded, match="at most 3 rows, .* it has 2, got 2 more"):
        index.put(["a", "c"], rows(3, 4), [None, None])
    assert [record.data[0] for record in index.get(["a", "b", "c"], data=True, metadata=False)] == [1, 2]
    index.put(["c"], rows(3), [None])
    assert index.count() == 3
    engine.close()
