"""Volcengine's VectorClient, unmodified, against `ragvec serve`."""

from __future__ import annotations

import datetime
import hashlib
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import numpy as np
import pytest
import requests

import ragvec

pytest.importorskip("tos", reason="tos is not installed")

from tos.auth import Auth
from tos.enum import DataType, DistanceMetricType
from tos.http import Request
from tos.models2 import Vector, VectorData
from tos.vector_client import VectorClient

from ragvec.server.users import User
from tests.wire.serving import ACCOUNT, OWNER, REGION, Serving, serving
from tests.wire.tos_client import (
    DIMENSION,
    ENDPOINT,
    READER,
    TEMPORARY,
    TRN,
    as_go_does,
    policy_of,
    post,
    prepared,
    refused,
    sent,
    some,
)

Connect = Callable[..., VectorClient]
sdk = pytest.mark.sdk

pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    store = tmp_path_factory.mktemp("served") / "store"
    with serving(store, users=[OWNER, TEMPORARY, READER]) as running:
        yield running


@pytest.fixture
def connect(server: Serving) -> Iterator[Connect]:
    clients: list[VectorClient] = []

    def connected(user: User = OWNER, **given: Any) -> VectorClient:
        options = {
            "ak": user.access_key,
            "sk": user.secret_key,
            "security_token": user.session_token,
            "endpoint": f"http://{ENDPOINT}",
            "region": "cn-beijing",
            # Names of buckets are part of the name of the host, which only the server resolves.
            "proxy_host": server.host,
            "proxy_port": server.port,
            "max_retry_count": 0,
        }
        clients.append(VectorClient(**{**options, **given}))
        return clients[-1]

    yield connected
    for client in clients:
        client.session.close()


@pytest.fixture
def client(connect: Connect) -> VectorClient:
    return connect()


@pytest.fixture
def bucket(client: VectorClient, request: pytest.FixtureRequest) -> Iterator[str]:
    """A bucket of its own for each test, with an index `pages` of the euclidean metric."""
    name = "b-" + hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:20]
    client.create_vector_bucket(name)
    client.create_index(
        name,
        ACCOUNT,
        "pages",
        data_type=DataType.DataTypeFloat32,
        dimension=DIMENSION,
        distance_metric=DistanceMetricType.DistanceMetricEuclidean,
        metadata_configuration={"nonFilterableMetadataKeys": ["text"]},
    )
    yield name
    for index in client.list_indexes(name, ACCOUNT).indexes:
        client.delete_index(name, ACCOUNT, index.index_name)
    client.delete_vector_bucket(name, ACCOUNT)


# -- operations --------------------------------------------------------------------------------------------------------


@sdk("tos", "CreateVectorBucket")
@sdk("tos", "GetVectorBucket")
@sdk("tos", "ListVectorBuckets")
@sdk("tos", "DeleteVectorBucket")
def test_buckets(client: VectorClient, server: Serving) -> None:
    names = [f"kept-{i}" for i in range(3)]
    before = time.time()
    for name in names:
        created = client.create_vector_bucket(name)
        assert created.status_code == 200
        assert created.request_id
        assert created.id2
        assert created.header["content-length"] == "0"
    found = client.get_vector_bucket(names[0], ACCOUNT).vector_bucket
    assert (found.vector_bucket_name, found.vector_bucket_trn) == (names[0], f"{TRN}/{names[0]}")
    assert int(before) <= found.creation_time <= time.time()
    # The pages show the members without the object around them.
    document = post(server, "GetVectorBucket", {"vectorBucketName": names[0]}).json()
    assert document == {**document["vectorBucket"], "vectorBucket": document["vectorBucket"]}
    assert document["projectName"] == "default"
    assert isinstance(document["creationTime"], int)
    listed = []
    token: str | None = ""
    while token is not None:
        page = client.list_vector_buckets(prefix="kept-", max_results=2, next_token=token)
        assert len(page.vector_buckets) <= 2
        listed += page.vector_buckets
        token = page.next_token
    assert [(entry.vector_bucket_name, entry.vector_bucket_trn) for entry in listed] == [
        (name, f"{TRN}/{name}") for name in names
    ]
    for name in names:
        assert client.delete_vector_bucket(name, ACCOUNT).status_code == 200
    assert client.list_vector_buckets(prefix="kept-").vector_buckets == []


