"""COS's signatures against the SDK's own signer."""

from __future__ import annotations

import base64
import hashlib
import re
import time
from typing import Any

import msgspec
import pytest
import requests

from ragvec.server.messages import HttpRequest
from ragvec.server.refusals import MalformedSignature, PayloadMismatch, RequestExpired, SignatureMismatch
from ragvec.server.signing.cos import CosSha1
from ragvec.server.users import User
from tests.unit.server.altered import with_header, with_signature

pytest.importorskip("qcloud_cos", reason="cos-python-sdk-v5 is not installed")

from qcloud_cos import CosConfig
from qcloud_cos.cos_auth import CosS3Auth

ACCESS, SECRET = "AKIDEXAMPLE0000000", "secret/of+the owner"
USER = User(access_key=ACCESS, secret_key=SECRET, account="1250000000", name="owner", owner=True)
SCHEME = CosSha1()
BODY = b'{"vectorBucketName":"docs-1250000000"}'


def signed(
    *,
    path: str = "/GetVectorBucket",
    headers: dict[str, str] | None = None,
    parameters: dict[str, str] | None = None,
    secret: str = SECRET,
    domain: str = "127.0.0.1:9000",
    **settings: Any,
) -> HttpRequest:
    """A request as the SDK signs it and as it arrives."""
    config = CosConfig(
        Region="ap-guangzhou", SecretId=ACCESS, SecretKey=secret, Scheme="http", Domain=domain, **settings
    )
    request = requests.Request(
        "POST",
        config.cos_vectors_uri(path=path),
        data=BODY,
        headers={"Content-Type": "application/json", **(headers or {})},
        params=parameters,
        auth=CosS3Auth(config, path, parameters or {}),
    ).prepare()
    sent = {name.lower(): value for name, value in request.headers.items()}
    sent.setdefault("host", domain)
    assert request.path_url is not None
    target, _, query = request.path_url.partition("?")
    return HttpRequest(method="POST", raw_path=target, raw_query=query, headers=tuple(sent.items()), body=BODY)


def check(request: HttpRequest, *, user: User = USER, now: float | None = None) -> None:
    claim = SCHEME.claim(request)
    assert claim is not None
    assert claim.access_key == ACCESS
    SCHEME.check(request, claim, user, now=time.time() if now is None else now)


@pytest.mark.parametrize(
    "request_",
    [
        signed(),
        signed(domain="vectors.ap-guangzhou.coslake.com"),
        signed(domain="[::1]:9000"),
        signed(domain="Vectors.Example:9000"),
        # As the Go SDK does it: the header, with the port.
        signed(headers={"Host": "127.0.0.1:9000"}),
        signed(SignHost=False),
        signed(parameters={"Prefix": "a b/ü", "marker": "~x*"}),
        signed(parameters={"prefix": "a"}, SignParams=False),
        signed(headers={"x-cos-security-token": "token/with+signs=="}),
        signed(path="/a b/ü"),
    ],
    ids=["plain", "no-port", "ipv6", "case", "host-with-port", "no-host", "params", "unsigned-params", "token", "path"],
)
def test_what_the_sdk_signs_is_accepted(request_: HttpRequest) -> None:
    check(request_)


def test_the_claim_carries_the_session_token() -> None:
    claim = SCHEME.claim(signed(headers={"x-cos-security-token": "t0ken"}))
    assert claim is not None
    assert claim.session_token == "t0ken"


@pytest.mark.parametrize(
    "header", [None, "", "AWS4-HMAC-SHA256 Credential=x"], ids=["none", "empty: the SDK's anonymous", "another"]
)
def test_what_is_not_signed_so_is_not_claimed(header: str | None) -> None:
    headers = () if header is None else (("authorization", header),)
    assert SCHEME.claim(HttpRequest(method="POST", raw_path="/GetVectorBucket", headers=headers)) is None


