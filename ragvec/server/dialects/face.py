"""What a service is to the server: a face over the operations layer."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from ragvec.api.access import Session
from ragvec.api.dialects import Dialect
from ragvec.engine.protocol import Engine
from ragvec.errors import RagvecError
from ragvec.server.messages import HttpReply, HttpRequest
from ragvec.server.policy.permission import Permission
from ragvec.server.signing.scheme import Scheme
from ragvec.server.users import User

__all__ = ["Call", "Face", "Service"]


class Service(msgspec.Struct, frozen=True, eq=False):
    """The store that is served, and the account and region that resource names carry."""

    engine: Engine
    account: str
    region: str
    clock: Callable[[], float] = time.time

    def session(self, dialect: Dialect) -> Session:
        """The way to the store through a dialect of the vector API."""
        return Session(self.engine, dialect, self.account, self.region, self.clock)


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """An operation of the layer below with its arguments, as they are named there.

    `bucket` and `index` are the names that the request gives, if it does; they may not exist, nor be valid. `own` is
    what the face itself needs again for the reply.
    """

    operation: str
    arguments: dict[str, Any]
    bucket: str | None = None
    index: str | None = None
    own: Any = None


class Face(Protocol):
    """A service. Made with a `Service`; safe to use from several threads; every method but `perform` is pure."""

    name: str
    """As in `--dialects`: s3vectors, oss, cos, tos or kendra."""
    scheme: Scheme

    def recognizes(self, request: HttpRequest) -> bool:
        """Whether the request is for this service, by its signature, host, headers or path. Never raises."""
        ...

    def call(self, request: HttpRequest, user: User) -> Call:
        """What the request asks for.

        Raises:
            UnknownOperation, MethodNotAllowed, MalformedBody, InvalidRequest: it asks for nothing that there is.
        """
        ...

    def permissions(self, call: Call, user: User) -> tuple[Permission, ...]:
        """Every permission that the call needs."""
        ...

    def perform(self, call: Call) -> Any:
        """Do it. Raises RagvecError as the operation does; errors that are already in the shape of the service too."""
        ...

    def reply(self, call: Call, outcome: Any, *, request_id: str) -> HttpReply:
        """The reply with what `perform` returned."""
        ...

    def refusal(self, error: RagvecError, request: HttpRequest, *, operation: str, request_id: str) -> HttpReply:
        """The reply that tells an error; `operation` is "" where it is not known."""
        ...
