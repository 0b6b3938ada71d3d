"""COS and TOS without a socket: which requests are theirs, what calls need, how errors are told, and what no request
does to them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragvec import errors
from ragvec.engine.local.engine import LocalEngine
from ragvec.server import refusals
from ragvec.server.dialects.cos import CosFace
from ragvec.server.dialects.face import Service
from ragvec.server.dialects.posts import PostFace
from ragvec.server.dialects.tos import TosFace
from ragvec.server.handle import Handler
from ragvec.server.messages import HttpReply, HttpRequest
from ragvec.server.policy.authorizer import PolicyAuthorizer
from ragvec.server.users import User, Users

ACCOUNT = "1250000000"
OWNER = User(access_key="AK", secret_key="secret", account=ACCOUNT, name="owner", owner=True)
BUCKETS = {"cos": f"docs-{ACCOUNT}", "tos": "docs"}
QCS = f"qcs::cosvector:ap-guangzhou:uid/{ACCOUNT}:bucket"
TRN = f"trn:tosvectors:ap-guangzhou:{ACCOUNT}:bucket"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    engine = LocalEngine(tmp_path_factory.mktemp("faces") / "store")
    yield Service(engine, ACCOUNT, "ap-guangzhou")
    engine.close()


@pytest.fixture(scope="module")
def faces(service: Service) -> dict[str, PostFace]:
    return {"cos": CosFace(service), "tos": TosFace(service)}


def request(operation: str, body: Any = None, *, method: str = "POST", **headers: str) -> HttpRequest:
    given = {"host": "127.0.0.1:9000", **{name.replace("_", "-"): value for name, value in headers.items()}}
    return HttpRequest(
        method=method,
        raw_path=f"/{operation}",
        headers=tuple(given.items()),
        body=b"" if body is None else msgspec.json.encode(body),
    )


# -- whose a request is ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "whose"),
    [
        (request("QueryVectors", authorization="q-sign-algorithm=sha1&q-ak=a"), "cos"),
        (request("QueryVectors", authorization="TOS4-HMAC-SHA256 Credential=a"), "tos"),
        (request("QueryVectors", authorization="AWS4-HMAC-SHA256 Credential=a", x_cos_a="b", x_tos_a="b"), ""),
        (request("QueryVectors"), ""),
        (request("QueryVectors", authorization=""), "cos"),
        (request("QueryVectors", user_agent="cos-python-sdk-v5.1.9.44"), "cos"),
        (request("QueryVectors", x_cos_security_token="t"), "cos"),
        (request("QueryVectors", host="vectors.ap-guangzhou.coslake.com:80"), "cos"),
        (request("QueryVectors", host="coslake.com.example"), ""),
        (request("QueryVectors", {"indexQcs": "qcs::"}), "cos"),
        (request("QueryVectors", {"returnMetaData": True}), "cos"),
        (request("Other", {"indexQcs": "qcs::"}), ""),
        (request("QueryVectors", x_tos_content_sha256="UNSIGNED-PAYLOAD"), "tos"),
        (request("QueryVectors", host="tosvectors-cn-beijing.volces.com"), "tos"),
        (request("QueryVectors", host="docs-21.tosvectors-cn-beijing.volces.com"), "tos"),
        (request("QueryVectors", user_agent="ve-tos-go-sdk/v2.9.6"), "tos"),
        (
            HttpRequest(method="POST", raw_path="/QueryVectors", raw_query="X-Tos-Algorithm=TOS4-HMAC-SHA256"),
            "tos",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_requests_are_known_by_their_signature_or_else_by_other_signs(
    faces: dict[str, PostFace], asked: HttpRequest, whose: str
) -> None:
    assert [name for name, face in faces.items() if face.recognizes(asked)] == ([whose] if whose else [])


# -- what calls need ---------------------------------------------------------------------------------------------------


def needs(face: PostFace, operation: str, body: dict[str, Any]) -> list[tuple[str, str, str | None]]:
    call = face.call(request(operation, body), OWNER)
    return [(each.action, each.resource, each.bucket) for each in face.permissions(call, OWNER)]


INDEX = {"dataType": "float32", "dimension": 2, "distanceMetric": "cosine"}
QUERY = {"queryVector": {"float32": [1, 0]}, "topK": 1}


@pytest.mark.parametrize(
    ("operation", "body", "cos", "tos", "inside"),
    [
        ("CreateVectorBucket", {}, "PutVectorBucket", "CreateVectorBucket", ""),
        ("GetVectorBucket", {}, "GetVectorBucket", "GetVectorBucket", ""),
        ("DeleteVectorBucket", {}, "DeleteVectorBucket", "DeleteVectorBucket", ""),
        ("GetVectorBucketPolicy", {}, "GetVectorBucketPolicy", "GetVectorBucketPolicy", ""),
        ("DeleteVectorBucketPolicy", {}, "DeleteVectorBucketPolicy", "DeleteVectorBucketPolicy", ""),
        ("ListIndexes", {}, "ListVectorIndexes", "ListIndexes", ""),
        ("CreateIndex", {"indexName": "new", **INDEX}, "PutVectorIndex", "CreateIndex", "/index/new"),
        ("GetIndex", {"indexName": "new"}, "GetVectorIndex", "GetIndex", "/index/new"),
        ("DeleteIndex", {"indexName": "new"}, "DeleteVectorIndex", "DeleteIndex", "/index/new"),
        ("PutVectors", {"indexName": "new", "vectors": []}, "PutVectors", "PutVectors", "/index/new"),
        ("GetVectors", {"indexName": "new", "keys": []}, "GetVectors", "GetVectors", "/index/new"),
        ("DeleteVectors", {"indexName": "new", "keys": []}, "DeleteVectors", "DeleteVectors", "/index/new"),
        ("ListVectors", {"indexName": "new"}, "ListVectors", "ListVectors", "/index/new"),
        ("QueryVectors", {"indexName": "new", **QUERY}, "QueryVectors", "QueryVectors", "/index/new"),
    ],
    ids=lambda value: value if isinstance(value, str) and value[:1].isupper() else "",
)
def test_each_call_needs_its_action_on_its_resource(
    faces: dict[str, PostFace], operation: str, body: dict[str, Any], cos: str, tos: str, inside: str
) -> None:
    for name, action, root in (("cos", f"name/cos:{cos}", QCS), ("tos", f"tosvectors:{tos}", TRN)):
        bucket = BUCKETS[name]
        given = {"vectorBucketName": bucket, **body}
        assert needs(faces[name], operation, given) == [(action, f"{root}/{bucket}{inside}", bucket)]


def test_lists_of_buckets_are_about_the_account(faces: dict[str, PostFace]) -> None:
    assert needs(faces["cos"], "ListVectorBuckets", {}) == [
        ("name/cos:ListVectorBuckets", f"qcs::cosvector:uid/{ACCOUNT}:bucket/*", None)
    ]
    assert needs(faces["tos"], "ListVectorBuckets", {}) == [("tosvectors:ListVectorBuckets", f"{TRN}/*", None)]


@pytest.mark.parametrize(
    ("operation", "body", "reads"),
    [
        ("QueryVectors", QUERY, False),
        ("QueryVectors", {**QUERY, "returnDistance": True, "returnMetadata": False}, False),
        ("QueryVectors", {**QUERY, "returnMetadata": True}, True),
        ("QueryVectors", {**QUERY, "filter": {"a": 1}}, True),
        ("ListVectors", {"returnData": False}, False),
        ("ListVectors", {"returnData": True}, True),
        ("ListVectors", {"returnMetadata": True}, True),
    ],
    ids=str,
)
def test_what_tells_of_metadata_needs_get_vectors_too(
    faces: dict[str, PostFace], operation: str, body: dict[str, Any], reads: bool
) -> None:
    for name, face in faces.items():
        found = needs(face, operation, {"vectorBucketName": BUCKETS[name], "indexName": "new", **body})
        assert [action.rpartition(":")[2] for action, *_ in found] == [operation] + ["GetVectors"] * reads


def test_resource_names_stand_for_names_in_permissions(faces: dict[str, PostFace]) -> None:
    index = f"{QCS}/{BUCKETS['cos']}/index/new"
    assert needs(faces["cos"], "GetIndex", {"indexQcs": index}) == [("name/cos:GetVectorIndex", index, BUCKETS["cos"])]
    assert needs(
        faces["cos"], "QueryVectors", {"indexQcs": index, **QUERY, "returnMetaData": True, "returnData": True}
    )[1] == ("name/cos:GetVectors", index, BUCKETS["cos"])


# -- errors ------------------------------------------------------------------------------------------------------------


def every_error() -> list[type[errors.RagvecError]]:
    def below(kind: type[errors.RagvecError]) -> Iterator[type[errors.RagvecError]]:
        yield kind
        for each in kind.__subclasses__():
            if each.__module__ in ("ragvec.errors", "ragvec.server.refusals"):
                yield from below(each)

    return list(dict.fromkeys(below(errors.RagvecError)))


def made(kind: type[errors.RagvecError]) -> errors.RagvecError:
    error = kind.__new__(kind)
    errors.RagvecError.__init__(error, "/home/somebody/store is broken")
    if isinstance(error, errors.InvalidRequest):
        error.path, error.fields = "/topK", (("/topK", "too large"),)
    return error


CODES = {
    refusals.NotSigned: (403, "AccessDeniedException"),
    refusals.MalformedSignature: (403, "AccessDeniedException"),
    refusals.UnknownAccessKey: (403, "InvalidAccessKeyId"),
    refusals.InvalidSessionToken: (403, "AccessDeniedException"),
    refusals.SignatureMismatch: (403, "SignatureDoesNotMatch"),
    refusals.RequestExpired: (403, "RequestTimeTooSkewed"),
    refusals.PayloadMismatch: (400, "ValidationException"),
    refusals.UnknownOperation: (400, "ValidationException"),
    refusals.MethodNotAllowed: (405, "MethodNotAllowed"),
    refusals.MalformedBody: (400, "ValidationException"),
    refusals.BodyTooLarge: (400, "ValidationException"),
    refusals.TooManyRequests: (429, "TooManyRequestsException"),
    refusals.RequestTimeout: (408, "RequestTimeoutException"),
    errors.AccessDenied: (403, "AccessDeniedException"),
    errors.BucketNotFound: (404, "NotFoundException"),
    errors.IndexExists: (409, "ConflictException"),
    errors.QuotaExceeded: (402, "ServiceQuotaExceededException"),
    errors.StoreBusy: (503, "ServiceUnavailableException"),
    errors.Corrupted: (500, "InternalServerException"),
}


def told(name: str, reply: HttpReply) -> tuple[int, str, str]:
    headers = {key.lower(): value for key, value in reply.headers}
    assert headers["content-type"] == "application/json"
    assert headers[f"x-{name}-request-id"] == "R1"
    document = json.loads(reply.body)
    if name == "cos":
        assert document.keys() <= {"message", "fieldList"}
        return reply.status, headers["x-cos-error-code"], document["message"]
    assert document.keys() == {"Code", "Message", "RequestId", "HostId"}
    assert document["RequestId"] == "R1"
    return reply.status, document["Code"], document["Message"]


@pytest.mark.parametrize("name", ["cos", "tos"])
@pytest.mark.parametrize("kind", every_error(), ids=lambda kind: kind.__name__)
def test_every_error_has_its_status_and_code(
    faces: dict[str, PostFace], name: str, kind: type[errors.RagvecError]
) -> None:
    reply = faces[name].refusal(made(kind), request("QueryVectors"), operation="QueryVectors", request_id="R1")
    status, code, message = told(name, reply)
    assert 400 <= status <= 503
    if kind in CODES:
        assert (status, code) == CODES[kind]
    # Where the store lies is nobody's business.
    assert ("/home" in message) == (status < 500)


def test_faults_of_a_request_are_listed(faces: dict[str, PostFace]) -> None:
    reply = faces["cos"].refusal(made(errors.InvalidRequest), request("QueryVectors"), operation="", request_id="R1")
    assert json.loads(reply.body)["fieldList"] == [{"message": "too large", "path": "/topK"}]


# -- any request -------------------------------------------------------------------------------------------------------

texts = st.text(max_size=12) | st.sampled_from(
    ["docs", f"docs-{ACCOUNT}", "pages", f"{QCS}/docs-{ACCOUNT}", "*", "a" * 70]
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
members = st.sampled_from(
    [
        *("vectorBucketName", "vectorBucketQcs", "vectorBucketArn", "vectorBucketTrn", "indexName", "indexQcs"),
        *("indexArn", "dataType", "dimension", "distanceMetric", "metadataConfiguration", "encryptionConfiguration"),
        *("vectors", "keys", "queryVector", "topK", "filter", "returnMetaData", "returnMetadata", "returnData"),
        *("maxResults", "nextToken", "prefix", "segmentCount", "segmentIndex", "policy", "tags"),
    ]
)
bodies = st.dictionaries(members | texts, values, max_size=6).map(
    lambda given: json.dumps(given).encode(errors="surrogatepass")
) | st.binary(max_size=40)
operations = st.sampled_from([*CosFace.actions, "", "TagResource", "%00", "%ff", "a/b", "QueryVectors/"])
hosts = st.sampled_from(
    ["127.0.0.1:9000", f"docs-{ACCOUNT}.localhost", "docs-1.localhost", f"-{ACCOUNT}.x", "[::1]:90", "[", ""]
)
latin = st.text(st.characters(max_codepoint=255), max_size=30)


@st.composite
def signatures(draw: st.DrawFn) -> tuple[tuple[str, str], ...]:
    parts = [
        draw(
            st.sampled_from(["q-sign-algorithm=sha1", "q-sign-algorithm=md5", "TOS4-HMAC-SHA256 ", "TOS4-HMAC-SHA256"])
        )
    ]
    for name in ("q-ak", "q-sign-time", "q-key-time", "q-header-list", "q-url-param-list", "q-signature"):
        parts.append(f"&{name}=" + draw(st.sampled_from(["AK", "1;2", "0;99999999999", "host;a", "0" * 40]) | latin))
    for name in ("Credential", "SignedHeaders", "Signature"):
        scope = "AK/20261120/r/tosvectors/request"
        parts.append(f",{name}=" + draw(st.sampled_from([scope, "host;x-tos-date", "0" * 64]) | latin))
    headers = [("authorization", "".join(draw(st.permutations(parts)) if draw(st.booleans()) else parts))]
    for name in ("x-tos-date", "x-tos-content-sha256", "x-cos-security-token", "content-md5", "date"):
        if draw(st.booleans()):
            headers.append((name, draw(st.sampled_from(["20261120T200000Z", "UNSIGNED-PAYLOAD", ""]) | latin)))
    return tuple(headers)


@settings(max_examples=400, deadline=None)
@given(
    name=st.sampled_from(["cos", "tos"]),
    operation=operations,
    body=bodies,
    host=hosts,
    query=st.sampled_from(["", "a=b", "X-Tos-Algorithm=TOS4-HMAC-SHA256&X-Tos-Expires=9"]) | latin,
    signed=st.none() | signatures(),
    method=st.sampled_from(["POST", "POST", "POST", "GET", "DELETE"]),
)
def test_no_request_is_too_odd_for_an_answer(
    service: Service,
    faces: dict[str, PostFace],
    name: str,
    operation: str,
    body: bytes,
    host: str,
    query: str,
    signed: tuple[tuple[str, str], ...] | None,
    method: str,
) -> None:
    asked = HttpRequest(
        method=method,
        raw_path=f"/{operation}",
        raw_query=query,
        headers=(("host", host), *(signed or ((f"x-{name}-a", "b"),))),
        body=body,
    )
    handler = Handler(
        service,
        faces=tuple(faces.values()),
        users=Users([OWNER]),
        authorizer=PolicyAuthorizer(service),
        anonymous=None if signed else OWNER,
    )
    handled = handler.handle(asked, request_id="R1")
    assert handled.reply.status < 500, handled
    if signed:
        assert handled.reply.status >= 400


def test_a_refused_request_leaves_nothing_behind(tmp_path: Path) -> None:
    engine = LocalEngine(tmp_path / "store")
    try:
        face = TosFace(Service(engine, ACCOUNT, "ap-guangzhou"))
        for body in ({"vectorBucketName": "x"}, {"vectorBucketName": "docs", "tags": {}}, {}):
            with pytest.raises(errors.InvalidRequest):
                face.perform(face.call(request("CreateVectorBucket", body), OWNER))
        assert face.perform(face.call(request("ListVectorBuckets"), OWNER)).document() == {"vectorBuckets": []}
    finally:
        engine.close()
