"""Choosing among the units of passages, with weights that were fitted; see `ragvec.kendra.answers.sentences`."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from ragvec.kendra.answers.evidence import SIGNS, Candidate, Evidence

__all__ = ["LONGEST", "TRUST_SIGNS", "Run", "Weights", "likeliest", "most_trust", "runs", "scores"]

LONGEST = 250
"""Characters of an answer of several units."""

TRUST_SIGNS = ("chance", "similarity", "lead", "missing")
"""What trust in an answer is made of: its chance, the similarity of its passage, how much more relevant the best
passage is than the fifth, and the share of the question's words that no passage has. With more signs, trust was no
better on questions that it had not been fitted on."""

_SIMILARITY = SIGNS.index("similarity")

Floats = npt.NDArray[np.float64]


class Weights(msgspec.Struct, frozen=True, kw_only=True):
    """Weights of the signs: `first` before anything is embedded, `choose` after it, `trust` of TRUST_SIGNS, with
    `bias`."""

    first: tuple[float, ...]
    choose: tuple[float, ...]
    trust: tuple[float, ...]
    bias: float


class Run(msgspec.Struct, frozen=True, eq=False):
    """The neighbouring units `[first, after)` of a list of candidates; `signs` are TRUST_SIGNS."""

    first: int
    after: int
    chance: float
    signs: Floats


def likeliest(signs: Floats, weights: Sequence[float], *, most: int) -> npt.NDArray[np.intp]:
    """The rows of the `most` units with the largest weighted sums of signs, ascending; ties by row."""
    order = np.argsort(-(signs @ np.asarray(weights)), kind="stable")[:most]
    return np.sort(order)


def runs(units: Sequence[Candidate], signs: Floats, evidence: Evidence, weights: Sequence[float]) -> list[Run]:
    """The best run of each passage that has a unit, the likeliest first.

    The chance of a unit is the softmax of the weighted sums over all units, that of a run their sum. A run has at most
    LONGEST characters, unless it is a single unit, and is as short as its chance allows: a unit at either end that adds
    less than a tenth is left out.
    """
    if not units:
        return []
    sums = signs @ np.asarray(weights)
    chances = np.exp(sums - sums.max())
    chances /= chances.sum()
    best: dict[int, tuple[float, int, int]] = {}
    for first, unit in enumerate(units):
        chance = 0.0
        for last in range(first, len(units)):
            other = units[last]
            if other.passage != unit.passage or (last > first and other.unit.end - unit.unit.begin > LONGEST):
                break
            chance += float(chances[last])
            if unit.passage not in best or chance > best[unit.passage][0]:
                best[unit.passage] = (chance, first, last + 1)
    found = [_run(*_trimmed(first, after, chances), signs, evidence, chances) for _, first, after in best.values()]
    return sorted(found, key=lambda run: (-run.chance, run.first))


def most_trust(evidence: Evidence, weights: Weights) -> float:
    """More than which no run's score can be, told before anything is embedded."""
    chance, similarity, lead, missing = weights.trust
    near = similarity * (evidence.nearest if similarity > 0 else evidence.farthest)
    fixed = lead * evidence.lead + missing * evidence.missing + weights.bias
    return float(1 / (1 + np.exp(-(max(chance, 0.0) + near + fixed))))


def scores(runs: Sequence[Run], weights: Weights) -> list[float]:
    """How sure it is that each of the runs answers, in [0, 1], in their order: the likeliest as its signs tell, the
    others in proportion to their chances."""
    if not runs:
        return []
    trust = float(1 / (1 + np.exp(-(runs[0].signs @ np.asarray(weights.trust) + weights.bias))))
    return [trust * run.chance / runs[0].chance for run in runs]


def _trimmed(first: int, after: int, chances: Floats) -> tuple[int, int]:
    """[first, after) without units at its ends that have less than a tenth of its chance."""
    least = 0.1 * float(chances[first:after].sum())
    while after - first > 1 and chances[first] < least:
        first += 1
    while after - first > 1 and chances[after - 1] < least:
        after -= 1
    return first, after


def _run(first: int, after: int, signs: Floats, evidence: Evidence, chances: Floats) -> Run:
    chance = float(chances[first:after].sum())
    similarity = float(signs[first, _SIMILARITY])
    return Run(first, after, chance, np.array([chance, similarity, evidence.lead, evidence.missing]))
