"""One builder at a time, whatever happens to it."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest
from other_process import child, says, tell

from ragvec.engine.local.lease import BuildLease
from ragvec.errors import StoreError, StoreReadOnly

HOLDER = """
import sys, pathlib
from ragvec.engine.local.lease import BuildLease
with BuildLease(pathlib.Path(sys.argv[1])).try_acquire() as held:
    print(held, flush=True)
    sys.stdin.readline()
print("released", flush=True)
sys.stdin.readline()
"""


def is_free(path: Path) -> bool:
    with BuildLease(path).try_acquire() as held:
        return held


def test_a_lease_is_held_by_one_block_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with BuildLease(path).try_acquire() as held:
        assert held
        assert not is_free(path)
        assert not is_free(tmp_path / "." / "lock")
        assert is_free(tmp_path / "another")
        results: list[bool] = []
        thread = threading.Thread(target=lambda: results.append(is_free(path)))
        thread.start()
        thread.join()
        assert results == [False]
    assert is_free(path)


def test_an_error_in_the_block_releases_the_lease(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with pytest.raises(KeyError), BuildLease(path).try_acquire():
        raise KeyError
    assert is_free(path)


def test_a_lease_is_held_by_one_process_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with child(HOLDER, path) as holder:
        assert says(holder) == "True"
        assert not is_free(path)
        tell(holder)
        assert says(holder) == "released"
        assert is_free(path)
        with BuildLease(path).try_acquire(), child(HOLDER, path) as loser:
            assert says(loser) == "False"


def test_a_killed_process_leaves_no_lease_behind(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with child(HOLDER, path) as holder:
        assert says(holder) == "True"
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        assert is_free(path)


FORK_WHILE_HELD = """
import os, sys, pathlib
from ragvec.engine.local.lease import BuildLease
lease = BuildLease(pathlib.Path(sys.argv[1]))
with lease.try_acquire() as held:
    child = os.fork()
    if child == 0:
        with lease.try_acquire() as mine:
            os._exit(1 if mine else 0)
    refused = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    print(held, refused, flush=True)
    sys.stdin.readline()
    ready, told = os.pipe()
    go, tell = os.pipe()
    child = os.fork()
    if child == 0:
        os.read(go, 1)
        with lease.try_acquire() as mine:
            os._exit(1 if mine else 0)
os.write(tell, b"x")
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1)
"""


def test_a_fork_neither_takes_nor_keeps_the_lease(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with child(FORK_WHILE_HELD, path) as holder:
        assert says(holder) == "True True"
        assert not is_free(path)  # the child that asked and ended has not released it
        tell(holder)
        assert says(holder) == "True"  # a child forked while it was held gets it once it is free


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "segments"
    folder.mkdir()
    folder.chmod(0o500)
    with pytest.raises(StoreReadOnly, match="No permission"), BuildLease(folder / "lock").try_acquire():
        pass


def test_a_lease_in_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="missing"), BuildLease(tmp_path / "missing" / "lock").try_acquire():
        pass
