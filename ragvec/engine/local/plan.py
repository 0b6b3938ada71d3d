"""Choosing how to search: for each segment, and for the newest rows, the cheapest way that keeps the recall target.

Costs are microseconds of one core from sizes alone; only their ratios matter. They were fitted to 117,659 and to a
million embeddings of 384 dimensions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import msgspec

from ragvec.ann.report import setting
from ragvec.engine.local.matches import Matches
from ragvec.engine.local.newest import Absorbed
from ragvec.engine.local.segments import Segment

__all__ = ["ALWAYS_EXACT_ROWS", "Kind", "Part", "ann_target", "exact_part", "plan"]

Kind = Literal["scan", "gather", "leaves", "ann"]

ALWAYS_EXACT_ROWS = 5_000
"""An index of up to so many rows is searched exactly: 0.2 ms in 384 dimensions."""

_BYTES_SCANNED = 12_000.0
_BYTES_GATHERED = 8_000.0
"""Bytes a microsecond read by a product with consecutive rows, and by one with rows here and there."""
_ROW = 0.02
"""What a row costs beside its bytes."""
_LEAVES_CALL = 45.0
_MATCH = 0.012
"""Estimating the score of a match from its sketch."""
_ANN_CALL = 15.0
_ENTRY = 0.0035
"""An entry of a leaf that is visited."""
_CANDIDATE = 0.12
"""Selecting a candidate, and finding that the filter refuses it."""
_WIDEST = 0.25
"""A segment is not asked for more than this share of its rows."""


class Part(msgspec.Struct, frozen=True, eq=False):
    """How the rows [first, last) are searched, of which `matches` are live and satisfy the filter.

    "scan" computes the distances of all rows and masks, "gather" those of the matching rows, "leaves" those of the
    matching rows that may be among the nearest as far as the `segment` can tell, and "ann" those of the matching among
    the rows that the segment proposes as its `fetch` nearest, the rows `newest` that it has absorbed included.
    """

    kind: Kind
    first: int
    last: int
    matches: int
    segment: Segment | None = None
    fetch: int = 0
    newest: tuple[int, int] = (0, 0)

    def __len__(self) -> int:
        """How many rows it searches."""
        return self.last - self.first + self.newest[1] - self.newest[0]


def plan(
    segments: Sequence[Segment],
    *,
    rows: int,
    live: int,
    k: int,
    dimension: int,
    matches: Matches | None,
    absorbed: Absorbed,
    recall_target: float,
    effort: float = 1.0,
) -> tuple[Part, ...]:
    """The parts of a search for the `k` nearest of the `matches` (None: of all `live` rows) among `rows` rows. Parts
    without a match are left out."""
    found: list[Part] = []
    covered = 0
    for segment in segments:
        covered = segment.last
        part = exact_part(segment.first, covered, rows=rows, live=live, dimension=dimension, matches=matches)
        if part is not None and rows > ALWAYS_EXACT_ROWS and not math.isinf(effort):
            part = _cheapest(
                part,
                segment,
                k=k,
                dimension=dimension,
                filtered=matches is not None,
                recall_target=recall_target,
                effort=effort,
            )
        if part is not None:
            found.append(part)
    if absorbed.last > absorbed.first:
        for at, part in enumerate(found):
            if part.segment is absorbed.host and part.kind == "ann":
                found[at] = msgspec.structs.replace(part, newest=(absorbed.first, absorbed.last))
                covered = absorbed.last
    newest = exact_part(covered, rows, rows=rows, live=live, dimension=dimension, matches=matches)
    return (*found, newest) if newest is not None else tuple(found)


def ann_target(recall_target: float, *, filtered: bool) -> float:
    """The recall to ask of a segment's proposals: under a filter the loss allowed is halved, for matches tend to lie
    off the leaves where most neighbours are."""
    return 1.0 - (1.0 - recall_target) / 2.0 if filtered else recall_target


def exact_part(first: int, last: int, *, rows: int, live: int, dimension: int, matches: Matches | None) -> Part | None:
    """The cheaper of the exact ways; None when there is nothing to search."""
    count = last - first
    if matches is None:
        # Where rows were deleted is not known without looking; nearly all of them are there.
        return Part("scan", first, last, math.ceil(count * live / rows)) if count else None
    matching = matches.count if count == rows else matches.count_within(first, last)
    if not matching:
        return None
    if matching * _gathered(dimension) < count * _scanned(dimension):
        return Part("gather", first, last, matching)
    return Part("scan", first, last, matching)


def _cheapest(
    exact: Part,
    segment: Segment,
    *,
    k: int,
    dimension: int,
    filtered: bool,
    recall_target: float,
    effort: float,
) -> Part:
    """`exact`, or one of the ways that the segment offers."""
    count, matching = exact.last - exact.first, exact.matches
    best, least = exact, (matching * _gathered(dimension) if exact.kind == "gather" else count * _scanned(dimension))
    fetch = _fetch(k, share=matching / count)
    if fetch <= _WIDEST * count:
        target = ann_target(recall_target, filtered=filtered)
        leaves, candidates = setting(segment.ann.report, k=fetch, recall_target=target, effort=effort)
        visited = count if segment.ann.report.exhaustive else leaves * 2.0 * count / segment.ann.report.leaves
        cost = _ANN_CALL + visited * _ENTRY + candidates * _CANDIDATE
        cost += candidates * matching / count * _gathered(dimension)
        if candidates < count and cost < least:
            best, least = Part("ann", exact.first, exact.last, matching, segment, fetch), cost
    if filtered and segment.leaves is not None:
        looked = segment.leaves.cost(matching, k, recall_target=recall_target)
        cost = _LEAVES_CALL + matching * _MATCH + min(looked * effort, matching) * _gathered(dimension)
        if cost < least:
            best = Part("leaves", exact.first, exact.last, matching, segment)
    return best


def _fetch(k: int, *, share: float) -> int:
    """How many neighbours hold `k` of which this `share` satisfies the filter, nearly always: their number is binomial,
    and this is two standard deviations more than what holds `k` on average."""
    if share >= 1.0:
        return k
    return math.ceil((k + 2.0 * math.sqrt(k * (1.0 - share))) / share)


def _gathered(dimension: int) -> float:
    return _ROW + dimension * 4 / _BYTES_GATHERED


def _scanned(dimension: int) -> float:
    return dimension * 4 / _BYTES_SCANNED
