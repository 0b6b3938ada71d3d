"""What every scheme of signing has in common."""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from ragvec.server.messages import HttpRequest
from ragvec.server.users import User

__all__ = ["CLOCK_TOLERANCE", "Claim", "Scheme"]

CLOCK_TOLERANCE = 15 * 60
"""Seconds by which the clock of a signer may differ from the server's, where a scheme says nothing else."""


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """Who a request says has signed it; not yet believed. `parts` is what the scheme itself read."""

    access_key: str
    session_token: str | None = None
    parts: Any = None


class Scheme(Protocol):
    """A way of signing. Both methods are pure: the time is an argument, nothing is kept from request to request but
    keys derived from secrets."""

    name: str

    def claim(self, request: HttpRequest) -> Claim | None:
        """What the request claims; None: it is not signed by this scheme.

        Raises:
            MalformedSignature: it is, and its parts are not what they should be.
        """
        ...

    def check(self, request: HttpRequest, claim: Claim, user: User, *, now: float) -> None:
        """Return if `user`, whose access key is that of the claim, signed this request, at a time that fits `now`.

        Signatures are compared in constant time. Tokens are not compared here: `handle.py` does, for every scheme.

        Raises:
            SignatureMismatch, RequestExpired, PayloadMismatch, MalformedSignature: it is not so.
        """
        ...
