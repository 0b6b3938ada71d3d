"""Matches of a filter: their forms, what later snapshots share with earlier ones, and what the cache keeps."""

from __future__ import annotations

import math
import threading
import uuid
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from other_process import child, says
from pyroaring import BitMap

from ragvec.engine.local.engine import LocalEngine
from ragvec.engine.local.index import LocalIndex
from ragvec.engine.local.matches import MatchCache, Matches
from ragvec.engine.local.posting_feed import PostingFeed
from ragvec.engine.local.records import Records
from ragvec.engine.local.snapshot import Snapshot
from ragvec.engine.protocol import BucketInfo, IndexSpec
from ragvec.filters.interpret import matches as satisfied
from ragvec.filters.nodes import EVERYTHING, And, Compare, Eq, Exists, Filter, In, Not

ODD = Eq("odd", True)


class PlainSource:
    """Rows 0, 1, … with metadata {"n": row, "odd": …}, read by the interpreter; counts what it is asked."""

    def __init__(self, *, at_hand: bool = True) -> None:
        self.evaluated: list[tuple[int, int]] = []
        self.at_hand = at_hand

    def rows_matching(self, where: Filter, *, first: int, rows: int) -> tuple[BitMap, int]:
        self.evaluated.append((first, rows))
        return BitMap(row for row in range(first, rows) if satisfied(where, self.metadata(row))), rows

    def newest(self, first: int, rows: int) -> list[dict[str, Any]] | None:
        return [self.metadata(row) for row in range(first, rows)] if self.at_hand else None

    @staticmethod
    def metadata(row: int) -> dict[str, Any]:
        return {"n": row, "odd": row % 2 == 1}


def find(
    cache: MatchCache, source: PlainSource, *, where: Filter = ODD, sequence: int, rows: int, dead: BitMap | None = None
) -> Matches:
    return cache.find(where, sequence=sequence, rows=rows, dead=dead or BitMap(), source=source)


def open_index(path: Path) -> LocalIndex:
    engine = LocalEngine(path, background=False)
    engine.catalog.create_bucket(BucketInfo("bucket", 1.0), tags={}, max_buckets=None)
    spec = IndexSpec(uid=str(uuid.uuid4()), bucket="bucket", name="index", dimension=2, metric="euclidean", created=1.0)
    engine.catalog.create_index(spec, tags={}, max_indexes=None)
    return engine.index(engine.catalog.index("bucket", "index"))


def put(index: LocalIndex, documents: dict[str, dict[str, Any]]) -> None:
    index.put(
        list(documents), np.ones((len(documents), 2), np.float32), [msgspec.json.encode(d) for d in documents.values()]
    )


def expected(snapshot: Snapshot, where: Filter) -> list[int]:
    metadata = snapshot.generation.records.metadata(0, snapshot.rows)
    decoded = [{} if data is None else msgspec.json.decode(data) for data in metadata]
    return [row for row, record in enumerate(decoded) if row not in snapshot.dead and satisfied(where, record)]


# -- forms -------------------------------------------------------------------------------------------------------------


def test_every_form_tells_the_same_rows_and_none_can_be_changed() -> None:
    found = find(MatchCache(), PlainSource(), sequence=1, rows=10, dead=BitMap([3]))
    assert (found.count, len(found), found.size, repr(found)) == (4, 4, 10, "Matches(4 of 10)")
    assert found.rows.tolist() == list(found) == list(found.bitmap) == [1, 5, 7, 9]
    assert (found.rows.dtype, found.mask.dtype, found.mask.shape) == (np.uint32, np.bool_, (10,))
    assert np.flatnonzero(found.mask).tolist() == [1, 5, 7, 9]
    assert found.within(2, 9).tolist() == [5, 7]
    assert 5 in found
    assert not {3, 4, 11} & set(found)
    for array in (found.within(2, 9), found.within(2, 4), found.rows, found.mask):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_everything_and_nothing_are_filters_like_others() -> None:
    cache, source = MatchCache(), PlainSource()
    everything = find(cache, source, where=EVERYTHING, sequence=1, rows=6, dead=BitMap([2]))
    nothing = find(cache, source, where=In("n", ()), sequence=1, rows=6)
    assert everything.rows.tolist() == [0, 1, 3, 4, 5]
    assert (nothing.count, nothing.rows.tolist(), nothing.mask.any()) == (0, [], False)


# -- later snapshots ---------------------------------------------------------------------------------------------------


