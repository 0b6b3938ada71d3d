"""How much of the truth an index finds for one's own questions, and what more would cost.

index_recall(index, queries)                 # the share of the ten nearest that are found, against exact search
index_recall(index, queries, k=100, where={"year": 2024})
"""

from __future__ import annotations

import html
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from ragvec.api.arguments import at_least_one
from ragvec.errors import InvalidRequest
from ragvec.evaluation.significance import interval
from ragvec.filters.nodes import Filter
from ragvec.search.results import Results
from ragvec.store import Index

__all__ = ["EffortRecall", "IndexRecall", "index_recall"]

EFFORTS = (0.5, 1.0, 2.0, 4.0)


class EffortRecall(msgspec.Struct, frozen=True):
    """What a search effort finds: the mean recall and the median microseconds of a query, in the same process."""

    effort: float
    recall: float
    microseconds: float


class IndexRecall(msgspec.Struct, frozen=True):
    """The recall of an index for given queries.

    `recall` is the mean over queries of the share of the `k` nearest that were found, `low` and `high` its 95 %
    interval, `target` what the index is tuned to. `worst` are positions of queries with the least recall, the least
    first. `efforts` tell what other efforts find.
    """

    k: int
    queries: int
    recall: float
    low: float
    high: float
    target: float
    worst: tuple[int, ...]
    efforts: tuple[EffortRecall, ...]

    @property
    def advice(self) -> str:
        """What to do about it, a sentence."""
        if self.recall >= self.target:
            return f"recall@{self.k} {self.recall:.4f} is at its target of {self.target:.4f}: nothing to do"
        for each in self.efforts:
            if each.effort > 1 and each.recall >= self.target:
                return (
                    f"recall@{self.k} {self.recall:.4f} is below its target of {self.target:.4f}: "
                    f"`index.tune(queries=…)` with these queries; an effort of {each.effort:g} finds {each.recall:.4f}"
                )
        return (
            f"recall@{self.k} {self.recall:.4f} is below its target of {self.target:.4f}, at every effort tried: "
            "`index.tune(queries=…)` with these queries, or `effort=math.inf` where it must be exact"
        )

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"

    def __str__(self) -> str:
        lines = [f"recall@{self.k} {self.recall:.4f} ({self.low:.4f} to {self.high:.4f}) over {self.queries:,} queries"]
        lines += [f"  effort {each.effort:<4g} {each.recall:.4f}  {each.microseconds:8.0f} µs" for each in self.efforts]
        return "\n".join([*lines, self.advice])


def index_recall(
    index: Index,
    queries: Any,
    *,
    k: int = 10,
    where: Mapping[str, Any] | Filter | None = None,
    efforts: Sequence[float] = EFFORTS,
) -> IndexRecall:
    """The recall of `index` for `queries`, (m, dimension), m ≥ 1, against exact search in it; see `IndexRecall`.

    A neighbour as near as the k-th counts as found, whichever of them it is.

    Raises:
        InvalidRequest: there are no queries. InvalidVector, DimensionMismatch, InvalidFilter.
    """
    k = at_least_one(k, "k")
    matrix = np.atleast_2d(np.asarray(queries, dtype=np.float32))
    if not len(matrix) or not matrix.size:
        raise InvalidRequest("Expected a matrix of queries, got none", path="queries")
    exact = [_asked(index, query, k=k, where=where, effort=math.inf)[0] for query in matrix]
    found: dict[float, list[float]] = {}
    times: dict[float, list[float]] = {}
    for effort in dict.fromkeys([1.0, *efforts]):
        answers = [_asked(index, query, k=k, where=where, effort=effort) for query in matrix]
        found[effort] = [_recall(results, truth) for (results, _), truth in zip(answers, exact, strict=True)]
        times[effort] = [seconds for _, seconds in answers]
    usual = np.array(found[1.0])
    low, high = interval(usual)
    return IndexRecall(
        k=k,
        queries=len(matrix),
        recall=float(usual.mean()),
        low=low,
        high=high,
        target=index.stats().recall_target,
        worst=tuple(int(at) for at in np.argsort(usual, kind="stable")[:5] if usual[at] < 1),
        efforts=tuple(
            EffortRecall(effort, float(np.mean(found[effort])), float(np.median(times[effort])) * 1e6)
            for effort in sorted(found)
        ),
    )


def _asked(
    index: Index, query: Any, *, k: int, where: Mapping[str, Any] | Filter | None, effort: float
) -> tuple[Results, float]:
    began = time.perf_counter()
    results = index.query(query, k=k, where=where, metadata=False, effort=effort)
    return results, time.perf_counter() - began


def _recall(results: Results, truth: Results) -> float:
    if not len(truth):
        return 1.0
    return float((results.distances <= truth.distances[-1]).sum()) / len(truth)
