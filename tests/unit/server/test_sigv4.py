"""AWS Signature Version 4 against botocore's own signers."""

from __future__ import annotations

import calendar
import hashlib
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragvec.server.messages import HttpRequest
from ragvec.server.refusals import MalformedSignature, PayloadMismatch, RequestExpired, SignatureMismatch
from ragvec.server.signing.scheme import CLOCK_TOLERANCE, Claim
from ragvec.server.signing.sigv4 import MAX_EXPIRES, SigV4, scoped_service
from ragvec.server.users import User

pytest.importorskip("botocore", reason="botocore is not installed")

from botocore.auth import S3SigV4Auth, SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

ACCESS, SECRET = "AKIDEXAMPLE0000000", "secret/of+the owner"
USER = User(access_key=ACCESS, secret_key=SECRET, account="123456789012", name="owner", owner=True)
SCHEME = SigV4(services=("s3vectors",))
HOST = "127.0.0.1:9000"
REGION = "eu-north-1"


def signed(
    method: str = "POST",
    target: str = "/QueryVectors",
    *,
    body: bytes = b"{}",
    headers: dict[str, str] | None = None,
    token: str | None = None,
    service: str = "s3vectors",
    signer: type[Any] = SigV4Auth,
    secret: str = SECRET,
    secure: bool = False,
    **options: Any,
) -> HttpRequest:
    """A request as botocore signs it and as it arrives."""
    request = AWSRequest(
        method=method,
        url=f"{'https' if secure else 'http'}://{HOST}{target}",
        data=body,
        headers={"content-type": "application/json", **(headers or {})},
    )
    signer(Credentials(ACCESS, secret, token), service, REGION, **options).add_auth(request)
    return arrived(request, body=body, secure=secure)


def arrived(request: AWSRequest, *, body: bytes, secure: bool = False) -> HttpRequest:
    url = urlsplit(request.url)
    return HttpRequest(
        method=request.method,
        raw_path=url.path,
        raw_query=url.query,
        headers=(("host", url.netloc), *((name.lower(), value.strip()) for name, value in request.headers.items())),
        body=body,
        secure=secure,
    )


def presigned(**options: Any) -> HttpRequest:
    return signed("GET", "/tags/arn%3Aaws", body=b"", signer=SigV4QueryAuth, **options)


def verify(request: HttpRequest, *, scheme: SigV4 = SCHEME, user: User = USER, now: float | None = None) -> Claim:
    claim = scheme.claim(request)
    assert claim is not None
    scheme.check(request, claim, user, now=time.time() if now is None else now)
    return claim


def with_header(request: HttpRequest, name: str, change: Callable[[str], str]) -> HttpRequest:
    assert request.header(name) is not None
    return msgspec.structs.replace(
        request,
        headers=tuple((key, change(value) if key == name else value) for key, value in request.headers),
    )


def time_of_signing(request: HttpRequest) -> float:
    text = request.header("x-amz-date") or request.parameter("X-Amz-Date") or ""
    return float(calendar.timegm(time.strptime(text, "%Y%m%dT%H%M%SZ")))


# -- what botocore signs -----------------------------------------------------------------------------------------------

segments = st.one_of(
    st.text(max_size=8).map(lambda text: quote(text, safe="")),
    st.sampled_from([".", "..", "", "a:b", "~x", "%2F", "%3a", "tags", "+", "a b".replace(" ", "%20")]),
)
paths = st.lists(segments, max_size=5).map(lambda parts: "/" + "/".join(parts))
pairs = st.tuples(st.text(max_size=6), st.text(max_size=6)).map(lambda pair: "=".join(quote(x, safe="") for x in pair))
bare = st.sampled_from(["tagKeys", "policy", "x=", "a=b=c", "", "B", "a"])
queries = st.lists(st.one_of(pairs, bare), max_size=5).map("&".join)
values = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)
headers = st.dictionaries(st.sampled_from(["x-amz-meta-a", "x-amz-zone", "accept", "x-other"]), values, max_size=4)


@given(path=paths, query=queries, headers=headers, body=st.binary(max_size=64), method=st.sampled_from(["GET", "POST"]))
def test_what_botocore_signs_is_accepted(
    path: str, query: str, headers: dict[str, str], body: bytes, method: str
) -> None:
    claim = verify(signed(method, f"{path}?{query}" if query else path, body=body, headers=headers))

    assert (claim.access_key, claim.session_token) == (ACCESS, None)


