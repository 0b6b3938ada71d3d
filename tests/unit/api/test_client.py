"""The client: responses in boto3's shape, arguments, errors, paginators."""

from __future__ import annotations

import datetime
import inspect
import pickle
import subprocess
import sys
import textwrap
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ragvec
from ragvec.api.client import Client, connect
from ragvec.api.exceptions import ClientError
from ragvec.errors import BucketNotFound, DimensionMismatch, InvalidRequest, NotAStore, RagvecError

FLAT = {"float32": [1.0, 0.0]}
MakeIndex = Callable[..., dict[str, str]]
Refusal = Callable[..., Any]


def put(client: Client, at: dict[str, str], count: int) -> None:
    vectors = [{"key": f"k{i:02}", "data": {"float32": [1.0, i]}, "metadata": {"n": i}} for i in range(count)]
    client.put_vectors(**at, vectors=vectors)


# -- opening -----------------------------------------------------------------------------------------------------------


def test_connect_opens_makes_and_closes(tmp_path: Path) -> None:
    with ragvec.connect(tmp_path / "new" / "store") as client:
        client.create_vector_bucket(vectorBucketName="docs")
        assert repr(client) == f"<ragvec client, native dialect, at file://{tmp_path}/new/store>"
    with ragvec.connect(str(tmp_path / "new" / "store"), dialect="s3", read_only=True) as client:
        assert [found["vectorBucketName"] for found in client.list_vector_buckets()["vectorBuckets"]] == ["docs"]
        with pytest.raises(client.exceptions.AccessDeniedException):
            client.create_vector_bucket(vectorBucketName="more")


