"""Qdrant's local mode: qdrant-client with a path, which searches exactly in numpy.

It commits, and waits for the disk, once for each point: minutes to hours for a collection. The first 2,000 points are
put that way and timed, and the time of the others is taken to be the same; they are put without waiting for the disk.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from qdrant_client import QdrantClient, models

from benchmarks.data import Collection
from benchmarks.systems.base import Condition, System

__all__ = ["Qdrant"]

TIMED = 2000


class Qdrant(System):
    batch = 2000

    def _client(self) -> QdrantClient:
        # It warns that a server would be faster beyond 20,000 rows; that is what is measured.
        warnings.filterwarnings("ignore", message="Local mode")
        return QdrantClient(path=str(self.folder / "qdrant"), force_disable_check_same_thread=True)

    def build(self, data: Collection) -> dict[str, float]:
        if len(data) <= TIMED:
            return super().build(data)
        seconds = super().build(data.head(TIMED))
        self._storage().execute("pragma synchronous = off")
        for start in range(TIMED, len(data), self.batch):
            stop = min(start + self.batch, len(data))
            self.put(data.keys(start, stop), np.ascontiguousarray(data.rows[start:stop]), data.metadata(start, stop))
        self._storage().execute("pragma synchronous = full")
        return {"insert": seconds["insert"] * len(data) / TIMED, "build": 0.0}

    def _storage(self) -> Any:
        return self.client._client.collections["rows"].storage.storage

    def create(self) -> None:
        self.client = self._client()
        vectors = models.VectorParams(size=self.dimension, distance=models.Distance.COSINE)
        self.client.create_collection("rows", vectors_config=vectors)

    def open(self) -> None:
        self.client = self._client()

    def put(self, keys: list[str], vectors: np.ndarray, metadata: list[dict[str, Any]]) -> None:
        # A point's id is a number or a UUID.
        points = models.Batch(ids=[int(key) for key in keys], vectors=vectors.tolist(), payloads=metadata)
        self.client.upsert("rows", points=points)

    def search(self, query: np.ndarray, *, k: int) -> Any:
        return self.client.query_points("rows", query=query, limit=k, with_payload=True).points

    def search_where(self, query: np.ndarray, *, k: int, where: Any) -> Any:
        return self.client.query_points("rows", query=query, limit=k, query_filter=where, with_payload=True).points

    def condition(self, condition: Condition) -> Any:
        if condition.equals is not None:
            must = models.FieldCondition(key=condition.field, match=models.MatchValue(value=condition.equals))
        else:
            must = models.FieldCondition(key=condition.field, range=models.Range(gte=condition.low, lt=condition.high))
        return models.Filter(must=[must])

    def rows(self, answer: Any) -> list[int]:
        return [int(point.id) for point in answer]

    def close(self) -> None:
        self.client.close()
