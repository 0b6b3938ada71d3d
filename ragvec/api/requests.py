"""The request of every operation, declared once: names, types, and what is required.

Attributes are in snake case, names on the wire in camel case. A target is named by names or by its resource name, see
`ragvec.api.access`. What is marked *extension* exists in the dialects that say so (`ragvec.api.dialects`), in `native`
always.
"""

from __future__ import annotations

from typing import Any

import msgspec

__all__ = [
    "BucketRequest",
    "CountVectors",
    "CreateIndex",
    "CreateVectorBucket",
    "DeleteIndex",
    "DeleteVectorBucket",
    "DeleteVectorBucketPolicy",
    "DeleteVectors",
    "EncryptionConfiguration",
    "GetIndex",
    "GetVectorBucket",
    "GetVectorBucketPolicy",
    "GetVectors",
    "IndexRequest",
    "ListIndexes",
    "ListTagsForResource",
    "ListVectorBuckets",
    "ListVectors",
    "MetadataConfiguration",
    "PutVector",
    "PutVectorBucketDefaultIndexMode",
    "PutVectorBucketPolicy",
    "PutVectors",
    "QueryText",
    "QueryVectors",
    "Request",
    "TagResource",
    "TextSearchChange",
    "TextSearchConfiguration",
    "TextSearchKey",
    "TextSearchRemoval",
    "UntagResource",
    "UpdateIndexMode",
    "UpdateMetadataConfiguration",
    "VectorData",
]


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """What every request is: immutable, by keyword, without unknown parameters."""


class BucketRequest(Request, frozen=True, kw_only=True):
    """A request about one vector bucket, by `vectorBucketName` or `vectorBucketArn`."""

    vector_bucket_name: str | None = None
    vector_bucket_arn: str | None = None


class IndexRequest(Request, frozen=True, kw_only=True):
    """A request about one index, by `vectorBucketName` and `indexName`, or by `indexArn`."""

    vector_bucket_name: str | None = None
    index_name: str | None = None
    index_arn: str | None = None


# -- parts -------------------------------------------------------------------------------------------------------------


class EncryptionConfiguration(Request, frozen=True, kw_only=True):
    """How the service is to encrypt; kept and returned, not acted on."""

    sse_type: str | None = None
    kms_key_arn: str | None = None


class TextSearchConfiguration(Request, frozen=True, kw_only=True):
    """A metadata key that full-text search covers. `status` is what GetIndex tells; given, it says nothing."""

    metadata_key: str
    language: str | None = None
    status: str | None = None


class TextSearchChange(Request, frozen=True, kw_only=True):
    """Text-search fields to add."""

    text_search_configurations: list[TextSearchConfiguration] | None = None


class TextSearchKey(Request, frozen=True, kw_only=True):
    """The metadata key of a text-search field."""

    metadata_key: str


class TextSearchRemoval(Request, frozen=True, kw_only=True):
    """Text-search fields to delete."""

    text_search_configurations: list[TextSearchKey] | None = None


class MetadataConfiguration(Request, frozen=True, kw_only=True):
    """Which metadata keys filters cannot use, and which full-text search covers."""

    non_filterable_metadata_keys: list[str] | None = None
    text_search_configurations: list[TextSearchConfiguration] | None = None


class VectorData(Request, frozen=True, kw_only=True):
    """The numbers of a vector: a list, or an array of any float or integer type; checked by `ragvec.arrays`."""

    float32: Any


class PutVector(Request, frozen=True, kw_only=True):
    """A vector to store; `metadata` is an object, checked by `ragvec.api.metadata`."""

    key: str
    data: VectorData
    metadata: Any = None


class QueryText(Request, frozen=True, kw_only=True):
    """A text to search for in one metadata key."""

    text: str
    metadata_key: str


# -- vector buckets ----------------------------------------------------------------------------------------------------


class CreateVectorBucket(Request, frozen=True, kw_only=True):
    """Create a vector bucket."""

    vector_bucket_name: str
    encryption_configuration: EncryptionConfiguration | None = None
    tags: dict[str, str] | None = None


class GetVectorBucket(BucketRequest, frozen=True, kw_only=True):
    """Describe a vector bucket."""


class ListVectorBuckets(Request, frozen=True, kw_only=True):
    """List vector buckets in byte order of name, a page at a time."""

    max_results: int | None = None
    next_token: str | None = None
    prefix: str | None = None


class DeleteVectorBucket(BucketRequest, frozen=True, kw_only=True):
    """Delete a vector bucket that holds no index."""


class PutVectorBucketDefaultIndexMode(BucketRequest, frozen=True, kw_only=True):
    """Set the mode that indexes created later in the bucket begin with: CLASSIC or ENHANCED."""

    default_index_mode: str


