"""Requests of OSS Vectors as they are on the wire: whose they are, what changes them, and what no client sends."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

pytest.importorskip("alibabacloud_oss_v2", reason="alibabacloud-oss-v2 is not installed")

import alibabacloud_oss_v2 as oss
from alibabacloud_oss_v2.vectors import models

from ragvec.server.users import User
from tests.wire.oss_client import connect, send, signed
from tests.wire.serving import ACCOUNT, OWNER, REGION, Serving, serving

TEMPORARY = User(
    access_key="STS.EXAMPLE0000001",
    secret_key="a-temporary-secret",
    account=ACCOUNT,
    name="temporary",
    owner=True,
    session_token="CAIS/token+of==",
)
GUEST = User(
    access_key="LTAIEXAMPLE0000002", secret_key="a-secret-of-a-guest", account="999000111222", name="guest", owner=True
)
READER = User(access_key="LTAIEXAMPLE0000003", secret_key="a-secret-of-a-reader", account=ACCOUNT, name="reader")
AT = {"bucket": "docs", "index_name": "Pages1"}
VECTORS = json.dumps({"indexName": "Pages1", "vectors": [{"key": "new", "data": {"float32": [1, 2]}}]}).encode()
LISTING = b'{"indexName": "Pages1"}'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A server with a bucket `docs` and an index of one vector."""
    with serving(tmp_path_factory.mktemp("served") / "store", users=[OWNER, TEMPORARY, GUEST, READER]) as running:
        client = connect(running)
        client.put_vector_bucket(models.PutVectorBucketRequest(bucket="docs"))
        client.put_vector_index(models.PutVectorIndexRequest(**AT, dimension=2))
        vectors = [{"key": "old", "data": {"float32": [1, 2]}}]
        client.put_vectors(models.PutVectorsRequest(**AT, vectors=vectors))
        yield running


def keys(server: Serving) -> list[str]:
    return [each["key"] for each in connect(server).list_vectors(models.ListVectorsRequest(**AT)).vectors]


def exchange(
    server: Serving,
    method: str,
    url: str,
    *,
    bucket: str | None = "docs",
    body: bytes = b"",
    headers: dict[str, str] | None = None,
    user: User = OWNER,
    link: bool = False,
    changes: dict[str, str | None] | None = None,
) -> tuple[int, Any, dict[str, str]]:
    """Sign, change the headers as `changes` says (None: leave out), send; returns status, JSON and headers."""
    request = signed(method, url, bucket=bucket, headers=headers, user=user, link=link)
    parts = urlsplit(request.url)
    sent = {**request.headers, "Host": parts.netloc, **(changes or {})}
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    status, told, content = send(
        server, method, target, headers={name: value for name, value in sent.items() if value is not None}, body=body
    )
    return status, json.loads(content) if content else None, told


def code(document: Any) -> str:
    return str(document["Error"]["Code"])


# -- hosts -------------------------------------------------------------------------------------------------------------

HOSTS = {
    "virtual host": f"http://docs-{ACCOUNT}.localhost:9000",
    "other domain": f"http://docs-{ACCOUNT}.cn-hangzhou.oss-vectors.aliyuncs.com",
    "upper case": f"http://DOCS-{ACCOUNT}.LocalHost",
    "path": "http://127.0.0.1:9000/docs",
    "path of a domain that ends in digits": "http://us-east-1.example.com/docs",
}


@pytest.mark.parametrize("base", HOSTS.values(), ids=HOSTS)
@pytest.mark.parametrize(
    "end", ["/?listVectors=", "/?listVectors", "/?x=1&listVectors"], ids=["equals", "bare", "more"]
)
def test_a_bucket_is_named_by_host_or_path(server: Serving, base: str, end: str) -> None:
    status, document, _ = exchange(server, "POST", base + end, body=LISTING)

    assert (status, document) == (200, {"vectors": [{"key": "old"}]})


def test_a_path_may_lack_its_last_slash(server: Serving) -> None:
    assert exchange(server, "GET", "http://127.0.0.1/docs?bucketInfo")[0] == 200


