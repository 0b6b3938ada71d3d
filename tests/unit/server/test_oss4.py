"""OSS4-HMAC-SHA256, checked against the signer of the vendor's SDK."""

from __future__ import annotations

import base64
import datetime
import hashlib
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from alibabacloud_oss_v2.credentials import Credentials
from alibabacloud_oss_v2.signer.vectors_v4 import VectorsSignerV4
from alibabacloud_oss_v2.types import HttpRequest as SdkRequest
from alibabacloud_oss_v2.types import SigningContext

from ragvec.server.messages import HttpRequest
from ragvec.server.refusals import MalformedSignature, PayloadMismatch, RequestExpired, SignatureMismatch
from ragvec.server.signing.oss4 import LinkExpired, Oss4
from ragvec.server.users import User

USER = User(
    access_key="AKIDEXAMPLE0000000", secret_key="secret-of-the-owner-0123456789", account="1234567890", name="u"
)
NOON = datetime.datetime(2026, 11, 20, 12, tzinfo=datetime.timezone.utc)
NOW = NOON.timestamp()
BODY = b'{"indexName": "pages"}'
MD5 = base64.b64encode(hashlib.md5(BODY).digest()).decode()


def signed(
    *,
    method: str = "POST",
    url: str = "http://docs-1234567890.localhost:9000/?putVectors=",
    bucket: str | None = "docs",
    headers: dict[str, str] | None = None,
    body: bytes = BODY,
    account: str = "1234567890",
    token: str | None = None,
    link: int | None = None,
    additional: set[str] | None = None,
    product: str = "oss",
) -> HttpRequest:
    """A request as the SDK signs it at noon, as a link that is good for `link` seconds where that is given."""
    outgoing = SdkRequest(method, url, headers=dict(headers or {}))
    context = SigningContext(
        product=product,
        region="cn-hangzhou",
        bucket=bucket,
        request=outgoing,
        credentials=Credentials(USER.access_key, USER.secret_key, token),
        signing_time=NOON,
        additional_headers=additional,
    )
    context.auth_method_query = link is not None
    if link is not None:
        context.expiration_time = NOON + datetime.timedelta(seconds=link)
    VectorsSignerV4(account_id=account).sign(context)
    parts = urlsplit(outgoing.url)
    sent = {name.lower(): value for name, value in outgoing.headers.items()}
    return HttpRequest(
        method=method,
        raw_path=parts.path,
        raw_query=parts.query,
        headers=tuple({"host": parts.netloc, **sent}.items()),
        body=body,
    )


def changed(request: HttpRequest, **members: Any) -> HttpRequest:
    given = {name: getattr(request, name) for name in request.__struct_fields__}
    return HttpRequest(**{**given, **members})


def with_header(request: HttpRequest, name: str, value: str) -> HttpRequest:
    return changed(request, headers=(*((key, old) for key, old in request.headers if key != name), (name, value)))


def check(request: HttpRequest, *, user: User = USER, now: float = NOW, account: str = "1234567890") -> None:
    scheme = Oss4(account=account)
    claim = scheme.claim(request)
    assert claim is not None
    assert claim.access_key == USER.access_key
    scheme.check(request, claim, user, now=now)


REQUESTS: dict[str, dict[str, Any]] = {
    "headers of a JSON body": {"headers": {"Content-Type": "application/json", "Content-MD5": MD5}},
    "service": {
        "method": "GET",
        "url": "http://127.0.0.1:9000/?max-keys=7&prefix=a%2Fb%20c",
        "bucket": None,
        "body": b"",
    },
    "path style": {"url": "http://127.0.0.1:9000/docs/?queryVectors"},
    "other domain": {"url": "https://docs-1234567890.cn-hangzhou.oss-vectors.aliyuncs.com/?listVectors"},
    "bucket that ends in digits": {"url": "http://docs-2-1234567890.localhost/?getVectors", "bucket": "docs-2"},
    "token": {"token": "a token/with+signs=="},
    "token in a link": {"token": "a token/with+signs==", "link": 60},
    "link": {"link": 900, "method": "GET", "url": "http://docs-1234567890.localhost/?bucketInfo=", "body": b""},
    "additional headers": {
        "headers": {"Host": "docs-1234567890.localhost:9000", "X-Other": "v"},
        "additional": {"host", "X-Other", "absent"},
    },
    "additional headers of a link": {"headers": {"X-Other": "v"}, "additional": {"x-other"}, "link": 60},
    "own headers": {"headers": {"x-oss-bucket-tagging": "a=b&c=d", "x-oss-resource-group-id": "rg-1"}, "method": "PUT"},
}


