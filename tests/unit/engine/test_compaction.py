"""Compaction: the same answers from fewer rows, in every process, and pages that go on as they began."""

from __future__ import annotations

import shutil
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from other_process import child, says, tell

from ragvec.engine.local import compact, generations
from ragvec.engine.local.compact import FEWEST_DEAD, is_due
from ragvec.engine.local.engine import LocalEngine
from ragvec.engine.local.generations import RETIRED_SECONDS
from ragvec.engine.local.index import LocalIndex
from ragvec.engine.protocol import BucketInfo, IndexSpec, Ranking
from ragvec.errors import ExpiredToken, StoreFull, StoreReadOnly
from ragvec.extras import available
from ragvec.filters.parse import parse_filter

DIMENSION = 8
ROWS = 600


class Clock:
    def __init__(self) -> None:
        self.now = 1e9

    def __call__(self) -> float:
        return self.now


def spec_of(dimension: int = DIMENSION) -> IndexSpec:
    return IndexSpec(
        uid=str(uuid.uuid4()), bucket="bucket", name="index", dimension=dimension, metric="euclidean", created=1.0
    )


def made(path: Path, spec: IndexSpec, *, clock: Callable[[], float], background: bool = False) -> LocalEngine:
    engine = LocalEngine(path, background=background, clock=clock)
    engine.catalog.create_bucket(BucketInfo("bucket", 1.0), tags={}, max_buckets=None)
    engine.catalog.create_index(spec, tags={}, max_indexes=None)
    return engine


def line(first: int, last: int, *, at: float = 0.0) -> np.ndarray:
    rows = np.zeros((last - first, DIMENSION), dtype=np.float32)
    rows[:, 0] = np.arange(first, last) + at
    return rows


def fill(index: LocalIndex) -> dict[str, float]:
    """k0, k1, … on a line; every third replaced by a point a tenth further on, every fifth deleted."""
    index.put([f"k{n}" for n in range(ROWS)], line(0, ROWS), [b'{"n":%d}' % (n % 7) for n in range(ROWS)])
    index.put(
        [f"k{n}" for n in range(0, ROWS, 3)], line(0, ROWS, at=0.125)[::3], [b'{"n":9}' for _ in range(0, ROWS, 3)]
    )
    index.delete([f"k{n}" for n in range(0, ROWS, 5)])
    return {f"k{n}": n + 0.125 * (n % 3 == 0) for n in range(ROWS) if n % 5}


def contents(index: LocalIndex) -> dict[str, float]:
    found: dict[str, float] = {}
    after = None
    while True:
        page = index.scan(after=after, limit=100, data=True, metadata=True)
        for record in page.records:
            assert record.data is not None
            assert record.metadata is not None
            number = int(record.key[1:])
            assert record.metadata == {"n": 9 if number % 3 == 0 else number % 7}
            found[record.key] = float(record.data[0])
        if page.next_after is None:
            return found
        after = page.next_after


def keys(index: LocalIndex, ranking: Ranking, *, drop_deleted: bool = False) -> list[str | None]:
    records = index.fetch(
        ranking.rows, generation=ranking.generation, data=False, metadata=False, drop_deleted=drop_deleted
    )
    return [None if record is None else record.key for record in records]


def folders(path: Path, spec: IndexSpec) -> list[str]:
    return sorted(entry.name for entry in (path / "indexes" / spec.uid).iterdir() if entry.is_dir())


def test_the_answers_are_the_same_and_no_tombstone_is_left(tmp_path: Path) -> None:
    spec = spec_of()
    with made(tmp_path / "store", spec, clock=Clock()) as engine:
        index = engine.index(spec)
        expected = fill(index)
        query = line(300, 301)
        where = parse_filter({"n": {"$in": [3, 9]}})
        before = [keys(index, index.search(query, k=50, where=w)[0]) for w in (where, parse_filter({}))]
        assert index.stats().tombstones == ROWS + ROWS // 3 - len(expected)
        index.compact()
        stats = index.stats()
        assert (stats.generation, stats.vectors, stats.rows, stats.tombstones) == (1, len(expected), len(expected), 0)
        assert contents(index) == expected
        assert [keys(index, index.search(query, k=50, where=w)[0]) for w in (where, parse_filter({}))] == before
        index.compact()
        assert index.stats().generation == 1, "there is nothing to reclaim"
        index.put(["k1"], line(1, 2), [b'{"n":1}'])
        index.compact()
        assert index.stats().generation == 2
    with LocalEngine(tmp_path / "store", background=False, clock=Clock()) as engine:
        assert contents(engine.index(spec)) == expected


