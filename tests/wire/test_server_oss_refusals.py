"""What OSS Vectors refuses, told by `ragvec serve` to the vendor's client as the service tells it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("alibabacloud_oss_v2", reason="alibabacloud-oss-v2 is not installed")

from alibabacloud_oss_v2.vectors import models

from tests.wire.oss_client import connect, refused
from tests.wire.serving import Serving

AT = {"bucket": "docs", "index_name": "Pages1"}

REFUSALS: dict[str, tuple[int, str, str, Callable[[Any], Any]]] = {
    "bucket exists": (
        409,
        "VectorBucketAlreadyExists",
        "already exists",
        lambda client: client.put_vector_bucket(models.PutVectorBucketRequest(bucket="docs")),
    ),
    "bucket name too long": (
        400,
        "InvalidVectorBucketName",
        "between 3 and 32",
        lambda client: client.put_vector_bucket(models.PutVectorBucketRequest(bucket="d" * 33)),
    ),
    "bucket not empty": (
        409,
        "VectorBucketNotEmpty",
        "is not empty",
        lambda client: client.delete_vector_bucket(models.DeleteVectorBucketRequest(bucket="docs")),
    ),
    "no such bucket": (
        404,
        "NoSuchVectorBucket",
        "could not be found",
        lambda client: client.list_vector_indexes(models.ListVectorIndexesRequest(bucket="absent")),
    ),
    "index exists": (
        409,
        "VectorBucketIndexAlreadyExist",
        "already exists",
        lambda client: client.put_vector_index(models.PutVectorIndexRequest(**AT, dimension=3)),
    ),
    "index name": (
        400,
        "VectorIndexParameterInvalid",
        "letters and digits",
        lambda client: client.put_vector_index(
            models.PutVectorIndexRequest(bucket="docs", index_name="a-b", dimension=3)
        ),
    ),
    "no index name": (
        400,
        "VectorIndexParameterInvalid",
        "indexName",
        lambda client: client.put_vector_index(models.PutVectorIndexRequest(bucket="docs", dimension=3)),
    ),
    "declared key": (
        400,
        "VectorIndexParameterInvalid",
        "'/metadata/nonFilterableMetadataKeys/0'",
        lambda client: client.put_vector_index(
            models.PutVectorIndexRequest(
                bucket="docs", index_name="b", dimension=3, metadata={"nonFilterableMetadataKeys": ["1"]}
            )
        ),
    ),
    "dimension": (
        400,
        "VectorIndexParameterInvalid",
        "between 1 and 4096",
        lambda client: client.put_vector_index(
            models.PutVectorIndexRequest(bucket="docs", index_name="b", dimension=0)
        ),
    ),
    "vector too short": (
        400,
        "VectorIndexParameterInvalid",
        "vector must have length 3, but has length 2",
        lambda client: client.put_vectors(
            models.PutVectorsRequest(**AT, vectors=[{"key": "a", "data": {"float32": [1, 2]}}])
        ),
    ),
    "key twice": (
        400,
        "VectorIndexParameterInvalid",
        "Duplicate key 'a'",
        lambda client: client.put_vectors(
            models.PutVectorsRequest(**AT, vectors=[{"key": "a", "data": {"float32": [1, 2, 3]}}] * 2)
        ),
    ),
    "top k": (
        400,
        "VectorIndexParameterInvalid",
        "between 1 and 500",
        lambda client: client.query_vectors(
            models.QueryVectorsRequest(**AT, query_vector={"float32": [1, 2, 3]}, top_k=501)
        ),
    ),
    "filter": (
        400,
        "VectorIndexParameterInvalid",
        "Invalid filter",
        lambda client: client.query_vectors(
            models.QueryVectorsRequest(
                **AT, query_vector={"float32": [1, 2, 3]}, top_k=1, filter={"n": {"$regex": "a"}}
            )
        ),
    ),
    "filter on a key that has none": (
        400,
        "VectorIndexParameterInvalid",
        "non-filterable",
        lambda client: client.query_vectors(
            models.QueryVectorsRequest(
                **AT, query_vector={"float32": [1, 2, 3]}, top_k=1, filter={"text": {"$eq": "a"}}
            )
        ),
    ),
    "no such index": (
        404,
        "NoSuchVectorIndex",
        "could not be found",
        lambda client: client.list_vectors(models.ListVectorsRequest(bucket="docs", index_name="absent")),
    ),
    "token of another list": (
        400,
        "VectorIndexParameterInvalid",
        "nextToken",
        lambda client: client.list_vectors(
            models.ListVectorsRequest(
                **AT,
                segment_count=2,
                segment_index=0,
                next_token=client.list_vectors(models.ListVectorsRequest(**AT, max_results=1)).next_token,
            )
        ),
    ),
    "segment alone": (
        400,
        "VectorIndexParameterInvalid",
        "segmentCount",
        lambda client: client.list_vectors(models.ListVectorsRequest(**AT, segment_index=0)),
    ),
    "too many keys": (
        400,
        "VectorIndexParameterInvalid",
        "between 1 and 100",
        lambda client: client.get_vectors(models.GetVectorsRequest(**AT, keys=[f"k{i}" for i in range(101)])),
    ),
    "page of buckets": (
        400,
        "VectorIndexParameterInvalid",
        "between 1 and 1000",
        lambda client: client.list_vector_buckets(models.ListVectorBucketsRequest(max_keys=1001)),
    ),
    "resource group": (
        400,
        "VectorIndexParameterInvalid",
        "x-oss-resource-group-id",
        lambda client: client.put_vector_bucket(models.PutVectorBucketRequest(bucket="new", resource_group_id="a b")),
    ),
    "tag": (
        400,
        "VectorIndexParameterInvalid",
        "regular expression",
        lambda client: client.put_vector_bucket(models.PutVectorBucketRequest(bucket="new", bucket_tagging="%23x=1")),
    ),
    "tag twice": (
        400,
        "VectorIndexParameterInvalid",
        "twice",
        lambda client: client.put_vector_bucket(models.PutVectorBucketRequest(bucket="new", bucket_tagging="a=1&a=2")),
    ),
}


@pytest.fixture(scope="module")
def refusing(server: Serving) -> Iterator[Any]:
    client = connect(server)
    client.put_vector_bucket(models.PutVectorBucketRequest(bucket="docs"))
    client.put_vector_index(
        models.PutVectorIndexRequest(**AT, dimension=3, metadata={"nonFilterableMetadataKeys": ["text"]})
    )
    vectors = [{"key": key, "data": {"float32": [1, 2, 3]}} for key in "xyz"]
    client.put_vectors(models.PutVectorsRequest(**AT, vectors=vectors))
    yield client
    client.delete_vector_index(models.DeleteVectorIndexRequest(**AT))
    client.delete_vector_bucket(models.DeleteVectorBucketRequest(bucket="docs"))


@pytest.mark.parametrize(("status", "code", "words", "call"), REFUSALS.values(), ids=REFUSALS)
def test_refusals_are_told_as_the_service_does(
    refusing: Any, status: int, code: str, words: str, call: Callable[[Any], Any]
) -> None:
    error = refused(lambda: call(refusing))

    assert (error.status_code, error.code) == (status, code)
    assert words in error.message
    assert error.request_id == error.headers["x-oss-request-id"] != ""
    assert len(refusing.list_vectors(models.ListVectorsRequest(**AT)).vectors) == 3
