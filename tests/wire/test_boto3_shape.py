"""The client against boto3 itself: its service model for s3vectors, its errors, its paginator."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

import ragvec
from ragvec.api.client import Client
from ragvec.api.operations import OPERATIONS
from ragvec.api.requests import Request

pytest.importorskip("boto3", reason="boto3 is not installed")

import boto3
import botocore.exceptions
import botocore.paginate
import botocore.session
from botocore.model import Shape, StructureShape
from botocore.validate import ParamValidator

from tests.wire.s3_exchanges import AT, EXCHANGES, FLAT, NAMES, SERVICE, misfits
from tests.wire.serving import ACCOUNT, REGION


@pytest.fixture(params=["native", "s3"])
def client(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Client]:
    with ragvec.connect(tmp_path / "store", dialect=request.param, account=ACCOUNT, region=REGION) as client:
        yield client


@pytest.fixture
def filled(client: Client) -> Client:
    client.create_vector_bucket(vectorBucketName="docs")
    client.create_index(**AT, dataType="float32", dimension=2, distanceMetric="cosine")
    vectors = [{"key": f"k{i:03}", "data": {"float32": [1.0, i / 7]}} for i in range(250)]
    client.put_vectors(**AT, vectors=vectors)
    return client


# -- requests ----------------------------------------------------------------------------------------------------------


def known_members(kind: Any) -> dict[str, Any]:
    return {field.encode_name: field.type for field in msgspec.structs.fields(kind)}


def struct_in(kind: Any) -> Any:
    """The request struct inside an annotation such as `list[PutVector] | None`; None when there is none."""
    if isinstance(kind, type) and issubclass(kind, Request):
        return kind
    for argument in getattr(kind, "__args__", ()):
        found = struct_in(argument)
        if found is not None:
            return found
    return None


def unknown_members(shape: Shape, kind: Any, path: str) -> Iterator[str]:
    if shape.type_name == "list":
        yield from unknown_members(shape.member, kind, path)
    elif isinstance(shape, StructureShape) and shape.type_name == "structure" and not shape.is_document_type:
        struct = struct_in(kind)
        if struct is None:
            yield path
            return
        members = known_members(struct)
        for name, member in shape.members.items():
            if name not in members:
                yield f"{path}.{name}"
            else:
                yield from unknown_members(member, members[name], f"{path}.{name}")


def test_every_operation_of_the_service_is_there() -> None:
    assert set(NAMES) == set(OPERATIONS) - {"CountVectors"}
    assert len(NAMES) == 22


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_of_the_service_is_known(name: str) -> None:
    shape = SERVICE.operation_model(name).input_shape

    assert list(unknown_members(shape, OPERATIONS[name].request, name)) == []


@pytest.mark.parametrize("name", NAMES)
def test_what_the_service_requires_is_required(name: str) -> None:
    required = {field.encode_name for field in msgspec.structs.fields(OPERATIONS[name].request) if field.required}
    declared = set(SERVICE.operation_model(name).input_shape.required_members)
    if name == "DeleteVectors":
        # With a filter instead, natively; the S3 dialect still requires them.
        declared -= {"keys"}

    assert required == declared


def test_methods_are_named_as_boto3_names_them() -> None:
    boto = boto3.client("s3vectors", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")

    mapping = dict(boto.meta.method_to_api_mapping)
    for method, name in mapping.items():
        assert callable(getattr(Client, method)), name
    assert {method for method in mapping if boto.can_paginate(method)} == {
        "list_indexes",
        "list_vector_buckets",
        "list_vectors",
        "query_vectors",
    }


# -- responses ---------------------------------------------------------------------------------------------------------


def test_a_whole_exchange_fits_the_service_model(client: Client) -> None:
    seen: set[str] = set()
    methods = {name: method for method, name in client.meta.method_to_api_mapping.items()}
    for name, arguments in EXCHANGES:
        model = SERVICE.operation_model(name)
        assert not ParamValidator().validate(arguments, model.input_shape).has_errors()
        response = getattr(client, methods[name])(**arguments)
        del response["ResponseMetadata"]
        assert list(misfits(response, model.output_shape, name)) == []
        seen.add(name)
    assert seen == set(NAMES)


# -- errors ------------------------------------------------------------------------------------------------------------


def test_errors_are_caught_either_way(client: Client) -> None:
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        client.get_index(**AT)
    assert isinstance(caught.value, client.exceptions.NotFoundException)
    assert isinstance(caught.value, ragvec.RagvecError)
    assert caught.value.operation_name == "GetIndex"

    assert not isinstance(caught.value, client.exceptions.ConflictException)
    with pytest.raises(client.exceptions.NotFoundException):
        client.get_index(**AT)


def test_every_exception_of_the_service_has_its_class(client: Client) -> None:
    names = [shape.name for shape in SERVICE.error_shapes]

    assert len(names) == 13
    for name in names:
        assert issubclass(getattr(client.exceptions, name), client.exceptions.ClientError)


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        ("get_vector_bucket", {"vectorBucketName": "absent"}),
        ("create_vector_bucket", {"vectorBucketName": "docs"}),
        ("query_vectors", {**AT, "topK": 1, "queryVector": {"float32": [0.0, 0.0]}}),
        ("delete_vector_bucket", {"vectorBucketName": "docs"}),
    ],
)
def test_statuses_and_members_of_errors_are_those_of_the_model(
    filled: Client, call: str, arguments: dict[str, Any]
) -> None:
    with pytest.raises(filled.exceptions.ClientError) as caught:
        getattr(filled, call)(**arguments)

    response = caught.value.response
    shape = SERVICE.shape_for_error_code(response["Error"]["Code"])
    modelled = shape.metadata.get("error", {"httpStatusCode": 400})["httpStatusCode"]
    assert response["ResponseMetadata"]["HTTPStatusCode"] == modelled
    members = {name: value for name, value in response.items() if name not in {"Error", "ResponseMetadata"}}
    assert list(misfits(members, shape, shape.name)) == []


def test_an_error_prints_as_boto3_prints_it(client: Client) -> None:
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        client.get_index(**AT)

    assert str(caught.value) == str(botocore.exceptions.ClientError(caught.value.response, "GetIndex"))


# -- paginators --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("config", [{}, {"MaxItems": 130}, {"MaxItems": 100}, {"MaxItems": 7}, {"MaxItems": 250}])
def test_our_paginator_gives_what_boto3s_gives_over_our_client(filled: Client, config: dict[str, int]) -> None:
    arguments = {**AT, "topK": 250, "queryVector": FLAT}
    model = botocore.paginate.PaginatorModel(
        botocore.session.get_session().get_component("data_loader").load_service_model("s3vectors", "paginators-1")
    )
    theirs = botocore.paginate.Paginator(
        filled.query_vectors, model.get_paginator("QueryVectors"), SERVICE.operation_model("QueryVectors")
    )
    ours = filled.get_paginator("query_vectors")

    expected = theirs.paginate(**arguments, PaginationConfig=config).build_full_result()
    found = ours.paginate(**arguments, PaginationConfig=config).build_full_result()
    assert [vector["key"] for vector in found["vectors"]] == [vector["key"] for vector in expected["vectors"]]
    assert found["distanceMetric"] == expected["distanceMetric"] == "cosine"
    assert ("NextToken" in found) == ("NextToken" in expected)
    if "NextToken" in found:
        rest = {"StartingToken": found["NextToken"]}
        going_on = theirs.paginate(**arguments, PaginationConfig=rest).build_full_result()
        assert len(going_on["vectors"]) == 250 - len(found["vectors"])
        rest = {"StartingToken": expected["NextToken"]}
        assert ours.paginate(**arguments, PaginationConfig=rest).build_full_result()["vectors"] == going_on["vectors"]
