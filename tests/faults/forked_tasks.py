"""What the processes of pools do in `test_forks`; a module, for a process that was not forked imports it."""

from __future__ import annotations

import os
from pathlib import Path

from ragvec.store import Index, Store

__all__ = ["read_and_write", "set_up", "with_inherited"]

_opened: list[Index] = []


def set_up(path: Path) -> None:
    """Open the store, as the initializer of a pool does."""
    _opened[:] = [Store(path).bucket("bucket").index("index")]


def read_and_write(number: int) -> tuple[list[str], int]:
    """Use the store that `set_up` opened."""
    return _work(_opened[0], number)


def with_inherited(number: int) -> tuple[list[str], int]:
    """Use the store that the parent put into `_opened` before it forked."""
    return _work(_opened[0], number)


def _work(index: Index, number: int) -> tuple[list[str], int]:
    index.put([f"pool{number}"], [[0.0, 1.0]], [{"n": 50, "pid": os.getpid()}])
    found = index.query([0.0, 0.0], k=2, where={"n": {"$lt": 7}}).keys
    return found, index.count({"n": 50})
