"""Requests of OSS Vectors that no client sends: each is answered or refused, and none is an error of ours."""

from __future__ import annotations

import copy
import json
import re
import string
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragvec.engine.local.engine import LocalEngine
from ragvec.errors import RagvecError
from ragvec.server.dialects.face import Service
from ragvec.server.dialects.oss import OssFace
from ragvec.server.dialects.oss_routes import ROUTES, SELECTORS
from ragvec.server.messages import HttpReply, HttpRequest
from ragvec.server.signing.oss4 import Oss4
from ragvec.server.users import User

ACCOUNT = "1234567890"
OWNER = User(access_key="k", secret_key="s", account=ACCOUNT, name="owner", owner=True)
SCHEMA = {
    "fields": [
        {"name": "v", "type": "vector", "dimension": 2},
        {"name": "t", "type": "string", "text": {"enabled": True}},
    ]
}
QUERY = {"$and": {"clauses": [{"t": {"$textMatch": {"value": "a b", "boost": 2.0}}}, {"n": {"$gt": {"value": 1}}}]}}
KNN = {
    "field": "v",
    "queryVector": [0.0, 1.0],
    "topK": 2,
    "numCandidates": 9,
    "boost": 2.0,
    "filter": {"n": {"$eq": 1}},
}
PARTS = [
    {"retriever": {"knn": {"field": "v", "queryVector": [0, 1]}}, "weight": 2.0},
    {"retriever": {"simple": {"query": {"t": {"$textMatch": "a"}}}}},
]
STATEMENT = {
    "Effect": "Allow",
    "Principal": ["1"],
    "Action": ["oss:GetVectors"],
    "Resource": ["acs:ossvector:*:*:docs"],
}
AT: dict[str, Any] = {"indexName": "Pages1"}
FUSED: dict[str, Any] = {"indexName": "Fused"}
GOOD: list[tuple[str, dict[str, Any]]] = [
    ("PutBucketPolicy", {"Version": "1", "Statement": [STATEMENT]}),
    ("PutBucketLogging", {"BucketLoggingStatus": {"LoggingEnabled": {"TargetBucket": "a", "TargetPrefix": "b"}}}),
    (
        "PutVectorIndex",
        {
            "indexName": "Made",
            "dimension": 2,
            "distanceMetric": "cosine",
            "metadata": {"nonFilterableMetadataKeys": ["a"]},
        },
    ),
    ("PutVectorIndexFusion", {"indexName": "Made", "mode": "fusion", "schemaConfiguration": SCHEMA}),
    ("GetVectorIndex", FUSED),
    ("ListVectorIndexes", {"maxResults": 1, "prefix": "P", "nextToken": ""}),
    ("DeleteVectorIndex", {"indexName": "Made"}),
    ("PutVectors", {**AT, "vectors": [{"key": "a", "data": {"float32": [1, 2]}, "metadata": {"n": 1, "t": ["x"]}}]}),
    ("PutVectors", {**FUSED, "vectors": [{"key": "a", "data": {"v": [1, 2]}, "metadata": {"n": 1, "t": "a b"}}]}),
    ("GetVectors", {**FUSED, "keys": ["a"], "returnData": True, "returnMetadata": True}),
    ("ListVectors", {**FUSED, "maxResults": 1, "segmentCount": 2, "segmentIndex": 1, "returnData": True}),
    ("DeleteVectors", {**AT, "keys": ["b"]}),
    (
        "QueryVectors",
        {**AT, "queryVector": {"float32": [1, 2]}, "topK": 2, "filter": {"$and": [{"n": {"$in": [1, 2]}}]}},
    ),
    ("QueryVectorsFusion", {**FUSED, "query": QUERY, "limit": 1, "returnMetadataFields": ["n"]}),
    ("QueryVectorsFusion", {**FUSED, "knn": [KNN], "returnMetadata": True, "sort": [{"_score": {"order": "desc"}}]}),
    ("QueryVectorsFusion", {**FUSED, "retriever": {"rrf": {"k": 50, "windowSize": 10, "retrievers": PARTS}}}),
    ("QueryVectorsFusion", {**FUSED, "retriever": {"weight": {"retrievers": PARTS}}, "limit": 3}),
]
WORDS = sorted({word for _, body in GOOD for word in re.findall(r'"([$\w]+)":', json.dumps(body))})
PLAIN = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.sampled_from([0, 1, 2, 500, 501, 1e308, 1e-46]),
    st.sampled_from(["Pages1", "Fused", "a", "", "\ud800", "é", "x" * 2000, "\0"]),
    st.sampled_from([KNN, QUERY, SCHEMA, PARTS, [1.0, 2.0], {}, []]),
    st.sampled_from(WORDS),
)
VALUES = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=3),
    max_leaves=5,
)


@st.composite
def asked(draw: st.DrawFn) -> tuple[str, bytes]:
    """An operation and a body in which one or two things are other than they should be."""
    name, document = draw(st.sampled_from(GOOD))
    changed = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 2))):
        places = [*_places(changed)]
        if not places:
            break
        inner, at = draw(st.sampled_from(places))
        kind = draw(st.integers(0, 4))
        if kind == 0:
            del inner[at]
        elif kind == 1 and isinstance(inner, dict):
            inner[draw(st.sampled_from(WORDS))] = copy.deepcopy(draw(VALUES))
        else:
            inner[at] = copy.deepcopy(draw(VALUES))
    return name, json.dumps(changed).encode()


