"""ragvec through its boto3-shaped client: PutVectors by 500, QueryVectors with distances and metadata."""

from __future__ import annotations

from typing import Any

import numpy as np

import ragvec
from benchmarks.systems.base import Condition, System
from benchmarks.systems.ragvec_index import ragvec_filter

__all__ = ["RagvecClient"]

PLACE = {"vectorBucketName": "bench", "indexName": "rows"}


class RagvecClient(System):
    batch = 500

    def create(self) -> None:
        self.client = ragvec.connect(self.folder / "store")
        self.client.create_vector_bucket(vectorBucketName="bench")
        self.client.create_index(**PLACE, dataType="float32", dimension=self.dimension, distanceMetric="cosine")

    def open(self) -> None:
        self.client = ragvec.connect(self.folder / "store")

    def put(self, keys: list[str], vectors: np.ndarray, metadata: list[dict[str, Any]]) -> None:
        rows = vectors.tolist()
        self.client.put_vectors(
            **PLACE,
            vectors=[
                {"key": key, "data": {"float32": row}, "metadata": entry}
                for key, row, entry in zip(keys, rows, metadata, strict=True)
            ],
        )

    def finish(self, *, rows: int) -> None:
        store = ragvec.Store(engine=self.client.session.engine)
        store.bucket("bench").index("rows").optimize()

    def search(self, query: np.ndarray, *, k: int) -> Any:
        return self.client.query_vectors(
            **PLACE, topK=k, queryVector={"float32": query.tolist()}, returnMetadata=True, returnDistance=True
        )

    def search_where(self, query: np.ndarray, *, k: int, where: Any) -> Any:
        return self.client.query_vectors(
            **PLACE,
            topK=k,
            queryVector={"float32": query.tolist()},
            filter=where,
            returnMetadata=True,
            returnDistance=True,
        )

    def condition(self, condition: Condition) -> Any:
        return ragvec_filter(condition)

    def rows(self, answer: Any) -> list[int]:
        return [int(found["key"]) for found in answer["vectors"]]

    def close(self) -> None:
        self.client.close()
