"""Amazon Kendra: AWS JSON 1.1, an operation a request, named by the header X-Amz-Target, over `ragvec.kendra.Client`.

A request is made on behalf of the user in its UserContext, if any: who signed it decides by policies what may be asked,
not which documents are found.
"""

from __future__ import annotations

import base64
import binascii
import logging
from collections.abc import Mapping
from datetime import datetime, timezone
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import msgspec

from ragvec.api.dialects import WireError, wire_error
from ragvec.api.exceptions import ClientError
from ragvec.errors import RagvecError
from ragvec.kendra import Client
from ragvec.kendra.errors import DIALECT
from ragvec.kendra.model.check import ParamValidationError, check_request
from ragvec.kendra.operations.data_sources import REFUSED
from ragvec.kendra.tags import parse_resource
from ragvec.server import refusals
from ragvec.server.dialects.face import Call, Service
from ragvec.server.dialects.shared import decode_object, encode
from ragvec.server.messages import HttpReply, HttpRequest
from ragvec.server.policy.permission import Permission
from ragvec.server.refusals import MalformedBody, MethodNotAllowed, UnknownOperation
from ragvec.server.signing.sigv4 import SigV4, scoped_service
from ragvec.server.users import User

if TYPE_CHECKING:
    from ragvec.store import Store

__all__ = ["KendraFace"]

_log = logging.getLogger("ragvec.server")

_TARGET = "AWSKendraFrontendService"
_JSON = ("content-type", "application/x-amz-json-1.1")
_WRONG_TYPE = "Invalid type for parameter"

_PARTS = MappingProxyType(
    {
        "Faq": "faq",
        "Thesaurus": "thesaurus",
        "FeaturedResultsSet": "featured-results-set",
        "QuerySuggestionsBlockList": "query-suggestions-block-list",
        "AccessControlConfiguration": "access-control-configuration",
    }
)
"""What belongs to an index, as operations and as resource names call it."""

_ERRORS: Mapping[type[RagvecError], WireError] = MappingProxyType(
    {
        refusals.NotSigned: WireError(403, "MissingAuthenticationToken"),
        refusals.MalformedSignature: WireError(400, "IncompleteSignature"),
        refusals.UnknownAccessKey: WireError(403, "InvalidClientTokenId"),
        refusals.InvalidSessionToken: WireError(403, "InvalidClientTokenId"),
        refusals.ExpiredSessionToken: WireError(400, "ExpiredTokenException"),
        refusals.SignatureMismatch: WireError(400, "InvalidSignatureException"),
        refusals.PayloadMismatch: WireError(400, "InvalidSignatureException"),
        refusals.RequestExpired: WireError(400, "RequestExpired"),
        refusals.UnknownOperation: WireError(400, "UnknownOperationException"),
        refusals.MethodNotAllowed: WireError(405, "UnknownOperationException"),
        refusals.MalformedBody: WireError(400, "SerializationException"),
        refusals.BodyTooLarge: WireError(413, "RequestEntityTooLargeException"),
        refusals.TooManyRequests: WireError(400, "ThrottlingException"),
        refusals.RequestTimeout: WireError(408, "RequestTimeoutException"),
    }
)


