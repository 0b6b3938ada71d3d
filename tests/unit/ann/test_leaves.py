"""A filtered search by leaves finds what exact search of the matches finds, nearly always, and reads few of them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from ragvec.ann import sketch
from ragvec.ann.calibration import Calibration, first_looked
from ragvec.ann.leaves import Leaves
from ragvec.distance import exact_distances
from ragvec.errors import Corrupted

TEST_DATA = Path(os.environ.get("RAGVEC_TEST_DATA", Path(__file__).parents[4] / "shared" / "data"))


def clustered(rows: int, dimension: int, *, seed: int, centres: int = 40) -> np.ndarray:
    rng = np.random.default_rng(seed)
    middles = rng.standard_normal((centres, dimension))
    noise = rng.standard_normal((rows, dimension)) * 0.6
    return (middles[rng.integers(centres, size=rows)] + noise + 0.3).astype(np.float32)


def partition(rows: np.ndarray, leaves: int, *, seed: int = 0) -> np.ndarray:
    """Each row in the leaf of the nearest of some rows."""
    middles = rows[np.random.default_rng(seed).choice(len(rows), leaves, replace=False)]
    return (rows @ middles.T - 0.5 * np.square(middles).sum(axis=1)).argmax(axis=1).astype(np.uint32)


def by_sorting(rows: np.ndarray, query: np.ndarray, matches: np.ndarray, k: int, metric: str) -> set[int]:
    """The matches not farther than the k-th."""
    distances = exact_distances(rows[matches], query, metric=metric)
    return set(matches[distances <= np.sort(distances)[min(k, len(matches)) - 1]].tolist())


def recall(
    leaves: Leaves, rows: np.ndarray, queries: np.ndarray, filters: list[np.ndarray], k: int, metric: str
) -> tuple[float, float]:
    """The mean share of the true neighbours that are found, and the mean share of the matches looked at."""
    hits, looked = [], []
    for query, matches in zip(queries, filters, strict=True):
        visit = leaves.nearest(rows, query, leaves.group(matches), k=k)
        true = by_sorting(rows, query, matches, k, metric)
        hits.append(min(k, len(true & set(visit.neighbours.rows.tolist()))) / k)
        looked.append(visit.rows / len(matches))
    return float(np.mean(hits)), float(np.mean(looked))


def positions(mask: np.ndarray) -> np.ndarray:
    return np.flatnonzero(mask).astype(np.uint32)


CLUSTERED = clustered(24_000, 48, seed=1)
QUERIES = clustered(24_000, 48, seed=1)[:40] + np.random.default_rng(5).normal(0, 0.4, (40, 48)).astype(np.float32)


@pytest.fixture(scope="module", params=["cosine", "euclidean"])
def measured(request: pytest.FixtureRequest) -> tuple[Leaves, np.ndarray, str]:
    metric: str = request.param
    rows = CLUSTERED
    if metric == "euclidean":  # lengths that differ by a factor of three
        rows = rows * np.random.default_rng(2).uniform(0.5, 1.5, (len(rows), 1)).astype(np.float32)
    return Leaves.measure(rows, partition(rows, 150), metric=metric), rows, metric


@pytest.fixture(scope="module")
def distances(measured: tuple[Leaves, np.ndarray, str]) -> np.ndarray:
    _, rows, metric = measured
    return np.array([exact_distances(rows, query, metric=metric) for query in QUERIES])


@pytest.mark.parametrize("k", [1, 10, 100])
@pytest.mark.parametrize("family", ["most", "tenth", "fiftieth", "range", "near", "far", "other leaves"])
def test_the_target_is_reached_whatever_the_filter_has_to_do_with_the_query(
    measured: tuple[Leaves, np.ndarray, str], distances: np.ndarray, family: str, k: int
) -> None:
    leaves, rows, metric = measured
    rng = np.random.default_rng(11)
    filters = []
    for away in distances:
        nearest_leaves = leaves.of_row[np.argsort(away)[:500]]
        mask = {
            "most": lambda: rng.random(len(rows)) < 0.9,
            "tenth": lambda: rng.random(len(rows)) < 0.1,
            "fiftieth": lambda: rng.random(len(rows)) < 0.02,
            "range": lambda: (np.arange(len(rows)) >= 7000) & (np.arange(len(rows)) < 9000),
            "near": lambda d=away: d < np.quantile(d, 0.1),
            "far": lambda d=away: d > np.quantile(d, 0.5),
            "other leaves": lambda found=nearest_leaves: ~np.isin(leaves.of_row, found),
        }[family]()
        filters.append(positions(mask))
    found, _ = recall(leaves, rows, QUERIES, filters, k, metric)
    assert found >= 0.97, f"recall {found} of {family} under {metric}"


def test_few_of_many_matches_are_looked_at(measured: tuple[Leaves, np.ndarray, str]) -> None:
    leaves, rows, metric = measured
    matches = positions(np.random.default_rng(3).random(len(rows)) < 0.25)
    _, looked = recall(leaves, rows, QUERIES, [matches] * len(QUERIES), 10, metric)
    assert looked < 0.15


def test_distances_are_exact_and_in_order(measured: tuple[Leaves, np.ndarray, str]) -> None:
    leaves, rows, metric = measured
    matches = positions(np.random.default_rng(4).random(len(rows)) < 0.2)
    for query in QUERIES[:10]:
        visit = leaves.nearest(rows, query, leaves.group(matches), k=20)
        near, distances = visit.neighbours
        assert len(near) >= 20
        assert set(near.tolist()) <= set(matches.tolist())
        np.testing.assert_array_equal(distances, exact_distances(rows[near], query, metric=metric))
        assert sorted(zip(distances.tolist(), near.tolist(), strict=True)) == list(
            zip(distances.tolist(), near.tolist(), strict=True)
        )
        assert 1 <= visit.leaves <= visit.rows <= len(matches)


@pytest.mark.parametrize("sure", [{"effort": float("inf")}, {"recall_target": 1.0}])
def test_all_matches_are_scored_when_nothing_may_be_missed(
    measured: tuple[Leaves, np.ndarray, str], sure: dict[str, float]
) -> None:
    leaves, rows, metric = measured
    grouped = leaves.group(np.arange(len(rows), dtype=np.uint32))
    visit = leaves.nearest(rows, QUERIES[0], grouped, k=50, **sure)
    assert set(visit.neighbours.rows.tolist()) == by_sorting(rows, QUERIES[0], np.arange(len(rows)), 50, metric)
    assert visit.rows == len(rows)
    assert visit.leaves == len(np.unique(leaves.of_row))


def test_more_effort_and_a_higher_target_look_at_more(measured: tuple[Leaves, np.ndarray, str]) -> None:
    leaves, rows, _ = measured
    grouped = leaves.group(positions(np.random.default_rng(6).random(len(rows)) < 0.5))

    def looked(**how: float) -> float:
        return float(np.mean([leaves.nearest(rows, query, grouped, k=10, **how).rows for query in QUERIES]))

    assert looked(effort=0.2) <= looked() <= looked(effort=10.0)
    assert looked(recall_target=0.9) <= looked() <= looked(recall_target=0.999)
    assert looked(recall_target=0.9) < looked(recall_target=0.999)


@pytest.mark.parametrize("count", [0, 1, 5, 256, 300])
def test_few_matches_are_all_there(measured: tuple[Leaves, np.ndarray, str], count: int) -> None:
    leaves, rows, _ = measured
    matches = np.sort(np.random.default_rng(count).choice(len(rows), count, replace=False)).astype(np.uint32)
    visit = leaves.nearest(rows, QUERIES[1], leaves.group(matches), k=300)
    assert sorted(visit.neighbours.rows.tolist()) == matches.tolist()
    assert visit.rows == count


def test_a_group_holds_the_matches_by_leaf() -> None:
    rows = CLUSTERED[:3000]
    leaves = Leaves.measure(rows, partition(rows, 30), metric="cosine")
    matches = positions(np.random.default_rng(8).random(len(rows)) < 0.3)
    kept = matches.copy()
    grouped = leaves.group(matches)
    of = leaves.of_row[grouped.rows]
    assert np.array_equal(matches, kept)
    assert sorted(grouped.rows.tolist()) == matches.tolist()
    assert np.array_equal(of, np.repeat(grouped.leaves, grouped.counts))
    assert all(np.all(np.diff(grouped.rows[of == leaf].astype(int)) > 0) for leaf in grouped.leaves)
    everything = leaves.group(np.arange(len(rows), dtype=np.uint32))
    code_of = {int(row): everything.codes[:, at].tolist() for at, row in enumerate(everything.rows)}
    assert [code_of[int(row)] for row in grouped.rows] == grouped.codes.T.tolist()
    assert len(grouped) == len(matches)
    assert grouped.nbytes < 30 * len(matches) + 1000


def test_equal_rows_are_all_found() -> None:
    rows = np.repeat(CLUSTERED[:4], 500, axis=0)
    leaves = Leaves.measure(rows, np.repeat(np.arange(4, dtype=np.uint32), 500), metric="cosine")
    visit = leaves.nearest(rows, CLUSTERED[2], leaves.group(np.arange(2000, dtype=np.uint32)), k=10)
    assert visit.neighbours.rows.tolist() == list(range(1000, 1500))
    assert not visit.neighbours.distances.any()


def test_embeddings_in_a_narrow_cone() -> None:
    rows = CLUSTERED[:8000] * np.float32(1e-3) + np.full(48, 1.0, dtype=np.float32)
    leaves = Leaves.measure(rows, partition(CLUSTERED[:8000], 80), metric="cosine")
    queries = QUERIES * np.float32(1e-3) + np.float32(1.0)
    matches = positions(np.random.default_rng(9).random(len(rows)) < 0.3)
    found, looked = recall(leaves, rows, queries, [matches] * len(queries), 10, "cosine")
    assert found >= 0.97
    assert looked < 0.5


@pytest.mark.parametrize("scale", [1e-18, 1e-6, 1e6, 1e18])
def test_lengths_far_from_one(scale: float) -> None:
    rows = CLUSTERED[:4000] * np.float32(scale)
    leaves = Leaves.measure(rows, partition(CLUSTERED[:4000], 60), metric="euclidean")
    matches = positions(np.random.default_rng(10).random(len(rows)) < 0.5)
    found, _ = recall(leaves, rows, QUERIES * np.float32(scale), [matches] * len(QUERIES), 10, "euclidean")
    assert found >= 0.97
    middle = np.zeros(48, dtype=np.float32)
    visit = leaves.nearest(rows, middle, leaves.group(matches), k=10)
    assert len(set(visit.neighbours.rows.tolist()) & by_sorting(rows, middle, matches, 10, "euclidean")) >= 9


@pytest.mark.parametrize("dimension", [1, 2, 3, 200])
def test_few_dimensions_and_many(dimension: int) -> None:
    rows = clustered(3000, dimension, seed=dimension)
    leaves = Leaves.measure(rows, partition(rows, 40), metric="euclidean")
    queries = clustered(40, dimension, seed=dimension + 1)
    matches = positions(np.random.default_rng(1).random(len(rows)) < 0.5)
    found, _ = recall(leaves, rows, queries, [matches] * len(queries), 10, "euclidean")
    assert found >= 0.97


@pytest.mark.parametrize("count", [1, 2, 255, 300])
def test_segments_of_few_rows(count: int) -> None:
    rows = CLUSTERED[:count]
    leaves = Leaves.measure(rows, np.zeros(count, dtype=np.uint32), metric="cosine")
    visit = leaves.nearest(rows, QUERIES[0], leaves.group(np.arange(count, dtype=np.uint32)), k=5)
    true = by_sorting(rows, QUERIES[0], np.arange(count), 5, "cosine")
    assert set(visit.neighbours.rows.tolist()) == true


def test_leaves_without_rows_and_more_than_two_bytes_can_number() -> None:
    rows = CLUSTERED[:2000]
    of_row = partition(rows, 20) * 5000
    leaves = Leaves.measure(rows, of_row, metric="cosine")
    assert leaves.of_row.dtype == np.uint32
    found, _ = recall(leaves, rows, QUERIES, [np.arange(2000, dtype=np.uint32)] * len(QUERIES), 10, "cosine")
    assert found >= 0.97


def test_segments_larger_than_what_is_sampled() -> None:
    rows = clustered(70_000, 16, seed=21)
    leaves = Leaves.measure(rows, partition(rows, 200), metric="cosine")
    queries = rows[:40] + np.random.default_rng(22).normal(0, 0.3, (40, 16)).astype(np.float32)
    for share in (1.0, 0.1):
        matches = positions(np.random.default_rng(23).random(len(rows)) < share)
        found, looked = recall(leaves, rows, queries, [matches] * len(queries), 10, "cosine")
        assert found >= 0.97
        assert looked < 0.1


def test_what_is_saved_is_what_is_loaded(tmp_path: Path) -> None:
    rows = CLUSTERED[:5000]
    kept = rows.copy()
    rows.flags.writeable = False
    leaves = Leaves.measure(rows, partition(rows, 60), metric="cosine")
    assert np.array_equal(rows, kept)
    leaves.save(tmp_path)
    loaded = Leaves.load(tmp_path)
    matches = positions(np.random.default_rng(12).random(len(rows)) < 0.5)
    for query in QUERIES[:10]:
        one = leaves.nearest(rows, query, leaves.group(matches), k=10)
        other = loaded.nearest(rows, query, loaded.group(matches), k=10)
        assert one.neighbours.rows.tolist() == other.neighbours.rows.tolist()
        assert (one.rows, one.leaves) == (other.rows, other.leaves)
    assert leaves.cost(500, 10) == loaded.cost(500, 10)
    assert loaded.calibration.arrays().keys() == leaves.calibration.arrays().keys()
    bytes_a_row = sum(path.stat().st_size for path in tmp_path.glob("*.npy")) / len(rows)
    assert bytes_a_row < 18.1


def test_the_same_seed_gives_the_same_files(tmp_path: Path) -> None:
    rows = CLUSTERED[:3000]
    contents = []
    for name in ("one", "other"):
        folder = tmp_path / name
        folder.mkdir()
        Leaves.measure(rows, partition(rows, 40), metric="euclidean", seed=7).save(folder)
        contents.append({path.name: path.read_bytes() for path in sorted(folder.iterdir())})
    assert contents[0] == contents[1]


@pytest.mark.parametrize("name", ["leaves.npz", "leaf_of_row.npy", "leaf_sketches.npy"])
@pytest.mark.parametrize("damage", ["gone", "cut", "other"])
def test_damaged_files_are_named(tmp_path: Path, name: str, damage: str) -> None:
    rows = CLUSTERED[:1000]
    Leaves.measure(rows, partition(rows, 20), metric="cosine").save(tmp_path)
    path = tmp_path / name
    if damage == "gone":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:100])
    elif name == "leaf_of_row.npy":
        np.save(path, np.zeros(999, dtype=np.uint16))
    else:
        with path.open("wb") as file:
            np.savez(file, format=np.array(99))
    with pytest.raises(Corrupted, match="leaves.npz"):
        Leaves.load(tmp_path)


def test_the_cost_is_what_is_looked_at_on_average(measured: tuple[Leaves, np.ndarray, str]) -> None:
    leaves, rows, _ = measured
    rng = np.random.default_rng(13)
    for share, k in ((0.5, 10), (0.1, 10), (0.5, 100)):
        grouped = leaves.group(positions(rng.random(len(rows)) < share))
        own = np.mean([leaves.nearest(rows, query, grouped, k=k).rows for query in rows[:60]])
        assert own / 4 <= leaves.cost(len(grouped), k) <= own * 4
    assert leaves.cost(100, 10) <= 100
    assert leaves.cost(5, 10) == 5
    costs = [leaves.cost(10_000, k) for k in (1, 10, 100, 1000)]
    assert costs == sorted(costs)
    assert leaves.cost(10_000, 10, recall_target=0.9) <= leaves.cost(10_000, 10, recall_target=0.999)
    assert leaves.cost(10_000, 10, recall_target=1.0) == 10_000


def test_nothing_measured_means_that_everything_is_looked_at() -> None:
    nothing = Calibration.none()
    assert nothing.reach(0.02, 10) == float("inf")
    assert nothing.looked(5000, 10, lost=0.02) == 5000
    assert first_looked(1) > 1


def test_weighted_differences_are_counted_bit_by_bit() -> None:
    rng = np.random.default_rng(14)
    coordinates = rng.standard_normal((5000, sketch.BITS)).astype(np.float32)
    query = rng.standard_normal(sketch.BITS).astype(np.float32)
    planes, unit = sketch.planes(query)
    got = sketch.differences(np.ascontiguousarray(sketch.encode(coordinates).T), planes)
    # The odd number nearest to each coordinate of the query, and its product with the signs, from their definition.
    odd = np.clip(2 * np.floor(query.astype(float) / (2 * unit)) + 1, -7, 7)
    products = np.where(coordinates >= 0, 1, -1) @ odd
    np.testing.assert_array_equal(sketch.MOST - 2 * got, products)


def test_a_query_of_zeros_has_no_weights() -> None:
    planes, unit = sketch.planes(np.zeros(sketch.BITS, dtype=np.float32))
    assert unit == 0.0
    assert planes.shape == (3, sketch.WORDS)


@pytest.mark.parametrize("kind", ["own", "not own", "other", "serial"])
def test_real_embeddings_and_filters_by_meaning(kind: str) -> None:
    folder = TEST_DATA / "wordnet-minilm"
    if not folder.is_dir():
        pytest.skip(f"no wordnet-minilm in {TEST_DATA}; set RAGVEC_TEST_DATA to a folder that has it")
    rows, queries, names, own, leaves = _real(folder)
    rng = np.random.default_rng(15)
    filters = []
    for name in own:
        if kind == "own":
            mask = names == name
        elif kind == "not own":
            mask = names != name
        elif kind == "other":
            mask = names == rng.choice(["noun.artifact", "noun.person", "noun.plant", "noun.act"])
        else:
            start = int(rng.integers(len(rows) * 9 // 10))
            mask = (np.arange(len(rows)) >= start) & (np.arange(len(rows)) < start + len(rows) // 10)
        filters.append(positions(mask))
    enough = [i for i, matches in enumerate(filters) if len(matches) >= 50]
    found, looked = recall(leaves, rows, queries[enough], [filters[i] for i in enough], 10, "cosine")
    assert found >= 0.98
    assert looked < 0.5


_CACHE: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, Leaves]] = []


def _real(folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, Leaves]:
    if not _CACHE:
        vectors = np.load(folder / "vectors.f16.npy", mmap_mode="r")
        chosen = np.arange(0, len(vectors), 5)
        with (folder / "records.jsonl").open(encoding="utf-8") as lines:
            every = np.array([json.loads(line)["metadata"]["lexname"] for line in lines])
        rows, names = np.asarray(vectors[chosen], dtype=np.float32), every[chosen]
        held = np.arange(0, len(rows), len(rows) // 150)
        kept = np.setdiff1d(np.arange(len(rows)), held)
        leaves = Leaves.measure(rows[kept], partition(rows[kept], 190), metric="cosine")
        _CACHE.append((rows[kept], rows[held], names[kept], names[held], leaves))
    return _CACHE[0]
