"""AWS Signature Version 4, in the Authorization header and in the query of a presigned URL.

The rules are those of the AWS general reference, "Signature Version 4 signing process", with the choices that it leaves
to services:

- The region in the scope is free, the service is not.
- The path is encoded twice, as for every service but `s3`, after `.`, `..` and empty segments are taken out.
- The digest in `x-amz-content-sha256` counts when that header is signed, and the body must have it; otherwise the
  digest is that of the body. `UNSIGNED-PAYLOAD` is taken over TLS only, where SDKs send it; chunked payloads never.
- `host` must be signed, and so must every header that changes what a request means: `x-amz-target` and
  `x-amz-security-token`. Nothing else that is unsigned is read by the faces that use this scheme, except the type of
  the body, which they do not look at.
"""

from __future__ import annotations

import datetime
import email.utils
import hmac
import re
from collections.abc import Iterable
from functools import lru_cache
from hashlib import sha256
from urllib.parse import quote, unquote

import msgspec

from ragvec.server.messages import HttpRequest
from ragvec.server.refusals import MalformedSignature, PayloadMismatch, RequestExpired, SignatureMismatch
from ragvec.server.signing.scheme import CLOCK_TOLERANCE, Claim
from ragvec.server.users import User

__all__ = ["ALGORITHM", "MAX_EXPIRES", "SigV4", "scoped_service"]

ALGORITHM = "AWS4-HMAC-SHA256"
MAX_EXPIRES = 7 * 24 * 3600
"""Seconds that a presigned URL may be good for."""

_UNSIGNED = "UNSIGNED-PAYLOAD"
_MUST_BE_SIGNED = ("x-amz-target", "x-amz-security-token")
_HEX_DIGEST = re.compile("[0-9a-f]{64}")
_HEADER_NAMES = re.compile("[a-z0-9!#$%&'*+.^_`|~-]+(;[a-z0-9!#$%&'*+.^_`|~-]+)*")
_TIMESTAMP = re.compile("([0-9]{4})([0-9]{2})([0-9]{2})T([0-9]{2})([0-9]{2})([0-9]{2})Z")
_ONE_SEGMENT = re.compile("/[A-Za-z0-9_-]*")


class _Parts(msgspec.Struct, frozen=True):
    scope: str
    """`{date}/{region}/{service}/aws4_request`."""
    timestamp: str
    signed: str
    signature: str
    expires: int | None = None
    """Seconds from the time of signing on; None: the signature is in the header."""