def test_connect_refuses_what_it_cannot_open(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(NotAStore):
        connect(tmp_path)
    with pytest.raises(InvalidRequest, match="Unknown dialect 'azure'"):
        connect(tmp_path / "store", dialect="azure")
    assert not (tmp_path / "store").exists()


def test_meta_is_that_of_boto3(tmp_path: Path) -> None:
    with connect(tmp_path / "s", region="eu-west-1", account="123456789012") as client:
        assert client.meta.region_name == "eu-west-1"
        assert client.meta.service_model.service_name == "s3vectors"
        assert client.meta.endpoint_url == (tmp_path / "s").as_uri()
        assert client.meta.method_to_api_mapping["list_vectors"] == "ListVectors"
        created = client.create_vector_bucket(vectorBucketName="docs")
        assert created["vectorBucketArn"] == "arn:aws:s3vectors:eu-west-1:123456789012:bucket/docs"


# -- responses ---------------------------------------------------------------------------------------------------------


def test_every_response_has_metadata(client: Client, index_of: MakeIndex) -> None:
    at = index_of(client)
    first, second = client.get_index(**at), client.list_vectors(**at)

    for response in (first, second):
        metadata = response["ResponseMetadata"]
        assert metadata["HTTPStatusCode"] == 200
        assert uuid.UUID(metadata["RequestId"])
        assert (metadata["HTTPHeaders"], metadata["RetryAttempts"]) == ({}, 0)
    assert first["ResponseMetadata"]["RequestId"] != second["ResponseMetadata"]["RequestId"]


def test_a_bucket_described(client: Client) -> None:
    before = datetime.datetime.now(datetime.timezone.utc)
    kms = {"sseType": "aws:kms", "kmsKeyArn": "arn:aws:kms:us-east-1:000000000000:key/1"}
    client.create_vector_bucket(vectorBucketName="docs", encryptionConfiguration=kms)
    client.create_vector_bucket(vectorBucketName="plain")

    bucket = client.get_vector_bucket(vectorBucketName="docs")["vectorBucket"]
    created = bucket.pop("creationTime")
    assert before <= created <= datetime.datetime.now(datetime.timezone.utc)
    assert bucket == {
        "vectorBucketName": "docs",
        "vectorBucketArn": "arn:aws:s3vectors:local:000000000000:bucket/docs",
        "defaultIndexMode": "ENHANCED",
        "encryptionConfiguration": kms,
    }
    assert "encryptionConfiguration" not in client.get_vector_bucket(vectorBucketName="plain")["vectorBucket"]
    listed = client.list_vector_buckets()["vectorBuckets"][0]
    assert listed == {
        "vectorBucketName": "docs",
        "vectorBucketArn": "arn:aws:s3vectors:local:000000000000:bucket/docs",
        "creationTime": created,
    }


def test_an_index_described(client: Client) -> None:
    client.create_vector_bucket(vectorBucketName="docs")
    client.put_vector_bucket_default_index_mode(vectorBucketName="docs", defaultIndexMode="CLASSIC")
    client.create_index(
        vectorBucketName="docs",
        indexName="pages",
        dataType="float32",
        dimension=3,
        distanceMetric="euclidean",
        metadataConfiguration={"nonFilterableMetadataKeys": ["b", "a"]},
        encryptionConfiguration={"sseType": "AES256"},
    )
    index = client.get_index(vectorBucketName="docs", indexName="pages")["index"]

    assert isinstance(index.pop("creationTime"), datetime.datetime)
    assert index == {
        "vectorBucketName": "docs",
        "indexName": "pages",
        "indexArn": "arn:aws:s3vectors:local:000000000000:bucket/docs/index/pages",
        "dataType": "float32",
        "dimension": 3,
        "distanceMetric": "euclidean",
        "indexMode": "CLASSIC",
        "metadataConfiguration": {"nonFilterableMetadataKeys": ["b", "a"]},
        "encryptionConfiguration": {"sseType": "AES256"},
    }
    assert set(client.list_indexes(vectorBucketName="docs")["indexes"][0]) == {
        "vectorBucketName",
        "indexName",
        "indexArn",
        "creationTime",
    }


def test_only_what_was_asked_for_comes_back(client: Client, index_of: MakeIndex) -> None:
    at = index_of(client)
    client.put_vectors(**at, vectors=[{"key": "k", "data": {"float32": [0.1, 1]}}])
    query = {**at, "topK": 1, "queryVector": FLAT}

    assert client.get_vectors(**at, keys=["k"])["vectors"] == [{"key": "k"}]
    assert client.get_vectors(**at, keys=["k"], returnMetadata=True)["vectors"] == [{"key": "k", "metadata": {}}]
    assert client.list_vectors(**at)["vectors"] == [{"key": "k"}]
    assert client.query_vectors(**query)["vectors"] == [{"key": "k"}]
    assert client.query_vectors(**query, returnMetadata=True)["vectors"] == [{"key": "k", "metadata": {}}]
    (found,) = client.list_vectors(**at, returnData=True)["vectors"]
    assert found == {"key": "k", "data": {"float32": [float(np.float32(0.1)), 1.0]}}
    assert {type(value) for value in found["data"]["float32"]} == {float}


def test_get_returns_each_key_once_in_the_order_asked(client: Client, index_of: MakeIndex) -> None:
    at = index_of(client)
    put(client, at, 5)

    found = client.get_vectors(**at, keys=["k03", "none", "k01", "k03", "k00"])["vectors"]
    assert [vector["key"] for vector in found] == ["k03", "k01", "k00"]


def test_put_replaces_data_and_metadata_as_a_whole(client: Client, index_of: MakeIndex) -> None:
    at = index_of(client)
    client.put_vectors(**at, vectors=[{"key": "k", "data": FLAT, "metadata": {"a": 1, "b": 2}}])
    client.put_vectors(**at, vectors=[{"key": "k", "data": {"float32": [0, 2]}, "metadata": {"b": 3}}])

    (found,) = client.get_vectors(**at, keys=["k"], returnData=True, returnMetadata=True)["vectors"]
    assert found == {"key": "k", "data": {"float32": [0.0, 2.0]}, "metadata": {"b": 3}}
    assert client.query_vectors(**at, topK=5, queryVector=FLAT, filter={"a": 1})["vectors"] == []


def test_delete_by_key_and_by_filter(client: Client, index_of: MakeIndex, refusal: Refusal) -> None:
    at = index_of(client)
    put(client, at, 10)

    answer = client.delete_vectors(**at, keys=["k00", "none", "k00"])
    assert set(answer) == {"ResponseMetadata"}
    assert client.delete_vectors(**at, filter={"n": {"$gte": 7}})["deletedCount"] == 3
    assert client.count_vectors(**at)["count"] == 6
    assert client.count_vectors(**at, filter={"n": {"$lt": 3}})["count"] == 2
    assert "Must specify either keys or filter but not both" in str(
        refusal(client.delete_vectors, **at, keys=["a"], filter={})
    )
    assert "Value at '/keys' failed" in str(refusal(client.delete_vectors, **at))
    assert client.delete_vectors(**at, filter={})["deletedCount"] == 6


def test_vectors_may_be_arrays(client: Client, index_of: MakeIndex) -> None:
    at = index_of(client)
    data = [np.array([1, 2]), np.array([1, 2], dtype=np.float16), (1, 2.0), [np.float32(1), np.int8(2)]]
    client.put_vectors(**at, vectors=[{"key": f"{i}", "data": {"float32": each}} for i, each in enumerate(data)])

    for each in data:
        answer = client.query_vectors(**at, topK=np.int64(9), queryVector={"float32": each}, returnDistance=True)
        assert [hit["distance"] for hit in answer["vectors"]] == [0.0] * 4


KEYS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
NUMBERS = st.one_of(st.integers(-(2**63), 2**64 - 1), st.floats(allow_nan=False, allow_infinity=False))
VALUES = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"])),
    NUMBERS,
    st.booleans(),
    st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=4),
    st.lists(NUMBERS, min_size=1, max_size=4),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(KEYS, st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), VALUES), min_size=1))