def changed() -> dict[str, HttpRequest]:
    request = signed(parameters={"prefix": "a"}, headers={"x-cos-security-token": "token"})
    replace = msgspec.structs.replace
    return {
        "method": replace(request, method="PUT"),
        "path": replace(request, raw_path="/DeleteVectorBucket"),
        "parameter": replace(request, raw_query="prefix=b"),
        "parameter left out": replace(request, raw_query=""),
        "host": with_header(request, "host", "localhost:9000"),
        "type of the body": with_header(request, "content-type", "text/plain"),
        "length of the body": with_header(request, "content-length", "39"),
        "token": with_header(request, "x-cos-security-token", "other"),
        "header left out": replace(
            request, headers=tuple(pair for pair in request.headers if pair[0] != "content-type")
        ),
        "list of headers": with_signature(request, "content-type;", ""),
        "list of parameters": with_signature(request, "q-url-param-list=prefix", "q-url-param-list="),
        "end of the window": with_signature(request, r"q-sign-time=(\d+);(\d+)", r"q-sign-time=\1;99999999999"),
        "window of the key": with_signature(request, r"q-key-time=(\d+);(\d+)", r"q-key-time=\1;99999999999"),
        "signature": with_signature(
            request, r"q-signature=(.)", lambda match: "q-signature=" + ("1" if match[1] == "0" else "0")
        ),
    }


@pytest.mark.parametrize(("what", "request_"), changed().items(), ids=list(changed()))
def test_what_was_changed_is_refused(what: str, request_: HttpRequest) -> None:
    with pytest.raises(SignatureMismatch):
        check(request_)


def test_another_secret_is_refused() -> None:
    with pytest.raises(SignatureMismatch, match="not the one that the secret key gives"):
        check(signed(secret="another"))


def test_the_signature_is_valid_in_its_own_window_only() -> None:
    request = signed()
    authorization = request.header("authorization")
    assert authorization is not None
    begins, ends = (int(text) for text in re.findall(r"q-sign-time=(\d+);(\d+)", authorization)[0])
    assert ends - begins == 10_060
    for now in (begins, ends):
        check(request, now=now)
    for now in (begins - 1, ends + 1):
        with pytest.raises(RequestExpired, match=f"valid from {begins} to {ends}"):
            check(request, now=now)


def test_the_body_is_covered_by_its_digest_alone() -> None:
    digest = base64.b64encode(hashlib.md5(BODY).digest()).decode()
    request = signed(headers={"Content-MD5": digest})
    check(request)
    other = msgspec.structs.replace(request, body=BODY.replace(b"docs", b"dogs"))
    with pytest.raises(PayloadMismatch, match="Content-MD5"):
        check(other)
    # Without it there is nothing to know it by: COS's signature leaves the body out.
    check(msgspec.structs.replace(signed(), body=other.body))


VALID = (
    "q-sign-algorithm=sha1&q-ak=a&q-sign-time=1;2&q-key-time=1;2&q-header-list=host&q-url-param-list=&"
    f"q-signature={'0' * 40}"
)


@pytest.mark.parametrize(
    ("pattern", "text", "told"),
    [
        ("sha1", "md5", "q-sign-algorithm must be sha1; got 'md5'"),
        ("&q-ak=a", "", "lacks q-ak"),
        ("q-ak=a", "q-ak=", "q-ak is empty"),
        ("q-ak=a", "q-ak=a&q-ak=b", "'q-ak' twice"),
        ("&q-sign-time=1;2", "", "lacks q-sign-time"),
        ("q-sign-time=1;2", "q-sign-time=1", "q-sign-time must be two times"),
        ("q-sign-time=1;2", "q-sign-time=-1;2", "q-sign-time must be two times"),
        ("q-key-time=1;2", "q-key-time=١;٢", "q-key-time must be two times"),
        ("0{40}", "0" * 39, "40 hexadecimal digits"),
        ("0{40}", "é" * 40, "40 hexadecimal digits"),
    ],
    ids=["algorithm", "no-ak", "empty-ak", "two-aks", "no-time", "one-time", "negative", "digits", "short", "letters"],
)
def test_a_malformed_signature_says_what_is_wrong(pattern: str, text: str, told: str) -> None:
    header = re.sub(pattern, text, VALID)
    with pytest.raises(MalformedSignature, match=told):
        SCHEME.claim(HttpRequest(method="POST", raw_path="/", headers=(("authorization", header),)))
