"""Whether one ranking is better than another, or only luckier with these queries.

Two systems that answered the same queries are compared query by query. The p value is that of a two-sided randomization
test: the share of random exchanges of the two values of each query that move the means at least as far apart as they
are (Fisher; for retrieval Smucker, Allan and Carterette 2007, https://doi.org/10.1145/1321440.1321528). With several
comparisons the p values are corrected by Holm's step-down method (1979, https://www.jstor.org/stable/4615733), which
keeps the chance of any false claim at the level asked for. Intervals are percentiles of bootstrap means (Efron).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from ragvec.errors import InvalidRequest

__all__ = ["Comparison", "compare", "holm", "interval", "randomization_p"]

_ROUNDS = 20_000
_BLOCK = 1 << 22
_EXACT = 14
"""Up to so many queries that differ, all exchanges are counted."""


class Comparison(msgspec.Struct, frozen=True):
    """`system` beside `baseline` by one measure: the difference of their means, its interval, and how sure it is.

    `wins`, `ties` and `losses` count queries. `p` is corrected where several systems were compared.
    """

    system: str
    baseline: str
    measure: str
    mean: float
    difference: float
    low: float
    high: float
    p: float
    wins: int
    ties: int
    losses: int

    def significant(self, level: float = 0.05) -> bool:
        """Whether such a difference by chance alone would be rarer than `level`."""
        return self.p < level


def compare(
    scores: Mapping[str, Mapping[str, float]],
    *,
    baseline: str,
    measure: str,
    confidence: float = 0.95,
    seed: int = 0,
) -> list[Comparison]:
    """Each system beside the `baseline`, in the order given; `scores` is {system: {query id: value}}.

    The same `seed` gives the same result.

    Raises:
        InvalidRequest: the baseline is none of them, or two systems were not asked the same queries.
    """
    if baseline not in scores:
        raise InvalidRequest(f"Expected one of {', '.join(scores) or 'some systems'} as baseline, got {baseline!r}")
    base = scores[baseline]
    queries = list(base)
    other = [name for name in scores if name != baseline]
    for name in other:
        if scores[name].keys() != base.keys():
            raise InvalidRequest(
                f"Expected the same queries of {name!r} and {baseline!r}, got {len(scores[name])} and {len(base)}, "
                f"of which {len(scores[name].keys() & base.keys())} the same"
            )
    if not queries:
        raise InvalidRequest("Expected scores of some queries, got none")
    reference = np.array([base[query] for query in queries])
    found = []
    for name in other:
        values = np.array([scores[name][query] for query in queries])
        difference = values - reference
        low, high = interval(difference, confidence=confidence, seed=seed)
        found.append(
            Comparison(
                system=name,
                baseline=baseline,
                measure=measure,
                mean=float(values.mean()),
                difference=float(difference.mean()),
                low=low,
                high=high,
                p=randomization_p(difference, seed=seed),
                wins=int((difference > 0).sum()),
                ties=int((difference == 0).sum()),
                losses=int((difference < 0).sum()),
            )
        )
    corrected = holm([comparison.p for comparison in found])
    return [msgspec.structs.replace(each, p=p) for each, p in zip(found, corrected, strict=True)]


def randomization_p(differences: npt.ArrayLike, *, rounds: int = _ROUNDS, seed: int = 0) -> float:
    """The two-sided p value of `differences` (n,), one a query, under exchanges of their signs.

    Exact where at most 14 of them are not zero; otherwise from `rounds` random exchanges, the given one counted among
    them, so that it is never 0.
    """
    values = np.asarray(differences, dtype=np.float64)
    values = values[values != 0]
    if not len(values):
        return 1.0
    observed = abs(values.sum()) * (1 - 1e-12)
    if len(values) <= _EXACT:
        bits = np.arange(1 << len(values), dtype=np.uint32)[:, np.newaxis] >> np.arange(len(values), dtype=np.uint32)
        sums = (1.0 - 2.0 * (bits & 1)) @ values
        return float((np.abs(sums) >= observed).mean())
    generator = np.random.default_rng(seed)
    reached, left = 1, rounds
    while left:
        some = min(left, max(1, _BLOCK // len(values)))
        signs = generator.integers(0, 2, size=(some, len(values)), dtype=np.int8)
        reached += int((np.abs(2.0 * (signs @ values) - values.sum()) >= observed).sum())
        left -= some
    return reached / (rounds + 1)


def interval(
    values: npt.ArrayLike, *, confidence: float = 0.95, rounds: int = 5_000, seed: int = 0
) -> tuple[float, float]:
    """The bootstrap interval of the mean of `values` (n,), n ≥ 1: where it lies in `confidence` of the samples drawn
    from them with replacement.

    Raises:
        InvalidRequest: there are no values, or `confidence` is not between 0 and 1.
    """
    sample = np.asarray(values, dtype=np.float64)
    if not len(sample) or not 0 < confidence < 1:
        raise InvalidRequest(f"Expected values and a confidence between 0 and 1, got {len(sample)} and {confidence}")
    generator = np.random.default_rng(seed)
    means: list[npt.NDArray[np.float64]] = []
    left = rounds
    while left:
        some = min(left, max(1, _BLOCK // len(sample)))
        means.append(sample[generator.integers(0, len(sample), size=(some, len(sample)))].mean(axis=1))
        left -= some
    tail = (1 - confidence) / 2
    low, high = np.quantile(np.concatenate(means), [tail, 1 - tail])
    return float(low), float(high)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's corrected p values, in the order given."""
    order = np.argsort(p_values, kind="stable")
    corrected = [1.0] * len(p_values)
    largest = 0.0
    for place, at in enumerate(order.tolist()):
        largest = max(largest, min(1.0, p_values[at] * (len(p_values) - place)))
        corrected[at] = largest
    return corrected
