"""Amazon S3 Vectors: REST with JSON, an operation a path, tags on `/tags/{resourceArn}`.

Where the service documents nothing (authentication errors, operations and parameters that there are not), replies are
those of AWS services in general, and parameters that are not known are refused rather than ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote

from ragvec.api.access import actions, bucket_name
from ragvec.api.decode import decode_request
from ragvec.api.dialects import S3, WireError
from ragvec.api.names import bucket_arn, index_arn, parse_arn
from ragvec.api.operations import OPERATIONS
from ragvec.api.requests import PutVectorBucketPolicy, Request, UntagResource
from ragvec.api.responses import Response
from ragvec.errors import (
    InvalidName,
    InvalidRequest,
    RagvecError,
    StoreBusy,
    StoreError,
    StoreFull,
    StoreReadOnly,
)
from ragvec.server import refusals
from ragvec.server.dialects.face import Call, Service
from ragvec.server.dialects.shared import JSON, decode_object, encode, told_code, told_message
from ragvec.server.messages import HttpReply, HttpRequest
from ragvec.server.policy.grammar import check_bucket_policy
from ragvec.server.policy.permission import Permission
from ragvec.server.refusals import MethodNotAllowed, UnknownOperation
from ragvec.server.signing.sigv4 import ALGORITHM, SigV4, scoped_service
from ragvec.server.users import User

__all__ = ["S3VectorsFace"]

_TAGS = "/tags/"
_TAG_OPERATIONS = MappingProxyType({"POST": "TagResource", "DELETE": "UntagResource", "GET": "ListTagsForResource"})
_PATHS = MappingProxyType(
    {f"/{name}": name for name in OPERATIONS if name not in S3.absent and name not in _TAG_OPERATIONS.values()}
)
_OTHERS_HEADERS = ("x-oss-", "x-cos-", "x-tos-", "x-amz-target")
_OTHERS_HOSTS = ("oss-vectors", "coslake", "tencentcos", "tosvectors")

_ERRORS: Mapping[type[RagvecError], WireError] = MappingProxyType(
    {
        refusals.NotSigned: WireError(403, "MissingAuthenticationTokenException"),
        refusals.MalformedSignature: WireError(400, "IncompleteSignatureException"),
        refusals.UnknownAccessKey: WireError(403, "UnrecognizedClientException"),
        refusals.InvalidSessionToken: WireError(403, "UnrecognizedClientException"),
        refusals.ExpiredSessionToken: WireError(403, "ExpiredTokenException"),
        refusals.SignatureMismatch: WireError(403, "InvalidSignatureException"),
        refusals.RequestExpired: WireError(403, "InvalidSignatureException"),
        refusals.PayloadMismatch: WireError(400, "XAmzContentSHA256Mismatch"),
        refusals.UnknownOperation: WireError(404, "UnknownOperationException"),
        refusals.MethodNotAllowed: WireError(405, "UnknownOperationException"),
        refusals.MalformedBody: WireError(400, "SerializationException"),
        refusals.BodyTooLarge: WireError(400, "ValidationException"),
        refusals.TooManyRequests: WireError(429, "TooManyRequestsException"),
        refusals.RequestTimeout: WireError(408, "RequestTimeoutException"),
    }
)

_OF_THE_STORE = (
    (StoreBusy, "Currently unable to handle the request"),
    (StoreFull, "The store is full"),
    (StoreReadOnly, "The store can only be read"),
    (StoreError, "Internal server error"),
)
"""What clients are told of faults whose own messages name files of the server."""


class S3VectorsFace:
    """See `Face`."""

    name = "s3vectors"

    def __init__(self, service: Service) -> None:
        self.scheme = SigV4(services=("s3vectors",))
        self._session = service.session(S3)

    def recognizes(self, request: HttpRequest) -> bool:
        """Signed for s3vectors; or for a service that there is not, or not signed, and on a path of this one."""
        authorization = request.header("authorization")
        if authorization is not None and "/s3vectors/aws4_request," in authorization:
            return True
        service = scoped_service(request)
        if service is not None:
            return service == "s3vectors" or (service != "kendra" and _is_path(request.raw_path))
        if authorization is not None and authorization.startswith(ALGORITHM):
            return request.header("x-amz-target") is None
        return not authorization and _is_path(request.raw_path) and not _is_of_another(request)

    def call(self, request: HttpRequest, user: User) -> Call:  # noqa: ARG002 - as in Face
        """See `Face.call`."""
        operation = _operation(request)
        arguments = _arguments(operation, request)
        decoded = decode_request(OPERATIONS[operation].request, arguments, operation=operation, dialect=S3)
        bucket, index, _ = self._target(decoded)
        return Call(operation=operation, arguments=arguments, bucket=bucket, index=index, own=decoded)

    def permissions(self, call: Call, user: User) -> tuple[Permission, ...]:  # noqa: ARG002 - as in Face
        """See `Face.permissions`. ListVectorBuckets, and what names nothing and so will fail, are about `*`."""
        bucket, _, resource = self._target(call.own)
        conditions = _conditions(call.own)
        return tuple(
            Permission(action=f"s3vectors:{action}", resource=resource, bucket=bucket, conditions=conditions)
            for action in actions(call.operation, call.own)
        )

    def perform(self, call: Call) -> Response:
        """See `Face.perform`. What this server could not decide by is no policy; names are looked at before."""
        if isinstance(call.own, PutVectorBucketPolicy):
            bucket_name(self._session, call.own)
            check_bucket_policy(call.own.policy, S3)
        return OPERATIONS[call.operation].run(self._session, call.own)

    def reply(self, call: Call, outcome: Response, *, request_id: str) -> HttpReply:  # noqa: ARG002 - as in Face
        """See `Face.reply`."""
        return HttpReply(status=200, headers=(JSON, ("x-amzn-requestid", request_id)), body=encode(outcome))

    def refusal(
        self,
        error: RagvecError,
        request: HttpRequest,  # noqa: ARG002 - as in Face
        *,
        operation: str,
        request_id: str,
    ) -> HttpReply:
        """See `Face.refusal`. Faults of the store are named in the log, not to clients."""
        wire = told_code(error, S3, _ERRORS, operation=operation)
        document: dict[str, Any] = {"message": _message(error, wire)}
        if isinstance(error, InvalidRequest) and error.fields and type(error) not in _ERRORS:
            document["fieldList"] = [{"path": path, "message": text} for path, text in error.fields]
        headers = (JSON, ("x-amzn-requestid", request_id), ("x-amzn-errortype", wire.code))
        return HttpReply(status=wire.status, headers=headers, body=encode(document))

    def _target(self, request: Request) -> tuple[str | None, str | None, str]:
        """The bucket and index of this account that a request names, and the resource name of what it is about."""
        arn: str | None = getattr(request, "resource_arn", None) or getattr(request, "index_arn", None)
        bucket: str | None = getattr(request, "vector_bucket_name", None)
        index: str | None = getattr(request, "index_name", None)
        if arn is None:
            arn = getattr(request, "vector_bucket_arn", None)
            if arn is not None and index is not None:
                arn += S3.index_arn_suffix.format(index=index)
        if arn is not None:
            return *self._named(arn), arn
        if bucket is None:
            return None, index, "*"
        owner = {"region": self._session.region, "account": self._session.account, "bucket": bucket}
        return bucket, index, bucket_arn(S3, **owner) if index is None else index_arn(S3, **owner, index=index)

    def _named(self, arn: str) -> tuple[str | None, str | None]:
        try:
            parsed = parse_arn(arn, S3, path="", kind="any")
        except InvalidName:
            # The operation will say so.
            return None, None
        if (parsed.account, parsed.region) != (self._session.account, self._session.region):
            return None, None
        return parsed.bucket, parsed.index


def _is_path(raw_path: str) -> bool:
    return raw_path in _PATHS or raw_path.startswith(_TAGS)


def _is_of_another(request: HttpRequest) -> bool:
    host = request.header("host") or ""
    return any(part in host for part in _OTHERS_HOSTS) or any(
        name.startswith(_OTHERS_HEADERS) for name, _ in request.headers
    )


def _operation(request: HttpRequest) -> str:
    path = request.raw_path
    name = _PATHS.get(path)
    if name is not None:
        if request.method != "POST":
            raise MethodNotAllowed(f"{name} is asked for by POST, got {request.method}")
        return name
    if path.startswith(_TAGS) and len(path) > len(_TAGS):
        if request.method not in _TAG_OPERATIONS:
            raise MethodNotAllowed(f"Tags are asked for by {', '.join(_TAG_OPERATIONS)}; got {request.method}")
        return _TAG_OPERATIONS[request.method]
    raise UnknownOperation(f"There is no operation at the path {path[:200]!r}")


def _arguments(operation: str, request: HttpRequest) -> dict[str, Any]:
    if not request.raw_path.startswith(_TAGS):
        return decode_object(request.body)
    place = {"resourceArn": unquote(request.raw_path[len(_TAGS) :])}
    if operation == "TagResource":
        return decode_object(request.body) | place
    if operation == "UntagResource":
        return place | {"tagKeys": [value for name, value in request.query if name == "tagKeys"] or None}
    return place


def _conditions(request: Request) -> Mapping[str, tuple[str, ...]]:
    """The condition keys of S3 Vectors and of tags that a request gives."""
    conditions: dict[str, tuple[str, ...]] = {}
    encryption = getattr(request, "encryption_configuration", None)
    if encryption is not None:
        if encryption.sse_type is not None:
            conditions["s3vectors:sseType"] = (encryption.sse_type,)
        if encryption.kms_key_arn is not None:
            conditions["s3vectors:kmsKeyArn"] = (encryption.kms_key_arn,)
    tags: dict[str, str] | None = getattr(request, "tags", None)
    if tags:
        conditions |= {f"aws:RequestTag/{key}": (value,) for key, value in tags.items()}
    keys = tuple(tags or ()) if not isinstance(request, UntagResource) else tuple(request.tag_keys)
    if keys:
        conditions["aws:TagKeys"] = keys
    return conditions


def _message(error: RagvecError, wire: WireError) -> str:
    if isinstance(error, refusals.BodyTooLarge):
        return "Request body exceeds max allowed size"
    for kind, text in _OF_THE_STORE:
        if isinstance(error, kind):
            return text
    return "Internal server error" if wire.status == 500 else told_message(error, S3)
