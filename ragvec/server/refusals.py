"""Why a request gets no further than the server: reasons that the operations themselves do not know.

Each dialect gives them its own status and code.
"""

from __future__ import annotations

from ragvec.errors import AccessDenied, InvalidRequest, RagvecError

__all__ = [
    "BodyTooLarge",
    "ExpiredSessionToken",
    "InvalidSessionToken",
    "MalformedBody",
    "MalformedSignature",
    "MethodNotAllowed",
    "NotSigned",
    "PayloadMismatch",
    "RequestExpired",
    "RequestTimeout",
    "SignatureMismatch",
    "TooManyRequests",
    "UnknownAccessKey",
    "UnknownOperation",
]


class NotSigned(AccessDenied):
    """The request carries no signature, and the server wants one."""


class MalformedSignature(AccessDenied):
    """The parts of the signature are not those of its scheme, or are of another service."""


class UnknownAccessKey(AccessDenied):
    """No user has this access key."""


class InvalidSessionToken(AccessDenied):
    """The session token is not the one that belongs to the access key, or its time is over."""


class ExpiredSessionToken(InvalidSessionToken):
    """The time of the session token is over."""


class SignatureMismatch(AccessDenied):
    """The signature is not the one that the user's secret key gives."""


class RequestExpired(AccessDenied):
    """The time of signing is too far from the server's clock, or the signature is not valid any more."""


class PayloadMismatch(InvalidRequest):
    """The body is not the one whose digest the headers tell."""


class UnknownOperation(InvalidRequest):
    """The path, target or parameters name no operation of the service."""


class MethodNotAllowed(InvalidRequest):
    """The operation is not asked for by this HTTP method."""


class MalformedBody(InvalidRequest):
    """The body is not in the format of the service."""


class BodyTooLarge(InvalidRequest):
    """The body is longer than the server takes."""


class TooManyRequests(RagvecError):
    """As many requests as the server works on at once are waiting; try again."""


class RequestTimeout(RagvecError):
    """The body did not arrive in time."""
