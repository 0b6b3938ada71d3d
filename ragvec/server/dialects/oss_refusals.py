"""Errors as OSS Vectors tells them: `{"Error": {"Code", "Message", "RequestId", "HostId"}}`.

Codes that no page of the service names are those of OSS in general, or our guess where that has none:
docs/dialects-oss.md tells which.
"""

from __future__ import annotations

from ragvec.api.dialects import OSS, WireError
from ragvec.errors import RagvecError, StoreBusy, StoreError, StoreReadOnly
from ragvec.server import refusals
from ragvec.server.dialects.shared import JSON, encode, told_code
from ragvec.server.messages import HttpReply, HttpRequest
from ragvec.server.signing.oss4 import LinkExpired

__all__ = ["oss_refusal"]

_REFUSALS: dict[type[RagvecError], WireError] = {
    refusals.MalformedSignature: WireError(400, "InvalidArgument"),
    refusals.UnknownAccessKey: WireError(403, "InvalidAccessKeyId"),
    refusals.InvalidSessionToken: WireError(403, "InvalidSecurityToken"),
    refusals.ExpiredSessionToken: WireError(403, "SecurityTokenExpired"),
    refusals.SignatureMismatch: WireError(403, "SignatureDoesNotMatch"),
    refusals.RequestExpired: WireError(403, "RequestTimeTooSkewed"),
    LinkExpired: WireError(403, "AccessDenied"),
    refusals.PayloadMismatch: WireError(400, "InvalidDigest"),
    refusals.UnknownOperation: WireError(400, "InvalidArgument"),
    refusals.MethodNotAllowed: WireError(405, "MethodNotAllowed"),
    refusals.MalformedBody: WireError(400, "MalformedJson"),
    refusals.BodyTooLarge: WireError(400, "EntityTooLarge"),
    refusals.TooManyRequests: WireError(429, "QpsLimitExceeded"),
    refusals.RequestTimeout: WireError(400, "RequestTimeout"),
}
_INTERNAL = "We encountered an internal error. Please try again."
_STORE: dict[type[RagvecError], str] = {
    StoreBusy: "The service is busy. Please try again.",
    StoreReadOnly: "The store can only be read.",
    StoreError: _INTERNAL,
}
"""Faults of the store are told without the names of its files, which are in the log of the server."""


def oss_refusal(error: RagvecError, request: HttpRequest, *, operation: str, request_id: str) -> HttpReply:
    """The reply that tells `error`; `operation` is a name of the operations layer, "" where it is not known."""
    wire = told_code(error, OSS, _REFUSALS, operation=operation)
    message = next((_STORE[kind] for kind in type(error).__mro__ if kind in _STORE), error.message)
    if wire.status == 500:
        message = _INTERNAL
    if operation == "CreateIndex":
        message = message.replace("/metadataConfiguration", "/metadata")
    described = {
        "Code": wire.code,
        "Message": message.encode("utf-8", "replace").decode(),
        "RequestId": request_id,
        "HostId": request.header("host") or "",
    }
    return HttpReply(
        status=wire.status, headers=(JSON, ("x-oss-request-id", request_id)), body=encode({"Error": described})
    )
