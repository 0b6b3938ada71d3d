"""Disks that are full or broken, at each system call in turn: a clear error, nothing lost, and work goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.torture import disk_errors
from tests.torture.disk import ShimMissing


def test_whatever_system_call_fails_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    try:
        figures = disk_errors.run(rounds=60, seed=3, folder=tmp_path / "work")
    except ShimMissing as missing:
        pytest.skip(str(missing))
    assert int(figures["failed"]) >= 50
    assert int(figures["StoreFull"]) > 0
    assert int(figures["StoreError"]) > 0
