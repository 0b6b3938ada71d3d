"""How fast at which recall: every setting of a system, one thread and then all; memory and the first answer beside.

Queries come one at a time, k = 10, in one thread on one processor. Then all of them at once with all threads. Memory is
that of the process which answered, beyond its interpreter and imports.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import FEW, K, many, timed
from benchmarks.processes import in_child, memory
from benchmarks.stores import built, loaded, place
from benchmarks.systems import system

__all__ = ["curve", "first", "measure", "throughput"]

FIRSTS = 3
SLOW = 2.0
ENOUGH = 0.9985
INTERESTING = (0.95, 0.9995)


def measure(
    name: str, *, data: str, rows: int | None, queries: int, seconds: float, limit: float, threads: int
) -> dict[str, Any]:
    """All figures of one system on one collection. Raises Failed."""
    result: dict[str, Any] = {"built": built(name, data=data, rows=rows, limit=limit, threads=threads)}
    folder = str(place(name, data=data, rows=rows))
    common = {"name": name, "data": data, "rows": rows, "folder": folder}
    firsts = []
    asked = loaded(data, None)
    arguments = {"name": name, "folder": folder, "query": asked.queries[0].tolist()}
    for _ in range(FIRSTS):
        answer = in_child("benchmarks.curves:first", arguments, limit=limit, threads=threads, sample=False)
        firsts.append(answer["ended"] - answer["started"])
        if firsts[-1] > SLOW:
            break
    result["first"] = statistics.median(firsts)
    work = {**common, "queries": queries, "seconds": seconds}
    result |= in_child("benchmarks.curves:curve", work, limit=limit, threads=1)
    settings = [point["setting"] for point in result["points"] if INTERESTING[0] <= point["recall"] <= INTERESTING[1]]
    work |= {"settings": settings or [result["points"][-1]["setting"]], "threads": threads}
    # A slow system is asked as many queries as one thread answers in the time, not all of them.
    within = round(seconds * max(point["rate"] for point in result["points"]))
    work["queries"] = min(queries, max(2 * FEW, within))
    result["all"] = in_child("benchmarks.curves:throughput", work, limit=limit, threads=threads)["points"]
    return result


def first(*, name: str, folder: str, query: list[float]) -> dict[str, float]:
    """In a child: open an existing store and answer one query; when that was done, in monotonic seconds."""
    opened = system(name, Path(folder), dimension=len(query), threads=1)
    opened.open()
    answer = opened.search(np.array(query, dtype=np.float32), k=K)
    assert opened.rows(answer)
    return {"ended": time.monotonic()}


def curve(*, name: str, data: str, rows: int | None, folder: str, queries: int, seconds: float) -> dict[str, Any]:
    """In a child: recall and latency at each setting, from the fastest on, until the recall is as good as full."""
    given = loaded(data, rows)
    asked, truth = np.array(given.queries[:queries]), given.truth[:queries].tolist()
    opened = system(name, Path(folder), dimension=given.dimension, threads=1)
    del given
    before = memory()
    opened.open()
    settings = list(opened.settings)
    share = seconds / len(settings)
    points: list[dict[str, Any]] = []
    for setting in settings:
        opened.tune(setting)
        point = timed(lambda at: opened.search(asked[at], k=K), opened.rows, truth, seconds=share)
        points.append({"setting": setting, **point})
        if point["recall"] >= ENOUGH and not isinstance(setting, (tuple, list)):
            break
    after = memory()
    resident = {part: max(0, after[part] - before[part]) for part in after}
    opened.close()
    return {"points": points, "resident": resident}


def throughput(
    *,
    name: str,
    data: str,
    rows: int | None,
    folder: str,
    queries: int,
    seconds: float,
    settings: list[Any],
    threads: int,
) -> dict[str, Any]:
    """In a child: queries/s with all threads at these settings."""
    given = loaded(data, rows)
    asked, truth = np.array(given.queries[:queries]), given.truth[:queries].tolist()
    opened = system(name, Path(folder), dimension=given.dimension, threads=threads)
    opened.open()
    points = []
    for setting in settings:
        opened.tune(setting)
        points.append({"setting": setting, **many(opened, asked, truth, seconds=seconds / (2 * len(settings)))})
    opened.close()
    return {"points": points}
