"""The limits of every dialect at their edges: the limit is allowed, one more is refused, and the refusal names it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ragvec import limits
from ragvec.api.client import Client

SERVICES = ["s3", "oss", "cos", "tos"]
ALL = ["native", *SERVICES]
FLAT = {"float32": [1.0, 0.0]}

MakeClient = Callable[..., Client]
MakeIndex = Callable[..., dict[str, str]]
Refusal = Callable[..., Any]


def test_the_published_numbers() -> None:
    assert [each.top_k for each in (limits.S3, limits.OSS, limits.COS, limits.TOS)] == [10_000, 500, 30, 1000]
    assert [each.delete_keys for each in (limits.S3, limits.OSS, limits.COS, limits.TOS)] == [500, 500, 500, 100]
    assert [each.metadata_keys for each in (limits.S3, limits.OSS, limits.COS)] == [50, 10, 10]
    assert [each.buckets for each in (limits.S3, limits.OSS, limits.COS, limits.TOS)] == [10_000, 100, 100, 100]
    assert [each.bucket_name_max for each in (limits.S3, limits.OSS, limits.COS, limits.TOS)] == [63, 32, 63, 32]
    assert [each.index_name_min for each in (limits.S3, limits.OSS, limits.COS, limits.TOS)] == [3, 1, 3, 3]
    assert limits.OSS.list_buckets_max == 1000
    assert limits.S3.request_bytes == 20 * 1024 * 1024
    assert (limits.NATIVE.top_k, limits.NATIVE.put_vectors, limits.NATIVE.metadata_bytes) == (None, None, None)
    assert (limits.NATIVE.query_page, limits.NATIVE.query_page_max) == (1000, 10_000)
    with pytest.raises(AttributeError):
        limits.S3.top_k = 1  # type: ignore[misc]


@pytest.mark.parametrize("dialect", SERVICES)
def test_top_k(client_of: MakeClient, index_of: MakeIndex, refusal: Refusal, dialect: str) -> None:
    client = client_of(dialect)
    at = index_of(client)
    most = client.session.dialect.limits.top_k
    assert most is not None

    assert client.query_vectors(**at, topK=most, queryVector=FLAT)["vectors"] == []
    for wrong in (0, most + 1):
        message = refusal(client.query_vectors, **at, topK=wrong, queryVector=FLAT).response["message"]
        assert f"'/topK' failed to satisfy constraint: Member must be between 1 and {most}, inclusive" in message


def test_native_top_k_reaches_every_vector(client: Client, index_of: MakeIndex) -> None:
    at = index_of(client)
    client.put_vectors(**at, vectors=[{"key": f"{i}", "data": {"float32": [1, i]}} for i in range(20)])

    assert len(client.query_vectors(**at, topK=10**12, queryVector=FLAT)["vectors"]) == 20


@pytest.mark.parametrize("dialect", ALL)
@pytest.mark.parametrize(
    ("method", "parameter", "limit"),
    [
        ("put_vectors", "vectors", "put_vectors"),
        ("get_vectors", "keys", "get_keys"),
        ("delete_vectors", "keys", "delete_keys"),
    ],
)
def test_batch_sizes(
    client_of: MakeClient,
    index_of: MakeIndex,
    refusal: Refusal,
    *,
    dialect: str,
    method: str,
    parameter: str,
    limit: str,
) -> None:
    client = client_of(dialect)
    at = index_of(client)
    most = getattr(client.session.dialect.limits, limit)
    call = getattr(client, method)

    def batch(size: int) -> list[Any]:
        return [{"key": f"{i}", "data": FLAT} if parameter == "vectors" else f"{i}" for i in range(size)]

    assert "ResponseMetadata" in call(**at, **{parameter: batch(600 if most is None else most)})
    wrong = [0] if most is None else [0, most + 1]
    bound = "greater than or equal to 1" if most is None else f"between 1 and {most}, inclusive"
    for size in wrong:
        message = refusal(call, **at, **{parameter: batch(size)}).response["message"]
        assert f"Value with length {size} at '/{parameter}' failed" in message
        assert f"Member must have length {bound}" in message


@pytest.mark.parametrize("dialect", ALL)
def test_dimension(client_of: MakeClient, index_of: MakeIndex, refusal: Refusal, dialect: str) -> None:
    client = client_of(dialect)
    most = client.session.dialect.limits.dimension_max
    at = index_of(client, dimension=most)

    client.put_vectors(**at, vectors=[{"key": "k", "data": {"float32": [1.0] * most}}])
    for wrong in (0, most + 1):
        error = refusal(
            client.create_index,
            **{**at, "indexName": "other"},
            dataType="float32",
            dimension=wrong,
            distanceMetric="cosine",
        )
        assert f"at '/dimension' failed to satisfy constraint: Member must be between 1 and {most}, inclusive" in str(
            error
        )


@pytest.mark.parametrize("dialect", ALL)
def test_dimension_refusal_says_the_value_got_except_in_s3(
    client_of: MakeClient, refusal: Refusal, dialect: str
) -> None:
    client = client_of(dialect)
    bucket = "docs-1" if dialect == "cos" else "docs"
    message = refusal(
        client.create_index,
        vectorBucketName=bucket,
        indexName="abc",
        dataType="float32",
        dimension=70_000,
        distanceMetric="cosine",
    ).response["message"]

    assert ("70000" in message) == (dialect != "s3")


@pytest.mark.parametrize("dialect", ALL)
@pytest.mark.parametrize("key", ["k", "k" * 1024, "é" * 512, "𝄞" * 256, "a b\tc\u0000d", "日本"])
def test_keys_up_to_1024_bytes(client_of: MakeClient, index_of: MakeIndex, dialect: str, key: str) -> None:
    client = client_of(dialect)
    at = index_of(client)

    client.put_vectors(**at, vectors=[{"key": key, "data": FLAT}])
    assert [found["key"] for found in client.get_vectors(**at, keys=[key])["vectors"]] == [key]


@pytest.mark.parametrize("method", ["get_vectors", "delete_vectors"])
@pytest.mark.parametrize("key", ["", "k" * 1025, "é" * 513, "a\ud800"])
def test_other_keys_are_refused(client: Client, index_of: MakeIndex, refusal: Refusal, method: str, key: str) -> None:
    at = index_of(client)

    error = refusal(getattr(client, method), **at, keys=["good", key])
    assert error.response["fieldList"][0]["path"] == "/keys/1"
    error = refusal(client.put_vectors, **at, vectors=[{"key": "good", "data": FLAT}, {"key": key, "data": FLAT}])
    assert error.response["fieldList"][0]["path"] == "/vectors/1/key"
    assert client.count_vectors(**at)["count"] == 0


@pytest.mark.parametrize("dialect", ["s3", "oss", "cos"])
def test_metadata_sizes(client_of: MakeClient, index_of: MakeIndex, refusal: Refusal, dialect: str) -> None:
    client = client_of(dialect)
    at = index_of(client, metadataConfiguration={"nonFilterableMetadataKeys": ["text"]})

    def vector(metadata: dict[str, Any]) -> dict[str, Any]:
        return {**at, "vectors": [{"key": "k", "data": FLAT, "metadata": metadata}]}

    # 4 for the object, 8 + 1 for the entry: 2,035 characters are 2,048 bytes; 40,947 of "text" are 40,963 - 3.
    client.put_vectors(**vector({"a": "x" * 2035}))
    client.put_vectors(**vector({"text": "x" * 40944}))
    client.put_vectors(**vector({"a": "x" * 2035, "text": "x" * (40960 - 2048 - 12)}))
    refusal(client.put_vectors, **vector({"a": "x" * 2036}))
    refusal(client.put_vectors, **vector({"text": "x" * 40945}))
    refusal(client.put_vectors, **vector({"a": "x" * 2035, "text": "x" * (40960 - 2048 - 11)}))


@pytest.mark.parametrize(("dialect", "most"), [("s3", 50), ("oss", 10), ("cos", 10)])
def test_metadata_keys(client_of: MakeClient, index_of: MakeIndex, refusal: Refusal, dialect: str, most: int) -> None:
    client = client_of(dialect)
    at = index_of(client)

    def put(count: int) -> dict[str, Any]:
        return {**at, "vectors": [{"key": "k", "data": FLAT, "metadata": {f"k{i}": 1 for i in range(count)}}]}

    client.put_vectors(**put(most))
    assert f"at most {most} keys" in str(refusal(client.put_vectors, **put(most + 1)))


def test_native_metadata_has_no_limits(client: Client, index_of: MakeIndex) -> None:
    at = index_of(client)
    metadata = {f"key {i}": "x" * 1000 for i in range(200)}

    client.put_vectors(**at, vectors=[{"key": "k", "data": FLAT, "metadata": metadata}])
    assert client.get_vectors(**at, keys=["k"], returnMetadata=True)["vectors"][0]["metadata"] == metadata


@pytest.mark.parametrize("dialect", SERVICES)
def test_non_filterable_keys(client_of: MakeClient, index_of: MakeIndex, refusal: Refusal, dialect: str) -> None:
    client = client_of(dialect)
    at = index_of(client, metadataConfiguration={"nonFilterableMetadataKeys": [f"key{i}" for i in range(10)]})
    create = {**at, "indexName": "other", "dataType": "float32", "dimension": 2, "distanceMetric": "cosine"}

    for wrong, words in [
        ([f"key{i}" for i in range(11)], "Value with length 11 at '/metadataConfiguration/nonFilterableMetadataKeys'"),
        (["x" * 64], "Value with length 64 at '/metadataConfiguration/nonFilterableMetadataKeys/0'"),
        ([""], "Value with length 0 at"),
        (["a", "a"], "names 'a' twice"),
    ]:
        error = refusal(client.create_index, **create, metadataConfiguration={"nonFilterableMetadataKeys": wrong})
        assert words in str(error)


@pytest.mark.parametrize("dialect", ALL)
def test_page_sizes(client_of: MakeClient, index_of: MakeIndex, refusal: Refusal, dialect: str) -> None:
    client = client_of(dialect)
    at = index_of(client)
    numbers = client.session.dialect.limits
    for call, arguments, most in [
        (client.list_vector_buckets, {}, numbers.list_buckets_max),
        (client.list_indexes, {"vectorBucketName": at["vectorBucketName"]}, numbers.list_indexes_max),
        (client.list_vectors, at, numbers.list_vectors_max),
    ]:
        call(**arguments, maxResults=1)
        call(**arguments, maxResults=most)
        for wrong in (0, most + 1):
            assert f"Member must be between 1 and {most}, inclusive" in str(
                refusal(call, **arguments, maxResults=wrong)
            )


def test_default_page_of_vectors_is_500(client: Client, index_of: MakeIndex) -> None:
    at = index_of(client)
    client.put_vectors(**at, vectors=[{"key": f"{i:04}", "data": FLAT} for i in range(1100)])

    page = client.list_vectors(**at)
    assert len(page["vectors"]) == 500
    assert len(client.list_vectors(**at, maxResults=1000, nextToken=page["nextToken"])["vectors"]) == 600


def test_a_page_of_vectors_ends_past_one_megabyte(client: Client, index_of: MakeIndex) -> None:
    at = index_of(client, metadataConfiguration={"nonFilterableMetadataKeys": ["text"]})
    vectors = [{"key": f"{i:02}", "data": FLAT, "metadata": {"text": "x" * 100_000}} for i in range(30)]
    client.put_vectors(**at, vectors=vectors)

    page = client.list_vectors(**at, returnMetadata=True)
    assert 10 <= len(page["vectors"]) <= 12
    full = client.get_paginator("list_vectors").paginate(**at, returnMetadata=True).build_full_result()
    assert [vector["key"] for vector in full["vectors"]] == [f"{i:02}" for i in range(30)]
    assert len(client.list_vectors(**at)["vectors"]) == 30


@pytest.mark.parametrize("dialect", ["oss", "cos", "tos"])
def test_number_of_buckets(client_of: MakeClient, refusal: Refusal, dialect: str) -> None:
    client = client_of(dialect)
    for i in range(100):
        client.create_vector_bucket(vectorBucketName=f"docs-{i}")

    error = refusal(client.create_vector_bucket, vectorBucketName="docs-100")
    assert "100" in error.response["message"]
    assert error.response["Error"]["Code"] == (
        "TooManyBuckets" if dialect == "oss" else "ServiceQuotaExceededException"
    )
    assert error.response["ResponseMetadata"]["HTTPStatusCode"] == (400 if dialect == "oss" else 402)


def test_number_of_indexes(client_of: MakeClient, refusal: Refusal) -> None:
    oss = client_of("oss")
    oss.create_vector_bucket(vectorBucketName="docs")
    create = {"vectorBucketName": "docs", "dataType": "float32", "dimension": 2, "distanceMetric": "cosine"}
    for i in range(100):
        oss.create_index(**create, indexName=f"i{i}")

    error = refusal(oss.create_index, **create, indexName="i100")
    assert error.response["Error"]["Code"] == "VectorBucketIndexExceedLimit"


def test_filters_of_the_s3_dialect_depend_on_the_mode(
    client_of: MakeClient, index_of: MakeIndex, refusal: Refusal
) -> None:
    s3 = client_of("s3")
    at = index_of(s3)

    def query(clauses: int, **options: Any) -> dict[str, Any]:
        filters = {"$and": [{"n": {"$gt": i}} for i in range(clauses)]}
        return {**at, "topK": 1, "queryVector": FLAT, "filter": filters, **options}

    prefix = {"filter": {"a": {"$startsWith": "x"}}}
    s3.query_vectors(**query(100))
    s3.query_vectors(**{**query(1), **prefix})
    assert "at most 100 conditions" in refusal(s3.query_vectors, **query(101)).response["fieldList"][0]["message"]
    assert "CLASSIC" in str(refusal(s3.query_vectors, **query(1, queryMode="CLASSIC")))

    s3.update_index_mode(**at, indexMode="CLASSIC")
    assert s3.get_index(**at)["index"]["indexMode"] == "CLASSIC"
    s3.query_vectors(**query(101))
    refusal(s3.query_vectors, **{**query(1), **prefix})
    s3.query_vectors(**{**query(1, queryMode="ENHANCED"), **prefix})


def test_filter_limits_of_oss(client_of: MakeClient, index_of: MakeIndex, refusal: Refusal) -> None:
    oss = client_of("oss")
    at = index_of(oss)

    def nested(levels: int) -> dict[str, Any]:
        found: dict[str, Any] = {"a": {"$eq": "x"}}
        for _ in range(levels):
            found = {"$and": [found]}
        return {**at, "topK": 1, "queryVector": FLAT, "filter": found}

    oss.query_vectors(**nested(8))
    assert "8 levels" in str(refusal(oss.query_vectors, **nested(9)))
    refusal(oss.list_vectors, **at, filter={"a": {"$in": ["x" * 1000] * 66}})
