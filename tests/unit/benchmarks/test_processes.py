from __future__ import annotations

import os
import sys

import numpy as np
import pytest

from benchmarks.processes import Failed, in_child, memory

linux = pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")


def test_a_child_returns_what_its_function_returns():
    answer = in_child("builtins:dict", {"one": 1, "two": [2, "x"]}, limit=60, threads=1)
    assert {name: answer[name] for name in ("one", "two")} == {"one": 1, "two": [2, "x"]}
    assert answer["started"] > 0


def test_a_child_that_raises_says_why():
    with pytest.raises(Failed, match="ended with 1: .*unexpected keyword argument|takes no keyword"):
        in_child("os:getpid", {"wrong": 1}, limit=60, threads=1)


def test_a_library_that_is_absent_is_named():
    with pytest.raises(Failed, match="not installed: No module named 'absent_library'"):
        in_child("absent_library:function", {}, limit=60, threads=1)


@pytest.mark.skipif(sys.platform == "win32", reason="no signals to wait for")
def test_a_child_over_its_time_is_ended():
    with pytest.raises(Failed, match="over the time limit of 1 s"):
        in_child("signal:pause", {}, limit=1, threads=1)


@linux
def test_memory_counts_what_this_process_allocates():
    before = memory()["anonymous"]
    block = np.ones(8_000_000)
    assert memory(os.getpid())["anonymous"] - before > 0.9 * block.nbytes


@linux
def test_memory_of_a_process_that_has_ended_is_nothing():
    assert memory(2**22 + 1) == {"anonymous": 0, "files": 0}