def test_the_service_is_any_other_host(server: Serving) -> None:
    for url in ("http://127.0.0.1:9000/", "http://localhost/", "http://cn-hangzhou.oss-vectors.aliyuncs.com/?prefix=d"):
        status, document, _ = exchange(server, "GET", url, bucket=None)
        assert status == 200
        assert [each["Name"] for each in document["ListAllMyBucketsResult"]["Buckets"]] == [
            f"acs:ossvector:{REGION}:{ACCOUNT}:docs"
        ]


def test_buckets_of_another_account_are_not_there(server: Serving) -> None:
    client = connect(server, account="555000111222")

    with pytest.raises(oss.exceptions.OperationError, match="NoSuchVectorBucket"):
        client.get_vector_bucket(models.GetVectorBucketRequest(bucket="docs"))


def test_a_bucket_is_needed(server: Serving) -> None:
    status, document, _ = exchange(server, "POST", "http://127.0.0.1/?putVectors", bucket=None, body=VECTORS)

    assert (status, code(document)) == (400, "InvalidVectorBucketName")
    assert "<bucket>-<account>" in document["Error"]["Message"]


# -- signatures --------------------------------------------------------------------------------------------------------


def test_a_link_works_until_it_has_expired(server: Serving) -> None:
    request = signed("GET", f"http://docs-{ACCOUNT}.localhost/?bucketInfo", bucket="docs", link=True)
    target = "/?" + urlsplit(request.url).query
    headers = {"Host": f"docs-{ACCOUNT}.localhost"}

    assert send(server, "GET", target, headers=headers)[0] == 200
    status, _, content = send(server, "GET", target.replace("x-oss-expires=9", "x-oss-expires=8"), headers=headers)
    assert (status, code(json.loads(content))) == (403, "SignatureDoesNotMatch")
    assert send(server, "DELETE", target, headers=headers)[0] == 403
    old = f"x-oss-date={time.strftime('%Y%m%d')}T000000Z"
    date = next(part for part in target.split("&") if part.startswith("x-oss-date="))
    if date != old:
        status, _, content = send(server, "GET", target.replace(date, old), headers=headers)
        assert status == 403


def test_the_client_may_sign_in_the_query(server: Serving) -> None:
    for user in (OWNER, TEMPORARY):
        client = connect(server, user)
        listed = client.list_vectors(models.ListVectorsRequest(**AT), auth_method="query")
        buckets = client.list_vector_buckets(
            models.ListVectorBucketsRequest(prefix="do", max_keys=5), auth_method="query"
        )
        info = client.get_vector_bucket(models.GetVectorBucketRequest(bucket="docs"), auth_method="query")
        assert listed.vectors == [{"key": "old"}]
        assert len(buckets.buckets) == 1
        assert info.bucket_info.region == REGION


CHANGES: dict[str, tuple[dict[str, str | None], int, str]] = {
    "other date": ({"x-oss-date": "20200101T000000Z"}, 400, "InvalidArgument"),
    "no date": ({"x-oss-date": None}, 400, "InvalidArgument"),
    "other header": ({"x-oss-resource-group-id": "rg-2"}, 403, "SignatureDoesNotMatch"),
    "other type": ({"Content-Type": "text/plain"}, 403, "SignatureDoesNotMatch"),
    "other bucket": ({"Host": f"dogs-{ACCOUNT}.localhost"}, 403, "SignatureDoesNotMatch"),
    "other account": ({"Host": "docs-999000111222.localhost"}, 403, "SignatureDoesNotMatch"),
    "no signature": ({"Authorization": None}, 403, "AccessDenied"),
    "signature of version 1": ({"Authorization": "OSS AKIDEXAMPLE0000000:c2ln"}, 400, "InvalidArgument"),
    "token that nobody has": ({"x-oss-security-token": "t"}, 403, "InvalidSecurityToken"),
}


@pytest.mark.parametrize(("changes", "status", "expected"), CHANGES.values(), ids=CHANGES)
def test_what_is_signed_cannot_be_changed(
    server: Serving, changes: dict[str, str | None], status: int, expected: str
) -> None:
    got, document, headers = exchange(
        server,
        "POST",
        f"http://docs-{ACCOUNT}.localhost/?putVectors",
        body=VECTORS,
        headers={"Content-Type": "application/json"},
        changes=changes,
    )

    assert (got, code(document)) == (status, expected)
    assert headers["content-type"] == "application/json"
    assert document["Error"]["RequestId"] == headers["x-oss-request-id"]
    assert keys(server) == ["old"]


