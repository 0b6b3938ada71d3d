"""What the vector store needs of where documents lie, and that on an index of a store in this process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec
import numpy as np

from ragvec.errors import BucketNotFound, IndexNotFound, InvalidRequest, NotFound
from ragvec.search.results import Hit
from ragvec.store import Index
from ragvec.types import FloatMatrix, FloatVector, Metric

__all__ = ["IndexTable", "Row", "Table", "TableSpec"]


class TableSpec(msgspec.Struct, frozen=True, kw_only=True):
    """How an index is made when the first documents come."""

    metric: Metric = "cosine"
    non_filterable: tuple[str, ...] = ()
    text: Mapping[str, str | None] = {}
    """The metadata keys whose words are searched, each with its language, None for any."""


class Row(msgspec.Struct, frozen=True, eq=False):
    """A record: `distance` where a vector was asked for, `score` where a text was (higher is better)."""

    key: str
    metadata: dict[str, Any]
    data: FloatVector | None = None
    distance: float | None = None
    score: float | None = None


class Table(Protocol):
    """Records by key. Filters are those of the vector API (`$eq`, `$and` …)."""

    def metric(self) -> Metric:
        """Its distance. Raises IndexNotFound."""
        ...

    def put(self, keys: Sequence[str], vectors: FloatMatrix, metadata: Sequence[dict[str, Any]]) -> None:
        """Insert or replace distinct keys; the index is made when it is missing."""
        ...

    def get(self, keys: Sequence[str], *, data: bool = False) -> list[Row]:
        """The records with these keys, in that order, each once; absent ones are left out, all of them where there is
        no index yet."""
        ...

    def delete(self, keys: Sequence[str]) -> None:
        """Delete the records with these keys, if they are there."""
        ...

    def delete_where(self, where: Mapping[str, Any]) -> None:
        """Delete the records that satisfy the filter."""
        ...

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
        """The `k` best by vector, by text, or by both; none where there is no index yet. `options` are for a table that
        knows them (`effort`, `fusion`, `boosts` of an index here). Raises InvalidRequest for others."""
        ...

    def count(self, where: Mapping[str, Any] | None = None) -> int | None:
        """How many records satisfy the filter, None where that cannot be known cheaply."""
        ...


_OPTIONS = frozenset({"effort", "fusion", "boosts"})


class IndexTable:
    """A table that is an index of a store in this process."""

    def __init__(self, index: Index, spec: TableSpec) -> None:
        self.index = index
        self.spec = spec

    def __repr__(self) -> str:
        return repr(self.index)

    def metric(self) -> Metric:
        """See `Table`; before the index is there, what it will be."""
        try:
            return self.index.metric
        except NotFound:
            return self.spec.metric

    def put(self, keys: Sequence[str], vectors: FloatMatrix, metadata: Sequence[dict[str, Any]]) -> None:
        """See `Table`."""
        try:
            self.index.put(keys, vectors, metadata)
        except (BucketNotFound, IndexNotFound):
            self._create(vectors.shape[1])
            self.index.put(keys, vectors, metadata)

    def get(self, keys: Sequence[str], *, data: bool = False) -> list[Row]:
        """See `Table`."""
        try:
            records = self.index.get(keys, data=data)
        except NotFound:
            return []
        return [Row(record.key, record.metadata or {}, record.data) for record in records]

    def delete(self, keys: Sequence[str]) -> None:
        """See `Table`."""
        if self.index.exists():
            self.index.delete(keys)

    def delete_where(self, where: Mapping[str, Any]) -> None:
        """See `Table`."""
        if self.index.exists():
            self.index.delete(where=where)

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
        """See `Table`."""
        given = dict(options or {})
        unknown = sorted(given.keys() - _OPTIONS)
        if unknown:
            raise InvalidRequest(
                f"Expected options among {', '.join(sorted(_OPTIONS))}, got {unknown[0]!r}", path=unknown[0]
            )
        if text is not None:
            given["text"] = text
        try:
            found = self.index.query(vector, k=k, where=where, data=data, **given)
        except NotFound:
            return []
        return [_row(hit) for hit in found]

    def count(self, where: Mapping[str, Any] | None = None) -> int | None:
        """See `Table`."""
        try:
            return self.index.count(where)
        except NotFound:
            return 0

    def _create(self, dimension: int) -> None:
        bucket = self.index.bucket
        bucket.store.create_bucket(bucket.name, exist_ok=True)
        bucket.create_index(
            self.index.name,
            dimension=dimension,
            metric=self.spec.metric,
            non_filterable=self.spec.non_filterable,
            text=dict(self.spec.text) or None,
            exist_ok=True,
        )


def _row(hit: Hit) -> Row:
    distance = None if np.isnan(hit.distance) else hit.distance
    return Row(hit.key, hit.metadata or {}, hit.data, distance, hit.score)
