"""Segment sets on disk: which segments are due, what readers see while they come and go, and builds that die."""

from __future__ import annotations

import logging
import os
import threading
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from segment_sets import STEP, PlainBackend, build, damage, folders, make_set, ranges, vectors

from ragvec.ann.sealed import CHECKSUMS
from ragvec.engine.local.segments import Segment
from ragvec.errors import Corrupted, StoreError, StoreReadOnly
from ragvec.types import Metric


def test_without_a_backend_there_is_nothing_and_nothing_is_due(tmp_path: Path) -> None:
    segments = make_set(tmp_path / "segments", None)
    assert segments.current() == ()
    assert segments.due(10**9) is None
    assert segments.build(0, 5, vectors(5)) is None
    assert not (tmp_path / "segments").exists()


def test_a_segment_is_due_once_enough_rows_wait(tmp_path: Path) -> None:
    segments = make_set(tmp_path / "segments", PlainBackend())
    assert segments.current() == ()
    assert segments.due(STEP - 1) is None
    assert segments.due(STEP) == (0, STEP)
    build(segments, 0, 3 * STEP)
    assert segments.due(4 * STEP - 1) is None
    assert segments.due(4 * STEP) == (3 * STEP, 4 * STEP)


def test_a_built_segment_is_seen_by_every_set_at_once(tmp_path: Path) -> None:
    segments, other = (make_set(tmp_path / "segments", PlainBackend()) for _ in range(2))
    assert other.current() == ()
    built = build(segments, 0, STEP)
    assert (built.first, built.last, built.folder) == (0, STEP, tmp_path / "segments" / "000000000000-000000004096")
    assert ranges(segments) == ranges(other) == [(0, STEP)]
    assert segments.current()[0] is built
    build(segments, STEP, 2 * STEP)
    assert ranges(other) == [(0, STEP), (STEP, 2 * STEP)]
    stats = other.current()[1].stats(recall_target=0.95)
    assert (stats.first, stats.last, stats.backend, stats.bytes) == (STEP, 2 * STEP, "plain", 7)
    assert (stats.build_seconds, stats.recall_at_10) == (0.5, 1.0)


def test_unchanged_segments_stay_the_same_objects(tmp_path: Path) -> None:
    segments = make_set(tmp_path / "segments", PlainBackend())
    build(segments, 0, STEP)
    before = segments.current()
    os.utime(tmp_path / "segments", (1, 1))  # long ago: from now on the time stamp alone is looked at
    assert segments.current()[0] is before[0]
    assert segments.current() is segments.current()
    build(make_set(tmp_path / "segments", PlainBackend()), STEP, 2 * STEP)
    assert ranges(segments) == [(0, STEP), (STEP, 2 * STEP)]
    assert segments.current()[0] is before[0]


def test_segments_are_few_and_no_row_is_built_often(tmp_path: Path) -> None:
    backend = PlainBackend()
    segments = make_set(tmp_path / "segments", backend)
    steps = 200
    for rows in range(STEP, (steps + 1) * STEP, STEP):
        while (due := segments.due(rows)) is not None:
            assert due[1] == rows
            build(segments, *due)
        while (due := segments.due(rows, lane="merge")) is not None:
            assert segments.build(*due, np.zeros((due[1] - due[0], 2), dtype=np.float32), lane="merge") is not None
        held = ranges(segments)
        assert held[0][0] == 0
        assert held[-1][1] == rows
        assert all(one[1] == other[0] for one, other in pairwise(held))
        assert len(held) <= 12
        assert folders(tmp_path / "segments") == [f"{first:012d}-{last:012d}" for first, last in held]
    assert sum(backend.rows_built) <= 5 * steps * STEP
    while (due := segments.due(rows, lane="merge", tidy=True)) is not None:
        assert segments.build(*due, np.zeros((due[1] - due[0], 2), dtype=np.float32), lane="merge") is not None
    assert len(ranges(segments)) <= 1 + np.log(steps) / np.log(5)


def test_a_large_tail_takes_all_segments_in(tmp_path: Path) -> None:
    segments = make_set(tmp_path / "segments", PlainBackend())
    for first, last in ((0, 4 * STEP), (4 * STEP, 6 * STEP), (6 * STEP, 7 * STEP)):
        build(segments, first, last)
    assert segments.due(8 * STEP) == (7 * STEP, 8 * STEP)
    assert segments.due(100 * STEP) == (0, 100 * STEP)
    build(segments, 0, 100 * STEP)
    assert folders(tmp_path / "segments") == [f"{0:012d}-{100 * STEP:012d}"]


