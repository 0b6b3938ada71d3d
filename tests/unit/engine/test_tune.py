"""Tuning: the least effort that finds what is wanted, kept in the catalog, in force in every process at once."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
from other_process import child, says, tell

from ragvec.ann.backends import available_backend
from ragvec.engine.local.engine import LocalEngine
from ragvec.engine.local.tune import SETTINGS, Settings, measured
from ragvec.engine.protocol import Ranking
from ragvec.errors import StoreReadOnly
from ragvec.store import Index, Store
from ragvec.types import FloatMatrix

needs_segments = pytest.mark.skipif(available_backend() is None, reason="needs a library for segments")

ROWS, DIMENSION = 12_000, 32

# -- the settings ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [Settings(), Settings(0.9, 2.0), Settings(1.0, None), Settings(effort=0.25)])
def test_settings_pass_through_json(settings: Settings) -> None:
    stored = msgspec.json.decode(msgspec.json.encode(msgspec.to_builtins(settings)))
    assert Settings.of(stored) == settings
    assert settings.factor == (math.inf if settings.effort is None else settings.effort)


def test_what_was_never_set_is_the_default() -> None:
    assert Settings.of(None) == Settings()
    assert (Settings().recall_target, Settings().factor) == (None, 1.0)


# -- measuring ---------------------------------------------------------------------------------------------------------


def ranking(distances: list[float]) -> Ranking:
    found = np.array(distances, dtype=np.float32)
    return Ranking(rows=np.arange(len(found), dtype=np.uint32), distances=found, generation=0, exact=False)


class Improving:
    """A search that finds with effort e the first 10·e of 100 rows, and something farther in place of the others."""

    def __init__(self) -> None:
        self.efforts: list[float] = []

    def __call__(self, queries: FloatMatrix, effort: float) -> list[Ranking]:
        self.efforts.append(effort)
        count = 100 if math.isinf(effort) else min(99, round(10 * effort))
        return [ranking([*range(count), *range(1_000, 1_100 - count)]) for _ in queries]


@pytest.mark.parametrize(("target", "effort"), [(0.02, 0.25), (0.1, 1.0), (0.11, 1.4), (0.5, 5.6), (0.99, 11.0)])
def test_the_least_effort_that_reaches_the_target(target: float, effort: float) -> None:
    search = Improving()
    found = measured(search, np.zeros((3, 2), np.float32), k=100, recall_target=target)
    assert (found.effort, found.recall_target, found.k, found.queries) == (effort, target, 100, 3)
    assert found.recall >= target
    assert search.efforts[0] == math.inf, "what is found is compared with exact search"
    assert max(search.efforts[1:]) == effort, "no more is tried than it takes"


def test_what_no_effort_reaches_is_searched_exactly() -> None:
    found = measured(Improving(), np.zeros((3, 2), np.float32), k=100, recall_target=0.995)
    assert (found.effort, found.recall) == (math.inf, 1.0)


def test_rows_at_the_distance_of_the_last_count_as_found() -> None:
    def search(queries: FloatMatrix, effort: float) -> list[Ranking]:
        first = 0 if math.isinf(effort) else 50
        found = ranking([0.0, 1.0, 1.0])
        return [msgspec.structs.replace(found, rows=found.rows + np.uint32(first)) for _ in queries]

    found = measured(search, np.zeros((2, 2), np.float32), k=3, recall_target=1.0)
    assert (found.effort, found.recall) == (0.25, 1.0)


def test_an_empty_index_needs_no_effort() -> None:
    found = measured(
        lambda queries, effort: [ranking([])] * len(queries), np.zeros((2, 2), np.float32), k=3, recall_target=1.0
    )
    assert (found.effort, found.recall) == (0.25, 1.0)


# -- in an index -------------------------------------------------------------------------------------------------------


def noise(count: int, seed: int) -> np.ndarray:
    """Queries unlike any row."""
    return np.random.default_rng(seed).normal(size=(count, DIMENSION)).astype(np.float32)


def clustered() -> np.ndarray:
    random = np.random.default_rng(0)
    centres = random.normal(size=(200, DIMENSION))
    return (centres[random.integers(200, size=ROWS)] + 0.5 * random.normal(size=(ROWS, DIMENSION))).astype(np.float32)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tuned") / "store"
    with Store(engine=LocalEngine(path, background=False)) as store:
        index = store.create_bucket("bucket").create_index("index", dimension=DIMENSION)
        index.put([str(n) for n in range(ROWS)], clustered())
        index.optimize()
    return path


@pytest.fixture
def index(path: Path) -> Iterator[Index]:
    with Store(engine=LocalEngine(path, background=False)) as store:
        index = store.bucket("bucket").index("index")
        index.set_property(SETTINGS, None)
        yield index


def recall(index: Index, queries: np.ndarray, *, k: int = 10) -> float:
    rows, q = clustered().astype(np.float64), queries.astype(np.float64)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    nearest = np.argsort(-(q @ rows.T), axis=1)[:, :k]
    found = index.query(queries, k=k, metadata=False)
    return float(np.mean([np.isin(np.array(f.keys, dtype=int), n).mean() for f, n in zip(found, nearest, strict=True)]))


@needs_segments
@pytest.mark.parametrize("target", [0.9, 0.98])
def test_tuning_with_hard_queries_raises_their_recall_to_the_target(index: Index, target: float) -> None:
    hard, others = noise(100, seed=1), noise(100, seed=2)
    index.tune(recall_target=target)
    before = recall(index, hard)
    assert before < target - 0.1, "these queries are not hard"
    found = index.tune(queries=hard)
    assert (found.recall_target, found.queries, found.k) == (target, 100, 10)
    assert found.effort > 1
    assert found.recall >= target
    assert recall(index, hard) == pytest.approx(found.recall, abs=1e-6)
    assert recall(index, others) >= target - 0.03
    assert index.property(SETTINGS) == {"recall_target": target, "effort": found.effort}


@needs_segments
def test_a_target_alone_asks_of_segments_what_they_measured(index: Index) -> None:
    rows = clustered()[:150]
    found = [index.tune(recall_target=target) for target in (0.7, 0.9, 0.99)]
    assert [some.effort for some in found] == [1.0] * 3
    assert found[0].recall < found[1].recall < found[2].recall
    for some in found:
        assert some.recall >= some.recall_target
        assert index.tune(recall_target=some.recall_target) == some
        assert recall(index, rows) >= some.recall_target - 0.03
    everything = index.tune(recall_target=1.0)
    assert (everything.recall, recall(index, noise(50, seed=3))) == (1.0, 1.0)


@needs_segments
def test_tuning_again_keeps_what_is_not_named(index: Index) -> None:
    index.tune(recall_target=0.9)
    assert index.tune(queries=noise(50, seed=1)).recall_target == 0.9
    assert index.tune().recall_target == 0.9
    assert index.property(SETTINGS) == {"recall_target": 0.9, "effort": 1.0}, (
        "tuned without queries, the effort is as measured"
    )


def test_the_effort_of_a_call_multiplies_that_of_the_index(index: Index) -> None:
    index.set_property(SETTINGS, {"effort": 3.0})
    assert index.explain(noise(1, seed=0)[0], effort=2.0).effort == 6.0
    index.set_property(SETTINGS, {"effort": None})
    assert index.explain(noise(1, seed=0)[0], effort=0.5).exact


def test_a_read_only_store_refuses_to_be_tuned(path: Path) -> None:
    with Store(path, read_only=True) as store, pytest.raises(StoreReadOnly):
        store.bucket("bucket").index("index").tune(recall_target=0.9)


OTHER = """
import sys, pathlib
import numpy as np
from ragvec.engine.local.engine import LocalEngine
from ragvec.store import Store
with Store(engine=LocalEngine(pathlib.Path(sys.argv[1]), background=False)) as store:
    index = store.bucket("bucket").index("index")
    query = np.ones(index.dimension)
    print("open", flush=True)
    for line in sys.stdin:
        found = index.explain(query)
        print(found.exact, found.effort, round(found.recall, 6), flush=True)
"""


@needs_segments
def test_another_process_searches_as_tuned_from_then_on(index: Index, path: Path) -> None:
    query = np.ones(DIMENSION)
    with child(OTHER, path) as other:
        assert says(other) == "open"
        seen = []
        for target in (0.8, 0.95, 1.0, 0.8):
            index.tune(recall_target=target)
            here = index.explain(query)
            tell(other)
            assert says(other) == f"{here.exact} {here.effort} {round(here.recall, 6)}"
            seen.append(here.recall)
        assert seen[0] < seen[1] < seen[2] == 1.0
        assert seen[3] == seen[0]
        found = index.tune(recall_target=0.95, queries=noise(50, seed=1))
        tell(other)
        assert says(other).split()[1] == str(found.effort)
