"""How far estimates of scores are off, measured at build: see `ragvec.ann.leaves`, which uses it.

An estimate is the product with the leaf's centre plus the sketch's share, times a `gain` that makes it right on average
for rows of any true score. Regression the other way round, to the least square error, would shrink the estimates of
just the rows that are sought, by more the nearer they are, and the error would depend on the filter. As it is, the
errors of the nearest of all rows, of the nearest of a hundredth of them, and of those away from the query have nearly
the same distribution, in units of the leaf's spread times the query's length: one number serves all filters.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterator, Mapping, Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from ragvec.ann import sketch
from ragvec.types import FloatMatrix, FloatVector

__all__ = ["Calibration", "Contenders", "Trial", "first_looked"]

_KS = (10, 100)
_EVERYTHING = "everything"
_FRACTIONS = (0.1, 0.01)
_AWAY = (0.05, 0.25)
_LEAST = 256
"""Rows below which nothing is measured, and all matches are scored."""
_QUANTILES = (0.0, 0.5, 0.7, 0.8, 0.87, 0.92, 0.95, 0.97, 0.985, 0.995, 0.999)
"""Of the errors: the reaches that are tried."""
_FEWER = 5
"""With the greatest k, whose every query tells of more rows, a query in twice as many is enough."""
_COUNTED = 48
"""Queries for which the rows looked at are counted."""
_DEPTHS = (0.0002, 0.0005, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
_MARGIN = 0.75
"""The part of the permitted loss that is used: the rest is for queries unlike those measured with."""
_FIRST = 32
_FIRST_TIMES = 3


def first_looked(k: int) -> int:
    """How many rows, the best by estimate, are scored first when the `k` nearest are sought."""
    return max(k + _FIRST, _FIRST_TIMES * k)


class Calibration(msgspec.Struct, frozen=True, eq=False):
    """The measured figures.

    When rows are looked at down to `reaches` spreads below the limit, the shares `losses` (ks, reaches) of the `ks`
    nearest are missed, with the worst kind of filter; of the matches the parts `shares` (reaches, depths) are looked
    at when as many as `depths` of them are sought and the filter is of chance. `ks`, reaches and depths ascend.
    """

    gain: float
    ks: tuple[float, ...]
    reaches: tuple[float, ...]
    losses: tuple[tuple[float, ...], ...]
    depths: tuple[float, ...]
    shares: tuple[tuple[float, ...], ...]

    @classmethod
    def none(cls) -> Calibration:
        """Nothing is known: every match has to be looked at."""
        return cls(
            gain=0.0,
            ks=(float(_KS[0]),),
            reaches=(math.inf,) * 2,
            losses=((0.5, 0.1),),
            depths=(0.1, 1.0),
            shares=((1.0, 1.0),) * 2,
        )

    @classmethod
    def of(cls, arrays: Mapping[str, npt.NDArray[np.float64]]) -> Calibration:
        """The reverse of `arrays`. Raises KeyError or ValueError for something else."""
        found = cls(
            gain=float(arrays["gain"]),
            ks=tuple(arrays["ks"].tolist()),
            reaches=tuple(arrays["reaches"].tolist()),
            losses=tuple(tuple(row) for row in arrays["losses"].tolist()),
            depths=tuple(arrays["depths"].tolist()),
            shares=tuple(tuple(row) for row in arrays["shares"].tolist()),
        )
        if not len(found.losses) == len(found.ks) > 0 or not len(found.shares) == len(found.reaches) > 1:
            raise ValueError("the tables of the calibration differ in length")
        widths = [*map(len, found.losses), *map(len, found.shares)]
        if widths != [len(found.reaches)] * len(found.ks) + [len(found.depths)] * len(found.reaches):
            raise ValueError("the tables of the calibration differ in width")
        return found

    def arrays(self) -> dict[str, npt.NDArray[np.float64]]:
        """The figures as arrays, to be saved."""
        return {name: np.array(getattr(self, name), dtype=np.float64) for name in self.__struct_fields__}

    def reach(self, lost: float, k: int) -> float:
        """How many spreads to look below the limit so that the share `lost` > 0 of the `k` nearest is missed.

        Beyond the losses measured the line through the last two goes on, which is wider than normal errors need;
        beyond the ks measured the last one serves.
        """
        found = [max(0.0, _between(losses, self.reaches, _MARGIN * lost)) for losses in self.losses]
        if len(found) == 1:
            return found[0]
        return _between(self.ks, found, min(max(float(k), self.ks[0]), self.ks[-1]))

    def looked(self, matches: int, k: int, *, lost: float) -> float:
        """How many of `matches` rows that lie anywhere are looked at for the `k` nearest, on average."""
        first = first_looked(k)
        reach = self.reach(lost, k) if lost > 0 else math.inf
        if matches <= first or reach == math.inf:
            return float(matches)
        depth = k / matches
        at = min(max(bisect.bisect_left(self.reaches, reach), 1), len(self.reaches) - 1)
        low, high = (_between(self.depths, [math.log(s) for s in row], depth) for row in self.shares[at - 1 : at + 1])
        part = (reach - self.reaches[at - 1]) / (self.reaches[at] - self.reaches[at - 1])
        return min(float(matches), max(float(first), matches * math.exp(min(0.0, low + part * (high - low)))))


class Trial:
    """Queries and rows with their true scores, on which the procedure is tried.

    `queries` float32 (m, d + 1) are placed rows, query i row `own[i]` of those tried, which does not count in its
    answer; `coordinates` (m, BITS) are theirs for sketches. `scores` (m, n) are the true ones of n rows, in leaves
    `of_row` with sketches `codes` (2, n); it is overwritten.
    """

    def __init__(
        self,
        *,
        queries: FloatMatrix,
        coordinates: FloatMatrix,
        own: npt.NDArray[np.intp],
        scores: FloatMatrix,
        of_row: npt.NDArray[np.intp],
        codes: sketch.Codes,
        centres: FloatMatrix,
        spreads: FloatVector,
    ) -> None:
        self._own = own
        self._scores = scores
        self._of_row = of_row
        self._products = queries @ centres.T
        self._spread = spreads[of_row]
        self._lengths = np.sqrt(np.einsum("ij,ij->i", queries, queries))
        self._signs = np.empty_like(scores)
        for row, signs in zip(coordinates, self._signs, strict=True):
            planes, unit = sketch.planes(row)
            np.multiply(sketch.differences(codes, planes), np.float32(-2 * unit), out=signs)
            signs += np.float32(unit * sketch.MOST)
            signs *= self._spread

    def calibration(self, contenders: Contenders | None, *, seed: int) -> Calibration:
        """Measure; the same `seed` gives the same filters. `contenders` are given when the rows tried are a sample."""
        if self._scores.shape[1] < _LEAST:
            return Calibration.none()
        gain = self.gain()
        estimates = self._signs
        estimates *= np.float32(gain)
        estimates += self._products[:, self._of_row]
        self._scores[np.arange(len(self._own)), self._own] = -np.inf
        needed = [self._needed(estimates, k, seed) for k in _KS]
        if contenders is not None:
            for kinds, k in zip(needed, _KS, strict=True):
                kinds["everything, unsampled"] = contenders.needed(k)
        pooled = np.concatenate([part for kinds in needed for part in kinds.values()])
        reaches = np.unique(np.quantile(pooled, _QUANTILES, method="higher").clip(min=0.0))
        if len(reaches) < 2:
            reaches = np.array([reaches[0], reaches[0] + 1e-6])
        return Calibration(
            gain=gain,
            ks=tuple(map(float, _KS)),
            reaches=tuple(reaches.tolist()),
            losses=tuple(_losses(kinds, reaches) for kinds in needed),
            depths=_DEPTHS,
            shares=tuple(tuple(row) for row in self._shares(estimates, reaches).tolist()),
        )

    def gain(self) -> float:
        """What makes the sketches' share right on average; to be asked before `calibration`."""
        residual = self._scores - self._products[:, self._of_row]
        together = float(np.einsum("ij,ij->", residual, self._signs, dtype=np.float64))
        alone = float(np.einsum("ij,ij->", residual, residual, dtype=np.float64))
        return alone / together if together > 0 else 0.0

    def _needed(self, estimates: FloatMatrix, k: int, seed: int) -> dict[str, npt.NDArray[np.float64]]:
        """For each kind of filter, and each of the `k` nearest rows under it, the reach from which on it is looked
        at."""
        random = np.random.default_rng(seed)
        needed: dict[str, list[npt.NDArray[np.float64]]] = {}
        count = first_looked(k)
        for i in range(0, len(self._own), max(1, k // _KS[0] // _FEWER)):
            for name, rows in self._filters(i, random):
                if len(rows) < max(_LEAST, 2 * count) and name != _EVERYTHING:
                    continue
                spread = self._spread[rows] * self._lengths[i]
                reach = _enough(self._scores[i, rows], estimates[i, rows], spread, k)
                needed.setdefault(name, []).append(reach)
        return {name: np.concatenate(parts) for name, parts in needed.items()}

    def _filters(self, query: int, random: np.random.Generator) -> Iterator[tuple[str, npt.NDArray[np.intp]]]:
        """Rows that pass made-up filters: of chance, of whole leaves, of leaves away from the query."""
        count, leaves = len(self._of_row), self._products.shape[1]
        yield _EVERYTHING, np.arange(count)
        for fraction in _FRACTIONS:
            yield f"chance {fraction}", np.flatnonzero(random.random(count) < fraction)
        yield "half of the leaves", np.flatnonzero((random.random(leaves) < 0.5)[self._of_row])
        near = np.argsort(-self._products[query], kind="stable")
        for share in _AWAY:
            away = np.ones(leaves, dtype=np.bool_)
            away[near[: math.ceil(share * leaves)]] = False
            yield f"away {share}", np.flatnonzero(away[self._of_row])

    def _shares(self, estimates: FloatMatrix, reaches: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """The parts (reaches, depths) of all rows that are looked at, on average."""
        count = self._scores.shape[1]
        ranks = np.clip(np.round(np.array(_DEPTHS) * count).astype(np.intp), 1, count - 1)
        total: npt.NDArray[np.float64] = np.zeros((len(reaches), len(ranks)))
        some = range(min(_COUNTED, len(self._scores)))
        for i in some:
            limits = np.sort(self._scores[i])[count - ranks]
            for at, reach in enumerate(reaches):
                reached = np.sort(estimates[i] + self._spread * np.float32(reach * self._lengths[i]))
                total[at] += count - np.searchsorted(reached, limits)
        total /= len(some) * count
        least: npt.NDArray[np.float64] = ranks / count
        return np.maximum(total, least)


class Contenders:
    """For each of some queries those of all rows of a segment that matter: the greatest by score and by estimate.

    A sample lacks the rows nearest to a query, on which the errors are greatest. Rows are added block by block.
    """

    def __init__(
        self, queries: FloatMatrix, coordinates: FloatMatrix, *, own: npt.NDArray[np.intp], gain: float
    ) -> None:
        self._queries = queries
        self._own = own
        self._gain = np.float32(gain)
        self._planes = [sketch.planes(row) for row in coordinates]
        self._lengths = np.sqrt(np.einsum("ij,ij->i", queries, queries))
        # Score, estimate, and spread times the query's length, of what is kept.
        self._kept = [np.empty((3, 0), dtype=np.float32) for _ in queries]
        self._floors = np.full((len(queries), 2), -np.inf, dtype=np.float32)

    def add(
        self, first: int, rows: FloatMatrix, *, codes: sketch.Codes, products: FloatMatrix, spread: FloatVector
    ) -> None:
        """Consider extended `rows` numbered from `first`, with their `codes` (2, n), the `products` (m, n) of the
        queries with their leaves' centres, and their leaves' `spread`."""
        scores = self._queries @ rows.T
        for i, (planes, unit) in enumerate(self._planes):
            likely = sketch.differences(codes, planes)
            likely *= np.float32(-2 * unit)
            likely += np.float32(unit * sketch.MOST)
            likely *= spread * self._gain
            likely += products[i]
            if first <= self._own[i] < first + len(rows):
                scores[i, self._own[i] - first] = -np.inf
            there = np.flatnonzero((scores[i] >= self._floors[i, 0]) | (likely >= self._floors[i, 1]))
            if len(there):
                fresh = np.stack([scores[i, there], likely[there], spread[there] * self._lengths[i]])
                self._keep(i, np.concatenate([self._kept[i], fresh], axis=1))

    def _keep(self, query: int, pool: FloatMatrix) -> None:
        by_score, by_estimate = _greatest(pool[0], _KS[-1]), _greatest(pool[1], first_looked(_KS[-1]))
        self._kept[query] = pool[:, np.union1d(by_score, by_estimate)]
        if len(by_estimate) < pool.shape[1]:
            self._floors[query] = pool[0, by_score].min(), pool[1, by_estimate].min()

    def needed(self, k: int) -> npt.NDArray[np.float64]:
        """For each query, and each of its `k` nearest, the reach from which on it is looked at."""
        return np.concatenate([_enough(pool[0], pool[1], pool[2], k) for pool in self._kept])


def _losses(needed: Mapping[str, npt.NDArray[np.float64]], reaches: npt.NDArray[np.float64]) -> tuple[float, ...]:
    """The shares missed at each reach, with the worst filter; they fall from each to the next, if only a little."""
    missed = np.max([[np.mean(part > reach) for reach in reaches] for part in needed.values()], axis=0)
    # No fewer than half a row among those tried.
    losses = np.maximum(missed, 0.5 / min(map(len, needed.values()))) * np.linspace(1.0, 0.999, len(reaches))
    return tuple(np.minimum.accumulate(losses).tolist())


def _enough(scores: FloatVector, likely: FloatVector, spread: FloatVector, k: int) -> npt.NDArray[np.float64]:
    """For each of the `k` rows of the greatest `scores` the reach from which on it is looked at, by its estimate."""
    first = _greatest(likely, first_looked(k))
    found = scores[first]
    limit = float(np.sort(found)[-min(k, len(found))])
    best = _greatest(scores, k)
    best = best[np.isfinite(scores[best])]
    short = (limit - likely[best]).astype(np.float64)
    reach = np.divide(short, spread[best], out=np.zeros_like(short), where=spread[best] > 0)
    reach[np.isin(best, first)] = 0.0
    return reach


def _greatest(values: FloatVector, count: int) -> npt.NDArray[np.intp]:
    """The positions of the `count` greatest, in no order; all of them where there are no more."""
    if len(values) <= count:
        return np.arange(len(values))
    return np.argpartition(values, len(values) - count)[len(values) - count :]


def _between(at: Sequence[float], values: Sequence[float], wanted: float) -> float:
    """Between the points, and beyond the last ones, along straight lines over the logarithm of `at`."""
    i = 0
    while i < len(at) - 2 and (wanted > at[i + 1] if at[-1] > at[0] else wanted < at[i + 1]):
        i += 1
    if values[i] == values[i + 1] or at[i] == at[i + 1]:
        return values[i + 1]
    return values[i] + math.log(wanted / at[i]) / math.log(at[i + 1] / at[i]) * (values[i + 1] - values[i])
