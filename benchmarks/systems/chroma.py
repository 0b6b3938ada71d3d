"""Chroma: a persistent client in this process, cosine, metadata and distances returned."""

from __future__ import annotations

from typing import Any

import chromadb
import numpy as np
from chromadb.config import Settings

from benchmarks.systems.base import Condition, System

__all__ = ["Chroma"]


class Chroma(System):
    settings = (10, 30, 60, 100, 200, 400)

    def _client(self) -> Any:
        return chromadb.PersistentClient(str(self.folder / "chroma"), settings=Settings(anonymized_telemetry=False))

    def create(self) -> None:
        self.client = self._client()
        self.collection = self.client.create_collection(
            "rows", configuration={"hnsw": {"space": "cosine"}}, embedding_function=None
        )

    def open(self) -> None:
        self.client = self._client()
        self.collection = self.client.get_collection("rows", embedding_function=None)

    def put(self, keys: list[str], vectors: np.ndarray, metadata: list[dict[str, Any]]) -> None:
        self.collection.upsert(ids=keys, embeddings=vectors, metadatas=metadata)

    def tune(self, setting: Any) -> None:
        # An index that is in memory keeps the setting it was loaded with, so the client is made anew.
        self.collection.modify(configuration={"hnsw": {"ef_search": setting}})
        self.client.clear_system_cache()
        self.open()

    def search(self, query: np.ndarray, *, k: int) -> Any:
        return self.collection.query(query_embeddings=[query], n_results=k, include=["metadatas", "distances"])

    def search_where(self, query: np.ndarray, *, k: int, where: Any) -> Any:
        return self.collection.query(
            query_embeddings=[query], n_results=k, where=where, include=["metadatas", "distances"]
        )

    def condition(self, condition: Condition) -> Any:
        if condition.equals is not None:
            return {condition.field: condition.equals}
        low, high = {condition.field: {"$gte": condition.low}}, {condition.field: {"$lt": condition.high}}
        return {"$and": [low, high]}

    def rows(self, answer: Any) -> list[int]:
        return [int(key) for key in answer["ids"][0]]
