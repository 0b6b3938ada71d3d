"""Where the microseconds of one query go: ten nearest, keys and distances, one thread, real embeddings.

    python benchmarks/stages.py [--rows N]

Each line does what the one above does and one thing more, over the same 2,000 queries in the same loop, so that caches
are as cold as in use: the difference is what that thing costs there. Processor time, the best of five passes. Timed
alone, in a loop of its own, each thing takes about half of that.
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

import ragvec
from benchmarks.data import collection
from ragvec.ann.few import Few
from ragvec.distance import Probe

QUERIES = 2000


def microseconds(step: Callable[[np.ndarray], object], queries: np.ndarray) -> float:
    """Processor time of one query."""
    passes = []
    for _ in range(5):
        began = time.thread_time()
        for query in queries:
            step(query)
        passes.append((time.thread_time() - began) / len(queries) * 1e6)
    return min(passes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, help="only the first rows")
    parser.add_argument("--data", default="real", help="the collection")
    options = parser.parse_args()
    data = collection(options.data)
    rows = np.asarray(data.rows if options.rows is None else data.part(options.rows).rows)
    asked = np.asarray(data.queries)
    noise = np.random.default_rng(0).normal(scale=0.01, size=(QUERIES, rows.shape[1]))
    queries = (np.resize(asked, (QUERIES, rows.shape[1])) + noise).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder, ragvec.Store(Path(folder) / "store") as store:
        index = store.create_bucket("bench").create_index("rows", dimension=rows.shape[1])
        index.put([f"k{n:07d}" for n in range(len(rows))], rows)
        index.optimize()
        engine = store.engine.index(index.spec)
        snapshot = engine.snapshot()
        (segment,) = snapshot.segments()
        ann, projection, searcher = segment.ann, segment.ann._projection, segment.ann._searcher
        leaves, count = ann._setting(10, 1.0, 0.98)
        stored = snapshot.generation.vectors.rows(snapshot.rows)
        tile = np.empty((count, rows.shape[1]), dtype=np.float32)

        def propose(query: np.ndarray) -> np.ndarray:
            return ann.nearest_candidates(query, k=10, effort=1.0, recall_target=0.98)

        def gather(query: np.ndarray) -> np.ndarray:
            found = propose(query)
            return stored.take(found, axis=0, out=tile[: len(found)], mode="clip")

        def rescore(query: np.ndarray) -> object:
            few = Few.of(stored, Probe.of(query), norms=segment.norms)
            assert few is not None
            few.look(propose(query))
            return few.settle(10)

        steps: list[tuple[str, Callable[[np.ndarray], object]]] = [
            ("projection of the query to the coordinates of the first pass", projection.query),
            (f"ScaNN's search: {leaves} of {ann.report.leaves} leaves, {count} candidates",
             lambda query: searcher.search(projection.query(query), count, count, leaves)),
            ("its gate and settings", propose),
            ("the candidates' rows from the memory map", gather),
            ("products, selection, exact distances in float64, order", rescore),
            ("snapshot, plan, keys, guards: the engine", lambda query: engine.search(query[np.newaxis], k=10)),
            ("argument checks and the result: index.query", lambda query: index.query(query, metadata=False)),
            ("metadata of the ten, decoded", index.query),
        ]  # fmt: skip
        print(f"{len(rows):,} × {rows.shape[1]}, recall target 0.98, {QUERIES:,} queries\n")
        print(f"{'step':<66} {'µs':>7} {'more':>7}")
        before = 0.0
        for name, step in steps:
            microseconds(step, queries[:100])
            taken = microseconds(step, queries)
            print(f"{name:<66} {taken:>7.1f} {taken - before:>+7.1f}")
            before = taken


if __name__ == "__main__":
    main()
