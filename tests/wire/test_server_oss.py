"""The vector operations of alibabacloud-oss-v2, unmodified, against `ragvec serve`."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("alibabacloud_oss_v2", reason="alibabacloud-oss-v2 is not installed")

import boto3
import numpy as np
from alibabacloud_oss_v2.vectors import models

from tests.wire.oss_client import connect, refused
from tests.wire.serving import ACCOUNT, OWNER, REGION, Serving

ARN = f"acs:ossvector:{REGION}:{ACCOUNT}:"
POLICY = {
    "Version": "1",
    "Statement": [
        {"Effect": "Deny", "Action": ["oss:GetVectors"], "Principal": ["999"], "Resource": [ARN + "docs"]},
    ],
}
AT = {"bucket": "docs", "index_name": "Pages1"}


def sdk(*operations: str) -> Any:
    def mark(function: Any) -> Any:
        for operation in operations:
            function = pytest.mark.sdk("alibabacloud-oss-v2", operation)(function)
        return function

    return mark


@pytest.fixture(scope="module")
def client(server: Serving) -> Any:
    return connect(server)


@pytest.fixture
def bucket(client: Any) -> Iterator[str]:
    client.put_vector_bucket(models.PutVectorBucketRequest(bucket="docs"))
    yield "docs"
    listed = client.list_vector_indexes(models.ListVectorIndexesRequest(bucket="docs", max_results=500))
    for index in listed.indexes:
        client.delete_vector_index(models.DeleteVectorIndexRequest(bucket="docs", index_name=index["indexName"]))
    client.delete_vector_bucket(models.DeleteVectorBucketRequest(bucket="docs"))


@pytest.fixture
def filled(client: Any, bucket: str) -> np.ndarray[Any, Any]:
    """An index of 120 vectors (k000 …) with a number and a text; returns the vectors."""
    client.put_vector_index(
        models.PutVectorIndexRequest(**AT, dimension=3, metadata={"nonFilterableMetadataKeys": ["text"]})
    )
    rows = np.random.default_rng(7).normal(size=(120, 3)).astype(np.float32)
    vectors = [
        {
            "key": f"k{i:03}",
            "data": {"float32": row.tolist()},
            "metadata": {"n": i, "even": i % 2 == 0, "text": f"Nr. {i} – äöü 中"},
        }
        for i, row in enumerate(rows)
    ]
    client.put_vectors(models.PutVectorsRequest(**AT, vectors=vectors))
    return rows


# -- buckets -----------------------------------------------------------------------------------------------------------


@sdk("PutVectorBucket", "GetVectorBucket", "DeleteVectorBucket")
def test_a_bucket_comes_and_goes(client: Any, server: Serving) -> None:
    before = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)

    made = client.put_vector_bucket(models.PutVectorBucketRequest(bucket="news", resource_group_id="rg-abc1"))
    info = client.get_vector_bucket(models.GetVectorBucketRequest(bucket="news")).bucket_info
    gone = client.delete_vector_bucket(models.DeleteVectorBucketRequest(bucket="news"))

    assert (made.status_code, gone.status_code) == (200, 204)
    assert made.headers["Location"] == "/news"
    assert made.request_id == made.headers["x-oss-request-id"] != ""
    assert (info.name, info.location, info.region) == (ARN + "news", f"oss-{REGION}", REGION)
    assert (info.resource_group_id, info.extranet_endpoint) == ("rg-abc1", f"localhost:{server.port}")
    assert before <= info.creation_date <= datetime.datetime.now(datetime.timezone.utc)
    error = refused(lambda: client.get_vector_bucket(models.GetVectorBucketRequest(bucket="news")))
    assert (error.status_code, error.code) == (404, "NoSuchVectorBucket")


@sdk("ListVectorBuckets")
def test_buckets_are_listed_by_marker(client: Any) -> None:
    names = [f"list-{i}" for i in range(5)] + ["other"]
    for i, name in enumerate(names):
        group = "rg-odd" if i % 2 else None
        client.put_vector_bucket(models.PutVectorBucketRequest(bucket=name, resource_group_id=group))
    try:
        pages = list(
            client.list_vector_buckets_paginator(limit=2).iter_page(models.ListVectorBucketsRequest(prefix="list-"))
        )
        assert [[each.name for each in page.buckets] for page in pages] == [
            [ARN + "list-0", ARN + "list-1"],
            [ARN + "list-2", ARN + "list-3"],
            [ARN + "list-4"],
        ]
        assert [(page.prefix, page.marker, page.max_keys) for page in pages[:2]] == [
            ("list-", "", 2),
            ("list-", "list-1", 2),
        ]
        assert [(page.is_truncated, page.next_marker) for page in pages] == [
            (True, "list-1"),
            (True, "list-3"),
            (False, None),
        ]

        whole = client.list_vector_buckets(models.ListVectorBucketsRequest())
        assert ([each.name for each in whole.buckets], whole.is_truncated) == ([ARN + name for name in names], False)
        rest = client.list_vector_buckets(models.ListVectorBucketsRequest(marker="list-3"))
        assert [each.name for each in rest.buckets] == [ARN + "list-4", ARN + "other"]
        odd = client.list_vector_buckets_paginator(limit=1).iter_page(
            models.ListVectorBucketsRequest(resource_group_id="rg-odd")
        )
        assert [each.name for page in odd for each in page.buckets] == [ARN + "list-1", ARN + "list-3", ARN + "other"]
        assert client.list_vector_buckets(models.ListVectorBucketsRequest(prefix="none")).buckets == []
    finally:
        for name in names:
            client.delete_vector_bucket(models.DeleteVectorBucketRequest(bucket=name))


def test_tags_at_creation_are_those_that_another_service_lists(client: Any, server: Serving) -> None:
    client.put_vector_bucket(
        models.PutVectorBucketRequest(
            bucket="tagged", bucket_tagging="team=search&a%20b=c%3Dd", resource_group_id="rg-1"
        )
    )
    try:
        amazon = boto3.client(
            "s3vectors",
            endpoint_url=server.url,
            region_name=REGION,
            aws_access_key_id=OWNER.access_key,
            aws_secret_access_key=OWNER.secret_key,
        )
        arn = amazon.get_vector_bucket(vectorBucketName="tagged")["vectorBucket"]["vectorBucketArn"]
        assert amazon.list_tags_for_resource(resourceArn=arn)["tags"] == {"team": "search", "a b": "c=d"}
    finally:
        client.delete_vector_bucket(models.DeleteVectorBucketRequest(bucket="tagged"))


@sdk("PutBucketPolicy", "GetBucketPolicy", "DeleteBucketPolicy")
def test_a_policy_comes_back_letter_by_letter(client: Any, bucket: str) -> None:
    missing = refused(lambda: client.get_bucket_policy(models.GetBucketPolicyRequest(bucket=bucket)))
    text = json.dumps(POLICY, indent=3)

    put = client.put_bucket_policy(models.PutBucketPolicyRequest(bucket=bucket, body=text))
    got = client.get_bucket_policy(models.GetBucketPolicyRequest(bucket=bucket))
    deleted = [client.delete_bucket_policy(models.DeleteBucketPolicyRequest(bucket=bucket)) for _ in range(2)]

    assert (missing.status_code, missing.code) == (404, "NoSuchBucketPolicy")
    assert put.status_code == 200
    assert (got.status_code, got.body) == (200, text)
    assert [each.status_code for each in deleted] == [204, 204]
    assert (
        refused(lambda: client.get_bucket_policy(models.GetBucketPolicyRequest(bucket=bucket))).code
        == "NoSuchBucketPolicy"
    )


@pytest.mark.parametrize(
    "body",
    ["", "no JSON", "{}", '{"Version": "2012-10-17", "Statement": []}'],
    ids=["empty", "text", "no version", "other version"],
)
def test_a_policy_that_is_none_is_refused(client: Any, bucket: str, body: str) -> None:
    error = refused(lambda: client.put_bucket_policy(models.PutBucketPolicyRequest(bucket=bucket, body=body)))

    assert (error.status_code, error.code) == (400, "MalformedPolicy")


@sdk("PutBucketLogging", "GetBucketLogging", "DeleteBucketLogging")
def test_where_logs_go_is_kept(client: Any, bucket: str, server: Serving) -> None:
    def logging() -> Any:
        return client.get_bucket_logging(
            models.GetBucketLoggingRequest(bucket=bucket)
        ).bucket_logging_status.logging_enabled

    def put(**members: str) -> Any:
        status = models.BucketLoggingStatus(logging_enabled=models.LoggingEnabled(**members))
        return client.put_bucket_logging(models.PutBucketLoggingRequest(bucket=bucket, bucket_logging_status=status))

    assert logging() is None
    assert put(target_bucket="logs", target_prefix="a/", logging_role="AliyunRole").status_code == 200
    kept = logging()
    assert (kept.target_bucket, kept.target_prefix, kept.logging_role) == ("logs", "a/", "AliyunRole")
    put(target_bucket="more-logs")
    kept = logging()
    assert (kept.target_bucket, kept.target_prefix, kept.logging_role) == ("more-logs", None, None)
    assert refused(lambda: put(target_prefix="a/")).code == "VectorIndexParameterInvalid"
    assert [
        client.delete_bucket_logging(models.DeleteBucketLoggingRequest(bucket=bucket)).status_code for _ in range(2)
    ] == [204, 204]
    assert logging() is None


# -- indexes -----------------------------------------------------------------------------------------------------------


@sdk("PutVectorIndex", "GetVectorIndex", "DeleteVectorIndex")
def test_an_index_comes_and_goes(client: Any, bucket: str) -> None:
    client.put_vector_index(
        models.PutVectorIndexRequest(
            **AT,
            data_type="float32",
            dimension=128,
            distance_metric="cosine",
            metadata={"nonFilterableMetadataKeys": ["key1", "key2"]},
        )
    )
    found = client.get_vector_index(models.GetVectorIndexRequest(**AT)).index
    created = found.pop("createTime")
    gone = client.delete_vector_index(models.DeleteVectorIndexRequest(**AT))

    assert found == {
        "vectorBucketName": "docs",
        "indexName": "Pages1",
        "bucketArn": ARN + "docs",
        "dataType": "float32",
        "dimension": 128,
        "distanceMetric": "cosine",
        "metadata": {"nonFilterableMetadataKeys": ["key1", "key2"]},
        "status": "enable",
    }
    assert datetime.datetime.strptime(created, "%Y-%m-%dT%H:%M:%S.%fZ")
    assert gone.status_code == 204
    for call in (client.get_vector_index, client.delete_vector_index):
        kind = {
            "get_vector_index": models.GetVectorIndexRequest,
            "delete_vector_index": models.DeleteVectorIndexRequest,
        }
        error = refused(lambda call=call, kind=kind: call(kind[call.__name__](**AT)))
        assert (error.status_code, error.code) == (404, "NoSuchVectorIndex")


def test_an_index_has_defaults(client: Any, bucket: str) -> None:
    client.put_vector_index(models.PutVectorIndexRequest(**AT, dimension=2))

    found = client.get_vector_index(models.GetVectorIndexRequest(**AT)).index
    assert (found["dataType"], found["distanceMetric"]) == ("float32", "euclidean")
    assert "metadata" not in found


@sdk("ListVectorIndexes")
def test_indexes_are_listed_in_full(client: Any, bucket: str) -> None:
    for i in range(5):
        client.put_vector_index(models.PutVectorIndexRequest(bucket=bucket, index_name=f"Page{i}", dimension=i + 1))
    client.put_vector_index(models.PutVectorIndexRequest(bucket=bucket, index_name="other", dimension=1))

    pages = list(
        client.list_vector_indexes_paginator(limit=2).iter_page(
            models.ListVectorIndexesRequest(bucket=bucket, prefix="Page")
        )
    )
    assert [len(page.indexes) for page in pages] == [2, 2, 1]
    assert [(each["indexName"], each["dimension"]) for page in pages for each in page.indexes] == [
        (f"Page{i}", i + 1) for i in range(5)
    ]
    assert (
        pages[0].indexes[0]
        == client.get_vector_index(models.GetVectorIndexRequest(bucket=bucket, index_name="Page0")).index
    )
    whole = client.list_vector_indexes(models.ListVectorIndexesRequest(bucket=bucket, max_results=0))
    assert len(whole.indexes) == 6
    assert not whole.next_token


# -- vectors -----------------------------------------------------------------------------------------------------------


@sdk("PutVectors", "GetVectors")
def test_vectors_come_back_as_they_were_put(client: Any, filled: np.ndarray[Any, Any]) -> None:
    got = client.get_vectors(
        models.GetVectorsRequest(**AT, keys=["k007", "absent", "k003", "k007"], return_data=True, return_metadata=True)
    ).vectors

    assert sorted(each["key"] for each in got) == ["k003", "k007"]
    by_key = {each["key"]: each for each in got}
    assert np.array_equal(np.float32(by_key["k007"]["data"]["float32"]), filled[7])
    assert by_key["k003"]["metadata"] == {"n": 3, "even": False, "text": "Nr. 3 – äöü 中"}
    assert client.get_vectors(models.GetVectorsRequest(**AT, keys=["k007"])).vectors == [{"key": "k007"}]


@sdk("ListVectors")
def test_vectors_are_listed_by_page_and_segment(client: Any, filled: np.ndarray[Any, Any]) -> None:
    names = [f"k{i:03}" for i in range(120)]

    pages = list(client.list_vectors_paginator(limit=50).iter_page(models.ListVectorsRequest(**AT)))
    assert [len(page.vectors) for page in pages] == [50, 50, 20]
    assert sorted(each["key"] for page in pages for each in page.vectors) == names
    segments = [
        [
            each["key"]
            for page in client.list_vectors_paginator().iter_page(
                models.ListVectorsRequest(**AT, segment_count=3, segment_index=i, max_results=20)
            )
            for each in page.vectors
        ]
        for i in range(3)
    ]
    assert sorted(key for segment in segments for key in segment) == names
    (first,) = client.list_vectors(
        models.ListVectorsRequest(**AT, max_results=1, return_data=True, return_metadata=True)
    ).vectors
    assert set(first) == {"key", "data", "metadata"}


@sdk("QueryVectors")
def test_the_nearest_are_found(client: Any, filled: np.ndarray[Any, Any]) -> None:
    query = filled[5] + np.float32(0.25)
    exact = np.linalg.norm(filled.astype(np.float64) - query, axis=1)

    found = client.query_vectors(
        models.QueryVectorsRequest(
            **AT, query_vector={"float32": query.tolist()}, top_k=10, return_distance=True, return_metadata=True
        )
    ).vectors
    assert [each["key"] for each in found] == [f"k{i:03}" for i in np.argsort(exact)[:10]]
    assert [each["distance"] for each in found] == pytest.approx(np.sort(exact)[:10], rel=1e-6)
    assert all(each["metadata"]["n"] == int(each["key"][1:]) for each in found)

    odd = [i for i in np.argsort(exact) if i % 2 and i >= 20][:5]
    where = {"$and": [{"even": {"$eq": False}}, {"n": {"$gte": 20}}]}
    filtered = client.query_vectors(
        models.QueryVectorsRequest(**AT, query_vector={"float32": query.tolist()}, top_k=5, filter=where)
    ).vectors
    assert filtered == [{"key": f"k{i:03}"} for i in odd]


@sdk("DeleteVectors")
def test_vectors_are_deleted(client: Any, filled: np.ndarray[Any, Any]) -> None:
    for _ in range(2):
        deleted = client.delete_vectors(models.DeleteVectorsRequest(**AT, keys=["k000", "k001", "absent"]))
        assert deleted.status_code == 204

    assert len(client.list_vectors(models.ListVectorsRequest(**AT)).vectors) == 118
    assert client.get_vectors(models.GetVectorsRequest(**AT, keys=["k000", "k001"])).vectors == []
