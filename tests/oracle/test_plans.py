"""Every way to search, forced and as planned, against distances of float64: filters of all kinds, deletes, a tail."""

from __future__ import annotations

import copy
import math
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ragvec
from ragvec.ann.backends import available_backend
from ragvec.engine.local import search, segments
from ragvec.engine.local.compact import build_segment
from ragvec.engine.local.engine import LocalEngine
from ragvec.engine.local.index import LocalIndex
from ragvec.engine.local.matches import Matches
from ragvec.engine.local.newest import Absorbed
from ragvec.engine.local.plan import Kind, Part
from ragvec.engine.local.segments import Segment
from ragvec.search.results import Results
from ragvec.store import Index, Store
from ragvec.types import Metric

pytestmark = pytest.mark.skipif(available_backend() is None, reason="needs a library for segments")

TEST_DATA = Path(os.environ.get("RAGVEC_TEST_DATA", Path(ragvec.__file__).parents[2] / "shared" / "data"))

FIRST, SECOND, LATER, SPREAD, NEAR = 18_000, 4_200, 400, 20, 12
"""Rows of two segments, too different in size to be merged, and of the tail; queries from everywhere and from around
one row."""
ROWS = FIRST + SECOND + LATER
ALIKE, DELETED, REPLACED = 300, 1_500, 250
KS = (1, 10, 100)
KINDS: tuple[Kind | None, ...] = ("scan", "gather", "leaves", "ann", None)
"""None: whatever the planner chooses. Gathering and leaves are for what a filter left."""

# Names of rows by how near they are to the row that some queries come from, and by a number that means nothing.
FILTERS: dict[str, dict[str, Any]] = {
    "none": {},
    "half": {"number": {"$lt": 500}},
    "tenth": {"number": {"$lt": 100}},
    "hundredth": {"number": {"$lt": 10}},
    "neighbours": {"nearness": {"$lt": 3_000}},
    "no neighbours": {"nearness": {"$gte": 12_000}},
    "few, far away": {"$and": [{"nearness": {"$gte": 20_000}}, {"number": {"$lt": 500}}]},
}
CASES = [(kind, name) for kind in KINDS for name in FILTERS if name != "none" or kind not in ("gather", "leaves")]
FLOOR = 0.96
"""Of the recall, on average over queries; the target is 0.98 for queries like the rows."""


def embeddings(count: int) -> np.ndarray:
    """Real ones in random order where they are at hand, else made-up ones in clusters: float32 (count, dimension)."""
    random = np.random.default_rng(7)
    stored = TEST_DATA / "wordnet-minilm" / "vectors.f16.npy"
    if stored.exists():
        every = np.load(stored, mmap_mode="r")
        chosen = np.sort(random.choice(len(every), count, replace=False))
        return random.permutation(every[chosen]).astype(np.float32)
    centres = random.normal(size=(300, 48))
    return (centres[random.integers(300, size=count)] + 0.7 * random.normal(size=(count, 48))).astype(np.float32)


def distances(rows: np.ndarray, queries: np.ndarray, *, metric: Metric) -> np.ndarray:
    """By definition, without the noise of float64, so that equal rows tie: float32 (queries, rows)."""
    wide = rows.astype(np.float64)
    if metric == "cosine":
        wide /= np.linalg.norm(wide, axis=1, keepdims=True)
        found = np.stack([1.0 - wide @ (q / np.linalg.norm(q)) for q in queries.astype(np.float64)])
    else:
        found = np.stack([np.linalg.norm(wide - q, axis=1) for q in queries.astype(np.float64)])
    return np.abs(np.round(found, 12)).astype(np.float32)


