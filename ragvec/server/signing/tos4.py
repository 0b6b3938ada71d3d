"""TOS's way of signing, TOS4-HMAC-SHA256: in the `Authorization` header, or in the parameters of a presigned URL."""

from __future__ import annotations

import calendar
import hashlib
import hmac
import re
import time
from functools import lru_cache
from urllib.parse import quote

import msgspec

from ragvec.server.messages import HttpRequest
from ragvec.server.refusals import MalformedSignature, PayloadMismatch, RequestExpired, SignatureMismatch
from ragvec.server.signing.scheme import CLOCK_TOLERANCE, Claim
from ragvec.server.users import User

__all__ = ["Tos4"]

_ALGORITHM = "TOS4-HMAC-SHA256"
_SERVICE = "tosvectors"
_UNSIGNED = "UNSIGNED-PAYLOAD"
_NOTHING = hashlib.sha256(b"").hexdigest()
_LONGEST = 7 * 24 * 3600
"""Seconds that a presigned URL may be valid for; the week that other services grant, TOS documenting nothing."""

_SIGNATURE = re.compile(r"[0-9a-f]{64}")
_DATE = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_SECONDS = re.compile(r"[0-9]{1,7}")


class _Parts(msgspec.Struct, frozen=True):
    """What the signature says of itself. `seconds` is how long a presigned URL is valid, None in a header."""

    date: str
    begins: int
    region: str
    headers: tuple[str, ...]
    signature: str
    seconds: int | None = None


class Tos4:
    """The scheme of Volcengine TOS, for its service `tosvectors`. The region in the scope may be any."""

    name = _ALGORITHM

    def claim(self, request: HttpRequest) -> Claim | None:
        """See `Scheme.claim`."""
        text = request.header("authorization")
        if text is not None and text.startswith(_ALGORITHM):
            return _of_header(request, text)
        if request.raw_query and any(name.lower() == "x-tos-algorithm" for name, _ in request.query):
            return _of_query(request)
        return None

    def check(self, request: HttpRequest, claim: Claim, user: User, *, now: float) -> None:
        """See `Scheme.check`."""
        parts: _Parts = claim.parts
        latest = parts.begins + (CLOCK_TOLERANCE if parts.seconds is None else parts.seconds)
        if not parts.begins - CLOCK_TOLERANCE <= now <= latest:
            raise RequestExpired(f"The request was signed for {parts.date}, which is too far from the server's clock")
        key = _signing_key(user.secret_key, parts.date[:8], parts.region)
        text = _canonical(request, parts)
        given = parts.signature.encode()
        if not any(
            hmac.compare_digest(given, _signature(text + marker, parts, key)) for marker in _markers(request, parts)
        ):
            raise SignatureMismatch("The signature is not the one that the secret key gives for this request")
        marker = request.header("x-tos-content-sha256")
        if marker and marker != _UNSIGNED and marker != hashlib.sha256(request.body).hexdigest():
            raise PayloadMismatch(
                "The body is not the one that x-tos-content-sha256 tells", path="x-tos-content-sha256"
            )


def _of_header(request: HttpRequest, text: str) -> Claim:
    given: dict[str, str] = {}
    for part in text[len(_ALGORITHM) :].split(","):
        name, equals, value = part.strip().partition("=")
        if not equals or name in given:
            raise MalformedSignature(
                "The Authorization header must have Credential, SignedHeaders and Signature once each"
            )
        given[name] = value
    if given.keys() != {"Credential", "SignedHeaders", "Signature"}:
        raise MalformedSignature("The Authorization header must have Credential, SignedHeaders and Signature once each")
    date = request.header("x-tos-date") or request.header("date") or ""
    access_key, parts = _parts(request, given["Credential"], date, given["SignedHeaders"], given["Signature"])
    if not {"x-tos-date", "date"} & set(parts.headers):
        raise MalformedSignature("x-tos-date must be among the signed headers")
    return Claim(access_key=access_key, session_token=request.header("x-tos-security-token") or None, parts=parts)


