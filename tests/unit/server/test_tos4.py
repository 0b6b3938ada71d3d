"""TOS's signatures against the SDK's own signer."""

from __future__ import annotations

import calendar
import datetime
import hashlib
import hmac
import re

import msgspec
import pytest
import requests

from ragvec.server.messages import HttpRequest
from ragvec.server.refusals import MalformedSignature, PayloadMismatch, RequestExpired, SignatureMismatch
from ragvec.server.signing.scheme import CLOCK_TOLERANCE
from ragvec.server.signing.tos4 import Tos4
from ragvec.server.users import User
from tests.unit.server.altered import with_header, with_signature

pytest.importorskip("tos", reason="tos is not installed")

from tos.auth import Auth
from tos.http import Request
from tos.models2 import GenericInput

ACCESS, SECRET = "AKIDEXAMPLE0000000", "secret/of+the owner"
USER = User(access_key=ACCESS, secret_key=SECRET, account="2100000000", name="owner", owner=True)
SCHEME = Tos4()
HOST = "docs-2100000000.tosvectors-cn-beijing.volces.com:9000"
BODY = b'{"vectorBucketName":"docs"}'
DATE = datetime.datetime(2026, 11, 20, 20, 0, 0)
NOW = calendar.timegm(DATE.timetuple())

pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")


def signed(
    *,
    path: str = "/GetVectorBucket",
    headers: dict[str, str] | None = None,
    parameters: dict[str, str] | None = None,
    secret: str = SECRET,
    token: str | None = None,
    presigned: int | None = None,
) -> HttpRequest:
    """A request as the SDK signs it and as it arrives."""
    request = Request(
        "POST",
        f"http://{HOST}{path}",
        path,
        HOST,
        data=BODY,
        params=dict(parameters or {}),
        headers={"x-tos-content-sha256": "UNSIGNED-PAYLOAD"} if headers is None else dict(headers),
        generic_input=GenericInput(request_date=DATE),
    )
    auth = Auth(ACCESS, secret, "cn-beijing", token, service="tosvectors")
    url = request.url
    if presigned is None:
        auth.sign_request(request)
    else:
        url = auth.sign_url(request, presigned)
    prepared = requests.Request(
        "POST", url, params=request.params if presigned is None else None, headers=request.headers, data=BODY
    ).prepare()
    assert prepared.path_url is not None
    target, _, query = prepared.path_url.partition("?")
    return HttpRequest(
        method="POST",
        raw_path=target,
        raw_query=query,
        headers=tuple((name.lower(), str(value)) for name, value in prepared.headers.items()),
        body=BODY,
    )


def check(request: HttpRequest, *, now: float = NOW) -> None:
    claim = SCHEME.claim(request)
    assert claim is not None
    assert claim.access_key == ACCESS
    SCHEME.check(request, claim, USER, now=now)


