"""OSS4-HMAC-SHA256, as OSS Vectors signs: in the Authorization header, or in the query of a link that somebody shares.

What is signed is the method, the resource (account and bucket, whatever the URL looks like), the query, the headers
`content-type`, `content-md5`, `x-oss-*` and those that the signer names. Bodies are covered by `Content-MD5` where it
is sent, by `x-oss-content-sha256` where that is a digest, and else not at all: the SDKs send UNSIGNED-PAYLOAD.
"""

from __future__ import annotations

import base64
import binascii
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
from ragvec.server.signing.oss_target import oss_target
from ragvec.server.signing.scheme import CLOCK_TOLERANCE, Claim
from ragvec.server.users import User

__all__ = ["LONGEST_LINK", "LinkExpired", "Oss4"]

_ALGORITHM = "OSS4-HMAC-SHA256"
_UNSIGNED = "UNSIGNED-PAYLOAD"
_PRODUCT, _TERMINATOR = "oss", "aliyun_v4_request"
_SIGNATURE = "x-oss-signature"
_DEFAULT_HEADERS = ("content-md5", "content-type")

LONGEST_LINK = 7 * 86_400
"""Seconds that a signed link is good for at most."""


class LinkExpired(RequestExpired):
    """The time for which a link was signed is over."""


class _Parts(msgspec.Struct, frozen=True):
    """What a signature consists of. `signed` is the text of the time of signing, `expires` the seconds that a link is
    good for, None for a signature in the header."""

    signed: str
    day: str
    region: str
    additional: tuple[str, ...]
    signature: str
    expires: int | None = None


class Oss4:
    """The scheme. `account` is that of the store: the owner of buckets that a host does not name one for."""

    name = "OSS4-HMAC-SHA256"

    def __init__(self, *, account: str = "") -> None:
        self._account = account

    def claim(self, request: HttpRequest) -> Claim | None:
        """See `Scheme`. Raises MalformedSignature."""
        given = request.header("authorization")
        version = request.parameter("x-oss-signature-version")
        if given is not None and given.startswith("OSS"):
            if version is not None:
                raise MalformedSignature("A request is signed in its header or in its query, not in both")
            return _header_claim(request, given)
        return None if version is None else _link_claim(request, version)

    def check(self, request: HttpRequest, claim: Claim, user: User, *, now: float) -> None:
        """See `Scheme`. Raises SignatureMismatch, RequestExpired, PayloadMismatch, MalformedSignature."""
        parts: _Parts = claim.parts
        _check_time(parts, now)
        key = _signing_key(user.secret_key, parts.day, parts.region)
        good = False
        for resource in self._resources(request, parts.region, user):
            expected = hmac.digest(key, _text_to_sign(request, parts, resource).encode(), "sha256").hex()
            good |= hmac.compare_digest(expected, parts.signature)
        if not good:
            raise SignatureMismatch(
                "The request signature we calculated does not match the signature you provided. Check your key and "
                "signing method."
            )
        _check_payload(request)

    def _resources(self, request: HttpRequest, region: str, user: User) -> list[str]:
        """The resource that is signed. The path tells no account: it is that of the store, or else the signer's."""
        target = oss_target(request, account=self._account)
        if target.bucket is None:
            return [f"/acs:ossvector:{region}::/"]
        accounts = (self._account, user.account) if target.account is None else (target.account,)
        return [
            f"/acs:ossvector:{region}:{account}:{target.bucket}/{target.path}" for account in dict.fromkeys(accounts)
        ]


def _header_claim(request: HttpRequest, given: str) -> Claim:
    algorithm, _, rest = given.partition(" ")
    if algorithm != _ALGORITHM:
        raise MalformedSignature(f"Expected a signature {_ALGORITHM}, got {algorithm[:60]!r}")
    members = dict(part.strip().partition("=")[::2] for part in rest.split(","))
    if not {"Credential", "Signature"} <= members.keys() <= {"Credential", "Signature", "AdditionalHeaders"}:
        raise MalformedSignature(
            "The Authorization header must have Credential, Signature and, if need be, AdditionalHeaders"
        )
    signed = request.header("x-oss-date")
    if signed is None:
        raise MalformedSignature("The header x-oss-date is missing")
    return _claim(
        credential=members["Credential"],
        signed=signed,
        signature=members["Signature"],
        additional=members.get("AdditionalHeaders", ""),
        token=request.header("x-oss-security-token"),
    )


