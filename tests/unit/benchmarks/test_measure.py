from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks.measure import at_recall, frontier, quantile, recall_of, timed
from benchmarks.nearest import exact_nearest


def point(recall: float, rate: float) -> dict[str, float]:
    return {"recall": recall, "rate": rate}


class TestRecall:
    def test_is_the_share_of_the_true_nearest_that_were_found(self):
        assert recall_of([[1, 2, 3], [9, 8, 7]], [[3, 2, 5], [7, 8, 9]], k=3) == pytest.approx((2 / 3 + 1) / 2)

    def test_counts_only_the_first_k_of_either_side(self):
        assert recall_of([[5, 1]], [[1, 5]], k=1) == 0.0

    def test_fewer_matches_than_k_can_all_be_found(self):
        assert recall_of([[4]], [[4]], k=10) == 1.0

    def test_something_found_where_nothing_matches_is_wrong(self):
        assert recall_of([[4], [1]], [[], [1]], k=10) == 0.5


class TestFrontier:
    def test_leaves_out_what_another_point_beats_in_both(self):
        line = frontier([point(0.9, 100), point(0.95, 120), point(0.99, 50), point(0.98, 40)])
        assert line == [point(0.95, 120), point(0.99, 50)]

    def test_crossing_is_log_linear_between_the_neighbours(self):
        crossing = at_recall([point(0.97, 400), point(0.99, 100)], 0.98)
        assert crossing == pytest.approx(math.sqrt(400 * 100))

    def test_first_point_stands_for_what_lies_below_it(self):
        assert at_recall([point(1.0, 22)], 0.98) == 22

    def test_recall_that_is_not_reached_has_no_rate(self):
        assert at_recall([point(0.9, 1000)], 0.98) is None
        assert at_recall([], 0.98) is None


@pytest.mark.parametrize(("share", "expected"), [(0.5, 50), (0.99, 99), (1.0, 100), (0.001, 1)])
def test_quantile_is_a_value_that_occurred(share, expected):
    assert quantile(list(range(1, 101))[::-1], share) == expected


def test_timing_judges_every_query_once_and_asks_each_at_least_once():
    asked: list[int] = []

    def ask(at: int) -> int:
        asked.append(at)
        return at

    found = timed(ask, lambda answer: [answer], [[0], [1], [5]], seconds=0.001)
    assert found["recall"] == pytest.approx(2 / 3)
    assert found["queries"] == 3
    assert asked[:3] == [0, 1, 2]
    assert found["p50"] <= found["p99"]


def test_a_slow_system_is_asked_a_few_queries_only():
    found = timed(lambda at: at, lambda answer: [answer], [[at] for at in range(100)], seconds=0.0)
    assert found["queries"] == 5
    assert found["recall"] == 1.0


@pytest.mark.parametrize("count", [1, 7, 300, 4000])
@pytest.mark.parametrize("k", [1, 10, 100])
def test_exact_nearest_agrees_with_a_full_sort(count, k):
    random = np.random.default_rng(count + k)
    # Small integers: products are exact, and ties are many.
    rows = random.integers(-2, 3, size=(count, 8)).astype(np.float32)
    queries = random.integers(-2, 3, size=(5, 8)).astype(np.float32)
    scores = queries @ rows.T
    found = exact_nearest(rows, queries, k=k, block=2)
    assert found.shape == (5, min(k, count))
    best = -np.sort(-scores, axis=1)[:, : min(k, count)]
    assert np.array_equal(np.take_along_axis(scores, found, axis=1), best)
    assert all(len(set(line)) == len(line) for line in found.tolist())