class KendraFace:
    """See `Face`. `options` are those of `ragvec.kendra.Client`, such as `folders` and `embedder`."""

    name = "kendra"

    def __init__(self, service: Service, store: Store, **options: Any) -> None:
        self.scheme = SigV4(services=("kendra",))
        self._account, self._region = service.account, service.region
        self._client = Client(store, **{"account": service.account, "region": service.region, **options})
        self._methods = {operation: method for method, operation in self._client.meta.method_to_api_mapping.items()}

    def recognizes(self, request: HttpRequest) -> bool:
        """Signed for kendra; or for nothing that there is, with its target."""
        service = scoped_service(request)
        return service == "kendra" or (service != "s3vectors" and _TARGET in (request.header("x-amz-target") or ""))

    def call(self, request: HttpRequest, user: User) -> Call:  # noqa: ARG002 - as in Face
        """See `Face.call`. The part of the target before its last dot, and the path, may be any."""
        target = request.header("x-amz-target")
        if target is None:
            raise UnknownOperation("The header X-Amz-Target, which names the operation, is not there")
        operation = target.rpartition(".")[2]
        if operation not in self._methods:
            raise UnknownOperation(f"There is no operation {operation[:100]!r}")
        if request.method != "POST":
            raise MethodNotAllowed(f"{operation} is asked for by POST, got {request.method}")
        members = {name: value for name, value in decode_object(request.body).items() if value is not None}
        if operation in REFUSED.values():
            members = {}
        elif operation == "BatchPutDocument":
            _decode_blobs(members)
        try:
            check_request(operation, members)
        except ParamValidationError as error:
            # Services answer a wrong type as JSON that they cannot read, and the rest as a request that is wrong.
            report = error.kwargs["report"].splitlines()
            if all(line.startswith(_WRONG_TYPE) for line in report):
                raise MalformedBody("; ".join(report)) from error
            raise
        return Call(operation=operation, arguments=members)

    def permissions(self, call: Call, user: User) -> tuple[Permission, ...]:  # noqa: ARG002 - as in Face
        """See `Face.permissions`. What is about something within an index needs both."""
        action, members = f"kendra:{call.operation}", call.arguments
        conditions = _conditions(members)
        wanted = [
            Permission(action=action, resource=resource, conditions=conditions)
            for resource in self._resources(call.operation, members)
        ]
        if members.get("Tags") and call.operation != "TagResource":
            wanted.append(msgspec.structs.replace(wanted[0], action="kendra:TagResource"))
        return tuple(wanted)

    def perform(self, call: Call) -> dict[str, Any]:
        """See `Face.perform`."""
        outcome: dict[str, Any] = getattr(self._client, self._methods[call.operation])(**call.arguments)
        outcome.pop("ResponseMetadata")
        return outcome

    def reply(self, call: Call, outcome: Any, *, request_id: str) -> HttpReply:  # noqa: ARG002 - as in Face
        """See `Face.reply`. Times are numbers, epoch seconds."""
        return HttpReply(status=200, headers=(_JSON, ("x-amzn-requestid", request_id)), body=encode(_written(outcome)))

    def refusal(
        self,
        error: RagvecError,
        request: HttpRequest,  # noqa: ARG002 - as in Face
        *,
        operation: str,
        request_id: str,
    ) -> HttpReply:
        """See `Face.refusal`."""
        document: dict[str, Any] = {}
        if isinstance(error, ClientError):
            told = error.response
            wire = WireError(told["ResponseMetadata"]["HTTPStatusCode"], told["Error"]["Code"])
            message = told["Error"]["Message"]
            if "ConflictingItems" in told:
                document["ConflictingItems"] = told["ConflictingItems"]
        else:
            found = next((_ERRORS[kind] for kind in type(error).__mro__ if kind in _ERRORS), None)
            wire = found or wire_error(DIALECT, error, operation=operation)
            message = error.message
        if wire.status == 500:
            # What went wrong inside is for the log of the server, not for whoever asks.
            _log.error("request %s failed: %s", request_id, message, exc_info=error.__cause__)
            message = "An internal error occurred"
        document |= {"__type": wire.code, "message": message}
        headers = (_JSON, ("x-amzn-requestid", request_id), ("x-amzn-errortype", wire.code))
        return HttpReply(status=wire.status, headers=headers, body=encode(document))

    def _resources(self, operation: str, members: Mapping[str, Any]) -> tuple[str, ...]:
        of_account = f"arn:aws:kendra:{self._region}:{self._account}:index"
        if "ResourceARN" in members:
            # Whatever account and region it names, it is that of this account which is meant.
            named = parse_resource(members["ResourceARN"])
            return (f"{of_account}/{named.index_id}" + (f"/{named.part}" if named.part else ""),)
        whole = members.get("Id") if operation.endswith("Index") else members.get("IndexId")
        if whole is None:
            return ("*",)
        index = f"{of_account}/{whole}"
        kind = next((name for noun, name in _PARTS.items() if operation.endswith(noun)), None)
        parts = members.get("FeaturedResultsSetIds") or [members.get("FeaturedResultsSetId") or members.get("Id")]
        if kind is None or parts == [None]:
            return (index,)
        return (index, *(f"{index}/{kind}/{part}" for part in parts))


def _conditions(members: Mapping[str, Any]) -> Mapping[str, tuple[str, ...]]:
    tags = members.get("Tags") or []
    keys = tuple(members.get("TagKeys") or (tag["Key"] for tag in tags))
    given = {f"aws:RequestTag/{tag['Key']}": (tag["Value"],) for tag in tags}
    return {**given, "aws:TagKeys": keys} if keys else given


def _decode_blobs(members: dict[str, Any]) -> None:
    """Put bytes in place of the base64 that JSON has. Raises MalformedBody."""
    documents = members.get("Documents")
    for number, document in enumerate(documents if isinstance(documents, list) else ()):
        blob = document.get("Blob") if isinstance(document, dict) else None
        if isinstance(blob, str):
            try:
                document["Blob"] = base64.b64decode(blob, validate=True)
            except (binascii.Error, ValueError) as error:
                raise MalformedBody(f"Expected base64, got {blob[:20]!r} - at `Documents[{number}].Blob`") from error


def _written(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _written(each) for name, each in value.items() if each is not None}
    if isinstance(value, (list, tuple)):
        return [_written(each) for each in value]
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=timezone.utc)).timestamp()
    return value
