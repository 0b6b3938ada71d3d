"""S3 Vectors over HTTP as it is on the wire: forms of replies and errors, what is not understood, and that any request
is answered as the client in this process answers it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ragvec
from ragvec.api.client import Client
from ragvec.api.exceptions import ClientError

pytest.importorskip("botocore", reason="botocore is not installed")

from tests.wire.s3_exchanges import ARN, AT, NAMES
from tests.wire.serving import ACCOUNT, REGION, Serving
from tests.wire.signed_http import Answer, SignedHttp

INDEX = {"dataType": "float32", "dimension": 2, "distanceMetric": "cosine"}


@pytest.fixture(scope="module")
def http(server: Serving) -> Iterator[SignedHttp]:
    with SignedHttp(server) as connection:
        yield connection


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    store = tmp_path_factory.mktemp("here") / "store"
    with ragvec.connect(store, dialect="s3", account=ACCOUNT, region=REGION) as client:
        yield client


# -- what is not understood --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "target", ["/", "/Nothing", "/queryvectors", "/CountVectors", "/QueryVectors/", "//QueryVectors"]
)
def test_unknown_operations(http: SignedHttp, target: str) -> None:
    answer = http.send(target, {})

    assert (answer.status, answer.code) == (404, "UnknownOperationException")
    assert target in answer.document["message"]


@pytest.mark.parametrize(
    ("method", "target"), [("GET", "/ListVectorBuckets"), ("PUT", "/tags/arn"), ("PATCH", "/GetIndex")]
)
def test_other_methods(http: SignedHttp, method: str, target: str) -> None:
    answer = http.send(target, method=method)

    assert (answer.status, answer.code) == (405, "UnknownOperationException")
    assert method in answer.document["message"]


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"{}}",
        b'{"prefix": "\xff"}',
        b'{"prefix": "\\ud800"}',
        b'{"maxResults": 1e999}',
        b'{"maxResults": NaN}',
        b'{"prefix":' + b"[" * 100_000,
    ],
    ids=["cut", "array", "null", "text", "more", "latin", "surrogate", "number", "nan", "deep"],
)
def test_bodies_that_are_no_objects(http: SignedHttp, body: bytes) -> None:
    answer = http.send("/ListVectorBuckets", body)

    assert (answer.status, answer.code) == (400, "SerializationException")
    assert set(answer.document) == {"message"}


def test_no_body_is_an_empty_object(http: SignedHttp) -> None:
    assert "vectorBuckets" in http.send("/ListVectorBuckets").document


def test_parameters_of_no_service_are_refused(http: SignedHttp) -> None:
    answer = http.send("/ListVectors", {**AT, "filter": {"a": 1}})

    assert (answer.status, answer.code) == (400, "ValidationException")
    assert answer.document["fieldList"][0]["path"] == "/filter"
    assert "Unknown parameter `filter`" in answer.document["message"]


def test_every_error_has_an_id_and_its_type(http: SignedHttp) -> None:
    answer = http.send("/GetIndex", {"vectorBucketName": "absent", "indexName": "absent"})

    assert answer.document == {"message": "The specified vector bucket could not be found"}
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-amzn-errortype"] == "NotFoundException"
    assert answer.headers["x-amzn-requestid"] != http.send("/GetIndex", {}).headers["x-amzn-requestid"]


def test_a_body_beyond_the_limit(http: SignedHttp, server: Serving) -> None:
    most = 20_971_520
    at_most = b'{"prefix":"x"}' + b" " * (most - 14)

    assert http.send("/ListVectorBuckets", at_most).status == 200
    with SignedHttp(server) as another:
        answer = another.send("/ListVectorBuckets", at_most + b" ")
    assert (answer.status, answer.code) == (400, "ValidationException")
    assert answer.document == {"message": "Request body exceeds max allowed size"}


def test_tags_by_a_resource_name_with_its_slashes(http: SignedHttp) -> None:
    http.send("/CreateVectorBucket", {"vectorBucketName": "slashes"})
    arn = ARN.replace("docs", "slashes")

    assert http.send(f"/tags/{arn}", {"tags": {"a": "b"}}).status == 200
    assert http.send(f"/tags/{arn}", method="GET").document == {"tags": {"a": "b"}}
    assert http.send(f"/tags/{arn.replace(':', '%3A').replace('/', '%2F')}?tagKeys=a", method="DELETE").document == {}
    assert http.send(f"/tags/{arn}", method="DELETE").code == "ValidationException"
    http.send("/DeleteVectorBucket", {"vectorBucketName": "slashes"})


def test_unknown_headers_and_parameters_of_the_query_change_nothing(http: SignedHttp) -> None:
    answer = http.send("/ListVectorBuckets?x-id=List&a", {}, headers={"x-amz-user-agent": "sdk"}, unsigned={"x-b": "c"})

    assert answer.status == 200


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Authorization": "AWS4-HMAC-SHA256 nonsense"}, 400, "IncompleteSignatureException"),
        ({"x-amz-security-token": "added"}, 400, "IncompleteSignatureException"),
        ({"X-Amz-Date": "20200101T000000Z"}, 400, "IncompleteSignatureException"),
        ({"Content-Type": "text/plain"}, 403, "InvalidSignatureException"),
    ],
    ids=["nonsense", "token", "date", "type"],
)
def test_signatures_that_are_none(http: SignedHttp, headers: dict[str, str], status: int, code: str) -> None:
    answer = http.send("/ListVectorBuckets", {}, unsigned=headers)

    assert (answer.status, answer.code) == (status, code)


def test_the_scope_of_another_service(server: Serving) -> None:
    with SignedHttp(server, service="sqs") as http:
        answer = http.send("/ListVectorBuckets", {})

    assert answer.code == "IncompleteSignatureException"
    assert "expected s3vectors, got 'sqs'" in answer.document["message"]


# -- the same as in this process ---------------------------------------------------------------------------------------

WRONG = st.sampled_from([None, 0, -1, 1.5, True, "", "x", [], [1], {}, {"a": 1}, "ä" * 70, 10**30])
MEMBERS: dict[str, list[Any]] = {
    "vectorBucketName": ["docs", "docs", "docs", "other", "absent", "Not_A_Name"],
    "vectorBucketArn": [
        ARN,
        ARN.replace("docs", "other"),
        "arn:aws:s3vectors:::bucket/x",
        ARN.replace(ACCOUNT, "0" * 12),
    ],
    "indexName": ["pages", "pages", "second", "absent", "no_name"],
    "indexArn": [ARN + "/index/pages", ARN, ARN + "/index/absent"],
    "resourceArn": [ARN, ARN + "/index/pages", ARN + "/index/absent", "arn"],
    "dataType": ["float32", "float32", "int8"],
    "dimension": [2, 2, 1, 4097],
    "distanceMetric": ["cosine", "euclidean", "dot"],
    "metadataConfiguration": [
        {"nonFilterableMetadataKeys": ["text"]},
        {"textSearchConfigurations": [{"metadataKey": "text", "language": "en"}]},
        {"nonFilterableMetadataKeys": []},
        {"other": 1},
    ],
    "encryptionConfiguration": [
        {"sseType": "AES256"},
        {"sseType": "aws:kms"},
        {"sseType": "aws:kms", "kmsKeyArn": "k"},
    ],
    "tags": [{"a": "b"}, {}, {"aws:a": "b"}, {"a": "!"}, {"k" * 129: "v"}],
    "tagKeys": [["a"], ["a", "b"], ["k" * 129]],
    "policy": [
        '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}}',
        "{",
        "{}",
    ],
    "defaultIndexMode": ["CLASSIC", "ENHANCED", "other"],
    "indexMode": ["CLASSIC", "ENHANCED", "other"],
    "add": [{"textSearchConfigurations": [{"metadataKey": "title"}]}, {}],
    "delete": [{"textSearchConfigurations": [{"metadataKey": "title"}]}, {}],
    "vectors": [
        [{"key": "a", "data": {"float32": [1, 0.5]}, "metadata": {"n": 1, "text": "herons"}}],
        [{"key": f"k{i:03}", "data": {"float32": [1.0, i / 7]}, "metadata": {"n": i}} for i in range(120)],
        [{"key": "b", "data": {"float32": [0, 0]}}],
        [{"key": "b", "data": {"float32": [1e39, 0]}}],
        [{"key": "b", "data": {"float32": [1, "2"]}}],
        [{"key": "b", "data": {"float32": [1]}}, {"key": "c", "data": {}}],
        [{"key": "b", "data": {"float32": [1, 1]}, "metadata": {"n": None}}],
        [{"key": "", "data": {"float32": [1, 1]}}],
        [{"key": "b", "data": {"float32": [1, 1]}}] * 2,
        [],
    ],
    "keys": [["a", "k001", "absent"], ["k001"], ["b"], [], ["x" * 1025]],
    "maxResults": [1, 2, 100, 1000, 1001, 0],
    "nextToken": ["made up", ""],
    "prefix": ["d", "", "x" * 64],
    "segmentCount": [1, 2, 17],
    "segmentIndex": [0, 1, 16],
    "returnData": [True, False],
    "returnMetadata": [True, False],
    "returnDistance": [True, False],
    "returnScores": [True, False],
    "topK": [1, 5, 130, 10_001],
    "queryVector": [{"float32": [1, 0]}, {"float32": [0.5, -0.5]}, {"float32": [0, 0]}, {"float32": [1]}, {}],
    "filter": [
        {"n": 1},
        {"n": {"$lt": 50}},
        {"$and": [{"n": 1}]},
        {},
        {"a": 1, "b": 2},
        {"n": {"$x": 1}},
        {"text": "a"},
    ],
    "queryMode": ["ENHANCED", "CLASSIC"],
    "queryTexts": [[{"metadataKey": "text", "text": "heron"}], [{"metadataKey": "title", "text": "x"}], []],
    "none": [1],
}
REQUIRED: dict[str, tuple[str, ...]] = {
    "CreateVectorBucket": ("vectorBucketName",),
    "CreateIndex": ("vectorBucketName", "indexName", "dataType", "dimension", "distanceMetric"),
    "PutVectors": ("vectorBucketName", "indexName", "vectors"),
    "GetVectors": ("vectorBucketName", "indexName", "keys"),
    "DeleteVectors": ("vectorBucketName", "indexName", "keys"),
    "ListVectors": ("vectorBucketName", "indexName"),
    "QueryVectors": ("vectorBucketName", "indexName", "topK", "queryVector"),
    "GetIndex": ("vectorBucketName", "indexName"),
    "DeleteIndex": ("vectorBucketName", "indexName"),
    "UpdateIndexMode": ("vectorBucketName", "indexName", "indexMode"),
    "UpdateMetadataConfiguration": ("vectorBucketName", "indexName", "add"),
    "ListVectorBuckets": (),
    "PutVectorBucketPolicy": ("vectorBucketName", "policy"),
    "PutVectorBucketDefaultIndexMode": ("vectorBucketName", "defaultIndexMode"),
    "TagResource": ("resourceArn", "tags"),
    "UntagResource": ("resourceArn", "tagKeys"),
    "ListTagsForResource": ("resourceArn",),
}
TAGS = {"TagResource": "POST", "UntagResource": "DELETE", "ListTagsForResource": "GET"}


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """An operation with what it requires, mostly in order, and some of all the other parameters, mostly not."""
    operation = draw(st.sampled_from(NAMES))
    names = list(REQUIRED.get(operation, ("vectorBucketName",)))
    options = [] if operation in TAGS else sorted(MEMBERS.keys() - {"resourceArn", "tagKeys"})
    if options:
        names += draw(st.lists(st.sampled_from(options), max_size=2))
    arguments = {name: draw(st.sampled_from(MEMBERS[name])) for name in names}
    if operation not in TAGS and arguments and draw(st.integers(0, 5)) == 0:
        arguments[draw(st.sampled_from(sorted(arguments)))] = draw(WRONG)
    return operation, arguments


def sent(http: SignedHttp, operation: str, arguments: dict[str, Any]) -> Answer:
    if operation not in TAGS:
        return http.send(f"/{operation}", arguments)
    place = "/tags/" + arguments["resourceArn"].replace(":", "%3A").replace("/", "%2F")
    keys = "&".join(f"tagKeys={key}" for key in arguments.get("tagKeys", ()))
    body = {"tags": arguments["tags"]} if operation == "TagResource" else b""
    return http.send(place + ("?" + keys if keys else ""), body, method=TAGS[operation])


def there(http: SignedHttp, operation: str, arguments: dict[str, Any]) -> tuple[Any, ...]:
    answer = sent(http, operation, arguments)
    document = answer.document
    if answer.status == 200:
        return 200, timeless(document)
    return answer.status, answer.code, document.pop("message"), document


def in_process(client: Client, operation: str, arguments: dict[str, Any]) -> tuple[Any, ...]:
    methods = {name: method for method, name in client.meta.method_to_api_mapping.items()}
    try:
        document = getattr(client, methods[operation])(**arguments)
    except ClientError as error:
        told = error.response
        rest = {"fieldList": told["fieldList"]} if "fieldList" in told else {}
        return told["ResponseMetadata"]["HTTPStatusCode"], told["Error"]["Code"], told["message"], rest
    del document["ResponseMetadata"]
    return 200, timeless(document)


def timeless(value: Any) -> Any:
    """A response without what differs from store to store: times, and tokens, of which it is kept that there are."""
    if isinstance(value, dict):
        return {
            name: type(member).__name__ == "str" if name == "nextToken" else timeless(member)
            for name, member in value.items()
            if name not in ("creationTime", "status")
        }
    return [timeless(member) for member in value] if isinstance(value, list) else value


def test_the_stores_begin_alike(http: SignedHttp, here: Client) -> None:
    for operation, arguments in (
        ("CreateVectorBucket", {"vectorBucketName": "docs"}),
        ("CreateIndex", {**AT, **INDEX}),
        ("PutVectors", {**AT, "vectors": MEMBERS["vectors"][1]}),
    ):
        assert there(http, operation, arguments) == in_process(here, operation, arguments)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(request=requests())
def test_any_request_is_answered_as_in_this_process(
    http: SignedHttp, here: Client, request: tuple[str, dict[str, Any]]
) -> None:
    operation, arguments = request

    assert there(http, operation, arguments) == in_process(here, operation, arguments)


@pytest.mark.parametrize(
    ("operation", "arguments"),
    [("ListVectors", {"maxResults": 50}), ("QueryVectors", {"topK": 120, "queryVector": {"float32": [1, 0]}})],
)
def test_later_pages_are_those_of_this_process(
    http: SignedHttp, here: Client, operation: str, arguments: dict[str, Any]
) -> None:
    at = {"vectorBucketName": "paged", "indexName": "pages"}
    for name, given_ in (
        ("CreateVectorBucket", {"vectorBucketName": "paged"}),
        ("CreateIndex", {**at, **INDEX}),
        ("PutVectors", {**at, "vectors": MEMBERS["vectors"][1]}),
    ):
        there(http, name, given_)
        in_process(here, name, given_)
    methods = {name: method for method, name in here.meta.method_to_api_mapping.items()}
    tokens: list[dict[str, str]] = [{}, {}]
    pages = 0
    while True:
        pages += 1
        served = http.send(f"/{operation}", {**at, **arguments, **tokens[0]}).document
        local = getattr(here, methods[operation])(**at, **arguments, **tokens[1])
        assert served["vectors"] == local["vectors"]
        assert ("nextToken" in served) == ("nextToken" in local)
        if "nextToken" not in served:
            break
        tokens = [{"nextToken": answer["nextToken"]} for answer in (served, local)]
    assert pages == {"ListVectors": 3, "QueryVectors": 2}[operation]