def test_a_body_that_was_changed_is_refused(server: Serving) -> None:
    headers = {"Content-MD5": base64.b64encode(hashlib.md5(LISTING).digest()).decode()}

    status, document, _ = exchange(
        server, "POST", f"http://docs-{ACCOUNT}.localhost/?putVectors", body=VECTORS, headers=headers
    )
    assert (status, code(document)) == (400, "InvalidDigest")
    assert keys(server) == ["old"]


def test_clocks_far_apart_are_told(server: Serving) -> None:
    client = connect(server)
    signer = client._client._options.signer
    sign = signer.sign
    signer.sign = lambda context: (setattr(context, "clock_offset", -3600), sign(context))  # type: ignore[func-returns-value]

    with pytest.raises(oss.exceptions.OperationError, match="RequestTimeTooSkewed"):
        client.get_vector_bucket(models.GetVectorBucketRequest(bucket="docs"))


def test_keys_and_secrets_that_are_wrong(server: Serving) -> None:
    for user, expected in (
        (User(access_key="nobody", secret_key="s", account=ACCOUNT, name="n"), "InvalidAccessKeyId"),
        (User(access_key=OWNER.access_key, secret_key="s", account=ACCOUNT, name="n"), "SignatureDoesNotMatch"),
    ):
        with pytest.raises(oss.exceptions.OperationError, match=expected):
            connect(server, user).get_vector_bucket(models.GetVectorBucketRequest(bucket="docs"))


def test_a_session_token_is_needed_where_the_user_has_one(server: Serving) -> None:
    assert connect(server, TEMPORARY).list_vector_buckets(models.ListVectorBucketsRequest()).status_code == 200
    provider = oss.credentials.StaticCredentialsProvider(TEMPORARY.access_key, TEMPORARY.secret_key)

    with pytest.raises(oss.exceptions.OperationError, match="InvalidSecurityToken"):
        connect(server, credentials_provider=provider).list_vector_buckets(models.ListVectorBucketsRequest())


def test_anonymous_requests_are_refused(server: Serving) -> None:
    client = connect(server, credentials_provider=oss.credentials.AnonymousCredentialsProvider())

    for call in (
        lambda: client.get_vector_bucket(models.GetVectorBucketRequest(bucket="docs")),
        lambda: client.list_vector_buckets(models.ListVectorBucketsRequest()),
        lambda: client.put_vector_bucket(models.PutVectorBucketRequest(bucket="more")),
        lambda: client.delete_vector_bucket(models.DeleteVectorBucketRequest(bucket="docs")),
        lambda: client.list_vectors(models.ListVectorsRequest(**AT)),
    ):
        with pytest.raises(oss.exceptions.OperationError, match="AccessDenied"):
            call()


def test_without_signatures_requests_are_known_by_their_form(tmp_path: Path) -> None:
    with serving(tmp_path / "store", users=[], flags=["--no-auth"]) as open_server:
        client = connect(open_server, credentials_provider=oss.credentials.AnonymousCredentialsProvider())
        client.put_vector_bucket(models.PutVectorBucketRequest(bucket="docs"))
        client.put_vector_index(models.PutVectorIndexRequest(**AT, dimension=2))
        client.put_vectors(models.PutVectorsRequest(**AT, vectors=[{"key": "a", "data": {"float32": [1, 2]}}]))
        query = models.QueryVectorsRequest(**AT, query_vector={"float32": [1, 2]}, top_k=1)
        assert client.query_vectors(query).vectors == [{"key": "a"}]
        assert len(client.list_vector_buckets(models.ListVectorBucketsRequest()).buckets) == 1
        client.delete_vector_index(models.DeleteVectorIndexRequest(**AT))
        client.delete_vector_bucket(models.DeleteVectorBucketRequest(bucket="docs"))
        assert client.list_vector_buckets(models.ListVectorBucketsRequest()).buckets == []


