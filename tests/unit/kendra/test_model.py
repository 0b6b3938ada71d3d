"""Requests checked before they are sent, against botocore's own service model and checks."""

from __future__ import annotations

import pickle
import random
from typing import Any

import botocore.exceptions
import botocore.session
import pytest
from botocore import xform_name
from botocore.validate import ParamValidator

from ragvec.errors import InvalidRequest
from ragvec.kendra import Client
from ragvec.kendra.model.check import ParamValidationError, check_request, members_of
from ragvec.kendra.model.operations import REQUESTS, STRUCTURES
from ragvec.store import Index

MODEL: Any = botocore.session.get_session().get_service_model("kendra")
SCALARS = {"string": "text", "integer": "int", "long": "int", "boolean": "flag", "timestamp": "time", "blob": "blob"}


def kind_of(shape: Any) -> str:
    """A shape of botocore's in the notation of our tables; least lengths of 0 say nothing there."""
    least = shape.metadata.get("min")
    if shape.type_name == "structure":
        return str(shape.name)
    if shape.type_name == "list":
        return f"[{kind_of(shape.member)}]{least or ''}"
    if shape.type_name == "map":
        return f"{{{kind_of(shape.key)}={kind_of(shape.value)}}}{least or ''}"
    kind = SCALARS[shape.type_name]
    return f"{kind}{least}" if least is not None and (least or kind == "int") else kind


def lines(shape: Any) -> dict[str, tuple[str, bool]]:
    return {name: (kind_of(member), name in shape.required_members) for name, member in shape.members.items()}


@pytest.mark.parametrize("operation", sorted(REQUESTS))
def test_requests_are_those_of_the_service(operation: str) -> None:
    theirs = lines(MODEL.operation_model(operation).input_shape)
    assert list(members_of(REQUESTS[operation]).items()) == list(theirs.items())


@pytest.mark.parametrize("name", sorted(STRUCTURES))
def test_structures_are_those_of_the_service(name: str) -> None:
    assert list(members_of(STRUCTURES[name]).items()) == list(lines(MODEL.shape_for(name)).items())


def test_every_operation_of_the_client_has_a_request(client: Client) -> None:
    offered = {MODEL.operation_model(name).name for name in client.meta.service_model.operation_names}
    assert offered == set(MODEL.operation_names)
    assert {xform_name(api): api for api in offered} == client.meta.method_to_api_mapping
    for operation in offered - set(REQUESTS):  # refused whatever they are asked
        method = {api: ours for ours, api in client.meta.method_to_api_mapping.items()}[operation]
        with pytest.raises(client.exceptions.ValidationException, match=operation):
            getattr(client, method)()


ODD: list[Any] = [
    None, 0, -1, 1, True, 1.5, "", "x", "x" * 36, "2024-01-02", "yesterday?", b"x", [], ["x"], [None], [""], {}, (),
    {"x": 1}, {"Key": ""}, object, 2**70, float("nan"), "7",
]  # fmt: skip


def made(shape: Any, rand: random.Random, depth: int = 0) -> Any:
    """A value of a shape, most often right, sometimes with a fault or several."""
    if rand.random() < 0.08:
        return rand.choice(ODD)
    if shape.type_name == "structure":
        names = [n for n in shape.members if n in shape.required_members or rand.random() < 0.4 / (1 + depth)]
        if names and rand.random() < 0.1:
            names.remove(rand.choice(names))
        value = {name: made(shape.members[name], rand, depth + 1) for name in names}
        if rand.random() < 0.05:
            value["Surplus"] = 1
        return value
    if shape.type_name == "list":
        return [made(shape.member, rand, depth + 1) for _ in range(rand.choice((0, 1, 1, 2)))]
    if shape.type_name == "map":
        return {rand.choice(("", "a", "b")): made(shape.value, rand, depth + 1) for _ in range(2)}
    return {
        "string": rand.choice(("", "word", "x" * 36, "x" * 40)), "integer": rand.randint(-2, 5),
        "long": rand.randint(-2, 5), "boolean": True, "timestamp": rand.choice((1.5, "2024-05-06T07:08:09Z", 7)),
        "blob": b"bytes",
    }[shape.type_name]  # fmt: skip


@pytest.mark.parametrize("operation", sorted(REQUESTS))
def test_malformed_requests_are_refused_in_the_words_of_boto3(operation: str) -> None:
    shape = MODEL.operation_model(operation).input_shape
    refused = 0
    for seed in range(150):
        request = made(shape, random.Random(f"{operation} {seed}"))
        if not isinstance(request, dict):
            continue
        report = ParamValidator().validate(request, shape)
        try:
            check_request(operation, request)
            ours = ""
        except ParamValidationError as error:
            ours = error.kwargs["report"]
        assert ours == report.generate_report(), f"seed {seed}: {request!r}"
        refused += bool(ours)
    assert refused > 10


def test_the_error_is_botocores_and_ours_and_travels() -> None:
    with pytest.raises(botocore.exceptions.ParamValidationError) as caught:
        check_request("Query", {"QueryText": 3, "Sort": 1})
    assert str(caught.value) == (
        'Parameter validation failed:\nMissing required parameter in input: "IndexId"\n'
        'Unknown parameter in input: "Sort", must be one of: '
        + ", ".join(members_of(REQUESTS["Query"]))
        + "\nInvalid type for parameter QueryText, value: 3, type: <class 'int'>, valid types: <class 'str'>"
    )
    assert isinstance(caught.value, InvalidRequest)
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value)
    assert isinstance(again, ParamValidationError)


def test_half_a_surrogate_pair_is_no_text(client: Client, ferries: Index) -> None:
    absent = "\ud800" * 36
    for members, path in (
        ({"IndexId": absent}, "IndexId"),
        ({"IndexId": ferries.uid, "UserContext": {"Groups": ["a", "\udc00"]}}, "UserContext.Groups[1]"),
    ):
        with pytest.raises(client.exceptions.ValidationException) as caught:
            client.query(**members, QueryText="ferry")
        assert f"got half a surrogate pair - at `{path}`" in str(caught.value)
    with pytest.raises(ParamValidationError):
        client.query(IndexId=absent, QueryText=3)


def test_a_filter_that_is_nested_too_deep_is_refused(client: Client) -> None:
    nested: dict[str, Any] = {}
    for _ in range(50_000):
        nested = {"NotFilter": nested}
    with pytest.raises(InvalidRequest, match="nested too deep"):
        check_request("Query", {"IndexId": "x" * 36, "AttributeFilter": nested})
    with pytest.raises(client.exceptions.ValidationException, match="nested too deep"):
        client.query(IndexId="x" * 36, AttributeFilter=nested)
