"""Queries while 1,000 rows a second arrive, in batches of 100: latency and recall beside those of a quiet store.

The writer is a thread of the process that asks, as in a notebook; for ragvec also a process of its own. All threads are
allowed, since what a system builds in the background is part of the price. Rows that arrive are mixtures of two rows of
the collection, and none of them is among the true nearest of a query, so that recall means the same before and after.
Asking goes on without pause, so the writer competes with it for the interpreter; the rate that it reached is shown.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.data import Collection
from benchmarks.measure import K, quantile, recall_of
from benchmarks.processes import in_child
from benchmarks.stores import built, loaded, place
from benchmarks.systems import system
from benchmarks.systems.base import System

__all__ = ["ask", "measure"]

RATE = 1000
BATCH = 100


def measure(
    name: str,
    *,
    data: str,
    rows: int | None,
    queries: int,
    seconds: float,
    limit: float,
    threads: int,
    setting: Any,
    own_process: bool = False,
) -> dict[str, Any]:
    """The figures of a system at one search setting, on a copy of its store. Raises Failed."""
    made = built(name, data=data, rows=rows, limit=limit, threads=threads)
    with tempfile.TemporaryDirectory(prefix="ragvec-bench-") as scratch:
        copy = Path(scratch) / "copy"
        shutil.copytree(place(name, data=data, rows=rows), copy)
        work = {
            "name": name, "data": data, "rows": rows, "folder": str(copy), "queries": queries, "seconds": seconds,
            "setting": setting, "threads": threads, "own_process": own_process,
        }  # fmt: skip
        return {"built": made, **in_child("benchmarks.writes:ask", work, limit=limit, threads=threads)}


def arriving(given: Collection, asked: np.ndarray, *, count: int) -> np.ndarray:
    """`count` unit vectors among the collection's that no query has among its K nearest."""
    random = np.random.default_rng(6)
    reach = np.array([float(given.rows[line[K - 1]] @ query) for line, query in zip(given.truth, asked, strict=False)])
    kept: list[np.ndarray] = []
    while sum(map(len, kept)) < count:
        first, second = (random.integers(len(given), size=BATCH * 10) for _ in range(2))
        mixed = 0.6 * given.rows[first] + 0.4 * given.rows[second]
        mixed = (mixed / np.linalg.norm(mixed, axis=1, keepdims=True)).astype(np.float32)
        kept.append(mixed[((mixed @ asked.T) < reach - 1e-4).all(axis=1)])
    return np.concatenate(kept)[:count]


def ask(
    *,
    name: str,
    data: str,
    rows: int | None,
    folder: str,
    queries: int,
    seconds: float,
    setting: Any,
    threads: int,
    own_process: bool,
) -> dict[str, Any]:
    """In a child: ask quietly, then while the rows arrive."""
    given = loaded(data, rows)
    asked, truth = np.array(given.queries[:queries]), given.truth[:queries].tolist()
    new = arriving(given, asked, count=round(RATE * seconds))
    metadata = given.metadata(0, BATCH)
    opened = system(name, Path(folder), dimension=given.dimension, threads=threads)
    opened.open()
    opened.tune(setting)
    opened.search(asked[0], k=K)
    before = opened.parts()
    quiet = _asking(opened, asked, truth, seconds=seconds / 2)
    stop = threading.Event()
    written: list[float] = []
    if own_process:
        path = Path(folder) / "arriving.npy"
        np.save(path, new)
        work = {"name": name, "folder": folder, "dimension": given.dimension, "path": str(path), "start": len(given)}
        work |= {"metadata": metadata, "seconds": seconds}
        answer: dict[str, Any] = {}

        def write() -> None:
            answer.update(in_child("benchmarks.writes:write", work, limit=10 * seconds + 60, threads=1))

        task = threading.Thread(target=write)
    else:
        task = threading.Thread(
            target=_writing,
            args=(opened, new, metadata),
            kwargs={"start": len(given), "seconds": seconds, "stop": stop, "written": written},
        )
    task.start()
    if own_process:
        while not (Path(folder) / "writing").exists() and task.is_alive():
            time.sleep(0.01)
    busy = _asking(opened, asked, truth, seconds=seconds)
    stop.set()
    task.join()
    rate = answer["rate"] if own_process else (written[-1] if written else 0.0)
    after = opened.parts()
    opened.close()
    return {"quiet": quiet, "busy": busy, "writes": rate, "parts": [before, after]}


def write(
    *, name: str, folder: str, dimension: int, path: str, start: int, metadata: list[dict[str, Any]], seconds: float
) -> dict[str, Any]:
    """In a child of the one that asks: write until the time is over."""
    opened = system(name, Path(folder), dimension=dimension, threads=1)
    opened.open()
    (Path(folder) / "writing").touch()
    written: list[float] = []
    never = threading.Event()
    _writing(opened, np.load(path), metadata, start=start, seconds=seconds, stop=never, written=written)
    opened.close()
    return {"rate": written[-1] if written else 0.0}


def _writing(
    opened: System,
    new: np.ndarray,
    metadata: list[dict[str, Any]],
    *,
    start: int,
    seconds: float,
    stop: threading.Event,
    written: list[float],
) -> None:
    """Put a batch each BATCH / RATE seconds, or as fast as it goes; the rows a second so far go into `written`."""
    began = time.perf_counter()
    for at in range(0, len(new) - BATCH + 1, BATCH):
        due = began + at / RATE
        if stop.wait(max(0.0, due - time.perf_counter())) or time.perf_counter() - began > seconds:
            return
        keys = [f"{row:08d}" for row in range(start + at, start + at + BATCH)]
        opened.put(keys, new[at : at + BATCH], metadata)
        written.append((at + BATCH) / max(time.perf_counter() - began, (at + BATCH) / RATE))


def _asking(opened: System, asked: np.ndarray, truth: list[list[int]], *, seconds: float) -> dict[str, Any]:
    latencies, found, wanted = [], [], []
    began = time.perf_counter()
    while time.perf_counter() - began < seconds:
        at = len(latencies) % len(asked)
        start = time.perf_counter()
        answer = opened.search(asked[at], k=K)
        latencies.append(time.perf_counter() - start)
        found.append(opened.rows(answer))
        wanted.append(truth[at])
    return {
        "recall": recall_of(found, wanted),
        "p50": 1e3 * quantile(latencies, 0.5),
        "p99": 1e3 * quantile(latencies, 0.99),
        "queries": len(latencies),
    }