def _link_claim(request: HttpRequest, version: str) -> Claim:
    if version != _ALGORITHM:
        raise MalformedSignature(f"Expected x-oss-signature-version={_ALGORITHM}, got {version[:60]!r}")
    given = {}
    for name in ("x-oss-credential", "x-oss-date", "x-oss-expires", _SIGNATURE):
        value = request.parameter(name)
        if value is None:
            raise MalformedSignature(f"The parameter {name} is missing")
        given[name] = value
    expires = given["x-oss-expires"]
    if not re.fullmatch("[0-9]{1,6}", expires) or not 1 <= int(expires) <= LONGEST_LINK:
        raise MalformedSignature(f"x-oss-expires must be 1 to {LONGEST_LINK} seconds, got {expires[:60]!r}")
    return _claim(
        credential=given["x-oss-credential"],
        signed=given["x-oss-date"],
        signature=given[_SIGNATURE],
        additional=request.parameter("x-oss-additional-headers") or "",
        token=request.parameter("x-oss-security-token"),
        expires=int(expires),
    )


def _claim(
    *, credential: str, signed: str, signature: str, additional: str, token: str | None, expires: int | None = None
) -> Claim:
    access_key, *scope = credential.rsplit("/", 4)
    if len(scope) != 4 or not access_key or scope[2:] != [_PRODUCT, _TERMINATOR] or not scope[1]:
        raise MalformedSignature(
            f"Expected a credential <key>/<day>/<region>/{_PRODUCT}/{_TERMINATOR}, got {credential[:200]!r}"
        )
    if not re.fullmatch("[0-9]{8}T[0-9]{6}Z", signed, re.ASCII) or not signed.startswith(scope[0] + "T"):
        raise MalformedSignature(
            f"x-oss-date must be like {scope[0][:8]}T120000Z, of the day in the credential, got {signed[:60]!r}"
        )
    if not re.fullmatch("[0-9a-f]{64}", signature):
        raise MalformedSignature("A signature has 64 digits, 0-9 and a-f")
    names = tuple(sorted({name.lower() for name in additional.split(";") if name}))
    return Claim(
        access_key=access_key,
        session_token=token,
        parts=_Parts(signed, scope[0], scope[1], names, signature, expires),
    )


def _check_time(parts: _Parts, now: float) -> None:
    try:
        signed = calendar.timegm(time.strptime(parts.signed, "%Y%m%dT%H%M%SZ"))
    except ValueError:
        raise MalformedSignature(f"x-oss-date is no time: {parts.signed}") from None
    too_old = parts.expires is None and now - signed > CLOCK_TOLERANCE
    if signed - now > CLOCK_TOLERANCE or too_old:
        raise RequestExpired(
            f"The difference between the request time and the current time is too large: at most {CLOCK_TOLERANCE} "
            f"seconds, got {abs(now - signed):.0f}"
        )
    if parts.expires is not None and now > signed + parts.expires:
        raise LinkExpired(f"Request has expired: it was signed for {parts.expires} seconds, {now - signed:.0f} ago")


@lru_cache(maxsize=256)
def _signing_key(secret: str, day: str, region: str) -> bytes:
    key = f"aliyun_v4{secret}".encode()
    for part in (day, region, _PRODUCT, _TERMINATOR):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def _text_to_sign(request: HttpRequest, parts: _Parts, resource: str) -> str:
    canonical = "\n".join(
        (
            request.method,
            quote(resource, safe="/"),
            _canonical_query(request.raw_query),
            _canonical_headers(request, parts.additional),
            ";".join(parts.additional),
            request.header("x-oss-content-sha256") or _UNSIGNED,
        )
    )
    scope = f"{parts.day}/{parts.region}/{_PRODUCT}/{_TERMINATOR}"
    digest = hashlib.sha256(canonical.encode("utf-8", "surrogateescape")).hexdigest()
    return f"{_ALGORITHM}\n{parts.signed}\n{scope}\n{digest}"


def _canonical_query(raw: str) -> str:
    """The pairs as they are on the wire, in order, without the signature; empty values lose their `=`."""
    pairs = sorted(part.partition("=")[::2] for part in raw.split("&") if part)
    return "&".join(f"{name}={value}" if value else name for name, value in pairs if name != _SIGNATURE)


def _canonical_headers(request: HttpRequest, additional: tuple[str, ...]) -> str:
    names = {
        name
        for name, _ in request.headers
        if name.startswith("x-oss-") or name in _DEFAULT_HEADERS or name in additional
    }
    return "".join(f"{name}:{request.header(name)}\n" for name in sorted(names))


def _check_payload(request: HttpRequest) -> None:
    digest = request.header("content-md5")
    if digest is not None:
        try:
            expected = base64.b64decode(digest, validate=True)
        except (binascii.Error, ValueError):
            expected = b""
        if not hmac.compare_digest(hashlib.md5(request.body, usedforsecurity=False).digest(), expected):
            raise PayloadMismatch("The Content-MD5 you specified did not match what we received.", path="Content-MD5")
    payload = request.header("x-oss-content-sha256") or _UNSIGNED
    if payload != _UNSIGNED and payload.lower() != hashlib.sha256(request.body).hexdigest():
        raise PayloadMismatch(
            f"x-oss-content-sha256 must be {_UNSIGNED} or the SHA-256 of the body", path="x-oss-content-sha256"
        )