@given(
    path=paths,
    query=st.dictionaries(st.text(min_size=1, max_size=5), st.text(max_size=5), max_size=3),
    expires=st.integers(1, MAX_EXPIRES),
    token=st.none() | st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40),
)
def test_what_botocore_presigns_is_accepted(path: str, query: dict[str, str], expires: int, token: str | None) -> None:
    listed = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in query.items())
    request = signed(
        "GET", f"{path}?{listed}" if listed else path, body=b"", token=token, signer=SigV4QueryAuth, expires=expires
    )

    assert verify(request, now=time_of_signing(request)).session_token == token


@pytest.mark.parametrize("keys", [["a", "b"], ["b", "a"], ["a", "a"], ["ä ö", "+", "a&b=c"]])
def test_repeated_parameters_in_any_order(keys: list[str]) -> None:
    query = "&".join(f"tagKeys={quote(key, safe='')}" for key in keys)

    verify(signed("DELETE", f"/tags/arn%3Aaws%3As3vectors?{query}", body=b""))


def test_a_session_token_in_its_header_is_part_of_the_claim() -> None:
    assert verify(signed(token="t0ken/+=")).session_token == "t0ken/+="


def test_a_date_header_stands_in_for_x_amz_date() -> None:
    request = signed(headers={"Date": "whatever"})

    assert request.header("x-amz-date") is None
    verify(request)


def test_a_digest_in_its_header_counts() -> None:
    assert verify(signed(signer=S3LikeAuth)).access_key == ACCESS


def test_several_services() -> None:
    both = SigV4(services=("s3vectors", "kendra"))

    for service in ("s3vectors", "kendra"):
        verify(signed(service=service), scheme=both)
    with pytest.raises(MalformedSignature, match="expected s3vectors or kendra, got 'sqs'"):
        both.claim(signed(service="sqs"))


def test_no_other_scheme_is_claimed() -> None:
    for value in ("", "OSS4-HMAC-SHA256 Credential=a", "q-sign-algorithm=sha1", "Basic AWS4-HMAC-SHA256"):
        assert SCHEME.claim(HttpRequest(method="POST", raw_path="/", headers=(("authorization", value),))) is None
    assert SCHEME.claim(HttpRequest(method="POST", raw_path="/", raw_query="a=b&YX-Amz-Algorithm=c")) is None
    assert SCHEME.claim(HttpRequest(method="POST", raw_path="/")) is None


class S3LikeAuth(S3SigV4Auth):
    """Sends x-amz-content-sha256, as SDKs of other languages do, and encodes the path twice."""

    def _normalize_url_path(self, path: str) -> str:
        return SigV4Auth._normalize_url_path(self, path)

    def _should_sha256_sign_payload(self, request: AWSRequest) -> bool:
        return not request.url.startswith("https")


# -- what somebody changed ---------------------------------------------------------------------------------------------


def changed_bytes(text: str) -> list[str]:
    """The text with each of its characters, in turn, replaced, left out, and doubled."""
    changed = [text[:i] + ("b" if text[i] == "a" else "a") + text[i + 1 :] for i in range(len(text))]
    changed += [text[:i] + text[i + 1 :] for i in range(len(text))]
    changed += [text[:i] + text[i] + text[i:] for i in range(len(text))]
    return [each for each in changed if each != text]


def refused(request: HttpRequest, *, now: float) -> bool:
    try:
        claim = SCHEME.claim(request)
        if claim is None or claim.access_key != USER.access_key:
            return True
        SCHEME.check(request, claim, USER, now=now)
    except (MalformedSignature, SignatureMismatch, RequestExpired, PayloadMismatch):
        return True
    return False


def replaced(request: HttpRequest, **changes: Any) -> HttpRequest:
    return msgspec.structs.replace(request, **changes)


TARGETS = {
    "header": lambda: signed(target="/PutVectors", body=b'{"n": 1}'),
    "token": lambda: signed("DELETE", "/tags/arn%3Aaws?tagKeys=x&tagKeys=y", body=b"", token="token"),
    "digest": lambda: signed(signer=S3LikeAuth, body=b"[1]"),
    "presigned": lambda: presigned(),
    "presigned-token": lambda: presigned(token="token", expires=60),
}


