"""A table through a client in boto3's s3vectors shape: vector buckets in the cloud, on a server, or in this process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any

import numpy as np

from ragvec.errors import InvalidRequest
from ragvec.langchain.tables import Row, TableSpec
from ragvec.types import FloatMatrix, FloatVector, Metric

__all__ = ["ClientTable"]

# The services' own limits for one request.
_PUT, _GET, _DELETE = 500, 100, 500
_OPTIONS = frozenset({"queryMode"})


class ClientTable:
    """The index `index` of the vector bucket `bucket`, by a client whose methods are those of boto3's."""

    def __init__(self, client: Any, *, bucket: str, index: str, spec: TableSpec) -> None:
        self.client = client
        self.spec = spec
        self._names = {"vectorBucketName": bucket, "indexName": index}
        self._metric: Metric | None = None

    def __repr__(self) -> str:
        return f"ClientTable({self._names['vectorBucketName']!r}, {self._names['indexName']!r})"

    def metric(self) -> Metric:
        """See `Table`; before the index is there, what it will be."""
        if self._metric is None:
            try:
                self._metric = self.client.get_index(**self._names)["index"]["distanceMetric"]
            except self.client.exceptions.NotFoundException:
                return self.spec.metric
        return self._metric

    def put(self, keys: Sequence[str], vectors: FloatMatrix, metadata: Sequence[dict[str, Any]]) -> None:
        """See `Table`; a request for every 500 records, each all or nothing."""
        records = (
            {"key": key, "data": {"float32": vector.tolist()}, "metadata": entry}
            for key, vector, entry in zip(keys, vectors, metadata, strict=True)
        )
        for batch in _batches(records, _PUT):
            try:
                self.client.put_vectors(**self._names, vectors=batch)
            except self.client.exceptions.NotFoundException:
                self._create(vectors.shape[1])
                self.client.put_vectors(**self._names, vectors=batch)

    def get(self, keys: Sequence[str], *, data: bool = False) -> list[Row]:
        """See `Table`."""
        found: dict[str, Row] = {}
        for batch in _batches(dict.fromkeys(keys), _GET):
            try:
                answer = self.client.get_vectors(**self._names, keys=batch, returnData=data, returnMetadata=True)
            except self.client.exceptions.NotFoundException:
                return []
            found.update((vector["key"], _row(vector)) for vector in answer["vectors"])
        return [found[key] for key in dict.fromkeys(keys) if key in found]

    def delete(self, keys: Sequence[str]) -> None:
        """See `Table`."""
        for batch in _batches(dict.fromkeys(keys), _DELETE):
            try:
                self.client.delete_vectors(**self._names, keys=batch)
            except self.client.exceptions.NotFoundException:
                return

    def delete_where(self, where: Mapping[str, Any]) -> None:
        """Not in the API. Raises InvalidRequest."""
        raise InvalidRequest(
            "Expected ids: the vector-bucket services delete by key only, not by a filter", path="filter"
        )

    def query(
        self,
        *,
        vector: FloatVector | None,
        text: str | None,
        k: int,
        where: Mapping[str, Any] | None,
        data: bool = False,
        options: Mapping[str, Any] | None = None,
    ) -> list[Row]:
        """See `Table`; page by page. The options are members of QueryVectors, such as `queryMode`."""
        given = dict(options or {})
        unknown = sorted(given.keys() - _OPTIONS)
        if unknown:
            raise InvalidRequest(
                f"Expected options among {', '.join(sorted(_OPTIONS))}, got {unknown[0]!r}", path=unknown[0]
            )
        request: dict[str, Any] = {**self._names, "topK": k, "returnMetadata": True, **given}
        if vector is not None:
            request["queryVector"] = {"float32": vector.tolist()}
            request["returnDistance"] = True
        if text is not None:
            request["queryTexts"] = [{"metadataKey": key, "text": text} for key in self._text_keys()]
            request["returnScores"] = True
        if where:
            request["filter"] = where
        try:
            rows = list(self._pages(request))
        except self.client.exceptions.NotFoundException:
            return []
        if not data or not rows:
            return rows
        there = {row.key: row.data for row in self.get([row.key for row in rows], data=True)}
        return [
            Row(row.key, row.metadata, there[row.key], row.distance, row.score)
            for row in rows
            if there.get(row.key) is not None  # deleted meanwhile
        ]

    def count(self, where: Mapping[str, Any] | None = None) -> int | None:
        """Not in the API: None."""
        return None

    def _text_keys(self) -> list[str]:
        """The metadata keys of the index whose words are searched. Raises InvalidRequest: there are none."""
        described = self.client.get_index(**self._names)["index"].get("metadataConfiguration", {})
        keys = [each["metadataKey"] for each in described.get("textSearchConfigurations", ())]
        if not keys:
            raise InvalidRequest(
                f"Expected an index with text search, {self._names['indexName']!r} has none: "
                "`update_metadata_configuration` adds it",
                path="text",
            )
        return keys

    def _pages(self, request: dict[str, Any]) -> Iterator[Row]:
        more: dict[str, Any] = {}
        while True:
            answer = self.client.query_vectors(**request, **more)
            yield from map(_row, answer["vectors"])
            if not answer.get("nextToken"):
                return
            more = {"nextToken": answer["nextToken"]}

    def _create(self, dimension: int) -> None:
        exists = self.client.exceptions.ConflictException
        with suppress(exists):
            self.client.create_vector_bucket(vectorBucketName=self._names["vectorBucketName"])
        configuration: dict[str, Any] = {}
        if self.spec.non_filterable:
            configuration["nonFilterableMetadataKeys"] = list(self.spec.non_filterable)
        if self.spec.text:
            configuration["textSearchConfigurations"] = [
                {"metadataKey": key} if language is None else {"metadataKey": key, "language": language}
                for key, language in self.spec.text.items()
            ]
        with suppress(exists):
            self.client.create_index(
                **self._names,
                dataType="float32",
                dimension=dimension,
                distanceMetric=self.spec.metric,
                **({"metadataConfiguration": configuration} if configuration else {}),
            )


def _row(vector: Mapping[str, Any]) -> Row:
    data, scores = vector.get("data"), vector.get("scores") or {}
    bm25 = scores.get("bm25Scores") or ()
    score = scores.get("fused", sum(each["score"] for each in bm25) if bm25 else None)
    return Row(
        vector["key"],
        vector.get("metadata") or {},
        None if data is None else np.asarray(data["float32"], dtype=np.float32),
        vector.get("distance"),
        score,
    )


def _batches(values: Any, size: int) -> Iterator[list[Any]]:
    rest = iter(values)
    while batch := list(islice(rest, size)):
        yield batch
