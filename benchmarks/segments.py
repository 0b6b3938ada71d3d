"""What a ScaNN segment costs and finds on real embeddings, beside exact search in numpy.

    python benchmarks/segments.py [--data FOLDER] [--rows N] [--metric cosine|euclidean]

Caveats first. Queries are 300 embeddings left out of the index, so they resemble its rows; questions to a RAG index are
harder, and the settings that ragvec tunes ("tuned" below) are chosen for those. Times are processor time in one thread,
one query at a time, exact rescoring from rows in memory included; on a machine with other work they vary by a fifth.
Over a cold memory map the first queries wait for the disk as well. Recall is the share of the true nearest rows.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np

from ragvec.ann import tuning
from ragvec.ann.backends import OperatingPoint
from ragvec.ann.exact import nearest, rescore
from ragvec.ann.scann_segment import ScannBackend, ScannSegment
from ragvec.distance import row_norms
from ragvec.types import FloatMatrix, Metric

QUERIES = 300
LEAVES = (8, 16, 32, 64, 128)
OVER_FETCH = (2.0, 4.0, 8.0)
KS = (10, 100)


def load(folder: Path, *, rows: int | None) -> tuple[FloatMatrix, FloatMatrix]:
    stored = np.load(folder / "wordnet-minilm" / "vectors.f16.npy", mmap_mode="r")
    order = np.random.default_rng(0).permutation(len(stored))
    queries, indexed = order[:QUERIES], np.sort(order[QUERIES:][:rows])
    return stored[indexed].astype(np.float32), stored[queries].astype(np.float32)


def microseconds(search: Callable[[FloatMatrix], object], queries: FloatMatrix) -> float:
    """Processor time of one query, the best of three passes."""
    passes = []
    for _ in range(3):
        start = time.process_time()
        for query in queries:
            search(query)
        passes.append((time.process_time() - start) / len(queries) * 1e6)
    return min(passes)


def measure(
    segment: ScannSegment, rows: FloatMatrix, queries: FloatMatrix, truth: list[set[int]], *, k: int, metric: Metric
) -> tuple[float, float]:
    """Recall at `k`, and microseconds a query with exact rescoring."""

    def search(query: FloatMatrix) -> set[int]:
        (candidates,) = segment.candidates(query[np.newaxis], k=k)
        return set(rescore(rows, query, candidates=candidates, k=k, metric=metric).rows[:k].tolist())

    recall = np.mean([len(search(query) & want) / k for query, want in zip(queries, truth, strict=True)])
    return float(recall), microseconds(search, queries)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("RAGVEC_TEST_DATA", beside)))
    parser.add_argument("--rows", type=int, help="fewer rows than there are")
    parser.add_argument("--metric", choices=("cosine", "euclidean"), default="cosine")
    options = parser.parse_args()
    rows, queries = load(options.data, rows=options.rows)
    metric: Metric = options.metric
    norms = row_norms(rows)
    found = nearest(rows, queries, k=max(KS), metric=metric, norms=norms)
    truth = {k: [set(neighbours.rows[:k].tolist()) for neighbours in found] for k in KS}

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        started = time.process_time()
        report = ScannBackend().build(rows, metric=metric, recall_target=0.98, folder=folder)
        processor = time.process_time() - started
        started = time.perf_counter()
        segment = ScannBackend().open(folder)
        opened = time.perf_counter() - started
    print(f"{len(rows):,} rows of {rows.shape[1]} dimensions, {metric}; {len(queries)} queries that are not among them")
    print(
        f"build {report.seconds:.1f} s ({processor:.1f} s of processor time), open {opened:.2f} s, "
        f"{report.bytes / len(rows):.0f} bytes a vector on disk, {report.leaves} leaves"
    )
    print(f"\n{'':>24} {'recall@10':>10} {'µs':>7} {'recall@100':>11} {'µs':>7}")

    def line(label: str, results: list[tuple[float, float]]) -> None:
        (ten, ten_us), (hundred, hundred_us) = results
        print(f"{label:>24} {ten:>10.3f} {ten_us:>7.0f} {hundred:>11.3f} {hundred_us:>7.0f}")

    few = queries[:40]
    peers = []
    for k in KS:

        def by_numpy(query: FloatMatrix, k: int = k) -> object:
            scores = rows @ query if metric == "cosine" else rows @ query - norms * norms / 2
            return np.argpartition(-scores, k)[:k]

        peers.append((1.0, microseconds(by_numpy, few)))
    line("exact, numpy", peers)
    line(
        "exact, ragvec",
        [(1.0, microseconds(lambda q, k=k: nearest(rows, q[None], k=k, metric=metric, norms=norms), few)) for k in KS],
    )
    tuned = [tuning.setting(report, k=k) for k in KS]
    line("tuned", [measure(segment, rows, queries, truth[k], k=k, metric=metric) for k in KS])
    for leaves in LEAVES:
        for factor in OVER_FETCH:
            results = []
            for k in KS:
                fixed = OperatingPoint(k=k, leaves=leaves, over_fetch=factor, recall=0.0)
                segment.report = msgspec.structs.replace(report, points=(fixed,), exhaustive=False)
                results.append(measure(segment, rows, queries, truth[k], k=k, metric=metric))
            line(f"{leaves} leaves × {factor:g}", results)
    print(
        "\ntuned: " + "; ".join(f"k={k}: {at[0]} leaves, {at[1]} candidates" for k, at in zip(KS, tuned, strict=True))
    )


if __name__ == "__main__":
    main()
