"""From a request to its reply without a socket: who may not get any further, and what a fault of ours looks like."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

import ragvec
from ragvec.server.dialects.face import Service
from ragvec.server.dialects.s3vectors import S3VectorsFace
from ragvec.server.faces import FACES, faces
from ragvec.server.handle import Begun, Handled, Handler
from ragvec.server.messages import HttpRequest
from ragvec.server.policy.authorizer import PolicyAuthorizer
from ragvec.server.refusals import TooManyRequests
from ragvec.server.users import User, Users

OWNER = User(access_key="AKID", secret_key="secret", account="123456789012", name="owner", owner=True)
GUEST = User(access_key="AKID2", secret_key="secret2", account="123456789012", name="guest")
BRIEF = User(
    access_key="ASIA", secret_key="s3", account="123456789012", name="brief", owner=True, session_token="t", expires=2e9
)
Make = Callable[..., Handler]


@pytest.fixture
def handler(tmp_path: Path) -> Iterator[Make]:
    with ragvec.Store(tmp_path / "store") as store:
        store.create_bucket("bucket")
        clock = [1.9e9]

        def make(*, anonymous: User | None = None, now: float = 1.9e9) -> Handler:
            clock[0] = now
            service = Service(store.engine, "123456789012", "us-east-1", lambda: clock[0])
            return Handler(
                service,
                faces=(S3VectorsFace(service),),
                users=Users([OWNER, GUEST, BRIEF]),
                authorizer=PolicyAuthorizer(service),
                anonymous=anonymous,
            )

        yield make


def request(user: User | None = OWNER, *, path: str = "/ListVectorBuckets", token: str | None = None) -> HttpRequest:
    """A request, signed by the user as botocore does, at 2030-03-17T17:46:40Z, which is 1.9e9."""
    made = AWSRequest("POST", f"http://127.0.0.1:9000{path}", data=b"{}", headers={"Host": "127.0.0.1:9000"})
    if user is not None:
        auth = SigV4Auth(Credentials(user.access_key, user.secret_key, token), "s3vectors", "us-east-1")
        made.context["timestamp"] = "20300317T174640Z"
        made.headers["X-Amz-Date"] = "20300317T174640Z"
        if token:
            made.headers["X-Amz-Security-Token"] = token
        text = auth.string_to_sign(made, auth.canonical_request(made))
        auth._inject_signature_to_request(made, auth.signature(text, made))
    headers = tuple((name.lower(), value) for name, value in made.headers.items())
    return HttpRequest(method="POST", raw_path=path, headers=headers, body=b"{}", client="127.0.0.1")


def document(handled: Handled) -> Any:
    return msgspec.json.decode(handled.reply.body)


def test_who_signs_rightly_is_answered(handler: Make) -> None:
    handled = handler().handle(request(), request_id="R")
    assert handled.reply.status == 200
    assert [bucket["vectorBucketName"] for bucket in document(handled)["vectorBuckets"]] == ["bucket"]
    assert (handled.dialect, handled.operation, handled.user, handled.error) == (
        "s3vectors",
        "ListVectorBuckets",
        "owner",
        "",
    )


@pytest.mark.parametrize(
    ("made", "error"),
    [
        (lambda: request(None), "NotSigned"),
        (lambda: request(msgspec.structs.replace(OWNER, secret_key="other")), "SignatureMismatch"),
        (lambda: request(msgspec.structs.replace(OWNER, access_key="NOBODY")), "UnknownAccessKey"),
        (lambda: request(OWNER, token="t"), "InvalidSessionToken"),
        (lambda: request(BRIEF), "InvalidSessionToken"),
        (lambda: request(BRIEF, token="u"), "InvalidSessionToken"),
        (lambda: request(GUEST), "AccessDenied"),
        (lambda: request(path="/NoSuchThing"), "UnknownOperation"),
    ],
    ids=["unsigned", "secret", "key", "token", "no-token", "other-token", "guest", "operation"],
)
def test_who_may_not_is_told_and_nothing_begins(handler: Make, made: Callable[[], HttpRequest], error: str) -> None:
    begun = handler().begin(made(), request_id="R")
    assert isinstance(begun, Handled)
    assert 400 <= begun.reply.status < 500
    assert begun.error == error


def test_a_token_is_good_until_it_expires(handler: Make) -> None:
    assert isinstance(handler().begin(request(BRIEF, token="t"), request_id="R"), Begun)
    late = handler(now=2e9).begin(request(BRIEF, token="t"), request_id="R")
    assert isinstance(late, Handled)
    assert late.error == "ExpiredSessionToken"


def test_everybody_is_the_anonymous_user_where_there_is_one(handler: Make) -> None:
    for made in (request(None), request(msgspec.structs.replace(OWNER, secret_key="other"))):
        assert handler(anonymous=OWNER).handle(made, request_id="R").reply.status == 200


def test_users_are_replaced_between_two_requests(handler: Make) -> None:
    here = handler()
    here.users = Users([GUEST])
    assert here.handle(request(), request_id="R").error == "UnknownAccessKey"


def test_too_much_is_refused_in_the_form_of_the_service(handler: Make) -> None:
    handled = handler().refuse(request(), TooManyRequests("wait"), request_id="R")
    assert handled.error == "TooManyRequests"
    assert handled.reply.status in (400, 429, 503)


def test_a_fault_of_ours_is_logged_and_not_told(handler: Make, caplog: pytest.LogCaptureFixture) -> None:
    here = handler()
    begun = here.begin(request(), request_id="R")
    assert isinstance(begun, Begun)
    broken = Begun(begun.face, begun.request, msgspec.structs.replace(begun.call, own=object()), begun.user, "REQ7")
    with caplog.at_level(logging.ERROR):
        handled = here.finish(broken)
        again = here.finish(broken)
    assert (handled.reply.status, again.reply.status) == (500, 500)
    assert b"object" not in handled.reply.body
    assert "REQ7" in caplog.text
    assert caplog.text.count("Traceback") <= 1


def test_every_service_can_be_made(tmp_path: Path) -> None:
    with ragvec.Store(tmp_path / "store") as store:
        service = Service(store.engine, "123456789012", "us-east-1")
        made = faces(FACES, service, store=store, folders={})
        assert [face.name for face in made] == list(FACES)
        with pytest.raises(ragvec.errors.InvalidRequest, match="got 's4'"):
            faces(["s4"], service, store=store, folders={})