@pytest.mark.parametrize("arguments", REQUESTS.values(), ids=REQUESTS)
def test_what_the_sdk_signs_is_accepted(arguments: dict[str, Any]) -> None:
    check(signed(**arguments))


@pytest.mark.parametrize("arguments", REQUESTS.values(), ids=REQUESTS)
def test_another_secret_is_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(SignatureMismatch):
        check(signed(**arguments), user=User(access_key="k", secret_key="another", account="1234567890", name="u"))


def test_the_claim_tells_key_and_token() -> None:
    for link in (None, 60):
        claim = Oss4().claim(signed(token="t o", link=link))
        assert claim is not None
        assert (claim.access_key, claim.session_token) == (USER.access_key, "t o")


def test_the_path_stands_for_a_bucket_of_the_store_or_of_the_signer() -> None:
    other = signed(url="http://127.0.0.1/docs/?putVectors", account="5555555555")

    check(other, account="5555555555")
    with pytest.raises(SignatureMismatch):
        check(other)
    check(signed(url="http://127.0.0.1/docs/?putVectors"), account="5555555555")


def test_a_short_account_is_known_by_the_store() -> None:
    user = User(access_key="k", secret_key=USER.secret_key, account="77", name="u")

    check(signed(url="http://docs-77.localhost/?putVectors", account="77"), user=user, account="77")


@pytest.mark.parametrize("link", [None, 60], ids=["header", "link"])
@pytest.mark.parametrize(
    "members",
    [
        {"method": "PUT"},
        {"raw_query": "deleteVectors="},
        {"raw_query": "putVectors=&x-oss-process=x"},
        {"headers": {"host": "docs2-1234567890.localhost:9000"}},
        {"headers": {"host": "docs-1234567891.localhost:9000"}},
        {"headers": {"host": "localhost:9000"}},
        {"headers": {"x-oss-resource-group-id": "rg-2"}},
        {"headers": {"content-type": "text/plain"}},
        {"headers": {"content-md5": base64.b64encode(bytes(16)).decode()}},
        {"headers": {"x-oss-date": "20261120T120001Z"}},
        {"raw_path": "/docs/"},
    ],
    ids=str,
)
def test_nothing_that_is_signed_can_be_changed(members: dict[str, Any], link: int | None) -> None:
    request = signed(headers={"Content-Type": "application/json", "Content-MD5": MD5}, link=link)
    for name, value in members.get("headers", {}).items():
        request = with_header(request, name, value)
    others = {name: value for name, value in members.items() if name != "headers"}
    if "raw_query" in others and link is not None:
        others = {"raw_query": request.raw_query.replace("putVectors", others["raw_query"])}
    request = changed(request, **others)

    with pytest.raises(SignatureMismatch):
        check(request)


def test_any_header_of_the_service_is_signed() -> None:
    with pytest.raises(SignatureMismatch):
        check(with_header(signed(), "x-oss-bucket-tagging", "a=b"))
    check(with_header(signed(), "x-other", "free"))
    with pytest.raises(SignatureMismatch):
        check(with_header(signed(headers={"X-Other": "v"}, additional={"x-other"}), "x-other", "w"))


def test_a_changed_signature_is_refused() -> None:
    request = signed()
    authorization = request.header("authorization") or ""
    last = "0" if authorization[-1] != "0" else "1"

    with pytest.raises(SignatureMismatch):
        check(with_header(request, "authorization", authorization[:-1] + last))


@pytest.mark.parametrize("link", [None, 86_400], ids=["header", "link"])
def test_the_body_is_the_one_of_its_md5(link: int | None) -> None:
    request = signed(headers={"Content-MD5": MD5}, link=link)

    check(request)
    for body in (b"", BODY + b" ", BODY.replace(b"pages", b"other")):
        with pytest.raises(PayloadMismatch):
            check(changed(request, body=body))


@pytest.mark.parametrize(
    "digest", ["", "no base64", "é", hashlib.md5(BODY).hexdigest()], ids=["empty", "text", "accent", "hex"]
)
def test_a_digest_that_is_none_is_refused(digest: str) -> None:
    with pytest.raises(PayloadMismatch):
        check(signed(headers={"Content-MD5": digest}))


