"""Collections of 10 to 5,000 vectors, where a notebook starts: the median latency of one query, and its recall."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import K, timed
from benchmarks.processes import in_child
from benchmarks.stores import loaded
from benchmarks.systems import system

__all__ = ["SIZES", "ask", "measure"]

SIZES = (10, 100, 1000, 5000)


def measure(name: str, *, data: str, queries: int, seconds: float, limit: float) -> dict[str, Any]:
    """Latency and recall at each size. Raises Failed."""
    work = {"name": name, "data": data, "queries": queries, "seconds": seconds}
    return in_child("benchmarks.small:ask", work, limit=limit, threads=1)


def ask(*, name: str, data: str, queries: int, seconds: float) -> dict[str, Any]:
    """In a child: fill a store of each size and ask it."""
    whole = loaded(data, None)
    asked = np.array(whole.queries[:queries])
    points = {}
    for size in SIZES:
        given = whole.part(size)
        with tempfile.TemporaryDirectory(prefix="ragvec-bench-") as folder:
            filled = system(name, Path(folder), dimension=given.dimension, threads=1)
            filled.build(given)
            filled.close()
            opened = system(name, Path(folder), dimension=given.dimension, threads=1)
            opened.open()
            opened.tune(opened.settings[-1])
            truth = given.truth[:queries].tolist()
            points[str(size)] = timed(
                lambda at, opened=opened: opened.search(asked[at], k=K), opened.rows, truth, seconds=seconds
            )
            opened.close()
    return {"sizes": points}
