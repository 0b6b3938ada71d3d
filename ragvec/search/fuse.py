"""Fusion: one ranking made of several of the same records, each best first.

Functions take a list of rankings, never one concatenated list. A fusion is a small value that says how; `fuse` does it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from ragvec.types import FloatVector, RowArray

__all__ = [
    "DEFAULT",
    "RRF_CONSTANT",
    "Complete",
    "Fused",
    "Fusion",
    "RankedList",
    "ReciprocalRank",
    "WeightedSum",
    "fuse",
    "reciprocal_rank",
    "weighted_sum",
]

RRF_CONSTANT = 60.0
"""Of reciprocal rank fusion, as its authors found it (Cormack, Clarke, Büttcher: Reciprocal Rank Fusion outperforms
Condorcet and individual Rank Learning Methods, SIGIR 2009)."""


class RankedList(NamedTuple):
    """Rows uint32 (n,), each once, best first, with their scores float32 (n,), higher being better."""

    rows: RowArray
    scores: FloatVector


class Fused(NamedTuple):
    """Rows uint32 (n,) with their fused scores float64 (n,), best first; equal ones by row, which the caller orders by
    key."""

    rows: RowArray
    scores: npt.NDArray[np.float64]


class ReciprocalRank(msgspec.Struct, frozen=True, tag="rrf"):
    """The sum over the rankings of weight ÷ (constant + rank), ranks counted from 1. `weights` are those of the
    rankings in their order, 1 each when there are none."""

    constant: float = RRF_CONSTANT
    weights: tuple[float, ...] = ()


class WeightedSum(msgspec.Struct, frozen=True, tag="weighted"):
    """The sum over the rankings of weight × normalised score. `weights` are those of the rankings in their order, 1
    each when there are none.

    "min-max" puts the scores of the candidates between 0 and 1, "z-score" gives them mean 0 and standard deviation 1,
    "none" leaves them. Scores that are all equal count as 0, unless they are left.

    Without weights, several texts count as one ranking, by the sum of their scores, with the weight of one, so that a
    vector is not outvoted by however many text fields an index has; weights given are those of each.
    """

    weights: tuple[float, ...] = ()
    normalise: Literal["min-max", "z-score", "none"] = "min-max"


Fusion: TypeAlias = ReciprocalRank | WeightedSum

DEFAULT: Fusion = WeightedSum()
"""How ragvec itself fuses when nobody says otherwise: completed scores between 0 and 1, of equal weight.

Chosen on SciFact's train split, where its nDCG@10 is 0.741, that of reciprocal ranks 0.714, and that of no other
normalisation or weights tried more. It needs no bounds of the scores, so it serves every metric. That
such sums are above reciprocal ranks is what Bruch, Gai and Ingber find too (An Analysis of Fusion Functions for Hybrid
Retrieval, 2023). `benchmarks/quality_hybrid.py` measures it.
"""

Complete: TypeAlias = Callable[[RowArray], Sequence[FloatVector]]
"""The scores of given rows, ascending, for each ranking, those that are in it and others alike: what lists lack."""


def fuse(
    rankings: Sequence[RankedList],
    fusion: Fusion,
    *,
    boosts: Sequence[float] = (),
    complete: Complete | None = None,
    texts: int = 0,
) -> Fused:
    """Every row of the rankings with its fused score. `boosts`, one a ranking, multiply the weights of the fusion; the
    first `texts` rankings are of texts."""
    weights = [
        (fusion.weights[at] if fusion.weights else 1.0) * (boosts[at] if boosts else 1.0) for at in range(len(rankings))
    ]
    if isinstance(fusion, ReciprocalRank):
        return reciprocal_rank(rankings, constant=fusion.constant, weights=weights)
    together = 0 if fusion.weights else texts
    return weighted_sum(rankings, weights=weights, normalise=fusion.normalise, complete=complete, together=together)


def reciprocal_rank(
    rankings: Sequence[RankedList], *, constant: float = RRF_CONSTANT, weights: Sequence[float] = ()
) -> Fused:
    """Reciprocal rank fusion, see `ReciprocalRank`; a row counts 0 for a ranking that it is not in."""
    union, places = _union(rankings)
    total = np.zeros(len(union))
    for at, (ranking, where) in enumerate(zip(rankings, places, strict=True)):
        weight = weights[at] if weights else 1.0
        total[where] += weight / (constant + np.arange(1, len(ranking.rows) + 1))
    return _ordered(union, total)


def weighted_sum(
    rankings: Sequence[RankedList],
    *,
    weights: Sequence[float] = (),
    normalise: Literal["min-max", "z-score", "none"] = "min-max",
    complete: Complete | None = None,
    together: int = 0,
) -> Fused:
    """The weighted sum of normalised scores, see `WeightedSum`.

    The candidates are the rows of all rankings. One that is not in a ranking has the score that `complete` says; that
    of the ranking's last row without `complete`. The first `together` rankings count as one, whose scores are the sums
    of theirs in proportion to their weights, and whose weight is the mean of those.
    """
    union, places = _union(rankings)
    values = _values(rankings, union, places, complete)
    shares = np.array(weights if len(weights) else [1.0] * len(rankings))
    if together > 1:
        mean = float(shares[:together].mean())
        values = np.vstack([shares[:together] / (mean or 1.0) @ values[:together], values[together:]])
        shares = np.array([mean, *shares[together:]])
    total = np.zeros(len(union))
    for share, each in zip(shares.tolist(), values, strict=True):
        low, scale = _frame(each, normalise)
        total += share * (each - low) / scale
    return _ordered(union, total)


def _values(
    rankings: Sequence[RankedList], union: RowArray, places: list[npt.NDArray[np.intp]], complete: Complete | None
) -> npt.NDArray[np.float64]:
    """The score of each row of `union` in each ranking, (len(rankings), len(union))."""
    if complete is not None and len(union):
        return np.stack(complete(union)).astype(np.float64)
    values = np.zeros((len(rankings), len(union)))
    for each, ranking, where in zip(values, rankings, places, strict=True):
        if len(ranking.rows):
            each[:] = ranking.scores.min()
            each[where] = ranking.scores
    return values


def _frame(scores: npt.NDArray[np.float64], normalise: str) -> tuple[float, float]:
    """What is subtracted from a score, and by what the difference is divided."""
    if normalise == "none" or not len(scores):
        return 0.0, 1.0
    if normalise == "z-score":
        return float(scores.mean()), float(scores.std()) or 1.0
    low, high = float(scores.min()), float(scores.max())
    return low, (high - low) or 1.0


def _union(rankings: Sequence[RankedList]) -> tuple[RowArray, list[npt.NDArray[np.intp]]]:
    """All rows, ascending, and where in them each row of each ranking is."""
    union: RowArray = np.unique(np.concatenate([ranking.rows for ranking in rankings]))
    return union, [np.searchsorted(union, ranking.rows) for ranking in rankings]


def _ordered(rows: RowArray, scores: npt.NDArray[np.float64]) -> Fused:
    order = np.lexsort((rows, -scores))
    return Fused(rows[order], scores[order])