@pytest.mark.parametrize("name", TARGETS)
def test_every_changed_byte_is_refused(name: str) -> None:
    request_ = TARGETS[name]()
    now = time_of_signing(request_)
    verify(request_, now=now)
    others = [replaced(request_, raw_path=text) for text in changed_bytes(request_.raw_path)]
    others += [replaced(request_, raw_query=text) for text in changed_bytes(request_.raw_query)]
    others += [replaced(request_, method=text) for text in changed_bytes(request_.method)]
    others += [replaced(request_, body=text.encode()) for text in changed_bytes(request_.body.decode())]
    others += [replaced(request_, body=request_.body + b" ")]
    for position, (header, value) in enumerate(request_.headers):
        if header == "content-type" and "content-type" not in (request_.header("authorization") or request_.raw_query):
            continue
        for text in changed_bytes(value):
            pairs = list(request_.headers)
            pairs[position] = (header, text)
            others.append(replaced(request_, headers=tuple(pairs)))
        others.append(replaced(request_, headers=request_.headers[:position] + request_.headers[position + 1 :]))

    accepted = [other for other in others if not refused(other, now=now) and not same_meaning(other, request_)]
    assert accepted == []


def same_meaning(other: HttpRequest, request: HttpRequest) -> bool:
    """Blanks and slashes that the scheme itself takes out; a path that has them is no operation's path."""
    authorization = "".join((other.header("authorization") or "").split())
    return (
        other.raw_path.replace("//", "/") == request.raw_path.replace("//", "/")
        and other.raw_query.replace("&&", "&") == request.raw_query
        and authorization == "".join((request.header("authorization") or "").split())
        and [(n, " ".join(v.split())) for n, v in other.headers if n != "authorization"]
        == [(n, " ".join(v.split())) for n, v in request.headers if n != "authorization"]
        and (other.method, other.body) == (request.method, request.body)
    )


def test_another_secret() -> None:
    with pytest.raises(SignatureMismatch, match="check the secret key"):
        verify(signed(secret="another"))


def test_a_digest_of_another_body() -> None:
    request = signed(signer=S3LikeAuth, body=b"[1]")

    with pytest.raises(PayloadMismatch, match="x-amz-content-sha256"):
        verify(replaced(request, body=b"[2]"))


def test_an_unsigned_body_only_over_tls() -> None:
    request = signed(signer=S3LikeAuth, body=b"[1]", secure=True)

    assert request.header("x-amz-content-sha256") == "UNSIGNED-PAYLOAD"
    verify(replaced(request, body=b"[2]"))
    with pytest.raises(MalformedSignature, match="TLS only"):
        verify(replaced(request, secure=False))


def test_an_unsigned_digest_says_nothing() -> None:
    request = signed(body=b"[1]")
    told = ("x-amz-content-sha256", hashlib.sha256(b"[2]").hexdigest())

    verify(replaced(request, headers=(*request.headers, told)))
    with pytest.raises(SignatureMismatch):
        verify(replaced(request, headers=(*request.headers, told), body=b"[2]"))


@pytest.mark.parametrize("name", ["x-amz-target", "x-amz-security-token"])
def test_headers_that_count_must_be_signed(name: str) -> None:
    request = signed()

    with pytest.raises(MalformedSignature, match=f"{name} must be one of the signed headers"):
        SCHEME.claim(replaced(request, headers=(*request.headers, (name, "added"))))


# -- times -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offset", "good"),
    [(-CLOCK_TOLERANCE - 1, False), (-CLOCK_TOLERANCE, True), (CLOCK_TOLERANCE, True), (CLOCK_TOLERANCE + 1, False)],
)
def test_a_quarter_of_an_hour_either_way(offset: int, good: bool) -> None:
    request = signed()
    now = time_of_signing(request) + offset

    if good:
        verify(request, now=now)
    else:
        with pytest.raises(RequestExpired, match="not yet current" if offset < 0 else "expired"):
            verify(request, now=now)


@pytest.mark.parametrize(("offset", "good"), [(-CLOCK_TOLERANCE - 1, False), (-60, True), (60, True), (61, False)])
def test_a_presigned_request_is_good_as_long_as_it_says(offset: int, good: bool) -> None:
    request = presigned(expires=60)
    now = time_of_signing(request) + offset

    if good:
        verify(request, now=now)
    else:
        with pytest.raises(RequestExpired):
            verify(request, now=now)


# -- what is malformed -------------------------------------------------------------------------------------------------

