"""Background work that finds the index changed under it: compacted by the other lane or another process meanwhile."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ragvec.ann.backends import available_backend
from ragvec.engine.local.engine import LocalEngine
from ragvec.engine.local.generations import remove
from ragvec.engine.local.jobs import Job
from ragvec.engine.local.layout import generations
from ragvec.engine.local.postings import BLOCK_ROWS
from ragvec.engine.protocol import BucketInfo, IndexSpec

SPEC = IndexSpec(uid="1" * 32, bucket="bucket", name="index", dimension=2, metric="euclidean", created=1.0)
ROWS = BLOCK_ROWS + 10


def engine(path: Path) -> LocalEngine:
    return LocalEngine(path, background=False, backend="exact")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store whose only index has posting lists to write, and ten rows that are not deleted."""
    with engine(tmp_path / "store") as made:
        made.catalog.create_bucket(BucketInfo("bucket", 1.0), tags={}, max_buckets=None)
        made.catalog.create_index(SPEC, tags={}, max_indexes=None)
        index = made.index(SPEC)
        keys = [str(n) for n in range(ROWS)]
        index.put(keys, np.ones((ROWS, 2), dtype=np.float32), [b'{"n":1}'] * ROWS)
        index.delete(keys[10:])
    return tmp_path / "store"


class Elsewhere:
    """A worker that says that the job is done, after something else happened to the index."""

    def __init__(self, meanwhile: Callable[[], None]) -> None:
        self.jobs: list[Job] = []
        self._meanwhile = meanwhile

    def suits(self, job: Job) -> bool:
        return True

    def run(self, job: Job, *, ready: Callable[[int], None]) -> bool:
        self.jobs.append(job)
        self._meanwhile()
        return True

    def drop(self) -> None:
        raise AssertionError("nothing is built here")


def test_posting_lists_of_an_index_that_was_compacted_meanwhile_end_where_its_rows_do(path: Path) -> None:
    with engine(path) as here, engine(path) as other:
        index = here.index(SPEC)
        worker = Elsewhere(other.index(SPEC).compact)
        thread = threading.Thread(target=index.maintain, args=("tail",), kwargs={"worker": worker}, daemon=True)
        thread.start()
        thread.join(timeout=60)
        assert not thread.is_alive(), "it indexes rows that are not there, for ever"
        assert [(job.kind, job.last) for job in worker.jobs] == [("postings", ROWS)]
        assert index.stats().rows == index.count() == 10


def test_a_generation_that_was_removed_does_not_come_back_with_posting_lists_alone(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with engine(path) as here, engine(path) as other:
        superseded = here.index(SPEC).snapshot().generation
        other.index(SPEC).compact()
        folder = path / "indexes" / SPEC.uid
        superseded.postings_view(10)
        read = superseded.records.metadata

        def gone_after_reading(first: int, last: int) -> list[bytes | None]:
            found = read(first, last)
            if last == BLOCK_ROWS:
                remove(folder, 0)
            return found

        monkeypatch.setattr(superseded.records, "metadata", gone_after_reading)
        caplog.set_level(logging.DEBUG, "ragvec.postings")
        superseded.postings_view(ROWS)
        assert generations(folder) == [1]
        assert "stay in memory" in caplog.text
    with engine(path) as again:
        assert again.index(SPEC).count() == 10


class Slow:
    """A worker whose jobs take until they are dropped, or until somebody waits no longer."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self.began = threading.Event()
        self.dropped = threading.Event()

    def suits(self, job: Job) -> bool:
        return job.kind != "postings"

    def run(self, job: Job, *, ready: Callable[[int], None]) -> bool:
        self.jobs.append(job)
        self.began.set()
        return not self.dropped.wait(timeout=60)

    def drop(self) -> None:
        self.dropped.set()


@pytest.mark.skipif(available_backend() is None, reason="needs a library for segments")
@pytest.mark.parametrize("interrupted", [False, True])
def test_a_build_over_rows_that_optimize_builds_anew_is_dropped(tmp_path: Path, interrupted: bool) -> None:
    with LocalEngine(tmp_path / "store", background=False) as made:
        made.catalog.create_bucket(BucketInfo("bucket", 1.0), tags={}, max_buckets=None)
        made.catalog.create_index(SPEC, tags={}, max_indexes=None)
        index, worker = made.index(SPEC), Slow()
        vectors = np.random.default_rng(0).normal(size=(12_000, 2)).astype(np.float32)
        index.put([str(n) for n in range(5_000)], vectors[:5_000], [None] * 5_000)
        thread = threading.Thread(target=index.maintain, args=("tail",), kwargs={"worker": worker}, daemon=True)
        thread.start()
        assert worker.began.wait(timeout=60)
        if interrupted:
            (tmp_path / "store/indexes" / SPEC.uid / "g000000/segments/tmp-tail-of-the-worker").mkdir(parents=True)
        index.put([str(n) for n in range(5_000, 12_000)], vectors[5_000:], [None] * 7_000)
        index.optimize()
        thread.join(timeout=60)
        assert not thread.is_alive()
        assert worker.dropped.is_set()
        assert [(job.kind, job.first, job.last) for job in worker.jobs] == [("segment", 0, 5_000)]
        assert [(segment.first, segment.last) for segment in index.stats().segments] == [(0, 12_000)]
        folders = sorted((tmp_path / "store/indexes" / SPEC.uid / "g000000/segments").glob("*-*"))
        assert [folder.name for folder in folders if folder.is_dir()] == ["000000000000-000000012000"]


@pytest.mark.skipif(available_backend() is None, reason="needs a library for segments")
def test_a_build_that_will_serve_is_waited_for(tmp_path: Path) -> None:
    with LocalEngine(tmp_path / "store", background=False) as made:
        made.catalog.create_bucket(BucketInfo("bucket", 1.0), tags={}, max_buckets=None)
        made.catalog.create_index(SPEC, tags={}, max_indexes=None)
        index, worker = made.index(SPEC), Slow()
        vectors = np.random.default_rng(0).normal(size=(30_000, 2)).astype(np.float32)
        index.put([str(n) for n in range(25_000)], vectors[:25_000], [None] * 25_000)
        thread = threading.Thread(target=index.maintain, args=("tail",), kwargs={"worker": worker}, daemon=True)
        thread.start()
        assert worker.began.wait(timeout=60)
        index.put([str(n) for n in range(25_000, 30_000)], vectors[25_000:], [None] * 5_000)
        optimizing = threading.Thread(target=index.optimize, daemon=True)
        optimizing.start()
        optimizing.join(timeout=0.3)
        assert optimizing.is_alive()
        assert not worker.dropped.is_set()
        worker.dropped.set()
        optimizing.join(timeout=60)
        thread.join(timeout=60)
        assert not optimizing.is_alive()
        assert index.stats().segments[-1].last == 30_000