def test_a_later_snapshot_looks_at_the_new_rows_only_and_shares_the_arrays() -> None:
    cache, source, dead = MatchCache(), PlainSource(), BitMap()
    earlier = [find(cache, source, sequence=at, rows=1000 + 3 * at, dead=dead) for at in range(2)]
    for found in earlier:
        assert found.rows.tolist() == list(range(1, found.size, 2))
        assert found.mask.sum() == found.count
    # The first time that something is appended the arrays get room for more.
    middle = cache.find(ODD, sequence=2, rows=1006, dead=dead, source=source)
    assert len(middle.mask) == 1006
    assert len(middle.rows) == 503
    later = cache.find(ODD, sequence=3, rows=1009, dead=dead, source=source)
    assert np.shares_memory(middle.mask, later.mask)
    assert np.shares_memory(middle.rows, later.rows)
    assert (later.rows[-3:].tolist(), middle.rows[-1]) == ([1003, 1005, 1007], 1005)
    assert source.evaluated == [(0, 1000)]


def test_what_died_leaves_earlier_matches_as_they_were() -> None:
    cache, source = MatchCache(), PlainSource()
    before = find(cache, source, sequence=1, rows=8)
    assert before.mask.sum() == len(before.rows) == 4
    after = find(cache, source, sequence=2, rows=10, dead=BitMap([3, 4, 9]))
    assert (after.count, after.rows.tolist(), np.flatnonzero(after.mask).tolist()) == (3, [1, 5, 7], [1, 5, 7])
    assert (before.rows.tolist(), np.flatnonzero(before.mask).tolist()) == ([1, 3, 5, 7], [1, 3, 5, 7])


def test_many_new_rows_are_evaluated_together() -> None:
    cache, source = MatchCache(), PlainSource(at_hand=False)
    find(cache, source, sequence=1, rows=10)
    assert find(cache, source, sequence=2, rows=16).rows.tolist() == [1, 3, 5, 7, 9, 11, 13, 15]
    assert source.evaluated == [(0, 10), (10, 16)]


def test_an_earlier_snapshot_is_answered_and_does_not_displace_the_latest() -> None:
    cache, source = MatchCache(), PlainSource()
    latest = find(cache, source, sequence=5, rows=20, dead=BitMap([1]))
    assert find(cache, source, sequence=4, rows=7).rows.tolist() == [1, 3, 5]
    assert find(cache, source, sequence=5, rows=20, dead=BitMap([1])) is latest
    assert source.evaluated == [(0, 20)]


def test_what_is_derived_lasts_as_long_as_the_matches_it_came_from() -> None:
    cache, source = MatchCache(), PlainSource()
    found = find(cache, source, sequence=1, rows=10)
    made: list[str] = []

    def total(name: str, matches: Matches, first: int, last: int) -> int:
        def make(rows: Any) -> int:
            made.append(name)
            return int(rows.sum())

        return matches.derived(name, first=first, last=last, make=make)

    assert [total("low", found, 0, 4), total("high", found, 4, 10), total("low", found, 0, 4)] == [4, 21, 4]
    found = find(cache, source, sequence=2, rows=12, dead=BitMap([4]))
    assert [total("low", found, 0, 4), total("high", found, 4, 10)] == [4, 21]
    assert made == ["low", "high"]
    found = find(cache, source, sequence=3, rows=12, dead=BitMap([4, 7]))
    assert [total("low", found, 0, 4), total("high", found, 4, 10)] == [4, 14]
    assert [total("high", found, 4, 12)] == [25]
    assert made == ["low", "high", "high", "high"]


def test_a_lasting_value_is_kept_while_few_of_its_matches_die() -> None:
    cache, source = MatchCache(), PlainSource()
    made: list[int] = []

    def listed(sequence: int, dead: list[int]) -> list[int]:
        def make(rows: Any) -> list[int]:
            made.append(sequence)
            return list(rows.tolist())

        found = find(cache, source, sequence=sequence, rows=64, dead=BitMap(dead))
        return found.derived("list", first=0, last=32, make=make, lasting=True)

    sixteen = list(range(1, 32, 2))
    assert [listed(1, []), listed(2, [2, 33, 1]), listed(3, [2, 33, 1, 3])] == [sixteen] * 3
    assert listed(4, [2, 33, 1, 3, 5]) == sixteen[3:]
    assert made == [1, 4]


def test_a_part_tells_the_same_whatever_is_made_already() -> None:
    for first, last in ((0, 40), (0, 5), (30, 40), (30, 99), (7, 7), (8, 7), (50, 60)):
        found = find(MatchCache(), PlainSource(), sequence=1, rows=40, dead=BitMap([3, 31]))
        wanted = [row for row in range(first, min(last, 40)) if row % 2 and row not in (3, 31)]
        for form in ("count", "bitmap", "rows"):
            getattr(found, form)
            assert found.within(first, last).tolist() == wanted
            assert found.count_within(first, last) == len(wanted)


# -- the cache ---------------------------------------------------------------------------------------------------------


