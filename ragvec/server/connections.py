"""Connections as uvicorn keeps them, with the bounds that it leaves open: on the head of a request and on its time."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ragvec.server.settings import ServerLimits

__all__ = ["Connection", "connection_kind", "end_late"]

_QUICK_ACK: int | None = getattr(socket, "TCP_QUICKACK", None)  # Linux has it
_FAREWELL = 0.5
"""Seconds that a client has to answer the end of TLS when the server ends."""
_REFUSAL = b"HTTP/1.1 %s\r\ncontent-type: text/plain\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class Connection(HttpToolsProtocol):
    """A connection. Closed when a head is longer than `limits.head`, or is not there `limits.head_time` after its first
    byte or after the connection was made; and when a body that has been answered already goes on for too long."""

    limits = ServerLimits()
    deadline: float | None
    """When the connection is closed, by the clock of the event loop; None while nobody waits for the client."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.deadline = None
        self._head = 0
        self._in_head = True
        self._discarded = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn does
        """Give the client its time for a first request."""
        super().connection_made(transport)
        self.deadline = self.loop.time() + self.limits.head_time

    def data_received(self, data: bytes) -> None:
        """Count what belongs to a head, then parse."""
        if self._in_head:
            if self._head > self.limits.head:
                self.refuse(b"431 Request Header Fields Too Large")
                return
            self._head += len(data)
            if self.deadline is None:
                self.deadline = self.loop.time() + self.limits.head_time
        super().data_received(data)
        if not self._in_head and _QUICK_ACK is not None and not self.transport.is_closing():
            # Clients that speak through a proxy setting send the body only once the head is acknowledged (Nagle), which
            # the kernel would put off for 40 ms.
            self.transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, _QUICK_ACK, 1)

    def on_message_begin(self) -> None:
        """Another request."""
        self._in_head, self._discarded = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Refuse a head that is too long; else leave the body to the application, which has its own time for it."""
        self._in_head = False
        self.deadline = None
        if len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers) > self.limits.head:
            self.refuse(b"431 Request Header Fields Too Large")
            raise ValueError("the head is too long")
        super().on_headers_complete()
        reply = _Reply(self.transport, self.cycle.on_response)
        self.cycle.transport, self.cycle.on_response = reply, reply.ended  # type: ignore[assignment]  # what it uses of one

    def on_body(self, body: bytes) -> None:
        """Throw away a body that nobody wants any more, up to the length of one that somebody would have."""
        if self.cycle.response_complete:
            self._discarded += len(body)
            if self.deadline is None:
                self.deadline = self.loop.time() + self.limits.body_time
            if self._discarded > self.limits.body * 2:
                self.transport.close()
            return
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The client has said all that it has to say."""
        self.deadline = None
        self._in_head, self._head = True, 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Tell that the request is not HTTP, where nothing else has been told."""
        if not self.transport.is_closing():
            super().send_400_response(msg)

    def shutdown(self) -> None:
        """The server ends: close the connection, after the answer that is being made."""
        super().shutdown()
        if self.transport.get_extra_info("ssl_object") is not None:
            self.loop.call_later(_FAREWELL, self._leave)

    def _leave(self) -> None:
        """Wait no longer for a client that says nothing to the end of TLS, as one does that keeps idle connections."""
        if self.transport.is_closing():
            self.transport.abort()
        else:
            self.loop.call_later(_FAREWELL, self._leave)

    def refuse(self, status: bytes) -> None:
        """Tell the client, if it was not answered already, and close the connection."""
        if not self.transport.is_closing():
            if self.cycle is None or self.cycle.response_complete:
                self.transport.write(_REFUSAL % status)
            self.transport.close()


class _Reply:
    """The transport as one reply sees it: head and body leave in one piece, for two would be two calls of the system,
    each of which wakes the client, and cost as much as a quick operation."""

    def __init__(self, transport: asyncio.Transport, on_response: Callable[..., None]) -> None:
        self._transport = transport
        self._on_response = on_response
        self._head = b""

    def write(self, data: bytes) -> None:
        """Keep a head until what follows it; send all else."""
        if self._head:
            head, self._head = self._head, b""
            self._transport.writelines([head, data])
        elif data.startswith(b"HTTP/1.1 ") and not data.startswith(b"HTTP/1.1 100"):
            self._head = data
        else:
            self._transport.write(data)

    def close(self) -> None:
        """Send what is left, and close."""
        self._flush()
        self._transport.close()

    def is_closing(self) -> bool:
        """As of the transport."""
        return self._transport.is_closing()

    def ended(self) -> None:
        """The reply is whole, perhaps without a body."""
        self._flush()
        self._on_response()

    def _flush(self) -> None:
        if self._head:
            head, self._head = self._head, b""
            self._transport.write(head)


def connection_kind(limits: ServerLimits) -> type[Connection]:
    """The class of connections with these limits."""
    return type("Connection", (Connection,), {"limits": limits})


def end_late(connections: set[Any], now: float) -> None:
    """Close the connections whose clients are late at `now`, by the clock of the event loop."""
    for connection in list(connections):
        if connection.deadline is not None and now > connection.deadline:
            connection.refuse(b"408 Request Timeout")
