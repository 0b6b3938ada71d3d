"""The keys by which JSON Web Tokens are verified: given, in a file, or at a URL.

Keys are a JSON Web Key Set, one JSON Web Key, or a public key or certificate in PEM. At a URL only the first two are
taken, by https, or by http from this machine; redirects are not followed. What was fetched serves for five minutes, and
is fetched again, at most every ten seconds, when a token names a key that is not there.
"""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from http.client import HTTPException
from pathlib import Path
from typing import Any, TypeAlias
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    UnknownHandler,
)

import msgspec

from ragvec.errors import AccessDenied

__all__ = ["Fetched", "GivenKeys", "KeySource", "Pem", "WebKey", "check_key_url", "keys_of"]

KeySource: TypeAlias = str | os.PathLike[str] | bytes | Mapping[str, Any]
"""A file, or its content: bytes, or a JSON Web Key (Set) as Python has it."""

GivenKeys: TypeAlias = Mapping[str, KeySource]
"""Keys by the URL or the ARN for which they stand."""

WebKey: TypeAlias = "Mapping[str, Any]"

_BYTES = 1 << 20
_SECONDS = 5.0
_FRESH_SECONDS = 300.0
_AGAIN_SECONDS = 10.0
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Pem(msgspec.Struct, frozen=True):
    """A public key or certificate in PEM."""

    data: bytes


class _Held(msgspec.Struct, frozen=True):
    """What a URL gave, or why it gave nothing, and when."""

    at: float
    keys: tuple[Any, ...]
    problem: str = ""


class Fetched:
    """Keys by URL, kept for a while. `clock` tells seconds that never go back; for any thread."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._held: dict[str, _Held] = {}

    def keys(self, url: str, *, wanted: str | None) -> Sequence[WebKey]:
        """The keys at the URL; fetched now if the one whose id is `wanted` is not among those known. Raises
        AccessDenied: there are none."""
        now = self._clock()
        held = self._held.get(url)
        if held is None or now - held.at >= self._lasts(held, wanted):
            held = self._held[url] = self._fetch(url, now)
        if held.problem:
            raise AccessDenied(f"The keys for tokens cannot be had from {url}: {held.problem}")
        return held.keys

    @staticmethod
    def _lasts(held: _Held, wanted: str | None) -> float:
        known = not held.problem and (wanted is None or any(key.get("kid") == wanted for key in held.keys))
        return _FRESH_SECONDS if known else _AGAIN_SECONDS

    @staticmethod
    def _fetch(url: str, now: float) -> _Held:
        try:
            return _Held(now, _web_keys(_downloaded(url)))
        except (OSError, HTTPException, ValueError) as error:
            return _Held(now, (), str(error) or type(error).__name__)


def check_key_url(url: str) -> str | None:
    """What is wrong with a URL that keys are to be fetched from; None for nothing."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        return str(error)
    if not host or parts.scheme not in ("https", "http"):
        return "expected an https URL"
    if parts.scheme == "http" and host not in _LOOPBACK:
        return "expected https, since by http anybody on the way could put keys in place of these"
    return None


def keys_of(source: KeySource) -> tuple[WebKey | Pem, ...]:
    """The keys in a file or its content. Raises AccessDenied: there are none."""
    try:
        if isinstance(source, Mapping):
            return _in_set(source)
        content = source if isinstance(source, bytes) else Path(source).read_bytes()
        if content.lstrip().startswith(b"-----BEGIN"):
            return (Pem(content),)
        return _web_keys(content)
    except (OSError, ValueError) as error:
        raise AccessDenied(f"The keys for tokens cannot be read: {error}") from error


def _downloaded(url: str) -> bytes:
    problem = check_key_url(url)
    if problem is not None:
        raise ValueError(problem)
    opener = OpenerDirector()
    # Of the usual handlers those for files, FTP and redirects are left out.
    for handler in (
        ProxyHandler({} if urlsplit(url).hostname in _LOOPBACK else None),
        UnknownHandler(),
        HTTPHandler(),
        HTTPSHandler(context=ssl.create_default_context()),
        HTTPDefaultErrorHandler(),
        HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    deadline = time.monotonic() + _SECONDS
    content = b""
    with opener.open(url, timeout=_SECONDS) as response:
        while part := response.read1(_BYTES):
            content += part
            if len(content) > _BYTES:
                raise ValueError(f"more than {_BYTES:,} bytes")
            if time.monotonic() > deadline:
                raise URLError(f"not finished after {_SECONDS:g} seconds")
    return content


def _web_keys(content: bytes) -> tuple[WebKey, ...]:
    try:
        decoded = msgspec.json.decode(content)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(f"no JSON Web Key Set: {error}") from error
    if not isinstance(decoded, dict):
        raise ValueError("no JSON Web Key Set")
    return _in_set(decoded)


def _in_set(decoded: Mapping[str, Any]) -> tuple[WebKey, ...]:
    keys = decoded.get("keys", [decoded] if "kty" in decoded else None)
    if not isinstance(keys, (list, tuple)) or not all(isinstance(key, Mapping) for key in keys):
        raise ValueError("no JSON Web Key Set")
    return tuple(keys)
