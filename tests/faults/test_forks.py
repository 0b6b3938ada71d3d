"""Processes that fork while they use a store, as multiprocessing, gunicorn and notebooks do."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from local_store import ROWS, Child, filled

from ragvec.engine.local import forks

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
