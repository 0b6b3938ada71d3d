"""A small local store for the tests beside it."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np

from ragvec.store import Index, Store

__all__ = ["ROWS", "Child", "filled", "make_index", "names_in"]

ROWS = 50


def filled(path: Path) -> tuple[Store, Index]:
    """A store with one index."""
    store = Store(path)
    store.create_bucket("bucket")
    return store, make_index(store, "index")


def make_index(store: Store, name: str) -> Index:
    """An index of ROWS records k0, k1, … at 0, 1, … on a line, with n = position modulo 7."""
    index = store.bucket("bucket").create_index(name, dimension=2, metric="euclidean")
    vectors = np.zeros((ROWS, 2), dtype=np.float32)
    vectors[:, 0] = np.arange(ROWS)
    index.put([f"k{n}" for n in range(ROWS)], vectors, [{"n": n % 7} for n in range(ROWS)])
    return index


def names_in(folder: Path) -> list[str]:
    """The names in a folder, sorted."""
    return sorted(path.name for path in folder.iterdir())


class Child:
    """A forked process that runs `work`; `exitcode` waits for it, and is negative when it hung and had to be killed."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work
        self._process: BaseProcess = multiprocessing.get_context("fork").Process(target=self._run)
        self._process.start()

    def _run(self) -> None:
        self._work()
        os._exit(0)

    def exitcode(self) -> int | None:
        """How it ended; 0 when `work` returned."""
        self._process.join(timeout=30)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        return self._process.exitcode
