"""Rows a second into a durable store, metadata included, by batches of 500, as PutVectors takes them."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.processes import in_child
from benchmarks.stores import loaded
from benchmarks.systems import system

__all__ = ["BATCH", "measure", "put"]

BATCH = 500


def measure(name: str, *, data: str, count: int, seconds: float, limit: float, threads: int) -> dict[str, Any]:
    """Rows a second over at most `count` rows or `seconds`. Raises Failed."""
    work = {"name": name, "data": data, "count": count, "seconds": seconds, "threads": threads}
    return in_child("benchmarks.inserts:put", work, limit=limit, threads=threads)


def put(*, name: str, data: str, count: int, seconds: float, threads: int) -> dict[str, Any]:
    """In a child: put batches into an empty store."""
    given = loaded(data, None)
    count = min(count, len(given))
    with tempfile.TemporaryDirectory(prefix="ragvec-bench-") as folder:
        made = system(name, Path(folder), dimension=given.dimension, threads=threads)
        made.create()
        took, rows = 0.0, 0
        for start in range(0, count, BATCH):
            stop = min(start + BATCH, count)
            keys, metadata = given.keys(start, stop), given.metadata(start, stop)
            vectors = np.array(given.rows[start:stop])
            began = time.perf_counter()
            made.put(keys, vectors, metadata)
            took += time.perf_counter() - began
            rows = stop
            if took > seconds:
                break
        made.close()
    return {"rows": rows, "seconds": took, "rate": rows / took}
