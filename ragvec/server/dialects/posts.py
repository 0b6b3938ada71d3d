"""What the services have in common whose operations are `POST /{Operation}` with a JSON object: COS and TOS."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

from ragvec.api.access import bucket_name
from ragvec.api.decode import decode_request
from ragvec.api.dialects import Dialect, WireError
from ragvec.api.names import bucket_arn, index_arn, parse_arn
from ragvec.api.operations import OPERATIONS
from ragvec.api.requests import ListVectors, PutVectorBucketPolicy, QueryVectors, Request
from ragvec.api.responses import QueryResult, Response, VectorList
from ragvec.errors import InvalidName, InvalidRequest, RagvecError
from ragvec.server import refusals
from ragvec.server.dialects.face import Call, Service
from ragvec.server.dialects.shared import (
    JSON,
    JsonObject,
    decode_object,
    encode,
    told_code,
    told_message,
    written_time,
)
from ragvec.server.messages import HttpReply, HttpRequest
from ragvec.server.policy.grammar import check_bucket_policy
from ragvec.server.policy.permission import Permission
from ragvec.server.signing.scheme import Scheme
from ragvec.server.users import User

__all__ = ["PostFace"]

_REFUSALS: dict[type[RagvecError], WireError] = {
    refusals.UnknownAccessKey: WireError(403, "InvalidAccessKeyId"),
    refusals.SignatureMismatch: WireError(403, "SignatureDoesNotMatch"),
    refusals.RequestExpired: WireError(403, "RequestTimeTooSkewed"),
    refusals.MethodNotAllowed: WireError(405, "MethodNotAllowed"),
    refusals.TooManyRequests: WireError(429, "TooManyRequestsException"),
    refusals.RequestTimeout: WireError(408, "RequestTimeoutException"),
}
"""Beyond the table of the dialect: the general codes of COS and TOS, which are the same for these."""

_INSIDE = {500: "Internal server error", 503: "Currently unable to handle the request"}
_NOT_SHOWN = {"defaultIndexMode", "indexMode", "textSearchConfigurations"}
"""What the operations layer tells of S3 Vectors alone."""


class PostFace:
    """A face but for what its service says differently, which subclasses set and override."""

    name: str
    scheme: Scheme
    dialect: ClassVar[Dialect]
    actions: ClassVar[Mapping[str, str]]
    """Every operation of the service, with the action that a policy allows for it."""
    arn_word: ClassVar[str]
    """How names of members end that hold resource names, where the operations layer says "Arn"."""
    takes_arns: ClassVar[bool]
    wording: ClassVar[tuple[tuple[re.Pattern[str], str], ...]]
    """What to say instead of the words of the operations layer, where these name what the service does not have."""
    json_type: ClassVar[tuple[str, str]] = JSON
    not_shown_of_indexes: ClassVar[frozenset[str]] = frozenset({"encryptionConfiguration"})

    def __init__(self, service: Service) -> None:
        self._session = service.session(self.dialect)
        self._own_arns = {name: name.removesuffix("Arn") + self.arn_word for name in ("vectorBucketArn", "indexArn")}

    # -- the request ---------------------------------------------------------------------------------------------------

    def call(self, request: HttpRequest, user: User) -> Call:  # noqa: ARG002 - as in Face
        """See `Face.call`."""
        operation = request.path[1:]
        if operation not in self.actions:
            raise refusals.UnknownOperation(
                f"There is no operation {request.path[:120]!r}; expected a path such as /QueryVectors"
            )
        if request.method != "POST":
            raise refusals.MethodNotAllowed(f"{operation} is asked for by POST; got {request.method}")
        arguments = self.arguments(decode_object(request.body), request)
        kind = OPERATIONS[operation].request
        with self._reworded():
            decoded = decode_request(kind, arguments, operation=operation, dialect=self.dialect)
        bucket, index = _names(decoded, self.dialect)
        return Call(operation=operation, arguments=arguments, bucket=bucket, index=index, own=decoded)

    def arguments(self, body: JsonObject, request: HttpRequest) -> JsonObject:  # noqa: ARG002 - for hosts
        """The parameters as the operations layer names them, from those of the service; `body` may be changed."""
        for name, own in self._own_arns.items():
            if name in body or (own in body and not self.takes_arns):
                unknown = name if name in body else own
                raise InvalidRequest(f"Unknown parameter `{unknown}`", path=f"/{unknown}")
            if own in body:
                body[name] = body.pop(own)
        return body

    # -- the operation -------------------------------------------------------------------------------------------------

    def permissions(self, call: Call, user: User) -> tuple[Permission, ...]:  # noqa: ARG002 - as in Face
        """See `Face.permissions`.

        What is told of metadata or data needs GetVectors too, as on S3 Vectors: COS and TOS document no such rule, but
        the bucket may have a policy in S3's words that counts on it.
        """
        resource = self.resource(call)
        operations = (call.operation, "GetVectors") if _reads(call.own) else (call.operation,)
        return tuple(
            Permission(action=self.actions[operation], resource=resource, bucket=call.bucket)
            for operation in operations
        )

    def resource(self, call: Call) -> str:
        """The resource name of what a call is about; of all buckets where it is about none."""
        where = {"region": self._session.region, "account": self._session.account, "bucket": call.bucket or "*"}
        if call.bucket is None or call.index is None:
            return bucket_arn(self.dialect, **where)
        return index_arn(self.dialect, index=call.index, **where)

    def perform(self, call: Call) -> Response:
        """See `Face.perform`. What this server could not decide by is no policy; names are looked at before."""
        with self._reworded():
            if isinstance(call.own, PutVectorBucketPolicy):
                bucket_name(self._session, call.own)
                check_bucket_policy(call.own.policy, self.dialect)
            return OPERATIONS[call.operation].run(self._session, call.own)

    @contextmanager
    def _reworded(self) -> Iterator[None]:
        """Errors get the words of the service."""

        def reworded(text: str) -> str:
            for pattern, words in self.wording:
                text = pattern.sub(words, text)
            return text

        try:
            yield
        except RagvecError as error:
            error.args = (reworded(error.message),)
            if isinstance(error, InvalidRequest):
                error.fields = tuple((reworded(path), reworded(text)) for path, text in error.fields)
            raise

    # -- the reply -----------------------------------------------------------------------------------------------------

    def reply(self, call: Call, outcome: Any, *, request_id: str) -> HttpReply:  # noqa: ARG002 - as in Face
        """See `Face.reply`."""
        body = self._encoded(outcome)
        kind = (self.json_type,) if body else ()
        return HttpReply(status=200, headers=(*kind, *self.identifying(request_id)), body=body)

    def identifying(self, request_id: str) -> tuple[tuple[str, str], ...]:
        """The headers by which a reply can be told from others."""
        raise NotImplementedError

    def _encoded(self, outcome: Response) -> bytes:
        if isinstance(outcome, QueryResult):
            outcome = VectorList(vectors=outcome.vectors, next_token=outcome.next_token)
        if isinstance(outcome, VectorList):
            return encode(outcome)
        document = self.document(outcome)
        return encode(document) if document else b""

    def document(self, outcome: Response) -> dict[str, Any]:
        """What a reply says, of anything but vectors; empty: the reply has no body."""
        return self._shown(outcome.document())

    def _shown(self, part: dict[str, Any]) -> dict[str, Any]:
        """The same, with the names and times of the service."""
        shown: dict[str, Any] = {}
        for name, value in part.items():
            if name in _NOT_SHOWN or ("indexName" in part and name in self.not_shown_of_indexes):
                continue
            if isinstance(value, dict):
                value = self._shown(value)
                if not value:
                    continue
            elif name in ("vectorBuckets", "indexes"):
                value = [self._shown(entry) for entry in value]
            elif name == "creationTime":
                value = written_time(value, self.dialect)
            shown[self._own_arns.get(name, name)] = value
        return shown

    # -- the refusal ---------------------------------------------------------------------------------------------------

    def refusal(
        self,
        error: RagvecError,
        request: HttpRequest,  # noqa: ARG002 - as in Face
        *,
        operation: str,
        request_id: str,
    ) -> HttpReply:
        """See `Face.refusal`."""
        wire = told_code(error, self.dialect, _REFUSALS, operation=operation)
        # What went wrong inside is for the log of the server, not for whoever asks.
        message = _INSIDE.get(wire.status) or told_message(error, self.dialect)
        fields = error.fields if isinstance(error, InvalidRequest) else ()
        return self.refused(wire, message, fields, request_id=request_id)

    def refused(
        self, wire: WireError, message: str, fields: tuple[tuple[str, str], ...], *, request_id: str
    ) -> HttpReply:
        """The reply that tells an error in the form of the service; `fields` are (path, message) of every fault."""
        raise NotImplementedError


def _names(request: Request, dialect: Dialect) -> tuple[str | None, str | None]:
    """The bucket and the index that a request names, by their names or by a resource name."""
    bucket: str | None = getattr(request, "vector_bucket_name", None)
    index: str | None = getattr(request, "index_name", None)
    for attribute, kind in (("vector_bucket_arn", "bucket"), ("index_arn", "index")):
        arn = getattr(request, attribute, None)
        if arn is not None:
            try:
                parsed = parse_arn(arn, dialect, path="", kind=kind)
            except InvalidName:
                continue  # The operation will say so.
            bucket, index = bucket or parsed.bucket, index or parsed.index
    return bucket, index


def _reads(request: Request) -> bool:
    """Whether the reply tells more of vectors than keys and distances."""
    if not isinstance(request, (ListVectors, QueryVectors)):
        return False
    return request.where is not None or bool(request.return_metadata) or bool(request.return_data)
