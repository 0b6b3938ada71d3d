"""boto3's s3vectors client, unmodified, against `ragvec serve`."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import ragvec

pytest.importorskip("boto3", reason="boto3 is not installed")

import boto3
import botocore
import botocore.exceptions
from botocore.config import Config

from ragvec.server.users import User
from tests.wire.s3_exchanges import AT, EXCHANGES, FLAT, NAMES, SERVICE, misfits
from tests.wire.serving import ACCOUNT, OWNER, REGION, Serving, serving

TEMPORARY = User(
    access_key="ASIAEXAMPLE0000001",
    secret_key="a-temporary-secret",
    account=ACCOUNT,
    name="temporary",
    owner=True,
    session_token="IQoJb3/token+of==",
)
EXPIRED = User(
    access_key="ASIAEXAMPLE0000002",
    secret_key="a-secret-of-yesterday",
    account=ACCOUNT,
    name="expired",
    owner=True,
    session_token="old",
    expires=1_700_000_000,
)
INDEX = {"dataType": "float32", "dimension": 2, "distanceMetric": "cosine"}


def connect(server: Serving, user: User = OWNER, **options: Any) -> Any:
    options.setdefault("config", Config(retries={"max_attempts": 1}))
    return boto3.client(
        "s3vectors",
        endpoint_url=server.url,
        region_name=REGION,
        aws_access_key_id=options.pop("key", user.access_key),
        aws_secret_access_key=options.pop("secret", user.secret_key),
        aws_session_token=options.pop("token", user.session_token),
        **options,
    )


def sdk(name: str) -> Any:
    return pytest.param(name, marks=pytest.mark.sdk("boto3", name))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    store = tmp_path_factory.mktemp("served") / "store"
    with serving(store, users=[OWNER, TEMPORARY, EXPIRED]) as running:
        yield running


@pytest.fixture(scope="module")
def exchanges(server: Serving) -> dict[str, list[tuple[dict[str, Any], dict[str, Any]]]]:
    """By operation, what boto3 returned and the body that it read, for a whole exchange."""
    client = connect(server)
    bodies: list[bytes] = []
    client.meta.events.register(
        "response-received.s3vectors", lambda response_dict, **_: bodies.append(response_dict["body"])
    )
    methods = {name: method for method, name in client.meta.method_to_api_mapping.items()}
    seen: dict[str, list[tuple[dict[str, Any], dict[str, Any]]]] = {}
    for name, arguments in EXCHANGES:
        response = getattr(client, methods[name])(**arguments)
        seen.setdefault(name, []).append((response, json.loads(bodies[-1])))
    client.delete_vector_bucket(vectorBucketName="empty")
    return seen


# -- operations --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [sdk(name) for name in NAMES])
def test_every_operation(exchanges: dict[str, list[tuple[dict[str, Any], dict[str, Any]]]], name: str) -> None:
    shape = SERVICE.operation_model(name).output_shape

    for response, body in exchanges[name]:
        told = response.pop("ResponseMetadata")
        assert told["HTTPStatusCode"] == 200
        assert told["HTTPHeaders"]["x-amzn-requestid"] == told["RequestId"] != ""
        assert told["HTTPHeaders"]["content-type"] == "application/json"
        assert list(misfits(response, shape, name)) == []
        # boto3 drops members that it does not know; the body itself has none.
        assert paths(body) == paths(response)


def test_times_are_numbers(exchanges: dict[str, list[tuple[dict[str, Any], dict[str, Any]]]]) -> None:
    ((_, body),) = exchanges["GetVectorBucket"]

    assert isinstance(body["vectorBucket"]["creationTime"], float)


def paths(value: Any, path: str = "") -> set[str]:
    if isinstance(value, dict):
        return {path}.union(*(paths(member, f"{path}.{name}") for name, member in value.items()))
    if isinstance(value, list):
        return {path}.union(*(paths(member, f"{path}[{i}]") for i, member in enumerate(value)))
    return {path}


def test_there_is_nothing_to_wait_for(server: Serving) -> None:
    assert connect(server).waiter_names == []


@pytest.fixture
def filled(server: Serving) -> Iterator[Any]:
    """A client, and an index of 250 vectors with texts."""
    client = connect(server)
    client.create_vector_bucket(vectorBucketName="docs")
    fields = {"textSearchConfigurations": [{"metadataKey": "text", "language": "en"}]}
    client.create_index(**AT, **INDEX, metadataConfiguration=fields)
    vectors = [
        {"key": f"k{i:03}", "data": {"float32": [1.0, i / 7]}, "metadata": {"n": i, "text": f"heron number {i % 10}"}}
        for i in range(250)
    ]
    client.put_vectors(**AT, vectors=vectors)
    yield client
    client.delete_index(**AT)
    client.delete_vector_bucket(vectorBucketName="docs")


def test_vectors_come_back_as_they_were_put(filled: Any) -> None:
    found = filled.get_vectors(**AT, keys=["k007", "absent"], returnData=True, returnMetadata=True)["vectors"]

    assert found == [{"key": "k007", "data": {"float32": [1.0, 1.0]}, "metadata": {"n": 7, "text": "heron number 7"}}]


def test_a_query_with_everything(filled: Any) -> None:
    found = filled.query_vectors(
        **AT,
        topK=3,
        queryVector={"float32": [1.0, 1.0]},
        filter={"$and": [{"n": {"$gte": 5, "$ne": 7}}, {"text": {"$startsWith": "heron"}}]},
        returnMetadata=True,
        returnDistance=True,
    )

    assert [vector["key"] for vector in found["vectors"]] == ["k008", "k006", "k009"]
    assert found["vectors"][0]["metadata"] == {"n": 8, "text": "heron number 8"}
    distances = [vector["distance"] for vector in found["vectors"]]
    assert distances == sorted(distances)
    assert found["distanceMetric"] == "cosine"


def test_texts_and_both(filled: Any) -> None:
    texts = [{"metadataKey": "text", "text": "herons 3"}]
    found = filled.query_vectors(**AT, topK=5, queryTexts=texts, filter={"n": 13}, returnScores=True)["vectors"]
    assert [vector["key"] for vector in found] == ["k013"]
    assert found[0]["scores"]["bm25Scores"][0]["metadataKey"] == "text"

    both = filled.query_vectors(**AT, topK=5, queryTexts=texts, queryVector=FLAT, returnScores=True)["vectors"]
    assert both[0]["key"] == "k003"
    assert {"fused", "bm25Scores", "vectorDistance"} == set(both[0]["scores"])


@pytest.mark.parametrize(
    ("method", "result", "page_size", "count"),
    [
        pytest.param("list_vector_buckets", "vectorBuckets", 2, 6, marks=pytest.mark.sdk("boto3", "ListVectorBuckets")),
        pytest.param("list_indexes", "indexes", 2, 6, marks=pytest.mark.sdk("boto3", "ListIndexes")),
        pytest.param("list_vectors", "vectors", 100, 250, marks=pytest.mark.sdk("boto3", "ListVectors")),
        pytest.param("query_vectors", "vectors", None, 250, marks=pytest.mark.sdk("boto3", "QueryVectors")),
    ],
)
def test_paginators(filled: Any, method: str, result: str, page_size: int | None, count: int) -> None:
    names = [f"other-{i}" for i in range(5)]
    for name in names:
        filled.create_vector_bucket(vectorBucketName=name)
        filled.create_index(vectorBucketName="docs", indexName=name, **INDEX)
    arguments: dict[str, Any] = {
        "list_vector_buckets": {},
        "list_indexes": {"vectorBucketName": "docs"},
        "list_vectors": AT,
        "query_vectors": {**AT, "topK": 250, "queryVector": FLAT},
    }[method]
    config = {} if page_size is None else {"PageSize": page_size}
    try:
        pages = list(filled.get_paginator(method).paginate(**arguments, PaginationConfig=config))
    finally:
        for name in names:
            filled.delete_vector_bucket(vectorBucketName=name)
            filled.delete_index(vectorBucketName="docs", indexName=name)

    found = [json.dumps(item, default=str) for page in pages for item in page[result]]
    assert len(pages) == 3
    assert len(found) == len(set(found)) == count


# -- errors ------------------------------------------------------------------------------------------------------------

MISTAKES: list[tuple[str, dict[str, Any]]] = [
    ("get_vector_bucket", {"vectorBucketName": "absent"}),
    ("get_vector_bucket", {}),
    ("get_vector_bucket", {"vectorBucketName": "Not_A_Name"}),
    ("get_vector_bucket", {"vectorBucketArn": "arn:aws:s3vectors:us-east-1:000000000000:bucket/docs"}),
    ("create_vector_bucket", {"vectorBucketName": "docs"}),
    ("create_vector_bucket", {"vectorBucketName": "more", "encryptionConfiguration": {"sseType": "aws:kms"}}),
    ("create_vector_bucket", {"vectorBucketName": "more", "tags": {"aws:owner": "x"}}),
    ("delete_vector_bucket", {"vectorBucketName": "docs"}),
    ("get_vector_bucket_policy", {"vectorBucketName": "docs"}),
    ("put_vector_bucket_policy", {"vectorBucketName": "docs", "policy": "{}"}),
    ("create_index", {**AT, **INDEX}),
    ("create_index", {"vectorBucketName": "docs", "indexName": "new", **INDEX, "dimension": 5000}),
    ("get_index", {"vectorBucketName": "docs", "indexName": "absent"}),
    ("get_index", {"vectorBucketName": "docs"}),
    ("delete_index", {"vectorBucketName": "docs", "indexName": "absent"}),
    ("query_vectors", {**AT, "topK": 1, "queryVector": {"float32": [0.0, 0.0]}}),
    ("query_vectors", {**AT, "topK": 1, "queryVector": {"float32": [1.0, 0.0, 0.0]}}),
    ("query_vectors", {**AT, "topK": 10_001, "queryVector": FLAT}),
    ("query_vectors", {**AT, "topK": 1, "queryVector": FLAT, "filter": {}}),
    ("query_vectors", {**AT, "topK": 1, "queryVector": FLAT, "nextToken": "made up"}),
    ("put_vectors", {**AT, "vectors": [{"key": "k", "data": {"float32": [0.0, 0.0]}}]}),
    ("put_vectors", {**AT, "vectors": [{"key": "k", "data": FLAT, "metadata": {"a": {"b": 1}}}]}),
    ("put_vectors", {**AT, "vectors": [{"key": "k" * 1025, "data": FLAT}, {"key": "x" * 1026, "data": FLAT}]}),
    ("list_vectors", {**AT, "maxResults": 1001}),
    ("list_vectors", {**AT, "segmentCount": 2}),
    ("update_index_mode", {**AT, "indexMode": "OTHER"}),
    ("list_tags_for_resource", {"resourceArn": f"arn:aws:s3vectors:{REGION}:{ACCOUNT}:bucket/absent"}),
    ("tag_resource", {"resourceArn": "no arn at all", "tags": {"a": "b"}}),
]


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Any]:
    """The client in this process, on a store with the same bucket and index."""
    with ragvec.connect(tmp_path / "store", dialect="s3", account=ACCOUNT, region=REGION) as client:
        client.create_vector_bucket(vectorBucketName="docs")
        client.create_index(**AT, **INDEX)
        yield client


def test_errors_are_modelled_and_those_of_the_client_in_this_process(filled: Any, here: Any) -> None:
    seen = set()
    for method, arguments in MISTAKES:
        with pytest.raises(botocore.exceptions.ClientError) as there:
            getattr(filled, method)(**arguments)
        with pytest.raises(ragvec.RagvecError) as ours:
            getattr(here, method)(**arguments)

        response = there.value.response
        told, expected = dict(response), dict(ours.value.response)  # type: ignore[attr-defined]
        status = [document.pop("ResponseMetadata")["HTTPStatusCode"] for document in (told, expected)]
        assert status[0] == status[1], (method, arguments)
        assert told == expected, (method, arguments)
        assert type(there.value) is getattr(filled.exceptions, told["Error"]["Code"])
        shape = SERVICE.shape_for_error_code(told["Error"]["Code"])
        told.pop("Error")
        assert list(misfits(told, shape, shape.name)) == []
        seen.add(shape.name)
    assert seen == {"ValidationException", "NotFoundException", "ConflictException"}


# -- signatures --------------------------------------------------------------------------------------------------------


def code_of(call: Any) -> tuple[int, str]:
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call()
    return caught.value.response["ResponseMetadata"]["HTTPStatusCode"], caught.value.response["Error"]["Code"]


def test_a_session_token_is_needed_where_there_is_one(server: Serving) -> None:
    connect(server, TEMPORARY).list_vector_buckets()

    for token in (None, "another"):
        client = connect(server, TEMPORARY, token=token)
        assert code_of(client.list_vector_buckets) == (403, "UnrecognizedClientException")
    assert code_of(connect(server, OWNER, token="any").list_vector_buckets) == (403, "UnrecognizedClientException")


def test_an_expired_token(server: Serving) -> None:
    assert code_of(connect(server, EXPIRED).list_vector_buckets) == (403, "ExpiredTokenException")


def test_who_is_not_known_and_who_does_not_know_the_secret(server: Serving) -> None:
    unknown = connect(server, key="AKIDUNKNOWN00000000")
    assert code_of(unknown.list_vector_buckets) == (403, "UnrecognizedClientException")

    guessing = connect(server, secret="a guess")
    assert code_of(guessing.list_vector_buckets) == (403, "InvalidSignatureException")
    assert code_of(lambda: guessing.create_vector_bucket(vectorBucketName="guessed")) == (
        403,
        "InvalidSignatureException",
    )
    assert connect(server).list_vector_buckets(prefix="guessed")["vectorBuckets"] == []


def test_nobody(server: Serving) -> None:
    client = connect(server, config=Config(signature_version=botocore.UNSIGNED))

    assert code_of(client.list_vector_buckets) == (403, "MissingAuthenticationTokenException")


def test_a_presigned_url(server: Serving, filled: Any) -> None:
    arn = filled.get_vector_bucket(vectorBucketName="docs")["vectorBucket"]["vectorBucketArn"]
    filled.tag_resource(resourceArn=arn, tags={"team": "birds"})
    url = filled.generate_presigned_url("list_tags_for_resource", Params={"resourceArn": arn})

    with urllib.request.urlopen(url) as reply:
        assert json.load(reply) == {"tags": {"team": "birds"}}
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(url.replace("docs", "dogs"))


# -- several workers ---------------------------------------------------------------------------------------------------


def test_pages_of_one_query_from_several_workers(tmp_path: Path) -> None:
    texts = [{"metadataKey": "text", "text": "heron"}]
    kinds = ({"queryVector": FLAT}, {"queryTexts": texts}, {"queryTexts": texts, "queryVector": FLAT})
    with serving(tmp_path / "store", workers=3) as server:
        client = connect(server)
        client.create_vector_bucket(vectorBucketName="docs")
        fields = {"textSearchConfigurations": [{"metadataKey": "text"}]}
        client.create_index(**AT, **INDEX, metadataConfiguration=fields)
        rows = [{"key": f"k{i}", "data": {"float32": [1.0, i]}, "metadata": {"text": f"heron {i}"}} for i in range(350)]
        client.put_vectors(**AT, vectors=rows)
        for number, kind in enumerate(kinds):
            found: list[str] = []
            token: dict[str, str] = {}
            while True:
                # A new connection, which goes to the next worker; what is written between pages is in none of them.
                page = connect(server).query_vectors(**AT, topK=350, **kind, **token)
                found += [vector["key"] for vector in page["vectors"]]
                new = {"key": f"new-{number}-{len(found)}", "data": FLAT, "metadata": {"text": "heron"}}
                client.put_vectors(**AT, vectors=[new])
                if "nextToken" not in page:
                    break
                token = {"nextToken": page["nextToken"]}
            assert len(found) == len(set(found)) == 350
            assert not any(key.startswith(f"new-{number}") for key in found)