def test_new_rows_are_built_while_older_ones_are_merged(tmp_path: Path) -> None:
    """Also where both lanes take in the same segment: what then serves nobody is removed by the next build."""
    folder, ten = tmp_path / "segments", 10 * STEP
    newest = make_set(folder, PlainBackend())
    for first in range(3):
        build(newest, first * ten, (first + 1) * ten)

    def meanwhile(unfinished: Path) -> None:
        assert newest.build(0, 2 * ten, vectors(2 * ten), lane="merge") is None, "the lane is taken"
        build(newest, 3 * ten, 4 * ten)
        build(newest, 2 * ten, 5 * ten)
        assert unfinished.is_dir(), "one lane leaves the other's work alone"

    merging = make_set(folder, PlainBackend(meanwhile))
    assert merging.build(0, 3 * ten, vectors(3 * ten), lane="merge") is not None
    assert ranges(newest) == [(0, ten), (ten, 2 * ten), (2 * ten, 5 * ten)], "open still, and leading further"
    assert ranges(make_set(folder, PlainBackend())) == [(0, 3 * ten)]
    assert newest.due(3 * ten + STEP) == (3 * ten, 3 * ten + STEP), "what is on the disk counts"
    build(newest, 3 * ten, 6 * ten)
    assert ranges(newest) == ranges(merging) == [(0, 3 * ten), (3 * ten, 6 * ten)]
    assert folders(folder) == [f"{0:012d}-{3 * ten:012d}", f"{3 * ten:012d}-{6 * ten:012d}"]


def test_readers_keep_what_they_have_open_when_it_is_superseded(tmp_path: Path) -> None:
    segments, reader = (make_set(tmp_path / "segments", PlainBackend()) for _ in range(2))
    build(segments, 0, STEP)
    (held,) = reader.current()
    build(segments, 0, 2 * STEP)
    assert not held.folder.exists()
    assert len(held.ann.candidates(vectors(1), k=1)[0]) == STEP
    assert ranges(reader) == [(0, 2 * STEP)]


def test_of_overlapping_segments_the_furthest_leading_and_fewest_serve(tmp_path: Path) -> None:
    folder = tmp_path / "segments"
    for number, (first, last) in enumerate([(0, 10), (10, 30), (0, 30), (30, 50), (0, 40), (20, 90), (60, 80)]):
        apart = make_set(tmp_path / str(number), PlainBackend())
        folder.mkdir(exist_ok=True)
        build(apart, first, last).folder.rename(folder / f"{first:012d}-{last:012d}")
    assert ranges(make_set(folder, PlainBackend())) == [(0, 30), (30, 50)]
    (folder / f"{50:012d}-{60:012d}").mkdir()
    (folder / f"{60:012d}-{50:012d}").mkdir()
    (folder / "unrelated").mkdir()
    segments = make_set(folder, PlainBackend())
    assert ranges(segments) == [(0, 30), (30, 50)]
    assert segments.damaged == [folder / f"{50:012d}-{60:012d}"]