class SigV4:
    """Verifies requests to any of these services, named as in the scope of a credential."""

    name = "sigv4"

    def __init__(self, *, services: Iterable[str] = ("s3vectors",)) -> None:
        self._services = tuple(services)

    def claim(self, request: HttpRequest) -> Claim | None:
        """See `Scheme.claim`."""
        authorization = request.header("authorization")
        if authorization is not None:
            if not authorization.startswith(ALGORITHM):
                return None
            return self._from_header(request, authorization)
        if "X-Amz-Algorithm=" in request.raw_query and request.parameter("X-Amz-Algorithm") is not None:
            return self._from_query(request)
        return None

    def check(self, request: HttpRequest, claim: Claim, user: User, *, now: float) -> None:
        """See `Scheme.check`."""
        parts: _Parts = claim.parts
        _check_time(parts, now)
        told = _told_digest(request, parts)
        body_digest = "" if told == _UNSIGNED else sha256(request.body).hexdigest()
        canonical = "\n".join(
            (
                request.method,
                _canonical_path(request.raw_path),
                _canonical_query(request.raw_query, presigned=parts.expires is not None),
                *(f"{name}:{_canonical_value(request, name)}" for name in parts.signed.split(";")),
                "",
                parts.signed,
                told or body_digest,
            )
        )
        # What is no text in UTF-8 has no signature that matches, and is no reason to fail.
        hashed = sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()
        text = f"{ALGORITHM}\n{parts.timestamp}\n{parts.scope}\n{hashed}"
        key = _signing_key(user.secret_key, parts.scope)
        expected = hmac.digest(key, text.encode("utf-8", "surrogatepass"), "sha256").hex()
        if not hmac.compare_digest(expected, parts.signature):
            raise SignatureMismatch(
                "The signature is not the one that this request and the secret key give; check the secret key, "
                "and that nothing on the way changes the request"
            )
        if told not in (None, _UNSIGNED, body_digest):
            raise PayloadMismatch("The body has another SHA-256 digest than x-amz-content-sha256 tells")

    def _from_header(self, request: HttpRequest, authorization: str) -> Claim:
        members: dict[str, str] = {}
        for part in authorization[len(ALGORITHM) :].split(","):
            name, _, value = part.strip().partition("=")
            if name in members:
                raise MalformedSignature(f"The Authorization header has {name!r} twice")
            members[name] = value
        if members.keys() != {"Credential", "SignedHeaders", "Signature"}:
            raise MalformedSignature(
                "Expected an Authorization header with Credential, SignedHeaders and Signature, "
                f"got {', '.join(sorted(members))}"
            )
        return self._claim(
            request,
            credential=members["Credential"],
            timestamp=_header_timestamp(request),
            signed=members["SignedHeaders"],
            signature=members["Signature"],
            token=request.header("x-amz-security-token"),
            expires=None,
        )

    def _from_query(self, request: HttpRequest) -> Claim:
        members: dict[str, str] = {}
        for part in request.raw_query.split("&"):
            name, _, value = part.partition("=")
            if name.startswith("X-Amz-"):
                if name in members:
                    raise MalformedSignature(f"The query has {name} twice")
                members[name] = unquote(value)
        algorithm = members.get("X-Amz-Algorithm")
        if algorithm != ALGORITHM:
            raise MalformedSignature(f"Expected {ALGORITHM} as X-Amz-Algorithm, got {algorithm!r}")
        needed = ("X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders", "X-Amz-Signature")
        missing = [name for name in needed if name not in members]
        if missing:
            raise MalformedSignature(f"The query of a presigned request lacks {', '.join(missing)}")
        expires = members["X-Amz-Expires"]
        if not re.fullmatch("[0-9]{1,6}", expires) or not 1 <= int(expires) <= MAX_EXPIRES:
            raise MalformedSignature(f"Expected X-Amz-Expires from 1 to {MAX_EXPIRES} seconds, got {expires!r}")
        return self._claim(
            request,
            credential=members["X-Amz-Credential"],
            timestamp=members["X-Amz-Date"],
            signed=members["X-Amz-SignedHeaders"],
            signature=members["X-Amz-Signature"],
            token=members.get("X-Amz-Security-Token"),
            expires=int(expires),
        )

    def _claim(
        self,
        request: HttpRequest,
        *,
        credential: str,
        timestamp: str,
        signed: str,
        signature: str,
        token: str | None,
        expires: int | None,
    ) -> Claim:
        access_key, *scope = credential.rsplit("/", 4)
        if len(scope) != 4 or scope[3] != "aws4_request" or not access_key:
            raise MalformedSignature(
                f"Expected a credential of the form <access key>/<date>/<region>/<service>/aws4_request, "
                f"got {credential!r}"
            )
        if scope[2] not in self._services:
            raise MalformedSignature(
                f"Credential should be scoped to correct service: expected {' or '.join(self._services)}, "
                f"got {scope[2]!r}"
            )
        _seconds(timestamp)
        if scope[0] != timestamp[:8]:
            raise MalformedSignature(
                f"Date in the credential is not the one of the request: expected {timestamp[:8]}, got {scope[0]!r}"
            )
        if not _HEX_DIGEST.fullmatch(signature):
            raise MalformedSignature("Expected a signature of 64 hexadecimal digits in lower case")
        _check_signed_headers(request, signed)
        parts = _Parts("/".join(scope), timestamp, signed, signature, expires)
        return Claim(access_key=access_key, session_token=token, parts=parts)


def scoped_service(request: HttpRequest) -> str | None:
    """The service that the credential of a request names, None: there is no credential of this scheme, or it is
    malformed. For telling services apart; never raises."""
    authorization = request.header("authorization")
    if authorization is not None:
        if not authorization.startswith(ALGORITHM):
            return None
        credential = authorization.partition("Credential=")[2].partition(",")[0]
    elif "X-Amz-Credential=" in request.raw_query:
        credential = unquote(request.raw_query.partition("X-Amz-Credential=")[2].partition("&")[0])
    else:
        return None
    scope = credential.strip().rsplit("/", 4)
    return scope[3] if len(scope) == 5 else None


