"""Processes that fork while they use a store, as multiprocessing, gunicorn and notebooks do."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import forked_tasks
import numpy as np
import pytest
from local_store import ROWS, Child, filled

from ragvec.engine.local import forks
from ragvec.engine.local.posting_feed import PostingFeed

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform does not fork")

ONE = np.ones((1, 2), dtype=np.float32)


def test_what_a_child_wrote_after_its_parent_closed_the_store_is_kept(tmp_path: Path) -> None:
    store, index = filled(tmp_path / "store")
    parent_closed, child_wrote = os.pipe(), os.pipe()

    def child() -> None:
        index.put(["first"], ONE)
        os.write(child_wrote[1], b"1")
        os.read(parent_closed[0], 1)
        index.put(["second"], ONE)

    process = Child(child)
    os.read(child_wrote[0], 1)
    store.close()
    os.write(parent_closed[1], b"1")
    assert process.exitcode() == 0
    script = f"import ragvec; print(len(ragvec.Store({str(tmp_path / 'store')!r}).bucket('bucket').index('index')))"
    other = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert int(other.stdout) == index.count() == ROWS + 2
    store.close()


def test_a_child_forked_while_threads_read_and_write_can_use_the_store(tmp_path: Path) -> None:
    store, index = filled(tmp_path / "store")
    stop = threading.Event()

    def write(name: str) -> None:
        while not stop.is_set():
            index.put([name], ONE, [{"n": 3}])
            index.query([0.0, 0.0], k=3, where={"n": 3})

    def child() -> None:
        assert index.query([0.0, 0.0], k=2).keys == ["k0", "k1"]
        index.put([f"child{os.getpid()}"], ONE, [{"n": 9}])
        assert index.count({"n": 9}) >= 1
        store.close()

    threads = [threading.Thread(target=write, args=(f"thread{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    try:
        assert [Child(child).exitcode() for _ in range(6)] == [0] * 6
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert index.count({"n": 9}) == 6
    assert index.count() == ROWS + 4 + 6
    store.close()


def test_a_fork_waits_for_the_operations_of_other_threads_but_not_for_its_own() -> None:
    entered, leave, order = threading.Event(), threading.Event(), []

    def operate() -> None:
        with forks.operation(), forks.operation():
            entered.set()
            leave.wait()
            order.append("operation ended")

    other = threading.Thread(target=operate)
    other.start()
    entered.wait()
    threading.Timer(0.05, leave.set).start()
    with forks.operation():
        process = Child(lambda: order.append("only in the child"))
    order.append("forked")
    other.join()
    assert process.exitcode() == 0
    assert order == ["operation ended", "forked"]


def test_workers_forked_from_a_parent_that_goes_on(tmp_path: Path) -> None:
    # As gunicorn with preload: the parent opens, reads and writes, then forks; its workers end in every way there is.
    store, index = filled(tmp_path / "store")
    assert index.query([0.0, 0.0], k=1, where={"n": 0}).keys == ["k0"]
    listing = index.iter(where={"n": {"$lt": 5}}, batch=10)
    seen = [next(listing).key]

    def work(number: int) -> None:
        for turn in range(5):
            index.put([f"w{number}-{turn}"], ONE, [{"n": 100 + number}])
            assert index.count({"n": 100 + number}) == turn + 1
        assert index.query([0.0, 0.0], k=2, where={"n": {"$lt": 5}}).keys == ["k0", "k1"]

    def by_kill() -> None:
        work(1)
        os.kill(os.getpid(), signal.SIGKILL)

    def by_exception() -> None:
        work(2)
        raise SystemExit(3)

    def by_closing() -> None:
        work(3)
        store.close()

    children = [Child(lambda: work(0)), Child(by_kill), Child(by_exception), Child(by_closing)]
    for turn in range(10):
        index.put([f"parent{turn}"], ONE, [{"n": 99}])
    assert [child.exitcode() for child in children] == [0, -signal.SIGKILL, 3, 0]
    assert index.count() == ROWS + 4 * 5 + 10
    assert [index.count({"n": 100 + number}) for number in range(4)] == [5] * 4
    seen += [record.key for record in listing]
    assert seen == sorted(f"k{n}" for n in range(ROWS) if n % 7 < 5)
    store.close()


def test_a_child_goes_on_with_an_iteration_that_its_parent_began(tmp_path: Path) -> None:
    store, index = filled(tmp_path / "store")
    expected = sorted(f"k{n}" for n in range(ROWS) if n % 7 < 5)
    listing = index.iter(where={"n": {"$lt": 5}}, batch=10)
    begun = [next(listing).key]

    def child() -> None:
        assert begun + [record.key for record in listing] == expected

    process = Child(child)
    store.close()
    assert begun + [record.key for record in listing] == expected
    assert process.exitcode() == 0
    store.close()


def test_children_forked_while_the_background_builds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # As a notebook that starts a program by fork: posting lists and segments are written in the parent all the while.
    for name in ("merging", "segments"):
        monkeypatch.setattr(f"ragvec.engine.local.{name}.SEGMENT_MIN_ROWS", 200)
    monkeypatch.setattr("ragvec.ann.tuning.EXHAUSTIVE_ROWS", 64)
    defaults = PostingFeed.__init__.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "block_rows", 64)
    store, index = filled(tmp_path / "store")
    rows = np.random.default_rng(5).normal(size=(250, 2)).astype(np.float32) + 100
    codes = []
    for turn in range(8):
        index.put([f"b{turn}-{n}" for n in range(250)], rows, [{"n": 20 + n % 3} for n in range(250)])

        def child(turn: int = turn) -> None:
            assert index.query([0.0, 0.0], k=2, where={"n": {"$lt": 7}}).keys == ["k0", "k1"]
            index.put([f"child{turn}"], ONE, [{"n": 9}])
            assert index.count({"n": {"$gte": 20}}) >= 250 * (turn + 1)

        codes.append(Child(child))
    assert [process.exitcode() for process in codes] == [0] * 8
    index.put(["last"], ONE, [{"n": 9}])  # a child may have been building when it ended: the next change starts anew
    store.engine.settle()  # type: ignore[attr-defined]  # a LocalEngine
    assert index.count() == ROWS + 8 * 250 + 8 + 1
    assert index.stats().segments
    store.close()


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_pool_started_after_the_store_was_opened(tmp_path: Path, method: str) -> None:
    store, index = filled(tmp_path / "store")
    forked_tasks._opened[:] = [index]
    context = multiprocessing.get_context(method)
    inherits = method == "fork"
    with context.Pool(
        2, initializer=None if inherits else forked_tasks.set_up, initargs=() if inherits else (tmp_path / "store",)
    ) as pool:
        task = forked_tasks.with_inherited if inherits else forked_tasks.read_and_write
        found = pool.map(task, range(6), chunksize=1)
        pool.close()
        pool.join()
    forked_tasks._opened.clear()
    assert [keys for keys, _ in found] == [["k0", "k1"]] * 6
    assert {count for _, count in found} <= set(range(1, 7))
    assert index.count({"n": 50}) == 6
    store.close()


# The hook registered before those of the package is called after them: when all is closed, just before the fork.
_LOCKED = """
import os, sys, threading
held, forked, armed = threading.Event(), threading.Event(), []

