"""What a ScaNN segment costs and finds on real embeddings, beside exact search in numpy.

    python benchmarks/segments.py [--data FOLDER] [--rows N] [--metric cosine|euclidean]

Caveats first. Queries are 300 embeddings left out of the index, so they resemble its rows; questions to a RAG index are
harder. Times are processor time in one thread, one query at a time: of the segment ("first") and with exact rescoring
from rows in memory ("all"); on a machine with other work they vary by a fifth. Over a cold memory map the first queries
wait for the disk as well. Recall is the share of the true nearest rows, to about 0.004.
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

import numpy as np

from ragvec.ann import tuning
from ragvec.ann.exact import nearest, rescore
from ragvec.ann.scann_segment import ScannBackend, ScannSegment
from ragvec.distance import row_norms
from ragvec.types import FloatMatrix, FloatVector, Metric

QUERIES = 300
TARGETS = (0.9, 0.95, 0.98, 0.99, 0.995, 0.999)
KS = (10, 100, 1000)


def load(folder: Path, *, rows: int | None) -> tuple[FloatMatrix, FloatMatrix]:
    stored = np.load(folder / "wordnet-minilm" / "vectors.f16.npy", mmap_mode="r")
    order = np.random.default_rng(0).permutation(len(stored))
    queries, indexed = order[:QUERIES], np.sort(order[QUERIES:][:rows])
    return stored[indexed].astype(np.float32), stored[queries].astype(np.float32)


def microseconds(search: Callable[[FloatVector], object], queries: FloatMatrix) -> float:
    """Processor time of one query, the best of three passes."""
    passes = []
    for _ in range(3):
        start = time.process_time()
        for query in queries:
            search(query)
        passes.append((time.process_time() - start) / len(queries) * 1e6)
    return min(passes)


def measure(
    segment: ScannSegment,
    rows: FloatMatrix,
    queries: FloatMatrix,
    truth: list[set[int]],
    *,
    k: int,
    metric: Metric,
    target: float,
) -> tuple[float, float, float]:
    """Recall at `k`, and microseconds a query without and with exact rescoring."""

    def propose(query: FloatVector) -> object:
        return segment.nearest_candidates(query, k=k, recall_target=target)

    def search(query: FloatVector) -> set[int]:
        candidates = segment.nearest_candidates(query, k=k, recall_target=target)
        return set(rescore(rows, query, candidates=candidates, k=k, metric=metric).rows[:k].tolist())

    recall = np.mean([len(search(query) & want) / k for query, want in zip(queries, truth, strict=True)])
    return float(recall), microseconds(propose, queries), microseconds(search, queries)


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
    stages = ", ".join(f"{name} {seconds:.1f}" for name, seconds in report.stages.items())
    print(
        f"build {report.seconds:.1f} s ({stages}; {processor:.1f} s of processor time), open {opened:.2f} s, "
        f"{report.bytes / len(rows):.0f} bytes a vector on disk, {report.leaves} leaves, {report.width} coordinates"
    )
    few = queries[:40]
    for k in KS:

        def by_numpy(query: FloatVector, k: int = k) -> object:
            scores = rows @ query if metric == "cosine" else rows @ query - norms * norms / 2
            return np.argpartition(-scores, k)[:k]

        def exactly(query: FloatVector, k: int = k) -> object:
            return nearest(rows, query[np.newaxis], k=k, metric=metric, norms=norms)

        print(f"\n{f'k = {k}':>16} {'leaves':>7} {'candidates':>11} {'recall':>7} {'first µs':>9} {'all µs':>8}")
        for name, search in (("exact, numpy", by_numpy), ("exact, ragvec", exactly)):
            print(f"{name:>16} {'':>7} {len(rows):>11} {1.0:>7.4f} {'':>9} {microseconds(search, few):>8.0f}")
        for target in TARGETS:
            leaves, count = tuning.setting(report, k=k, recall_target=target)
            recall, first, whole = measure(segment, rows, queries, truth[k], k=k, metric=metric, target=target)
            print(f"{f'target {target:g}':>16} {leaves:>7} {count:>11} {recall:>7.4f} {first:>9.0f} {whole:>8.0f}")


if __name__ == "__main__":
    main()
