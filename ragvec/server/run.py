"""One worker: the store, the services and the event loop, from a listening socket to the end of the last request."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import sys
import threading
from collections.abc import Callable, Generator
from typing import Any

import uvicorn

from ragvec.server.access_log import AccessLog
from ragvec.server.app import App
from ragvec.server.connections import connection_kind, end_late
from ragvec.server.dialects.face import Service
from ragvec.server.faces import faces
from ragvec.server.handle import Handler
from ragvec.server.metrics import Figures
from ragvec.server.own import own_application
from ragvec.server.policy.authorizer import PolicyAuthorizer
from ragvec.server.settings import Settings
from ragvec.server.users import User, Users
from ragvec.store import Store

__all__ = ["ANONYMOUS", "Running", "serve"]

_SWITCH = 0.001
"""Seconds until a thread that computes lets the event loop go on; Python's own 5 ms would be most of a reply's time."""
_LOOK = 0.5
"""Seconds between two looks for connections that are late."""

ANONYMOUS = "anonymous"


class Running:
    """A worker that runs. Its methods may be called from any thread."""

    def __init__(self, handler: Handler, server: _Server) -> None:
        self._handler = handler
        self._server = server

    def replace_users(self, users: tuple[User, ...]) -> None:
        """From the next request on these are the users. Raises InvalidRequest: two have the same access key."""
        self._handler.users = Users(users)

    def drain(self) -> None:
        """Take no new requests, finish those in work, and end."""
        self._server.should_exit = True


def serve(
    settings: Settings,
    *,
    started: Callable[[Running], None],
    listener: socket.socket | None = None,
    channel: socket.socket | None = None,
) -> None:
    """Answer connections until told to drain; `started` is called once it does.

    They are those to `listener`, a socket that listens, or those that another process sends as descriptors through
    `channel`, a socket of the Unix family; that process then minds the terminal too: of SIGTERM and SIGINT, which tell
    to drain, only the first does. Both are closed at the end.

    Raises:
        StoreError: the store cannot be opened. InvalidRequest: there is no dialect of a name.
    """
    sys.setswitchinterval(_SWITCH)
    logging.basicConfig(format="ragvec serve: %(levelname)s: %(message)s", level=logging.WARNING)
    with Store(settings.store) as store, contextlib.ExitStack() as ends:
        service = Service(store.engine, settings.account, settings.region)
        handler = Handler(
            service,
            faces=faces(settings.dialects, service, store=store, folders=settings.kendra),
            users=Users(settings.users),
            authorizer=PolicyAuthorizer(service),
            anonymous=_anonymous(settings) if settings.anonymous else None,
        )
        figures = Figures(settings.figures)
        ends.callback(figures.close)
        log = AccessLog(settings.access_log)
        ends.callback(log.close)
        own = own_application(
            figures=figures, probe=lambda: store.engine.catalog.buckets(prefix="", after=None, limit=1)
        )
        app = App(handler, own=own, limits=settings.limits, figures=figures, log=log)
        ends.callback(app.close)
        config = uvicorn.Config(
            app,
            http=connection_kind(settings.limits),
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=int(settings.limits.idle_time),
            timeout_graceful_shutdown=int(settings.limits.drain_time),
            ssl_certfile=settings.tls_cert or None,
            ssl_keyfile=settings.tls_key or None,
        )
        server = _Server(config, started=lambda: started(Running(handler, server)), channel=channel)
        server.run(sockets=[listener] if listener is not None else [])


class _Server(uvicorn.Server):
    """uvicorn's server, which ends by signal without passing the signal on, and looks after late connections."""

    def __init__(self, config: uvicorn.Config, *, started: Callable[[], None], channel: socket.socket | None) -> None:
        super().__init__(config)
        self._told = started
        self._channel = channel
        self._joining: set[asyncio.Task[None]] = set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self._channel is not None:
            self._channel.setblocking(False)
            asyncio.get_running_loop().add_reader(self._channel, self._receive, self._channel)
        self._told()

    def _receive(self, channel: socket.socket) -> None:
        """Take over connections that were accepted elsewhere."""
        with contextlib.suppress(BlockingIOError):
            message, descriptors, _, _ = socket.recv_fds(channel, 64, 64)
            for descriptor in descriptors:
                task = asyncio.create_task(self._join(socket.socket(fileno=descriptor)))
                self._joining.add(task)
                task.add_done_callback(self._joining.discard)
            if not message:
                asyncio.get_running_loop().remove_reader(channel)

    async def _join(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):  # gone already, or no TLS: nothing was asked
            await loop.connect_accepted_socket(self._connection, connection, ssl=self.config.ssl)

    def _connection(self) -> asyncio.Protocol:
        kind: Any = self.config.http_protocol_class
        made: asyncio.Protocol = kind(
            config=self.config, server_state=self.server_state, app_state={}, _loop=asyncio.get_running_loop()
        )
        return made

    async def main_loop(self) -> None:
        watch = asyncio.create_task(self._watch())
        try:
            await super().main_loop()
        finally:
            self._watcher = watch  # goes on while the last requests are finished

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._channel is not None:
            asyncio.get_running_loop().remove_reader(self._channel)
            self._receive(self._channel)  # what was accepted for this worker is answered by it
            await asyncio.gather(*self._joining)
            self._channel.close()
        await super().shutdown(sockets=sockets)
        self._watcher.cancel()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        ending = [signal.SIGTERM, *([signal.SIGINT] if self._channel is None else [])]
        before = {number: signal.signal(number, self.handle_exit) for number in ending}
        if self._channel is not None:
            before[signal.SIGINT] = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_LOOK)
            end_late(self.server_state.connections, loop.time())


def _anonymous(settings: Settings) -> User:
    return User(access_key="", secret_key="", account=settings.account, name=ANONYMOUS, owner=True)