def test_what_was_set_outlives_servers_and_is_the_same_for_all_workers(tmp_path: Path) -> None:
    fields = [
        {"name": "v", "type": "vector", "dimension": 2},
        {"name": "t", "type": "string", "text": {"enabled": True}},
    ]
    fused = {"bucket": "docs", "index_name": "Fused"}
    statement = {"Effect": "Deny", "Principal": ["1"], "Action": ["oss:*"], "Resource": ["*"]}
    policy = json.dumps({"Version": "1", "Statement": [statement]})
    enabled = models.LoggingEnabled(target_bucket="logs", target_prefix="a/")
    logging = models.BucketLoggingStatus(logging_enabled=enabled)
    with serving(tmp_path / "store", dialects="oss", workers=2) as first:
        client = connect(first)
        client.put_vector_bucket(models.PutVectorBucketRequest(bucket="docs", resource_group_id="rg-1"))
        client.put_bucket_logging(models.PutBucketLoggingRequest(bucket="docs", bucket_logging_status=logging))
        client.put_bucket_policy(models.PutBucketPolicyRequest(bucket="docs", body=policy))
        client.put_vector_index_fusion(
            models.PutVectorIndexFusionRequest(**fused, schema_configuration={"fields": fields})
        )
        for i in range(12):
            # A connection of its own each: the workers share them out.
            vector = {"key": f"k{i}", "data": {"v": [i, 1]}, "metadata": {"t": f"word{i}"}}
            connect(first).put_vectors(models.PutVectorsRequest(**fused, vectors=[vector]))
    with serving(tmp_path / "store", dialects="oss", workers=2) as second:
        for i in range(6):
            client = connect(second)
            info = client.get_vector_bucket(models.GetVectorBucketRequest(bucket="docs")).bucket_info
            kept = client.get_bucket_logging(models.GetBucketLoggingRequest(bucket="docs")).bucket_logging_status
            index = client.get_vector_index(models.GetVectorIndexRequest(**fused)).index
            query = {"t": {"$textMatch": {"value": f"word{i}"}}}
            found = client.query_vectors_fusion(models.QueryVectorsFusionRequest(**fused, query=query)).vectors
            assert info.resource_group_id == "rg-1"
            assert (kept.logging_enabled.target_bucket, kept.logging_enabled.target_prefix) == ("logs", "a/")
            assert client.get_bucket_policy(models.GetBucketPolicyRequest(bucket="docs")).body == policy
            assert index["schemaConfiguration"] == {"fields": fields}
            assert [each["key"] for each in found] == [f"k{i}"]
            assert len(client.list_vectors(models.ListVectorsRequest(**fused)).vectors) == 12


# -- who may -----------------------------------------------------------------------------------------------------------


def test_policies_decide_over_other_users(server: Serving) -> None:
    owner, guest, reader = connect(server), connect(server, GUEST), connect(server, READER)
    listing = models.ListVectorsRequest(**AT)

    def allow(principal: str, resource: str, *actions: str) -> dict[str, Any]:
        return {"Effect": "Allow", "Principal": [principal], "Action": list(actions), "Resource": [resource]}

    for client in (guest, reader):
        with pytest.raises(oss.exceptions.OperationError, match="AccessDenied"):
            client.list_vectors(listing)
    document = {
        "Version": "1",
        "Statement": [
            allow(GUEST.account, f"acs:ossvector:*:{ACCOUNT}:docs", "oss:GetVectorBucket"),
            allow(GUEST.account, f"acs:ossvector:*:{ACCOUNT}:bucket/docs/*", "ossvector:ListVectors"),
        ],
    }
    owner.put_bucket_policy(models.PutBucketPolicyRequest(bucket="docs", body=json.dumps(document)))
    try:
        assert guest.list_vectors(listing).vectors == [{"key": "old"}]
        assert guest.get_vector_bucket(models.GetVectorBucketRequest(bucket="docs")).status_code == 200
        with pytest.raises(oss.exceptions.OperationError, match="AccessDenied"):
            guest.delete_vectors(models.DeleteVectorsRequest(**AT, keys=["old"]))
        with pytest.raises(oss.exceptions.OperationError, match="AccessDenied"):
            reader.list_vectors(listing)
    finally:
        owner.delete_bucket_policy(models.DeleteBucketPolicyRequest(bucket="docs"))
    assert keys(server) == ["old"]