def test_an_index_emptied_by_deletes_is_compacted_to_nothing(tmp_path: Path) -> None:
    spec = spec_of()
    with made(tmp_path / "store", spec, clock=Clock()) as engine:
        index = engine.index(spec)
        fill(index)
        index.delete_where(parse_filter({}))
        index.compact()
        assert (index.stats().rows, index.count(), index.search(line(0, 1), k=3)[0].rows.tolist()) == (0, 0, [])
        fill(index)
        assert index.count() == ROWS - ROWS // 5


def test_every_handle_moves_on_by_itself(tmp_path: Path) -> None:
    spec = spec_of()
    with made(tmp_path / "store", spec, clock=Clock()) as engine, LocalEngine(tmp_path / "store") as second:
        index, other = engine.index(spec), second.index(spec)
        expected = fill(index)
        assert other.count() == len(expected)
        index.compact()
        other.put(["k1"], line(1, 2), [b'{"n":1}'])
        assert other.stats().generation == index.stats().generation == 1
        assert contents(other) == contents(index) == expected
        other.compact()
        assert index.delete(["k1"]) == 1
        assert index.stats().generation == 2


def test_a_query_ranked_before_is_read_after(tmp_path: Path) -> None:
    spec = spec_of()
    with made(tmp_path / "store", spec, clock=Clock()) as engine:
        index = engine.index(spec)
        fill(index)
        ranking = index.search(line(0, 1), k=4)[0]
        before = keys(index, ranking)
        index.put(["k1"], line(50, 51), [None])
        index.compact()
        assert keys(index, ranking) == before
        record = index.fetch(ranking.rows[:1], generation=0, data=True, metadata=True)[0]
        assert record is not None
        assert record.data is not None
        assert (record.key, record.data[0], record.metadata) == ("k1", 1.0, {"n": 1})


@pytest.mark.parametrize("reopened", [False, True])
def test_a_kept_list_goes_on_through_compactions(tmp_path: Path, reopened: bool) -> None:
    """Replaced records are as ranked, deleted ones are left out, and one deleted and written again is there."""
    spec, clock = spec_of(), Clock()
    engine = made(tmp_path / "store", spec, clock=clock)
    index = engine.index(spec)
    fill(index)
    ranking = index.search(line(0, 1), k=6)[0]
    assert keys(index, ranking) == ["k1", "k2", "k3", "k4", "k6", "k7"]
    cursor = index.save_ranking(ranking, request=b"request", ttl=3600)
    index.put(["k2"], line(400, 401), [b'{"n":2}'])
    index.delete(["k3"])
    index.compact()
    index.delete(["k6", "k7"])
    index.put(["k6"], line(6, 7), [b'{"n":9}'])
    clock.now += RETIRED_SECONDS + 1
    index.optimize()
    index.compact()
    if reopened:
        engine.close()
        engine = LocalEngine(tmp_path / "store", clock=clock)
        index = engine.index(spec)
    loaded = index.load_ranking(cursor, request=b"request")
    assert keys(index, loaded, drop_deleted=True) == ["k1", "k2", None, "k4", "k6", None]
    record = index.fetch(loaded.rows[1:2], generation=loaded.generation, data=True, metadata=True)[0]
    assert record is not None
    assert record.data is not None
    assert record.data[0] == 2.0
    late = index.save_ranking(loaded, request=b"late", ttl=3600)
    assert keys(index, index.load_ranking(late, request=b"late"))[0] == "k1"
    engine.close()


