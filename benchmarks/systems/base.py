"""What a measurement asks of a system; its adapters translate, and do nothing else while the clock runs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from benchmarks.data import Collection

__all__ = ["Condition", "System", "Unsupported"]


class Unsupported(Exception):
    """The system has no such operation."""


class Condition(msgspec.Struct, frozen=True):
    """`field` equal to a text, or a number in [low, high)."""

    field: str
    equals: str | None = None
    low: int = 0
    high: int = 0


class System:
    """One index or store in `folder`. `threads` is how many threads it may use for a batch of queries.

    `settings` are the search parameters that trade recall for speed, from the fastest on; `default_setting` is the one
    that a user meets, or None where the first that reaches the recall is meant. `batch` rows go into one `put` when the
    store is filled.
    """

    settings: Sequence[Any] = (None,)
    batch = 5000

    def __init__(self, folder: Path, *, dimension: int, threads: int) -> None:
        self.folder = folder
        self.dimension = dimension
        self.threads = threads

    # -- filling -------------------------------------------------------------------------------------------------------

    def build(self, data: Collection) -> dict[str, float]:
        """Fill an empty folder; afterwards all rows are durable and searchable. Returns the seconds of `insert` and of
        `build`, which is what goes on after the last row was taken; making keys and metadata is not counted."""
        began = time.perf_counter()
        self.create()
        insert = time.perf_counter() - began
        for start in range(0, len(data), self.batch):
            stop = min(start + self.batch, len(data))
            keys, metadata = data.keys(start, stop), data.metadata(start, stop)
            vectors = np.ascontiguousarray(data.rows[start:stop])
            began = time.perf_counter()
            self.put(keys, vectors, metadata)
            insert += time.perf_counter() - began
        began = time.perf_counter()
        self.finish(rows=len(data))
        return {"insert": insert, "build": time.perf_counter() - began}

    def create(self) -> None:
        """Make an empty store, ready for `put`."""
        raise Unsupported

    def put(self, keys: list[str], vectors: np.ndarray, metadata: list[dict[str, Any]]) -> None:
        """Insert or replace."""
        raise Unsupported

    def finish(self, *, rows: int) -> None:
        """Build what has to be built after `rows` rows were put, and make everything durable."""

    # -- searching -----------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Open what `build` left in the folder."""
        raise Unsupported

    def tune(self, setting: Any) -> None:
        """Search with one of `settings` from now on."""

    def search(self, query: np.ndarray, *, k: int) -> Any:
        """The answer for one query, as the system gives it; with keys, distances and metadata for a product."""
        raise Unsupported

    def rows(self, answer: Any) -> list[int]:
        """The row numbers in an answer, nearest first."""
        raise Unsupported

    def search_many(self, queries: np.ndarray, *, k: int) -> list[Any]:
        """The answers for many queries, by the means that use all threads best: here that many client threads."""
        with ThreadPoolExecutor(self.threads) as pool:
            return list(pool.map(lambda query: self.search(query, k=k), queries))

    def condition(self, condition: Condition) -> Any:
        """The filter in the system's language."""
        raise Unsupported

    def search_where(self, query: np.ndarray, *, k: int, where: Any) -> Any:
        """`search` among what satisfies a filter from `condition`."""
        raise Unsupported

    def parts(self) -> int | None:
        """How many segments there are, where the system tells."""
        return None

    def close(self) -> None:
        """Release what was opened."""