# -- what is no operation ----------------------------------------------------------------------------------------------

HOST = f"http://docs-{ACCOUNT}.localhost"
DEEP_VECTORS = b'{"indexName": "Pages1", "vectors": ' + b"[" * 100_000
DEEP_FILTER = (
    b'{"indexName": "Pages1", "topK": 1, "queryVector": {"float32": [1, 2]}, "filter": '
    + b'{"$and": [' * 300
    + b"{}"
    + b"]}" * 300
    + b"}"
)
DEEP_SCHEMA = b'{"indexName": "F", "schemaConfiguration": {"fields": [' + b"[" * 900 + b"]" * 900 + b"]}}"
ARGUMENT, JSON, PARAMETER = "InvalidArgument", "MalformedJson", "VectorIndexParameterInvalid"
MALFORMED: dict[str, tuple[str, str, bytes, int, str]] = {
    "no operation": ("POST", "/", b"{}", 400, ARGUMENT),
    "unknown operation": ("POST", "/?putVectorz", b"{}", 400, ARGUMENT),
    "two operations": ("POST", "/?putVectors&queryVectors", b"{}", 400, ARGUMENT),
    "other method": ("GET", "/?putVectors", b"", 405, "MethodNotAllowed"),
    "list of objects": ("GET", "/", b"", 405, "MethodNotAllowed"),
    "method of no service": ("PATCH", "/", b"", 405, "MethodNotAllowed"),
    "no JSON": ("POST", "/?putVectors", b"{", 400, JSON),
    "no object": ("POST", "/?putVectors", b"[1]", 400, JSON),
    "no UTF-8": ("POST", "/?putVectors", b'{"indexName": "\xff"}', 400, JSON),
    "deep": ("POST", "/?putVectors", DEEP_VECTORS, 400, JSON),
    "deep filter": ("POST", "/?queryVectors", DEEP_FILTER, 400, PARAMETER),
    "deep schema": ("POST", "/?putVectorIndexFusion", DEEP_SCHEMA, 400, PARAMETER),
    "policy that is no text": ("PUT", "/?policy", b"\xff\xfe", 400, JSON),
    "empty body": ("POST", "/?putVectors", b"", 400, PARAMETER),
    "bucket in the body": (
        "POST",
        "/?getVectorIndex",
        b'{"indexName": "Pages1", "vectorBucketName": "x"}',
        400,
        PARAMETER,
    ),
    "unknown member": ("POST", "/?getVectorIndex", b'{"indexName": "Pages1", "x": 1}', 400, PARAMETER),
    "name of another type": ("POST", "/?getVectorIndex", b'{"indexName": [1]}', 400, PARAMETER),
    "fusion name of another type": ("POST", "/?queryVectorsFusion", b'{"indexName": {}}', 400, PARAMETER),
    "logging of another form": ("PUT", "/?logging", b'{"BucketLoggingStatus": {"Enabled": true}}', 400, PARAMETER),
}


@pytest.mark.parametrize(("method", "target", "body", "status", "expected"), MALFORMED.values(), ids=MALFORMED)
def test_what_is_no_operation_is_refused(
    server: Serving, method: str, target: str, body: bytes, status: int, expected: str
) -> None:
    got, document, headers = exchange(server, method, HOST + target, body=body)

    assert (got, code(document)) == (status, expected)
    assert headers["x-oss-request-id"]
    assert keys(server) == ["old"]


def test_a_bucket_has_no_objects(server: Serving) -> None:
    request = signed("PUT", HOST + "/a/b", bucket="docs", key="a/b")

    status, _, content = send(server, "PUT", "/a/b", headers={**request.headers, "Host": f"docs-{ACCOUNT}.localhost"})
    assert (status, code(json.loads(content))) == (400, ARGUMENT)
    assert "holds no objects" in json.loads(content)["Error"]["Message"]


def test_limits_of_the_list_of_buckets(server: Serving) -> None:
    for value in ("0", "1001", "x", "-1", "1e2", "%D9%A3"):
        status, document, _ = exchange(server, "GET", f"http://localhost/?max-keys={value}", bucket=None)
        assert (status, code(document)) == (400, "VectorIndexParameterInvalid"), value
