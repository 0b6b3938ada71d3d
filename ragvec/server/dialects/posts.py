"""What the services have in common whose operations are `POST /{Operation}` with a JSON object: COS and TOS."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from ragvec.api.dialects import Dialect, WireError, wire_error
from ragvec.api.names import bucket_arn, index_arn, parse_arn
from ragvec.api.operations import perform
from ragvec.api.responses import QueryResult, Response, VectorList
from ragvec.errors import InvalidName, InvalidRequest, RagvecError
from ragvec.server import refusals
from ragvec.server.dialects.face import Call, Service
from ragvec.server.messages import HttpReply, HttpRequest
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

_ARNS = {"vectorBucketArn", "indexArn"}
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
    not_shown_of_indexes: ClassVar[frozenset[str]] = frozenset({"encryptionConfiguration"})

    def __init__(self, service: Service) -> None:
        self._session = service.session(self.dialect)

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
        arguments = self.arguments(_json_object(request.body), request)
        bucket, index = self._names(arguments)
        return Call(operation=operation, arguments=arguments, bucket=bucket, index=index)

    def arguments(self, body: dict[str, Any], request: HttpRequest) -> dict[str, Any]:  # noqa: ARG002 - for hosts
        """The parameters as the operations layer names them, from those of the service; `body` may be changed."""
        for name in (*_ARNS, *map(self._own_name, _ARNS)):
            if name in body and not (self.takes_arns and name == self._own_name(name)):
                raise InvalidRequest(f"Unknown parameter `{name}`", path=f"/{name}")
        for name in _ARNS if self.takes_arns else ():
            if self._own_name(name) in body:
                body[name] = body.pop(self._own_name(name))
        return body

    def _own_name(self, name: str) -> str:
        return name.removesuffix("Arn") + self.arn_word if name in _ARNS else name

    def _names(self, arguments: Mapping[str, Any]) -> tuple[str | None, str | None]:
        bucket, index = (arguments.get(name) for name in ("vectorBucketName", "indexName"))
        for name, kind in (("vectorBucketArn", "bucket"), ("indexArn", "index")):
            if isinstance(arguments.get(name), str):
                try:
                    parsed = parse_arn(arguments[name], self.dialect, path=f"/{name}", kind=kind)
                except InvalidName:
                    continue  # the operation refuses it, with the place
                bucket, index = bucket or parsed.bucket, index or parsed.index
        return (bucket if isinstance(bucket, str) else None), (index if isinstance(index, str) else None)

    # -- the operation -------------------------------------------------------------------------------------------------

    def permissions(self, call: Call, user: User) -> tuple[Permission, ...]:  # noqa: ARG002 - as in Face
        """See `Face.permissions`."""
        return (Permission(action=self.actions[call.operation], resource=self._resource(call), bucket=call.bucket),)

    def _resource(self, call: Call) -> str:
        where = {"region": self._session.region, "account": self._session.account, "bucket": call.bucket or "*"}
        if call.bucket is None or call.index is None:
            return bucket_arn(self.dialect, **where)
        return index_arn(self.dialect, index=call.index, **where)

    def perform(self, call: Call) -> Response:
        """See `Face.perform`."""
        try:
            return perform(self._session, call.operation, arguments=call.arguments)
        except RagvecError as error:
            self._reword(error)
            raise

    def _reword(self, error: RagvecError) -> None:
        def reworded(text: str) -> str:
            for pattern, words in self.wording:
                text = pattern.sub(words, text)
            return text

        error.args = (reworded(error.message),)
        if isinstance(error, InvalidRequest):
            error.fields = tuple((reworded(path), reworded(text)) for path, text in error.fields)

    # -- the reply -----------------------------------------------------------------------------------------------------

    def reply(self, call: Call, outcome: Any, *, request_id: str) -> HttpReply:  # noqa: ARG002 - as in Face
        """See `Face.reply`."""
        body = self._encoded(outcome)
        kind = (("content-type", "application/json"),) if body else ()
        return HttpReply(status=200, headers=(*kind, *self.identifying(request_id)), body=body)

    def identifying(self, request_id: str) -> tuple[tuple[str, str], ...]:
        """The headers by which a reply can be told from others."""
        raise NotImplementedError

    def _encoded(self, outcome: Response) -> bytes:
        if isinstance(outcome, QueryResult):
            outcome = VectorList(vectors=outcome.vectors, next_token=outcome.next_token)
        if isinstance(outcome, VectorList):
            return msgspec.json.encode(outcome)
        document = self.document(outcome)
        return msgspec.json.encode(document) if document else b""

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
                value = int(value)
            shown[self._own_name(name)] = value
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
        wire = next((_REFUSALS[kind] for kind in type(error).__mro__ if kind in _REFUSALS), None)
        wire = wire or wire_error(self.dialect, error, operation=operation)
        # What went wrong inside is for the log of the server, not for whoever asks.
        message = "Internal server error" if wire.status == 500 else error.message
        fields = error.fields if isinstance(error, InvalidRequest) else ()
        return self.refused(wire, message, fields, request_id=request_id)

    def refused(
        self, wire: WireError, message: str, fields: tuple[tuple[str, str], ...], *, request_id: str
    ) -> HttpReply:
        """The reply that tells an error in the form of the service; `fields` are (path, message) of every fault."""
        raise NotImplementedError


def _json_object(body: bytes) -> dict[str, Any]:
    """The body, `{}` where there is none. Raises MalformedBody."""
    if not body:
        return {}
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise refusals.MalformedBody(f"The body is not JSON: {error}") from error
    except RecursionError as error:
        raise refusals.MalformedBody("The body is nested too deep") from error
    if not isinstance(document, dict):
        raise refusals.MalformedBody(f"The body must be a JSON object; got {type(document).__name__}")
    return document
