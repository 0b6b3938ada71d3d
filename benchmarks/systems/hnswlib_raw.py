"""hnswlib: M 16, ef_construction 200, inner product of unit vectors."""

from __future__ import annotations

import os
import time
from typing import Any

import hnswlib
import numpy as np

from benchmarks.data import Collection
from benchmarks.systems.base import System

__all__ = ["Hnswlib"]


class Hnswlib(System):
    settings = (16, 24, 32, 48, 64, 96, 128, 192, 256, 400)

    def build(self, data: Collection) -> dict[str, float]:
        began = time.perf_counter()
        index = hnswlib.Index(space="ip", dim=self.dimension)
        index.init_index(max_elements=len(data), M=16, ef_construction=200, random_seed=100)
        index.add_items(np.asarray(data.rows), np.arange(len(data)), num_threads=os.cpu_count() or 1)
        built = time.perf_counter() - began
        index.save_index(str(self.folder / "index.bin"))
        return {"insert": 0.0, "build": built}

    def open(self) -> None:
        self.index = hnswlib.Index(space="ip", dim=self.dimension)
        self.index.load_index(str(self.folder / "index.bin"))
        self.index.set_num_threads(self.threads)

    def tune(self, setting: Any) -> None:
        self.index.set_ef(setting)

    def search(self, query: np.ndarray, *, k: int) -> Any:
        rows, distances = self.index.knn_query(query, k=k, num_threads=1)
        return rows[0], distances[0]

    def search_many(self, queries: np.ndarray, *, k: int) -> list[Any]:
        return list(zip(*self.index.knn_query(queries, k=k, num_threads=self.threads), strict=True))

    def rows(self, answer: Any) -> list[int]:
        return [int(row) for row in answer[0]]
