"""Choosing how to search: what each part covers, and which way suits which numbers of rows, matches and neighbours."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from pyroaring import BitMap

from ragvec.ann.leaves import Leaves
from ragvec.ann.report import BuildReport, OperatingPoint
from ragvec.engine.local.matches import Matches
from ragvec.engine.local.newest import NOTHING_ABSORBED, Absorbed
from ragvec.engine.local.plan import Part, ann_target, plan
from ragvec.engine.local.segments import Segment
from ragvec.types import FloatMatrix, FloatVector, RowArray

MILLION = 1_000_000


class Reported:
    """A segment that no library built, with the figures of one of so many rows."""

    absorbed = 0

    def __init__(self, rows: int) -> None:
        leaves = max(1, round(math.sqrt(rows)))
        curves = tuple(
            tuple(
                OperatingPoint(
                    k=k, leaves=max(1, leaves * share // 100), over_fetch=1.0 + share / 4, recall=recall, cost=share
                )
                for share, recall in ((2, 0.9), (4, 0.97), (8, 0.99), (30, 0.999))
            )
            for k in (1, 10, 100, 1000)
        )
        self.report = BuildReport(
            rows=rows,
            dimension=384,
            metric="cosine",
            leaves=leaves,
            leaves_to_search=leaves // 25,
            over_fetch=2.0,
            recall_at_10=0.98,
            recall_at_100=0.98,
            seconds=0.0,
            bytes=0,
            recall_target=0.98,
            curves=curves,
        )

    def candidates(
        self, queries: FloatMatrix, *, k: int, effort: float = 1.0, recall_target: float | None = None
    ) -> list[RowArray]:
        return [self.row_leaves()[:k]] * len(queries)

    def nearest_candidates(
        self, query: FloatVector, *, k: int, effort: float = 1.0, recall_target: float | None = None
    ) -> RowArray:
        return self.row_leaves()[:k]

    def absorb(self, rows: FloatMatrix) -> bool:
        return False

    def row_leaves(self) -> RowArray:
        return np.arange(self.report.rows, dtype=np.uint32)


@pytest.fixture(scope="module")
def leaves() -> Leaves:
    random = np.random.default_rng(0)
    leaf = random.integers(60, size=6000)
    rows = (3.0 * random.normal(size=(60, 24))[leaf] + random.normal(size=(6000, 24))).astype(np.float32)
    return Leaves.measure(rows, leaf.astype(np.uint32), metric="cosine")


def segment(first: int, last: int, leaves: Leaves | None = None) -> Segment:
    return Segment(first=first, last=last, ann=Reported(last - first), folder=Path(), backend="none", leaves=leaves)


def matching(rows: BitMap | range, *, size: int) -> Matches:
    truth = BitMap(rows)
    return Matches(truth, sequence=1, size=size, dead=BitMap(), count=len(truth))


def parts(
    segments: tuple[Segment, ...],
    *,
    rows: int,
    k: int = 10,
    matches: Matches | None = None,
    live: int | None = None,
    absorbed: Absorbed = NOTHING_ABSORBED,
    recall_target: float = 0.98,
    effort: float = 1.0,
) -> tuple[Part, ...]:
    return plan(
        segments,
        rows=rows,
        live=rows if live is None else live,
        k=k,
        dimension=384,
        matches=matches,
        absorbed=absorbed,
        recall_target=recall_target,
        effort=effort,
    )


@pytest.mark.parametrize(
    ("rows", "step", "k", "kinds"),
    [
        (MILLION, 1, 10, {"ann"}),
        (MILLION, 1, 1_000, {"ann"}),
        (MILLION, 2, 10, {"ann", "leaves"}),
        (MILLION, 50, 10, {"ann", "leaves"}),
        (MILLION, 1_000, 10, {"gather", "leaves"}),
        (MILLION, 20_000, 10, {"gather"}),
        (MILLION, 2, 400_000, {"scan", "gather", "leaves"}),
        (100_000, 1, 90_000, {"scan"}),
        (6_000, 1, 5_000, {"scan"}),
    ],
)
def test_the_way_follows_the_numbers(rows: int, step: int, k: int, kinds: set[str], leaves: Leaves) -> None:
    matches = None if step == 1 else matching(range(0, rows, step), size=rows)
    (part,) = parts((segment(0, rows, leaves),), rows=rows, k=k, matches=matches)
    assert part.kind in kinds
    assert (part.first, part.last, part.matches) == (0, rows, math.ceil(rows / step))


def test_without_a_segment_everything_is_exact() -> None:
    (part,) = parts((), rows=50_000)
    assert (part.kind, part.segment) == ("scan", None)
    (part,) = parts((), rows=50_000, matches=matching(range(100, 130), size=50_000))
    assert (part.kind, part.matches) == ("gather", 30)
    (part,) = parts((), rows=50_000, matches=matching(range(49_000), size=50_000))
    assert part.kind == "scan"
    assert parts((), rows=0, k=1) == ()


def test_what_only_a_filter_has_needs_one(leaves: Leaves) -> None:
    for k in (1, 100, 10_000, 900_000):
        (part,) = parts((segment(0, MILLION, leaves),), rows=MILLION, k=k)
        assert part.kind in ("ann", "scan")


def test_segments_without_leaves_are_searched_in_other_ways() -> None:
    for step in (2, 10, 100, 1_000, 10_000):
        (part,) = parts((segment(0, MILLION),), rows=MILLION, matches=matching(range(0, MILLION, step), size=MILLION))
        assert part.kind != "leaves"


def test_parts_follow_the_segments_and_leave_out_what_has_no_match(leaves: Leaves) -> None:
    three = (segment(0, 60_000, leaves), segment(60_000, 90_000, leaves), segment(90_000, 95_000))
    everywhere = parts(three, rows=96_000)
    assert [(part.first, part.last) for part in everywhere] == [
        (0, 60_000),
        (60_000, 90_000),
        (90_000, 95_000),
        (95_000, 96_000),
    ]
    assert (everywhere[-1].kind, everywhere[-1].segment) == ("scan", None)
    some = matching(BitMap(range(60_010, 60_020)) | BitMap([95_999]), size=96_000)
    assert [(part.first, part.last, part.matches) for part in parts(three, rows=96_000, matches=some)] == [
        (60_000, 90_000, 10),
        (95_000, 96_000, 1),
    ]
    assert parts(three, rows=96_000, matches=matching(BitMap(), size=96_000)) == ()


@pytest.mark.parametrize("step", [1, 2, 30, 5_000])
def test_infinite_effort_and_certainty_ask_no_segment(step: int, leaves: Leaves) -> None:
    two = (segment(0, 900_000, leaves), segment(900_000, 990_000, leaves))
    matches = None if step == 1 else matching(range(0, MILLION, step), size=MILLION)
    exact = parts(two, rows=MILLION, matches=matches, effort=math.inf)
    assert len(exact) == 3
    assert all(part.segment is None and part.kind in ("scan", "gather") for part in exact)
    certain = parts(two, rows=MILLION, matches=matches, recall_target=1.0)
    assert all(part.kind != "ann" for part in certain), "no measured point finds everything"


@pytest.mark.parametrize("k", [1, 10, 100])
def test_what_is_asked_of_a_segment_holds_enough_matches_nearly_always(k: int) -> None:
    random = np.random.default_rng(k)
    for step in (2, 5, 20):
        matches = matching(range(0, MILLION, step), size=MILLION)
        (part,) = parts((segment(0, MILLION),), rows=MILLION, k=k, matches=matches)
        assert part.kind == "ann"
        enough = random.binomial(part.fetch, 1 / step, size=20_000) >= k
        assert enough.mean() > 0.95
        assert part.fetch < 8 * k * step
    (part,) = parts((segment(0, MILLION),), rows=MILLION, k=k)
    assert part.fetch == k


def test_dead_rows_leave_fewer_matches_to_expect() -> None:
    (part,) = parts((segment(0, MILLION),), rows=MILLION, live=MILLION // 2)
    assert part.matches == MILLION // 2
    assert part.fetch > 20


def test_the_loss_is_halved_under_a_filter() -> None:
    assert ann_target(0.98, filtered=False) == 0.98
    assert ann_target(0.98, filtered=True) == pytest.approx(0.99)
    assert ann_target(1.0, filtered=True) == 1.0


def test_absorbed_rows_go_with_the_segment_that_holds_them_or_are_searched_exactly(leaves: Leaves) -> None:
    two = (segment(0, 900_000, leaves), segment(900_000, 950_000, leaves))
    absorbed = Absorbed(two[0], 950_000, 951_000)
    found = parts(two, rows=951_500, absorbed=absorbed)
    assert [(part.kind, part.first, part.last, part.newest, len(part)) for part in found] == [
        ("ann", 0, 900_000, (950_000, 951_000), 901_000),
        ("ann", 900_000, 950_000, (0, 0), 50_000),
        ("scan", 951_000, 951_500, (0, 0), 500),
    ]
    assert [part.kind for part in parts(two, rows=951_000, absorbed=absorbed)] == ["ann", "ann"]
    for where, effort in ((range(0, 951_500, 9_000), 1.0), (range(951_500), math.inf)):
        exact = parts(two, rows=951_500, absorbed=absorbed, matches=matching(where, size=951_500), effort=effort)
        assert exact[0].newest == (0, 0)
        assert sum(part.matches for part in exact) == len(where)
    only_new = matching(range(950_100, 950_200), size=951_500)
    (part,) = parts(two, rows=951_500, absorbed=absorbed, matches=only_new)
    assert (part.first, part.last, part.matches, part.segment) == (950_000, 951_500, 100, None)
