"""Fitting the shipped reader of answers: which unit to choose, and when to trust it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from benchmarks.answers_evidence import Place, overlaps
from ragvec.kendra.answers.choice import Run, Weights, likeliest, runs, scores
from ragvec.kendra.answers.evidence import SIGNS, Candidate, Evidence
from ragvec.kendra.answers.sentences import UNITS
from ragvec.kendra.found import Found

__all__ = ["Case", "Verdict", "cross_validated", "fitted", "verdict"]

_COSINE = SIGNS.index("cosine")
_PENALTY = 2.0
_TRUST_PENALTY = 1.0
_INNER = 5

Floats = npt.NDArray[np.float64]


class Case(msgspec.Struct, frozen=True, eq=False):
    """A question with what was found for it: passages, all units in them with their signs, and which of them are
    evidence, none where there is no answer."""

    id: str
    question: str
    answerable: bool
    passages: list[Found]
    evidence: Evidence
    units: list[Candidate]
    signs: Floats
    gold: list[Place]
    right: npt.NDArray[np.bool_]


class Verdict(msgspec.Struct, frozen=True):
    """The first answer of a case: its score, whether it overlaps the evidence, and its characters."""

    answerable: bool
    score: float
    right: bool
    length: int


def fitted(cases: Sequence[Case]) -> Weights:
    """The weights for these cases. Trust is fitted on choices made by weights that had not seen the question."""
    first, choose = _choice(cases)
    rows, labels = [], []
    for _, test in _folds(cases, count=_INNER, seed=0):
        held = set(test)
        weights = _choice([case for at, case in enumerate(cases) if at not in held])
        for at in test:
            best = _best(cases[at], *weights)
            if best is not None:
                units, run = best
                rows.append(run.signs)
                labels.append(_right(cases[at], units, run))
    weights_of_trust, bias = _logistic(np.array(rows), np.array(labels))
    return Weights(first=first, choose=choose, trust=weights_of_trust, bias=bias)


def verdict(case: Case, weights: Weights) -> Verdict:
    """The first answer that the weights give, however unsure; one with the score 0 where nothing was found."""
    units, signs = _chosen(case, weights.first)
    found = runs(units, signs, case.evidence, weights.choose)
    if not found:
        return Verdict(case.answerable, 0.0, False, 0)
    run, score = found[0], scores(found, weights)[0]
    begin, end = units[run.first].unit.begin, units[run.after - 1].unit.end
    return Verdict(case.answerable, score, _right(case, units, run), end - begin)


def cross_validated(cases: Sequence[Case], *, folds: int, seeds: Sequence[int]) -> list[list[Verdict]]:
    """For each seed the verdicts on all cases, each by weights fitted without the cases of its fold."""
    found = []
    for seed in seeds:
        verdicts: dict[int, Verdict] = {}
        for train, test in _folds(cases, count=folds, seed=seed):
            weights = fitted([cases[at] for at in train])
            for at in test:
                verdicts[at] = verdict(cases[at], weights)
        found.append([verdicts[at] for at in range(len(cases))])
    return found


def _folds(cases: Sequence[Case], *, count: int, seed: int) -> list[tuple[list[int], list[int]]]:
    """(train, test) with as many answerable cases in each fold, as near as may be."""
    order = np.random.default_rng(seed).permutation(len(cases))
    by_kind = [int(at) for at in sorted(order, key=lambda at: cases[at].answerable)]
    return [([at for n, at in enumerate(by_kind) if n % count != fold], by_kind[fold::count]) for fold in range(count)]


def _choice(cases: Sequence[Case]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Weights of the signs before and after embedding."""
    usable = [case for case in cases if case.right.any()]
    blind = np.ones(len(SIGNS))
    blind[_COSINE] = 0.0
    first = _softmax([(case.signs * blind, case.right) for case in usable])
    after = []
    for case in usable:
        rows = likeliest(case.signs * blind, first, most=UNITS)
        after.append((case.signs[rows], case.right[rows]))
    return first, _softmax([(signs, right) for signs, right in after if right.any()])


def _softmax(groups: Sequence[tuple[Floats, npt.NDArray[np.bool_]]]) -> tuple[float, ...]:
    """Weights under which the softmax over a group's rows gives its right rows most, with an L2 penalty."""
    scale = np.concatenate([signs for signs, _ in groups]).std(axis=0)
    scale[scale == 0] = 1.0

    def loss(weights: Floats) -> tuple[float, Floats]:
        value, slope = _PENALTY * float(weights @ weights), 2 * _PENALTY * weights
        for signs, right in groups:
            rows = signs / scale
            sums = rows @ weights
            chances = np.exp(sums - sums.max())
            chances /= chances.sum()
            share = float(chances[right].sum())
            value -= float(np.log(share + 1e-12))
            slope = slope - (chances[right] / share) @ rows[right] + chances @ rows
        return value, slope

    found = minimize(loss, np.zeros(len(scale)), jac=True, method="L-BFGS-B").x / scale
    return tuple(round(float(weight), 4) for weight in found)


def _logistic(rows: Floats, labels: npt.NDArray[np.bool_]) -> tuple[tuple[float, ...], float]:
    mean, scale = rows.mean(axis=0), rows.std(axis=0)
    scale[scale == 0] = 1.0
    scaled = np.column_stack([(rows - mean) / scale, np.ones(len(rows))])
    free = np.append(np.ones(rows.shape[1]), 0.0)

    def loss(weights: Floats) -> tuple[float, Floats]:
        sums = scaled @ weights
        value = float(np.logaddexp(0, np.where(labels, -sums, sums)).sum()) + _TRUST_PENALTY * float(
            free * weights @ weights
        )
        slope = scaled.T @ (1 / (1 + np.exp(-sums)) - labels) + 2 * _TRUST_PENALTY * free * weights
        return value, slope

    found = minimize(loss, np.zeros(scaled.shape[1]), jac=True, method="L-BFGS-B").x
    weights = found[:-1] / scale
    return tuple(round(float(weight), 4) for weight in weights), round(float(found[-1] - weights @ mean), 4)


def _chosen(case: Case, first: Sequence[float]) -> tuple[list[Candidate], Floats]:
    blind = case.signs.copy()
    blind[:, _COSINE] = 0.0
    rows = likeliest(blind, first, most=UNITS)
    return [case.units[row] for row in rows], case.signs[rows]


def _best(case: Case, first: Sequence[float], choose: Sequence[float]) -> tuple[list[Candidate], Run] | None:
    units, signs = _chosen(case, first)
    found = runs(units, signs, case.evidence, choose)
    return (units, found[0]) if found else None


def _right(case: Case, units: Sequence[Candidate], run: Run) -> bool:
    number = units[run.first].passage
    key = case.passages[number].key
    return overlaps(key, units[run.first].unit.begin, units[run.after - 1].unit.end, case.gold)