def as_go_does(payload: bytes) -> HttpRequest:
    """As the Go SDK's client for vectors signs: no marker, commas without blanks, and this for the body."""
    date, scope = DATE.strftime("%Y%m%dT%H%M%SZ"), "20261120/cn-beijing/tosvectors/request"
    canonical = (
        f"POST\n/QueryVectors\n\nhost:{HOST}\nx-tos-date:{date}\n\nhost;x-tos-date\n"
        + hashlib.sha256(payload).hexdigest()
    )
    key = SECRET.encode()
    for part in ("20261120", "cn-beijing", "tosvectors", "request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    signature = hmac.new(key, f"TOS4-HMAC-SHA256\n{date}\n{scope}\n{digest}".encode(), hashlib.sha256).hexdigest()
    header = f"TOS4-HMAC-SHA256 Credential={ACCESS}/{scope},SignedHeaders=host;x-tos-date,Signature={signature}"
    headers = (("host", HOST), ("x-tos-date", date), ("authorization", header))
    return HttpRequest(method="POST", raw_path="/QueryVectors", headers=headers, body=BODY)


@pytest.mark.parametrize(
    "request_",
    [
        signed(),
        signed(headers={"x-tos-content-sha256": hashlib.sha256(BODY).hexdigest()}),
        signed(headers={"x-tos-content-sha256": "UNSIGNED-PAYLOAD", "content-type": "application/json"}),
        signed(parameters={"prefix": "a b/ü~*", "Marker": "x"}),
        signed(path="/a b/ü~"),
        signed(token="token/with+signs=="),
        as_go_does(b""),
        as_go_does(BODY),
        signed(presigned=60, headers={}),
        signed(presigned=60, headers={}, token="token/with+signs==", parameters={"x": "a b"}),
        signed(presigned=60, headers={"x-tos-content-sha256": hashlib.sha256(BODY).hexdigest()}),
    ],
    ids=[
        "plain",
        "digest",
        "content-type",
        "params",
        "path",
        "token",
        "go",
        "body",
        "presigned",
        "presigned-token",
        "presigned-digest",
    ],
)
def test_what_the_sdks_sign_is_accepted(request_: HttpRequest) -> None:
    # The SDK takes the time of a presigned URL from the clock.
    date = request_.parameter("X-Tos-Date")
    now = NOW if date is None else calendar.timegm(datetime.datetime.strptime(date, "%Y%m%dT%H%M%SZ").timetuple())
    check(request_, now=now)


@pytest.mark.parametrize("presigned", [None, 60], ids=["header", "presigned"])
def test_the_claim_carries_the_session_token(presigned: int | None) -> None:
    claim = SCHEME.claim(signed(token="t0ken", presigned=presigned))
    assert claim is not None
    assert claim.session_token == "t0ken"


@pytest.mark.parametrize("header", [None, "AWS4-HMAC-SHA256 Credential=x"], ids=["none", "another"])
def test_what_is_not_signed_so_is_not_claimed(header: str | None) -> None:
    headers = () if header is None else (("authorization", header),)
    assert SCHEME.claim(HttpRequest(method="POST", raw_path="/GetVectorBucket", headers=headers)) is None


def changed() -> dict[str, HttpRequest]:
    request = signed(parameters={"prefix": "a"}, token="token")
    replace = msgspec.structs.replace
    return {
        "method": replace(request, method="PUT"),
        "path": replace(request, raw_path="/DeleteVectorBucket"),
        "parameter": replace(request, raw_query="prefix=b"),
        "parameter left out": replace(request, raw_query=""),
        "parameter added": replace(request, raw_query="prefix=a&x=1"),
        "host": with_header(request, "host", HOST.replace("docs", "dogs")),
        "token": with_header(request, "x-tos-security-token", "other"),
        "marker": with_header(request, "x-tos-content-sha256", hashlib.sha256(BODY).hexdigest()),
        "time": with_header(request, "x-tos-date", "20261120T200001Z"),
        "header left out": replace(
            request, headers=tuple(pair for pair in request.headers if pair[0] != "x-tos-content-sha256")
        ),
        "region": with_signature(request, "cn-beijing", "cn-shanghai"),
        "list of headers": with_signature(request, "SignedHeaders=", "SignedHeaders=content-length;"),
        "signature": with_signature(
            request, r"Signature=(.)", lambda match: "Signature=" + ("1" if match[1] == "0" else "0")
        ),
        "body, where it counts": replace(as_go_does(BODY), body=b"{}"),
        "another secret": signed(secret="another"),
    }


@pytest.mark.parametrize(("what", "request_"), changed().items(), ids=list(changed()))
def test_what_was_changed_is_refused(what: str, request_: HttpRequest) -> None:
    with pytest.raises(SignatureMismatch):
        check(request_)


@pytest.mark.parametrize(
    ("name", "value"),
    [("X-Tos-Expires", "61"), ("X-Tos-Date", "20261120T200001Z"), ("x", "2"), ("X-Tos-Security-Token", "other")],
    ids=["expires", "date", "parameter", "token"],
)
def test_a_presigned_url_that_was_changed_is_refused(name: str, value: str) -> None:
    request = signed(presigned=60, headers={}, token="token", parameters={"x": "1"})
    date = request.parameter("X-Tos-Date")
    assert date is not None
    query = re.sub(rf"(^|&){name}=[^&]*", rf"\g<1>{name}={value}", request.raw_query)
    query = query.replace(f"%2F{date[:8]}%2F", "%2F20261120%2F") if name == "X-Tos-Date" else query
    assert query != request.raw_query
    at = value if name == "X-Tos-Date" else date
    now = calendar.timegm(datetime.datetime.strptime(at, "%Y%m%dT%H%M%SZ").timetuple())
    with pytest.raises(SignatureMismatch):
        check(msgspec.structs.replace(request, raw_query=query), now=now)


def test_the_clocks_may_differ_by_a_quarter_of_an_hour() -> None:
    request = signed()
    for now in (NOW - CLOCK_TOLERANCE, NOW + CLOCK_TOLERANCE):
        check(request, now=now)
    for now in (NOW - CLOCK_TOLERANCE - 1, NOW + CLOCK_TOLERANCE + 1):
        with pytest.raises(RequestExpired, match="20261120T200000Z"):
            check(request, now=now)


def test_a_presigned_url_is_valid_for_as_long_as_it_says() -> None:
    request = signed(presigned=60, headers={})
    date = request.parameter("X-Tos-Date")
    assert date is not None
    begins = calendar.timegm(datetime.datetime.strptime(date, "%Y%m%dT%H%M%SZ").timetuple())
    check(request, now=begins + 60)
    with pytest.raises(RequestExpired):
        check(request, now=begins + 61)


def test_a_body_must_have_the_digest_that_was_signed() -> None:
    request = signed(headers={"x-tos-content-sha256": hashlib.sha256(BODY).hexdigest()})
    with pytest.raises(PayloadMismatch, match="x-tos-content-sha256"):
        check(msgspec.structs.replace(request, body=b"{}"))
    # What the Python SDK signs says nothing of the body.
    check(msgspec.structs.replace(signed(), body=b"{}"))


@pytest.mark.parametrize(
    ("pattern", "text", "told"),
    [
        (", SignedHeaders=[^,]*", "", "Credential, SignedHeaders and Signature once each"),
        ("Signature=", "Signature=0, Signature=", "Credential, SignedHeaders and Signature once each"),
        ("/tosvectors/", "/tos/", "yyyymmdd/region/tosvectors/request"),
        ("/request", "/aws4_request", "yyyymmdd/region/tosvectors/request"),
        (f"{ACCESS}/", "/", "an access key and"),
        ("20261120/", "20261119/", "'20261119', is not that of x-tos-date"),
        ("host;", "", "host must be among the signed headers"),
        (";x-tos-date", "", "x-tos-date must be among the signed headers"),
        (";x-tos-security-token", "", "x-tos-security-token must be among the signed headers"),
        ("Signature=.", "Signature=", "64 hexadecimal digits"),
        ("Signature=.", "Signature=é", "64 hexadecimal digits"),
    ],
    ids=["absent", "twice", "service", "end", "key", "day", "host", "date", "token", "short", "letters"],
)
def test_a_malformed_signature_says_what_is_wrong(pattern: str, text: str, told: str) -> None:
    with pytest.raises(MalformedSignature, match=told):
        SCHEME.claim(with_signature(signed(token="token"), pattern, text))


@pytest.mark.parametrize("date", ["", "Fri, 20 Nov 2026 20:00:00 GMT", "20261340T200000Z", "20261120T2000٠٠Z"])
def test_a_time_in_another_form_is_refused(date: str) -> None:
    with pytest.raises(MalformedSignature, match="x-tos-date"):
        SCHEME.claim(with_header(with_header(signed(), "x-tos-date", date), "date", date))


@pytest.mark.parametrize(
    ("pattern", "text", "told"),
    [
        ("TOS4-HMAC-SHA256", "TOS3", "X-Tos-Algorithm must be"),
        ("X-Tos-Expires=60", "X-Tos-Expires=0", "1 to 604800 seconds; got '0'"),
        ("X-Tos-Expires=60", "X-Tos-Expires=604801", "1 to 604800 seconds"),
        ("X-Tos-Expires=60", "X-Tos-Expires=-1", "1 to 604800 seconds"),
        ("&X-Tos-Expires=60", "", "1 to 604800 seconds; got ''"),
        ("&X-Tos-Credential=[^&]*", "", "Credential must be"),
        ("&X-Tos-Signature=[^&]*", "", "64 hexadecimal digits"),
        ("X-Tos-Signature=", "X-Tos-Signature=0&X-Tos-Signature=", "'x-tos-signature' is there twice"),
    ],
    ids=["algorithm", "zero", "long", "negative", "no-expires", "no-credential", "no-signature", "twice"],
)
def test_a_malformed_presigned_url_says_what_is_wrong(pattern: str, text: str, told: str) -> None:
    request = signed(presigned=60, headers={})
    query = re.sub(pattern, text, request.raw_query)
    assert query != request.raw_query
    with pytest.raises(MalformedSignature, match=told):
        SCHEME.claim(msgspec.structs.replace(request, raw_query=query))