@sdk("tos", "PutVectorBucketPolicy")
@sdk("tos", "GetVectorBucketPolicy")
@sdk("tos", "DeleteVectorBucketPolicy")
def test_policies(client: VectorClient, bucket: str) -> None:
    policy = policy_of(bucket, "tosvectors:GetIndex")
    assert client.put_vector_bucket_policy(bucket, ACCOUNT, policy).status_code == 200
    # This SDK gives the whole body for the policy; that of Go takes the member `policy` of it.
    assert json.loads(client.get_vector_bucket_policy(bucket, ACCOUNT).policy) == {"policy": policy}
    client.delete_vector_bucket_policy(bucket, ACCOUNT)
    error = refused(lambda: client.get_vector_bucket_policy(bucket, ACCOUNT))
    assert (error.status_code, error.code) == (404, "NotFoundException")


@sdk("tos", "CreateIndex")
@sdk("tos", "GetIndex")
@sdk("tos", "ListIndexes")
@sdk("tos", "DeleteIndex")
def test_indexes(client: VectorClient, bucket: str) -> None:
    for name in ("first.one", "second"):
        client.create_index(
            bucket,
            ACCOUNT,
            name,
            data_type=DataType.DataTypeFloat32,
            dimension=3,
            distance_metric=DistanceMetricType.DistanceMetricCosine,
            metadata_configuration={"nonFilterableMetadataKeys": ["text", "title"]},
        )
    index = client.get_index(bucket, ACCOUNT, "first.one").index
    assert (index.index_name, index.vector_bucket_name) == ("first.one", bucket)
    assert index.index_trn == f"{TRN}/{bucket}/index/first.one"
    assert (index.data_type, index.dimension) == (DataType.DataTypeFloat32, 3)
    assert index.distance_metric is DistanceMetricType.DistanceMetricCosine
    assert index.metadata_configuration.non_filterable_metadata_keys == ["text", "title"]
    assert abs(index.creation_time - time.time()) < 600
    page = client.list_indexes(bucket, ACCOUNT, max_results=2)
    assert [entry.index_name for entry in page.indexes] == ["first.one", "pages"]
    assert page.indexes[0].index_trn == index.index_trn
    rest = client.list_indexes(bucket, ACCOUNT, max_results=2, next_token=page.next_token)
    assert [(entry.index_name, entry.vector_bucket_name) for entry in rest.indexes] == [("second", bucket)]
    assert not rest.next_token
    client.delete_index(bucket, ACCOUNT, "second")
    assert client.list_indexes(bucket, ACCOUNT, prefix="s").indexes == []


@sdk("tos", "PutVectors")
@sdk("tos", "GetVectors")
@sdk("tos", "DeleteVectors")
def test_vectors(client: VectorClient, bucket: str, server: Serving) -> None:
    _, vectors = some(5)
    assert client.put_vectors(bucket, ACCOUNT, "pages", vectors).status_code == 200
    keys = ["p0003", "absent", "p0001"]
    found = client.get_vectors(bucket, ACCOUNT, "pages", keys, return_data=True, return_metadata=True).vectors
    assert [(each.key, each.metadata) for each in found] == [(v.key, v.metadata) for v in (vectors[3], vectors[1])]
    found = client.get_vectors(bucket, ACCOUNT, "pages", keys).vectors
    assert [(each.key, each.metadata) for each in found] == [("p0003", None), ("p0001", None)]
    # The service has stopped returning data, and this SDK with it; here it comes to whoever asks.
    asked = {"vectorBucketName": bucket, "indexName": "pages", "keys": ["p0001"], "returnData": True}
    assert post(server, "GetVectors", asked).json() == {
        "vectors": [{"key": "p0001", "data": {"float32": vectors[1].data.float32}}]
    }
    client.delete_vectors(bucket, ACCOUNT, "pages", ["p0003", "absent"])
    assert [each.key for each in client.get_vectors(bucket, ACCOUNT, "pages", keys).vectors] == ["p0001"]


