"""usearch: float32, connectivity and expansion as it ships them."""

from __future__ import annotations

import os
import time
from typing import Any

import numpy as np
from usearch.index import Index

from benchmarks.data import Collection
from benchmarks.systems.base import System

__all__ = ["Usearch"]


class Usearch(System):
    settings = (16, 32, 48, 64, 96, 128, 192, 256, 400)

    def build(self, data: Collection) -> dict[str, float]:
        began = time.perf_counter()
        index = Index(ndim=self.dimension, metric="cos", dtype="f32")
        index.add(np.arange(len(data)), np.asarray(data.rows), threads=os.cpu_count() or 1)
        built = time.perf_counter() - began
        index.save(str(self.folder / "index.usearch"))
        return {"insert": 0.0, "build": built}

    def open(self) -> None:
        self.index = Index.restore(str(self.folder / "index.usearch"))

    def tune(self, setting: Any) -> None:
        self.index.expansion_search = setting

    def search(self, query: np.ndarray, *, k: int) -> Any:
        return self.index.search(query, k, threads=1)

    def search_many(self, queries: np.ndarray, *, k: int) -> list[Any]:
        return list(self.index.search(queries, k, threads=self.threads))

    def rows(self, answer: Any) -> list[int]:
        return [int(key) for key in answer.keys]
