"""The face of S3 Vectors without a socket: which requests are its own, what they need, how errors are told."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from typing import Any

import pytest

from ragvec import errors
from ragvec.engine.local.engine import LocalEngine
from ragvec.server import refusals
from ragvec.server.dialects.face import Service
from ragvec.server.dialects.s3vectors import S3VectorsFace
from ragvec.server.messages import HttpRequest
from ragvec.server.users import User

ACCOUNT, REGION = "123456789012", "us-east-1"
BUCKET = f"arn:aws:s3vectors:{REGION}:{ACCOUNT}:bucket/docs"
INDEX = f"{BUCKET}/index/pages"
OTHERS = f"arn:aws:s3vectors:{REGION}:000000000000:bucket/docs"
USER = User(access_key="a", secret_key="b", account=ACCOUNT, name="reader")
NAMES = {"vectorBucketName": "docs", "indexName": "pages"}
KIND = {"dataType": "float32", "dimension": 2, "distanceMetric": "cosine"}
VECTOR = {"queryVector": {"float32": [1.0, 0.0]}, "topK": 1}


@pytest.fixture(scope="module")
def face(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3VectorsFace]:
    engine = LocalEngine(tmp_path_factory.mktemp("face") / "store")
    yield S3VectorsFace(Service(engine, ACCOUNT, REGION))
    engine.close()


def post(operation: str, arguments: dict[str, Any]) -> HttpRequest:
    return HttpRequest(method="POST", raw_path=f"/{operation}", body=json.dumps(arguments).encode())


# -- whose request it is -----------------------------------------------------------------------------------------------


def signed(service: str) -> tuple[str, str]:
    return ("authorization", f"AWS4-HMAC-SHA256 Credential=a/20260101/r/{service}/aws4_request, SignedHeaders=host")


RECOGNIZED = [
    ("/GetIndex", "", [signed("s3vectors")], True),
    ("/", "", [signed("s3vectors")], True),
    ("/GetIndex", "", [signed("kendra")], False),
    ("/", "", [signed("kendra")], False),
    ("/GetIndex", "", [signed("sqs")], True),
    ("/", "", [signed("sqs")], False),
    ("/", "", [("authorization", "AWS4-HMAC-SHA256 what")], True),
    ("/", "", [("authorization", "AWS4-HMAC-SHA256 what"), ("x-amz-target", "AWSKendra.Query")], False),
    ("/tags/x", "X-Amz-Credential=a%2F20260101%2Fr%2Fs3vectors%2Faws4_request", [], True),
    ("/tags/x", "X-Amz-Credential=a%2F20260101%2Fr%2Fkendra%2Faws4_request", [], False),
    ("/GetIndex", "", [], True),
    ("/tags/x", "", [], True),
    ("/", "", [], False),
    ("/GetIndex", "", [("authorization", "q-sign-algorithm=sha1")], False),
    ("/GetIndex", "", [("authorization", "TOS4-HMAC-SHA256 Credential=a")], False),
    ("/GetIndex", "", [("authorization", "")], True),
    ("/GetIndex", "", [("host", "vectors.ap-guangzhou.coslake.com")], False),
    ("/GetIndex", "", [("host", "docs-21.tosvectors-cn-beijing.volces.com")], False),
    ("/GetIndex", "", [("x-cos-security-token", "t")], False),
]


@pytest.mark.parametrize(("path", "query", "headers", "own"), RECOGNIZED, ids=range(len(RECOGNIZED)))
def test_requests_of_this_service(
    face: S3VectorsFace, path: str, query: str, headers: list[tuple[str, str]], own: bool
) -> None:
    request = HttpRequest(method="POST", raw_path=path, raw_query=query, headers=tuple(headers))

    assert face.recognizes(request) is own


# -- permissions -------------------------------------------------------------------------------------------------------

PERMISSIONS: list[tuple[str, dict[str, Any], list[str], str, str | None]] = [
    ("ListVectorBuckets", {}, ["ListVectorBuckets"], "*", None),
    ("CreateVectorBucket", {"vectorBucketName": "docs"}, ["CreateVectorBucket"], BUCKET, "docs"),
    ("GetVectorBucket", {"vectorBucketArn": BUCKET}, ["GetVectorBucket"], BUCKET, "docs"),
    ("GetVectorBucket", {"vectorBucketArn": OTHERS}, ["GetVectorBucket"], OTHERS, None),
    ("GetVectorBucket", {"vectorBucketArn": "no"}, ["GetVectorBucket"], "no", None),
    ("GetVectorBucket", {}, ["GetVectorBucket"], "*", None),
    ("ListIndexes", {"vectorBucketName": "docs", "prefix": "p"}, ["ListIndexes"], BUCKET, "docs"),
    ("CreateIndex", {**NAMES, **KIND}, ["CreateIndex"], INDEX, "docs"),
    ("CreateIndex", {"vectorBucketArn": BUCKET, "indexName": "pages", **KIND}, ["CreateIndex"], INDEX, "docs"),
    ("CreateIndex", {**NAMES, **KIND, "tags": {"a": "b"}}, ["CreateIndex", "TagResource"], INDEX, "docs"),
    ("DeleteIndex", {"indexArn": INDEX}, ["DeleteIndex"], INDEX, "docs"),
    ("PutVectors", {**NAMES, "vectors": []}, ["PutVectors"], INDEX, "docs"),
    ("QueryVectors", {**NAMES, **VECTOR}, ["QueryVectors"], INDEX, "docs"),
    ("QueryVectors", {**NAMES, **VECTOR, "returnMetadata": None}, ["QueryVectors"], INDEX, "docs"),
    ("QueryVectors", {**NAMES, **VECTOR, "returnMetadata": True}, ["QueryVectors", "GetVectors"], INDEX, "docs"),
    ("QueryVectors", {**NAMES, **VECTOR, "filter": {}}, ["QueryVectors", "GetVectors"], INDEX, "docs"),
    ("QueryVectors", {"indexArn": INDEX, "topK": 1, "queryTexts": []}, ["QueryVectors", "GetVectors"], INDEX, "docs"),
    ("ListVectors", NAMES, ["ListVectors"], INDEX, "docs"),
    ("ListVectors", {**NAMES, "returnData": True}, ["ListVectors", "GetVectors"], INDEX, "docs"),
]


@pytest.mark.parametrize(
    ("operation", "arguments", "actions", "resource", "bucket"), PERMISSIONS, ids=range(len(PERMISSIONS))
)
def test_what_a_request_needs(
    face: S3VectorsFace,
    operation: str,
    arguments: dict[str, Any],
    actions: list[str],
    resource: str,
    bucket: str | None,
) -> None:
    needed = face.permissions(face.call(post(operation, arguments), USER), USER)

    assert [each.action for each in needed] == [f"s3vectors:{action}" for action in actions]
    assert {(each.resource, each.bucket) for each in needed} == {(resource, bucket)}


@pytest.mark.parametrize(("method", "action"), [("GET", "ListTagsForResource"), ("POST", "TagResource")])
def test_tags_are_about_their_resource(face: S3VectorsFace, method: str, action: str) -> None:
    path = "/tags/" + INDEX.replace(":", "%3A").replace("/", "%2F")
    call = face.call(HttpRequest(method=method, raw_path=path, body=b'{"tags":{"a":"b"}}'), USER)

    (needed,) = face.permissions(call, USER)
    assert (needed.action, needed.resource, needed.bucket) == (f"s3vectors:{action}", INDEX, "docs")
    assert (call.bucket, call.index) == ("docs", "pages")


def test_condition_keys_of_the_request(face: S3VectorsFace) -> None:
    encryption = {"sseType": "aws:kms", "kmsKeyArn": "arn:aws:kms:us-east-1:123456789012:key/1"}
    arguments = {"vectorBucketName": "docs", "encryptionConfiguration": encryption, "tags": {"team": "birds", "b": "c"}}
    first, second = face.permissions(face.call(post("CreateVectorBucket", arguments), USER), USER)

    assert dict(first.conditions) == {
        "s3vectors:sseType": ("aws:kms",),
        "s3vectors:kmsKeyArn": (encryption["kmsKeyArn"],),
        "aws:RequestTag/team": ("birds",),
        "aws:RequestTag/b": ("c",),
        "aws:TagKeys": ("team", "b"),
    }
    assert second.conditions == first.conditions
    untag = HttpRequest(method="DELETE", raw_path=f"/tags/{BUCKET}", raw_query="tagKeys=a&tagKeys=b+c&tagKeys=d%20e")
    (needed,) = face.permissions(face.call(untag, USER), USER)
    assert dict(needed.conditions) == {"aws:TagKeys": ("a", "b c", "d e")}


# -- errors ------------------------------------------------------------------------------------------------------------


def refused(face: S3VectorsFace, error: errors.RagvecError) -> tuple[int, str, dict[str, Any]]:
    request = HttpRequest(method="POST", raw_path="/GetIndex")
    reply = face.refusal(error, request, operation="GetIndex", request_id="id")
    headers = dict(reply.headers)
    assert (headers["content-type"], headers["x-amzn-requestid"]) == ("application/json", "id")
    return reply.status, headers["x-amzn-errortype"], json.loads(reply.body)


OWN = [
    getattr(refusals, name)
    for name in refusals.__all__
    if inspect.isclass(getattr(refusals, name)) and issubclass(getattr(refusals, name), errors.RagvecError)
]


@pytest.mark.parametrize("kind", OWN, ids=[kind.__name__ for kind in OWN])
def test_every_refusal_has_its_own_code(face: S3VectorsFace, kind: type[errors.RagvecError]) -> None:
    status, code, document = refused(face, kind("why"))

    assert 400 <= status < 500
    assert code != "InternalServerException"
    assert set(document) == {"message"}


def test_faults_of_the_store_are_not_told(face: S3VectorsFace) -> None:
    broken = errors.Corrupted("/home/me/store/file has another checksum", store="/home/me/store")

    assert refused(face, broken) == (500, "InternalServerException", {"message": "Internal server error"})
    assert refused(face, errors.StoreBusy("/home/me/store is locked")) == (
        503,
        "ServiceUnavailableException",
        {"message": "Currently unable to handle the request"},
    )


def test_every_place_of_a_fault_is_listed(face: S3VectorsFace) -> None:
    error = errors.InvalidRequest("two things", fields=(("/a", "first"), ("/b", "second")))

    assert refused(face, error) == (
        400,
        "ValidationException",
        {
            "message": "two things",
            "fieldList": [{"path": "/a", "message": "first"}, {"path": "/b", "message": "second"}],
        },
    )


def test_a_store_that_is_full_or_read_only(face: S3VectorsFace) -> None:
    full = refused(face, errors.StoreFull("no space in /home", store="/home"))
    assert full == (402, "ServiceQuotaExceededException", {"message": "The store is full"})
    only = refused(face, errors.StoreReadOnly("read-only: /home", store="/home"))
    assert only == (403, "AccessDeniedException", {"message": "The store can only be read"})
