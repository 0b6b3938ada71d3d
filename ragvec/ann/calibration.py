"""How far estimates of scores are off, measured at build: see `ragvec.ann.leaves`, which uses it.

An estimate is the product with the leaf's centre plus the sketch's share, times a `gain` that makes it right on average
for rows of any true score. Regression the other way round, to the least square error, would shrink the estimates of
just the rows that are sought, by more the nearer they are, and the error would depend on the filter. As it is, the
errors of the nearest of all rows, of a hundredth of them, and of those far from the query have nearly the same
distribution, in units of the leaf's spread times the query's length, so that one number per recall serves all filters.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import msgspec
import numpy as np
import numpy.typing as npt

from ragvec.ann import sketch
from ragvec.types import FloatMatrix, FloatVector

__all__ = ["Calibration", "calibrate"]

_LOSSES = (0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001)
_DEPTHS = (0.0002, 0.0005, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
_K = 10
_FRACTIONS = (1.0, 0.1, 0.01)
_LEAST = 256
"""Rows below which nothing is measured, and all matches are scored."""
_COUNTED = 64
"""Queries for which the rows looked at are counted."""


class Calibration(msgspec.Struct, frozen=True, eq=False):
    """The measured figures.

    `reaches` are by how many spreads a true score exceeds its estimate in the shares of cases `losses`; `shares` (losses,
    depths) the parts of the matches that are then looked at when as many as `depths` of them are sought.
    """

    gain: float
    losses: tuple[float, ...]
    reaches: tuple[float, ...]
    depths: tuple[float, ...]
    shares: tuple[tuple[float, ...], ...]

    @classmethod
    def none(cls) -> Calibration:
        """Nothing is known: every match has to be looked at."""
        return cls(gain=0.0, losses=(0.5, 0.001), reaches=(math.inf, math.inf), depths=(0.001, 1.0), shares=((1.0, 1.0),) * 2)

    @classmethod
    def of(cls, arrays: Mapping[str, npt.NDArray[np.float64]]) -> Calibration:
        """The reverse of `arrays`. Raises KeyError, ValueError or TypeError for something else."""
        shares = tuple(tuple(row) for row in arrays["shares"].tolist())
        found = cls(
            gain=float(arrays["gain"]),
            losses=tuple(arrays["losses"].tolist()),
            reaches=tuple(arrays["reaches"].tolist()),
            depths=tuple(arrays["depths"].tolist()),
            shares=shares,
        )
        if not (len(found.losses) == len(found.reaches) == len(shares) > 1) or len(found.depths) != len(shares[0]):
            raise ValueError("the calibration's tables differ in length")
        return found

    def arrays(self) -> dict[str, npt.NDArray[np.float64]]:
        """The figures as arrays, to be saved."""
        return {name: np.array(getattr(self, name), dtype=np.float64) for name in self.__struct_fields__}

    def reach(self, lost: float) -> float:
        """By how many spreads to look below the limit so that the share `lost` > 0 of the nearest is missed."""
        return _between(self.losses, self.reaches, lost)

    def looked(self, matches: int, k: int, *, lost: float) -> float:
        """How many of `matches` rows that lie anywhere are looked at for the `k` nearest, on average."""
        if matches <= k or not lost > 0:
            return float(matches)
        depth = k / matches
        logarithms = [math.log(max(_between(self.depths, row, depth), depth)) for row in self.shares]
        share = math.exp(_between(self.losses, logarithms, lost))
        return min(float(matches), max(k, share * matches))


def calibrate(
    *,
    queries: FloatMatrix,
    own: npt.NDArray[np.intp],
    scores: FloatMatrix,
    of_row: npt.NDArray[np.intp],
    codes: sketch.Codes,
    coordinates: FloatMatrix,
    centres: FloatMatrix,
    spreads: FloatVector,
    seed: int,
) -> Calibration:
    """Measure with `queries` (m, d + 1), of which each is row `own` of those measured and not counted in its answer.

    `scores` (m, n) are the true ones of n rows, in leaves `of_row` with sketches `codes` (2, n); `coordinates`
    (m, BITS) are the queries' for those. `scores` is overwritten.
    """
    count = scores.shape[1]
    if count < _LEAST:
        return Calibration.none()
    spread = spreads[of_row]
    products = queries @ centres.T
    lengths = np.sqrt(np.einsum("ij,ij->i", queries, queries))
    signs = np.empty_like(scores)
    leaf_part = np.empty_like(scores)
    for i, row in enumerate(coordinates):
        planes, unit = sketch.planes(row)
        signs[i] = spread * (np.float32(15 * sketch.BITS * unit) - np.float32(2 * unit) * sketch.differences(codes, planes))
        leaf_part[i] = products[i, of_row]
    residual = scores - leaf_part
    together = float(np.einsum("ij,ij->", residual, signs, dtype=np.float64))
    alone = float(np.einsum("ij,ij->", residual, residual, dtype=np.float64))
    gain = alone / together if together > 0 and alone > 0 else 0.0
    estimates = leaf_part
    estimates += np.float32(gain) * signs
    units = np.where(spread > 0, spread, np.float32(np.inf))
    errors: dict[str, list[npt.NDArray[np.float32]]] = {}
    random = np.random.default_rng(seed)
    for i in range(len(queries)):
        scores[i, own[i]] = -np.inf
        for name, rows in _filters(products[i], of_row, random):
            if len(rows) > 2 * _K:
                best = rows[np.argpartition(-scores[i, rows], _K)[:_K]]
                best = best[best != own[i]]
                errors.setdefault(name, []).append((scores[i, best] - estimates[i, best]) / (units[best] * lengths[i]))
    levels = 1.0 - np.array(_LOSSES)
    reaches = np.max([np.quantile(np.concatenate(parts), levels) for parts in errors.values()], axis=0)
    shares = _shares(scores, estimates, spread, lengths, reaches)
    return Calibration(
        gain=gain,
        losses=_LOSSES,
        reaches=tuple(reaches.tolist()),
        depths=_DEPTHS,
        shares=tuple(tuple(row) for row in shares.tolist()),
    )


def _filters(
    products: FloatVector, of_row: npt.NDArray[np.intp], random: np.random.Generator
) -> Iterator[tuple[str, npt.NDArray[np.intp]]]:
    """Rows that pass made-up filters: of chance at several selectivities, of whole leaves, of leaves away from the query."""
    count, leaves = len(of_row), len(products)
    for fraction in _FRACTIONS:
        yield f"random {fraction}", np.flatnonzero(random.random(count) < fraction)
    yield "half of the leaves", np.flatnonzero((random.random(leaves) < 0.5)[of_row])
    near = np.argsort(-products, kind="stable")
    for share in (0.05, 0.25):
        away = np.ones(leaves, dtype=np.bool_)
        away[near[: math.ceil(share * leaves)]] = False
        yield f"away {share}", np.flatnonzero(away[of_row])


def _shares(
    scores: FloatMatrix,
    estimates: FloatMatrix,
    spread: FloatVector,
    lengths: FloatVector,
    reaches: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """The parts (losses, depths) of all rows that are looked at, on average."""
    count = scores.shape[1]
    ranks = np.clip(np.round(np.array(_DEPTHS) * count).astype(np.intp), 1, count - 1)
    total = np.zeros((len(reaches), len(ranks)))
    some = range(min(_COUNTED, len(scores)))
    for i in some:
        limits = np.sort(scores[i])[count - ranks]
        for at, reach in enumerate(reaches):
            reached = np.sort(estimates[i] + spread * np.float32(reach * lengths[i]))
            total[at] += count - np.searchsorted(reached, limits)
    return total / (len(some) * count)


def _between(at: tuple[float, ...], values: tuple[float, ...] | list[float], wanted: float) -> float:
    """Between the points, and beyond the last ones, along straight lines over the logarithm of `at`."""
    last = len(at) - 2
    i = 0
    while i < last and (wanted < at[i + 1]) == (at[0] > at[-1]):
        i += 1
    if values[i] == values[i + 1]:
        return values[i]
    part = math.log(wanted / at[i]) / math.log(at[i + 1] / at[i])
    return values[i] + part * (values[i + 1] - values[i])