def test_old_generations_go_once_nobody_needs_them(tmp_path: Path) -> None:
    spec, clock = spec_of(), Clock()
    with made(tmp_path / "store", spec, clock=clock) as engine:
        index = engine.index(spec)
        fill(index)
        ranking = index.search(line(0, 1), k=6)[0]
        cursor = index.save_ranking(ranking, request=b"request", ttl=3600)
        index.compact()
        index.delete(["k1"])
        index.compact()
        assert folders(tmp_path / "store", spec) == ["g000000", "g000001", "g000002"]
        assert not index.maintenance_due()
        clock.now += RETIRED_SECONDS
        assert index.maintenance_due()
        index.optimize()
        assert folders(tmp_path / "store", spec) == ["g000000", "g000002"], "the one between holds no list"
        assert keys(index, index.load_ranking(cursor, request=b"request"), drop_deleted=True)[1] == "k2"
        clock.now += 3600
        index.optimize()
        assert folders(tmp_path / "store", spec) == ["g000002"]
        with pytest.raises(ExpiredToken, match="has expired"):
            index.load_ranking(cursor, request=b"request")
        with pytest.raises(ExpiredToken, match="has expired"):
            keys(index, ranking)
        assert index.get(["k2"], data=False, metadata=True)[0].metadata == {"n": 2}


def test_a_handle_that_slept_through_everything_finds_the_current_generation(tmp_path: Path) -> None:
    spec, clock = spec_of(), Clock()
    with made(tmp_path / "store", spec, clock=clock) as engine:
        index = engine.index(spec)
        expected = fill(index)
        readers = [LocalEngine(tmp_path / "store", background=False, clock=clock) for _ in range(3)]
        sleeping = [reader.index(spec) for reader in readers]
        sleeping[0].count()
        for handle in sleeping:  # as before a fork
            generation = handle.snapshot().generation
            generation.close()
        for _ in range(3):
            index.delete(["k1"])
            index.put(["k1"], line(1, 2), [b'{"n":1}'])
            index.compact()
            clock.now += RETIRED_SECONDS
            index.optimize()
        assert folders(tmp_path / "store", spec) == ["g000003"]
        assert contents(sleeping[0]) == expected
        sleeping[1].put(["k1"], line(1, 2), [b'{"n":1}'])
        assert sleeping[2].delete(["k2"]) == 1
        assert index.count() == len(expected) - 1
        for reader in readers:
            reader.close()


def test_what_a_crash_left_is_removed_when_the_store_is_opened(tmp_path: Path) -> None:
    spec = spec_of()
    with made(tmp_path / "store", spec, clock=Clock()) as engine:
        expected = fill(engine.index(spec))
    folder = tmp_path / "store" / "indexes" / spec.uid
    shutil.copytree(folder / "g000000", folder / "g000001")
    (folder / "old-0").mkdir()
    with LocalEngine(tmp_path / "store", clock=Clock()) as engine:
        index = engine.index(spec)
        engine.settle()
        assert folders(tmp_path / "store", spec) == ["g000000"]
        assert contents(index) == expected
        index.compact()
        assert contents(index) == expected