def _places(node: Any) -> Iterator[tuple[Any, Any]]:
    pairs = list(node.items()) if isinstance(node, dict) else list(enumerate(node)) if isinstance(node, list) else []
    for at, inner in pairs:
        yield node, at
        yield from _places(inner)


@pytest.fixture(scope="module")
def face(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OssFace]:
    with LocalEngine(tmp_path_factory.mktemp("fuzz") / "store", background=False) as engine:
        face = OssFace(Service(engine, ACCOUNT, "cn-hangzhou"))
        ask(face, "PUT", "", b"")
        ask(face, "POST", "putVectorIndex", b'{"indexName": "Pages1", "dimension": 2}')
        fused = {"indexName": "Fused", "mode": "fusion", "schemaConfiguration": SCHEMA}
        ask(face, "POST", "putVectorIndexFusion", json.dumps(fused).encode())
        yield face


def ask(
    face: OssFace, method: str, query: str, body: bytes, *, host: str = f"docs-{ACCOUNT}.localhost", path: str = "/"
) -> HttpReply:
    request = HttpRequest(method=method, raw_path=path, raw_query=query, headers=(("host", host),), body=body)
    operation = ""
    try:
        call = face.call(request, OWNER)
        operation = call.operation
        assert face.permissions(call, OWNER)
        reply = face.reply(call, face.perform(call), request_id="R")
    except RagvecError as error:
        reply = face.refusal(error, request, operation=operation, request_id="R")
    assert reply.status < 500
    return reply


@settings(max_examples=600, deadline=None)
@given(asked=asked())
def test_any_body_is_answered(face: OssFace, asked: tuple[str, bytes]) -> None:
    name, body = asked
    if name == "DeleteVectorIndex" and b"Made" not in body:
        return  # the others are still needed
    (route,) = [route for route in ROUTES if route.name == name]

    reply = ask(face, route.method, route.selector, body)

    json.loads(reply.body or b"{}")


def test_good_bodies_are_good(face: OssFace) -> None:
    routes = {route.name: route for route in ROUTES}

    found = [
        (name, ask(face, routes[name].method, routes[name].selector, json.dumps(body).encode())) for name, body in GOOD
    ]
    assert {name for name, reply in found if reply.status >= 300} <= {"PutVectorIndex", "PutVectorIndexFusion"}


@settings(max_examples=500, deadline=None)
@given(
    method=st.sampled_from(["GET", "PUT", "POST", "HEAD", "PATCH", "x"]),
    host=st.sampled_from(
        ["", "localhost", "a.b.c", "-1.x", f"docs-{ACCOUNT}.localhost", "docs-99999999.x", "\xe9-123456.x"]
    )
    | st.text("ab-.0159:", max_size=30),
    path=st.sampled_from(["/", "", "//", "/docs", "/docs/", "/docs//", "/%00/", "/%FF/x", "/\xe9"])
    | st.text(string.printable, max_size=10),
    query=st.sampled_from(
        [*SELECTORS, "policy&logging", "policy=%FF", "max-keys=%F0", "prefix=%ED%A0%80", "&&=&=1", "marker=%00"]
    )
    | st.text(string.printable, max_size=20),
    body=st.sampled_from([b"", b"{}", b"[]", b"\xff"]),
)
def test_any_head_is_answered(face: OssFace, method: str, host: str, path: str, query: str, body: bytes) -> None:
    request = HttpRequest(method=method, raw_path=path, raw_query=query, headers=(("host", host),), body=body)

    assert face.recognizes(request) in (True, False)
    ask(face, method, query, body, host=host, path=path)


@settings(max_examples=800, deadline=None)
@given(
    start=st.sampled_from(["OSS4-HMAC-SHA256 ", "OSS4-HMAC-SHA256", "OSS ", "OSS"]),
    key=st.sampled_from(["k", "", "a/b", "é"]),
    day=st.sampled_from(["20261120", "99999999", "", "2026112", "٢٠٢٦١١٢٠"]),
    rest=st.sampled_from(["/r/oss/aliyun_v4_request", "/é/oss/aliyun_v4_request", "///", ""]),
    signature=st.sampled_from(["0" * 64, "é" * 64, ""]),
    additional=st.sampled_from(["", ",AdditionalHeaders=host;é;;x", ",x"]),
    date=st.sampled_from(["20261120T000000Z", "99999999T999999Z", "20261120T000060Z", "٢٠٢٦١١٢٠T٠٠٠٠٠٠Z", ""]),
    digest=st.none() | st.text(max_size=10),
)
def test_any_signature_is_judged(
    start: str, key: str, day: str, rest: str, signature: str, additional: str, date: str, digest: str | None
) -> None:
    authorization = f"{start}Credential={key}/{day}{rest}{additional},Signature={signature}"
    headers = [("host", "a.b"), ("authorization", authorization), ("x-oss-date", date)]
    headers += [] if digest is None else [("content-md5", digest), ("x-oss-content-sha256", digest)]
    request = HttpRequest(method="POST", raw_path="/\xe9", raw_query="\xe9=%FF&a", headers=tuple(headers))

    with pytest.raises(RagvecError):
        judge(request)


def judge(request: HttpRequest) -> None:
    claim = Oss4().claim(request)
    assert claim is not None
    Oss4(account=ACCOUNT).check(request, claim, OWNER, now=1_795_132_800.0)
