"""The choice of parameters, against searches whose behaviour is known beforehand."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from ragvec.ann import tuning
from ragvec.ann.backends import BuildReport, OperatingPoint
from ragvec.ann.projection import Projection, fit
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
        return self.sorted[:, :count].copy()


def measured(trial: Trial, *, target: float = 0.98, seed: int = 0) -> tuple[OperatingPoint, ...]:
    return tuning.measure(trial, trial.rows, metric=trial.metric, leaves=LEAVES, recall_target=target, seed=seed)


@pytest.mark.parametrize("metric", METRICS)
def test_a_perfect_search_gets_the_least_of_everything(metric: Metric) -> None:
    points = measured(Trial(some_rows(), metric))
    assert [(point.k, point.over_fetch, point.recall) for point in points] == [(10, 1.0, 1.0)]
    assert points[0].leaves <= 2


def test_every_k_that_the_size_allows_is_measured() -> None:
    assert [point.k for point in measured(Trial(some_rows(3200, 4), "cosine"))] == [10, 100]
    assert [point.k for point in measured(Trial(some_rows(32_000, 4), "euclidean"))] == [10, 100, 1000]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("enough", [2, 13, 60, 100])
def test_the_fewest_sufficient_leaves_of_those_tried_are_taken(enough: int, metric: Metric) -> None:
    (point,) = measured(Trial(some_rows(), metric, enough=enough))
    assert enough <= point.leaves <= min(LEAVES, 1.36 * enough + 1)
    assert point.recall == 1.0


def test_over_fetch_makes_up_for_a_coarse_order() -> None:
    # Of the first 40 in random order, 10 × f hold the nearest 10 in a share of f / 4.
    (point,) = measured(Trial(some_rows(), "cosine", mixed=41))
    assert point.over_fetch == 4.0
    assert point.recall > 0.99
    (loose,) = measured(Trial(some_rows(), "cosine", mixed=41), target=0.5)
    assert loose.over_fetch in (2.5, 3.0)
    assert 0.6 < loose.recall < 0.8


def test_the_target_is_passed_with_a_margin() -> None:
    (point,) = measured(Trial(some_rows(), "euclidean", mixed=101), target=0.9)
    assert point.recall >= 0.925


@pytest.mark.parametrize("metric", METRICS)
def test_where_nothing_helps_all_rows_are_asked_for(metric: Metric) -> None:
    rows = some_rows()
    (point,) = measured(Trial(rows, metric, mixed=2000))
    assert point == OperatingPoint(k=10, leaves=LEAVES, over_fetch=200.0, recall=1.0)
    (nothing,) = measured(Trial(rows, metric, enough=LEAVES + 1))
    assert nothing == point


def test_copies_of_a_neighbour_count_as_the_neighbour() -> None:
    rows = np.repeat(some_rows(100), 20, axis=0)

    class OtherCopies(Trial):
        def __call__(self, queries: FloatMatrix, *, count: int, leaves: int) -> npt.NDArray[np.int32]:
            found = super().__call__(queries, count=len(self.rows), leaves=leaves)
            return found.reshape(len(queries), 100, 20)[:, :, ::-1].reshape(len(queries), -1)[:, :count]

    (point,) = measured(OtherCopies(rows, "cosine"))
    # A query's own row is not counted, so 20 copies in blocks leave 19 that are nearest.
    assert (point.over_fetch, point.recall) == (1.0, 1.0)


def test_a_query_does_not_find_its_own_row() -> None:
    rows = some_rows()

    class OnlyItself(Trial):
        def __call__(self, queries: FloatMatrix, *, count: int, leaves: int) -> npt.NDArray[np.int32]:
            found = np.full((len(queries), count), -1, dtype=np.int32)
            found[:, 0] = sorted_positions(self.rows, queries, self.metric)[:, 0]
            return found

    (point,) = measured(OnlyItself(rows, "cosine"), target=0.05)
    assert point.over_fetch == 200.0


def test_queries_depend_on_the_seed_alone_and_rows_stay_as_they_are() -> None:
    rows = some_rows()
    before = rows.copy()
    trials = [Trial(rows, "cosine") for _ in range(3)]
    for trial, seed in zip(trials, (7, 7, 8), strict=True):
        measured(trial, seed=seed)
    assert np.array_equal(trials[0].queries[0], trials[1].queries[0])
    assert not np.array_equal(trials[0].queries[0], trials[2].queries[0])
    assert np.array_equal(rows, before)
    assert len(trials[0].queries[0]) <= 200


def report(*points: OperatingPoint, rows: int = 100_000, leaves: int = 400) -> BuildReport:
    return BuildReport(
        rows=rows,
        dimension=8,
        metric="cosine",
        leaves=leaves,
        leaves_to_search=points[0].leaves if points else 1,
        over_fetch=1.0,
        recall_at_10=1.0,
        recall_at_100=1.0,
        seconds=0.0,
        bytes=0,
        points=points,
        exhaustive=not points,
    )


TEN = OperatingPoint(k=10, leaves=20, over_fetch=6.0, recall=0.99)
HUNDRED = OperatingPoint(k=100, leaves=40, over_fetch=3.0, recall=0.99)


def test_the_measured_points_are_used_as_they_are() -> None:
    assert tuning.setting(report(TEN, HUNDRED), k=10) == (20, 60)
    assert tuning.setting(report(TEN, HUNDRED), k=100) == (40, 300)


def test_fewer_neighbours_need_the_candidates_of_ten() -> None:
    assert tuning.setting(report(TEN, HUNDRED), k=1) == (20, 60)


def test_between_and_beyond_the_points_both_numbers_grow_with_k() -> None:
    settings = [tuning.setting(report(TEN, HUNDRED), k=k) for k in (10, 20, 50, 100, 300, 1000, 3000, 10_000)]
    assert settings == sorted(settings)
    assert all(a[0] <= b[0] and a[1] < b[1] for a, b in pairwise(settings))
    assert all(count >= k for (_, count), k in zip(settings, (10, 20, 50, 100, 300, 1000, 3000, 10_000), strict=True))


def test_everything_is_taken_when_little_less_would_be() -> None:
    assert tuning.setting(report(TEN, HUNDRED), k=90_000) == (400, 100_000)
    assert tuning.setting(report(TEN, HUNDRED, rows=100), k=10) == (400, 100)
    assert tuning.setting(report(), k=1) == (400, 100_000)


def test_effort_multiplies_the_leaves_up_to_all() -> None:
    points = report(TEN, HUNDRED)
    assert tuning.setting(points, k=10, effort=3.0) == (60, 60)
    assert tuning.setting(points, k=10, effort=0.5) == (10, 60)
    assert tuning.setting(points, k=10, effort=1e9) == (400, 60)
    assert tuning.setting(points, k=10, effort=1e-9)[0] >= 1


@pytest.mark.parametrize("rows", [1024, 4096, 117_659, 1_000_000, 50_000_000])
def test_a_plan_suits_its_size(rows: int) -> None:
    plan = tuning.plan(rows, 224)
    assert 1.0 <= plan.leaves / rows**0.5 <= 1.5
    assert plan.leaves * 50 <= plan.training_rows <= rows or plan.training_rows == rows
    assert 1 <= plan.smallest_leaf * plan.leaves <= rows


def order_kept(projection: Projection, rows: FloatMatrix, queries: FloatMatrix, metric: Metric) -> float:
    """The share of the true 10 nearest among the 20 greatest inner products of the projected vectors."""
    products = projection.queries(queries) @ projection.rows(rows).T
    best = np.argsort(-products, axis=1)[:, :20]
    truth = sorted_positions(rows, queries, metric)[:, :10]
    return float(np.mean([np.isin(t, b).mean() for t, b in zip(truth, best, strict=True)]))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(("shift", "lengths"), [(0.0, 0.0), (50.0, 0.0), (0.0, 0.5)])
def test_inner_products_of_projected_vectors_order_as_the_metric(metric: Metric, shift: float, lengths: float) -> None:
    random = np.random.default_rng(4)
    rows = some_rows(3000, 20) * np.exp(random.normal(0, lengths, (3000, 1))).astype(np.float32) + np.float32(shift)
    queries = (rows[:100] + 0.1 * random.standard_normal((100, 20))).astype(np.float32)
    projection = fit(rows, metric=metric, seed=0)
    assert projection.axes is None
    assert order_kept(projection, rows, queries, metric) > 0.999


@pytest.mark.parametrize("metric", METRICS)
def test_axes_without_variance_are_dropped(metric: Metric) -> None:
    random = np.random.default_rng(5)
    inner = random.standard_normal((3000, 30)) @ random.standard_normal((30, 128))
    rows = (inner + 0.05 * random.standard_normal((3000, 128)) + 7.0).astype(np.float32)
    projection = fit(rows, metric=metric, seed=0)
    assert projection.width < 64
    queries = (rows[:100] + 0.1 * random.standard_normal((100, 128))).astype(np.float32)
    assert order_kept(projection, rows, queries, metric) > 0.98


@pytest.mark.parametrize("metric", METRICS)
def test_a_projection_comes_back_from_its_file(tmp_path: Path, metric: Metric) -> None:
    rows = some_rows(2000, 80)
    rows[:, 20:] *= np.float32(0.1)
    projection = fit(rows, metric=metric, seed=0)
    projection.save(tmp_path / "projection.npz")
    again = Projection.load(tmp_path / "projection.npz")
    assert again.width == projection.width
    assert np.array_equal(again.rows(rows), projection.rows(rows))
    assert np.array_equal(again.queries(rows[:3]), projection.queries(rows[:3]))
