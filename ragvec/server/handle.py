"""From a request to its reply: whose service it is, who signed it, what it asks for, whether that is allowed, and then
the operation itself. Nothing here knows of sockets, threads or time-outs."""

from __future__ import annotations

import hmac
import logging
import time
import traceback
from typing import Any

import msgspec

from ragvec.errors import RagvecError
from ragvec.server.dialects.face import Call, Face, Service
from ragvec.server.messages import HttpReply, HttpRequest
from ragvec.server.policy.permission import Authorizer
from ragvec.server.refusals import ExpiredSessionToken, InvalidSessionToken, NotSigned, UnknownAccessKey
from ragvec.server.users import User, Users

__all__ = ["Begun", "Handled", "Handler"]

_log = logging.getLogger("ragvec.server")


class Begun(msgspec.Struct, frozen=True, eq=False):
    """A request that is understood, signed and allowed; what is left is to do it."""

    face: Face
    request: HttpRequest
    call: Call
    user: User
    request_id: str


class Handled(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A reply, and what the access log says of it: "" where that is not known."""

    reply: HttpReply
    dialect: str = ""
    operation: str = ""
    user: str = ""
    error: str = ""


class Handler:
    """Answers requests for some services of one store; safe to use from several threads.

    `users` may be replaced at any time. With `anonymous` no signature is looked at, and every request is that user's.
    """

    def __init__(
        self,
        service: Service,
        *,
        faces: tuple[Face, ...],
        users: Users,
        authorizer: Authorizer,
        anonymous: User | None = None,
    ) -> None:
        self.users = users
        self._service = service
        self._faces = faces
        self._authorizer = authorizer
        self._anonymous = anonymous

    def handle(self, request: HttpRequest, *, request_id: str) -> Handled:
        """The reply to a request, whatever it is."""
        begun = self.begin(request, request_id=request_id)
        return self.finish(begun) if isinstance(begun, Begun) else begun

    def begin(self, request: HttpRequest, *, request_id: str) -> Begun | Handled:
        """What comes before the operation: no longer than the body of the request is long."""
        face = self._face(request)
        if face is None:
            return _nobody(self._faces)
        user, call = None, None
        try:
            user = self._anonymous or self._signer(face, request)
            call = face.call(request, user)
            self._authorizer.check(
                user,
                face.permissions(call, user),
                dialect=face.name,
                client=request.client,
                secure=request.secure,
            )
        except Exception as error:  # noqa: BLE001 - answered, and logged where it is nobody's fault but ours
            return _refused(face, error, request, call=call, user=user, request_id=request_id)
        return Begun(face, request, call, user, request_id)

    def finish(self, begun: Begun) -> Handled:
        """Do what was asked for; as long as that takes."""
        face, call = begun.face, begun.call
        try:
            reply = face.reply(call, face.perform(call), request_id=begun.request_id)
        except Exception as error:  # noqa: BLE001 - as above
            return _refused(face, error, begun.request, call=call, user=begun.user, request_id=begun.request_id)
        return Handled(reply=reply, dialect=face.name, operation=call.operation, user=begun.user.name)

    def refuse(self, request: HttpRequest, error: RagvecError, *, request_id: str) -> Handled:
        """The reply to a request that is not looked at any further, in the form of its service."""
        face = self._face(request)
        return _nobody(self._faces) if face is None else _refused(face, error, request, request_id=request_id)

    def _face(self, request: HttpRequest) -> Face | None:
        return next((face for face in self._faces if face.recognizes(request)), None)

    def _signer(self, face: Face, request: HttpRequest) -> User:
        """The user who signed the request.

        Raises:
            AccessDenied, InvalidRequest: nobody did, or not so; see the subclasses in `refusals`.
        """
        claim = face.scheme.claim(request)
        if claim is None:
            raise NotSigned("The request is not signed")
        user = self.users.get(claim.access_key)
        if user is None:
            raise UnknownAccessKey("The access key of the request is not known here")
        now = self._service.clock()
        if not _same_token(claim.session_token, user.session_token):
            raise InvalidSessionToken("The session token of the request is not that of its access key")
        if user.expires is not None and now >= user.expires:
            raise ExpiredSessionToken("The session token of the request has expired")
        face.scheme.check(request, claim, user, now=now)
        return user


_told: dict[tuple[str, int], float] = {}
_AGAIN = 60.0


def _tell(error: Exception, request_id: str) -> None:
    """Log what should not have happened: with a traceback the first time in a minute, else in a line."""
    frames = list(traceback.walk_tb(error.__traceback__))
    code, line = frames[-1][0].f_code, frames[-1][1]
    place, now = (f"{code.co_filename}:{code.co_name}", line), time.monotonic()
    if now - _told.get(place, -_AGAIN) >= _AGAIN:
        _told[place] = now
        _log.error("request %s failed", request_id, exc_info=error)
    else:
        _log.error("request %s failed as others did: %s at %s:%d", request_id, type(error).__name__, *place)


def _same_token(sent: str | None, kept: str | None) -> bool:
    if sent is None or kept is None:
        return sent == kept
    return hmac.compare_digest(sent.encode(), kept.encode())


def _refused(
    face: Face,
    error: Exception,
    request: HttpRequest,
    *,
    request_id: str,
    call: Call | None = None,
    user: User | None = None,
) -> Handled:
    if isinstance(error, RagvecError):
        told = error
    else:
        _tell(error, request_id)
        told = RagvecError("An internal error has occurred")
    operation = call.operation if call is not None else ""
    return Handled(
        reply=face.refusal(told, request, operation=operation, request_id=request_id),
        dialect=face.name,
        operation=operation,
        user=user.name if user is not None else "",
        error=type(error).__name__,
    )


def _nobody(faces: tuple[Face, ...]) -> Handled:
    """The reply to a request that no service takes for its own."""
    document: dict[str, Any] = {
        "message": "No service of this server knows this request",
        "services": [face.name for face in faces],
    }
    body = msgspec.json.encode(document)
    return Handled(
        reply=HttpReply(status=404, headers=(("content-type", "application/json"),), body=body), error="UnknownService"
    )