class PutVectorBucketPolicy(BucketRequest, frozen=True, kw_only=True):
    """Set the bucket's policy, a JSON document in a text."""

    policy: str


class GetVectorBucketPolicy(BucketRequest, frozen=True, kw_only=True):
    """Return the bucket's policy as it was put."""


class DeleteVectorBucketPolicy(BucketRequest, frozen=True, kw_only=True):
    """Remove the bucket's policy, if there is one."""


# -- indexes -----------------------------------------------------------------------------------------------------------


class CreateIndex(BucketRequest, frozen=True, kw_only=True):
    """Create an index in a bucket. Dimension, metric and non-filterable keys cannot change later."""

    index_name: str
    data_type: str
    dimension: int
    distance_metric: str
    metadata_configuration: MetadataConfiguration | None = None
    encryption_configuration: EncryptionConfiguration | None = None
    tags: dict[str, str] | None = None


class GetIndex(IndexRequest, frozen=True, kw_only=True):
    """Describe an index."""


class ListIndexes(BucketRequest, frozen=True, kw_only=True):
    """List the indexes of a bucket in byte order of name, a page at a time."""

    max_results: int | None = None
    next_token: str | None = None
    prefix: str | None = None


class DeleteIndex(IndexRequest, frozen=True, kw_only=True):
    """Delete an index and all its vectors."""


class UpdateIndexMode(IndexRequest, frozen=True, kw_only=True):
    """Set the mode of an index: CLASSIC or ENHANCED."""

    index_mode: str


class UpdateMetadataConfiguration(IndexRequest, frozen=True, kw_only=True):
    """Add text-search fields, or delete some: one of `add` and `delete`.

    What is added is searched from then on, and its lists are built in the background: GetIndex tells the status.
    """

    add: TextSearchChange | None = None
    delete: TextSearchRemoval | None = None


# -- vectors -----------------------------------------------------------------------------------------------------------


class PutVectors(IndexRequest, frozen=True, kw_only=True):
    """Insert vectors, or replace those whose keys exist, data and metadata as a whole; all of them or none."""

    vectors: list[PutVector]


class GetVectors(IndexRequest, frozen=True, kw_only=True):
    """Return vectors by key, each once, in the order of `keys`; absent keys are left out."""

    keys: list[str]
    return_data: bool | None = None
    return_metadata: bool | None = None


class ListVectors(IndexRequest, frozen=True, kw_only=True):
    """List vectors in byte order of key, a page at a time.

    `segmentCount` readers may list disjoint parts of the index at once, each with its `segmentIndex`. `filter` is an
    extension.
    """

    max_results: int | None = None
    next_token: str | None = None
    segment_count: int | None = None
    segment_index: int | None = None
    return_data: bool | None = None
    return_metadata: bool | None = None
    where: Any = msgspec.field(default=None, name="filter")


class QueryVectors(IndexRequest, frozen=True, kw_only=True):
    """Return the `topK` vectors nearest to `queryVector` among those that satisfy `filter`, nearest first.

    With `queryTexts` alone, those in whose metadata a word of the texts occurs, ranked by BM25; with both, the rankings
    are fused by reciprocal rank. `returnScores` adds the scores to either.

    The answer comes a page at a time; all pages of one query belong to one result list, whatever is written meanwhile.
    `maxResults` (the size of a page) and `returnData` are extensions.
    """

    top_k: int
    query_vector: VectorData | None = None
    where: Any = msgspec.field(default=None, name="filter")
    query_mode: str | None = None
    return_metadata: bool | None = None
    return_distance: bool | None = None
    return_data: bool | None = None
    query_texts: list[QueryText] | None = None
    return_scores: bool | None = None
    max_results: int | None = None
    next_token: str | None = None


class DeleteVectors(IndexRequest, frozen=True, kw_only=True):
    """Delete vectors by key; absent keys are ignored. `filter` instead of `keys` is an extension."""

    keys: list[str] | None = None
    where: Any = msgspec.field(default=None, name="filter")


class CountVectors(IndexRequest, frozen=True, kw_only=True):
    """Count the vectors of an index, or those that satisfy `filter`; an extension."""

    where: Any = msgspec.field(default=None, name="filter")


# -- tags --------------------------------------------------------------------------------------------------------------


class TagResource(Request, frozen=True, kw_only=True):
    """Add tags to a bucket or an index; a tag whose key exists gets the new value."""

    resource_arn: str
    tags: dict[str, str]


class UntagResource(Request, frozen=True, kw_only=True):
    """Remove tags by key; absent keys are ignored."""

    resource_arn: str
    tag_keys: list[str]


class ListTagsForResource(Request, frozen=True, kw_only=True):
    """Return the tags of a bucket or an index."""

    resource_arn: str
