"""The ASGI application: reads requests within limits, has them handled in threads, writes replies, counts and logs."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from ragvec.errors import RagvecError
from ragvec.server.access_log import AccessLog, Entry
from ragvec.server.handle import Begun, Handled, Handler
from ragvec.server.messages import HttpReply, HttpRequest
from ragvec.server.metrics import Figures
from ragvec.server.pace import Pace
from ragvec.server.refusals import BodyTooLarge, MalformedBody, RequestTimeout, TooManyRequests
from ragvec.server.settings import ServerLimits

__all__ = ["App"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

T = TypeVar("T")

OWN_PATHS = frozenset({"/health", "/ready", "/metrics"})
SMALL = 64 << 10
"""Bytes of a body that the event loop itself decodes and verifies: within half a millisecond."""
CLIENT_GONE = 499
"""What the log says of a request whose client went away before its end."""


class _Gone(Exception):
    """The client has closed the connection."""


class App:
    """Answers requests by `handler`; those to `OWN_PATHS` that are not signed go to `own`.

    What takes no time happens on the event loop, also operations that `Pace` knows to be quick; all else in
    `limits.threads` threads.
    """

    def __init__(
        self, handler: Handler, *, own: Application, limits: ServerLimits, figures: Figures, log: AccessLog
    ) -> None:
        self._handler = handler
        self._own = own
        self._limits = limits
        self._figures = figures
        self._log = log
        self._threads = ThreadPoolExecutor(limits.threads, thread_name_prefix="operation")
        self._pace = Pace()
        self._memory = _Memory(limits.bodies)
        self._in_work = 0
        """Requests that threads work on, or that wait for one."""

    def close(self) -> None:
        """Wait for what is in work."""
        self._threads.shutdown()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            raise RuntimeError(f"Expected a scope of type http, got {scope['type']!r}")
        began, wall = time.perf_counter(), time.time()
        request_id = os.urandom(12).hex().upper()
        request = _head(scope)
        if request.raw_path in OWN_PATHS and request.method in ("GET", "HEAD") and not _is_signed(request):
            await self._own(scope, receive, send)
            return
        body = _Body(receive, self._limits, self._memory)
        handled: Handled | None = None
        try:
            handled = await self._handled(request, body, request_id)
            await _send(handled.reply, send)
        except _Gone:
            pass
        finally:
            self._memory.held -= body.received
            self._note(request, body, handled, request_id=request_id, wall=wall, began=began)

    async def _handled(self, request: HttpRequest, body: _Body, request_id: str) -> Handled:
        handler = self._handler
        try:
            body.check(request)
            content = await body.read()
            if self._in_work >= self._limits.threads + self._limits.waiting:
                raise TooManyRequests("Too many requests are waiting; try again later")
        except RagvecError as error:
            if isinstance(error, TooManyRequests):
                self._figures.add("ragvec_http_refused_total")
            return handler.refuse(request, error, request_id=request_id)
        if content:
            request = HttpRequest(
                method=request.method,
                raw_path=request.raw_path,
                raw_query=request.raw_query,
                headers=request.headers,
                body=content,
                client=request.client,
                secure=request.secure,
            )
        if len(content) > SMALL:
            return await self._threaded(_whole, handler, request, request_id)
        begun = handler.begin(request, request_id=request_id)
        if not isinstance(begun, Begun):
            return begun
        kind = self._pace.kind(begun.call)
        if kind is None:
            return await self._threaded(handler.finish, begun)
        if self._pace.is_quick(kind):
            handled, seconds = _timed(handler, begun)
        else:
            handled, seconds = await self._threaded(_timed, handler, begun)
        self._pace.took(kind, seconds)
        return handled

    async def _threaded(self, function: Callable[..., T], *arguments: Any) -> T:
        """What the function returns, run in a thread."""
        self._in_work += 1
        self._figures.set("~ragvec_http_in_work", self._in_work)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)
        finally:
            self._in_work -= 1
            self._figures.set("~ragvec_http_in_work", self._in_work)

    def _note(
        self,
        request: HttpRequest,
        body: _Body,
        handled: Handled | None,
        *,
        request_id: str,
        wall: float,
        began: float,
    ) -> None:
        seconds = time.perf_counter() - began
        status = handled.reply.status if handled is not None else CLIENT_GONE
        sent = len(handled.reply.body) if handled is not None else 0
        dialect, operation = (handled.dialect, handled.operation) if handled is not None else ("", "")
        self._figures.answered(dialect, operation, status, seconds=seconds, received=body.received, sent=sent)
        if self._log.on:
            self._log.add(
                Entry(
                    time=wall,
                    request_id=request_id,
                    client=request.client,
                    method=request.method,
                    path=request.raw_path[:512],
                    status=status,
                    microseconds=round(seconds * 1e6),
                    received=body.received,
                    sent=sent,
                    dialect=dialect,
                    operation=operation,
                    user=handled.user if handled is not None else "",
                    error=handled.error if handled is not None else "",
                )
            )


class _Memory:
    """The bytes of the bodies that have arrived and are not answered yet. Those that were announced do not count, for
    announcing costs nothing."""

    def __init__(self, most: int) -> None:
        self.held = 0
        self._most = most

    def take(self, count: int) -> None:
        """Count so many more. Raises TooManyRequests: they are too many, and counted all the same."""
        self.held += count
        if self.held > self._most:
            raise TooManyRequests("Too many bytes of requests are waiting; try again later")


class _Body:
    """The body of a request as it arrives; `received` bytes of it count as held in `memory`."""

    def __init__(self, receive: Receive, limits: ServerLimits, memory: _Memory) -> None:
        self._receive = receive
        self._limits = limits
        self._memory = memory
        self.received = 0

    def check(self, request: HttpRequest) -> None:
        """Look at what the headers say of the body.

        Raises:
            BodyTooLarge, MalformedBody: it is more than the server takes, or encoded in a way that it does not know.
        """
        encoding = request.header("content-encoding")
        if encoding not in (None, "", "identity", "aws-chunked"):
            raise MalformedBody(f"Expected a body without Content-Encoding, got {encoding!r}", path="Content-Encoding")
        text = request.header("content-length")
        if text is None:
            return
        if not (text.isascii() and text.isdigit()):
            raise MalformedBody(f"Expected Content-Length to be a number, got {text[:40]!r}", path="Content-Length")
        if len(text) > 18 or int(text) > self._limits.body:
            raise self._too_large(f"{text[:40]} bytes")

    async def read(self) -> bytes:
        """The whole body.

        Raises:
            BodyTooLarge, RequestTimeout: it is longer than the server takes, or does not arrive in time.
            TooManyRequests: the bodies of all requests are. _Gone: the client has gone.
        """
        message = await self._next()
        content: bytes = message.get("body", b"")
        if not message.get("more_body"):
            return content
        try:
            return await asyncio.wait_for(self._rest(content), self._limits.body_time)
        except asyncio.TimeoutError:
            raise RequestTimeout(
                f"The body did not arrive within {self._limits.body_time:g} s: {self.received} bytes did"
            ) from None

    async def _next(self) -> MutableMapping[str, Any]:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise _Gone
        count = len(message.get("body", b""))
        self.received += count
        self._memory.take(count)
        return message

    async def _rest(self, first: bytes) -> bytes:
        parts = [first]
        while True:
            message = await self._next()
            parts.append(message.get("body", b""))
            if self.received > self._limits.body:
                raise self._too_large("more")
            if not message.get("more_body"):
                return b"".join(parts)

    def _too_large(self, got: str) -> BodyTooLarge:
        return BodyTooLarge(f"Expected a body of at most {self._limits.body} bytes, got {got}", path="Content-Length")


def _timed(handler: Handler, begun: Begun) -> tuple[Handled, float]:
    began = time.perf_counter()
    return handler.finish(begun), time.perf_counter() - began


def _whole(handler: Handler, request: HttpRequest, request_id: str) -> Handled:
    return handler.handle(request, request_id=request_id)


def _head(scope: Scope) -> HttpRequest:
    """The request without its body."""
    client = scope.get("client")
    return HttpRequest(
        method=scope["method"],
        raw_path=scope["raw_path"].decode("latin-1"),
        raw_query=scope["query_string"].decode("latin-1"),
        headers=tuple(
            [(name.decode("latin-1"), value.decode("latin-1").strip(" \t")) for name, value in scope["headers"]]
        ),
        client=client[0] if client else "",
        secure=scope["scheme"] == "https",
    )


def _is_signed(request: HttpRequest) -> bool:
    return request.header("authorization") is not None or bool(request.raw_query)


class _Spelled(bytes):
    """The name of a header as a face spells it, which uvicorn would write in small letters: the SDK of COS knows
    `Content-Type` by this spelling only."""

    def lower(self) -> _Spelled:
        return self


async def _send(reply: HttpReply, send: Send) -> None:
    headers: list[tuple[bytes, bytes]] = [
        (_Spelled(name.encode("latin-1")), value.encode("latin-1")) for name, value in reply.headers
    ]
    if reply.status >= 200 and reply.status not in (204, 304):
        headers.append((b"content-length", str(len(reply.body)).encode("ascii")))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})
