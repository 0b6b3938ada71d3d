"""faiss: HNSW32 over float32, and IVF-PQ with fast scan and exact refinement."""

from __future__ import annotations

import os
import time
from itertools import product
from typing import Any

import faiss
import numpy as np

from benchmarks.data import Collection
from benchmarks.systems.base import System

__all__ = ["FaissHnsw", "FaissIvfPq"]


class Faiss(System):
    def make(self, rows: np.ndarray) -> Any:
        raise NotImplementedError

    def build(self, data: Collection) -> dict[str, float]:
        rows = np.asarray(data.rows)
        faiss.omp_set_num_threads(os.cpu_count() or 1)
        began = time.perf_counter()
        index = self.make(rows)
        built = time.perf_counter() - began
        faiss.write_index(index, str(self.folder / "index.faiss"))
        return {"insert": 0.0, "build": built}

    def open(self) -> None:
        faiss.omp_set_num_threads(self.threads)
        self.index = faiss.read_index(str(self.folder / "index.faiss"))
        self.parameters: Any = None

    def search(self, query: np.ndarray, *, k: int) -> Any:
        distances, rows = self.index.search(query[np.newaxis], k, params=self.parameters)
        return rows[0], distances[0]

    def search_many(self, queries: np.ndarray, *, k: int) -> list[Any]:
        distances, rows = self.index.search(queries, k, params=self.parameters)
        return list(zip(rows, distances, strict=True))

    def rows(self, answer: Any) -> list[int]:
        return [int(row) for row in answer[0] if row >= 0]


class FaissHnsw(Faiss):
    settings = (16, 24, 32, 48, 64, 96, 128, 192, 256, 400)

    def make(self, rows: np.ndarray) -> Any:
        index = faiss.IndexHNSWFlat(self.dimension, 32, faiss.METRIC_INNER_PRODUCT)
        index.add(rows)
        return index

    def tune(self, setting: Any) -> None:
        self.parameters = faiss.SearchParametersHNSW(efSearch=setting)


class FaissIvfPq(Faiss):
    """√n lists, 4-bit codes for every two dimensions. A setting is (lists to probe, candidates for each of the k)."""

    settings = tuple(product((4, 8, 16, 32, 64, 128), (4, 8, 16)))

    def make(self, rows: np.ndarray) -> Any:
        lists = max(1, round(len(rows) ** 0.5))
        name = f"IVF{lists},PQ{self.dimension // 2}x4fs,RFlat"
        index = faiss.index_factory(self.dimension, name, faiss.METRIC_INNER_PRODUCT)
        sample = np.random.default_rng(0).choice(len(rows), min(len(rows), 100_000), replace=False)
        index.train(rows[np.sort(sample)])
        index.add(rows)
        return index

    def tune(self, setting: Any) -> None:
        probes, factor = setting
        inner = faiss.SearchParametersIVF(nprobe=probes)
        self.parameters = faiss.IndexRefineSearchParameters(k_factor=factor, base_index_params=inner)