def test_nothing_is_changed_where_there_is_no_space_for_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = spec_of()
    with made(tmp_path / "store", spec, clock=Clock()) as engine:
        index = engine.index(spec)
        expected = fill(index)
        monkeypatch.setattr(compact.shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
        with pytest.raises(StoreFull, match=r"bytes free for rewriting .*got 1,000; the store is as it was"):
            index.compact()
        assert folders(tmp_path / "store", spec) == ["g000000"]
        assert contents(index) == expected
        monkeypatch.undo()
        index.compact()
        assert contents(index) == expected


def test_a_failure_on_the_way_leaves_no_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = spec_of()

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with made(tmp_path / "store", spec, clock=Clock()) as engine:
        index = engine.index(spec)
        expected = fill(index)
        for step in ("switch", "catch_up"):
            with monkeypatch.context() as patched:
                patched.setattr(compact._Copy, step, fail)
                with pytest.raises(StoreFull):
                    index.compact()
            assert folders(tmp_path / "store", spec) == ["g000000"]
        assert contents(index) == expected
        assert index.put(["k1"], line(1, 2), [b'{"n":1}']) is None


def test_a_store_opened_read_only_is_not_compacted(tmp_path: Path) -> None:
    spec = spec_of()
    with made(tmp_path / "store", spec, clock=Clock()) as engine:
        fill(engine.index(spec))
    with LocalEngine(tmp_path / "store", read_only=True) as engine, pytest.raises(StoreReadOnly, match="not compacted"):
        engine.index(spec).compact()


def test_a_reader_without_write_access_follows_and_keeps_its_own_lists(tmp_path: Path) -> None:
    spec = spec_of()
    with made(tmp_path / "store", spec, clock=Clock()) as engine:
        index = engine.index(spec)
        expected = fill(index)
        with LocalEngine(tmp_path / "store", read_only=True, clock=Clock()) as reader:
            other = reader.index(spec)
            cursor = other.save_ranking(other.search(line(0, 1), k=4)[0], request=b"request", ttl=3600)
            index.delete(["k2"])
            index.compact()
            assert other.count() == len(expected) - 1
            loaded = other.load_ranking(cursor, request=b"request")
            assert keys(other, loaded, drop_deleted=True) == ["k1", None, "k3", "k4"]


@pytest.mark.parametrize(
    ("live", "dead", "kept", "due"),
    [
        (0, FEWEST_DEAD - 1, 0, False),
        (0, FEWEST_DEAD, 0, True),
        (3 * FEWEST_DEAD, FEWEST_DEAD, 0, False),
        (3 * FEWEST_DEAD - 3, FEWEST_DEAD, 0, True),
        (30_000, 15_000, 1, False),
        (30_000, 25_000, 1, True),
        (30_000, 45_000, 2, True),
        (30_000, 45_000, 3, False),
    ],
)
def test_it_is_due_from_a_quarter_of_all_rows_on_and_later_while_earlier_generations_are_kept(
    live: int, dead: int, kept: int, due: bool
) -> None:
    assert is_due(live=live, dead=dead, kept=kept) is due


def test_the_background_compacts_after_deletes_and_replacements(tmp_path: Path) -> None:
    spec = spec_of()
    with made(tmp_path / "store", spec, clock=Clock(), background=True) as engine:
        index = engine.index(spec)
        rows = np.random.default_rng(0).normal(size=(3 * FEWEST_DEAD, DIMENSION)).astype(np.float32)
        names = [str(n) for n in range(len(rows))]
        index.put(names, rows, [None] * len(rows))
        engine.settle()
        assert index.stats().generation == 0
        index.delete(names[:FEWEST_DEAD])
        engine.settle()
        assert (index.stats().generation, index.stats().tombstones) == (1, 0)
        assert index.count() == 2 * FEWEST_DEAD
        if index.stats().backend != "exact":
            assert index.stats().exact_rows == 0, "segments are built before the switch"


@pytest.mark.skipif(not available("scann"), reason="no ScaNN here: there are no segments")
def test_optimize_compacts_when_it_is_due(tmp_path: Path) -> None:
    spec = spec_of()
    with made(tmp_path / "store", spec, clock=Clock()) as engine:
        index = engine.index(spec)
        rows = np.random.default_rng(0).normal(size=(3 * FEWEST_DEAD, DIMENSION)).astype(np.float32)
        names = [str(n) for n in range(len(rows))]
        index.put(names, rows, [b'{"a":1}'] * len(rows))
        index.put(names[: FEWEST_DEAD + 500], rows[: FEWEST_DEAD + 500], [b'{"a":2}'] * (FEWEST_DEAD + 500))
        index.delete(names[-FEWEST_DEAD:])
        assert index.maintenance_due()
        index.optimize()
        stats = index.stats()
        assert (stats.generation, stats.tombstones, stats.exact_rows) == (1, 0, 0)
        assert index.count(parse_filter({"a": 2})) == FEWEST_DEAD + 500


def test_writers_go_on_and_lose_nothing(tmp_path: Path) -> None:
    """Threads put, replace and delete while the index is compacted again and again."""
    spec = spec_of()
    with made(tmp_path / "store", spec, clock=Clock()) as engine:
        index = engine.index(spec)
        fill(index)
        index.delete_where(parse_filter({}))
        expected: list[dict[str, float]] = [{} for _ in range(3)]
        stop = threading.Event()

        def write(mine: dict[str, float], number: int) -> None:
            rng = np.random.default_rng(number)
            while not stop.is_set():
                chosen = [3 * int(n) + number for n in rng.choice(40, size=6, replace=False)]
                at = float(rng.integers(1000))
                index.put(
                    [f"k{n}" for n in chosen],
                    np.full((6, DIMENSION), at, dtype=np.float32),
                    [b'{"n":%d}' % (9 if n % 3 == 0 else n % 7) for n in chosen],
                )
                mine.update({f"k{n}": at for n in chosen})
                index.delete([f"k{n}" for n in chosen[:2]])
                for n in chosen[:2]:
                    del mine[f"k{n}"]

        threads = [threading.Thread(target=write, args=(mine, number)) for number, mine in enumerate(expected)]
        for thread in threads:
            thread.start()
        for _ in range(8):
            index.compact()
        stop.set()
        for thread in threads:
            thread.join()
        assert index.stats().generation >= 8
        assert contents(index) == {key: at for mine in expected for key, at in mine.items()}


_PAGER = """
import sys, ragvec
from ragvec.engine.local import generations
store = ragvec.Store(sys.argv[1])
client = store.client()
request = dict(vectorBucketName="bucket", indexName="index", queryVector={"float32": [0.0] * 8}, topK=300,
               maxResults=50, returnDistance=True)
print("ready", flush=True)
rounds = 0
while not sys.stdin.readline().startswith("stop") and rounds < 4:
    rounds += 1
    page, found = client.query_vectors(**request), []
    while True:
        found += page["vectors"]
        if "nextToken" not in page:
            break
        page = client.query_vectors(**request, nextToken=page["nextToken"])
    keys = [hit["key"] for hit in found]
    assert len(set(keys)) == len(keys), "a key twice"
    stable = [key for key in keys if int(key[1:]) % 2]
    assert stable == [f"k{n}" for n in range(1, 2 * len(stable), 2)], stable[:20]
    distances = [hit["distance"] for hit in found]
    assert distances == sorted(distances)
    print("round", len(found), flush=True)
"""


def test_a_pager_in_another_process_sees_whole_lists_while_the_index_is_rewritten(tmp_path: Path) -> None:
    spec = spec_of()
    with made(tmp_path / "store", spec, clock=Clock()) as engine:
        index = engine.index(spec)
        index.put([f"k{n}" for n in range(ROWS)], line(0, ROWS), [None] * ROWS)
        with child(_PAGER, tmp_path / "store") as pager:
            assert says(pager) == "ready"
            for number in range(4):
                tell(pager)
                index.delete([f"k{n}" for n in range(0, ROWS, 2)][number::4])
                index.compact()
                index.put([f"k{n}" for n in range(0, ROWS, 2)][number::4], line(0, ROWS // 8, at=0.5), [None] * 75)
                index.compact()
                assert says(pager).startswith("round ")


def test_the_marker_of_a_generation_that_its_process_did_not_write_is_made_up_for(tmp_path: Path) -> None:
    spec, clock = spec_of(), Clock()
    with made(tmp_path / "store", spec, clock=clock) as engine:
        index = engine.index(spec)
        fill(index)
        index.compact()
        (tmp_path / "store" / "indexes" / spec.uid / "g000000" / generations._MARK).unlink()
        clock.now += RETIRED_SECONDS
        index.optimize()
        assert folders(tmp_path / "store", spec) == ["g000000", "g000001"], "its time begins now"
        clock.now += RETIRED_SECONDS
        index.optimize()
        assert folders(tmp_path / "store", spec) == ["g000001"]