@sdk("tos", "QueryVectors")
def test_queries_give_squared_distances_nearest_first(client: VectorClient, bucket: str) -> None:
    rows, vectors = some(300)
    client.put_vectors(bucket, ACCOUNT, "pages", vectors)
    query = np.random.default_rng(8).standard_normal(DIMENSION).astype(np.float32)
    true = ((rows.astype(np.float64) - query) ** 2).sum(axis=1)
    french = np.arange(300) % 3 == 0
    for rule, chosen in (
        (None, np.ones(300, bool)),
        ({}, np.ones(300, bool)),
        ({"$and": [{"lang": "fr"}]}, french),
        ({"$and": [{"lang": {"$eq": "en"}}, {"year": {"$gte": 2200}}]}, ~french & (np.arange(300) >= 200)),
    ):
        matching = np.flatnonzero(chosen)
        nearest = matching[np.argsort(true[matching], kind="stable")][:50]
        hits = client.query_vectors(
            bucket,
            ACCOUNT,
            "pages",
            VectorData(float32=query.tolist()),
            top_k=50,
            return_distance=True,
            return_metadata=True,
            filter=rule,
        ).vectors
        assert [hit.key for hit in hits] == [vectors[i].key for i in nearest]
        assert [hit.metadata for hit in hits] == [vectors[i].metadata for i in nearest]
        np.testing.assert_allclose([hit.distance for hit in hits], true[nearest], rtol=1e-6)
    hits = client.query_vectors(bucket, ACCOUNT, "pages", VectorData(float32=query.tolist())).vectors
    assert len(hits) == 10
    assert {(hit.distance, hit.metadata) for hit in hits} == {(None, None)}


@sdk("tos", "ListVectors")
def test_lists_are_paged(client: VectorClient, bucket: str) -> None:
    _, vectors = some(100)
    client.put_vectors(bucket, ACCOUNT, "pages", vectors)
    found = []
    token: str | None = ""
    while token is not None:
        page = client.list_vectors(
            bucket, "pages", ACCOUNT, max_results=40, next_token=token, return_data=True, return_metadata=True
        )
        assert len(page.vectors) <= 40
        found += page.vectors
        token = page.next_token
    assert [(each.key, each.metadata) for each in found] == [(vector.key, vector.metadata) for vector in vectors]


def test_the_server_says_what_the_store_says_in_this_process(
    client: VectorClient, bucket: str, server: Serving
) -> None:
    _, vectors = some(50)
    client.put_vectors(bucket, ACCOUNT, "pages", vectors)
    asked = {
        "vectorBucketName": bucket,
        "indexName": "pages",
        "queryVector": {"float32": vectors[7].data.float32},
        "topK": 5,
        "returnDistance": True,
        "returnMetadata": True,
    }
    with ragvec.connect(server.store, dialect="tos", account=ACCOUNT, region=REGION) as here:
        ours = here.query_vectors(**asked)
    assert post(server, "QueryVectors", asked).json() == {"vectors": ours["vectors"]}


# -- ways to the server ------------------------------------------------------------------------------------------------


def test_the_region_needs_no_proxy(connect: Connect, server: Serving) -> None:
    direct = connect(endpoint=server.url, proxy_host=None, proxy_port=None)
    direct.create_vector_bucket("made-directly")
    assert "made-directly" in [each.vector_bucket_name for each in direct.list_vector_buckets().vector_buckets]
    # A proxy is asked for any name, also for buckets of hosts that have no name.
    connect(endpoint=server.url).delete_vector_bucket("made-directly", ACCOUNT)


def test_the_bucket_may_be_told_by_the_host(bucket: str, server: Serving) -> None:
    name = {"vectorBucketName": bucket}
    for host, body, status in (
        (f"{bucket}-{ACCOUNT}.localhost:9000", name, 200),
        (f"{bucket}-{ACCOUNT}.localhost", {}, 200),
        ("127.0.0.1", name, 200),
        # It looks like a bucket's, and is not one of this account.
        ("server-1.corp.example", name, 200),
        (f"{bucket}-1.localhost", name, 404),
        (f"none-{ACCOUNT}.localhost", {}, 404),
        (f"other-{ACCOUNT}.localhost", name, 400),
        ("127.0.0.1", {}, 400),
    ):
        reply = post(server, "GetVectorBucket", body, host=host)
        assert reply.status_code == status, host
    assert reply.json()["Message"] == "Must specify vectorBucketName"


# -- errors ------------------------------------------------------------------------------------------------------------


