"""Any request to Kendra's face is answered, and nothing it may be given is a fault of the server."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ragvec.errors import Corrupted, StoreFull
from ragvec.kendra import Client
from ragvec.kendra.model.check import members_of
from ragvec.kendra.model.operations import REQUESTS, STRUCTURES
from ragvec.kendra.operations.data_sources import REFUSED
from ragvec.server import refusals
from ragvec.server.dialects.face import Service
from ragvec.server.dialects.kendra import KendraFace
from ragvec.server.handle import Handler
from ragvec.server.messages import HttpRequest
from ragvec.server.policy.authorizer import PolicyAuthorizer
from ragvec.server.users import User, Users
from ragvec.store import Store

OWNER = User(access_key="a", secret_key="s", account="123456789012", name="owner", owner=True)
ODD: tuple[Any, ...] = (
    None,
    0,
    -1,
    10**19,
    1.5,
    True,
    "",
    "x",
    "ü" * 40,
    "a\0b",
    [],
    [None],
    {},
    {"self": 1},
    "*" * 36,
)


class Desk:
    def __init__(self, folder: Path) -> None:
        self.store = Store(folder / "store")
        (folder / "own").mkdir()
        (folder / "own" / "file").write_text("ferry, boat\n", encoding="utf-8")
        options = {"embedder": "hashing:16", "folders": {"own": folder / "own"}}
        client = Client(self.store, **options)
        self.uid: str = client.create_index(Name="ferries", RoleArn="r")["Id"]
        service = Service(self.store.engine, OWNER.account, "us-east-1")
        self.face = KendraFace(service, self.store, **options)
        authorizer = PolicyAuthorizer(service)
        self.handler = Handler(
            service, faces=(self.face,), users=Users([OWNER]), authorizer=authorizer, anonymous=OWNER
        )

    def ask(self, operation: str, body: bytes) -> tuple[int, dict[str, Any]]:
        headers = (("x-amz-target", f"AWSKendraFrontendService.{operation}"),)
        request = HttpRequest(method="POST", raw_path="/", headers=headers, body=body)
        reply = self.handler.handle(request, request_id="id").reply
        return reply.status, json.loads(reply.body)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    desk = Desk(tmp_path_factory.mktemp("face"))
    with desk.store:
        yield desk


def made(kind: str, rand: random.Random, desk: Desk, name: str = "", depth: int = 0) -> Any:
    """A value of this kind of the request model, or now and then one that is not."""
    if rand.random() < 0.06:
        return rand.choice(ODD)
    bare = kind.rstrip("0123456789")
    if bare in STRUCTURES or bare in REQUESTS:
        line = STRUCTURES.get(bare) or REQUESTS[bare]
        wanted = {
            each: of
            for each, (of, required) in members_of(line).items()
            if required or rand.random() < 0.5 / (1 + depth)
        }
        return {each: made(of, rand, desk, each, depth + 1) for each, of in wanted.items()}
    if bare.startswith("["):
        return [made(bare[1:-1], rand, desk, name, depth + 1) for _ in range(rand.choice((1, 1, 2)))]
    if bare.startswith("{"):
        return {"x": made(bare[1:-1].partition("=")[2], rand, desk, "", depth + 1)}
    if name == "IndexId" or (name == "Id" and depth == 1):
        return rand.choice((desk.uid, desk.uid, "0" * 36))
    if name == "ResourceARN":
        return f"arn:aws:kendra:us-east-1:123456789012:index/{desk.uid}"
    words = ("x", "own", "file", "ferry", "ACTIVE", "_category", "eA==", "STRING_VALUE", "USER", "ALLOW", "0" * 36)
    return {
        "text": rand.choice(words),
        "blob": rand.choice(("eA==", "x", "")),
        "int": rand.randint(-1, 12),
        "flag": rand.random() < 0.5,
        "time": rand.choice((0, 1.7e9, "2024-01-01T00:00:00Z", 1e300)),
    }[bare]


@pytest.mark.parametrize("operation", sorted({*REQUESTS, *REFUSED.values()} - {"DeleteIndex"}))
def test_any_request_is_answered(desk: Desk, operation: str) -> None:
    rand = random.Random(operation)
    for number in range(40):
        members = made(operation, rand, desk) if operation in REQUESTS else {"x": 1}
        status, document = desk.ask(operation, json.dumps(members).encode())
        assert status in (200, 400), (number, members, document)
        assert isinstance(document, dict)
        if status == 400:
            assert document["__type"], (number, members)
            assert document["message"], (number, members)


@pytest.mark.parametrize("name", refusals.__all__)
def test_every_refusal_of_the_server_has_a_code_of_its_own(desk: Desk, name: str) -> None:
    error = getattr(refusals, name)("why")
    reply = desk.face.refusal(error, HttpRequest(method="POST", raw_path="/"), operation="", request_id="id")
    document = json.loads(reply.body)
    assert document["message"] == "why"
    assert document["__type"] not in ("AccessDeniedException", "ValidationException", "InternalServerException")
    assert ("x-amzn-errortype", document["__type"]) in reply.headers
    assert 400 <= reply.status < 500


def test_faults_of_the_store_are_not_told(desk: Desk) -> None:
    for error in (Corrupted("/secret/place is damaged"), StoreFull("/secret/place is full")):
        reply = desk.face.refusal(error, HttpRequest(method="POST", raw_path="/"), operation="Query", request_id="id")
        assert reply.status == 500
        assert json.loads(reply.body) == {
            "__type": "InternalServerException",
            "message": "An internal error occurred",
        }


def test_every_operation_of_the_client_is_one_of_the_face(desk: Desk) -> None:
    for operation in Client(desk.store).meta.service_model.operation_names:
        _, document = desk.ask(operation, b"{}")
        assert document.get("__type") != "UnknownOperationException"


@pytest.mark.parametrize(
    ("operation", "members", "expected"),
    [
        ("Query", {"IndexId": "I"}, ["index/I"]),
        ("DescribeIndex", {"Id": "I"}, ["index/I"]),
        ("DeleteFaq", {"IndexId": "I", "Id": "F"}, ["index/I", "index/I/faq/F"]),
        ("ListFaqs", {"IndexId": "I"}, ["index/I"]),
        ("UpdateThesaurus", {"IndexId": "I", "Id": "T"}, ["index/I", "index/I/thesaurus/T"]),
        ("ListThesauri", {"IndexId": "I"}, ["index/I"]),
        (
            "BatchDeleteFeaturedResultsSet",
            {"IndexId": "I", "FeaturedResultsSetIds": ["A", "B"]},
            ["index/I", "index/I/featured-results-set/A", "index/I/featured-results-set/B"],
        ),
        (
            "DescribeQuerySuggestionsBlockList",
            {"IndexId": "I", "Id": "B"},
            ["index/I", "index/I/query-suggestions-block-list/B"],
        ),
        (
            "DeleteAccessControlConfiguration",
            {"IndexId": "I", "Id": "C"},
            ["index/I", "index/I/access-control-configuration/C"],
        ),
        ("DescribePrincipalMapping", {"IndexId": "I", "GroupId": "G"}, ["index/I"]),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_an_operation_is_about(desk: Desk, operation: str, members: dict[str, Any], expected: list[str]) -> None:
    from ragvec.server.dialects.face import Call

    wanted = desk.face.permissions(Call(operation=operation, arguments=members), OWNER)
    names = [each.resource.removeprefix("arn:aws:kendra:us-east-1:123456789012:") for each in wanted]
    assert names == expected
    assert {each.action for each in wanted} == {f"kendra:{operation}"}


def test_tags_given_at_the_start_need_their_own_right(desk: Desk) -> None:
    from ragvec.server.dialects.face import Call

    members = {"Name": "a", "RoleArn": "r", "Tags": [{"Key": "team", "Value": "deck"}]}
    wanted = desk.face.permissions(Call(operation="CreateIndex", arguments=members), OWNER)
    assert [(each.action, each.resource) for each in wanted] == [
        ("kendra:CreateIndex", "*"),
        ("kendra:TagResource", "*"),
    ]
    assert wanted[0].conditions == {"aws:RequestTag/team": ("deck",), "aws:TagKeys": ("team",)}
