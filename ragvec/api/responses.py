"""The response of every operation, declared once.

Attributes are in snake case, names on the wire in camel case; what is None is left out. Times are epoch seconds: a
dialect decides how they are written (`Dialect.time`). Distances are those of the dialect.
"""

from __future__ import annotations

from typing import Any

import msgspec

__all__ = [
    "ArnOfBucket",
    "ArnOfIndex",
    "Bm25Score",
    "BucketDescription",
    "BucketList",
    "BucketSummary",
    "Count",
    "Deleted",
    "Described",
    "DescribedIndex",
    "Empty",
    "Encryption",
    "IndexDescription",
    "IndexList",
    "IndexSummary",
    "MetadataKeys",
    "Numbers",
    "Policy",
    "QueryResult",
    "Response",
    "ScoredResult",
    "ScoredVector",
    "Scores",
    "Tags",
    "TextSearchField",
    "Vector",
    "VectorList",
]


class Response(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """What every response is: immutable, without what is None."""

    def document(self) -> dict[str, Any]:
        """The same in dicts and lists, by their names on the wire."""
        document: dict[str, Any] = msgspec.to_builtins(self)
        return document


class Empty(Response, frozen=True, kw_only=True):
    """Nothing but success."""


class Encryption(Response, frozen=True, kw_only=True):
    """As it was given at creation."""

    sse_type: str | None = None
    kms_key_arn: str | None = None


class TextSearchField(Response, frozen=True, kw_only=True):
    """A metadata key with text search; `status` is ACTIVE, or BUILDING while its lists are made."""

    metadata_key: str
    language: str | None = None
    status: str | None = None


class MetadataKeys(Response, frozen=True, kw_only=True):
    """The non-filterable keys as given at creation, and the text-search fields as they are."""

    non_filterable_metadata_keys: list[str] | None = None
    text_search_configurations: list[TextSearchField] | None = None


class ArnOfBucket(Response, frozen=True, kw_only=True):
    """The resource name of the bucket created."""

    vector_bucket_arn: str


class BucketSummary(Response, frozen=True, kw_only=True):
    """A bucket in a list."""

    vector_bucket_name: str
    vector_bucket_arn: str
    creation_time: float


class BucketDescription(BucketSummary, frozen=True, kw_only=True):
    """A bucket in full."""

    default_index_mode: str
    encryption_configuration: Encryption | None = None


class Described(Response, frozen=True, kw_only=True):
    """The bucket asked for."""

    vector_bucket: BucketDescription


class BucketList(Response, frozen=True, kw_only=True):
    """A page of buckets; without `nextToken` it is the last."""

    vector_buckets: list[BucketSummary]
    next_token: str | None = None


class Policy(Response, frozen=True, kw_only=True):
    """The policy as it was put."""

    policy: str


class ArnOfIndex(Response, frozen=True, kw_only=True):
    """The resource name of the index created."""

    index_arn: str


class IndexSummary(Response, frozen=True, kw_only=True):
    """An index in a list."""

    vector_bucket_name: str
    index_name: str
    index_arn: str
    creation_time: float


class IndexDescription(IndexSummary, frozen=True, kw_only=True):
    """An index in full."""

    data_type: str
    dimension: int
    distance_metric: str
    index_mode: str
    metadata_configuration: MetadataKeys | None = None
    encryption_configuration: Encryption | None = None


class DescribedIndex(Response, frozen=True, kw_only=True):
    """The index asked for."""

    index: IndexDescription


class IndexList(Response, frozen=True, kw_only=True):
    """A page of indexes; without `nextToken` it is the last."""

    indexes: list[IndexSummary]
    next_token: str | None = None


class Numbers(Response, frozen=True, kw_only=True):
    """The float32 values of a vector, each as the Python float that equals it."""

    float32: list[float]


class Vector(Response, frozen=True, kw_only=True):
    """A vector with what was asked for of it."""

    key: str
    distance: float | None = None
    data: Numbers | None = None
    metadata: dict[str, Any] | None = None


class VectorList(Response, frozen=True, kw_only=True):
    """Vectors, or a page of them; without `nextToken` it is the last."""

    vectors: list[Vector]
    next_token: str | None = None


class QueryResult(VectorList, frozen=True, kw_only=True):
    """A page of hits, nearest first."""

    distance_metric: str

    def document(self) -> dict[str, Any]:
        """See `Response.document`; shares metadata, which to copy takes longer than all the rest."""
        found: list[dict[str, Any]] = []
        for vector in self.vectors:
            part: dict[str, Any] = {"key": vector.key}
            if vector.distance is not None:
                part["distance"] = vector.distance
            if vector.data is not None:
                part["data"] = {"float32": vector.data.float32}
            if vector.metadata is not None:
                part["metadata"] = vector.metadata
            found.append(part)
        document: dict[str, Any] = {"vectors": found, "distanceMetric": self.distance_metric}
        if self.next_token is not None:
            document["nextToken"] = self.next_token
        return document


class Bm25Score(Response, frozen=True, kw_only=True):
    """The BM25 score of one metadata key."""

    metadata_key: str
    score: float


class Scores(Response, frozen=True, kw_only=True):
    """The scores of a hit: of the keys in which a word was found, and of a hybrid query the rest."""

    fused: float | None = None
    bm25_scores: list[Bm25Score] = msgspec.field(name="bm25Scores")
    vector_distance: float | None = None


class ScoredVector(Vector, frozen=True, kw_only=True):
    """A hit of a query by text."""

    scores: Scores | None = None


class ScoredResult(QueryResult, frozen=True, kw_only=True):
    """A page of hits of a query by text, best first."""

    vectors: list[ScoredVector]  # type: ignore[assignment]  # immutable, so a narrower list is in order

    def document(self) -> dict[str, Any]:
        """See `Response.document`."""
        document = super().document()
        for vector, part in zip(self.vectors, document["vectors"], strict=True):
            if vector.scores is not None:
                part["scores"] = msgspec.to_builtins(vector.scores)
        return document


class Deleted(Response, frozen=True, kw_only=True):
    """How many vectors were deleted; only where a filter chose them."""

    deleted_count: int | None = None


class Count(Response, frozen=True, kw_only=True):
    """How many vectors there are."""

    count: int


class Tags(Response, frozen=True, kw_only=True):
    """The tags of a resource."""

    tags: dict[str, str]