AUTHORIZATIONS = [
    ("", "Expected an Authorization header with Credential, SignedHeaders and Signature"),
    (" Credential=a/20260101/r/s3vectors/aws4_request", "SignedHeaders"),
    (" Credential=a, Credential=b", "has 'Credential' twice"),
    (" Credential=a/20260101/r/s3vectors, SignedHeaders=host, Signature=" + "0" * 64, "Expected a credential"),
    (" Credential=/20260101/r/s3vectors/aws4_request, SignedHeaders=host, Signature=" + "0" * 64, "a credential"),
    (" Credential=a/20260101/r/s3/aws4_request, SignedHeaders=host, Signature=" + "0" * 64, "got 's3'"),
    (" Credential=a/20260102/r/s3vectors/aws4_request, SignedHeaders=host, Signature=" + "0" * 64, "got '20260102'"),
    (" Credential=a/20260101/r/s3vectors/aws4_request, SignedHeaders=host, Signature=" + "G" * 64, "64 hexadecimal"),
    (" Credential=a/20260101/r/s3vectors/aws4_request, SignedHeaders=host, Signature=\xe9", "64 hexadecimal"),
    (" Credential=a/20260101/r/s3vectors/aws4_request, SignedHeaders=Host, Signature=" + "0" * 64, "lower case"),
    (" Credential=a/20260101/r/s3vectors/aws4_request, SignedHeaders=, Signature=" + "0" * 64, "lower case"),
    (" Credential=a/20260101/r/s3vectors/aws4_request, SignedHeaders=x, Signature=" + "0" * 64, "'host' must be"),
    (" Credential=a/20260101/r/s3vectors/aws4_request, SignedHeaders=host;x, Signature=" + "0" * 64, "x is signed"),
]


@pytest.mark.parametrize(("value", "message"), AUTHORIZATIONS, ids=range(len(AUTHORIZATIONS)))
def test_malformed_headers_are_named(value: str, message: str) -> None:
    request = HttpRequest(
        method="POST",
        raw_path="/",
        headers=(("host", "h"), ("x-amz-date", "20260101T000000Z"), ("authorization", "AWS4-HMAC-SHA256" + value)),
    )

    with pytest.raises(MalformedSignature, match=message):
        SCHEME.claim(request)


@pytest.mark.parametrize(
    "date", ["", "now", "20260101T000000", "20261301T000000Z", "20260101T000060Z", "２0260101T000000Z"]
)
def test_malformed_times(date: str) -> None:
    with pytest.raises(MalformedSignature, match="time"):
        SCHEME.claim(with_header(signed(), "x-amz-date", lambda _: date))


def test_no_time_and_no_date() -> None:
    request = signed()
    headers = tuple(pair for pair in request.headers if pair[0] != "x-amz-date")

    with pytest.raises(MalformedSignature, match="neither an x-amz-date nor a Date"):
        SCHEME.claim(replaced(request, headers=headers))
    with pytest.raises(MalformedSignature, match="no date: 'soon'"):
        SCHEME.claim(replaced(request, headers=(*headers, ("date", "soon"))))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("AWS4-HMAC-SHA256", "AWS4", "Expected AWS4-HMAC-SHA256"),
        ("X-Amz-Expires=60", "X-Amz-Expires=0", "from 1 to 604800"),
        ("X-Amz-Expires=60", "X-Amz-Expires=604801", "from 1 to 604800"),
        ("X-Amz-Expires=60", "X-Amz-Expires=-1", "from 1 to 604800"),
        ("X-Amz-Expires=60", "x=60", "lacks X-Amz-Expires"),
        ("X-Amz-Expires=60", "X-Amz-Expires=60&X-Amz-Expires=61", "has X-Amz-Expires twice"),
    ],
)
def test_malformed_queries(old: str, new: str, message: str) -> None:
    request = presigned(expires=60)

    with pytest.raises(MalformedSignature, match=message):
        SCHEME.claim(replaced(request, raw_query=request.raw_query.replace(old, new)))


def test_the_service_that_a_credential_names() -> None:
    assert scoped_service(signed(service="kendra")) == "kendra"
    assert scoped_service(presigned(service="kendra")) == "kendra"
    assert scoped_service(HttpRequest(method="GET", raw_path="/")) is None
    bad = HttpRequest(method="GET", raw_path="/", headers=(("authorization", "AWS4-HMAC-SHA256 Credential=a"),))
    assert scoped_service(bad) is None
