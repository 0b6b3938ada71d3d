"""Large answers through the boto3-shaped client: top_k = 10,000 in pages of 100, with keys and distances."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

import ragvec
from benchmarks.measure import quantile, recall_of
from benchmarks.nearest import exact_nearest
from benchmarks.processes import in_child
from benchmarks.stores import built, loaded, place
from benchmarks.systems.ragvec_client import PLACE

__all__ = ["ask", "measure"]

TOP_K = 10_000


def measure(*, data: str, rows: int | None, queries: int, limit: float, threads: int) -> dict[str, Any]:
    """Milliseconds of the first page and of the later ones, and recall over all of them. Raises Failed."""
    made = built("ragvec", data=data, rows=rows, limit=limit, threads=threads)
    folder = str(place("ragvec", data=data, rows=rows))
    work = {"data": data, "rows": rows, "folder": folder, "queries": queries}
    return {"built": made, **in_child("benchmarks.pages:ask", work, limit=limit, threads=1)}


def ask(*, data: str, rows: int | None, folder: str, queries: int) -> dict[str, Any]:
    """In a child: page through the answers to some queries."""
    given = loaded(data, rows)
    asked = np.array(given.queries[:queries])
    top_k = min(TOP_K, len(given))
    truth = exact_nearest(np.asarray(given.rows), asked, k=top_k).tolist()
    client = ragvec.connect(Path(folder) / "store", dialect="s3")
    firsts, laters, found = [], [], []
    for query in asked[:1].tolist() + asked.tolist():
        request = {**PLACE, "topK": top_k, "queryVector": {"float32": query}, "returnDistance": True}
        keys: list[int] = []
        token = None
        while True:
            start = time.perf_counter()
            page = client.query_vectors(**request, **({"nextToken": token} if token else {}))
            (laters if token else firsts).append(1e3 * (time.perf_counter() - start))
            keys += [int(one["key"]) for one in page["vectors"]]
            token = page.get("nextToken")
            if not token:
                break
        found.append(keys)
    client.close()
    # The first query was asked twice, once to warm up.
    pages = 1 + len(laters) // len(firsts)
    return {
        "top_k": top_k,
        "pages": pages,
        "first": quantile(firsts[1:], 0.5),
        "first_p99": quantile(firsts[1:], 0.99),
        "later": quantile(laters, 0.5) if laters else None,
        "later_p99": quantile(laters, 0.99) if laters else None,
        "recall": recall_of(found[1:], truth, k=top_k),
    }
