"""ScaNN by its own builder: tree, half-byte codes, exact float32 reorder; also over a PCA projection."""

from __future__ import annotations

import os
import time
from itertools import product
from typing import Any

import numpy as np
from scann.scann_ops.py import scann_ops_pybind

from benchmarks.data import Collection
from benchmarks.systems.base import System

__all__ = ["Scann", "ScannPca128", "ScannPca192"]


class Scann(System):
    """√n leaves. A setting is (leaves to search, candidates to reorder)."""

    settings = tuple(product((4, 8, 16, 24, 32, 48, 64, 96, 128, 192), (40, 80, 160)))
    leaves_factor = 1.0
    reduced: int | None = None

    def build(self, data: Collection) -> dict[str, float]:
        rows = np.asarray(data.rows)
        leaves = max(1, round(len(rows) ** 0.5 * (self.leaves_factor if len(rows) > 500_000 else 1.0)))
        began = time.perf_counter()
        builder = scann_ops_pybind.builder(rows, 10, "dot_product").set_n_training_threads(os.cpu_count() or 1)
        builder = builder.tree(leaves, min(64, leaves), quantize_centroids=True, soar_lambda=1.5)
        builder = builder.score_ah(2, anisotropic_quantization_threshold=0.2).reorder(100)
        if self.reduced is not None:
            builder = builder.pca(reduction_dim=self.reduced, pca_significance_threshold=None)
        searcher = builder.build()
        built = time.perf_counter() - began
        searcher.serialize(str(self.folder), relative_path=True)
        return {"insert": 0.0, "build": built}

    def open(self) -> None:
        self.searcher = scann_ops_pybind.load_searcher(str(self.folder))
        self.searcher.set_num_threads(self.threads)
        self.setting = (64, 100)

    def tune(self, setting: Any) -> None:
        self.setting = setting

    def search(self, query: np.ndarray, *, k: int) -> Any:
        leaves, reorder = self.setting
        return self.searcher.search(
            query, final_num_neighbors=k, pre_reorder_num_neighbors=reorder, leaves_to_search=leaves
        )

    def search_many(self, queries: np.ndarray, *, k: int) -> list[Any]:
        leaves, reorder = self.setting
        found, distances = self.searcher.search_batched_parallel(
            queries, final_num_neighbors=k, pre_reorder_num_neighbors=reorder, leaves_to_search=leaves
        )
        return list(zip(found, distances, strict=True))

    def rows(self, answer: Any) -> list[int]:
        return [int(row) for row in answer[0]]


class ScannPca128(Scann):
    """The first pass on 128 principal dimensions; 2√n leaves beyond half a million rows."""

    reduced = 128
    leaves_factor = 2.0


class ScannPca192(ScannPca128):
    reduced = 192
