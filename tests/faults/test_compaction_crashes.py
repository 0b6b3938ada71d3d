"""Processes that die while they compact, at each step: nothing that was acknowledged is lost, and it can be done
again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from local_store import ROWS, filled, names_in

from ragvec.store import Index, Store

# Stops before (or after) a step of the compaction, says so, and waits to be killed.
_SCRIPT = """
import sys, threading
from ragvec.engine.local import compact, jobs
from ragvec.engine.local.records import Records
from ragvec.engine.local.vectors import VectorFile
from ragvec.store import Store

def stop_at(owner, name, *, after=False):
    step = getattr(owner, name)
    def stopped(*arguments, **options):
        if after:
            step(*arguments, **options)
        print("here", flush=True)
        threading.Event().wait()
    setattr(owner, name, staticmethod(stopped) if isinstance(vars(owner)[name], staticmethod) else stopped)

store, step = Store(sys.argv[1]), sys.argv[2]
index = store.bucket("bucket").index("index")
index.count()
if step == "folder made":
    stop_at(compact, "_fill")
elif step == "vectors written":
    stop_at(VectorFile, "append", after=True)
elif step == "rows copied":
    stop_at(compact, "_build")
elif step == "before the switch":
    stop_at(compact._Copy, "switch")
elif step == "inside the switch":
    stop_at(Records, "set_successor", after=True)
elif step == "after the switch":
    stop_at(compact._Copy, "switch", after=True)
elif step == "noted":
    stop_at(compact, "retire", after=True)
index.compact()
print("done", flush=True)
"""

STEPS = {
    "folder made": False,
    "vectors written": False,
    "rows copied": False,
    "before the switch": False,
    "inside the switch": False,
    "after the switch": True,
    "noted": True,
}


def state(index: Index) -> dict[str, tuple[float, object]]:
    return {
        record.key: (float(record.data[0]), record.metadata)
        for record in index.iter(data=True)
        if record.data is not None
    }


@pytest.mark.parametrize("step", STEPS)
def test_a_process_killed_while_it_compacts_costs_nothing_but_the_work(tmp_path: Path, step: str) -> None:
    store, index = filled(tmp_path / "store")
    index.put(["k1", "k2"], np.full((2, 2), 7, dtype=np.float32), [{"n": 100}, None])
    index.delete(["k3"])
    expected = state(index)
    folder = tmp_path / "store" / "indexes" / index.uid
    with subprocess.Popen(
        [sys.executable, "-c", _SCRIPT, str(tmp_path / "store"), step], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
        if step != "inside the switch":  # where writers wait
            index.put(["while it hung"], np.ones((1, 2), dtype=np.float32), [{"n": 1}])
            expected["while it hung"] = (1.0, {"n": 1})
        os.kill(process.pid, signal.SIGKILL)
    index.put(["afterwards"], np.ones((1, 2), dtype=np.float32), [{"n": 1}])
    expected["afterwards"] = (1.0, {"n": 1})
    assert state(index) == expected
    assert index.stats().generation == int(STEPS[step])
    store.close()
    with Store(tmp_path / "store") as again:
        index = again.bucket("bucket").index("index")
        assert state(index) == expected
        assert index.count({"n": 1}) == sum(metadata == {"n": 1} for _, metadata in expected.values())
        again.engine.settle()  # type: ignore[attr-defined]  # a LocalEngine
        kept = ["g000000", "g000001", "index.json"] if STEPS[step] else ["g000000", "index.json"]
        assert names_in(folder) == kept, "what was unfinished is removed"
        index.delete(["k4"])
        del expected["k4"]
        index.compact()
        assert state(index) == expected
        assert index.stats().tombstones == 0


def test_a_full_disk_in_the_middle_of_a_compaction_leaves_the_store_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ragvec.engine.local.vectors import VectorFile
    from ragvec.errors import StoreFull

    store, index = filled(tmp_path / "store")
    index.delete(["k3"])
    expected = state(index)

    def full(self: VectorFile, first: int, rows: object) -> None:
        raise StoreFull("No space left", store=str(self.path))

    with monkeypatch.context() as patched:
        patched.setattr(VectorFile, "append", full)
        with pytest.raises(StoreFull):
            index.compact()
    assert names_in(tmp_path / "store" / "indexes" / index.uid) == ["g000000", "index.json"]
    assert state(index) == expected
    index.compact()
    assert state(index) == expected
    assert len(expected) == ROWS - 1
    store.close()


def test_an_index_deleted_while_it_is_compacted_stays_deleted(tmp_path: Path) -> None:
    store, index = filled(tmp_path / "store")
    index.delete(["k3"])
    uid = index.uid
    with subprocess.Popen(
        [sys.executable, "-c", _SCRIPT.replace("threading.Event().wait()", "sys.stdin.readline()"),
         str(tmp_path / "store"), "rows copied"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
        index.delete_index()
        _, errors = process.communicate("go on\n", timeout=60)
    assert "IndexNotFound" in errors
    store.close()
    with Store(tmp_path / "store"):
        assert not (tmp_path / "store" / "indexes" / uid).exists()


_ENDLESS = """
import sys, ragvec
store = ragvec.Store(sys.argv[1])
index = store.bucket("bucket").index("index")
print("here", flush=True)
number = 0
while True:
    number += 1
    index.put([f"w{number % 7}"], [[float(number), 0.0]], [{"n": number}])
    print(number, flush=True)
    index.compact()
"""


@pytest.mark.parametrize("rounds", [1, 2, 5, 11])
def test_a_process_killed_at_any_moment_loses_nothing_that_it_was_told(tmp_path: Path, rounds: int) -> None:
    store, index = filled(tmp_path / "store")
    with subprocess.Popen(
        [sys.executable, "-c", _ENDLESS, str(tmp_path / "store")], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
        told = [int(process.stdout.readline()) for _ in range(rounds)]
        os.kill(process.pid, signal.SIGKILL)
        told += [int(line) for line in process.stdout if line.endswith("\n")]
    found = [record.metadata["n"] for record in index.iter() if record.key.startswith("w") and record.metadata]
    last = told[-1]
    assert max(found) in {last, last + 1}
    assert set(range(max(1, last - 6), last + 1)) <= set(found) | {max(found) - 7}
    assert index.count() == ROWS + len(found)
    index.compact()
    assert index.count() == ROWS + len(found)
    store.close()
