"""Fetching pages of the web, which `ragvec.pipeline.urls.Urls` asks for: nothing else in loading opens a connection.

An address is resolved once, and it is the address looked at that is connected to, so that no name can point somewhere
else meanwhile. Redirections are followed under the same rules.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import threading
import time
from contextlib import suppress
from pathlib import PurePosixPath
from urllib.parse import quote, unquote, urldefrag, urljoin, urlsplit

import msgspec

from ragvec.errors import DocumentError
from ragvec.limits import FileLimits
from ragvec.pipeline.loaders.formats import SUFFIXES
from ragvec.pipeline.loaders.opening import CONTAINERS
from ragvec.pipeline.loaders.source import refused
from ragvec.pipeline.urls import Urls

__all__ = ["Page", "fetch"]

_CHUNK = 1 << 16
_MOVED = (301, 302, 303, 307, 308)
_MARK = b"\xef\xbb\xbf"
_PORTS = {"http": 80, "https": 443}
_TYPES = {
    "text/html": ".html",
    "application/xhtml+xml": ".html",
    "text/plain": ".txt",
    "text/markdown": ".md",
    "text/x-markdown": ".md",
    "text/csv": ".csv",
    "text/tab-separated-values": ".tsv",
    "application/pdf": ".pdf",
    "application/json": ".json",
    "application/x-ndjson": ".jsonl",
    "application/jsonl": ".jsonl",
    "application/epub+zip": ".epub",
    "application/zip": ".zip",
    "application/rtf": ".rtf",
    "text/rtf": ".rtf",
    "message/rfc822": ".eml",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": ".docx",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": ".pptx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": ".xlsx",
    "application/x-ipynb+json": ".ipynb",
}
# What servers say of files that they know nothing about; the name says more then.
_VAGUE = ("", "text/plain", "application/octet-stream", "binary/octet-stream", "application/x-download")


class Page(msgspec.Struct, frozen=True):
    """What was fetched: the bytes, where from after all redirections, and the suffix of files of its type."""

    raw: bytes
    url: str
    suffix: str


def fetch(url: str, source: Urls, limits: FileLimits) -> Page:
    """The page at `url`.

    Raises:
        DocumentError: it cannot be had: the reason says whether that is the URL, the network, the answer or a limit.
    """
    late = threading.Event()
    deadline = time.monotonic() + source.seconds
    here = urldefrag(url.strip()).url
    for _ in range(source.redirects + 1):
        found = _answer(here, source, limits, late, deadline)
        if isinstance(found, Page):
            return found
        if here.startswith("https:") and not found.startswith("https:"):
            raise DocumentError(f"Expected a redirection that stays with https, got one to {found[:200]}")
        here = found
    raise DocumentError(f"Expected at most {source.redirects} redirections, got more: Urls(redirects=…) allows more")


def _answer(url: str, source: Urls, limits: FileLimits, late: threading.Event, deadline: float) -> Page | str:
    """The page, or where it has moved to."""
    connection, target = _connection(url, source, deadline)

    def end() -> None:
        late.set()
        connection.end()

    timer = threading.Timer(max(0.0, deadline - time.monotonic()), end)
    timer.daemon = True
    timer.start()
    try:
        connection.request("GET", target, headers={"User-Agent": "ragvec", "Accept-Encoding": "identity"})
        response = connection.getresponse()
        if response.status in _MOVED and response.getheader("Location"):
            return urldefrag(urljoin(url, response.getheader("Location") or "")).url
        if response.status != 200:
            raise DocumentError(f"Expected the page, got the answer {response.status} {response.reason[:100]}")
        if (response.getheader("Content-Encoding") or "identity").lower() != "identity":
            raise DocumentError("Expected a page as it is, got one that is compressed without being asked to")
        raw = _body(response, limits)
        if late.is_set():
            raise _too_late(source)
        return Page(*_decoded(raw, response, url))
    except (OSError, http.client.HTTPException, ValueError) as error:
        if late.is_set() or isinstance(error, TimeoutError):
            raise _too_late(source) from error
        raise DocumentError(f"Expected a page that can be fetched: {str(error) or repr(error):.300}") from error
    finally:
        timer.cancel()
        connection.close()


def _too_late(source: Urls) -> DocumentError:
    return DocumentError(
        f"Expected a page within {source.seconds:g} seconds, got one that takes longer: Urls(seconds=…) allows more"
    )


def _body(response: http.client.HTTPResponse, limits: FileLimits) -> bytes:
    most = limits.file_bytes
    promised = response.getheader("Content-Length") or ""
    if promised.isdecimal() and len(promised) < 20 and int(promised) > most:
        raise refused("file_bytes", most=most, got=f"{int(promised):,}", unit="bytes in a page")
    parts, length = [], 0
    while part := response.read(_CHUNK):
        parts.append(part)
        length += len(part)
        if length > most:
            raise refused("file_bytes", most=most, got="more", unit="bytes in a page")
    if promised.isdecimal() and length < int(promised):
        raise DocumentError(f"Expected {int(promised):,} bytes, as the answer promised, got {length:,}")
    return b"".join(parts)


def _decoded(raw: bytes, response: http.client.HTTPResponse, url: str) -> tuple[bytes, str, str]:
    """The page's bytes, in UTF-8 with its mark where the answer names another encoding; its URL; and its suffix."""
    kind = response.headers.get_content_type() if response.getheader("Content-Type") else ""
    charset = response.headers.get_content_charset()
    if charset and kind.startswith("text/") and not raw.startswith(_MARK):
        with suppress(LookupError, UnicodeError):  # not what it says; the loader finds out what it is
            raw = _MARK + raw.decode(charset).encode()
    named = PurePosixPath(unquote(urlsplit(url).path)).suffix.lower()
    known = named in SUFFIXES or named in CONTAINERS
    if kind in _VAGUE and known:
        return raw, url, named
    if kind in _TYPES:
        return raw, url, _TYPES[kind]
    if known:
        return raw, url, named
    raise DocumentError(f"Expected a page of a type that is read, got {kind or 'one of no type'}")