def test_what_is_put_comes_back(client: Client, index_of: MakeIndex, records: dict[str, dict[str, Any]]) -> None:
    at = {"vectorBucketName": "docs", "indexName": "pages"}
    if not client.list_vector_buckets()["vectorBuckets"]:
        index_of(client)
    client.put_vectors(**at, vectors=[{"key": key, "data": FLAT, "metadata": value} for key, value in records.items()])

    found = client.get_vectors(**at, keys=list(records), returnMetadata=True)["vectors"]
    assert {vector["key"]: vector["metadata"] for vector in found} == records
    assert [repr(vector["metadata"]) for vector in found] == [repr(value) for value in records.values()]
    listed = client.list_vectors(**at, maxResults=1000)["vectors"]
    assert [vector["key"] for vector in listed] == sorted((vector["key"] for vector in listed), key=str.encode)


# -- arguments ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "arguments", "words"),
    [
        (
            "query_vectors",
            {"topk": 1},
            "Unknown parameter `topk` for QueryVectors in the native dialect; expected vector",
        ),
        ("get_index", {"a": 1, "b": 2}, "Unknown parameter `a`, `b` for GetIndex"),
        ("query_vectors", {"topK": "3"}, "Expected `int`, got `str` - at `/topK`"),
        ("query_vectors", {"topK": True}, "Expected `int`, got `bool` - at `/topK`"),
        ("query_vectors", {"topK": 1.5}, "Expected `int`, got `float` - at `/topK`"),
        ("query_vectors", {"topK": 1, "queryVector": [1, 2]}, "Expected `object`, got `array` - at `/queryVector`"),
        (
            "query_vectors",
            {"topK": 1, "queryVector": {"int8": []}},
            "Unknown parameter `int8` - at `/queryVector/int8`",
        ),
        (
            "query_vectors",
            {"topK": 1, "queryVector": {}},
            "Value at '/queryVector/float32' failed to satisfy constraint",
        ),
        ("query_vectors", {"topK": 1, "returnMetadata": 1}, "Expected `bool`, got `int` - at `/returnMetadata`"),
        ("put_vectors", {"vectors": {}}, "Expected `array`, got `object` - at `/vectors`"),
        ("put_vectors", {"vectors": [{"key": 1, "data": FLAT}]}, "Expected `str`, got `int` - at `/vectors/0/key`"),
        (
            "put_vectors",
            {"vectors": [{"key": "k"}]},
            "Value at '/vectors/0/data' failed to satisfy constraint: Member must not be",
        ),
        ("put_vectors", {"vectors": [{"key": "k", "data": FLAT, "x": 1}]}, "Unknown parameter `x` - at `/vectors/0/x`"),
        ("get_vectors", {"keys": "k"}, "Expected `array`, got `str` - at `/keys`"),
        ("get_vectors", {"keys": ["k", None]}, "Expected `str`, got `null` - at `/keys/1`"),
        (
            "create_vector_bucket",
            {"vectorBucketName": "b", "tags": {"a": 1}},
            "Expected `str`, got `int` - at `/tags/...`",
        ),
        ("create_vector_bucket", {"vectorBucketName": 5}, "Expected `str`, got `int` - at `/vectorBucketName`"),
        (
            "create_vector_bucket",
            {},
            "Value at '/vectorBucketName' failed to satisfy constraint: Member must not be null",
        ),
    ],
)
def test_wrong_arguments_are_named(
    client: Client, refusal: Refusal, method: str, arguments: dict[str, Any], words: str
) -> None:
    error = refusal(getattr(client, method), **arguments)

    assert words in str(error)
    assert error.response["Error"]["Code"] == "ValidationException"
    assert error.response["fieldList"][0]["path"].startswith("/")


