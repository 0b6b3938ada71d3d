"""LanceDB: IVF-PQ with refinement, scalar indexes on all metadata, filters before the search."""

from __future__ import annotations

from typing import Any

import lancedb
import numpy as np
import pyarrow as pa

from benchmarks.systems.base import Condition, System

__all__ = ["Lance"]

COLUMNS = {"pos": "BITMAP", "lexname": "BITMAP", "lemma": "BTREE", "length": "BTREE", "serial": "BTREE"}
INDEXED_FROM = 10_000


class Lance(System):
    """A setting is (partitions to probe, candidates refined for each of the k)."""

    settings = ((10, 4), (20, 10), (40, 10), (80, 20), (160, 40))
    batch = 50_000

    def create(self) -> None:
        self.database = lancedb.connect(str(self.folder / "lance"))
        schema = pa.schema(
            [
                ("key", pa.string()),
                ("vector", pa.list_(pa.float32(), self.dimension)),
                *((name, pa.string()) for name in ("pos", "lexname", "lemma")),
                *((name, pa.int64()) for name in ("length", "serial")),
            ]
        )
        self.table = self.database.create_table("rows", schema=schema)
        self.setting = self.settings[1]

    def open(self) -> None:
        self.database = lancedb.connect(str(self.folder / "lance"))
        self.table = self.database.open_table("rows")
        self.setting = self.settings[1]

    def put(self, keys: list[str], vectors: np.ndarray, metadata: list[dict[str, Any]]) -> None:
        flat = pa.array(vectors.ravel())
        columns = {"key": keys, "vector": pa.FixedSizeListArray.from_arrays(flat, self.dimension)}
        columns |= {name: [entry[name] for entry in metadata] for name in COLUMNS}
        self.table.add(pa.table(columns))

    def finish(self, *, rows: int) -> None:
        if rows < INDEXED_FROM:
            return
        self.table.create_index(metric="cosine", index_type="IVF_PQ", vector_column_name="vector")
        for name, kind in COLUMNS.items():
            self.table.create_scalar_index(name, index_type=kind)

    def tune(self, setting: Any) -> None:
        self.setting = setting

    def _asked(self, query: np.ndarray, *, k: int) -> Any:
        probes, refine = self.setting
        asked = self.table.search(query, vector_column_name="vector").distance_type("cosine").limit(k)
        return asked.nprobes(probes).refine_factor(refine).select(["key", "_distance", *COLUMNS])

    def search(self, query: np.ndarray, *, k: int) -> Any:
        return self._asked(query, k=k).to_list()

    def search_where(self, query: np.ndarray, *, k: int, where: Any) -> Any:
        return self._asked(query, k=k).where(where, prefilter=True).to_list()

    def condition(self, condition: Condition) -> Any:
        if condition.equals is not None:
            return f"{condition.field} = '{condition.equals}'"
        return f"{condition.field} >= {condition.low} AND {condition.field} < {condition.high}"

    def rows(self, answer: Any) -> list[int]:
        return [int(entry["key"]) for entry in answer]