def _check_signed_headers(request: HttpRequest, signed: str) -> None:
    if not _HEADER_NAMES.fullmatch(signed):
        raise MalformedSignature(f"Expected names of headers in lower case, divided by ';', got {signed!r}")
    names = signed.split(";")
    if "host" not in names:
        raise MalformedSignature("'host' must be one of the signed headers")
    for name in _MUST_BE_SIGNED:
        if name not in names and request.header(name) is not None:
            raise MalformedSignature(f"The header {name} must be one of the signed headers")
    for name in names:
        if request.header(name) is None:
            raise MalformedSignature(f"The header {name} is signed, and is not there")


def _header_timestamp(request: HttpRequest) -> str:
    """The time of signing in the form of the string to sign; a `Date` header stands in for `x-amz-date`."""
    given = request.header("x-amz-date")
    if given is not None:
        return given
    date = request.header("date")
    if date is None:
        raise MalformedSignature("The request has neither an x-amz-date nor a Date header")
    if _TIMESTAMP.fullmatch(date):
        return date
    try:
        parsed = email.utils.parsedate_to_datetime(date)
    except (TypeError, ValueError) as error:
        raise MalformedSignature(f"The Date header is no date: {date!r}") from error
    if parsed.tzinfo is not None:
        parsed = parsed.astimezone(datetime.timezone.utc)
    return parsed.strftime("%Y%m%dT%H%M%SZ")


@lru_cache(maxsize=1024)
def _seconds(timestamp: str) -> float:
    """Epoch seconds of a time such as 20261120T195700Z. Raises MalformedSignature."""
    match = _TIMESTAMP.fullmatch(timestamp)
    if match is None:
        raise MalformedSignature(f"Expected a time of the form YYYYMMDDTHHMMSSZ, got {timestamp!r}")
    year, month, day, hour, minute, second = map(int, match.groups())
    try:
        return datetime.datetime(year, month, day, hour, minute, second, tzinfo=datetime.timezone.utc).timestamp()
    except ValueError as error:
        raise MalformedSignature(f"There is no such time: {timestamp!r}") from error


def _check_time(parts: _Parts, now: float) -> None:
    signed = _seconds(parts.timestamp)
    good_for = CLOCK_TOLERANCE if parts.expires is None else parts.expires
    if now < signed - CLOCK_TOLERANCE:
        raise RequestExpired(
            f"Signature not yet current: {parts.timestamp} is more than {CLOCK_TOLERANCE // 60} minutes after the "
            "server's clock"
        )
    if now > signed + good_for:
        raise RequestExpired(
            f"Signature expired: {parts.timestamp} is more than {good_for} seconds before the server's clock"
        )


def _told_digest(request: HttpRequest, parts: _Parts) -> str | None:
    """The digest of the body that a signed header tells; None: none does."""
    given = request.header("x-amz-content-sha256")
    if given is None or "x-amz-content-sha256" not in parts.signed.split(";"):
        return None
    if given == _UNSIGNED:
        if not request.secure:
            raise MalformedSignature(f"{_UNSIGNED} is taken over TLS only; sign the body")
    elif not _HEX_DIGEST.fullmatch(given):
        raise MalformedSignature(f"Expected a SHA-256 digest in x-amz-content-sha256, got {given!r}")
    return given


def _canonical_path(raw_path: str) -> str:
    if _ONE_SEGMENT.fullmatch(raw_path):
        return raw_path
    segments: list[str] = []
    for segment in raw_path.split("/"):
        if segment == "..":
            del segments[-1:]
        elif segment and segment != ".":
            segments.append(segment)
    first = "/" if raw_path[:1] in ("", "/") else ""
    last = "/" if raw_path.endswith("/") and segments else ""
    return quote(first + "/".join(segments) + last, safe="/~", errors="surrogatepass")


def _canonical_query(raw_query: str, *, presigned: bool) -> str:
    if not raw_query:
        return ""
    pairs = sorted(part.partition("=")[::2] for part in raw_query.split("&"))
    return "&".join(f"{name}={value}" for name, value in pairs if not (presigned and name == "X-Amz-Signature"))


def _canonical_value(request: HttpRequest, name: str) -> str:
    value = request.header(name) or ""
    return " ".join(value.split()) if " " in value or not value.isprintable() else value


@lru_cache(maxsize=1024)
def _signing_key(secret: str, scope: str) -> bytes:
    """The key that is derived from a secret for a day, a region and a service."""
    key = b"AWS4" + secret.encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode("utf-8", "surrogatepass"), "sha256")
    return key
