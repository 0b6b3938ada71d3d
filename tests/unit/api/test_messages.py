"""Every error text of the S3 Vectors service that is known letter by letter (specification, section 6.3)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ragvec.api.client import Client, connect

V = "ValidationException"
N = "NotFoundException"
C = "ConflictException"
ONE = "1 validation error detected. "
RECORD = "Invalid record for key 'k': "
KEY = "k" * 1025
WIDE = "é" * 600
AT = {"vectorBucketName": "docs", "indexName": "pages"}
CREATE = {"vectorBucketName": "docs", "indexName": "other", "dataType": "float32", "dimension": 2}
ARN = "arn:aws:s3vectors:local:000000000000:bucket/docs"
FLAT = {"float32": [1.0, 0.0]}


def vector(data: Any = None, metadata: Any = None, key: str = "k") -> dict[str, Any]:
    return {"key": key, "data": {"float32": [1.0, 0.0] if data is None else data}, "metadata": metadata}


def put(**options: Any) -> tuple[str, dict[str, Any]]:
    return "put_vectors", {**AT, "vectors": [vector(**options)]}


def query(**options: Any) -> tuple[str, dict[str, Any]]:
    return "query_vectors", {**AT, "topK": 1, "queryVector": FLAT, **options}


def index(**options: Any) -> tuple[str, dict[str, Any]]:
    return "create_index", {**CREATE, "distanceMetric": "cosine", **options}


def constraint(path: str, rule: str, value: str = "Value") -> str:
    return f"{ONE}{value} at '{path}' failed to satisfy constraint: {rule}"


TAG_RULE = r"Member must satisfy regular expression pattern: ^([\p{L}\p{Z}\p{N}_.:/=+\-@]*)$"
QUERY = "Query vector contains invalid values or is invalid for this index"
ZERO = "cosine distance does not support vectors with zero norm"
ENCRYPTION = "encryptionConfiguration"
KMS = {"sseType": "AES256", "kmsKeyArn": "arn:aws:kms:us-east-1:000000000000:key/1"}

CASES: list[tuple[str, tuple[str, dict[str, Any]], str, str, str]] = [
    (
        "no bucket",
        ("get_vector_bucket", {"vectorBucketName": "none"}),
        N,
        "The specified vector bucket could not be found",
        "",
    ),
    ("no index", ("get_index", {**AT, "indexName": "none"}), N, "The specified index could not be found", ""),
    ("delete no index", ("delete_index", {**AT, "indexName": "none"}), N, "The specified index could not be found", ""),
    ("query no index", query(indexName="none"), N, "The specified index could not be found", ""),
    (
        "no tag target",
        ("list_tags_for_resource", {"resourceArn": ARN + "/index/none"}),
        N,
        "The specified resource could not be found",
        "",
    ),
    (
        "no policy",
        ("get_vector_bucket_policy", {"vectorBucketName": "docs"}),
        N,
        "The specified vector bucket policy could not be found",
        "",
    ),
    (
        "bucket exists",
        ("create_vector_bucket", {"vectorBucketName": "docs"}),
        C,
        "A vector bucket with the specified name already exists",
        "",
    ),
    ("index exists", index(indexName="pages"), C, "An index with the specified name already exists", ""),
    (
        "bucket not empty",
        ("delete_vector_bucket", {"vectorBucketName": "docs"}),
        C,
        "The specified vector bucket is not empty",
        "",
    ),
    (
        "bucket name characters",
        ("create_vector_bucket", {"vectorBucketName": "Docs_1"}),
        V,
        "Invalid vector bucket name",
        "",
    ),
    (
        "bucket name length",
        ("create_vector_bucket", {"vectorBucketName": "ab"}),
        V,
        constraint("/vectorBucketName", "Member must have length between 3 and 63, inclusive", "Value with length 2"),
        "/vectorBucketName",
    ),
    (
        "no bucket identifier",
        ("get_vector_bucket", {}),
        V,
        "Must specify either vectorBucketName or vectorBucketArn but not both",
        "",
    ),
    (
        "both bucket identifiers",
        ("get_vector_bucket", {"vectorBucketName": "docs", "vectorBucketArn": ARN}),
        V,
        "Must specify either vectorBucketName or vectorBucketArn but not both",
        "",
    ),
    (
        "index half named",
        ("get_index", {"indexName": "pages"}),
        V,
        "Must specify either indexArn or both vectorBucketName and indexName",
        "",
    ),
    (
        "index named twice",
        ("get_index", {**AT, "indexArn": ARN + "/index/pages"}),
        V,
        "Must specify either indexArn or both vectorBucketName and indexName",
        "",
    ),
    (
        "dataType",
        index(dataType="int8"),
        V,
        constraint("/dataType", "Member must satisfy enum value set: [float32]"),
        "/dataType",
    ),
    (
        "distanceMetric",
        index(distanceMetric="dot"),
        V,
        constraint("/distanceMetric", "Member must satisfy enum value set: [euclidean, cosine]"),
        "/distanceMetric",
    ),
    (
        "dimension",
        index(dimension=4097),
        V,
        constraint("/dimension", "Member must be between 1 and 4096, inclusive"),
        "/dimension",
    ),
    (
        "maxResults",
        ("list_vectors", {**AT, "maxResults": 1001}),
        V,
        constraint("/maxResults", "Member must be between 1 and 1000, inclusive"),
        "/maxResults",
    ),
    (
        "key length",
        put(key=KEY),
        V,
        constraint("/vectors/0/key", "Member must have length between 1 and 1024, inclusive", "Value with length 1025"),
        "/vectors/0/key",
    ),
    ("key bytes", put(key=WIDE), V, "Record key length exceeds the maximum allowed", ""),
    (
        "vector length",
        put(data=[1.0, 2.0, 3.0]),
        V,
        RECORD + "vector must have length 2, but has length 3",
        "vectors[0]",
    ),
    ("NaN", put(data=[1.0, float("nan")]), V, RECORD + "vector contains NaNs or Infs", "vectors[0]"),
    ("float32 overflow", put(data=[1.0, 1e39]), V, RECORD + "vector contains NaNs or Infs", "vectors[0]"),
    ("zero vector", put(data=[0.0, 0.0]), V, RECORD + ZERO, "vectors[0]"),
    ("underflow to zero", put(data=[1e-46, 1e-46]), V, RECORD + ZERO, "vectors[0]"),
    ("zero query", query(queryVector={"float32": [0.0, 0.0]}), V, QUERY, "vector"),
    ("query length", query(queryVector={"float32": [1.0]}), V, QUERY, "vector"),
    (
        "filterable metadata",
        put(metadata={"a": "x" * 2036}),
        V,
        RECORD + "Filterable metadata must have at most 2048 bytes",
        "vectors[0].metadata",
    ),
    (
        "metadata",
        put(metadata={"text": "x" * 40945}),
        V,
        RECORD + "Metadata object must have at most 40960 bytes",
        "vectors[0].metadata",
    ),
    (
        "metadata keys",
        put(metadata={f"k{i}": True for i in range(51)}),
        V,
        RECORD + "Metadata object must have at most 50 keys",
        "vectors[0].metadata",
    ),
    (
        "null",
        put(metadata={"a": None}),
        V,
        RECORD + "Metadata values must be strings, numbers, booleans, or arrays",
        "vectors[0].metadata",
    ),
    (
        "null in a non-filterable key",
        put(metadata={"text": None}),
        V,
        RECORD + "Metadata values must be strings, numbers, booleans, or arrays",
        "vectors[0].metadata",
    ),
    (
        "object",
        put(metadata={"text": {"b": 1}}),
        V,
        RECORD + "Metadata values must be strings, numbers, booleans, or arrays",
        "vectors[0].metadata",
    ),
    (
        "array of objects",
        put(metadata={"a": [{}]}),
        V,
        RECORD + "Metadata array values must be strings or numbers",
        "vectors[0].metadata",
    ),
    (
        "array of booleans",
        put(metadata={"a": [True]}),
        V,
        RECORD + "Metadata array values must be strings or numbers",
        "vectors[0].metadata",
    ),
    (
        "array of both",
        put(metadata={"a": ["x", 1]}),
        V,
        RECORD + "Metadata array values must be strings or numbers",
        "vectors[0].metadata",
    ),
    (
        "empty array",
        put(metadata={"a": []}),
        V,
        RECORD + "Empty arrays are not allowed in metadata",
        "vectors[0].metadata",
    ),
    ("filter", query(filter={"a": {"$like": 1}}), V, "Invalid filter", "filter"),
    ("empty filter", query(filter={}), V, "Invalid filter", "filter"),
    ("two keys in a filter", query(filter={"a": 1, "b": 2}), V, "Invalid filter", "filter"),
    (
        "non-filterable key",
        query(filter={"text": "x"}),
        V,
        "Invalid use of non-filterable metadata in filter",
        "filter",
    ),
    (
        "KMS key with AES256",
        ("create_vector_bucket", {"vectorBucketName": "new", ENCRYPTION: KMS}),
        V,
        "kmsKeyArn must not be specified when sseType is AES256.",
        "",
    ),
    (
        "KMS without key",
        ("create_vector_bucket", {"vectorBucketName": "new", ENCRYPTION: {"sseType": "aws:kms"}}),
        V,
        "kmsKeyArn must be specified when sseType is set to aws:kms",
        "",
    ),
    (
        "51 tags",
        ("tag_resource", {"resourceArn": ARN, "tags": {f"k{i}": "" for i in range(51)}}),
        V,
        "Too many tags specified",
        "",
    ),
    (
        "aws: tag",
        ("tag_resource", {"resourceArn": ARN, "tags": {"aws:a": ""}}),
        V,
        "System tags cannot be added/updated by requester",
        "",
    ),
    (
        "AWS: tag",
        ("tag_resource", {"resourceArn": ARN, "tags": {"AWS:owner": ""}}),
        V,
        'Invalid System Tag: AWS:owner must be prefixed with "aws:" in lowercase.',
        "",
    ),
    (
        "tag key characters",
        ("tag_resource", {"resourceArn": ARN, "tags": {"a#": ""}}),
        V,
        constraint("/tags", TAG_RULE),
        "/tags",
    ),
    (
        "tag value characters",
        ("tag_resource", {"resourceArn": ARN, "tags": {"a": "#"}}),
        V,
        constraint("/tags/a", TAG_RULE),
        "/tags/a",
    ),
]

STATUS = {V: 400, N: 404, C: 409}


LIFTED = {
    "bucket name length",
    "dimension",
    "filterable metadata",
    "metadata",
    "metadata keys",
    "empty filter",
    "two keys in a filter",
}


@pytest.fixture(scope="module", params=["s3"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """One store for all cases: a refused request changes nothing."""
    with connect(tmp_path_factory.mktemp("messages") / "store", dialect=request.param) as client:
        client.create_vector_bucket(vectorBucketName="docs")
        client.create_index(
            **{**CREATE, "indexName": "pages"},
            distanceMetric="cosine",
            metadataConfiguration={"nonFilterableMetadataKeys": ["text"]},
        )
        yield client


@pytest.mark.parametrize(
    ("call", "code", "message", "path"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_s3_texts_are_the_services_own(
    store: Client, refusal: Callable[..., Any], call: tuple[str, dict[str, Any]], code: str, message: str, path: str
) -> None:
    method, arguments = call
    error = refusal(getattr(store, method), **arguments)

    assert error.response["Error"] == {"Code": code, "Message": message}
    assert error.response["message"] == message
    assert error.response["ResponseMetadata"]["HTTPStatusCode"] == STATUS[code]
    assert [field["path"] for field in error.response.get("fieldList", [])] == ([path] if path else [])
    assert store.list_vectors(**AT)["vectors"] == []


@pytest.mark.parametrize("store", ["native"], indirect=True)
@pytest.mark.parametrize(
    ("call", "code", "message", "path"),
    [case[1:] for case in CASES if case[0] not in LIFTED],
    ids=[case[0] for case in CASES if case[0] not in LIFTED],
)
def test_native_texts_begin_as_the_services_and_may_say_more(
    store: Client, refusal: Callable[..., Any], call: tuple[str, dict[str, Any]], code: str, message: str, path: str
) -> None:
    method, arguments = call
    error = refusal(getattr(store, method), **arguments)

    assert error.response["Error"]["Code"] == code
    assert error.response["Error"]["Message"].startswith(message)
    assert path in [field["path"] for field in error.response.get("fieldList", [])] or not path
    assert store.list_vectors(**AT)["vectors"] == []


def test_several_constraint_failures_come_joined(store: Client, refusal: Callable[..., Any]) -> None:
    error = refusal(store.create_index, **{**CREATE, "dimension": 0, "distanceMetric": "dot"})

    assert error.response["Error"]["Message"] == (
        "2 validation errors detected. "
        "Value at '/dimension' failed to satisfy constraint: Member must be between 1 and 4096, inclusive; "
        "Value at '/distanceMetric' failed to satisfy constraint: "
        "Member must satisfy enum value set: [euclidean, cosine]"
    )
    assert [field["path"] for field in error.response["fieldList"]] == ["/dimension", "/distanceMetric"]


def test_missing_members_are_all_named(store: Client, refusal: Callable[..., Any]) -> None:
    error = refusal(store.create_index, vectorBucketName="docs", indexName="other", dimension=2)

    assert error.response["Error"]["Message"].startswith("2 validation errors detected. Value at '/dataType' failed")
    assert [field["path"] for field in error.response["fieldList"]] == ["/dataType", "/distanceMetric"]


def test_the_field_of_a_bad_query_vector_says_why(store: Client, refusal: Callable[..., Any]) -> None:
    error = refusal(store.query_vectors, **AT, topK=1, queryVector={"float32": [0, 0]})

    assert error.response["fieldList"] == [{"path": "vector", "message": f"Invalid input: {ZERO}"}]


def test_the_field_of_a_bad_filter_leads_to_the_fault(store: Client, refusal: Callable[..., Any]) -> None:
    error = refusal(store.query_vectors, **AT, topK=1, queryVector=FLAT, filter={"$and": [{"a": {"$gt": "x"}}]})

    (field,) = error.response["fieldList"]
    assert field["path"] == "filter"
    assert "filter.$and[0].a.$gt" in field["message"]


def test_the_record_at_fault_is_named_among_many(store: Client, refusal: Callable[..., Any]) -> None:
    vectors = [vector(key=f"k{i}") for i in range(5)]
    vectors[3] = vector(key="k3", data=[1.0])
    error = refusal(store.put_vectors, **AT, vectors=vectors)

    assert (
        error.response["Error"]["Message"] == "Invalid record for key 'k3': vector must have length 2, but has length 1"
    )
    assert error.response["fieldList"][0]["path"] == "vectors[3]"
    assert store.list_vectors(**AT)["vectors"] == []
