"""ragvec by arrays: `index.put`, `index.query` with keys and distances."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import ragvec
from benchmarks.systems.base import Condition, System, Unsupported

__all__ = ["RagvecFaiss", "RagvecIndex", "ragvec_filter"]

EFFORTS = (0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0)


def ragvec_filter(condition: Condition) -> dict[str, Any]:
    if condition.equals is not None:
        return {condition.field: condition.equals}
    return {condition.field: {"$gte": condition.low, "$lt": condition.high}}


class RagvecIndex(System):
    batch = 250_000

    def __init__(self, folder: Path, *, dimension: int, threads: int) -> None:
        super().__init__(folder, dimension=dimension, threads=threads)
        self.extra: dict[str, Any] = {}

    @property
    def settings(self) -> Sequence[Any]:  # type: ignore[override]  # what is a constant elsewhere is asked here
        return EFFORTS if "effort" in inspect.signature(ragvec.Index.query).parameters else (None,)

    def create(self) -> None:
        self.store = self._store()
        self.index = self.store.create_bucket("bench").create_index("rows", dimension=self.dimension)

    def open(self) -> None:
        self.store = self._store()
        self.index = self.store.bucket("bench").index("rows")

    def put(self, keys: list[str], vectors: np.ndarray, metadata: list[dict[str, Any]]) -> None:
        self.index.put(keys, vectors, metadata)

    def finish(self, *, rows: int) -> None:
        self.index.optimize()

    def tune(self, setting: Any) -> None:
        self.extra = {} if setting is None else {"effort": setting}

    def search(self, query: np.ndarray, *, k: int) -> Any:
        found = self.index.query(query, k=k, metadata=False, **self.extra)
        return found.keys, found.distances

    def search_many(self, queries: np.ndarray, *, k: int) -> list[Any]:
        return [(one.keys, one.distances) for one in self.index.query(queries, k=k, metadata=False, **self.extra)]

    def search_where(self, query: np.ndarray, *, k: int, where: Any) -> Any:
        found = self.index.query(query, k=k, where=where, metadata=False, **self.extra)
        return found.keys, found.distances

    def condition(self, condition: Condition) -> Any:
        return ragvec_filter(condition)

    def rows(self, answer: Any) -> list[int]:
        return [int(key) for key in answer[0]]

    def parts(self) -> int | None:
        return len(self.index.stats().segments)

    def close(self) -> None:
        self.store.close()

    def _store(self) -> ragvec.Store:
        return ragvec.Store(self.folder / "store")


class RagvecFaiss(RagvecIndex):
    def _store(self) -> ragvec.Store:
        if "backend" not in inspect.signature(ragvec.Store).parameters:
            raise Unsupported("this ragvec has no choice of backend")
        return ragvec.Store(self.folder / "store", backend="faiss")
