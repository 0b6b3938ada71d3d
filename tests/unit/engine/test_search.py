"""Search within a snapshot: threads, plans that are kept, proposals that are not relied on, and what a trace tells."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest

from ragvec.ann.backends import available_backend
from ragvec.engine.local import search
from ragvec.engine.local.engine import LocalEngine
from ragvec.engine.local.index import LocalIndex
from ragvec.engine.protocol import Ranking
from ragvec.filters.nodes import EVERYTHING
from ragvec.filters.parse import parse_filter
from ragvec.store import Index, Store

pytestmark = pytest.mark.skipif(available_backend() is None, reason="needs a library for segments")

ROWS, DIMENSION, CLUSTERS = 20_000, 24, 40


def vectors() -> tuple[np.ndarray, np.ndarray]:
    """Rows in clusters, and the cluster of each."""
    random = np.random.default_rng(2)
    cluster = random.integers(CLUSTERS, size=ROWS)
    centres = 3 * random.normal(size=(CLUSTERS, DIMENSION))
    return (centres[cluster] + random.normal(size=(ROWS, DIMENSION))).astype(np.float32), cluster


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    """Rows of one segment, of whose clusters the first half matches {"low": true}."""
    rows, cluster = vectors()
    with Store(engine=LocalEngine(tmp_path_factory.mktemp("search") / "store", background=False)) as store:
        index = store.create_bucket("bucket").create_index("index", dimension=DIMENSION, metric="euclidean")
        index.put([str(n) for n in range(ROWS)], rows, [{"low": bool(c < CLUSTERS // 2), "c": int(c)} for c in cluster])
        index.optimize()
        yield index


@pytest.fixture
def engine(index: Index) -> LocalIndex:
    found = index.bucket.store.engine.index(index.spec)
    assert isinstance(found, LocalIndex)
    return found


def same(one: list[Ranking], other: list[Ranking]) -> bool:
    return all(
        np.array_equal(a.rows, b.rows) and np.array_equal(a.distances, b.distances) and a.exact == b.exact
        for a, b in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("where", [{}, {"low": True}, {"c": 3}])
@pytest.mark.parametrize("effort", [1.0, math.inf])
def test_threads_change_nothing(
    engine: LocalIndex, where: dict[str, object], effort: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    queries = vectors()[0][:70] + np.float32(0.1)
    found = []
    for processors in (1, 2, 4):
        monkeypatch.setattr(search, "_processors", lambda count=processors: count)
        found.append(engine.search(queries, k=10, where=parse_filter(where), effort=effort))
        assert len(found[-1]) == 70
    assert same(found[0], found[1])
    assert same(found[0], found[2])


def test_a_failure_in_a_thread_is_raised(engine: LocalIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    class Trouble(Exception):
        pass

    def fail(self: object, queries: object) -> None:
        raise Trouble

    monkeypatch.setattr(search, "_processors", lambda: 3)
    monkeypatch.setattr(search._Run, "__call__", fail)
    with pytest.raises(Trouble):
        engine.search(vectors()[0][:70], k=10)


def test_no_queries_and_no_matches(engine: LocalIndex) -> None:
    assert engine.search(np.empty((0, DIMENSION), np.float32), k=3) == []
    assert engine.search(np.empty((0, DIMENSION), np.float32), k=3, where=parse_filter({"c": 99})) == []
    (none,) = engine.search(vectors()[0][:1], k=3, where=parse_filter({"c": 99}))
    assert (len(none.rows), len(none.distances), none.exact) == (0, 0, True)
    assert (none.rows.dtype.name, none.distances.dtype.name) == ("uint32", "float32")


def test_more_than_there_are(engine: LocalIndex) -> None:
    rows, cluster = vectors()
    (found,) = engine.search(rows[:1], k=10 * ROWS, where=parse_filter({"c": 3}))
    assert sorted(found.rows.tolist()) == np.flatnonzero(cluster == 3).tolist()
    (every,) = engine.search(rows[:1], k=10 * ROWS)
    assert sorted(every.rows.tolist()) == list(range(ROWS))


def test_the_plans_of_a_snapshot_are_kept_in_bounds(engine: LocalIndex) -> None:
    snapshot = engine.snapshot()
    for k in range(1, 130):
        engine.search(vectors()[0][:1], k=k)
    assert engine.snapshot() is snapshot
    assert 0 < len(snapshot.plans) <= 64


@pytest.mark.parametrize("k", [1, 5, 20])
def test_proposals_from_where_nothing_matches_are_not_relied_on(index: Index, engine: LocalIndex, k: int) -> None:
    """Every neighbour of these queries is refused by the filter, so the segment proposes none of those that match."""
    rows, cluster = vectors()
    away = np.flatnonzero(cluster >= CLUSTERS // 2)[:30]
    low = np.flatnonzero(cluster < CLUSTERS // 2)
    where = parse_filter({"low": True})
    for row in away:
        (alone,) = engine.search(rows[row : row + 1], k=k, where=where)
        assert np.isin(alone.rows, low).all()
        assert len(alone.rows) == k
    names = [step.name.split()[0] for step in index.explain(rows[away[0]], k=k, where=where).steps]
    if "ann" in names:
        assert names.count("distances") > 1, "searched again in a surer way"
    exact = engine.search(rows[away], k=k, where=where, effort=math.inf)
    found = engine.search(rows[away], k=k, where=where)
    recall = np.mean([np.isin(best.rows, some.rows).mean() for best, some in zip(exact, found, strict=True)])
    assert recall >= 0.97


def test_any_effort_gives_whole_answers(engine: LocalIndex) -> None:
    queries = vectors()[0][:3]
    for where in (EVERYTHING, parse_filter({"low": True}), parse_filter({"c": 3})):
        recalls = []
        exact = engine.search(queries, k=50, where=where, effort=math.inf)
        assert all(best.exact for best in exact)
        for effort in (5e-324, 1e-9, 0.1, 1.0, 10.0, 1e300):
            found = engine.search(queries, k=50, where=where, effort=effort)
            assert all(len(set(some.rows.tolist())) == 50 for some in found)
            assert all((np.diff(some.distances) >= 0).all() for some in found)
            recalls.append(np.mean([np.isin(e.rows, f.rows).mean() for e, f in zip(exact, found, strict=True)]))
        assert recalls[-1] == 1.0
        assert recalls[-2] >= 0.98


def test_a_trace_covers_the_whole_search(index: Index) -> None:
    query = vectors()[0][0]
    plain = index.explain(query)
    assert [step.name.split()[0] for step in plain.steps] == ["snapshot", "plan", "ann", "distances", "order", "keys"]
    assert not plain.exact
    assert 0.98 <= plain.recall < 1.0
    assert f"recall {plain.recall:.3f}" in str(plain)
    by_name = {step.name.split()[0]: step for step in plain.steps}
    assert by_name["ann"].candidates >= by_name["distances"].candidates >= 10
    assert by_name["distances"].rows == by_name["ann"].candidates
    assert by_name["keys"].rows == 10
    assert "in rows 0 to 19,999" in by_name["plan"].detail
    few = index.explain(query, where={"c": 3})
    assert (few.rows, few.matches) == (ROWS, int(np.count_nonzero(vectors()[1] == 3)))
    whole = index.explain(query, effort=math.inf)
    assert (whole.exact, whole.recall) == (True, 1.0)
    assert " · exact · effort inf · " in str(whole)
