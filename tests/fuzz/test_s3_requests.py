"""Requests of S3 Vectors that no client sends: each is answered or refused, and none is an error of ours."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("botocore", reason="botocore is not installed")

from ragvec.engine.local.engine import LocalEngine
from ragvec.server.dialects.face import Service
from ragvec.server.dialects.s3vectors import S3VectorsFace
from ragvec.server.handle import Handler
from ragvec.server.messages import HttpReply, HttpRequest
from ragvec.server.policy.authorizer import PolicyAuthorizer
from ragvec.server.users import Users
from tests.wire.s3_exchanges import AT, EXCHANGES
from tests.wire.serving import ACCOUNT, OWNER, REGION

TAGS = {"TagResource": "POST", "UntagResource": "DELETE", "ListTagsForResource": "GET"}
STATUSES = {200, 400, 402, 403, 404, 405, 409}

texts = st.text(max_size=6) | st.sampled_from(
    ["docs", "pages", "\x00", "é\u2028", "😀" * 20, "a" * 3000, "$eq", "../.."]
)
numbers = (
    st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([10**30, 1e308, -0.0, 5e-324])
)
anything = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def handler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Handler]:
    engine = LocalEngine(tmp_path_factory.mktemp("fuzz") / "store")
    service = Service(engine, ACCOUNT, REGION)
    faces = (S3VectorsFace(service),)
    yield Handler(service, faces=faces, users=Users([]), authorizer=PolicyAuthorizer(service), anonymous=OWNER)
    engine.close()


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(value, dict):
        for name in value:
            yield from places(value[name], (*path, name))
    elif isinstance(value, list):
        for i, item in enumerate(value[:3]):
            yield from places(item, (*path, i))


def put_at(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    changed = copy.copy(value)
    changed[path[0]] = put_at(value[path[0]], path[1:], new)
    return changed


@st.composite
def changed_requests(draw: st.DrawFn) -> HttpRequest:
    """A request in order, with something in it replaced, and sometimes a byte of its body."""
    operation, arguments = draw(st.sampled_from(EXCHANGES))
    for _ in range(draw(st.integers(0, 2))):
        arguments = put_at(arguments, draw(st.sampled_from(sorted(places(arguments), key=repr))), draw(anything))
    method, path, query = "POST", f"/{operation}", ""
    if operation in TAGS:
        arguments = arguments if isinstance(arguments, dict) else {}
        method, path = TAGS[operation], "/tags/" + quote(str(arguments.get("resourceArn")), safe="")
        keys = arguments.get("tagKeys")
        query = "&".join(f"tagKeys={quote(str(key))}" for key in keys) if isinstance(keys, list) else ""
        arguments = {name: value for name, value in arguments.items() if name == "tags"}
    body = json.dumps(arguments).encode()
    if draw(st.integers(0, 9)) == 0:
        at = draw(st.integers(0, len(body) - 1))
        body = body[:at] + bytes([draw(st.integers(0, 255))]) + body[at + 1 :]
    return HttpRequest(method=method, raw_path=path, raw_query=query, body=body)


def replied(handler: Handler, operation: str, arguments: dict[str, Any]) -> HttpReply:
    request = HttpRequest(method="POST", raw_path=f"/{operation}", body=json.dumps(arguments).encode())
    return handler.handle(request, request_id="setup").reply


@settings(max_examples=600, deadline=None)
@given(request=changed_requests())
def test_no_request_is_an_error_of_ours(handler: Handler, request: HttpRequest) -> None:
    if replied(handler, "GetIndex", AT).status != 200:
        for operation, arguments in EXCHANGES:
            if operation in ("CreateVectorBucket", "CreateIndex", "PutVectors") and "second" not in str(arguments):
                replied(handler, operation, arguments)
    reply = handler.handle(request, request_id="x").reply

    assert reply.status in STATUSES
    headers = dict(reply.headers)
    assert ("x-amzn-errortype" in headers) == (reply.status != 200)
    document = json.loads(reply.body)
    assert isinstance(document, dict)
    assert reply.status == 200 or document["message"]
