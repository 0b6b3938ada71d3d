"""The store as a notebook user meets it, beside numpy on the same rows: writing, opening, searching, with filters.

Caveats first: one process, warm page cache, metadata not returned; numpy holds everything in memory, is not durable,
and gets its filter as a ready array of row numbers. Times are medians; recall is against numpy's exact answer.

    python benchmarks/store.py      real embeddings from $RAGVEC_TEST_DATA or ../shared/data (117,659 × 384), which
                                    need no download; without that folder, made-up clusters
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

import ragvec

QUERIES = 100
HERE = Path(__file__).parent


class Data(NamedTuple):
    """Rows to store, queries near them, and metadata with fields of known selectivity."""

    name: str
    rows: np.ndarray
    queries: np.ndarray
    metadata: list[dict[str, Any]]


def load(limit: int | None) -> Data:
    folder = Path(os.environ.get("RAGVEC_TEST_DATA", HERE.parents[1] / "shared" / "data")) / "wordnet-minilm"
    rng = np.random.default_rng(0)
    if folder.is_dir():
        rows = np.load(folder / "vectors.f16.npy")[:limit].astype(np.float32)
        with (folder / "records.jsonl").open(encoding="utf-8") as lines:
            metadata = [json.loads(line)["metadata"] for line, _ in zip(lines, rows, strict=False)]
        name = "WordNet glosses through all-MiniLM-L6-v2"
    else:
        centres = rng.normal(size=(500, 384)).astype(np.float32)
        rows = centres[rng.integers(500, size=limit or 100_000)] + 0.8 * rng.normal(size=(limit or 100_000, 384))
        rows = rows.astype(np.float32)
        metadata = [{"pos": "noun" if n % 10 < 7 else "verb", "serial": n} for n in range(len(rows))]
        name = "made-up clusters (the folder of real embeddings is absent)"
    chosen = rng.choice(len(rows), QUERIES, replace=False)
    queries = rows[chosen] + 0.015 * rng.normal(size=(QUERIES, rows.shape[1])).astype(np.float32)
    return Data(name, rows, queries.astype(np.float32), metadata)


def milliseconds(run: Callable[[np.ndarray], Any], queries: np.ndarray) -> float:
    run(queries[0])
    times = []
    for query in queries:
        began = time.perf_counter()
        run(query)
        times.append(time.perf_counter() - began)
    return 1000 * statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=None, help="use only so many rows")
    data = load(parser.parse_args().rows)
    keys = [f"k{n:07d}" for n in range(len(data.rows))]
    unit = data.rows / np.linalg.norm(data.rows, axis=1, keepdims=True)
    console = Console()
    with tempfile.TemporaryDirectory() as folder:
        store = ragvec.Store(Path(folder) / "store")
        index = store.create_bucket("bench").create_index("rows", dimension=data.rows.shape[1])
        began = time.perf_counter()
        index.put(keys, data.rows, data.metadata)
        put = time.perf_counter() - began
        began = time.perf_counter()
        index.optimize()
        built = time.perf_counter() - began
        store.close()
        began = time.perf_counter()
        store = ragvec.Store(Path(folder) / "store", read_only=True)
        index = store.bucket("bench").index("rows")
        index.query(data.queries[0])
        opened = time.perf_counter() - began
        stats = index.stats()
        console.print(f"{data.name}: {len(data.rows):,} × {data.rows.shape[1]}, backend {stats.backend}")
        console.print(
            f"put {len(data.rows) / put:,.0f} rows/s durable · segment built in {built:.1f} s "
            f"({sum(s.bytes for s in stats.segments) / max(stats.vectors, 1):.0f} bytes a vector) · "
            f"open and first query {1000 * opened:.0f} ms"
        )
        console.print(table(index, data, unit, keys))
        store.close()


def table(index: ragvec.Index, data: Data, unit: np.ndarray, keys: list[str]) -> Table:
    serial = np.array([entry["serial"] for entry in data.metadata])
    noun = np.array([entry["pos"] == "noun" for entry in data.metadata])
    n = len(keys)
    filters: list[tuple[str, dict[str, Any] | None, np.ndarray]] = [
        ("none", None, np.ones(n, dtype=bool)),
        ("pos = noun", {"pos": "noun"}, noun),
        ("serial < 50%", {"serial": {"$lt": n // 2}}, serial < n // 2),
        ("serial < 10%", {"serial": {"$lt": n // 10}}, serial < n // 10),
        ("serial < 1%", {"serial": {"$lt": n // 100}}, serial < n // 100),
        ("serial < 0.1%", {"serial": {"$lt": n // 1000}}, serial < n // 1000),
    ]
    out = Table("k", "filter", "matches", "recall", "ragvec ms", "numpy ms", "ratio")
    for k in (10, 100):
        for name, where, mask in filters:
            every = np.flatnonzero(mask)
            if not len(every):
                continue

            def by_numpy(query: np.ndarray, k: int = k, every: np.ndarray = every) -> np.ndarray:
                scores = unit @ query if len(every) == n else unit[every] @ query
                best = np.argpartition(-scores, min(k, len(scores) - 1))[:k]
                return every[best[np.argsort(-scores[best])]]

            def by_ragvec(query: np.ndarray, where: Any = where, k: int = k) -> list[str]:
                return list(index.query(query, k=k, where=where, metadata=False).keys)

            found = sum(len(set(by_ragvec(q)) & {keys[at] for at in by_numpy(q)}) for q in data.queries)
            ours, theirs = milliseconds(by_ragvec, data.queries), milliseconds(by_numpy, data.queries)
            out.add_row(
                str(k), name, f"{len(every):,}", f"{found / (QUERIES * min(k, len(every))):.3f}",
                f"{ours:.2f}", f"{theirs:.2f}", f"{theirs / ours:.1f}",
            )  # fmt: skip
    return out


if __name__ == "__main__":
    main()