def test_none_counts_as_not_given(client: Client, index_of: MakeIndex) -> None:
    at = index_of(client)

    assert client.query_vectors(**at, topK=1, queryVector=FLAT, filter=None, nextToken=None)["vectors"] == []
    assert client.list_vectors(**at, maxResults=None, segmentCount=None)["vectors"] == []


def test_duplicate_keys_in_one_put_are_refused(client: Client, index_of: MakeIndex, refusal: Refusal) -> None:
    at = index_of(client)
    error = refusal(client.put_vectors, **at, vectors=[{"key": key, "data": FLAT} for key in ("a", "b", "a")])

    assert "Duplicate key 'a' at vectors[0] and vectors[2]: keys of one request must be distinct" in str(error)
    assert client.count_vectors(**at)["count"] == 0


def test_arguments_are_not_modified(client: Client, index_of: MakeIndex) -> None:
    at = index_of(client)
    data = np.array([1.0, 2.0])
    metadata = {"a": (1, 2)}
    vectors = [{"key": "k", "data": {"float32": data}, "metadata": metadata}]
    client.put_vectors(**at, vectors=vectors)

    assert data.tolist() == [1.0, 2.0]
    assert metadata == {"a": (1, 2)}
    assert vectors == [{"key": "k", "data": {"float32": data}, "metadata": metadata}]


def test_methods_tell_their_parameters(client: Client) -> None:
    signature = inspect.signature(client.put_vectors)

    assert str(signature) == "(*, vectors, vectorBucketName=None, indexName=None, indexArn=None)"
    assert "all of them or none" in (client.put_vectors.__doc__ or "")
    assert client.put_vectors.__name__ == "put_vectors"  # type: ignore[attr-defined]


# -- errors ------------------------------------------------------------------------------------------------------------


def test_an_error_tells_what_boto3_tells(client: Client, refusal: Refusal) -> None:
    error = refusal(client.get_vector_bucket, vectorBucketName="absent")

    text = "The specified vector bucket could not be found: 'absent'"
    assert str(error) == f"An error occurred (NotFoundException) when calling the GetVectorBucket operation: {text}"
    assert error.operation_name == "GetVectorBucket"
    assert error.response["Error"] == {"Code": "NotFoundException", "Message": text}
    assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 404
    assert uuid.UUID(error.response["ResponseMetadata"]["RequestId"])
    assert "fieldList" not in error.response
    assert isinstance(error, client.exceptions.NotFoundException)
    assert isinstance(error, client.exceptions.ClientError)
    assert isinstance(error, RagvecError)
    assert isinstance(error.__cause__, BucketNotFound)


def test_the_cause_carries_the_data(client: Client, index_of: MakeIndex, refusal: Refusal) -> None:
    at = index_of(client)
    cause = refusal(client.put_vectors, **at, vectors=[{"key": "k", "data": {"float32": [1]}}]).__cause__

    assert isinstance(cause, DimensionMismatch)
    assert (cause.expected, cause.got, cause.path) == (2, 1, "vectors[0]")


def test_errors_survive_pickling(client: Client, refusal: Refusal) -> None:
    error = refusal(client.get_vector_bucket, vectorBucketName="absent")
    copy = pickle.loads(pickle.dumps(error))

    assert (str(copy), copy.response, copy.operation_name) == (str(error), error.response, error.operation_name)
    assert isinstance(copy, client.exceptions.NotFoundException)


def test_exceptions_by_name_and_code(client: Client, client_of: Callable[..., Client]) -> None:
    assert client.exceptions.from_code("ConflictException") is client.exceptions.ConflictException
    assert client.exceptions.from_code("Unheard") is ClientError
    assert "TooManyRequestsException" in dir(client.exceptions)
    assert client_of("oss").exceptions.NoSuchVectorIndex.__name__ == "NoSuchVectorIndex"
    with pytest.raises(AttributeError, match="There is no exception NoSuchKey; there are: AccessDeniedException"):
        _ = client.exceptions.NoSuchKey