def test_errors_of_operations_reach_the_sdk(client: VectorClient, bucket: str) -> None:
    where, other = (bucket, ACCOUNT, "pages"), (bucket, ACCOUNT, "other")
    wrong = {"a": {"$x": 1}}
    new = {
        "data_type": DataType.DataTypeFloat32,
        "dimension": 3,
        "distance_metric": DistanceMetricType.DistanceMetricCosine,
    }
    vector = VectorData(float32=[0.5] * DIMENSION)
    packed = VectorData(int8=[1] * DIMENSION)
    for status, code, words, call in (
        (409, "ConflictException", "already exists", lambda: client.create_vector_bucket(bucket)),
        (409, "ConflictException", "not empty", lambda: client.delete_vector_bucket(bucket, ACCOUNT)),
        (409, "ConflictException", "already exists", lambda: client.create_index(*where, **new)),
        (404, "NotFoundException", "vector bucket", lambda: client.get_vector_bucket("none", ACCOUNT)),
        (404, "NotFoundException", "'2100000000'", lambda: client.get_vector_bucket(bucket, "2100000000")),
        (404, "NotFoundException", "index", lambda: client.get_index(bucket, ACCOUNT, "none")),
        (404, "NotFoundException", "index", lambda: client.delete_index(bucket, ACCOUNT, "none")),
        (400, "ValidationException", "/dimension", lambda: client.create_index(*other, **{**new, "dimension": 5000})),
        (400, "ValidationException", "/topK", lambda: client.query_vectors(*where, vector, top_k=1001)),
        (400, "ValidationException", "/keys", lambda: client.delete_vectors(*where, ["a"] * 101)),
        (400, "ValidationException", "int8", lambda: client.put_vectors(*where, [Vector("a", packed)])),
        (400, "ValidationException", "Invalid filter", lambda: client.query_vectors(*where, vector, filter=wrong)),
        (400, "ValidationException", "policy", lambda: client.put_vector_bucket_policy(bucket, ACCOUNT, "{}")),
    ):
        error = refused(call)
        assert (error.status_code, error.code) == (status, code)
        assert words in error.message
        assert error.request_id == error.id2 == error.host_id
        assert error.ec == ""


def test_a_full_batch_is_taken_and_a_body_that_is_too_long_refused(
    client: VectorClient, bucket: str, server: Serving
) -> None:
    client.create_index(
        bucket,
        ACCOUNT,
        "wide",
        data_type=DataType.DataTypeFloat32,
        dimension=1024,
        distance_metric=DistanceMetricType.DistanceMetricCosine,
    )
    row = np.random.default_rng(9).standard_normal(1024).astype(np.float32).tolist()
    client.put_vectors(bucket, ACCOUNT, "wide", [Vector(f"k{i:03}", VectorData(float32=row)) for i in range(500)])
    assert len(client.list_vectors(bucket, "wide", ACCOUNT).vectors) == 500
    reply = post(server, "PutVectors", b" " * 20_971_521)
    assert (reply.status_code, reply.json()["Code"]) == (400, "ValidationException")
    assert "20971520" in reply.json()["Message"]


def test_malformed_requests(server: Serving) -> None:
    for operation, body, words in (
        ("GetVectorBucket", b"{", "JSON"),
        ("GetVectorBucket", b"[]", "JSON object"),
        ("GetVectorBucket", b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}", "deep"),
        ("GetVectorBucket", b"\xff", "JSON"),
        ("ListVectorBuckets", b'{"limit":1}', "Unknown parameter `limit`"),
        ("GetIndex", b'{"indexTrn":"x"}', "Unknown parameter `indexTrn`"),
        ("GetIndex", b'{"indexArn":"x"}', "Unknown parameter `indexArn`"),
        ("GetIndex", b'{"indexName":"pages"}', "Must specify vectorBucketName and indexName"),
        ("ListVectors", b'{"vectorBucketName":"docs","indexName":"pages","filter":{}}', "Unknown parameter `filter`"),
        ("TagResource", b"{}", "no operation"),
    ):
        reply = post(server, operation, body)
        assert (reply.status_code, reply.json()["Code"]) == (400, "ValidationException"), operation
        assert words in reply.json()["Message"]
    reply = post(server, "ListVectorBuckets", b"{}", method="PUT")
    assert (reply.status_code, reply.json()["Code"]) == (405, "MethodNotAllowed")


# -- who may do what ---------------------------------------------------------------------------------------------------