class Data:
    """Rows, their keys and metadata, and queries; and which of the rows live."""

    def __init__(self, metric: Metric) -> None:
        random = np.random.default_rng(3)
        vectors = embeddings(ROWS + SPREAD + 4_000)
        vectors *= random.uniform(0.8, 1.25, size=(len(vectors), 1)).astype(np.float32)
        self.metric = metric
        self.rows, others = vectors[:ROWS], vectors[ROWS:]
        self.rows[random.choice(ROWS, ALIKE, replace=False)] = others[0]
        self.keys = np.array([f"{n:05d}" for n in random.permutation(ROWS)])
        self.number = random.integers(1000, size=ROWS)
        # The row that all others are compared with, and the queries nearest to it.
        near = np.argsort(distances(others[SPREAD:], self.rows[:1], metric=metric)[0])[:NEAR]
        self.queries = np.concatenate([others[:SPREAD], others[SPREAD:][near]])
        self.nearness = np.argsort(np.argsort(distances(self.rows, self.rows[:1], metric=metric)[0]))
        self.exact = distances(self.rows, self.queries, metric=metric)
        self.live = np.arange(ROWS) < FIRST + SECOND

    def metadata(self, first: int, last: int) -> list[dict[str, int]]:
        numbers, nearness = self.number[first:last].tolist(), self.nearness[first:last].tolist()
        return [{"number": n, "nearness": r} for n, r in zip(numbers, nearness, strict=True)]

    @cache  # noqa: B019
    def matching(self, name: str) -> np.ndarray:
        """The live rows that the filter of this name leaves."""
        kept = {
            "none": self.number >= 0,
            "half": self.number < 500,
            "tenth": self.number < 100,
            "hundredth": self.number < 10,
            "neighbours": self.nearness < 3_000,
            "no neighbours": self.nearness >= 12_000,
            "few, far away": (self.nearness >= 20_000) & (self.number < 500),
        }[name]
        return np.flatnonzero(kept & self.live)

    @cache  # noqa: B019  # lives as long as the module's tests
    def ranked(self, query: int, name: str) -> np.ndarray:
        """The live rows that match, by distance and then by key."""
        rows = self.matching(name)
        found: np.ndarray = rows[np.lexsort((self.keys[rows].astype(int), self.exact[query, rows]))]
        return found

    def nearest(self, query: int, name: str, k: int) -> tuple[list[str], np.ndarray]:
        """Keys and distances of the k nearest."""
        order = self.ranked(query, name)[:k]
        return self.keys[order].tolist(), self.exact[query, order]


class Case:
    """An index with what is known of it."""

    def __init__(self, index: Index, data: Data) -> None:
        self.index = index
        self.data = data
        engine = index.bucket.store.engine.index(index.spec)
        assert isinstance(engine, LocalIndex)
        self.engine = engine
        self._row_of = {key: row for row, key in enumerate(data.keys.tolist())}

    def ask(self, queries: slice, *, k: int, name: str, effort: float = 1.0) -> Sequence[Results]:
        """Unlike earlier calls: plans are not those kept from before."""
        self.engine.snapshot().plans.clear()
        found = self.index.query(self.data.queries[queries], k=k, where=FILTERS[name], metadata=False, effort=effort)
        assert len(found) == len(self.data.queries[queries])
        return found  # type: ignore[no-any-return]  # any form of a matrix is taken, so overloads cannot tell

    def check(self, name: str, *, k: int, exact: bool, effort: float = 1.0) -> None:
        """All queries at once, which takes threads, and some alone."""
        several = self.ask(slice(None), k=k, name=name, effort=effort)
        alone = [self.ask(slice(at, at + 1), k=k, name=name, effort=effort)[0] for at in (0, 5, SPREAD)]
        recalls = [self._recall(results, at, name, k=k, exact=exact) for at, results in enumerate(several)]
        assert np.mean(recalls) >= FLOOR, (name, k)
        for results, at in zip(alone, (0, 5, SPREAD), strict=True):
            self._recall(results, at, name, k=k, exact=exact)

    def _recall(self, found: Results, query: int, name: str, *, k: int, exact: bool) -> float:
        """The share found, once it is sure that what was found is right."""
        keys, distances = self.data.nearest(query, name, k)
        rows = np.array([self._row_of[key] for key in found.keys])
        assert len(found.keys) == len(set(found.keys)) == len(keys) == min(k, len(self.data.matching(name)))
        assert np.isin(rows, self.data.matching(name)).all(), "a row that is dead or does not match"
        np.testing.assert_allclose(found.distances, self.data.exact[query, rows], rtol=0, atol=1e-6)
        listed = list(zip(found.distances, found.keys, strict=True))
        assert listed == sorted(listed)
        if exact:
            assert found.keys == keys
        return float(np.mean(np.asarray(found.distances) <= distances[-1])) if keys else 1.0


