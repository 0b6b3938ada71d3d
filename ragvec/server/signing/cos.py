"""COS's way of signing: `q-sign-algorithm=sha1`, in the `Authorization` header.

The signature is over the method, the path, and the parameters and headers that it lists; not over the body, of which
only `Content-Length` and, where it is sent, `Content-MD5` tell something. It says itself how long it is valid.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from urllib.parse import quote, urlsplit

import msgspec

from ragvec.server.messages import HttpRequest
from ragvec.server.refusals import MalformedSignature, PayloadMismatch, RequestExpired, SignatureMismatch
from ragvec.server.signing.scheme import Claim
from ragvec.server.users import User

__all__ = ["CosSha1"]

_WINDOW = re.compile(r"([0-9]{1,12});([0-9]{1,12})")
_SIGNATURE = re.compile(r"[0-9a-f]{40}")


class _Parts(msgspec.Struct, frozen=True):
    """The `Authorization` header, read. Names are in lower case and decoded; times are in epoch seconds."""

    sign_time: str
    key_time: str
    begins: int
    ends: int
    headers: tuple[str, ...]
    parameters: tuple[str, ...]
    signature: str


class CosSha1:
    """The scheme of Tencent Cloud COS. It gives the clocks no tolerance: the window that it signs is all there is."""

    name = "q-sign-algorithm=sha1"

    def claim(self, request: HttpRequest) -> Claim | None:
        """See `Scheme.claim`."""
        text = request.header("authorization")
        if not text or not text.startswith("q-sign-algorithm="):
            return None
        given: dict[str, str] = {}
        for part in text.split("&"):
            name, _, value = part.partition("=")
            if name in given:
                raise MalformedSignature(f"The Authorization header has {name[:60]!r} twice")
            given[name] = value
        if given["q-sign-algorithm"] != "sha1":
            raise MalformedSignature(f"q-sign-algorithm must be sha1; got {given['q-sign-algorithm'][:60]!r}")
        absent = [
            name for name in ("q-ak", "q-sign-time", "q-key-time", "q-header-list", "q-signature") if name not in given
        ]
        if absent:
            raise MalformedSignature(f"The Authorization header lacks {', '.join(absent)}")
        if not given["q-ak"]:
            raise MalformedSignature("q-ak is empty")
        if not _SIGNATURE.fullmatch(given["q-signature"]):
            raise MalformedSignature(f"q-signature must be 40 hexadecimal digits; got {given['q-signature'][:60]!r}")
        sign, key = (_window(name, given[name]) for name in ("q-sign-time", "q-key-time"))
        parts = _Parts(
            given["q-sign-time"],
            given["q-key-time"],
            max(sign[0], key[0]),
            min(sign[1], key[1]),
            _names(given["q-header-list"]),
            _names(given.get("q-url-param-list", "")),
            given["q-signature"],
        )
        return Claim(
            access_key=given["q-ak"], session_token=request.header("x-cos-security-token") or None, parts=parts
        )

    def check(self, request: HttpRequest, claim: Claim, user: User, *, now: float) -> None:
        """See `Scheme.check`."""
        parts: _Parts = claim.parts
        if not parts.begins <= now <= parts.ends:
            raise RequestExpired(
                f"The signature is valid from {parts.begins} to {parts.ends}, and the time is {int(now)}"
            )
        key = _hmac(user.secret_key.encode(), parts.key_time)
        given = parts.signature.encode()
        if not any(
            hmac.compare_digest(given, _signature(request, parts, key, host)) for host in _hosts(request, parts)
        ):
            raise SignatureMismatch("The signature is not the one that the secret key gives for this request")
        digest = request.header("content-md5")
        if digest is not None and digest != base64.b64encode(hashlib.md5(request.body).digest()).decode():
            raise PayloadMismatch("The body is not the one that Content-MD5 tells", path="Content-MD5")


def _signature(request: HttpRequest, parts: _Parts, key: bytes, host: str) -> bytes:
    given: dict[str, str] = {}
    for name, value in request.query:
        given.setdefault(name.lower(), value)
    parameters = {name: _found(given.get(name), "parameter", name) for name in parts.parameters}
    headers = {name: host if name == "host" else _found(request.header(name), "header", name) for name in parts.headers}
    listed = f"{_joined(parameters, encoding='utf-8')}\n{_joined(headers, encoding='latin-1')}"
    text = f"{request.method.lower()}\n{request.path}\n{listed}\n"
    digest = hashlib.sha1(text.encode(errors="replace")).hexdigest()
    return _hmac(key, f"sha1\n{parts.sign_time}\n{digest}\n")


def _hosts(request: HttpRequest, parts: _Parts) -> tuple[str, ...]:
    """What may have been signed as `host`: the Go SDK signs the header, the Python SDK the name without the port."""
    if "host" not in parts.headers:
        return ("",)
    sent = _found(request.header("host"), "header", "host")
    try:
        name = urlsplit(f"//{sent}").hostname
    except ValueError:
        name = None
    return (sent,) if name is None or name == sent else (sent, name)


def _found(value: str | None, kind: str, name: str) -> str:
    if value is None:
        raise SignatureMismatch(f"The {kind} {name[:60]!r} is signed and was not sent")
    return value


def _window(name: str, text: str) -> tuple[int, int]:
    match = _WINDOW.fullmatch(text)
    if match is None:
        raise MalformedSignature(
            f"{name} must be two times in epoch seconds, as in 1765792988;1765796588; got {text!r}"
        )
    return int(match[1]), int(match[2])


def _names(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.lower() for name in text.split(";") if name))


def _joined(pairs: dict[str, str], *, encoding: str) -> str:
    """Names and values, percent-encoded; `encoding` is how the text was made of the bytes that were sent."""
    coded = {
        quote(name, safe="-_.~", errors="replace").lower(): quote(
            value, safe="-_.~", encoding=encoding, errors="replace"
        )
        for name, value in pairs.items()
    }
    return "&".join(f"{name}={value}" for name, value in sorted(coded.items()))


def _hmac(key: bytes, text: str) -> bytes:
    """The digest in hexadecimal digits, which COS uses as a key as they stand."""
    return hmac.new(key, text.encode(errors="replace"), hashlib.sha1).hexdigest().encode()
