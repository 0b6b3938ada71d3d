"""Tencent Cloud's CosVectorsClient, unmodified, against `ragvec serve`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import numpy as np
import pytest
import requests

import ragvec

pytest.importorskip("qcloud_cos", reason="cos-python-sdk-v5 is not installed")

from qcloud_cos.cos_vectors_client import CosVectorsClient

from ragvec.server.users import User
from tests.wire.cos_client import (
    DIMENSION,
    QCS,
    READER,
    TEMPORARY,
    policy_of,
    post,
    prepared,
    refused,
    sent,
    settings,
    some,
    told,
)
from tests.wire.serving import ACCOUNT, OWNER, REGION, Serving, serving

Connect = Callable[..., CosVectorsClient]
sdk = pytest.mark.sdk


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    store = tmp_path_factory.mktemp("served") / "store"
    with serving(store, users=[OWNER, TEMPORARY, READER]) as running:
        yield running


@pytest.fixture
def connect(server: Serving) -> Iterator[Connect]:
    clients: list[CosVectorsClient] = []

    def connected(user: User = OWNER, **given: Any) -> CosVectorsClient:
        clients.append(CosVectorsClient(settings(server, user, **given), session=requests.Session()))
        return clients[-1]

    yield connected
    for client in clients:
        client._session.close()


@pytest.fixture
def client(connect: Connect) -> CosVectorsClient:
    return connect()


@pytest.fixture
def bucket(client: CosVectorsClient, request: pytest.FixtureRequest) -> Iterator[str]:
    """A bucket of its own for each test, with an index `pages` of the euclidean metric."""
    name = f"b{abs(hash(request.node.nodeid)) % 10**9}-{ACCOUNT}"
    client.create_vector_bucket(Bucket=name)
    client.create_index(
        Bucket=name,
        Index="pages",
        DataType="float32",
        Dimension=DIMENSION,
        DistanceMetric="euclidean",
        NonFilterableMetadataKeys=["text"],
    )
    yield name
    for index in client.list_indexes(Bucket=name)[1]["indexes"]:
        client.delete_index(Bucket=name, Index=index["indexName"])
    client.delete_vector_bucket(Bucket=name)


# -- operations --------------------------------------------------------------------------------------------------------


@sdk("cos-python-sdk-v5", "CreateVectorBucket")
@sdk("cos-python-sdk-v5", "GetVectorBucket")
@sdk("cos-python-sdk-v5", "ListVectorBuckets")
@sdk("cos-python-sdk-v5", "DeleteVectorBucket")
def test_buckets(client: CosVectorsClient) -> None:
    names = [f"kept-{i}-{ACCOUNT}" for i in range(3)]
    before = time.time()
    for name in names:
        headers, created = client.create_vector_bucket(Bucket=name, SseType="AES256")
        assert created == {"vectorBucketQcs": f"{QCS}/{name}"}
        assert headers["x-cos-request-id"]
    _, found = client.get_vector_bucket(Bucket=names[0])
    at = found["vectorBucket"].pop("creationTime")
    assert isinstance(at, int)
    assert int(before) <= at <= time.time()
    assert found == {
        "vectorBucket": {
            "vectorBucketName": names[0],
            "vectorBucketQcs": f"{QCS}/{names[0]}",
            "encryptionConfiguration": {"sseType": "AES256"},
        }
    }
    listed: list[dict[str, Any]] = []
    token: str | None = ""
    while token is not None:
        _, page = client.list_vector_buckets(MaxResults=2, Prefix="kept-", NextToken=token)
        assert len(page["vectorBuckets"]) <= 2
        listed += page["vectorBuckets"]
        token = page.get("nextToken")
    assert [entry["vectorBucketName"] for entry in listed] == names
    assert listed[0].keys() == {"vectorBucketName", "vectorBucketQcs", "creationTime"}
    for name in names:
        assert "x-cos-request-id" in client.delete_vector_bucket(Bucket=name)
    assert client.list_vector_buckets(Prefix="kept-")[1] == {"vectorBuckets": []}


@sdk("cos-python-sdk-v5", "PutVectorBucketPolicy")
@sdk("cos-python-sdk-v5", "GetVectorBucketPolicy")
@sdk("cos-python-sdk-v5", "DeleteVectorBucketPolicy")
@pytest.mark.parametrize("as_text", [True, False], ids=["text", "dict"])
def test_policies(client: CosVectorsClient, bucket: str, as_text: bool) -> None:
    policy = policy_of(bucket, "name/cos:GetVectorIndex")
    client.put_vector_bucket_policy(Bucket=bucket, Policy=json.dumps(policy) if as_text else policy)
    _, found = client.get_vector_bucket_policy(Bucket=bucket)
    assert found.keys() == {"policy"}
    assert json.loads(found["policy"]) == policy
    client.delete_vector_bucket_policy(Bucket=bucket)
    error = refused(lambda: client.get_vector_bucket_policy(Bucket=bucket))
    assert (error.get_status_code(), error.get_error_code()) == (404, "NotFoundException")
    meaningless = policy_of(bucket, "name/cos:GetVectorIndex")
    meaningless["statement"][0]["principal"] = {"qcs": ["qcs::cam::somebody"]}
    error = refused(lambda: client.put_vector_bucket_policy(Bucket=bucket, Policy=meaningless))
    assert (error.get_status_code(), error.get_error_code()) == (400, "ValidationException")
    assert "qcs::cam::somebody" in told(error)["message"]


@sdk("cos-python-sdk-v5", "CreateIndex")
@sdk("cos-python-sdk-v5", "GetIndex")
@sdk("cos-python-sdk-v5", "ListIndexes")
@sdk("cos-python-sdk-v5", "DeleteIndex")
def test_indexes(client: CosVectorsClient, bucket: str) -> None:
    for name in ("first.one", "second"):
        _, created = client.create_index(
            Bucket=bucket,
            Index=name,
            DataType="float32",
            Dimension=3,
            DistanceMetric="cosine",
            NonFilterableMetadataKeys=["text", "title"],
        )
        assert created == {"indexQcs": f"{QCS}/{bucket}/index/{name}"}
    _, found = client.get_index(Bucket=bucket, Index="first.one")
    assert isinstance(found["index"].pop("creationTime"), int)
    assert found == {
        "index": {
            "vectorBucketName": bucket,
            "indexName": "first.one",
            "indexQcs": f"{QCS}/{bucket}/index/first.one",
            "dataType": "float32",
            "dimension": 3,
            "distanceMetric": "cosine",
            "metadataConfiguration": {"nonFilterableMetadataKeys": ["text", "title"]},
        }
    }
    _, page = client.list_indexes(Bucket=bucket, MaxResults=2)
    assert [entry["indexName"] for entry in page["indexes"]] == ["first.one", "pages"]
    assert page["indexes"][0].keys() == {"vectorBucketName", "indexName", "indexQcs", "creationTime"}
    _, rest = client.list_indexes(Bucket=bucket, MaxResults=2, NextToken=page["nextToken"])
    assert [entry["indexName"] for entry in rest["indexes"]] == ["second"]
    assert not rest.get("nextToken")
    client.delete_index(Bucket=bucket, Index="second")
    assert [e["indexName"] for e in client.list_indexes(Bucket=bucket, Prefix="s")[1]["indexes"]] == []


@sdk("cos-python-sdk-v5", "PutVectors")
@sdk("cos-python-sdk-v5", "GetVectors")
@sdk("cos-python-sdk-v5", "DeleteVectors")
def test_vectors(client: CosVectorsClient, bucket: str) -> None:
    _, vectors = some(5)
    assert "x-cos-request-id" in client.put_vectors(Bucket=bucket, Index="pages", Vectors=vectors)
    keys = [vectors[3]["key"], "absent", vectors[1]["key"]]
    _, found = client.get_vectors(Bucket=bucket, Index="pages", Keys=keys, ReturnData=True, ReturnMetaData=True)
    assert found == {"vectors": [vectors[3], vectors[1]]}
    _, found = client.get_vectors(Bucket=bucket, Index="pages", Keys=keys)
    assert found == {"vectors": [{"key": vectors[3]["key"]}, {"key": vectors[1]["key"]}]}
    client.delete_vectors(Bucket=bucket, Index="pages", Keys=[vectors[3]["key"], "absent"])
    _, found = client.get_vectors(Bucket=bucket, Index="pages", Keys=keys)
    assert found == {"vectors": [{"key": vectors[1]["key"]}]}


@sdk("cos-python-sdk-v5", "QueryVectors")
def test_queries_give_squared_distances_nearest_first(client: CosVectorsClient, bucket: str) -> None:
    rows, vectors = some(300)
    client.put_vectors(Bucket=bucket, Index="pages", Vectors=vectors)
    query = np.random.default_rng(8).standard_normal(DIMENSION).astype(np.float32)
    true = ((rows.astype(np.float64) - query) ** 2).sum(axis=1)
    for rule, chosen in (
        (None, np.ones(300, bool)),
        ({"lang": "fr"}, np.arange(300) % 3 == 0),
        ({"$and": [{"lang": {"$eq": "en"}}, {"year": {"$gte": 2200}}]}, np.arange(300) >= 200),
        ({"lang": "en", "year": {"$lt": 2030}}, np.arange(300) < 30),
    ):
        matching = np.flatnonzero(chosen & ((np.arange(300) % 3 != 0) if rule and "en" in str(rule) else True))
        nearest = matching[np.argsort(true[matching], kind="stable")][:30]
        _, found = client.query_vectors(
            Bucket=bucket,
            Index="pages",
            QueryVector={"float32": query.tolist()},
            TopK=30,
            Filter=rule,
            ReturnDistance=True,
            ReturnMetaData=True,
        )
        assert found.keys() == {"vectors"}
        assert [hit["key"] for hit in found["vectors"]] == [vectors[i]["key"] for i in nearest]
        assert [hit["metadata"] for hit in found["vectors"]] == [vectors[i]["metadata"] for i in nearest]
        np.testing.assert_allclose([hit["distance"] for hit in found["vectors"]], true[nearest], rtol=1e-6)
    _, found = client.query_vectors(
        Bucket=bucket, Index="pages", QueryVector={"float32": query.tolist()}, TopK=1, Filter={"lang": "de"}
    )
    assert found == {"vectors": []}


@sdk("cos-python-sdk-v5", "ListVectors")
def test_lists_are_paged_filtered_and_cut_into_segments(client: CosVectorsClient, bucket: str) -> None:
    _, vectors = some(300)
    client.put_vectors(Bucket=bucket, Index="pages", Vectors=vectors)

    def listed(**given: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        token: str | None = None
        while token is None or token:
            _, page = client.list_vectors(Bucket=bucket, Index="pages", MaxResults=40, NextToken=token, **given)
            assert len(page["vectors"]) <= 40
            found += page["vectors"]
            token = page.get("nextToken", "")
        return found

    assert listed(ReturnData=True, ReturnMetaData=True) == vectors
    french = listed(Filter={"lang": {"$eq": "fr"}})
    assert french == [{"key": vector["key"]} for vector in vectors[::3]]
    segments = [listed(SegmentCount=3, SegmentIndex=at) for at in range(3)]
    assert sorted(entry["key"] for part in segments for entry in part) == [vector["key"] for vector in vectors]


def test_the_server_says_what_the_store_says_in_this_process(
    client: CosVectorsClient, bucket: str, server: Serving
) -> None:
    _, vectors = some(50)
    client.put_vectors(Bucket=bucket, Index="pages", Vectors=vectors)
    asked = {"queryVector": vectors[7]["data"], "topK": 5, "returnDistance": True, "returnMetadata": True}
    with ragvec.connect(server.store, dialect="cos", account=ACCOUNT, region=REGION) as here:
        ours = here.query_vectors(vectorBucketName=bucket, indexName="pages", **asked)
    _, theirs = client.query_vectors(
        Bucket=bucket,
        Index="pages",
        QueryVector=vectors[7]["data"],
        TopK=5,
        ReturnDistance=True,
        ReturnMetaData=True,
    )
    assert theirs["vectors"] == ours["vectors"]


# -- ways to the server ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given",
    [
        {"Domain": None, "IP": "127.0.0.1", "Port": "port"},
        {"Domain": "vectors.ap-guangzhou.coslake.com", "Proxies": {"http": "url"}},
        {"SignHost": False},
        {"KeepAlive": False},
    ],
    ids=["ip and port", "proxy", "host not signed", "no keep-alive"],
)
def test_other_ways_of_connecting(connect: Connect, server: Serving, given: dict[str, Any]) -> None:
    words = {"port": server.port, "url": server.url}
    filled = {
        name: {"http": server.url} if isinstance(value, dict) else words.get(value, value)
        for name, value in given.items()
    }
    assert "vectorBuckets" in connect(**filled).list_vector_buckets()[1]


def test_resource_names_stand_for_names(client: CosVectorsClient, bucket: str, server: Serving) -> None:
    _, vectors = some(2)
    client.put_vectors(Bucket=bucket, Index="pages", Vectors=vectors)
    index = f"{QCS}/{bucket}/index/pages"
    assert post(server, "GetVectorBucket", {"vectorBucketQcs": f"{QCS}/{bucket}"}).status_code == 200
    both = {"indexQcs": index, "vectorBucketName": bucket, "indexName": "pages"}
    for where in ({"indexQcs": index}, both):
        reply = post(server, "GetVectors", {**where, "keys": ["p0001"], "returnMetadata": True})
        assert reply.json() == {"vectors": [{"key": "p0001", "metadata": vectors[1]["metadata"]}]}
    for where in ({**both, "indexName": "other"}, {"indexArn": index}, {"indexQcs": "arn:aws:x"}, {}):
        reply = post(server, "GetVectors", {**where, "keys": ["p0001"]})
        assert (reply.status_code, reply.headers["x-cos-error-code"]) == (400, "ValidationException")
        assert "Arn" not in reply.text or "indexArn" in where
    reply = post(server, "GetIndex", {"indexQcs": index.replace(ACCOUNT, "1", 1)})
    assert (reply.status_code, reply.headers["x-cos-error-code"]) == (404, "NotFoundException")


def test_a_query_can_return_data_though_the_sdk_cannot_ask_for_it(
    client: CosVectorsClient, bucket: str, server: Serving
) -> None:
    _, vectors = some(2)
    client.put_vectors(Bucket=bucket, Index="pages", Vectors=vectors)
    asked = {"queryVector": vectors[1]["data"], "topK": 1, "returnData": True}
    reply = post(server, "QueryVectors", {"vectorBucketName": bucket, "indexName": "pages", **asked})
    assert reply.json() == {"vectors": [{"key": "p0001", "data": vectors[1]["data"]}]}


def test_a_list_of_buckets_needs_no_body(server: Serving) -> None:
    reply = post(server, "ListVectorBuckets", None)
    assert reply.status_code == 200
    assert reply.json().keys() == {"vectorBuckets"}


# -- errors ------------------------------------------------------------------------------------------------------------


def test_errors_of_operations_reach_the_sdk(client: CosVectorsClient, bucket: str) -> None:
    where = {"Bucket": bucket, "Index": "pages"}
    new = {"DataType": "float32", "Dimension": 3, "DistanceMetric": "cosine"}
    for status, code, words, call in (
        (409, "ConflictException", "already exists", lambda: client.create_vector_bucket(Bucket=bucket)),
        (409, "ConflictException", "not empty", lambda: client.delete_vector_bucket(Bucket=bucket)),
        (409, "ConflictException", "already exists", lambda: client.create_index(**where, **new)),
        (404, "NotFoundException", "vector bucket", lambda: client.get_vector_bucket(Bucket="none-1")),
        (404, "NotFoundException", "index", lambda: client.get_index(Bucket=bucket, Index="none")),
        (404, "NotFoundException", "index", lambda: client.delete_index(Bucket=bucket, Index="none")),
        (400, "ValidationException", "Invalid vector bucket name", lambda: client.create_vector_bucket(Bucket="docs")),
        (
            400,
            "ValidationException",
            "/topK",
            lambda: client.query_vectors(**where, QueryVector={"float32": []}, TopK=31),
        ),
        (400, "ValidationException", "/keys", lambda: client.get_vectors(**where, Keys=[])),
        (400, "ValidationException", "queryVector", lambda: client.query_vectors(**where, QueryVector=[1.0], TopK=1)),
        (400, "ValidationException", "Invalid filter", lambda: client.list_vectors(**where, Filter={"a": {"$x": 1}})),
        (400, "ValidationException", "policy", lambda: client.put_vector_bucket_policy(Bucket=bucket, Policy="{}")),
    ):
        error = refused(call)
        assert (error.get_status_code(), error.get_error_code()) == (status, code)
        assert words in told(error)["message"]
        assert error.get_request_id()
    error = refused(lambda: client.create_index(**{**where, "Index": "new"}, **{**new, "Dimension": 5000}))
    (field,) = told(error)["fieldList"]
    assert field["path"] == "/dimension"
    assert "between 1 and 4096" in field["message"]


def test_a_full_batch_is_taken_and_a_body_that_is_too_long_refused(
    client: CosVectorsClient, bucket: str, server: Serving
) -> None:
    client.create_index(Bucket=bucket, Index="wide", DataType="float32", Dimension=1024, DistanceMetric="cosine")
    row = np.random.default_rng(9).standard_normal(1024).astype(np.float32).tolist()
    vectors = [{"key": f"k{i:03}", "data": {"float32": row}} for i in range(500)]
    client.put_vectors(Bucket=bucket, Index="wide", Vectors=vectors)
    assert len(client.list_vectors(Bucket=bucket, Index="wide")[1]["vectors"]) == 500
    reply = post(server, "PutVectors", b" " * 20_971_521)
    assert (reply.status_code, reply.headers["x-cos-error-code"]) == (400, "ValidationException")
    assert "20971520" in reply.json()["message"]


def test_malformed_requests(server: Serving) -> None:
    for operation, body, status, code, words in (
        ("GetVectorBucket", b"{", 400, "ValidationException", "JSON"),
        ("GetVectorBucket", b"[]", 400, "ValidationException", "JSON object"),
        ("GetVectorBucket", b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}", 400, "ValidationException", "deep"),
        ("GetVectorBucket", b"\xff", 400, "ValidationException", "JSON"),
        ("ListVectorBuckets", b'{"limit":1}', 400, "ValidationException", "Unknown parameter `limit`"),
        ("TagResource", b"{}", 400, "ValidationException", "no operation"),
        ("", b"{}", 400, "ValidationException", "no operation"),
    ):
        reply = post(server, operation, body)
        assert (reply.status_code, reply.headers["x-cos-error-code"]) == (status, code), operation
        assert words in reply.json()["message"]
    reply = post(server, "ListVectorBuckets", b"{}", method="PUT")
    assert (reply.status_code, reply.headers["x-cos-error-code"]) == (405, "MethodNotAllowed")


# -- who may do what ---------------------------------------------------------------------------------------------------


def test_signatures_are_checked(connect: Connect, server: Serving) -> None:
    connect(TEMPORARY).list_vector_buckets()
    unknown = msgspec.structs.replace(OWNER, access_key="AKIDUNKNOWN0000001")
    wrong = msgspec.structs.replace(OWNER, secret_key="wrong")
    for code, client in (
        ("SignatureDoesNotMatch", connect(wrong)),
        ("InvalidAccessKeyId", connect(unknown)),
        ("AccessDeniedException", connect(TEMPORARY, Token=None)),
        ("AccessDeniedException", connect(TEMPORARY, Token="another")),
        ("AccessDeniedException", connect(OWNER, Token="unasked-for")),
        ("AccessDeniedException", connect(SecretId=None, SecretKey=None, Anonymous=True)),
    ):
        error = refused(client.list_vector_buckets)
        assert (error.get_status_code(), error.get_error_code()) == (403, code)
    signed = prepared(server, "ListVectorBuckets", b"{}")
    signed.headers["x-cos-new"] = "is not listed"
    assert sent(signed).status_code == 200
    signed.headers["Content-Type"] = "text/plain"
    reply = sent(signed)
    assert (reply.status_code, reply.headers["x-cos-error-code"]) == (403, "SignatureDoesNotMatch")
    signed = prepared(server, "ListVectorBuckets", b"{}")
    signed.url = f"{server.url}/DeleteVectorBucket"
    assert sent(signed).headers["x-cos-error-code"] == "SignatureDoesNotMatch"
    signed = prepared(server, "ListVectorBuckets", b"{}", expire=-61)
    assert sent(signed).headers["x-cos-error-code"] == "RequestTimeTooSkewed"


def test_policies_let_others_in(client: CosVectorsClient, connect: Connect, bucket: str) -> None:
    _, vectors = some(2)
    client.put_vectors(Bucket=bucket, Index="pages", Vectors=vectors)
    reader = connect(READER)
    query = {"Bucket": bucket, "Index": "pages", "QueryVector": vectors[0]["data"], "TopK": 1}
    may = {
        "name/cos:GetVectorBucket": lambda: reader.get_vector_bucket(Bucket=bucket),
        "name/cos:ListVectorIndexes": lambda: reader.list_indexes(Bucket=bucket),
        "name/cos:GetVectorIndex": lambda: reader.get_index(Bucket=bucket, Index="pages"),
        "name/cos:QueryVectors": lambda: reader.query_vectors(**query),
        "name/cos:ListVectors": lambda: reader.list_vectors(Bucket=bucket, Index="pages"),
        "name/cos:PutVectors": lambda: reader.put_vectors(Bucket=bucket, Index="pages", Vectors=vectors),
        "name/cos:DeleteVectors": lambda: reader.delete_vectors(Bucket=bucket, Index="pages", Keys=["x"]),
        "name/cos:GetVectorBucketPolicy": lambda: reader.get_vector_bucket_policy(Bucket=bucket),
    }
    for allowed in may:
        client.put_vector_bucket_policy(Bucket=bucket, Policy=policy_of(bucket, allowed))
        for action, call in may.items():
            if action == allowed:
                call()
                continue
            error = refused(call)
            assert (error.get_status_code(), error.get_error_code()) == (403, "AccessDeniedException")
            assert action in told(error)["message"]
    # What tells of metadata needs more.
    more = (
        lambda: reader.query_vectors(**query, ReturnMetaData=True),
        lambda: reader.query_vectors(**query, Filter={"lang": "fr"}),
        lambda: reader.list_vectors(Bucket=bucket, Index="pages", ReturnData=True),
    )
    actions = ["name/cos:QueryVectors", "name/cos:ListVectors"]
    client.put_vector_bucket_policy(Bucket=bucket, Policy=policy_of(bucket, *actions))
    for call in more:
        assert "name/cos:GetVectors" in told(refused(call))["message"]
    client.put_vector_bucket_policy(Bucket=bucket, Policy=policy_of(bucket, *actions, "name/cos:GetVectors"))
    for call in more:
        call()
    assert refused(reader.list_vector_buckets).get_error_code() == "AccessDeniedException"
    assert refused(lambda: reader.create_vector_bucket(Bucket="mine-1")).get_error_code() == "AccessDeniedException"
