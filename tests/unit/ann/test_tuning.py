"""The choice of parameters, against searches whose behaviour is known beforehand."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest

from ragvec.ann import tuning
from ragvec.ann.report import OperatingPoint
from ragvec.types import FloatMatrix, Metric

LEAVES = 100
METRICS: tuple[Metric, ...] = ("cosine", "euclidean")


def some_rows(rows: int = 2000, dimension: int = 12, *, seed: int = 0) -> FloatMatrix:
    return np.random.default_rng(seed).standard_normal((rows, dimension)).astype(np.float32)


def sorted_positions(rows: FloatMatrix, queries: FloatMatrix, metric: Metric) -> npt.NDArray[np.int32]:
    x, q = rows.astype(np.float64), queries.astype(np.float64)
    if metric == "cosine":
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        q /= np.linalg.norm(q, axis=1, keepdims=True)
    far = np.square(x).sum(axis=1)[np.newaxis] - 2.0 * q @ x.T
    return np.argsort(far, axis=1, kind="stable").astype(np.int32)


class Trial:
    """Exact search that errs as told: nothing found with fewer than `enough` leaves, the first `mixed` in any order."""

    def __init__(self, rows: FloatMatrix, metric: Metric, *, enough: int = 1, mixed: int = 1) -> None:
        self.rows, self.metric, self.enough, self.mixed = rows, metric, enough, mixed
        self.queries: list[FloatMatrix] = []
        self.sorted: npt.NDArray[np.int32] | None = None

    def __call__(self, queries: FloatMatrix, *, count: int, leaves: int) -> npt.NDArray[np.int32]:
        self.queries.append(queries)
        if leaves < self.enough:
            return np.full((len(queries), count), -1, dtype=np.int32)
        if self.sorted is None:
            self.sorted = sorted_positions(self.rows, queries, self.metric)
            self.sorted[:, : self.mixed] = np.random.default_rng(1).permuted(self.sorted[:, : self.mixed], axis=1)
        asked: npt.NDArray[np.int32] = self.sorted[: len(queries), :count].copy()  # fewer are the first of them
        return asked


Curves = tuple[tuple[OperatingPoint, ...], ...]


def measured(trial: Trial, *, seed: int = 0, queries: FloatMatrix | None = None) -> Curves:
    return tuning.measure(trial, trial.rows, metric=trial.metric, leaves=LEAVES, seed=seed, queries=queries)


def served(trial: Trial, *, target: float = 0.98) -> tuple[int, int]:
    """Leaves and candidates for the 10 nearest, as tuned."""
    report = tuning.exhaustive(trial.rows, metric=trial.metric, recall_target=target)
    return tuning.setting(tuning.tuned(report, measured(trial), leaves=LEAVES, seen=False), k=10)


@pytest.mark.parametrize("metric", METRICS)
def test_a_perfect_search_gets_the_least_of_everything(metric: Metric) -> None:
    ((point,),) = measured(Trial(some_rows(), metric))
    assert (point.k, point.leaves, point.over_fetch, point.recall) == (10, 1, 1.0, 1.0)


def test_every_k_that_the_size_allows_is_measured() -> None:
    for rows, ks in ((3199, [10]), (3200, [10, 100]), (32_000, [10, 100, 1000])):
        trial = Trial(some_rows(rows, 4), "euclidean")
        assert [curve[0].k for curve in measured(trial, queries=trial.rows[:40])] == ks


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("enough", [2, 13, 60, 100])
def test_the_fewest_sufficient_leaves_of_those_tried_are_taken(enough: int, metric: Metric) -> None:
    ((*_, point),) = measured(Trial(some_rows(), metric, enough=enough))
    assert enough <= point.leaves <= min(LEAVES, 1.46 * enough + 1)
    assert point.recall == 1.0


def test_over_fetch_makes_up_for_a_coarse_order() -> None:
    # Of the first 40 in random order, 10 × f hold the nearest 10 in a share of f / 4.
    (curve,) = measured(Trial(some_rows(), "cosine", mixed=41))
    assert curve[-1].over_fetch == 4.0
    assert curve[-1].recall > 0.99
    for point in curve:
        assert abs(point.recall - point.over_fetch / 4) < 0.05


def test_a_curve_ascends_in_cost_and_recall() -> None:
    (curve,) = measured(Trial(some_rows(), "euclidean", mixed=301))
    assert len(curve) >= 4
    assert all(a.cost < b.cost and a.recall < b.recall for a, b in pairwise(curve))


def test_each_target_takes_as_much_as_it_needs() -> None:
    trial = Trial(some_rows(), "cosine", mixed=201)
    counts = [served(trial, target=target)[1] for target in (0.2, 0.5, 0.8, 0.9)]
    # The nearest 10 are anywhere in 200 places, so a share needs as large a share of these.
    assert counts == sorted(counts)
    for target, count in zip((0.2, 0.5, 0.8, 0.9), counts, strict=True):
        assert 0.9 * target <= count / 200 <= 1.2 * target + 0.2


def test_rows_asked_for_themselves_are_taken_to_lose_less_than_others() -> None:
    rows = some_rows()
    curves = measured(Trial(rows, "cosine", mixed=201))
    report = tuning.exhaustive(rows, metric="cosine", recall_target=0.5)
    same = tuning.tuned(report, curves, leaves=LEAVES, seen=False)
    assert same.curves == curves
    assert tuning.tuned(report, curves, leaves=LEAVES).recall_at_10 == same.recall_at_10
    assert tuning.tuned(report, curves, leaves=LEAVES).over_fetch > same.over_fetch


@pytest.mark.parametrize("metric", METRICS)
def test_where_nothing_helps_all_rows_are_asked_for(metric: Metric) -> None:
    rows = some_rows()
    report = tuning.exhaustive(rows, metric=metric, recall_target=0.98)
    for trial in (Trial(rows, metric, mixed=2000), Trial(rows, metric, enough=LEAVES + 1)):
        assert tuning.tuned(report, measured(trial), leaves=LEAVES) == report


def test_copies_of_a_neighbour_count_as_the_neighbour() -> None:
    rows = np.repeat(some_rows(100), 20, axis=0)

    class OtherCopies(Trial):
        def __call__(self, queries: FloatMatrix, *, count: int, leaves: int) -> npt.NDArray[np.int32]:
            found = super().__call__(queries, count=len(self.rows), leaves=leaves)
            return found.reshape(len(queries), 100, 20)[:, :, ::-1].reshape(len(queries), -1)[:, :count]

    ((point,),) = measured(OtherCopies(rows, "cosine"))
    # A query's own row is not counted, so 20 copies in blocks leave 19 that are nearest.
    assert (point.over_fetch, point.recall) == (1.0, 1.0)


def test_a_search_that_misses_a_third_of_the_rows_is_found_out() -> None:
    rows = some_rows()

    class Partial(Trial):
        def __call__(self, queries: FloatMatrix, *, count: int, leaves: int) -> npt.NDArray[np.int32]:
            found = super().__call__(queries, count=len(self.rows), leaves=leaves)
            kept = np.array([row[row % 3 > 0][: len(self.rows) // 2] for row in found], dtype=np.int32)
            return kept[:, :count]

    (curve,) = measured(Partial(rows, "euclidean"))
    assert abs(curve[-1].recall - 2 / 3) < 0.02


@pytest.mark.parametrize("metric", METRICS)
def test_equal_rows_need_the_least(metric: Metric) -> None:
    ((point,),) = measured(Trial(np.ones((2000, 12), dtype=np.float32), metric))
    assert (point.leaves, point.over_fetch) == (1, 1.0)


def test_a_query_does_not_find_its_own_row() -> None:
    rows = some_rows()

    class OnlyItself(Trial):
        def __call__(self, queries: FloatMatrix, *, count: int, leaves: int) -> npt.NDArray[np.int32]:
            found = np.full((len(queries), count), -1, dtype=np.int32)
            found[:, 0] = sorted_positions(self.rows, queries, self.metric)[:, 0]
            return found

    ((point,),) = measured(OnlyItself(rows, "cosine"))
    assert point.recall == 0.0


def test_given_queries_are_asked_and_may_equal_rows() -> None:
    rows = some_rows()
    trial = Trial(rows, "cosine", enough=20)
    ((*_, point),) = measured(trial, queries=rows[:50])
    assert 20 <= point.leaves <= 30
    assert point.recall == 1.0
    assert all(len(queries) <= 50 for queries in trial.queries)


def test_queries_depend_on_the_seed_alone_and_rows_stay_as_they_are() -> None:
    rows = some_rows()
    before = rows.copy()
    trials = [Trial(rows, "cosine") for _ in range(3)]
    for trial, seed in zip(trials, (7, 7, 8), strict=True):
        measured(trial, seed=seed)
    assert np.array_equal(trials[0].queries[0], trials[1].queries[0])
    assert not np.array_equal(trials[0].queries[0], trials[2].queries[0])
    assert np.array_equal(rows, before)


@pytest.mark.parametrize("rows", [1024, 4096, 117_659, 1_000_000, 50_000_000])
def test_a_plan_suits_its_size(rows: int) -> None:
    plan = tuning.plan(rows, 224)
    assert 1.0 <= plan.leaves / rows**0.5 <= 2.0
    assert plan.leaves * 50 <= plan.training_rows <= rows or plan.training_rows == rows
    assert plan.codebook_rows <= plan.training_rows
