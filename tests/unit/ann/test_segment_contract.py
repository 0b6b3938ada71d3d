"""What every backend's segments promise, with each library that is there: recall against a plain numpy search, and
everything that may happen to a folder."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import threading
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from ragvec.ann.backends import AnnBackend, AnnSegment, BuildReport, available_backend
from ragvec.ann.sealed import seal
from ragvec.errors import Corrupted, StoreError
from ragvec.extras import available
from ragvec.types import FloatMatrix, Metric, RowArray

TEST_DATA = Path(os.environ.get("RAGVEC_TEST_DATA", Path(__file__).parents[4] / "shared" / "data"))
ROWS = 8_000
TARGET = 0.98
METRICS: tuple[Metric, ...] = ("cosine", "euclidean")
LIBRARIES = [
    pytest.param(name, marks=pytest.mark.skipif(not available(name), reason=f"{name} is not installed"))
    for name in ("scann", "faiss")
]
FORKS = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")


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


def share(truth: list[set[int]], found: list[RowArray]) -> float:
    return float(np.mean([len(want & set(got.tolist())) / len(want) for want, got in zip(truth, found, strict=True)]))


def recall(
    segment: AnnSegment, rows: FloatMatrix, queries: FloatMatrix, *, k: int, metric: Metric, effort: float = 1.0
) -> float:
    """The share of the true `k` nearest that exact rescoring of the candidates finds."""
    return share(nearest(rows, queries, k=k, metric=metric), segment.candidates(queries, k=k, effort=effort))


def backend_of(name: str, *, threads: int | None = 2) -> AnnBackend:
    backend = available_backend(name, threads=threads)
    assert backend is not None
    assert backend.name == name
    return backend


class Built:
    def __init__(self, name: str, rows: FloatMatrix, queries: FloatMatrix, metric: Metric, folder: Path) -> None:
        self.name, self.rows, self.queries, self.metric, self.folder = name, rows, queries, metric, folder
        before = rows.copy()
        self.report = backend_of(name).build(rows, metric=metric, recall_target=TARGET, folder=folder)
        assert np.array_equal(rows, before)
        self.segment = backend_of(name).open(folder)


@pytest.fixture(scope="module", params=LIBRARIES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


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


@pytest.fixture(scope="module", params=METRICS)
def built(
    request: pytest.FixtureRequest,
    name: str,
    embeddings: tuple[FloatMatrix, FloatMatrix],
    tmp_path_factory: pytest.TempPathFactory,
) -> Built:
    rows, queries = embeddings
    used = rows if request.param == "cosine" else rows[: ROWS // 2]
    return Built(name, used, queries, request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def small(name: str, tmp_path_factory: pytest.TempPathFactory) -> Built:
    rows = clustered(2000, 24, seed=8)
    return Built(name, rows, clustered(100, 24, seed=8), "cosine", tmp_path_factory.mktemp("small"))


def build(name: str, rows: FloatMatrix, folder: Path, *, metric: Metric = "cosine") -> tuple[BuildReport, AnnSegment]:
    folder.mkdir()
    report = backend_of(name).build(rows, metric=metric, recall_target=TARGET, folder=folder)
    return report, backend_of(name).open(folder)


@pytest.mark.parametrize("k", [1, 10, 50, 100, 400])
def test_recall_on_unseen_queries_reaches_the_target(built: Built, k: int) -> None:
    # 300 queries measure a recall of 0.98 to within 0.004 or so.
    assert recall(built.segment, built.rows, built.queries, k=k, metric=built.metric) >= TARGET - 0.01


def test_the_candidates_are_a_small_part_of_the_rows(built: Built) -> None:
    assert max(len(found) for found in built.segment.candidates(built.queries, k=10)) <= 0.03 * len(built.rows)


def test_candidates_are_distinct_positions_and_enough(built: Built) -> None:
    rows = len(built.rows)
    for k in (1, 10, 1000, rows - 1, rows, 3 * rows):
        for found in built.segment.candidates(built.queries[:3], k=k):
            assert found.dtype == np.uint32
            assert len(np.unique(found)) == len(found) >= min(k, rows)
            assert int(found.max()) < rows


def test_candidates_are_roughly_in_the_order_of_their_distances(built: Built) -> None:
    # The nearest row is among the first tenth of what is proposed, nearly always.
    truth = nearest(built.rows, built.queries, k=1, metric=built.metric)
    found = [row[: max(3, len(row) // 10)] for row in built.segment.candidates(built.queries, k=100)]
    assert share(truth, found) >= 0.95


def test_the_report_tells_what_was_measured_and_comes_back_from_the_folder(built: Built) -> None:
    report = built.report
    assert (report.rows, report.dimension, report.metric) == (*built.rows.shape, built.metric)
    assert report.recall_at_10 >= TARGET
    assert report.recall_at_100 >= TARGET
    assert 1 <= report.leaves_to_search <= report.leaves
    files = {path.name: path.stat().st_size for path in built.folder.iterdir()}
    assert report.bytes == sum(files.values()) - files["report.json"] - files["checksums.json"]
    assert report.bytes < built.rows.size  # a quarter of the float32 rows
    assert built.segment.report == report


def test_a_higher_target_needs_no_other_build(built: Built) -> None:
    truth = nearest(built.rows, built.queries, k=10, metric=built.metric)
    levels = [share(truth, built.segment.candidates(built.queries, k=10, recall_target=t)) for t in (0.9, 0.995, 1.0)]
    assert levels[0] >= 0.88
    assert levels[1] >= 0.985
    assert levels[2] == 1.0


def test_more_effort_finds_at_least_as_much(small: Built) -> None:
    efforts = (0.1, 1, 4, math.inf)
    levels = [recall(small.segment, small.rows, small.queries, k=10, metric="cosine", effort=e) for e in efforts]
    assert all(less <= more + 0.01 for less, more in pairwise(levels))
    assert levels[-1] == 1.0


def test_one_query_finds_what_it_finds_in_a_batch(small: Built) -> None:
    together = small.segment.candidates(small.queries, k=10)
    alone = [small.segment.candidates(query[np.newaxis], k=10)[0] for query in small.queries]
    single = [small.segment.nearest_candidates(query, k=10) for query in small.queries]
    assert [set(found.tolist()) for found in together] == [set(found.tolist()) for found in alone]
    # A query alone is projected by a shorter way, which may round otherwise.
    assert np.mean([np.isin(one, other).mean() for one, other in zip(single, alone, strict=True)]) >= 0.99
    assert small.segment.candidates(small.queries[:0], k=10) == []


def test_every_row_has_a_leaf_of_rows_alike(small: Built) -> None:
    leaves = small.segment.row_leaves()
    assert (leaves.dtype, leaves.shape) == (np.uint32, (len(small.rows),))
    assert int(leaves.max()) < small.report.leaves
    leaves[0] = 7  # the caller's own
    assert np.array_equal(small.segment.row_leaves()[1:], leaves[1:])
    units = small.rows / np.linalg.norm(small.rows, axis=1, keepdims=True)
    within = sum(
        float(np.square(units[leaves == leaf] - units[leaves == leaf].mean(axis=0)).sum())
        for leaf in np.unique(leaves[1:])
    )
    assert within < 0.6 * float(np.square(units - units.mean(axis=0)).sum())


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("rows", [1, 5, 50])
def test_a_few_rows_are_all_candidates(name: str, tmp_path: Path, rows: int, metric: Metric) -> None:
    report, segment = build(name, clustered(rows, 8, seed=1), tmp_path / "few", metric=metric)
    assert report.exhaustive
    assert report.recall_at_10 == 1.0
    found = segment.candidates(clustered(2, 8, seed=2), k=3)
    assert [sorted(positions.tolist()) for positions in found] == [list(range(rows))] * 2
    assert segment.row_leaves().tolist() == [0] * rows


@pytest.mark.parametrize("metric", METRICS)
def test_equal_rows_and_duplicates(name: str, tmp_path: Path, metric: Metric) -> None:
    _, equal = build(name, np.ones((3000, 16), dtype=np.float32), tmp_path / "equal", metric=metric)
    assert len(equal.candidates(np.ones((1, 16), dtype=np.float32), k=20)[0]) >= 20
    originals = clustered(300, 48, seed=5)
    rows = np.repeat(originals, 10, axis=0)
    _, copies = build(name, rows, tmp_path / "copies", metric=metric)
    queries = originals[:100] + np.float32(0.01)
    found = copies.candidates(queries, k=10)
    assert np.mean([np.isin(np.arange(i * 10, i * 10 + 10), found[i]).mean() for i in range(100)]) >= 0.96


@pytest.mark.parametrize(("dimension", "shift"), [(2, 0.0), (7, 0.0), (64, 1000.0), (600, 0.0)])
def test_unusual_dimensions_and_narrow_cones(name: str, tmp_path: Path, dimension: int, shift: float) -> None:
    rows = clustered(2000, dimension, seed=9) + np.float32(shift)
    queries = clustered(150, dimension, seed=9) + np.float32(shift)
    _, segment = build(name, rows, tmp_path / "cosine")
    assert recall(segment, rows, queries, k=10, metric="cosine") >= 0.96


@pytest.mark.parametrize("scale", [1e18, 1e-18])
def test_extreme_magnitudes(name: str, tmp_path: Path, scale: float) -> None:
    rows = clustered(2000, 32, seed=6)
    scaled = (rows * np.float32(scale)).astype(np.float32)
    _, segment = build(name, scaled, tmp_path / "scaled", metric="euclidean")
    truth = nearest(rows, rows[:100], k=10, metric="euclidean")
    assert share(truth, segment.candidates(scaled[:100], k=10)) >= 0.96


def test_rows_that_no_parameters_serve_are_all_proposed(name: str, tmp_path: Path) -> None:
    # Lengths over ten orders of magnitude: the nearest of a long row are the short ones, told apart in the last digits.
    random = np.random.default_rng(2)
    rows = clustered(2500, 64, seed=7) * np.exp(random.normal(0, 4, (2500, 1))).astype(np.float32)
    report, segment = build(name, rows, tmp_path / "wild", metric="euclidean")
    assert report.exhaustive
    assert recall(segment, rows, rows[:20], k=10, metric="euclidean") == 1.0
    assert sorted(path.name for path in (tmp_path / "wild").iterdir()) == ["checksums.json", "report.json"]


def test_a_segment_opens_wherever_its_folder_is_moved(
    small: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, before = build(small.name, small.rows, tmp_path / "here")
    expected = before.candidates(small.queries, k=10)
    moved = tmp_path / "élan vital" / "索引 2"
    moved.parent.mkdir()
    (tmp_path / "here").rename(moved)
    monkeypatch.chdir(moved.parent)
    again = backend_of(small.name).open(Path("索引 2")).candidates(small.queries, k=10)
    for one, other in zip(expected, again, strict=True):
        assert np.array_equal(np.sort(one), np.sort(other))


def test_an_open_segment_outlives_its_folder(small: Built, tmp_path: Path) -> None:
    _, segment = build(small.name, small.rows, tmp_path / "gone")
    expected, leaves = segment.candidates(small.queries, k=10), small.segment.row_leaves()
    for path in (tmp_path / "gone").iterdir():
        path.unlink()
    assert all(map(np.array_equal, expected, segment.candidates(small.queries, k=10)))
    assert np.array_equal(segment.row_leaves(), leaves)


def test_every_damaged_file_is_detected(small: Built, tmp_path: Path) -> None:
    folder = tmp_path / "damaged"
    build(small.name, small.rows, folder)
    for path in sorted(folder.iterdir()):
        sound = path.read_bytes()
        middle = len(sound) // 2
        flipped = sound[:middle] + bytes([sound[middle] ^ 0x10]) + sound[middle + 1 :]
        for bad in (flipped, sound[:-1], sound + b"\0", None):
            path.unlink()
            if bad is not None:
                path.write_bytes(bad)
            with pytest.raises(Corrupted, match=r"damaged.*can be built again") as caught:
                backend_of(small.name).open(folder)
            assert str(folder) in caught.value.message
            assert caught.value.store == str(folder)
            path.write_bytes(sound)
        backend_of(small.name).open(folder)


def test_files_with_right_checksums_and_wrong_content_are_detected(small: Built, tmp_path: Path) -> None:
    folder = tmp_path / "wrong"
    build(small.name, small.rows, folder)
    library_files = {path.name for path in folder.iterdir()} - {"checksums.json", "report.json", "projection.npz"}
    for file in ("report.json", *sorted(library_files & {"index.faiss", "row_leaves.npy"})):
        sound = (folder / file).read_bytes()
        (folder / file).write_bytes(sound[: len(sound) // 2])
        (folder / "checksums.json").unlink()
        seal(folder)
        with pytest.raises(Corrupted, match=r"wrong"):
            backend_of(small.name).open(folder)
        (folder / file).write_bytes(sound)


def test_a_folder_of_another_backend_is_refused(small: Built, tmp_path: Path) -> None:
    folder = tmp_path / "segment"
    build(small.name, small.rows, folder)
    text = (folder / "report.json").read_text()
    (folder / "report.json").write_text(text.replace(f'"backend":"{small.name}"', '"backend":"other"'))
    (folder / "checksums.json").unlink()
    seal(folder)
    with pytest.raises(Corrupted, match=rf"Expected a segment by {small.name}, format \d, got one by other, format \d"):
        backend_of(small.name).open(folder)


def test_the_same_rows_and_seed_give_the_same_segment_in_any_number_of_threads(small: Built, tmp_path: Path) -> None:
    contents = []
    for threads, seed in ((1, 5), (3, 5), (1, 6)):
        folder = _made(tmp_path / f"{threads}-{seed}")
        backend_of(small.name, threads=threads).build(
            small.rows, metric="cosine", recall_target=TARGET, folder=folder, seed=seed
        )
        contents.append({p.name: p.read_bytes() for p in folder.iterdir() if p.suffix != ".json"})
    assert contents[0] == contents[1]
    assert contents[0] != contents[2]


def test_rows_may_lie_in_a_file(small: Built, tmp_path: Path) -> None:
    small.rows.tofile(tmp_path / "vectors.f32")
    mapped = np.memmap(tmp_path / "vectors.f32", dtype=np.float32, mode="r", shape=small.rows.shape)
    _, segment = build(small.name, mapped, tmp_path / "segment")
    assert recall(segment, small.rows, small.queries, k=10, metric="cosine") >= 0.96


def test_several_threads_search_at_once(built: Built) -> None:
    queries = built.queries[:100]
    expected = [built.segment.nearest_candidates(query, k=10) for query in queries]
    results: dict[int, list[RowArray]] = {}

    def work(number: int) -> None:
        results[number] = [built.segment.nearest_candidates(query, k=10) for query in queries]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    for found in results.values():
        assert all(map(np.array_equal, found, expected))


def run(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, timeout=300, check=False
    )


def test_building_opening_and_searching_print_nothing(name: str, tmp_path: Path) -> None:
    done = run(
        "import sys, pathlib, numpy as np\n"
        "from ragvec.ann.backends import available_backend\n"
        "backend = available_backend(sys.argv[1]); folder = pathlib.Path(sys.argv[2])\n"
        "rows = np.random.default_rng(0).normal(size=(3000, 24)).astype('f4')\n"
        "rows[:500] = 1\n"
        "backend.build(rows, metric='cosine', recall_target=0.9, folder=folder)\n"
        "backend.open(folder).candidates(rows[:5], k=10)\n",
        name,
        tmp_path,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@FORKS
def test_a_forked_child_searches_and_builds(small: Built, tmp_path: Path) -> None:
    done = run(
        "import os, sys, pathlib, numpy as np\n"
        "from ragvec.ann.backends import available_backend\n"
        "backend = available_backend(sys.argv[1], threads=2); queries = np.load(sys.argv[3])\n"
        "rows = np.tile(queries, (12, 1))\n"
        "def built(folder):\n"
        "    backend.build(rows, metric='cosine', recall_target=0.9, folder=folder)\n"
        "    return backend.open(folder).candidates(queries, k=1)\n"
        "segment = backend.open(pathlib.Path(sys.argv[2]))\n"
        "before, own = segment.candidates(queries, k=10), built(pathlib.Path(sys.argv[4]))\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    same = all(map(np.array_equal, before, segment.candidates(queries, k=10)))\n"
        "    os._exit(0 if same and all(map(np.array_equal, own, built(pathlib.Path(sys.argv[5])))) else 9)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n",
        small.name,
        small.folder,
        _saved(small.queries, tmp_path / "queries.npy"),
        _made(tmp_path / "parent"),
        _made(tmp_path / "child"),
    )
    assert done.stdout.split() == ["0"], done.stderr


def test_a_full_disk_is_an_error_not_a_broken_segment(name: str, tmp_path: Path) -> None:
    pytest.importorskip("resource")
    # Files may grow to 40,000 bytes: less than the codes of these rows need.
    done = run(
        "import sys, pathlib, resource, numpy as np\n"
        "from ragvec.ann.backends import available_backend\n"
        "from ragvec.errors import StoreError\n"
        "backend = available_backend(sys.argv[1])\n"
        "rows = np.random.default_rng(0).normal(size=(4000, 24)).astype('f4')\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))\n"
        "try:\n"
        "    backend.build(rows, metric='cosine', recall_target=0.9, folder=pathlib.Path(sys.argv[2]))\n"
        "except (StoreError, OSError) as error:\n"
        "    print(type(error).__name__)\n",
        name,
        tmp_path,
    )
    assert done.stdout.strip() in {StoreError.__name__, Corrupted.__name__, "OSError"}, done.stderr


def _saved(array: FloatMatrix, path: Path) -> Path:
    np.save(path, array)
    return path


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
