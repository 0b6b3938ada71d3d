"""Significance against scipy's own tests, and against counting every exchange by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragvec.errors import InvalidRequest
from ragvec.evaluation.significance import compare, holm, interval, randomization_p


@settings(max_examples=50, deadline=None)
@given(values=st.lists(st.integers(-4, 4), min_size=1, max_size=9))
def test_few_queries_are_counted_exactly(values: list[int]) -> None:
    observed = abs(sum(values))
    counts = [
        abs(sum(sign * value for sign, value in zip(signs, values, strict=True))) >= observed
        for signs in itertools.product((1, -1), repeat=len(values))
    ]
    assert randomization_p(values) == pytest.approx(sum(counts) / len(counts))


def test_many_queries_agree_with_scipy() -> None:
    stats = pytest.importorskip("scipy.stats", reason="scipy is not installed")
    generator = np.random.default_rng(3)
    for shift in (0.0, 0.03):
        values = generator.normal(shift, 0.2, 150)
        theirs = stats.permutation_test(
            (values,), np.mean, permutation_type="samples", n_resamples=9_999, random_state=1
        ).pvalue
        assert randomization_p(values) == pytest.approx(theirs, abs=0.015)
        # The t test is what the randomization test tends to.
        assert randomization_p(values) == pytest.approx(stats.ttest_1samp(values, 0).pvalue, abs=0.02)


def test_an_interval_is_scipys_bootstrap() -> None:
    stats = pytest.importorskip("scipy.stats", reason="scipy is not installed")
    values = np.random.default_rng(5).exponential(size=80)
    low, high = interval(values, rounds=20_000)
    theirs = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=20_000, random_state=2)
    assert low == pytest.approx(theirs.confidence_interval.low, abs=0.01)
    assert high == pytest.approx(theirs.confidence_interval.high, abs=0.01)


def test_holms_correction_of_a_worked_example() -> None:
    # Ordered 0.005, 0.01, 0.03, 0.04: times 4, 3, 2, 1, and never below the one before.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    assert holm([0.7, 0.6]) == [1.0, 1.0]


def test_equal_systems_are_no_better_than_each_other() -> None:
    # By chance alone about one in twenty is below 0.05; corrected for twenty, none of these is.
    generator = np.random.default_rng(11)
    queries = [f"q{at}" for at in range(60)]
    scores = {f"s{at}": dict(zip(queries, generator.random(60).tolist(), strict=True)) for at in range(21)}
    found = compare(scores, baseline="s0", measure="nDCG@10")
    assert len(found) == 20
    assert not any(each.significant() for each in found)


def test_a_better_system_is_told_with_its_wins_and_losses() -> None:
    base = {f"q{at}": 0.4 for at in range(40)}
    better = {query: 0.6 if at % 4 else 0.3 for at, query in enumerate(base)}
    (found,) = compare({"base": base, "better": better}, baseline="base", measure="RR")
    assert (found.system, found.baseline, found.measure) == ("better", "base", "RR")
    assert (found.wins, found.ties, found.losses) == (30, 0, 10)
    assert found.difference == pytest.approx(0.125)
    assert found.low < found.difference < found.high
    assert found.low > 0
    assert found.significant(0.001)
    (same,) = compare({"base": base, "same": dict(base)}, baseline="base", measure="RR")
    assert (same.p, same.wins, same.ties, same.low, same.high) == (1.0, 0, 40, 0.0, 0.0)


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="Expected one of a, b as baseline, got 'c'"):
        compare({"a": {"q": 1.0}, "b": {"q": 1.0}}, baseline="c", measure="RR")
    with pytest.raises(
        InvalidRequest, match="Expected the same queries of 'b' and 'a', got 2 and 1, of which 1 the same"
    ):
        compare({"a": {"q": 1.0}, "b": {"q": 1.0, "r": 0.0}}, baseline="a", measure="RR")
    with pytest.raises(InvalidRequest, match="Expected values and a confidence between 0 and 1, got 1 and 1"):
        interval([0.5], confidence=1)
