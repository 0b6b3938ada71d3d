"""Milvus Lite through pymilvus: HNSW over float32, inverted indexes on the metadata that is filtered."""

from __future__ import annotations

from typing import Any

import numpy as np
from pymilvus import DataType, MilvusClient

from benchmarks.systems.base import Condition, System

__all__ = ["Milvus"]

FIELDS = ["pos", "lexname", "lemma", "length", "serial"]


class Milvus(System):
    settings = (32, 64, 128, 256)
    batch = 5000

    def create(self) -> None:
        self.client = MilvusClient(str(self.folder / "rows.db"))
        schema = MilvusClient.create_schema(auto_id=False)
        schema.add_field("row", DataType.INT64, is_primary=True)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=self.dimension)
        for name in ("pos", "lexname", "lemma"):
            schema.add_field(name, DataType.VARCHAR, max_length=512)
        for name in ("length", "serial"):
            schema.add_field(name, DataType.INT64)
        indexes = self.client.prepare_index_params()
        indexes.add_index("vector", index_type="HNSW", metric_type="COSINE", params={"M": 16, "efConstruction": 200})
        for name in ("pos", "lexname", "serial"):
            indexes.add_index(name, index_type="INVERTED")
        self.client.create_collection("rows", schema=schema, index_params=indexes)
        self.setting = 64

    def open(self) -> None:
        self.client = MilvusClient(str(self.folder / "rows.db"))
        self.client.load_collection("rows")
        self.setting = 64

    def put(self, keys: list[str], vectors: np.ndarray, metadata: list[dict[str, Any]]) -> None:
        lines = [
            {"row": int(key), "vector": vector, **entry}
            for key, vector, entry in zip(keys, vectors, metadata, strict=True)
        ]
        self.client.upsert("rows", lines)

    def finish(self, *, rows: int) -> None:
        self.client.flush("rows")
        self.client.load_collection("rows")

    def tune(self, setting: Any) -> None:
        self.setting = setting

    def _search(self, query: np.ndarray, *, k: int, where: str) -> Any:
        parameters = {"metric_type": "COSINE", "params": {"ef": self.setting}}
        return self.client.search(
            "rows", [query.tolist()], filter=where, limit=k, output_fields=FIELDS, search_params=parameters
        )[0]

    def search(self, query: np.ndarray, *, k: int) -> Any:
        return self._search(query, k=k, where="")

    def search_where(self, query: np.ndarray, *, k: int, where: Any) -> Any:
        return self._search(query, k=k, where=where)

    def condition(self, condition: Condition) -> Any:
        if condition.equals is not None:
            return f'{condition.field} == "{condition.equals}"'
        return f"{condition.field} >= {condition.low} and {condition.field} < {condition.high}"

    def rows(self, answer: Any) -> list[int]:
        return [int(hit["row"]) for hit in answer]

    def close(self) -> None:
        self.client.close()