def test_filters_that_python_takes_for_equal_are_kept_apart() -> None:
    cache, source = MatchCache(), PlainSource()
    alike = [Eq("odd", 1), Eq("odd", 1.0), Eq("odd", True), Compare("n", "lt", math.inf), Compare("n", "lt", -math.inf)]
    counts = [find(cache, source, where=where, sequence=1, rows=10).count for where in alike]
    assert counts == [0, 0, 5, 10, 0]
    assert find(cache, source, where=Eq("n", 10**30), sequence=1, rows=10).count == 0
    assert len(cache) == 6


def test_filters_of_equal_content_are_one() -> None:
    cache, source = MatchCache(), PlainSource()
    first = find(cache, source, where=And((Exists("n"), Not(ODD))), sequence=1, rows=10)
    assert find(cache, source, where=And((Exists("n"), Not(Eq("odd", True)))), sequence=1, rows=10) is first


def test_the_filters_used_last_are_kept() -> None:
    cache, source = MatchCache(filters=2), PlainSource()
    for value in (1, 2, 1, 3, 1):
        find(cache, source, where=Eq("n", value), sequence=1, rows=10)
    assert (len(cache), len(source.evaluated)) == (2, 3)
    find(cache, source, where=Eq("n", 2), sequence=1, rows=10)
    assert len(source.evaluated) == 4


def test_what_is_kept_is_bounded_by_its_bytes() -> None:
    cache, source = MatchCache(nbytes=25_000), PlainSource()
    for value in range(8):
        found = find(cache, source, where=Not(Eq("n", value)), sequence=1, rows=1000)
        assert len(found.rows) + found.mask.sum() == 2 * 999
        found.derived("copy", first=0, last=500, make=lambda rows: rows.copy())
    assert 1 < len(cache) < 8
    assert cache.nbytes <= 25_000 + 8_000
    cache.clear()
    assert (len(cache), cache.nbytes) == (0, 0)


def test_one_filter_is_kept_however_large() -> None:
    cache, source = MatchCache(nbytes=10), PlainSource()
    for sequence in range(3):
        assert find(cache, source, where=EVERYTHING, sequence=sequence, rows=1000).mask.all()
    assert (len(cache), len(source.evaluated)) == (1, 1)


# -- in an index -------------------------------------------------------------------------------------------------------


def test_a_giant_number_is_a_filter_value_like_another(tmp_path: Path) -> None:
    index = open_index(tmp_path)
    put(index, {"a": {"n": 10**30}, "b": {"n": 1}})
    assert [index.count(Eq("n", 10**30)), index.count(Compare("n", "lt", 10**30))] == [1, 1]


def test_updates_and_deletions_count_at_once(tmp_path: Path) -> None:
    index = open_index(tmp_path)
    wheres = [Eq("n", 1), Not(Eq("n", 1)), Exists("n"), EVERYTHING]
    for at in range(12):
        put(index, {f"k{at % 5}": {"n": at % 3}, f"new{at}": {"n": 1} if at % 2 else {}})
        if at % 4 == 3:
            index.delete([f"new{at}", "k0"])
        if at == 9:
            index.delete_where(Eq("n", 2))
        snapshot = index.snapshot()
        for where in wheres:
            found = snapshot.matches(where)
            assert found.rows.tolist() == list(snapshot.matching(where)) == expected(snapshot, where)
            assert np.flatnonzero(found.mask).tolist() == found.rows.tolist()
            assert found is snapshot.matches(where)


WRITER = """
import sys, numpy as np
from pathlib import Path
from ragvec.engine.local.engine import LocalEngine
engine = LocalEngine(Path(sys.argv[1]), background=False)
index = engine.index(engine.catalog.index("bucket", "index"))
for at in range(40):
    index.put([f"w{at % 30}"], np.ones((1, 2), np.float32), [b'{"n": %d}' % (at % 2)])
    if at % 7 == 0:
        index.delete([f"w{at // 2}"])
    print(at, flush=True)
engine.close()
print("done", flush=True)
"""


def test_what_another_process_writes_counts_at_once(tmp_path: Path) -> None:
    index = open_index(tmp_path)
    put(index, {"a": {"n": 1}, "b": {"n": 0}})
    with child(WRITER, tmp_path) as writer:
        while says(writer) != "done":
            snapshot = index.snapshot()
            for where in (Eq("n", 1), Not(Eq("n", 1))):
                assert snapshot.matches(where).rows.tolist() == expected(snapshot, where)
    assert index.snapshot().rows == 42