class _Plain(http.client.HTTPConnection):
    """A connection to an address that was looked at before."""

    def __init__(self, host: str, port: int, *, private: bool, timeout: float) -> None:
        super().__init__(host, port, timeout=timeout)
        self._private, self._seconds = private, timeout

    def connect(self) -> None:
        """Connect to the first address that answers."""
        self.sock = _connected(self.host, self.port, private=self._private, timeout=self._seconds)

    def end(self) -> None:
        """End it from another thread."""
        _shut(self.sock)


class _Secure(http.client.HTTPSConnection):
    """The same, encrypted; the certificate must be the host's."""

    def __init__(self, host: str, port: int, *, private: bool, timeout: float) -> None:
        self._tls = ssl.create_default_context()
        super().__init__(host, port, timeout=timeout, context=self._tls)
        self._private, self._seconds = private, timeout

    def connect(self) -> None:
        """Connect to the first address that answers."""
        plain = _connected(self.host, self.port, private=self._private, timeout=self._seconds)
        self.sock = self._tls.wrap_socket(plain, server_hostname=self.host)

    def end(self) -> None:
        """End it from another thread."""
        _shut(self.sock)


def _shut(connected: socket.socket | None) -> None:
    if connected is None:
        return
    try:
        connected.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it has ended by itself


def _connection(url: str, source: Urls, deadline: float) -> tuple[_Plain | _Secure, str]:
    """A connection, not opened yet, and what to ask for."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError as error:
        raise DocumentError(f"Expected a URL, got {url[:200]!r}: {error}") from error
    if parts.scheme not in _PORTS:
        raise DocumentError(f"Expected a URL of http or https, got {url[:200]!r}")
    if not host or parts.username is not None or parts.password is not None:
        raise DocumentError("Expected a URL with a host and without a user's name and password")
    kind = _Secure if parts.scheme == "https" else _Plain
    left = max(0.1, deadline - time.monotonic())
    try:
        ascii_host = host if ":" in host else host.encode("idna").decode("ascii")
    except UnicodeError as error:
        raise DocumentError(f"Expected a URL with the name of a host, got {host[:200]!r}") from error
    target = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._") + (
        "?" + quote(parts.query, safe="/%:@!$&'()*+,;=~-._?") if parts.query else ""
    )
    return kind(ascii_host, port, private=source.private, timeout=left), target


def _connected(host: str, port: int, *, private: bool, timeout: float) -> socket.socket:
    trouble: OSError | None = None
    for *_, (address, *_more) in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        if not private and not _is_public(str(address)):
            raise DocumentError(
                f"Expected a host on the public internet, got {host[:200]}, which is {address}: Urls(private=True) "
                "allows it"
            )
        try:
            return socket.create_connection((str(address), port), timeout=timeout)
        except OSError as error:
            trouble = error
    raise trouble or OSError(f"no address of {host}")


def _is_public(address: str) -> bool:
    found = ipaddress.ip_address(address.partition("%")[0])
    inner = (found.ipv4_mapped or found.sixtofour) if isinstance(found, ipaddress.IPv6Address) else None
    return found.is_global and not found.is_multicast and (inner is None or inner.is_global)
