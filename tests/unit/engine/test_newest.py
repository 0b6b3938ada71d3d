"""The newest rows: found at once, and taken into the largest segment without slowing or confusing anybody."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from ragvec import Store
from ragvec.engine.local.engine import LocalEngine
from ragvec.engine.local.index import LocalIndex
from ragvec.engine.local.merging import SEGMENT_MIN_ROWS, next_tail
from ragvec.engine.local.newest import NewestRows
from ragvec.engine.local.segments import Segment
from ragvec.engine.local.vectors import VectorFile
from ragvec.errors import StoreError
from ragvec.extras import available
from ragvec.store import Index

pytestmark = pytest.mark.skipif(not available("scann"), reason="scann is not installed, the only one that absorbs")

ROWS = 12_000
DIMENSION = 32
random = np.random.default_rng(11)
CENTRES = random.normal(size=(60, DIMENSION))


def made(count: int) -> np.ndarray:
    rows = CENTRES[random.integers(len(CENTRES), size=count)] + 0.4 * random.normal(size=(count, DIMENSION))
    return rows.astype(np.float32)


BASE = made(ROWS)


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    """One segment over all rows; nothing is built by itself."""
    with Store(engine=LocalEngine(tmp_path / "store", background=False)) as store:
        made_index = store.create_bucket("bucket").create_index("rows", dimension=DIMENSION)
        made_index.put([f"k{n:05d}" for n in range(ROWS)], BASE)
        made_index.optimize()
        yield made_index


def opened(index: Index) -> LocalIndex:
    engine = index.bucket.store.engine
    assert isinstance(engine, LocalEngine)
    return engine.index(index.spec)


def segments(index: Index) -> tuple[Segment, ...]:
    return opened(index).snapshot().segments()


def recall(
    index: Index, rows: np.ndarray, queries: np.ndarray, *, k: int = 10, where: dict[str, object] | None = None
) -> float:
    """Of the keys that exact search in float64 finds; row n has the key of its number."""
    unit = rows / np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
    found = 0
    for query in queries:
        best = np.argsort(-(unit @ query), kind="stable")[:k]
        found += len({int(key[1:]) for key in index.query(query, k=k, where=where).keys} & set(best.tolist()))
    return found / (k * len(queries))


def test_rows_are_found_by_the_next_query_whether_absorbed_or_not(index: Index) -> None:
    rows = BASE
    for step in (1, 5, 70, 300, 900):
        new = made(step)
        index.put([f"k{len(rows) + n:05d}" for n in range(step)], new)
        rows = np.concatenate([rows, new])
        for at in (0, step - 1):
            nearest = index.query(new[at], k=1)[0]
            assert (nearest.key, nearest.distance) == (f"k{len(rows) - step + at:05d}", 0.0)
    (segment,) = segments(index)
    assert segment.ann.absorbed > 0
    assert recall(index, rows, rows[-60:] + 0.05) >= 0.96
    assert recall(index, rows, rows[:60] + 0.05) >= 0.96


def test_each_row_is_returned_once_and_deleted_ones_never(index: Index) -> None:
    new = made(600)
    index.put([f"k{ROWS + n:05d}" for n in range(600)], new)
    index.query(new[0])
    index.query(new[0])
    assert segments(index)[0].ann.absorbed >= 128
    index.delete([f"k{ROWS + n:05d}" for n in range(0, 600, 2)])
    index.put([f"k{ROWS + n:05d}" for n in range(1, 600, 4)], made(150))
    for query in (*new[:20], *BASE[:20]):
        keys = index.query(query, k=300).keys
        assert len(keys) == len(set(keys)) == 300
        assert not {f"k{ROWS + n:05d}" for n in range(0, 600, 2)} & set(keys)


def test_filters_see_the_newest_rows_once(index: Index) -> None:
    new = made(500)
    index.put([f"n{n:04d}" for n in range(500)], new, [{"new": True, "part": n % 10} for n in range(500)])
    for _ in range(4):
        index.query(new[0])
    for where, count in (({"new": True}, 500), ({"new": True, "part": 3}, 50), ({"new": {"$exists": False}}, ROWS)):
        keys = index.query(new[0], k=700, where=where).keys
        assert len(keys) == len(set(keys)) == min(700, count)
        assert all((key[0] == "n") == ("new" in where and where["new"] is True) for key in keys)


def test_what_was_absorbed_goes_with_a_segment_that_has_it(index: Index) -> None:
    new = made(2 * SEGMENT_MIN_ROWS)
    index.put([f"k{ROWS + n:05d}" for n in range(len(new))], new)
    index.query(new[0])
    index.optimize()
    rows = np.concatenate([BASE, new])
    assert all(segment.ann.absorbed == 0 for segment in segments(index))
    assert segments(index)[-1].last == len(rows)
    assert recall(index, rows, rows[-60:] + 0.05) >= 0.96
    more = made(200)
    index.put([f"k{len(rows) + n:05d}" for n in range(200)], more)
    rows = np.concatenate([rows, more])
    for query in more:
        assert index.query(query, k=1)[0].distance == 0.0
    assert max(segment.ann.absorbed for segment in segments(index)) > 0
    assert recall(index, rows, more[:60] + 0.05) >= 0.96


def test_threads_search_while_rows_arrive(index: Index) -> None:
    new = made(1500)
    wrong: list[str] = []
    done = threading.Event()

    def search(seed: int) -> None:
        own = np.random.default_rng(seed)
        while not done.is_set():
            at = int(own.integers(ROWS))
            found = index.query(BASE[at], k=5)
            if found[0].distance != 0.0 or len(set(found.keys)) != 5:
                wrong.append(f"row {at}: {found.keys}")

    threads = [threading.Thread(target=search, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for start in range(0, 1500, 50):
        index.put([f"k{ROWS + start + n:05d}" for n in range(50)], new[start : start + 50])
        assert index.query(new[start], k=1)[0].key == f"k{ROWS + start:05d}"
    done.set()
    for thread in threads:
        thread.join()
    assert not wrong


def test_more_rows_may_wait_where_they_are_absorbed() -> None:
    class Span:
        first, last = 0, 1_000_000

    assert next_tail([Span()], 1_010_000) == (1_000_000, 1_010_000)
    assert next_tail([Span()], 1_010_000, absorbing=True) is None
    assert next_tail([Span()], 1_124_999, absorbing=True) is None
    assert next_tail([Span()], 1_125_000, absorbing=True) == (1_000_000, 1_125_000)
    assert next_tail([], SEGMENT_MIN_ROWS, absorbing=True) == (0, SEGMENT_MIN_ROWS)


class Host:
    """Stands for an opened segment; notes what it was given to absorb."""

    def __init__(self, *, failing: bool = False) -> None:
        self.absorbed = 0
        self.failing = failing
        self.report = SimpleNamespace(exhaustive=False)

    def absorb(self, rows: np.ndarray) -> bool:
        self.absorbed += len(rows)
        if self.failing:
            raise StoreError("no more", store="")
        return True


def serving(host: Host, last: int) -> Segment:
    return Segment(first=0, last=last, ann=host, folder=Path(), backend="none")  # type: ignore[arg-type]


@pytest.fixture
def vectors(tmp_path: Path) -> VectorFile:
    file = VectorFile(tmp_path / "vectors.f32", dimension=DIMENSION)
    file.append(0, made(3000))
    return file


def come(newest: NewestRows, segments: tuple[Segment, ...], vectors: VectorFile) -> None:
    for _ in range(3):
        newest.absorbed(segments, rows=2300, vectors=vectors)


def test_threads_that_come_first_together_absorb_each_row_once(vectors: VectorFile) -> None:
    for _ in range(30):
        host, newest = Host(), NewestRows()
        segments = (serving(host, 2000),)
        threads = [threading.Thread(target=come, args=(newest, segments, vectors)) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        found = newest.absorbed(segments, rows=2300, vectors=vectors)
        assert found.last - found.first == host.absorbed <= 300


def test_a_host_that_absorbed_for_other_segments_takes_no_more(vectors: VectorFile) -> None:
    host, newest = Host(), NewestRows()
    before, after = (serving(host, 2000),), (serving(host, 2000), serving(Host(), 2100))
    assert newest.absorbed(before, rows=2100, vectors=vectors).last == 2100
    second = newest.absorbed(after, rows=2300, vectors=vectors)
    assert host.absorbed == 100
    assert second.host is not before[0]


def test_a_host_that_fails_leaves_the_rows_to_exact_search(vectors: VectorFile) -> None:
    host, newest = Host(failing=True), NewestRows()
    found = newest.absorbed((serving(host, 2000),), rows=2100, vectors=vectors)
    assert (found.host, found.first, found.last) == (None, 2000, 2000)
