"""Dialects as data: error tables, distances, filters, and what each of them lacks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from ragvec import errors
from ragvec.api.client import Client
from ragvec.api.dialects import DIALECTS, NATIVE, OSS, S3, WireError, dialect, wire_error
from ragvec.api.operations import OPERATIONS
from ragvec.api.requests import Request
from ragvec.errors import InvalidRequest, RagvecError

FLAT = {"float32": [1.0, 2.0]}


def subclasses(kind: type[RagvecError]) -> Iterator[type[RagvecError]]:
    for child in kind.__subclasses__():
        if child.__module__ == errors.__name__:
            yield child
            yield from subclasses(child)


def instance(kind: type[RagvecError]) -> RagvecError:
    if kind is errors.DimensionMismatch:
        return errors.DimensionMismatch(expected=1, got=2, path="p")
    if kind is errors.MissingExtra:
        return errors.MissingExtra(package="p", extra="e", purpose="P")
    return kind("text")


@pytest.mark.parametrize("name", DIALECTS)
@pytest.mark.parametrize("kind", list(subclasses(RagvecError)), ids=lambda kind: kind.__name__)
def test_every_error_has_a_status_and_a_code(name: str, kind: type[RagvecError]) -> None:
    table = DIALECTS[name].errors
    above = [parent for parent in kind.__mro__ if parent in table]

    assert above[0] is not RagvecError, f"{kind.__name__} falls through to the last entry of {name}"
    wire = wire_error(DIALECTS[name], instance(kind))
    assert wire == table[above[0]]
    assert 400 <= wire.status < 600


@pytest.mark.parametrize(
    ("kind", "s3", "oss"),
    [
        (errors.InvalidFilter, (400, "ValidationException"), (400, "VectorIndexParameterInvalid")),
        (errors.ExpiredToken, (400, "ValidationException"), (400, "VectorIndexParameterInvalid")),
        (errors.BucketNotFound, (404, "NotFoundException"), (404, "NoSuchVectorBucket")),
        (errors.IndexNotFound, (404, "NotFoundException"), (404, "NoSuchVectorIndex")),
        (errors.PolicyNotFound, (404, "NotFoundException"), (404, "NoSuchBucketPolicy")),
        (errors.BucketExists, (409, "ConflictException"), (409, "VectorBucketAlreadyExists")),
        (errors.IndexExists, (409, "ConflictException"), (409, "VectorBucketIndexAlreadyExist")),
        (errors.BucketNotEmpty, (409, "ConflictException"), (409, "VectorBucketNotEmpty")),
        (errors.QuotaExceeded, (402, "ServiceQuotaExceededException"), (400, "TooManyBuckets")),
        (errors.AccessDenied, (403, "AccessDeniedException"), (403, "AccessDenied")),
        (errors.Corrupted, (500, "InternalServerException"), (500, "InternalError")),
        (errors.StoreBusy, (503, "ServiceUnavailableException"), (503, "ServiceUnavailable")),
    ],
)
def test_codes(kind: type[RagvecError], s3: tuple[int, str], oss: tuple[int, str]) -> None:
    assert wire_error(S3, instance(kind)) == WireError(*s3)
    assert wire_error(OSS, instance(kind)) == WireError(*oss)


def test_codes_that_operation_or_place_decide() -> None:
    assert wire_error(OSS, errors.QuotaExceeded("x"), operation="CreateIndex").code == "VectorBucketIndexExceedLimit"
    assert wire_error(OSS, errors.InvalidName("x", path="/vectorBucketName")).code == "InvalidVectorBucketName"
    assert wire_error(OSS, errors.InvalidName("x", path="/indexName")).code == "VectorIndexParameterInvalid"


def test_an_unknown_dialect_is_refused_with_those_there_are() -> None:
    with pytest.raises(InvalidRequest, match="Unknown dialect 'gcs': expected one of cos, native, oss, s3, tos"):
        dialect("gcs")


def test_what_a_dialect_lacks_are_real_operations_and_parameters() -> None:
    for each in DIALECTS.values():
        for name in each.absent:
            operation, _, parameter = name.partition(".")
            kind: type[Request] = OPERATIONS[operation].request
            if parameter:
                from msgspec.structs import fields

                assert parameter in {field.encode_name for field in fields(kind)}, name
    assert NATIVE.absent == frozenset()


@pytest.mark.parametrize(("name", "count"), [("native", 23), ("s3", 22), ("oss", 16), ("cos", 16), ("tos", 16)])
def test_number_of_operations(name: str, count: int) -> None:
    assert len(set(OPERATIONS) - DIALECTS[name].absent) == count


def test_an_operation_that_the_dialect_lacks(client_of: Callable[..., Client], refusal: Callable[..., Any]) -> None:
    assert "The tos dialect has no operation TagResource" in str(refusal(client_of("tos").tag_resource, tags={}))
    assert "The s3 dialect has no operation CountVectors" in str(refusal(client_of("s3").count_vectors, indexName="x"))


@pytest.mark.parametrize(
    ("name", "method", "parameter"),
    [
        ("s3", "list_vectors", "filter"),
        ("s3", "delete_vectors", "filter"),
        ("s3", "query_vectors", "maxResults"),
        ("s3", "query_vectors", "returnData"),
        ("oss", "query_vectors", "nextToken"),
        ("tos", "list_vectors", "segmentCount"),
        ("tos", "list_vectors", "filter"),
        ("cos", "create_index", "tags"),
    ],
)
def test_a_parameter_that_the_dialect_lacks(
    client_of: Callable[..., Client], refusal: Callable[..., Any], name: str, method: str, parameter: str
) -> None:
    error = refusal(getattr(client_of(name), method), **{parameter: 1})

    assert f"Unknown parameter `{parameter}` for" in str(error)
    assert f"in the {name} dialect; expected vectorBucketName, " in str(error)
    assert parameter not in str(error).partition("expected ")[2].split(", ")


def test_defaults_of_oss(client_of: Callable[..., Client], refusal: Callable[..., Any]) -> None:
    oss = client_of("oss")
    oss.create_vector_bucket(vectorBucketName="docs")
    oss.create_index(vectorBucketName="docs", indexName="Pages1", dimension=2)
    made = oss.get_index(vectorBucketName="docs", indexName="Pages1")["index"]
    assert (made["dataType"], made["distanceMetric"]) == ("float32", "euclidean")
    assert "/distanceMetric" in str(refusal(client_of("tos").create_index, vectorBucketName="docs", indexName="pages"))


def test_oss_declares_keys_that_are_identifiers(
    client_of: Callable[..., Client], refusal: Callable[..., Any], index_of: Callable[..., dict[str, str]]
) -> None:
    oss = client_of("oss")
    at = index_of(oss, metadataConfiguration={"nonFilterableMetadataKeys": ["_text", "Body2"]})
    for key in ("body-text", "2body", "körper"):
        configuration = {"nonFilterableMetadataKeys": ["_text", key]}
        made = {**at, "indexName": "Other", "dimension": 2, "metadataConfiguration": configuration}
        text = str(refusal(oss.create_index, **made))
        assert "'/metadataConfiguration/nonFilterableMetadataKeys/1' failed" in text
        assert f"[A-Za-z_][A-Za-z0-9_]* (got '{key}')" in text


@pytest.mark.parametrize(
    ("name", "expected"), [("native", 8**0.5), ("s3", 8**0.5), ("oss", 8**0.5), ("cos", 8.0), ("tos", 8.0)]
)
def test_euclidean_distance_is_the_root_or_the_square(
    client_of: Callable[..., Client], index_of: Callable[..., dict[str, str]], name: str, expected: float
) -> None:
    client = client_of(name)
    at = index_of(client, metric="euclidean")
    client.put_vectors(**at, vectors=[{"key": "self", "data": FLAT}, {"key": "far", "data": {"float32": [3, 4]}}])

    answer = client.query_vectors(**at, topK=2, queryVector=FLAT, returnDistance=True)
    assert answer["vectors"][0] == {"key": "self", "distance": 0.0}
    assert answer["vectors"][1] == {"key": "far", "distance": float(np.float32(expected))}
    assert answer["distanceMetric"] == "euclidean"


def test_measured_distances_of_the_services(
    client_of: Callable[..., Client], index_of: Callable[..., dict[str, str]]
) -> None:
    tos = client_of("tos")
    at = index_of(tos, metric="euclidean", dimension=5)
    tos.put_vectors(**at, vectors=[{"key": "k", "data": {"float32": [0.1] * 5}}])
    answer = tos.query_vectors(**at, topK=1, queryVector={"float32": [0.2] * 5}, returnDistance=True)
    assert answer["vectors"][0]["distance"] == float(np.float32(0.05))

    s3 = client_of("s3")
    create = {"vectorBucketName": "docs", "dataType": "float32", "dimension": 3}
    for index, metric, expected in [
        ("euclidean", "euclidean", [("a", 1.0), ("b", 1.7320507764816284)]),
        ("cosine", "cosine", [("b", 0.0), ("a", 0.05719095841050148)]),
    ]:
        s3.create_index(**create, indexName=index, distanceMetric=metric)
        place = {"vectorBucketName": "docs", "indexName": index}
        vectors = [{"key": "a", "data": {"float32": [1, 1, 2]}}, {"key": "b", "data": {"float32": [2, 2, 2]}}]
        s3.put_vectors(**place, vectors=vectors)
        answer = s3.query_vectors(**place, topK=2, queryVector={"float32": [1, 1, 1]}, returnDistance=True)
        assert [(hit["key"], hit["distance"]) for hit in answer["vectors"]] == expected


def test_squares_ascend_where_the_rounded_roots_tie(
    client_of: Callable[..., Client], index_of: Callable[..., dict[str, str]]
) -> None:
    tos = client_of("tos")
    at = index_of(tos, metric="euclidean", dimension=8)
    rows = (10 + np.random.default_rng(0).normal(size=(400, 8)) * 1e-6).astype(np.float32)
    tos.put_vectors(**at, vectors=[{"key": f"k{n:03d}", "data": {"float32": row}} for n, row in enumerate(rows)])
    answer = tos.query_vectors(**at, topK=400, queryVector={"float32": [0] * 8}, returnDistance=True)
    expected = np.square(rows.astype(np.float64)).sum(axis=1).astype(np.float32)
    found = [(hit["distance"], int(hit["key"][1:])) for hit in answer["vectors"]]
    assert [distance for distance, _ in found] == sorted(distance for distance, _ in found)
    assert all(distance == expected[n] for distance, n in found)


@pytest.mark.parametrize("name", DIALECTS)
def test_distances_are_finite_for_every_vector_that_can_be_stored(
    client_of: Callable[..., Client], index_of: Callable[..., dict[str, str]], name: str
) -> None:
    client = client_of(name)
    largest = 3.4028234663852886e38
    vectors = {"large": [largest, largest], "small": [1e-45, 0.0], "negative": [-largest, -largest], "one": [1.0, 1.0]}
    at = index_of(client, metric="euclidean")
    cosine = {**at, "indexName": at["indexName"] + "2"}
    client.create_index(**cosine, dataType="float32", dimension=2, distanceMetric="cosine")
    for index in (at, cosine):
        client.put_vectors(**index, vectors=[{"key": key, "data": {"float32": v}} for key, v in vectors.items()])
        for vector in vectors.values():
            answer = client.query_vectors(**index, topK=4, queryVector={"float32": vector}, returnDistance=True)
            distances = [hit["distance"] for hit in answer["vectors"]]
            assert all(0 <= distance <= largest for distance in distances)
            assert distances == sorted(distances)
            assert distances[0] == 0.0
    answer = client.query_vectors(**cosine, topK=4, queryVector={"float32": [1e-45, 0.0]}, returnDistance=True)
    found = {hit["key"]: hit["distance"] for hit in answer["vectors"]}
    assert found == pytest.approx({"small": 0, "large": 1 - 0.5**0.5, "one": 1 - 0.5**0.5, "negative": 1 + 0.5**0.5})


@pytest.mark.parametrize("name", ["native", "oss", "cos", "tos"])
def test_lenient_filters(client_of: Callable[..., Client], index_of: Callable[..., dict[str, str]], name: str) -> None:
    client = client_of(name)
    at = index_of(client)
    client.put_vectors(**at, vectors=[{"key": f"{i}", "data": FLAT, "metadata": {"a": i, "b": "x"}} for i in range(3)])

    def keys(filters: Any) -> list[str]:
        return [hit["key"] for hit in client.query_vectors(**at, topK=5, queryVector=FLAT, filter=filters)["vectors"]]

    assert keys({}) == keys(None) == ["0", "1", "2"]
    assert keys({"a": 1, "b": "x"}) == ["1"]
    assert keys({"c": {"$ne": 1}}) == ["0", "1", "2"]


@pytest.mark.parametrize("name", ["oss", "cos"])
def test_filter_of_list_vectors(
    client_of: Callable[..., Client], index_of: Callable[..., dict[str, str]], name: str
) -> None:
    client = client_of(name)
    at = index_of(client)
    client.put_vectors(**at, vectors=[{"key": f"{i}", "data": FLAT, "metadata": {"a": i}} for i in range(9)])

    assert [hit["key"] for hit in client.list_vectors(**at, filter={"a": {"$gte": 7}})["vectors"]] == ["7", "8"]
