"""Segment sets of several processes: builds that are killed, two at once, forked children; with each library."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from other_process import child, says, tell
from segment_sets import STEP, folders, make_set, ranges, vectors, with_each_library

from ragvec.ann.backends import available_backend
from ragvec.types import Metric

# Other processes. The child reports each step on a line of its standard output and waits for lines on its input.


BUILDER = """
import sys, pathlib, numpy as np
from ragvec.ann.backends import available_backend
from ragvec.types import Metric
from ragvec.engine.local.segments import SegmentSet

folder, first, last, pause = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]

class Backend(type(available_backend(sys.argv[5]))):
    def build(self, rows, **options):
        print("begun", flush=True)
        if pause == "before":
            sys.stdin.readline()
        report = super().build(rows, **options)
        print("built", flush=True)
        if pause == "after":
            sys.stdin.readline()
        return report

rows = np.random.default_rng(0).standard_normal((last - first, 16)).astype(np.float32)
segments = SegmentSet(folder, backend=Backend(), metric="cosine", recall_target=0.95)
print(segments.build(first, last, rows) is not None, flush=True)
sys.stdin.readline()
"""


@with_each_library
@pytest.mark.parametrize("moment", ["during", "after"])
def test_a_build_killed_at_any_moment_leaves_a_usable_set(tmp_path: Path, moment: str, library: str) -> None:
    folder = tmp_path / "segments"
    segments = make_set(folder, available_backend(library))
    rows = vectors(2 * STEP, dimension=16)
    assert segments.build(0, STEP, rows[:STEP]) is not None
    with child(BUILDER, folder, 0, 2 * STEP, moment, library) as builder:
        assert says(builder) == "begun"
        if moment == "after":
            assert says(builder) == "built"
        builder.send_signal(signal.SIGKILL)
        builder.wait()
    left = [name for name in folders(folder) if name.startswith("tmp-")]
    assert len(left) == 1
    for reader in (segments, make_set(folder, available_backend(library))):
        assert ranges(reader) == [(0, STEP)]
        assert reader.damaged == []
        assert len(reader.current()[0].ann.candidates(rows[:2], k=10)) == 2
    assert segments.due(2 * STEP) == (STEP, 2 * STEP)
    assert segments.due(2 * STEP, lane="merge", tidy=True, with_tail=True) == (0, 2 * STEP)
    assert segments.build(0, 2 * STEP, rows) is not None
    assert folders(folder) == [f"{0:012d}-{2 * STEP:012d}"]


@with_each_library
def test_of_two_processes_one_builds(tmp_path: Path, library: str) -> None:
    folder = tmp_path / "segments"
    segments = make_set(folder, available_backend(library))
    with child(BUILDER, folder, 0, STEP, "before", library) as builder:
        assert says(builder) == "begun"
        assert segments.build(0, STEP, vectors(STEP, dimension=16)) is None
        with child(BUILDER, folder, 0, STEP, "never", library) as loser:
            assert says(loser) == "False"
        tell(builder)
        assert says(builder) == "built"
        assert says(builder) == "True"
        assert ranges(segments) == [(0, STEP)]


@with_each_library
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_a_search_over_several_segments_reaches_the_target(tmp_path: Path, metric: Metric, library: str) -> None:
    random = np.random.default_rng(1)
    centres = random.standard_normal((40, 32))
    rows = (centres[random.integers(40, size=12_000)] + 0.5 * random.standard_normal((12_000, 32))).astype(np.float32)
    queries = (rows[:100] + 0.2 * random.standard_normal((100, 32))).astype(np.float32)
    segments = make_set(tmp_path / "segments", available_backend(library), metric=metric)
    assert segments.build(0, 7000, rows[:7000]) is not None
    assert segments.build(7000, 12_000, rows[7000:]) is not None
    x, q = rows.astype(np.float64), queries.astype(np.float64)
    if metric == "cosine":
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        q /= np.linalg.norm(q, axis=1, keepdims=True)
    truth = np.argsort(np.square(x).sum(axis=1)[np.newaxis] - 2.0 * q @ x.T, axis=1)[:, :10]
    parts = [[found + s.first for found in s.ann.candidates(queries, k=10)] for s in segments.current()]
    found = [np.concatenate(both) for both in zip(*parts, strict=True)]
    assert np.mean([np.isin(t, f).mean() for t, f in zip(truth, found, strict=True)]) >= 0.95


FORKED = """
import os, sys, pathlib, threading, numpy as np
from ragvec.ann.backends import available_backend
from ragvec.types import Metric
from ragvec.engine.local.segments import SegmentSet

folder = pathlib.Path(sys.argv[1])
rows = np.random.default_rng(0).standard_normal((9000, 16)).astype(np.float32)
segments = SegmentSet(folder, backend=available_backend(sys.argv[2]), metric="cosine", recall_target=0.95)
segments.build(0, 4500, rows[:4500])
before = segments.current()[0].ann.candidates(rows[:20], k=10)
segments._lock.acquire()  # as if another thread were listing the folder at the moment of the fork
pid = os.fork()
if pid == 0:
    after = segments.current()[0].ann.candidates(rows[:20], k=10)
    built = segments.build(4500, 9000, rows[4500:])
    os._exit(0 if all(map(np.array_equal, before, after)) and built is not None else 9)
code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
segments._lock.release()
print(code, [(s.first, s.last) for s in segments.current()])
"""


@with_each_library
def test_a_forked_child_searches_and_builds_and_its_parent_sees_it(tmp_path: Path, library: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORKED, str(tmp_path / "segments"), library],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stdout.strip() == "0 [(0, 4500), (4500, 9000)]"