def test_a_digest_of_the_body_may_stand_in_for_unsigned_payload() -> None:
    # No SDK of the service sends one; the signature of its signer covers the header, so a link carries it.
    headers = {"x-oss-content-sha256": hashlib.sha256(BODY).hexdigest()}

    check(signed(headers=headers, link=60))
    with pytest.raises(PayloadMismatch):
        check(changed(signed(headers=headers, link=60), body=b"another"))


def test_the_clock_may_differ_by_a_quarter_of_an_hour() -> None:
    for now in (NOW - 900, NOW + 900):
        check(signed(), now=now)
    for now in (NOW - 901, NOW + 901, 0.0):
        with pytest.raises(RequestExpired, match="too large") as raised:
            check(signed(), now=now)
        assert not isinstance(raised.value, LinkExpired)


def test_a_link_is_good_as_long_as_it_says() -> None:
    link = signed(link=7 * 86_400)

    for now in (NOW - 900, NOW, NOW + 7 * 86_400):
        check(link, now=now)
    with pytest.raises(LinkExpired):
        check(link, now=NOW + 7 * 86_400 + 1)
    with pytest.raises(RequestExpired):
        check(link, now=NOW - 901)
    with pytest.raises(MalformedSignature, match="604800 seconds, got '604801'"):
        check(signed(link=7 * 86_400 + 1))


@pytest.mark.parametrize(
    ("authorization", "words"),
    [
        ("OSS4-HMAC-SHA256", "must have Credential"),
        ("OSS4-HMAC-SHA256 Credential=a/20261120/r/oss/aliyun_v4_request", "must have Credential"),
        ("OSS4-HMAC-SHA256 Credential=a,Signature=b,More=c", "must have Credential"),
        ("OSS4-HMAC-SHA256 Credential=a,Signature=b", "Expected a credential"),
        (f"OSS4-HMAC-SHA256 Credential=a/20261120/r/oss/aws4_request,Signature={'0' * 64}", "Expected a credential"),
        (f"OSS4-HMAC-SHA256 Credential=a/20261119/r/oss/aliyun_v4_request,Signature={'0' * 64}", "of the day"),
        (f"OSS4-HMAC-SHA256 Credential=a/20261120/r/oss/aliyun_v4_request,Signature={'0' * 63}", "64 digits"),
        (f"OSS4-HMAC-SHA256 Credential=a/20261120/r/oss/aliyun_v4_request,Signature={'٠' * 64}", "64 digits"),
        ("OSS key:signature", "Expected a signature OSS4-HMAC-SHA256"),
    ],
    ids=[
        "nothing",
        "no signature",
        "more",
        "key alone",
        "other scheme",
        "other day",
        "short",
        "other digits",
        "version 1",
    ],
)
def test_malformed_headers_are_refused(authorization: str, words: str) -> None:
    with pytest.raises(MalformedSignature, match=words):
        Oss4().claim(with_header(signed(), "authorization", authorization))


@pytest.mark.parametrize("date", ["20261120T126000Z", "20261120T12:00:00Z", "20261120T250000Z", "Fri, 20 Nov 2026", ""])
def test_a_time_that_is_none_is_refused(date: str) -> None:
    with pytest.raises(MalformedSignature):
        check(with_header(signed(), "x-oss-date", date))


@pytest.mark.parametrize("name", ["x-oss-credential", "x-oss-date", "x-oss-expires", "x-oss-signature"])
def test_a_link_has_all_its_parts(name: str) -> None:
    link = signed(link=60)
    rest = "&".join(part for part in link.raw_query.split("&") if part.partition("=")[0] != name)

    with pytest.raises(MalformedSignature, match=name):
        check(changed(link, raw_query=rest))


def test_a_request_is_signed_once() -> None:
    link = signed(link=60)

    with pytest.raises(MalformedSignature, match="not in both"):
        check(with_header(link, "authorization", signed().header("authorization") or ""))


def test_other_services_are_refused() -> None:
    with pytest.raises(MalformedSignature, match="ossvector"):
        check(signed(product="ossvector"))


def test_requests_without_such_a_signature_claim_nothing() -> None:
    assert Oss4().claim(HttpRequest(method="GET", raw_path="/")) is None
    assert (
        Oss4().claim(HttpRequest(method="GET", raw_path="/", headers=(("authorization", "AWS4-HMAC-SHA256 x"),)))
        is None
    )


def test_names_outside_ascii_are_signed_as_on_the_wire() -> None:
    check(signed(method="GET", url=f"http://localhost/?prefix={quote('é/ü')}", bucket=None, body=b""))
