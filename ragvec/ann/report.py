"""What a segment's build measured, and which of it serves a request.

Recall against cost is a curve for every k that was measured; a request names a k, a recall target and an effort, and
gets leaves and candidates from the curves of the k on either side. The target is passed by a tenth of the
permitted loss, since the cheapest of many measured points owes part of its recall to luck.
"""

from __future__ import annotations

import math

import msgspec

from ragvec.types import Metric

__all__ = ["BuildReport", "OperatingPoint", "setting"]

_MARGIN = 0.25
_LARGE = 1000
_LARGE_MARGIN = 0.5
"""Share of the permitted loss that is kept in reserve, and from so many neighbours on, which are measured with few
queries."""
_LEAF_SLOPE = 0.5
_COUNT_SLOPE = 0.9
"""Past the largest k measured, leaves and candidates grow at least like these powers of k."""
_SHARE = 0.5
"""From this share of the rows on, all of them are proposed: rescoring them in order costs no more."""


class OperatingPoint(msgspec.Struct, frozen=True):
    """One way to look for the `k` nearest: visiting `leaves` leaves for `k` × `over_fetch` candidates.

    `recall` is the measured share of the true `k` nearest among those candidates, which exact rescoring then finds;
    `cost` an estimate of the microseconds for one query, for comparing points of one segment only.
    """

    k: int
    leaves: int
    over_fetch: float
    recall: float
    cost: float = 0.0


class BuildReport(msgspec.Struct, frozen=True):
    """What a build chose and measured; `seconds` is its whole time, `stages` its parts, `bytes` the size of its files.

    `curves` hold, for each k measured (ascending), the operating points for which none is cheaper and finds as much,
    ascending in cost and recall, so another recall target needs no other build. Recalls are against exact search in the
    segment, for queries like its rows. `leaves_to_search` and `over_fetch`, `recall_at_10` and
    `recall_at_100` are what `recall_target` selects. `width` is the number of coordinates of the first pass. An
    `exhaustive` segment proposes all its rows: it is small, or nothing less reached the target.
    """

    rows: int
    dimension: int
    metric: Metric
    leaves: int
    leaves_to_search: int
    over_fetch: float
    recall_at_10: float
    recall_at_100: float
    seconds: float
    bytes: int
    recall_target: float = 0.0
    curves: tuple[tuple[OperatingPoint, ...], ...] = ()
    exhaustive: bool = False
    width: int = 0
    stages: dict[str, float] = {}

    def recall(self, k: int, target: float | None = None) -> float:
        """The recall measured at what serves `target` (`recall_target` when None), for the measured k nearest to `k`.

        1.0 where all rows are proposed, as they are for a target beyond the curve.
        """
        if self.exhaustive or not self.curves:
            return 1.0
        curve = min(self.curves, key=lambda curve: abs(math.log(curve[0].k / max(1, k))))
        found = _reaching(curve, self.recall_target if target is None else target)
        return 1.0 if found is None else found.recall


def setting(report: BuildReport, *, k: int, recall_target: float | None = None, effort: float = 1.0) -> tuple[int, int]:
    """The leaves to visit and the candidates to take for the `k` nearest, interpolated between the points measured.

    Both are at least 1, candidates at least min(k, rows). All rows are taken (`report.rows` candidates) where the
    curve does not reach `recall_target` (the report's when None), where half of them would be, and for infinite
    `effort`; other efforts multiply leaves and candidates.
    """
    everything = report.leaves, report.rows
    if report.exhaustive or not report.curves or math.isinf(effort):
        return everything
    target = report.recall_target if recall_target is None else recall_target
    wanted = max(k, report.curves[0][0].k)
    after = next((i for i, curve in enumerate(report.curves) if curve[0].k > wanted), len(report.curves))
    low = _reaching(report.curves[after - 1], target)
    if low is None:
        return everything
    leaves, count = float(low.leaves), low.k * low.over_fetch
    if wanted > low.k:
        beyond = after == len(report.curves)
        other = None if beyond and after == 1 else _reaching(report.curves[after - 2 if beyond else after], target)
        if other is None and not beyond:
            return everything
        leaf_slope, count_slope = (0.0, 0.0) if other is None else _slopes(low, other)
        if beyond:
            leaf_slope, count_slope = max(_LEAF_SLOPE, leaf_slope), max(_COUNT_SLOPE, count_slope)
        leaves *= (wanted / low.k) ** leaf_slope
        count *= (wanted / low.k) ** count_slope
    taken = max(k, math.ceil(min(count * effort, report.rows)))
    if taken >= _SHARE * report.rows:
        return everything
    # Each row is in two leaves, so a leaf holds 2n / leaves entries; as many are visited as are to be returned.
    leaves = max(min(leaves * effort, report.leaves), taken * report.leaves / (2.0 * report.rows))
    return min(report.leaves, max(1, math.ceil(leaves))), taken


def _reaching(curve: tuple[OperatingPoint, ...], target: float) -> OperatingPoint | None:
    """The point of a curve at which it passes `target`, between those measured; None when it does not, or for 1.

    Recall grows ever slower with what is searched, so straight lines between points promise rather too little.
    """
    margin = _MARGIN if curve[0].k < _LARGE else _LARGE_MARGIN
    goal = target + margin * (1.0 - target)
    if goal >= 1.0:
        return None
    at = next((i for i, point in enumerate(curve) if point.recall >= goal), None)
    if not at:
        return None if at is None else curve[0]
    below, above = curve[at - 1], curve[at]
    share = (goal - below.recall) / (above.recall - below.recall)
    return OperatingPoint(
        k=below.k,
        leaves=math.ceil(below.leaves + share * (above.leaves - below.leaves)),
        over_fetch=below.over_fetch + share * (above.over_fetch - below.over_fetch),
        recall=goal,
        cost=below.cost + share * (above.cost - below.cost),
    )


def _slopes(one: OperatingPoint, other: OperatingPoint) -> tuple[float, float]:
    """The powers of k by which leaves and candidates grow between two points."""
    span = math.log(other.k / one.k)
    candidates = other.k * other.over_fetch / (one.k * one.over_fetch)
    return math.log(other.leaves / one.leaves) / span, math.log(candidates) / span