def build(path: Path, metric: Metric, monkeypatch: pytest.MonkeyPatch) -> Data:
    """Two segments, both of which have leaves."""
    monkeypatch.setattr(segments, "LEAVES_MIN_ROWS", SECOND)
    data = Data(metric)
    with Store(engine=LocalEngine(path, background=False)) as store:
        index = store.create_bucket("bucket").create_index("index", dimension=data.rows.shape[1], metric=metric)
        for first, last in ((0, FIRST), (FIRST, FIRST + SECOND)):
            index.put(data.keys[first:last].tolist(), data.rows[first:last], data.metadata(first, last))
            assert isinstance(store.engine, LocalEngine)
            generation = store.engine.index(index.spec).snapshot().generation
            assert build_segment(generation, first, last, lane="tail")
    return data


def wear(index: Index, data: Data) -> None:
    """Delete the nearest of each query and others, replace some by what is far from where they were, add a tail."""
    random = np.random.default_rng(11)
    nearest = np.argsort(data.exact, axis=1)[:, :3].ravel()
    gone = np.unique(np.concatenate([nearest, random.choice(ROWS, DELETED, replace=False)]))
    gone = gone[gone < FIRST + SECOND]
    index.delete(data.keys[gone].tolist())
    data.live[gone] = False
    first = FIRST + SECOND
    replaced = random.choice(np.flatnonzero(data.live), REPLACED, replace=False)
    data.keys[first : first + REPLACED] = data.keys[replaced]
    data.keys[replaced] = "gone"
    index.put(data.keys[first:].tolist(), data.rows[first:], data.metadata(first, ROWS))
    data.live[replaced], data.live[first:] = False, True


@pytest.fixture(scope="module", params=["cosine", "euclidean"])
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    """Two segments and nothing else."""
    path = tmp_path_factory.mktemp("plans") / "store"
    with pytest.MonkeyPatch.context() as monkeypatch:
        data = build(path, request.param, monkeypatch)
    with Store(engine=LocalEngine(path, background=False)) as store:
        yield Case(store.bucket("bucket").index("index"), data)


