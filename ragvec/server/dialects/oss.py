"""Alibaba Cloud OSS Vectors: operations by method and key of the query, on a bucket that the host or the path names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from ragvec.api.dialects import OSS
from ragvec.api.operations import perform
from ragvec.api.responses import Policy
from ragvec.errors import BucketNotFound, InvalidRequest, RagvecError
from ragvec.server.dialects import oss_buckets
from ragvec.server.dialects.face import Call, Service
from ragvec.server.dialects.oss_fusion import query_fusion
from ragvec.server.dialects.oss_refusals import oss_refusal
from ragvec.server.dialects.oss_routes import SELECTORS, Route, route_of
from ragvec.server.dialects.oss_vectors import OssVectors
from ragvec.server.dialects.shared import JSON, JsonObject, decode_object, encode
from ragvec.server.messages import HttpReply, HttpRequest
from ragvec.server.policy.grammar import check_bucket_policy
from ragvec.server.policy.permission import Permission
from ragvec.server.refusals import MalformedBody
from ragvec.server.signing.oss4 import Oss4
from ragvec.server.signing.oss_target import OssTarget, oss_target
from ragvec.server.users import User

__all__ = ["OssFace"]


class _Asked(msgspec.Struct, frozen=True):
    """The operation, and the host and bucket that it is asked of."""

    route: Route
    target: OssTarget


class OssFace:
    """The service; see `Face`."""

    name = "oss"

    def __init__(self, service: Service) -> None:
        self.scheme = Oss4(account=service.account)
        self._account = service.account
        self._session = service.session(OSS)
        self._indexes = OssVectors(self._session)
        self._own = self._operations()

    def recognizes(self, request: HttpRequest) -> bool:
        """By the signature; without one by the key in the query, or by what no other service is asked like this."""
        authorization = request.header("authorization")
        if authorization is not None:
            return authorization.startswith("OSS")
        names = {name for name, _ in request.query}
        if "x-oss-signature-version" in names or not names.isdisjoint(SELECTORS):
            return True
        return request.method == "PUT" or (request.method in ("GET", "DELETE") and request.path in ("", "/"))

    # -- the request ---------------------------------------------------------------------------------------------------

    def call(self, request: HttpRequest, user: User) -> Call:  # noqa: ARG002 - as in Face
        """See `Face.call`."""
        target = oss_target(request, account=self._account)
        route = route_of(request, target)
        if target.account not in (None, self._account):
            raise BucketNotFound(
                "The specified vector bucket could not be found", subject=f"{target.bucket!r} of {target.account}"
            )
        arguments = _arguments(route, request)
        index = arguments.get("indexName")
        if target.bucket is not None:
            arguments["vectorBucketName"] = target.bucket
        return Call(
            operation=route.operation,
            arguments=arguments,
            bucket=target.bucket,
            index=index if isinstance(index, str) else None,
            own=_Asked(route, target),
        )

    # -- the operation -------------------------------------------------------------------------------------------------

    def permissions(self, call: Call, user: User) -> tuple[Permission, ...]:  # noqa: ARG002 - as in Face
        """See `Face.permissions`.

        What is told of metadata or data needs GetVectors too, as on S3 Vectors: OSS documents that for fusion queries
        alone, but the bucket may have a policy in S3's words that counts on it.
        """
        resource = OSS.bucket_arn.format(region=self._session.region, account=self._account, bucket=call.bucket or "*")
        if call.index is not None:
            resource += OSS.index_arn_suffix.format(index=call.index)
        names = (call.own.route.name, "GetVectors") if _reads(call) else (call.own.route.name,)
        return tuple(Permission(action=f"oss:{name}", resource=resource, bucket=call.bucket) for name in names)

    def perform(self, call: Call) -> Any:
        """See `Face.perform`. Returns what the reply says: a text, or what JSON is made of; None for nothing."""
        own = self._own.get(call.operation)
        try:
            if own is not None:
                return own(call)
            outcome = perform(self._session, call.operation, arguments=call.arguments)
        except RecursionError as error:
            raise MalformedBody("The body is nested too deep") from error
        return outcome.policy if isinstance(outcome, Policy) else None

    def _operations(self) -> Mapping[str, Callable[[Call], Any]]:
        """The operations that are not those of the operations layer, or need more than that."""
        session, indexes = self._session, self._indexes
        return {
            "ListVectorBuckets": lambda call: oss_buckets.list_buckets(
                session, **call.arguments, host=call.own.target.service
            ),
            "CreateVectorBucket": lambda call: oss_buckets.create_bucket(
                session, bucket=call.bucket, tagging=call.arguments["tagging"], group=call.arguments["group"]
            ),
            "GetVectorBucket": lambda call: oss_buckets.described_bucket(
                session, bucket=call.bucket, host=call.own.target.service
            ),
            "PutBucketLogging": lambda call: oss_buckets.put_logging(
                session, bucket=call.bucket, body=call.arguments["body"]
            ),
            "GetBucketLogging": lambda call: oss_buckets.get_logging(session, bucket=call.bucket),
            "DeleteBucketLogging": lambda call: oss_buckets.delete_logging(session, bucket=call.bucket),
            "CreateIndex": lambda call: indexes.create_index(call.arguments),
            "PutVectorIndexFusion": lambda call: indexes.create_fusion_index(call.arguments),
            "GetIndex": lambda call: indexes.get_index(call.arguments),
            "ListIndexes": lambda call: indexes.list_indexes(call.arguments),
            "PutVectors": lambda call: indexes.put_vectors(call.arguments),
            "GetVectors": lambda call: indexes.read_vectors("GetVectors", call.arguments),
            "ListVectors": lambda call: indexes.read_vectors("ListVectors", call.arguments),
            "QueryVectors": lambda call: indexes.query_vectors(call.arguments),
            "QueryVectorsFusion": lambda call: query_fusion(indexes, call.arguments),
        }

    # -- the reply -----------------------------------------------------------------------------------------------------

    def reply(self, call: Call, outcome: Any, *, request_id: str) -> HttpReply:
        """See `Face.reply`."""
        headers = [("x-oss-request-id", request_id)]
        if call.operation == "CreateVectorBucket":
            headers.append(("location", f"/{call.bucket}"))
        if outcome is None:
            return HttpReply(status=call.own.route.status, headers=tuple(headers))
        body = outcome.encode() if isinstance(outcome, str) else encode(outcome)
        return HttpReply(status=call.own.route.status, headers=(JSON, *headers), body=body)

    def refusal(self, error: RagvecError, request: HttpRequest, *, operation: str, request_id: str) -> HttpReply:
        """See `Face.refusal`."""
        return oss_refusal(error, request, operation=operation, request_id=request_id)


def _reads(call: Call) -> bool:
    """Whether the reply tells more of vectors than keys and distances."""
    if call.operation == "QueryVectorsFusion":
        return True
    if call.operation not in ("QueryVectors", "ListVectors"):
        return False
    given = call.arguments
    return given.get("filter") is not None or bool(given.get("returnMetadata")) or bool(given.get("returnData"))


def _arguments(route: Route, request: HttpRequest) -> JsonObject:
    """The parameters of an operation, wherever the request has them."""
    group = request.header("x-oss-resource-group-id")
    if route.operation == "ListVectorBuckets":
        return {
            "prefix": request.parameter("prefix") or "",
            "marker": request.parameter("marker") or "",
            "max_keys": request.parameter("max-keys"),
            "group": group,
        }
    if route.operation == "CreateVectorBucket":
        return {"tagging": request.header("x-oss-bucket-tagging"), "group": group}
    if route.operation == "PutVectorBucketPolicy":
        try:
            policy = request.body.decode()
        except UnicodeDecodeError as error:
            raise MalformedBody(f"The policy is not text in UTF-8: {error}") from error
        check_bucket_policy(policy, OSS)
        return {"policy": policy}
    if route.body == "none":
        return {}
    body = decode_object(request.body)
    if route.operation == "PutBucketLogging":
        return {"body": body}
    if "vectorBucketName" in body:
        raise InvalidRequest(
            "Unknown parameter `vectorBucketName`: the host or the path names it", path="/vectorBucketName"
        )
    return body
