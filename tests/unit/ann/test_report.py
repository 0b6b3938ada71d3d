"""What a request gets from the measured curves."""

from __future__ import annotations

from itertools import pairwise

import pytest

from ragvec.ann.report import BuildReport, OperatingPoint, setting

INFINITE = float("inf")


def curve(k: int, *points: tuple[int, float, float]) -> tuple[OperatingPoint, ...]:
    return tuple(OperatingPoint(k=k, leaves=leaves, over_fetch=f, recall=r, cost=leaves + f) for leaves, f, r in points)


def report(*curves: tuple[OperatingPoint, ...], rows: int = 100_000, leaves: int = 400) -> BuildReport:
    return BuildReport(
        rows=rows,
        dimension=8,
        metric="cosine",
        leaves=leaves,
        leaves_to_search=1,
        over_fetch=1.0,
        recall_at_10=1.0,
        recall_at_100=1.0,
        seconds=0.0,
        bytes=0,
        recall_target=0.9,
        curves=curves,
        exhaustive=not curves,
    )


TEN = curve(10, (5, 2.0, 0.85), (20, 6.0, 0.925), (80, 8.0, 0.9925))
HUNDRED = curve(100, (10, 1.5, 0.85), (40, 3.0, 0.925), (120, 4.0, 0.9925))
BOTH = report(TEN, HUNDRED)
EVERYTHING = (400, 100_000)


def test_points_measured_are_used_as_they_are_some_of_the_loss_in_reserve() -> None:
    assert setting(BOTH, k=10) == (20, 60)
    assert setting(BOTH, k=100) == (40, 300)
    assert setting(BOTH, k=10, recall_target=0.99) == (80, 80)
    assert setting(BOTH, k=10, recall_target=0.5) == (5, 20)


def test_between_the_points_of_a_curve_both_numbers_are_interpolated() -> None:
    settings = [setting(BOTH, k=10, recall_target=target) for target in (0.8, 0.85, 0.9, 0.95, 0.98, 0.99)]
    assert settings == sorted(settings)
    assert (20, 60) < setting(BOTH, k=10, recall_target=0.95) < (80, 80)


def test_a_target_beyond_the_curve_takes_all_rows_and_the_report_says_so() -> None:
    assert setting(BOTH, k=10, recall_target=0.999) == EVERYTHING
    assert setting(BOTH, k=30, recall_target=0.999) == EVERYTHING
    assert setting(BOTH, k=500, recall_target=0.999) == EVERYTHING
    assert setting(BOTH, k=10, recall_target=1.0) == EVERYTHING
    assert BOTH.recall(10, 0.999) == 1.0
    low = report(TEN, HUNDRED[:1])
    assert setting(low, k=10)[1] == 60
    assert setting(low, k=30) == EVERYTHING


def test_the_recall_told_is_that_of_the_point_used() -> None:
    assert BOTH.recall(10) == 0.925
    assert BOTH.recall(100, 0.99) == pytest.approx(0.9925)
    assert BOTH.recall(10, 0.95) == pytest.approx(0.9625)
    assert BOTH.recall(10, 0.1) == 0.85
    assert report().recall(10) == 1.0


def test_fewer_neighbours_need_the_candidates_of_ten() -> None:
    assert setting(BOTH, k=1) == (20, 60)


def test_between_and_beyond_the_curves_both_numbers_grow_with_k() -> None:
    ks = (10, 20, 50, 100, 300, 1000, 3000, 10_000)
    settings = [setting(BOTH, k=k) for k in ks]
    assert settings == sorted(settings)
    assert all(a[0] <= b[0] and a[1] < b[1] for a, b in pairwise(settings))
    assert all(count >= k for (_, count), k in zip(settings, ks, strict=True))


def test_everything_is_taken_when_little_less_would_be() -> None:
    assert setting(BOTH, k=90_000) == EVERYTHING
    assert setting(report(TEN, HUNDRED, rows=100), k=10) == (400, 100)
    assert setting(report(), k=1) == EVERYTHING


def test_effort_multiplies_leaves_and_candidates() -> None:
    assert setting(BOTH, k=10, effort=3.0) == (60, 180)
    assert setting(BOTH, k=10, effort=0.5) == (10, 30)
    assert setting(BOTH, k=10, effort=100.0) == (400, 6000)
    assert setting(BOTH, k=10, effort=INFINITE) == EVERYTHING
    assert setting(BOTH, k=10, effort=1e9) == EVERYTHING
    leaves, count = setting(BOTH, k=10, effort=1e-9)
    assert (leaves, count) == (1, 10)