def test_a_damaged_segment_is_left_out_reported_and_replaced(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "segments"
    first = make_set(folder, PlainBackend())
    build(first, 0, 3 * STEP)
    build(first, 3 * STEP, 4 * STEP)
    bad = folder / f"{0:012d}-{3 * STEP:012d}"
    damage(bad)
    segments = make_set(folder, PlainBackend())
    with caplog.at_level(logging.WARNING, logger="ragvec.segments"):
        assert segments.current() == ()
        assert segments.current() == ()
    assert segments.damaged == [bad]
    assert [record.getMessage().count(str(bad)) for record in caplog.records] == [1]
    assert "its rows are searched exactly until it is built again" in caplog.text
    assert segments.due(4 * STEP + 5) == (0, 4 * STEP + 5)
    build(segments, 0, 4 * STEP + 5)
    assert segments.damaged == []
    assert ranges(segments) == [(0, 4 * STEP + 5)]
    assert folders(folder) == [f"{0:012d}-{4 * STEP + 5:012d}"]


def test_a_damaged_segment_is_replaced_under_its_own_name(tmp_path: Path) -> None:
    folder = tmp_path / "segments"
    build(make_set(folder, PlainBackend()), 0, STEP)
    damage(folder / f"{0:012d}-{STEP:012d}", CHECKSUMS)
    segments = make_set(folder, PlainBackend())
    assert segments.due(STEP) == (0, STEP)
    build(segments, 0, STEP)
    assert (ranges(segments), segments.damaged, segments.due(STEP)) == ([(0, STEP)], [], None)
    assert ranges(make_set(folder, PlainBackend())) == [(0, STEP)]


def test_segments_before_a_damaged_one_still_serve(tmp_path: Path) -> None:
    folder = tmp_path / "segments"
    first = make_set(folder, PlainBackend())
    for start, end in ((0, 8 * STEP), (8 * STEP, 12 * STEP), (12 * STEP, 14 * STEP)):
        build(first, start, end)
    damage(folder / f"{8 * STEP:012d}-{12 * STEP:012d}")
    segments = make_set(folder, PlainBackend())
    assert ranges(segments) == [(0, 8 * STEP)]
    assert segments.due(14 * STEP) == (8 * STEP, 14 * STEP)


@pytest.mark.parametrize(
    ("metric", "target", "rows"), [("euclidean", 0.95, 1), ("cosine", 0.99, 1), ("cosine", 0.95, 0)]
)
def test_a_segment_built_for_something_else_counts_as_damaged(
    tmp_path: Path, metric: Metric, target: float, rows: int
) -> None:
    folder = tmp_path / "segments"
    built = build(make_set(folder, PlainBackend()), 0, STEP)
    if not rows:
        built.folder.rename(folder / f"{0:012d}-{STEP + 1:012d}")
    segments = make_set(folder, PlainBackend(), metric=metric, recall_target=target)
    assert segments.current() == ()
    assert len(segments.damaged) == 1
    assert segments.due(STEP + 1) == (0, STEP + 1)


def test_a_segment_that_is_there_is_not_built_again(tmp_path: Path) -> None:
    backend = PlainBackend()
    segments = make_set(tmp_path / "segments", backend)
    built = build(segments, 0, 2 * STEP)
    assert segments.build(0, 2 * STEP, vectors(2 * STEP)) is built
    assert segments.build(STEP, 2 * STEP, vectors(STEP)) is built
    assert backend.rows_built == [2 * STEP]


def test_a_failing_build_changes_nothing(tmp_path: Path) -> None:
    def refuse(folder: Path) -> None:
        raise StoreError("the library refuses")

    folder = tmp_path / "segments"
    build(make_set(folder, PlainBackend()), 0, STEP)
    segments = make_set(folder, PlainBackend(refuse))
    with pytest.raises(StoreError, match="the library refuses"):
        segments.build(0, 2 * STEP, vectors(2 * STEP))
    assert folders(folder) == [f"{0:012d}-{STEP:012d}"]
    assert ranges(segments) == [(0, STEP)]
    build(make_set(folder, PlainBackend()), 0, 2 * STEP)  # the lease is free again


def test_read_only_sets_read_and_do_not_build(tmp_path: Path) -> None:
    folder = tmp_path / "segments"
    reader = make_set(folder, PlainBackend(), read_only=True)
    assert (reader.current(), reader.due(10 * STEP)) == ((), None)
    build(make_set(folder, PlainBackend()), 0, STEP)
    assert ranges(reader) == [(0, STEP)]
    with pytest.raises(StoreReadOnly, match="opened read-only: no segment is built") as caught:
        reader.build(0, 2 * STEP, vectors(2 * STEP))
    assert caught.value.store == str(folder)


def test_a_closed_set_opens_again(tmp_path: Path) -> None:
    segments = make_set(tmp_path / "segments", PlainBackend())
    built = build(segments, 0, STEP)
    segments.close()
    segments.close()
    (again,) = segments.current()
    assert (again.first, again.last) == (0, STEP)
    assert again is not built


def test_readers_see_a_cover_at_every_moment_of_a_growing_set(tmp_path: Path) -> None:
    folder = tmp_path / "segments"
    ready, done = threading.Barrier(4), threading.Event()
    wrong: list[list[tuple[int, int]]] = []
    seen: set[int] = set()

    def read() -> None:
        segments = make_set(folder, PlainBackend())
        ready.wait()
        reached = 0
        while True:
            last_look = done.is_set()
            held = segments.current()
            edges = [(s.first, s.last) for s in held]
            end = edges[-1][1] if edges else 0
            gapless = all(one[1] == other[0] for one, other in pairwise([(0, 0), *edges]))
            open_all = all(len(s.ann.candidates(vectors(1), k=1)[0]) == s.last - s.first for s in held)
            if not gapless or not open_all or end < reached or segments.damaged:
                wrong.append(edges)
            reached = end
            seen.add(end)
            if last_look:
                return

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    segments = make_set(folder, PlainBackend())
    ready.wait()
    for rows in range(STEP, 40 * STEP, STEP):
        due = segments.due(rows)
        assert due is not None
        build(segments, *due)
    done.set()
    for reader in readers:
        reader.join()
    assert wrong == []
    assert 39 * STEP in seen


def test_one_thread_builds_at_a_time(tmp_path: Path) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def wait(folder: Path) -> None:
        begun.set()
        assert go_on.wait(60)

    folder = tmp_path / "segments"
    slow = make_set(folder, PlainBackend(wait))
    results: list[Segment | None] = []
    thread = threading.Thread(target=lambda: results.append(slow.build(0, STEP, vectors(STEP))))
    thread.start()
    assert begun.wait(60)
    segments = make_set(folder, PlainBackend())
    assert segments.build(0, STEP, vectors(STEP)) is None
    assert slow.build(0, STEP, vectors(STEP)) is None
    assert segments.current() == slow.current() == ()
    go_on.set()
    thread.join()
    assert results[0] is not None
    assert ranges(segments) == [(0, STEP)]


def test_a_segment_whose_files_cannot_be_verified_raises_in_the_backend(tmp_path: Path) -> None:
    built = build(make_set(tmp_path / "segments", PlainBackend()), 0, STEP)
    damage(built.folder)
    with pytest.raises(Corrupted, match=r"expected `report` of \d+ bytes"):
        PlainBackend().open(built.folder)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "segments"
    folder.mkdir(mode=0o500)
    with pytest.raises(StoreReadOnly, match="No permission"):
        make_set(folder, PlainBackend()).build(0, 5, vectors(5))
