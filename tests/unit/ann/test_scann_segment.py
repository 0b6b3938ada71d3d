"""ScaNN segments, built for real: recall against a plain numpy search, and everything that may happen to a folder."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from ragvec.ann import tuning
from ragvec.ann.backends import BuildReport, available_backend
from ragvec.ann.scann_segment import ScannBackend, ScannSegment
from ragvec.ann.sealed import seal
from ragvec.errors import Corrupted, StoreError
from ragvec.extras import available
from ragvec.types import FloatMatrix, Metric, RowArray

pytestmark = pytest.mark.skipif(not available("scann"), reason="ScaNN is not installed")

TEST_DATA = Path(os.environ.get("RAGVEC_TEST_DATA", Path(__file__).parents[4] / "shared" / "data"))
ROWS = 20_000
TARGET = 0.98
METRICS: tuple[Metric, ...] = ("cosine", "euclidean")


def clustered(rows: int, dimension: int, *, seed: int, spread: float = 0.4) -> FloatMatrix:
    random = np.random.default_rng(seed)
    centres = random.standard_normal((60, dimension))
    noise = spread * random.standard_normal((rows, dimension))
    return (centres[random.integers(60, size=rows)] + noise).astype(np.float32)


def nearest(rows: FloatMatrix, queries: FloatMatrix, *, k: int, metric: Metric) -> list[set[int]]:
    """The plain oracle."""
    x, q = rows.astype(np.float64), queries.astype(np.float64)
    if metric == "cosine":
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        q /= np.linalg.norm(q, axis=1, keepdims=True)
    far = np.square(x).sum(axis=1)[np.newaxis] - 2.0 * q @ x.T
    return [set(row.tolist()) for row in np.argpartition(far, min(k, len(x)) - 1, axis=1)[:, :k]]


def recall(
    segment: ScannSegment, rows: FloatMatrix, queries: FloatMatrix, *, k: int, metric: Metric, effort: float = 1.0
) -> float:
    """The share of the true `k` nearest that exact rescoring of the candidates finds."""
    found = segment.candidates(queries, k=k, effort=effort)
    truth = nearest(rows, queries, k=k, metric=metric)
    return float(np.mean([len(want & set(got.tolist())) / len(want) for want, got in zip(truth, found, strict=True)]))


@pytest.fixture(scope="module")
def embeddings() -> tuple[FloatMatrix, FloatMatrix]:
    """Rows and queries that are not among them: real embeddings where there are any."""
    path = TEST_DATA / "wordnet-minilm" / "vectors.f16.npy"
    if path.is_file():
        stored = np.load(path, mmap_mode="r")
        chosen = np.sort(np.random.default_rng(3).choice(len(stored), ROWS + 300, replace=False))
        every = stored[chosen].astype(np.float32)
    else:
        every = clustered(ROWS + 300, 96, seed=3)
    order = np.random.default_rng(4).permutation(len(every))
    return np.ascontiguousarray(every[order[:ROWS]]), np.ascontiguousarray(every[order[ROWS:]])


class Built:
    def __init__(self, rows: FloatMatrix, queries: FloatMatrix, metric: Metric, folder: Path) -> None:
        self.rows, self.queries, self.metric, self.folder = rows, queries, metric, folder
        before = rows.copy()
        self.report = ScannBackend(threads=2).build(rows, metric=metric, recall_target=TARGET, folder=folder)
        assert np.array_equal(rows, before)
        self.segment = ScannBackend().open(folder)


@pytest.fixture(scope="module", params=METRICS)
def built(
    request: pytest.FixtureRequest,
    embeddings: tuple[FloatMatrix, FloatMatrix],
    tmp_path_factory: pytest.TempPathFactory,
) -> Built:
    rows, queries = embeddings
    used = rows if request.param == "cosine" else rows[: ROWS // 2]
    return Built(used, queries, request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Built:
    rows = clustered(2000, 24, seed=8)
    return Built(rows, clustered(100, 24, seed=8), "cosine", tmp_path_factory.mktemp("small"))


def build(rows: FloatMatrix, folder: Path, *, metric: Metric = "cosine") -> tuple[BuildReport, ScannSegment]:
    folder.mkdir()
    report = ScannBackend(threads=2).build(rows, metric=metric, recall_target=TARGET, folder=folder)
    return report, ScannBackend().open(folder)


@pytest.mark.parametrize("k", [1, 10, 50, 100, 400])
def test_recall_on_unseen_queries_reaches_the_target(built: Built, k: int) -> None:
    # Of the recall of these 300 queries and of those that it was tuned with, the standard deviation is about 0.003.
    assert recall(built.segment, built.rows, built.queries, k=k, metric=built.metric) >= TARGET - 0.005


def test_the_candidates_are_a_small_part_of_the_rows(built: Built) -> None:
    assert max(len(found) for found in built.segment.candidates(built.queries, k=10)) <= 0.02 * len(built.rows)


def test_candidates_are_distinct_positions_and_enough(built: Built) -> None:
    rows = len(built.rows)
    for k in (1, 10, 1000, rows - 1, rows, 3 * rows):
        for found in built.segment.candidates(built.queries[:3], k=k):
            assert found.dtype == np.uint32
            assert len(np.unique(found)) == len(found) >= min(k, rows)
            assert int(found.max()) < rows


def test_the_report_tells_what_was_measured_and_comes_back_from_the_folder(built: Built) -> None:
    report = built.report
    assert (report.rows, report.dimension, report.metric) == (*built.rows.shape, built.metric)
    assert report.recall_at_10 >= TARGET
    assert report.recall_at_100 >= TARGET
    assert [curve[0].k for curve in report.curves] == [10, 100]
    assert tuning.setting(report, k=10) == (report.leaves_to_search, 10 * report.over_fetch)
    assert (report.recall_at_10, report.recall_at_100) == (report.recall(10), report.recall(100))
    assert set(report.stages) == {"projection", "rows", "tree", "measurement"}
    assert sum(report.stages.values()) <= report.seconds
    assert 2 <= report.width <= report.dimension + 8
    assert 1 <= report.leaves_to_search <= report.leaves
    files = {path.name: path.stat().st_size for path in built.folder.iterdir()}
    assert report.bytes == sum(files.values()) - files["report.json"] - files["checksums.json"]
    assert report.bytes < built.rows.size  # a quarter of the float32 rows
    assert built.segment.report == report


def test_more_effort_finds_at_least_as_much(small: Built) -> None:
    levels = [recall(small.segment, small.rows, small.queries, k=10, metric="cosine", effort=e) for e in (0.1, 1, 1e9)]
    assert levels[0] <= levels[1] + 0.01
    assert levels[1] <= levels[2] + 0.01


def test_one_query_finds_what_it_finds_in_a_batch(small: Built) -> None:
    together = small.segment.candidates(small.queries, k=10)
    alone = [small.segment.candidates(query[np.newaxis], k=10)[0] for query in small.queries]
    assert [set(found.tolist()) for found in together] == [set(found.tolist()) for found in alone]
    assert small.segment.candidates(small.queries[:0], k=10) == []


def test_one_query_alone_finds_what_it_finds_in_a_batch(built: Built) -> None:
    for k in (1, 10, 300, len(built.rows)):
        together = built.segment.candidates(built.queries[:40], k=k)
        for query, want in zip(built.queries, together, strict=False):
            got = built.segment.nearest_candidates(query, k=k)
            assert got.dtype == np.uint32
            assert len(np.unique(got)) == len(got) >= k
            # Coordinates are rounded otherwise, so candidates at the end may differ.
            assert len(np.intersect1d(got, want)) >= 0.9 * len(want)


def test_another_target_needs_no_other_build(built: Built) -> None:
    levels = {}
    truth = nearest(built.rows, built.queries, k=10, metric=built.metric)
    for target in (0.7, 0.9, 0.995):
        found = built.segment.candidates(built.queries, k=10, recall_target=target)
        levels[target] = np.mean([len(t & set(f.tolist())) / 10 for t, f in zip(truth, found, strict=True)])
    assert all(level >= target - 0.02 for target, level in levels.items())
    assert levels[0.7] < 0.9 < levels[0.995]
    everything = built.segment.candidates(built.queries[:1], k=10, recall_target=1.0)
    assert len(everything[0]) == len(built.rows)


def test_large_batches_are_worked_off_in_parts(small: Built, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = small.segment.candidates(small.queries, k=10)
    monkeypatch.setattr("ragvec.ann.scann_segment._BATCH_ENTRIES", 1000)
    parts = small.segment.candidates(small.queries, k=10)
    assert [set(found.tolist()) for found in whole] == [set(found.tolist()) for found in parts]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("rows", [1, 5, 50])
def test_a_few_rows_are_all_candidates(tmp_path: Path, rows: int, metric: Metric) -> None:
    report, segment = build(clustered(rows, 8, seed=1), tmp_path / "few", metric=metric)
    assert report.exhaustive
    assert report.recall_at_10 == 1.0
    found = segment.candidates(clustered(2, 8, seed=2), k=3)
    assert [sorted(positions.tolist()) for positions in found] == [list(range(rows))] * 2


@pytest.mark.parametrize("metric", METRICS)
def test_equal_rows_and_duplicates(tmp_path: Path, metric: Metric) -> None:
    _, equal = build(np.ones((3000, 16), dtype=np.float32), tmp_path / "equal", metric=metric)
    assert len(equal.candidates(np.ones((1, 16), dtype=np.float32), k=20)[0]) >= 20
    originals = clustered(300, 48, seed=5)
    rows = np.repeat(originals, 10, axis=0)
    _, copies = build(rows, tmp_path / "copies", metric=metric)
    queries = originals[:100] + np.float32(0.01)
    found = copies.candidates(queries, k=10)
    assert np.mean([np.isin(np.arange(i * 10, i * 10 + 10), found[i]).mean() for i in range(100)]) >= TARGET


@pytest.mark.parametrize(("dimension", "shift"), [(2, 0.0), (64, 1000.0), (700, 0.0)])
def test_unusual_dimensions_and_narrow_cones(tmp_path: Path, dimension: int, shift: float) -> None:
    rows = clustered(3000, dimension, seed=9) + np.float32(shift)
    queries = clustered(150, dimension, seed=9) + np.float32(shift)
    _, segment = build(rows, tmp_path / "cosine")
    assert recall(segment, rows, queries, k=10, metric="cosine") >= 0.96


def test_extreme_magnitudes(tmp_path: Path) -> None:
    rows = clustered(2000, 32, seed=6)
    for name, scale in (("large", 1e18), ("small", 1e-18)):
        scaled = (rows * np.float32(scale)).astype(np.float32)
        _, segment = build(scaled, tmp_path / name, metric="euclidean")
        assert recall(segment, rows, rows[:100], k=10, metric="euclidean") < 2  # finishes, and positions are valid
        found = segment.candidates(scaled[:100], k=10)
        truth = nearest(rows, rows[:100], k=10, metric="euclidean")
        assert np.mean([len(t & set(f.tolist())) / 10 for t, f in zip(truth, found, strict=True)]) >= 0.96


def test_rows_that_no_parameters_serve_are_all_proposed(tmp_path: Path) -> None:
    # Lengths over ten orders of magnitude: the nearest of a long row are the short ones, told apart in the last digits.
    random = np.random.default_rng(2)
    rows = clustered(2500, 64, seed=7) * np.exp(random.normal(0, 4, (2500, 1))).astype(np.float32)
    report, segment = build(rows, tmp_path / "wild", metric="euclidean")
    assert report.exhaustive
    assert recall(segment, rows, rows[:20], k=10, metric="euclidean") == 1.0
    assert sorted(path.name for path in (tmp_path / "wild").iterdir()) == ["checksums.json", "report.json"]


def test_a_segment_opens_wherever_its_folder_is_moved(
    small: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = small.rows
    _, before = build(rows, tmp_path / "here")
    expected = before.candidates(small.queries, k=10)
    moved = tmp_path / "élan vital" / "索引 2"
    moved.parent.mkdir()
    (tmp_path / "here").rename(moved)
    monkeypatch.chdir(moved.parent)
    again = ScannBackend().open(Path("索引 2")).candidates(small.queries, k=10)
    for one, other in zip(expected, again, strict=True):
        assert np.array_equal(np.sort(one), np.sort(other))


def test_an_open_segment_outlives_its_folder(small: Built, tmp_path: Path) -> None:
    _, segment = build(small.rows, tmp_path / "gone")
    expected = segment.candidates(small.queries, k=10)
    for path in (tmp_path / "gone").iterdir():
        path.unlink()
    assert all(map(np.array_equal, expected, segment.candidates(small.queries, k=10)))


def test_rows_lie_in_the_leaf_whose_rows_they_resemble(built: Built) -> None:
    leaves = built.segment.row_leaves()
    assert leaves.dtype == np.uint32
    assert len(leaves) == len(built.rows)
    assert int(leaves.max()) < built.report.leaves
    rows = built.rows.astype(np.float64)
    if built.metric == "cosine":
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)

    def scatter(labels: RowArray) -> float:
        sums = np.zeros((built.report.leaves, rows.shape[1]))
        np.add.at(sums, labels, rows)
        centres = sums / np.maximum(np.bincount(labels, minlength=len(sums)), 1)[:, np.newaxis]
        return float(np.square(rows - centres[labels]).sum())

    assert scatter(leaves) < 0.9 * scatter(np.random.default_rng(0).permutation(leaves))


def test_leaves_are_known_after_the_folder_is_gone(small: Built, tmp_path: Path) -> None:
    _, segment = build(small.rows, tmp_path / "gone")
    expected = segment.row_leaves()
    for path in (tmp_path / "gone").iterdir():
        path.unlink()
    assert np.array_equal(segment.row_leaves(), expected)


def test_an_exhaustive_segment_is_one_leaf(tmp_path: Path) -> None:
    _, segment = build(clustered(7, 3, seed=0), tmp_path / "few")
    assert segment.row_leaves().tolist() == [0] * 7


def test_every_damaged_file_is_detected(small: Built, tmp_path: Path) -> None:
    folder = tmp_path / "damaged"
    build(small.rows, folder)
    for path in sorted(folder.iterdir()):
        sound = path.read_bytes()
        middle = len(sound) // 2
        flipped = sound[:middle] + bytes([sound[middle] ^ 0x10]) + sound[middle + 1 :]
        for bad in (flipped, sound[:-1], sound + b"\0", None):
            path.unlink()
            if bad is not None:
                path.write_bytes(bad)
            with pytest.raises(Corrupted, match=r"damaged.*can be built again") as caught:
                ScannBackend().open(folder)
            assert str(folder) in caught.value.message
            assert caught.value.store == str(folder)
            path.write_bytes(sound)
        ScannBackend().open(folder)


def test_a_damaged_file_is_named_with_its_sizes_and_checksums(small: Built, tmp_path: Path) -> None:
    folder = tmp_path / "segment"
    build(small.rows, folder)
    (folder / "report.json").write_bytes(b"{}")
    with pytest.raises(
        Corrupted, match=r"expected `report.json` of \d+ bytes, CRC-32 \w{8}, got 2 bytes, CRC-32 a3a6bf43"
    ):
        ScannBackend().open(folder)


def test_a_folder_of_another_backend_is_refused(small: Built, tmp_path: Path) -> None:
    folder = tmp_path / "segment"
    build(small.rows, folder)
    text = (folder / "report.json").read_text()
    (folder / "report.json").write_text(text.replace('"backend":"scann"', '"backend":"other"'))
    (folder / "checksums.json").unlink()
    seal(folder)
    with pytest.raises(Corrupted, match="Expected a segment by scann, format 2, got one by other, format 2"):
        ScannBackend().open(folder)


def test_the_same_rows_and_seed_give_the_same_segment_in_any_number_of_threads(small: Built, tmp_path: Path) -> None:
    contents = []
    for threads, seed in ((1, 5), (3, 5), (1, 6)):
        folder = _made(tmp_path / f"{threads}-{seed}")
        ScannBackend(threads=threads).build(small.rows, metric="cosine", recall_target=TARGET, folder=folder, seed=seed)
        contents.append({p.name: p.read_bytes() for p in folder.iterdir() if p.suffix != ".json"})
    assert contents[0] == contents[1]
    assert contents[0] != contents[2]


def test_rows_may_lie_in_a_file(small: Built, tmp_path: Path) -> None:
    small.rows.tofile(tmp_path / "vectors.f32")
    mapped = np.memmap(tmp_path / "vectors.f32", dtype=np.float32, mode="r", shape=small.rows.shape)
    _, segment = build(mapped, tmp_path / "segment")
    assert recall(segment, small.rows, small.queries, k=10, metric="cosine") >= 0.96


def test_several_threads_search_at_once(built: Built) -> None:
    expected = [built.segment.candidates(query[np.newaxis], k=10)[0] for query in built.queries]
    results: dict[int, list[RowArray]] = {}

    def work(number: int) -> None:
        results[number] = [built.segment.candidates(query[np.newaxis], k=10)[0] for query in built.queries]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    for found in results.values():
        assert [set(f.tolist()) for f in found] == [set(f.tolist()) for f in expected]


def run(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, timeout=300, check=False
    )


def test_building_opening_and_searching_print_nothing(tmp_path: Path) -> None:
    done = run(
        "import sys, pathlib, numpy as np\n"
        "from ragvec.ann.scann_segment import ScannBackend\n"
        "folder = pathlib.Path(sys.argv[1]); rows = np.random.default_rng(0).normal(size=(3000, 24)).astype('f4')\n"
        "rows[:500] = 1\n"
        "ScannBackend().build(rows, metric='cosine', recall_target=0.9, folder=folder)\n"
        "ScannBackend().open(folder).candidates(rows[:5], k=10)\n",
        tmp_path,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_forked_child_searches_and_builds(built: Built, tmp_path: Path) -> None:
    done = run(
        "import os, sys, pathlib, warnings, numpy as np\n"
        "from ragvec.ann.scann_segment import ScannBackend\n"
        "segment = ScannBackend().open(pathlib.Path(sys.argv[1]))\n"
        "queries = np.load(sys.argv[2])\n"
        "before = segment.candidates(queries, k=10)\n"
        "tasks = len(os.listdir('/proc/self/task')) if os.path.isdir('/proc/self/task') else 1\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    same = all(map(np.array_equal, before, segment.candidates(queries, k=10)))\n"
        "    folder = pathlib.Path(sys.argv[3])\n"
        "    ScannBackend().build(np.tile(queries, (7, 1)), metric='cosine', recall_target=0.9, folder=folder)\n"
        "    opened = ScannBackend().open(folder).candidates(queries, k=1)\n"
        "    os._exit(0 if same and len(opened) == len(queries) else 9)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), tasks)\n",
        built.folder,
        _saved(built.queries, tmp_path / "queries.npy"),
        _made(tmp_path / "child"),
    )
    code, _ = done.stdout.split()
    assert code == "0", done.stderr


def test_the_package_scann_still_imports_after_its_library(tmp_path: Path) -> None:
    done = run(
        "import numpy as np\n"
        "from ragvec.ann.scann_library import library\n"
        "library()\n"
        "import sys\n"
        "assert 'scann' not in sys.modules and 'tensorflow' not in sys.modules\n"
        "import scann\n"
        "rows = np.eye(4, dtype='f4')\n"
        "builder = scann.scann_ops_pybind.builder(rows, 1, 'dot_product')\n"
        "found, _ = builder.score_brute_force().build().search(rows[2])\n"
        "print(int(found[0]), sys.modules['scann_pybind'] is library())\n"
    )
    assert done.stdout.split() == ["2", "True"], done.stderr


def test_a_full_disk_is_an_error_not_a_broken_segment(tmp_path: Path) -> None:
    # Files may grow to 40,000 bytes: less than the codes of these rows need.
    done = run(
        "import sys, pathlib, resource, numpy as np\n"
        "from ragvec.ann.scann_segment import ScannBackend\n"
        "from ragvec.errors import StoreError\n"
        "rows = np.random.default_rng(0).normal(size=(4000, 24)).astype('f4')\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))\n"
        "try:\n"
        "    ScannBackend().build(rows, metric='cosine', recall_target=0.9, folder=pathlib.Path(sys.argv[1]))\n"
        "except (StoreError, OSError) as error:\n"
        "    print(type(error).__name__)\n",
        tmp_path,
    )
    assert done.stdout.strip() in {StoreError.__name__, Corrupted.__name__, "OSError"}, done.stderr


def test_the_backend_is_chosen_where_it_loads() -> None:
    backend = available_backend()
    assert isinstance(backend, ScannBackend)
    assert backend.name == "scann"


def _saved(array: FloatMatrix, path: Path) -> Path:
    np.save(path, array)
    return path


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