@pytest.fixture(scope="module")
def worn(whole: Case, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    """Two segments with tombstones, and a tail."""
    path = tmp_path_factory.mktemp("worn") / "store"
    source = whole.index.bucket.store
    assert isinstance(source.engine, LocalEngine)
    source.close()
    shutil.copytree(source.engine.path, path)
    data = copy.deepcopy(whole.data)
    with Store(engine=LocalEngine(path, background=False)) as store:
        index = store.bucket("bucket").index("index")
        wear(index, data)
        stats = index.stats()
        assert [(s.first, s.last) for s in stats.segments] == [(0, FIRST), (FIRST, FIRST + SECOND)]
        assert (stats.exact_rows, stats.vectors) == (LATER, int(data.live.sum()))
        yield Case(index, data)


def forced(*kinds: Kind, everything: bool = False) -> Callable[..., tuple[Part, ...]]:
    """A planner that has each segment searched in the kind given for it, or all of them in the one; with `everything`,
    segments are asked to propose all their rows."""

    def parts(
        found: tuple[Segment, ...], *, rows: int, k: int, matches: Matches | None, absorbed: Absorbed, **_: Any
    ) -> tuple[Part, ...]:
        chosen: list[Part] = []
        covered = found[-1].last

        def matching(first: int, last: int) -> int:
            return last - first if matches is None else matches.count_within(first, last)

        for at, segment in enumerate(found):
            kind, first, last = kinds[at % len(kinds)], segment.first, segment.last
            count = matching(first, last)
            if not count:
                continue
            if kind in ("scan", "gather"):
                chosen.append(Part(kind, first, last, count))
            elif kind == "leaves":
                assert segment.leaves is not None
                chosen.append(Part(kind, first, last, count, segment))
            else:
                fetch = min(last - first, math.ceil((k + 2 * math.sqrt(k)) * (last - first) / count))
                fetch = last - first if everything else fetch
                newest = (absorbed.first, absorbed.last) if segment is absorbed.host else (0, 0)
                covered = max(covered, newest[1])
                chosen.append(Part(kind, first, last, count, segment, fetch, newest))
        if matching(covered, rows):
            chosen.append(Part("scan", covered, rows, matching(covered, rows)))
        return tuple(chosen)

    return parts


def force(monkeypatch: pytest.MonkeyPatch, *kinds: Kind) -> None:
    monkeypatch.setattr(search, "plan", forced(*kinds))


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_worn_segments_and_a_tail(worn: Case, kind: Kind | None, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if kind is not None:
        force(monkeypatch, kind)
    for k in (*KS, 500) if name == "hundredth" else KS:
        worn.check(name, k=k, exact=kind in ("scan", "gather"))


@pytest.mark.parametrize(("kind", "name"), [case for case in CASES if case[1] in ("none", "tenth", "no neighbours")])
def test_whole_segments(whole: Case, kind: Kind | None, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if kind is not None:
        force(monkeypatch, kind)
    whole.check(name, k=10, exact=kind in ("scan", "gather"))


@pytest.mark.parametrize("kinds", [("leaves", "ann"), ("ann", "leaves"), ("gather", "ann"), ("scan", "leaves")])
def test_a_kind_for_each_segment(worn: Case, kinds: tuple[Kind, Kind], monkeypatch: pytest.MonkeyPatch) -> None:
    force(monkeypatch, *kinds)
    for name in ("half", "neighbours", "no neighbours"):
        worn.check(name, k=10, exact=False)


@pytest.mark.parametrize("name", FILTERS)
def test_infinite_effort_is_exact(worn: Case, name: str) -> None:
    for k in (10, 300):
        worn.check(name, k=k, exact=True, effort=math.inf)
    assert worn.engine.search(worn.data.queries[:1], k=10, effort=math.inf)[0].exact
    assert worn.index.explain(worn.data.queries[0], where=FILTERS[name], effort=math.inf).exact


@pytest.mark.parametrize(("kind", "name"), [case for case in CASES if case[1] in ("none", "half", "tenth")])
def test_of_many_equal_rows_those_with_the_least_keys(
    worn: Case, kind: Kind | None, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind is not None:
        force(monkeypatch, kind)
    for k in (1, 7):
        (found,) = worn.ask(slice(0, 1), k=k, name=name)
        keys, distances = worn.data.nearest(0, name, k)
        assert len(set(distances.tolist())) == 1
        assert found.keys == keys


@pytest.mark.parametrize("everything", [False, True])
def test_the_newest_rows_are_found_as_soon_as_they_are_there(
    worn: Case, everything: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(5):
        worn.ask(slice(0, 1), k=1, name="none")  # a segment that absorbs rows does so some at a time
    monkeypatch.setattr(search, "plan", forced("ann", everything=everything))
    worn.engine.snapshot().plans.clear()
    newest = slice(FIRST + SECOND, FIRST + SECOND + 100)
    found = worn.index.query(worn.data.rows[newest], k=1)
    different = [at for at, results in enumerate(found) if results.distances[0] > 1e-6]
    assert len(different) <= (0 if everything else 3)
    assert len(worn.index.query(worn.data.rows[newest][:3], k=ROWS)[0].keys) == worn.data.live.sum()
