"""ScaNN segments: what is ScaNN's own, and how tightly they keep the recall target.

What they have in common with others is in test_segment_contract.py."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ragvec.ann import tuning
from ragvec.ann.backends import BuildReport
from ragvec.ann.scann_segment import ScannBackend, ScannSegment
from ragvec.errors import Corrupted
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


def test_a_damaged_file_is_named_with_its_sizes_and_checksums(small: Built, tmp_path: Path) -> None:
    folder = tmp_path / "segment"
    build(small.rows, folder)
    (folder / "report.json").write_bytes(b"{}")
    with pytest.raises(
        Corrupted, match=r"expected `report.json` of \d+ bytes, CRC-32 \w{8}, got 2 bytes, CRC-32 a3a6bf43"
    ):
        ScannBackend().open(folder)


def run(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, timeout=300, check=False
    )


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