def test_without_botocore_errors_stand_alone_and_with_it_they_are_its_own(tmp_path: Path) -> None:
    pytest.importorskip("botocore", reason="half of the test is about botocore")
    script = textwrap.dedent(
        """
        import sys
        import ragvec
        client = ragvec.connect(sys.argv[1])
        try:
            client.get_vector_bucket(vectorBucketName="absent")
        except client.exceptions.NotFoundException as error:
            first = error
        assert "botocore" not in sys.modules
        import botocore.exceptions
        assert not isinstance(first, botocore.exceptions.ClientError)
        try:
            client.get_vector_bucket(vectorBucketName="absent")
        except botocore.exceptions.ClientError as error:
            assert error.response["Error"]["Code"] == "NotFoundException"
            assert isinstance(error, client.exceptions.NotFoundException)
            assert str(error) == str(first)
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "store")], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


# -- paginators --------------------------------------------------------------------------------------------------------


def test_what_can_be_paginated(client: Client) -> None:
    pageable = {"list_vector_buckets", "list_indexes", "list_vectors", "query_vectors"}
    assert {name for name in client.meta.method_to_api_mapping if client.can_paginate(name)} == pageable
    assert not client.can_paginate("no_such_method")
    with pytest.raises(InvalidRequest, match="Operation cannot be paginated: get_index; expected one of list_indexes"):
        client.get_paginator("get_index")


def test_paginators_walk_all_pages(client: Client, index_of: MakeIndex) -> None:
    at = index_of(client)
    put(client, at, 11)

    pages = list(client.get_paginator("list_vectors").paginate(**at, PaginationConfig={"PageSize": 4}))
    assert [len(page["vectors"]) for page in pages] == [4, 4, 3]
    full = (
        client.get_paginator("query_vectors").paginate(**at, topK=9, queryVector=FLAT, maxResults=2).build_full_result()
    )
    assert [vector["key"] for vector in full["vectors"]] == [f"k{i:02}" for i in range(9)]
    assert full["distanceMetric"] == "cosine"
    assert "NextToken" not in full


@pytest.mark.parametrize("size", [1, 3, 4, 50])
@pytest.mark.parametrize("most", [1, 4, 5, 11, 12])
def test_max_items_and_starting_token_take_a_list_in_parts(
    client: Client, index_of: MakeIndex, size: int, most: int
) -> None:
    at = index_of(client)
    put(client, at, 11)
    paginator = client.get_paginator("list_vectors")

    found: list[str] = []
    token: str | None = None
    while True:
        config = {"MaxItems": most, "PageSize": size, "StartingToken": token}
        result = paginator.paginate(**at, PaginationConfig=config).build_full_result()
        assert len(result["vectors"]) <= most
        found += [vector["key"] for vector in result["vectors"]]
        token = result.get("NextToken")
        if token is None:
            break
    assert found == [f"k{i:02}" for i in range(11)]


def test_a_token_of_a_page_is_a_starting_token_too(client: Client, index_of: MakeIndex) -> None:
    at = index_of(client)
    put(client, at, 5)
    token = client.list_vectors(**at, maxResults=3)["nextToken"]

    rest = client.get_paginator("list_vectors").paginate(**at, PaginationConfig={"StartingToken": token})
    assert [vector["key"] for vector in rest.build_full_result()["vectors"]] == ["k03", "k04"]


def test_search_over_pages(client: Client, index_of: MakeIndex) -> None:
    at = index_of(client)
    put(client, at, 5)
    pages = client.get_paginator("list_vectors").paginate(**at, maxResults=2, returnMetadata=True)

    assert list(pages.search("vectors[?metadata.n > `2`].key")) == ["k03", "k04"]
    assert list(pages.search("length(vectors)")) == [2, 2, 1]


def test_bad_pagination_config(client: Client, client_of: Callable[..., Client]) -> None:
    with pytest.raises(InvalidRequest, match="Unknown PaginationConfig 'pageSize'; expected MaxItems"):
        client.get_paginator("list_vectors").paginate(PaginationConfig={"pageSize": 1})
    with pytest.raises(InvalidRequest, match="PageSize is not supported for this operation"):
        client_of("s3").get_paginator("query_vectors").paginate(PaginationConfig={"PageSize": 1})


# -- threads -----------------------------------------------------------------------------------------------------------


def test_one_client_serves_many_threads(client: Client, index_of: MakeIndex) -> None:
    at = index_of(client)

    def work(i: int) -> int:
        client.put_vectors(**at, vectors=[{"key": f"{i}", "data": {"float32": [1, i]}}])
        return len(client.get_vectors(**at, keys=[f"{i}"])["vectors"])

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(work, range(60))) == 60
    assert client.count_vectors(**at)["count"] == 60