def test_threads_share_matches_while_another_writes(tmp_path: Path) -> None:
    index = open_index(tmp_path)
    put(index, {f"k{at}": {"n": at % 4} for at in range(50)})
    writing = threading.Event()
    wrong: list[object] = []

    def ask(seed: int) -> None:
        wheres = [Eq("n", 1), Not(Eq("n", seed % 4)), Compare("n", "gte", 2)]
        while not writing.is_set():
            snapshot = index.snapshot()
            for where in wheres:
                found = snapshot.matches(where)
                rows = found.rows.tolist()
                if rows != expected(snapshot, where) or rows != np.flatnonzero(found.mask).tolist():
                    wrong.append((snapshot.sequence, where, rows))

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for at in range(60):
        put(index, {f"k{at % 55}": {"n": at % 4}})
    writing.set()
    for thread in threads:
        thread.join()
    assert wrong == []


# -- feeding the posting lists -----------------------------------------------------------------------------------------


@pytest.fixture
def records(tmp_path: Path) -> Records:
    return Records(tmp_path / "records.sqlite", read_only=False)


def feed_of(records: Records, folder: Path, **options: Any) -> PostingFeed:
    return PostingFeed(
        records, folder, non_filterable=("text",), read_only=options.pop("read_only", False), block_rows=8
    )


def insert(records: Records, rows: int) -> None:
    with records.writing() as sql:
        state = records.state_in(sql)
        new = range(state.rows, rows)
        records.insert(sql, ((row, f"k{row}", 0, b'{"n": %d, "text": "t"}' % (row % 3), 0) for row in new))
        records.set_state(sql, sequence=state.sequence + 1, rows=rows)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.post"))


def test_a_query_a_few_rows_behind_writes_no_file_and_persisting_does(tmp_path: Path, records: Records) -> None:
    folder = tmp_path / "postings"
    feed = feed_of(records, folder)
    for rows in range(2, 14, 2):
        insert(records, rows)
        assert list(feed.rows_matching(Eq("n", 0), first=0, rows=rows)[0]) == list(range(0, rows, 3))
    assert names(folder) == []
    assert feed.behind(12)
    feed.persist(12)
    assert names(folder) == ["000000000000-000000000008.post"]
    assert not feed.behind(12)


def test_a_query_a_block_behind_writes_what_it_had_to_index(tmp_path: Path, records: Records) -> None:
    insert(records, 20)
    feed_of(records, tmp_path / "postings").view(20)
    assert len(names(tmp_path / "postings")) == 2


def test_persisting_goes_by_blocks_and_merges(tmp_path: Path, records: Records) -> None:
    insert(records, 70)
    feed = feed_of(records, tmp_path / "postings")
    feed.persist(70)
    assert names(tmp_path / "postings") == ["000000000000-000000000032.post", "000000000032-000000000064.post"]
    assert list(feed.rows_matching(Eq("n", 1), first=0, rows=70)[0]) == list(range(1, 70, 3))


def test_a_reader_takes_over_the_files_of_others(tmp_path: Path, records: Records) -> None:
    folder = tmp_path / "postings"
    reader = feed_of(records, folder, read_only=True)
    insert(records, 7)
    reader.view(7)
    insert(records, 8)
    feed_of(records, folder).persist(8)
    reader.view(8)
    assert reader.persisted == 8
    assert list(reader.rows_matching(Eq("n", 1), first=0, rows=8)[0]) == [1, 4, 7]
    assert not reader.behind(1000)


def test_rows_from_some_row_on(tmp_path: Path, records: Records) -> None:
    insert(records, 30)
    feed = feed_of(records, tmp_path / "postings")
    for where in (EVERYTHING, Exists("n"), Eq("n", 1), Not(Eq("n", 1)), In("n", (0, 2)), Compare("n", "gt", 0)):
        whole, end = feed.rows_matching(where, first=0, rows=30)
        assert end == 30
        for first in (1, 7, 8, 19, 29):
            assert feed.rows_matching(where, first=first, rows=30)[0] == whole & BitMap(range(first, 30))


def test_metadata_of_the_newest_rows_leaves_out_what_is_not_filterable(tmp_path: Path, records: Records) -> None:
    insert(records, 600)
    feed = feed_of(records, tmp_path / "postings")
    assert feed.newest(0, 600) is None
    feed.view(600)
    insert(records, 602)
    assert feed.newest(599, 602) == [{"n": row % 3} for row in (599, 600, 601)]
    insert(records, 2000)
    feed.view(2000)
    assert feed.newest(10, 20) is None


def test_a_damaged_file_is_made_again_while_a_filter_is_evaluated(tmp_path: Path, records: Records) -> None:
    folder = tmp_path / "postings"
    insert(records, 20)
    feed_of(records, folder).persist(20)
    path = folder / names(folder)[0]
    data = bytearray(path.read_bytes())
    data[24] ^= 1
    path.write_bytes(data)
    feed = feed_of(records, folder)
    assert list(feed.rows_matching(Eq("n", 2), first=0, rows=20)[0]) == list(range(2, 20, 3))