def test_signatures_are_checked(connect: Connect, server: Serving) -> None:
    connect(TEMPORARY).list_vector_buckets()
    unknown = msgspec.structs.replace(OWNER, access_key="AKUNKNOWN000000001")
    wrong = msgspec.structs.replace(OWNER, secret_key="wrong")
    for code, client in (
        ("SignatureDoesNotMatch", connect(wrong)),
        ("InvalidAccessKeyId", connect(unknown)),
        ("AccessDeniedException", connect(TEMPORARY, security_token=None)),
        ("AccessDeniedException", connect(TEMPORARY, security_token="another")),
        ("AccessDeniedException", connect(OWNER, security_token="unasked-for")),
        ("AccessDeniedException", connect(ak="", sk="")),
    ):
        error = refused(client.list_vector_buckets)
        assert (error.status_code, error.code) == (403, code)
    signed = prepared(server, "ListVectorBuckets", b"{}")
    signed.headers["accept"] = "is not signed"
    assert sent(signed).status_code == 200
    date = signed.headers["x-tos-date"]
    signed.headers["x-tos-date"] = f"{date[:-2]}{9 - int(date[-2])}Z"
    assert sent(signed).json()["Code"] == "SignatureDoesNotMatch"
    signed = prepared(server, "ListVectorBuckets", b"{}")
    signed.url = f"{server.url}/DeleteVectorBucket"
    assert sent(signed).json()["Code"] == "SignatureDoesNotMatch"
    late = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(minutes=16)
    assert sent(as_go_does(server, "ListVectorBuckets", b"{}", late)).json()["Code"] == "RequestTimeTooSkewed"


def test_the_go_sdk_signs_an_empty_body_and_sends_another(server: Serving) -> None:
    request = as_go_does(server, "ListVectorBuckets", b'{"maxResults":1}', datetime.datetime.now(datetime.timezone.utc))
    assert sent(request).status_code == 200


def test_presigned_requests(server: Serving) -> None:
    host = f"{server.host}:{server.port}"
    request = Request("POST", f"{server.url}/ListVectorBuckets", "/ListVectorBuckets", host)
    url = Auth(OWNER.access_key, OWNER.secret_key, "cn-beijing", service="tosvectors").sign_url(request, 60)
    with requests.Session() as session:
        assert session.post(url, data=b"{}", timeout=30).json().keys() == {"vectorBuckets"}
        assert session.post(f"{url[:-1]}x", data=b"{}", timeout=30).json()["Code"] == "AccessDeniedException"
        assert session.post(f"{url}&a=b", data=b"{}", timeout=30).json()["Code"] == "SignatureDoesNotMatch"


def test_policies_let_others_in(client: VectorClient, connect: Connect, bucket: str) -> None:
    _, vectors = some(2)
    client.put_vectors(bucket, ACCOUNT, "pages", vectors)
    reader = connect(READER)
    where = (bucket, ACCOUNT, "pages")
    query = VectorData(float32=vectors[0].data.float32)
    may = {
        "tosvectors:GetVectorBucket": lambda: reader.get_vector_bucket(bucket, ACCOUNT),
        "tosvectors:ListIndexes": lambda: reader.list_indexes(bucket, ACCOUNT),
        "tosvectors:GetIndex": lambda: reader.get_index(*where),
        "tosvectors:QueryVectors": lambda: reader.query_vectors(*where, query),
        "tosvectors:ListVectors": lambda: reader.list_vectors(bucket, "pages", ACCOUNT),
        "tosvectors:PutVectors": lambda: reader.put_vectors(*where, vectors),
        "tosvectors:DeleteVectors": lambda: reader.delete_vectors(*where, ["x"]),
        "tosvectors:GetVectorBucketPolicy": lambda: reader.get_vector_bucket_policy(bucket, ACCOUNT),
    }
    for allowed in may:
        client.put_vector_bucket_policy(bucket, ACCOUNT, policy_of(bucket, allowed))
        for action, call in may.items():
            if action == allowed:
                call()
                continue
            error = refused(call)
            assert (error.status_code, error.code) == (403, "AccessDeniedException")
            assert action in error.message
    # What tells of metadata needs more.
    more = (
        lambda: reader.query_vectors(*where, query, return_metadata=True),
        lambda: reader.query_vectors(*where, query, filter={"lang": "fr"}),
        lambda: reader.list_vectors(bucket, "pages", ACCOUNT, return_data=True),
    )
    actions = ["tosvectors:QueryVectors", "tosvectors:ListVectors"]
    client.put_vector_bucket_policy(bucket, ACCOUNT, policy_of(bucket, *actions))
    for call in more:
        assert "tosvectors:GetVectors" in refused(call).message
    client.put_vector_bucket_policy(bucket, ACCOUNT, policy_of(bucket, *actions, "tosvectors:GetVectors"))
    for call in more:
        call()
    assert refused(reader.list_vector_buckets).code == "AccessDeniedException"
    assert refused(lambda: reader.create_vector_bucket("mine")).code == "AccessDeniedException"