def last_moment():
    if armed:
        def hold():
            with armed[0]:
                held.set()
                forked.wait()
        threading.Thread(target=hold).start()
        held.wait()

os.register_at_fork(before=last_moment, after_in_parent=forked.set)
import ragvec
store = ragvec.Store(sys.argv[1])
index = store.bucket("bucket").index("index")
index.count()
database = store.engine.catalog._database
armed.append(getattr(database._mark if sys.argv[2] == "mark" else database, "_lock"))
child = os.fork()
if not child:
    index.put(["child"], [[1.0, 1.0]])
    os._exit(0 if index.count() == 51 else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.parametrize("which", ["mark", "pool"])
def test_a_lock_held_by_another_thread_at_the_moment_of_the_fork_is_free_in_the_child(
    tmp_path: Path, which: str
) -> None:
    filled(tmp_path / "store")[0].close()
    subprocess.run([sys.executable, "-c", _LOCKED, str(tmp_path / "store"), which], check=True, timeout=60)


# A module that a thread was importing when another forked can never be imported in the child.
_IMPORTS = """
import sys, threading
import numpy as np, ragvec
from ragvec.ann import tuning
from ragvec.engine.local import forks, merging, segments
from ragvec.engine.local.posting_feed import PostingFeed

merging.SEGMENT_MIN_ROWS = segments.SEGMENT_MIN_ROWS = 200
tuning.EXHAUSTIVE_ROWS = 64
PostingFeed.__init__.__kwdefaults__["block_rows"] = 64

def note(event, arguments):
    if event == "import" and threading.current_thread() is not threading.main_thread() and not forks._depth.value:
        print(threading.current_thread().name, "imports", arguments[0])

sys.addaudithook(note)
bucket = ragvec.Store(sys.argv[1]).create_bucket("bucket")
index = bucket.create_index("index", dimension=8, text={"t": "en", "k": "ko"})
for turn in range(4):
    vectors = np.random.default_rng(turn).normal(size=(250, 8)).astype("f4")
    metadata = [{"n": n % 3, "t": "running dogs", "k": "서울에 간다"} for n in range(250)]
    index.put([f"{turn}-{n}" for n in range(250)], vectors, metadata)
bucket.store.engine.settle()
assert index.stats().segments and len(index.query(text="dog", k=1).keys) == 1
bucket.store.close()
"""


def test_the_background_imports_nothing_while_a_fork_may_happen(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _IMPORTS, str(tmp_path / "store")]
    assert subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout == ""
