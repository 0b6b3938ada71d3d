"""Disks that are full or broken, at each system call in turn: a clear error, nothing lost, and work goes on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ragvec.ann.backends import available_backend
from ragvec.ann.sealed import seal
from ragvec.errors import Corrupted
from tests.torture import disk_errors
from tests.torture.disk import ShimMissing
from tests.torture.workload_small import shrunk


def test_whatever_system_call_fails_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    try:
        figures = disk_errors.run(rounds=40, seed=3, folder=tmp_path / "work")
    except ShimMissing as missing:
        pytest.skip(str(missing))
    assert int(figures["failed"]) >= 30
    assert int(figures["StoreFull"]) > 0
    assert int(figures["StoreError"]) > 0


def test_a_segment_whose_files_were_cut_off_is_damaged_and_does_not_end_the_process(tmp_path: Path) -> None:
    backend = available_backend("scann")
    assert backend is not None
    rows = np.random.default_rng(0).normal(size=(200, 8)).astype(np.float32)
    with shrunk():
        backend.build(rows, metric="euclidean", recall_target=0.9, folder=tmp_path)
    seal(tmp_path)
    backend.open(tmp_path)
    files = {path: path.read_bytes() for path in tmp_path.iterdir() if path.suffix in (".npy", ".pb")}
    for path, whole in files.items():
        for size in {0, len(whole) // 2} if path.suffix == ".npy" else {0}:
            path.write_bytes(whole[:size])
            seal(tmp_path)  # as a build does that did not notice
            with pytest.raises(Corrupted):
                backend.open(tmp_path)
        path.write_bytes(whole)
