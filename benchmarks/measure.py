"""Timing queries with their recall, and reading a curve of both at a given recall."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks.systems.base import System

__all__ = ["FEW", "K", "at_recall", "frontier", "many", "quantile", "recall_of", "timed"]

K = 10
FEW = 5
"""So many queries are asked even of a system that is too slow for its share of time."""
MOST_PASSES = 15

Point = dict[str, Any]


def recall_of(found: Sequence[Sequence[int]], truth: Sequence[Sequence[int]], *, k: int = K) -> float:
    """Mean share of each query's true nearest rows, the first `k` of `truth`, that were found among `k` answers; a
    query without true rows counts only when something was found for it, as zero."""
    shares = []
    for rows, wanted in zip(found, truth, strict=True):
        want = set(list(wanted)[:k])
        if want:
            shares.append(len(want & set(list(rows)[:k])) / len(want))
        elif len(rows):
            shares.append(0.0)
    return float(np.mean(shares)) if shares else 1.0


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def timed(
    ask: Callable[[int], Any], rows: Callable[[Any], list[int]], truth: Sequence[Sequence[int]], *, seconds: float
) -> Point:
    """Ask queries 0, 1, … one at a time for about `seconds`: recall@10, queries/s, p50 and p99 in milliseconds.

    The first pass warms up and is the one whose answers are judged. When there is time for more, only they are timed
    and queries/s is the median over the passes; otherwise the first is all there is. `processor` is processor time of
    the whole process per query, in milliseconds.
    """
    found: list[list[int]] = []
    latencies: list[float] = []
    began, processor = time.perf_counter(), time.process_time()
    for at in range(len(truth)):
        start = time.perf_counter()
        answer = ask(at)
        latencies.append(time.perf_counter() - start)
        found.append(rows(answer))
        if at + 1 >= FEW and time.perf_counter() - began > seconds:
            break
    asked = len(found)
    used = (time.process_time() - processor) / asked
    rates = [asked / sum(latencies)]
    passes = min(MOST_PASSES, int(seconds / max(sum(latencies), 1e-9)))
    if asked == len(truth) and passes:
        latencies, rates = [], []
        processor = time.process_time()
        for _ in range(passes):
            start = time.perf_counter()
            for at in range(asked):
                last = time.perf_counter()
                ask(at)
                latencies.append(time.perf_counter() - last)
            rates.append(asked / (time.perf_counter() - start))
        used = (time.process_time() - processor) / (passes * asked)
    return {
        "recall": recall_of(found, truth[:asked]),
        "rate": statistics.median(rates),
        "p50": 1e3 * quantile(latencies, 0.5),
        "p99": 1e3 * quantile(latencies, 0.99),
        "processor": 1e3 * used,
        "queries": asked,
    }


def many(system: System, queries: np.ndarray, truth: Sequence[Sequence[int]], *, seconds: float) -> Point:
    """All queries at once, by whatever uses all threads, again and again: recall@10 and the median queries/s."""
    began = time.perf_counter()
    found = [system.rows(answer) for answer in system.search_many(queries, k=K)]
    rates = [len(queries) / (time.perf_counter() - began)]
    while time.perf_counter() - began < seconds:
        start = time.perf_counter()
        system.search_many(queries, k=K)
        rates.append(len(queries) / (time.perf_counter() - start))
    return {"recall": recall_of(found, truth), "rate": statistics.median(rates[1:] or rates), "queries": len(queries)}


def frontier(points: Sequence[Point]) -> list[Point]:
    """The points that no other beats in both recall and queries/s, in order of recall."""
    best: list[Point] = []
    for point in sorted(points, key=lambda one: (-one["recall"], -one["rate"])):
        if not best or point["rate"] > best[-1]["rate"]:
            best.append(point)
    return best[::-1]


def at_recall(points: Sequence[Point], target: float, *, field: str = "rate") -> float | None:
    """`field` where the frontier crosses the recall: log-linear between the points on each side, the first point's
    where all of them are above, None where none reaches it."""
    line = frontier(points)
    if not line or line[-1]["recall"] < target:
        return None
    above = next(at for at, point in enumerate(line) if point["recall"] >= target)
    high = line[above]
    if above == 0:
        return float(high[field])
    low = line[above - 1]
    share = (target - low["recall"]) / (high["recall"] - low["recall"])
    return float(math.exp((1 - share) * math.log(low[field]) + share * math.log(high[field])))
