"""The worker process: what it is given, what it gives back, and how it ends."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import uuid
from pathlib import Path

import msgspec
import numpy as np
import pytest
from other_process import child, says

from ragvec.engine.local import worker_process
from ragvec.engine.local.engine import LocalEngine
from ragvec.engine.local.index import LocalIndex
from ragvec.engine.local.jobs import Job
from ragvec.engine.local.maintenance import Maintenance
from ragvec.engine.local.worker_process import LARGE, WorkerProcess, can_start
from ragvec.engine.protocol import BucketInfo, IndexSpec
from ragvec.errors import InvalidRequest, StoreError
from ragvec.extras import available

pytestmark = [
    pytest.mark.skipif(not available("scann"), reason="no ScaNN here: nothing is built"),
    pytest.mark.skipif(os.name == "nt", reason="signals and process groups of POSIX"),
]

ROWS, DIMENSION = 5000, 16


def spec_of() -> IndexSpec:
    return IndexSpec(
        uid=str(uuid.uuid4()), bucket="bucket", name="index", dimension=DIMENSION, metric="cosine", created=1.0
    )


def made(path: Path, spec: IndexSpec, *, background: bool) -> LocalEngine:
    engine = LocalEngine(path, background=background, backend="scann")
    engine.catalog.create_bucket(BucketInfo("bucket", 1.0), tags={}, max_buckets=None)
    engine.catalog.create_index(spec, tags={}, max_indexes=None)
    return engine


def fill(index: LocalIndex, *, rows: int = ROWS) -> None:
    vectors = np.random.default_rng(0).normal(size=(rows, DIMENSION)).astype(np.float32)
    index.put([str(n) for n in range(rows)], vectors, [b'{"n":1}'] * rows)


def job_of(path: Path, spec: IndexSpec, **changes: object) -> Job:
    job = Job(
        kind="segment",
        index=path / "indexes" / spec.uid,
        generation=0,
        spec=spec,
        backend="scann",
        recall_target=0.98,
        first=0,
        last=ROWS,
    )
    return msgspec.structs.replace(job, **changes)


def nothing(_: int) -> None:
    raise AssertionError("no generation is made")


def pid_of(worker: WorkerProcess) -> int:
    assert worker._process is not None
    return worker._process.popen.pid


def has_ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").split()[2] == "Z"
    except FileNotFoundError:
        return True


@pytest.fixture(autouse=True)
def _everything_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_process, "LARGE", 1)


def test_the_background_builds_in_another_process_at_a_lower_priority(tmp_path: Path) -> None:
    spec = spec_of()
    with made(tmp_path / "store", spec, background=True) as engine:
        index = engine.index(spec)
        fill(index)
        engine.settle()
        worker = engine._lanes[0]._worker
        pid = pid_of(worker)
        assert os.getpriority(os.PRIO_PROCESS, pid) > os.getpriority(os.PRIO_PROCESS, 0)
        assert os.getpgid(pid) != os.getpgid(0), "the interrupt key of the terminal does not reach it"
        stats = index.stats()
        assert (stats.exact_rows, len(stats.segments)) == (0, 1)
        index.delete([str(n) for n in range(4200)])
        engine.settle()
        assert (index.stats().generation, index.stats().tombstones) == (1, 0)
    assert has_ended(pid), "closing leaves nothing behind"
    assert not worker.running


def test_small_jobs_stay_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_process, "LARGE", LARGE)
    spec = spec_of()
    with made(tmp_path / "store", spec, background=True) as engine:
        index = engine.index(spec)
        fill(index)
        engine.settle()
        assert index.stats().exact_rows == 0
        assert not any(lane._worker.running for lane in engine._lanes)


def test_what_goes_wrong_comes_back_as_it_was_raised(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spec, worker = spec_of(), WorkerProcess()
    with made(tmp_path / "store", spec, background=False) as engine:
        fill(engine.index(spec))
        good = job_of(tmp_path / "store", spec)
        assert worker.suits(good)
        pid = pid_of(worker)
        with pytest.raises(InvalidRequest, match="got `none`") as refused:
            worker.run(msgspec.structs.replace(good, backend="none"), ready=nothing)
        assert "in available_backend" in str(refused.value.__cause__), "with the traceback of the other process"
        with pytest.raises(StoreError, match="g000007"):
            worker.run(msgspec.structs.replace(good, generation=7), ready=nothing)
        assert worker.run(good, ready=nothing)
        assert pid_of(worker) == pid, "it goes on after errors"
        segments = tmp_path / "store" / "indexes" / spec.uid / "g000000" / "segments"
        damaged = segments / f"{0:012d}-{ROWS:012d}" / "report.json"
        damaged.write_bytes(b"no report")
        with caplog.at_level(logging.DEBUG, logger="ragvec"):
            assert worker.run(good, ready=nothing), "what is damaged is built again"
    worker.stop()


def test_what_the_worker_logs_is_logged_here(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spec, worker = spec_of(), WorkerProcess()
    with made(tmp_path / "store", spec, background=False) as engine:
        fill(engine.index(spec), rows=20_000)
        folder = tmp_path / "store" / "indexes" / spec.uid / "g000000"
        job = job_of(tmp_path / "store", spec, kind="postings", last=20_000)
        (folder / "postings").mkdir()
        (folder / "postings" / f"{0:012d}-{16_384:012d}.post").write_bytes(b"no posting lists")
        assert worker.suits(job)
        assert worker.run(job, ready=nothing)
    worker.stop()
    assert "is damaged and will be rebuilt from the records" in caplog.text
    assert {record.name for record in caplog.records} == {"ragvec.postings"}


def test_a_worker_that_is_killed_costs_the_build_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spec, worker = spec_of(), WorkerProcess()
    with made(tmp_path / "store", spec, background=False) as engine:
        index = engine.index(spec)
        fill(index)
        job = job_of(tmp_path / "store", spec)
        assert worker.suits(job)
        os.kill(pid_of(worker), signal.SIGKILL)
        with pytest.raises(StoreError, match="ended before it was done: exit code -9"):
            worker.run(job, ready=nothing)
        assert not worker.running
        assert worker.suits(job), "another one is started"
        assert worker.run(job, ready=nothing)
        assert index.stats().exact_rows == 0
    worker.stop()


@pytest.mark.parametrize("executable", ["", "/usr/sbin/uwsgi", "/bin/true"])
def test_without_a_python_to_start_threads_do_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, executable: str, caplog: pytest.LogCaptureFixture
) -> None:
    if executable == "/bin/true":  # looks like a Python and is none
        (tmp_path / "python3").symlink_to(executable)
        executable = str(tmp_path / "python3")
    monkeypatch.setattr(sys, "executable", executable)
    assert can_start() is executable.endswith("python3")
    spec = spec_of()
    with made(tmp_path / "store", spec, background=True) as engine:
        index = engine.index(spec)
        fill(index)
        engine.settle()
        assert index.stats().exact_rows == 0
        assert not any(lane._worker.running for lane in engine._lanes)
    assert ("Background work is done by threads" in caplog.text) is executable.endswith("python3")


_LEAVES = """
import sys, numpy as np, ragvec
from ragvec.engine.local import worker_process
worker_process.LARGE = 1
if __name__ == "__main__":
    store = ragvec.Store(sys.argv[1])
    index = store.create_bucket("bucket").create_index("index", dimension=64)
    rows = np.random.default_rng(0).normal(size=(60_000, 64)).astype(np.float32)
    index.put([str(n) for n in range(len(rows))], rows)
    lane = store.engine._lanes[0]
    while not lane._worker.running:
        pass
    print(lane._worker._process.popen.pid, flush=True)
    if sys.argv[2] == "hang":
        sys.stdin.readline()