def _of_query(request: HttpRequest) -> Claim:
    given: dict[str, str] = {}
    for name, value in request.query:
        name = name.lower()
        if name.startswith("x-tos-") and name in given:
            raise MalformedSignature(f"The parameter {name!r} is there twice")
        given[name] = value
    if given["x-tos-algorithm"] != _ALGORITHM:
        raise MalformedSignature(f"X-Tos-Algorithm must be {_ALGORITHM}; got {given['x-tos-algorithm'][:60]!r}")
    seconds = given.get("x-tos-expires", "")
    if not _SECONDS.fullmatch(seconds) or not 1 <= int(seconds) <= _LONGEST:
        raise MalformedSignature(f"X-Tos-Expires must be 1 to {_LONGEST} seconds; got {seconds[:60]!r}")
    access_key, parts = _parts(
        request,
        given.get("x-tos-credential", ""),
        given.get("x-tos-date", ""),
        given.get("x-tos-signedheaders", ""),
        given.get("x-tos-signature", ""),
    )
    return Claim(
        access_key=access_key,
        session_token=given.get("x-tos-security-token") or None,
        parts=msgspec.structs.replace(parts, seconds=int(seconds)),
    )


def _parts(request: HttpRequest, credential: str, date: str, headers: str, signature: str) -> tuple[str, _Parts]:
    """The access key, and the rest."""
    scope = credential.rsplit("/", 4)
    if len(scope) != 5 or not scope[0] or scope[3:] != [_SERVICE, "request"]:
        raise MalformedSignature(
            f"Credential must be an access key and yyyymmdd/region/{_SERVICE}/request; got {credential[:120]!r}"
        )
    if not _DATE.fullmatch(date):
        raise MalformedSignature(f"x-tos-date must be a time such as 20251215T100308Z; got {date[:60]!r}")
    try:
        begins = calendar.timegm(time.strptime(date, "%Y%m%dT%H%M%SZ"))
    except ValueError as error:
        raise MalformedSignature(f"x-tos-date is no time: {date!r}") from error
    if scope[1] != date[:8]:
        raise MalformedSignature(f"The day of Credential, {scope[1][:60]!r}, is not that of x-tos-date, {date!r}")
    if not _SIGNATURE.fullmatch(signature):
        raise MalformedSignature(f"Signature must be 64 hexadecimal digits; got {signature[:80]!r}")
    names = tuple(sorted({name.lower() for name in headers.split(";") if name}))
    unsigned = sorted({name for name, _ in request.headers if name.startswith("x-tos-")} - set(names))
    if "host" not in names or unsigned:
        wanted = ", ".join((["host"] if "host" not in names else []) + unsigned)
        raise MalformedSignature(f"{wanted[:120]} must be among the signed headers")
    return scope[0], _Parts(date, begins, scope[2], names, signature)


def _canonical(request: HttpRequest, parts: _Parts) -> str:
    """The canonical request but for its last line, the marker of the payload."""
    pairs = sorted(pair for pair in request.query if pair[0].lower() != "x-tos-signature")
    query = "&".join(f"{_quoted(name)}={_quoted(value)}" for name, value in pairs)
    lines = []
    for name in parts.headers:
        value = request.header(name)
        if value is None:
            raise SignatureMismatch(f"The header {name[:60]!r} is signed and was not sent")
        lines.append(f"{name}:{value}\n")
    path = quote(request.path, safe="/~", errors="replace")
    return f"{request.method.upper()}\n{path}\n{query}\n{''.join(lines)}\n{';'.join(parts.headers)}\n"


def _quoted(text: str) -> str:
    return quote(text, safe="-_.~", errors="replace")


def _markers(request: HttpRequest, parts: _Parts) -> tuple[str, ...]:
    """What may stand for the body. The Go SDK's client for vectors sends no header and signs an empty body."""
    marker = request.header("x-tos-content-sha256")
    if marker:
        return (marker,)
    if parts.seconds is not None:
        return (_UNSIGNED,)
    return hashlib.sha256(request.body).hexdigest(), _NOTHING


def _signature(text: str, parts: _Parts, key: bytes) -> bytes:
    digest = hashlib.sha256(text.encode(errors="replace")).hexdigest()
    scope = f"{parts.date[:8]}/{parts.region}/{_SERVICE}/request"
    return _hmac(key, f"{_ALGORITHM}\n{parts.date}\n{scope}\n{digest}").hex().encode()


@lru_cache(maxsize=64)
def _signing_key(secret: str, day: str, region: str) -> bytes:
    key = secret.encode()
    for part in (day, region, _SERVICE, "request"):
        key = _hmac(key, part)
    return key


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(errors="replace"), hashlib.sha256).digest()
