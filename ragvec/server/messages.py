"""An HTTP request and its reply as plain values: as they are on the wire, since signatures cover exactly that."""

from __future__ import annotations

from functools import cached_property
from urllib.parse import unquote, unquote_plus

import msgspec

__all__ = ["HttpReply", "HttpRequest"]


class HttpRequest(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """A request whose body has arrived whole. `raw_path` and `raw_query` are percent-encoded as they came.

    Header names are in lower case, in order of arrival; values have no blanks at their ends. `client` is the address
    of the peer, `secure` whether the connection was encrypted.
    """

    method: str
    raw_path: str
    raw_query: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    client: str = ""
    secure: bool = False

    @cached_property
    def path(self) -> str:
        """The path, decoded."""
        return unquote(self.raw_path)

    @cached_property
    def query(self) -> tuple[tuple[str, str], ...]:
        """The parameters of the query in their order, decoded; one without `=` has the value ""."""
        pairs = (part.partition("=") for part in self.raw_query.split("&") if part)
        return tuple((unquote_plus(name), unquote_plus(value)) for name, _, value in pairs)

    @cached_property
    def _headers(self) -> dict[str, str]:
        joined: dict[str, str] = {}
        for name, value in self.headers:
            joined[name] = f"{joined[name]},{value}" if name in joined else value
        return joined

    def header(self, name: str) -> str | None:
        """The value of the header with this name in lower case, several joined by commas; None: there is none."""
        return self._headers.get(name)

    def parameter(self, name: str) -> str | None:
        """The first value of a parameter of the query; None: there is none."""
        return next((value for key, value in self.query if key == name), None)


class HttpReply(msgspec.Struct, frozen=True, kw_only=True):
    """A reply; `Content-Length` is for the server to add."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