"""


def test_a_program_that_ends_does_not_wait_for_a_build(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _LEAVES, str(tmp_path / "store"), "leave"], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert has_ended(int(done.stdout))
    segments = next((tmp_path / "store" / "indexes").iterdir()) / "g000000" / "segments"
    assert not [path for path in segments.glob("*") if path.name[0].isdigit()], "it was not waited for"


def test_a_worker_ends_with_its_parent_however_that_ends(tmp_path: Path) -> None:
    with child(_LEAVES, tmp_path / "store", "hang") as process:
        pid = int(says(process))
        assert not has_ended(pid)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        gone = threading.Event()
        for _ in range(100):
            if has_ended(pid):
                gone.set()
                break
            gone.wait(0.05)
        assert gone.is_set()


def test_a_forked_child_leaves_the_workers_of_its_parent_alone(tmp_path: Path) -> None:
    spec = spec_of()
    with made(tmp_path / "store", spec, background=True) as engine:
        index = engine.index(spec)
        fill(index)
        engine.settle()
        pid = pid_of(engine._lanes[0]._worker)
        forked = os.fork()
        if not forked:
            try:
                engine.settle()
                index.put(["x"], np.ones((1, DIMENSION), dtype=np.float32), [None])
                engine.close()
            finally:
                os._exit(int(has_ended(pid)))
        assert os.waitpid(forked, 0)[1] == 0
        assert not has_ended(pid)
        assert index.count() == ROWS + 1


def test_a_worker_that_has_nothing_to_do_goes_after_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ragvec.engine.local.maintenance.LINGER_SECONDS", 0.0)
    spec, lane = spec_of(), Maintenance("tail")
    with made(tmp_path / "store", spec, background=False) as engine:
        index = engine.index(spec)
        fill(index)
        lane.consider(index)
        lane.settle()
        thread = lane._thread
        if thread is not None:
            thread.join()
        assert index.stats().exact_rows == 0
        assert not lane._worker.running
