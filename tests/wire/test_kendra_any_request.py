"""Any request to any operation: carried out in the service's shapes, or refused with an error of the operation."""

from __future__ import annotations

import random
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from ragvec.kendra import Client
from ragvec.kendra.model.check import ParamValidationError
from ragvec.kendra.operations.data_sources import REFUSED
from ragvec.store import Store

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "kendra"))
from kendra_corpus import FERRIES, TYPES, BagOfStems, fill

MODEL: Any = botocore.session.get_session().get_service_model("kendra")
MINIMUM = "valid min length: 1"
"""Titles and addresses that are not known are sent as "", as the service sends them, whatever its model says."""

WORDS = (
    "ferry",
    "bicycle crew",
    "x",
    "_category",
    "department",
    "priority",
    "tags",
    "reviewed",
    "_created_at",
    "\ud800",
    "a\0b",
)
NAMES = ("one", "two", "three", "department", "tags")
LIKELY = {"NextToken": 0.05, "QueryText": 0.9, "DocumentAttributeKey": 2.0, "Token": 0.05, "ClickFeedbackItems": 0.8}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("any")
    (folder / "own").mkdir()
    (folder / "own" / "file").write_text("ferry, boat\n", encoding="utf-8")
    with Store(folder / "store") as store:
        client = Client(store, embedder=BagOfStems(), folders={"own": folder / "own"})
        yield client


def made(shape: Any, rand: random.Random, known: dict[str, list[str]], name: str = "", depth: int = 0) -> Any:
    """A value that boto3 would send: most often one that makes sense."""
    least = shape.metadata.get("min", 0)
    if shape.type_name == "structure":
        names = [
            each
            for each in shape.members
            if each in shape.required_members or rand.random() < LIKELY.get(each, 0.4) / (1 + depth)
        ]
        if shape.name == "DocumentAttributeValue":
            names = [rand.choice(list(shape.members))]
        return {each: made(shape.members[each], rand, known, each, depth + 1) for each in names}
    if shape.type_name == "list":
        count = max(least, rand.choice((0, 1, 1, 2)) if depth < 6 else 0)
        return [made(shape.member, rand, known, name, depth + 1) for _ in range(count)]
    if shape.type_name == "map":
        return {rand.choice(WORDS): made(shape.value, rand, known, "", depth + 1)}
    if shape.type_name == "string":
        if shape.enum and rand.random() < 0.9:
            return rand.choice(shape.enum)
        if name == "Bucket" and rand.random() < 0.9:
            return "own"
        if name == "Key" and rand.random() < 0.5:
            return "file"
        if name == "Name":
            return rand.choice(NAMES)
        if name in known and rand.random() < 0.9:
            return rand.choice(known[name])
        return rand.choice(WORDS).ljust(least, "a")
    if shape.type_name in ("integer", "long"):
        return rand.choice((max(least, 1), 2, 5, 10)) if rand.random() < 0.9 else rand.choice((-(2**40), 2**40, 2**70))
    plain = {"boolean": rand.random() < 0.5, "timestamp": rand.choice((0, 1.7e9)), "blob": b"the ferry", "float": 0.5}
    return plain[shape.type_name]


def outcome(client: Client, operation: str, members: dict[str, Any]) -> tuple[dict[str, Any] | None, str]:
    """The response and no code, or no response and the code of the error."""
    method = {api: ours for ours, api in client.meta.method_to_api_mapping.items()}[operation]
    try:
        return getattr(client, method)(**members), ""
    except ParamValidationError:
        return None, "ParamValidationError"
    except client.exceptions.ClientError as error:
        return None, error.response["Error"]["Code"]


def check(client: Client, operation: str, members: dict[str, Any]) -> dict[str, Any] | None:
    """The response, None when the request was refused as it may be."""
    model = MODEL.operation_model(operation)
    response, code = outcome(client, operation, members)
    if response is None:
        codes = {shape.name for shape in model.error_shapes} - {"InternalServerException"}
        if ParamValidator().validate(members, model.input_shape).has_errors():
            codes = {"ParamValidationError"}
        # What is not offered is refused before it is looked at.
        assert code in codes or (operation in REFUSED.values() and code == "ValidationException"), (operation, members)
        return None
    content = {name: value for name, value in response.items() if name != "ResponseMetadata"}
    if model.output_shape is None:
        assert content == {}
    else:
        report = ParamValidator().validate(content, model.output_shape).generate_report()
        assert [line for line in report.splitlines() if MINIMUM not in line] == [], (operation, members)
    return response


OPERATIONS = [name for name in MODEL.operation_names if name not in ("CreateIndex", "DeleteIndex")]


@pytest.mark.parametrize("seed", range(4))
def test_any_request_is_answered_or_refused_in_the_shapes_of_the_service(client: Client, seed: int) -> None:
    rand = random.Random(seed)
    uid = fill(client.store, FERRIES, types=TYPES, name=f"pages-{seed}").uid
    known: dict[str, list[str]] = {
        "IndexId": [uid],
        "ResourceARN": [f"arn:aws:kendra:local:000000000000:index/{uid}"],
        "QueryId": [client.query(IndexId=uid, QueryText="ferry")["QueryId"]],
    }
    carried_out = set()
    for _ in range(12):
        for operation in rand.sample(OPERATIONS, len(OPERATIONS)):
            shape = MODEL.operation_model(operation).input_shape
            kind = re.sub("^[A-Z][a-z]+", "", operation)
            ids = {**known, "Id": [uid] if kind == "Index" else known.get(kind, [])[-2:] or [uid]}
            response = check(client, operation, made(shape, rand, ids))
            if response is None:
                continue
            carried_out.add(operation)
            if operation.startswith("Create") and "Id" in response:
                known.setdefault(kind, []).append(response["Id"])
            if "FeaturedResultsSet" in response:
                name = "FeaturedResultsSetId"
                known.setdefault(name, []).append(response["FeaturedResultsSet"][name])
            if operation == "Query":
                known["QueryId"] = [response["QueryId"]]
                known["ResultId"] = [item["Id"] for item in response["ResultItems"]] or ["x"]
    assert len(carried_out) > 30
