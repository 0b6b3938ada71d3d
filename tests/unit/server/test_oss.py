"""OSS Vectors without a socket: which requests are its own, what they need, and how errors are told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import ragvec.server.refusals
import ragvec.server.signing.oss4
from ragvec import errors
from ragvec.engine.local.engine import LocalEngine
from ragvec.errors import InvalidRequest, RagvecError
from ragvec.server.dialects.face import Service
from ragvec.server.dialects.oss import OssFace
from ragvec.server.dialects.oss_routes import ROUTES
from ragvec.server.messages import HttpRequest
from ragvec.server.signing.oss_target import OssTarget, oss_target
from ragvec.server.users import User

ACCOUNT = "1234567890"
ARN = f"acs:ossvector:cn-hangzhou:{ACCOUNT}:"
USER = User(access_key="k", secret_key="s", account=ACCOUNT, name="u")
HOST = f"docs-{ACCOUNT}.localhost:9000"


@pytest.fixture
def face(tmp_path: Path) -> Iterator[OssFace]:
    with LocalEngine(tmp_path / "store", background=False) as engine:
        yield OssFace(Service(engine, ACCOUNT, "cn-hangzhou"))


def request(
    method: str = "POST", target: str = "/", *, host: str = HOST, body: bytes = b"", **headers: str
) -> HttpRequest:
    path, _, query = target.partition("?")
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpRequest(
        method=method, raw_path=path, raw_query=query, headers=(("host", host), *named.items()), body=body
    )


# -- hosts -------------------------------------------------------------------------------------------------------------

TARGETS: dict[str, tuple[str, str, OssTarget]] = {
    "virtual host": (HOST, "/", OssTarget("docs", ACCOUNT, "localhost:9000", "")),
    "hyphens": (f"my-docs-2-{ACCOUNT}.a.b", "/", OssTarget("my-docs-2", ACCOUNT, "a.b", "")),
    "capitals": (f"Docs-{ACCOUNT}.A", "/", OssTarget("docs", ACCOUNT, "a", "")),
    "object": (HOST, "/a/b", OssTarget("docs", ACCOUNT, "localhost:9000", "a/b")),
    "other account": ("docs-5555555555.localhost", "/", OssTarget("docs", "5555555555", "localhost", "")),
    "path": ("127.0.0.1:9000", "/docs/", OssTarget("docs", None, "127.0.0.1:9000", "")),
    "path without its end": ("localhost", "/docs", OssTarget("docs", None, "localhost", "")),
    "encoded path": ("localhost", "/d%6Fcs/a%2Fb", OssTarget("docs", None, "localhost", "a/b")),
    "service": ("localhost:9000", "/", OssTarget(None, None, "localhost:9000", "")),
    "service of a region": (
        "us-east-1.oss-vectors.aliyuncs.com",
        "/",
        OssTarget(None, None, "us-east-1.oss-vectors.aliyuncs.com", ""),
    ),
    "host of a machine": ("ip-10-0-0-123.internal", "/docs/", OssTarget("docs", None, "ip-10-0-0-123.internal", "")),
    "account alone": (f"-{ACCOUNT}.localhost", "/", OssTarget(None, None, f"-{ACCOUNT}.localhost", "")),
    "one label": (f"docs-{ACCOUNT}", "/", OssTarget(None, None, f"docs-{ACCOUNT}", "")),
    "nothing": ("", "", OssTarget(None, None, "", "")),
}


@pytest.mark.parametrize(("host", "target", "expected"), TARGETS.values(), ids=TARGETS)
def test_what_a_request_is_about(host: str, target: str, expected: OssTarget) -> None:
    assert oss_target(request(target=target, host=host), account=ACCOUNT) == expected


def test_there_is_a_route_for_every_operation_of_the_client() -> None:
    vectors = pytest.importorskip("alibabacloud_oss_v2.vectors")
    methods = {name for name in dir(vectors.Client) if not name.startswith("_")}
    operations = {name for name in methods - {"invoke_operation"} if not name.endswith("_paginator")}

    assert {name.title().replace("_", "") for name in operations} == {route.name for route in ROUTES}
    assert len(operations) == 21


# -- recognition -------------------------------------------------------------------------------------------------------

RECOGNIZED: dict[str, tuple[HttpRequest, bool]] = {
    "signed": (request("GET", "/x", authorization="OSS4-HMAC-SHA256 Credential=…"), True),
    "signed by version 1": (request("GET", "/x", authorization="OSS a:b"), True),
    "link": (request("GET", "/?x-oss-signature-version=OSS4-HMAC-SHA256"), True),
    "signed by another": (request("POST", "/?putVectors", authorization="AWS4-HMAC-SHA256 Credential=…"), False),
    "unsigned operation": (request("POST", "/?putVectors"), True),
    "unsigned operation by path": (request("GET", "/docs/?bucketInfo=", host="localhost"), True),
    "unsigned creation": (request("PUT", "/"), True),
    "unsigned creation by path": (request("PUT", "/docs/", host="localhost"), True),
    "unsigned list": (request("GET", "/?prefix=a", host="localhost"), True),
    "unsigned deletion": (request("DELETE", "/"), True),
    "operation of another": (request("POST", "/QueryVectors"), False),
    "tags of another": (request("DELETE", "/tags/arn%3A"), False),
    "form": (request("POST", "/"), False),
}


@pytest.mark.parametrize(("given", "expected"), RECOGNIZED.values(), ids=RECOGNIZED)
def test_which_requests_are_its_own(face: OssFace, given: HttpRequest, expected: bool) -> None:
    assert face.recognizes(given) is expected


# -- permissions -------------------------------------------------------------------------------------------------------

OF_INDEXES = {
    "PutVectorIndex",
    "PutVectorIndexFusion",
    "GetVectorIndex",
    "DeleteVectorIndex",
    "PutVectors",
    "GetVectors",
    "ListVectors",
    "DeleteVectors",
    "QueryVectors",
    "QueryVectorsFusion",
}


@pytest.mark.parametrize("route", ROUTES, ids=[route.name for route in ROUTES])
def test_every_operation_needs_its_own_action(face: OssFace, route: Any) -> None:
    host = HOST if route.of_bucket else "localhost"
    body = b'{"indexName": "Pages1"}' if route.name in OF_INDEXES else b"{}" if route.body == "json" else b""
    if route.name == "PutBucketPolicy":
        statement = {"Effect": "Allow", "Principal": ["1"], "Action": ["oss:GetVectors"], "Resource": [ARN + "docs"]}
        body = json.dumps({"Version": "1", "Statement": [statement]}).encode()
    call = face.call(request(route.method, f"/?{route.selector}", host=host, body=body), USER)

    permission, *more = face.permissions(call, USER)

    resource = "docs/index/Pages1" if route.name in OF_INDEXES else "docs" if route.of_bucket else "*"
    assert permission.action == f"oss:{route.name}"
    assert permission.resource == ARN + resource
    assert permission.bucket == ("docs" if route.of_bucket else None)
    assert [each.action for each in more] == (["oss:GetVectors"] if route.name == "QueryVectorsFusion" else [])


@pytest.mark.parametrize("operation", ["queryVectors", "listVectors"])
@pytest.mark.parametrize(
    ("members", "needed"),
    [
        ({}, False),
        ({"filter": None, "returnMetadata": False, "returnData": False}, False),
        ({"filter": {}}, True),
        ({"returnMetadata": True}, True),
        ({"returnData": True}, True),
    ],
    ids=["keys", "nothing", "filter", "metadata", "data"],
)
def test_what_metadata_hold_is_for_those_who_may_get_vectors(
    face: OssFace, operation: str, members: dict[str, Any], needed: bool
) -> None:
    body = json.dumps({"indexName": "Pages1", **members}).encode()
    permissions = face.permissions(face.call(request("POST", f"/?{operation}", body=body), USER), USER)

    assert [each.action.endswith(":GetVectors") for each in permissions] == ([False, True] if needed else [False])
    assert {each.resource for each in permissions} == {ARN + "docs/index/Pages1"}


# -- errors ------------------------------------------------------------------------------------------------------------


def all_errors(kind: type[RagvecError] = RagvecError) -> list[type[RagvecError]]:
    own = (
        [kind]
        if kind.__module__ in (errors.__name__, ragvec.server.refusals.__name__, ragvec.server.signing.oss4.__name__)
        else []
    )
    return own + [each for below in kind.__subclasses__() for each in all_errors(below)]


@pytest.mark.parametrize("kind", all_errors(), ids=lambda kind: kind.__name__)
def test_every_error_has_a_code_and_a_form(face: OssFace, kind: type[RagvecError]) -> None:
    error = kind.__new__(kind)
    error.args = ("What is \udc80 wrong",)
    error.__dict__.update(path="", plain="", subject="")

    for operation in ("", "CreateIndex", "PutBucketLogging"):
        reply = face.refusal(error, request(), operation=operation, request_id="AB12")

        told = json.loads(reply.body)["Error"]
        assert set(told) == {"Code", "Message", "RequestId", "HostId"}
        assert (told["RequestId"], told["HostId"]) == ("AB12", HOST)
        assert dict(reply.headers) == {"content-type": "application/json", "x-oss-request-id": "AB12"}
        assert told["Code"].isalpha()
        if issubclass(kind, errors.StoreError) or reply.status == 500:
            assert "wrong" not in told["Message"]
        else:
            assert told["Message"] == "What is ? wrong"


def test_places_are_named_as_the_service_names_them(face: OssFace) -> None:
    error = InvalidRequest("wrong at '/metadataConfiguration/nonFilterableMetadataKeys'")

    reply = face.refusal(error, request(), operation="CreateIndex", request_id="A")
    assert json.loads(reply.body)["Error"]["Message"] == "wrong at '/metadata/nonFilterableMetadataKeys'"
