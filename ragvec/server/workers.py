"""Several workers over one store: started, given connections in turn, minded, started again when they die.

Connections are accepted here and handed over, one to each worker in turn: workers that accepted for themselves would
share the load as chance has it, and one of them may get it all.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable

import msgspec

from ragvec.errors import RagvecError
from ragvec.server.settings import Settings
from ragvec.server.users import User
from ragvec.server.worker import READY

__all__ = ["Workers"]

_START_TIME = 60.0
_ACCEPTED = 64
"""Connections taken at a time, before looking after the workers again."""
_LONGEST_PAUSE = 5.0
_LIVED = 10.0
"""Seconds after which a worker that dies has not died of its start."""


class _Worker:
    """A worker process; `ready` once it has said so."""

    def __init__(self, settings: Settings) -> None:
        self.began = time.monotonic()
        self.ready = False
        self._channel, theirs = socket.socketpair()
        self._channel.setblocking(False)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ragvec.server.worker", str(theirs.fileno())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=(theirs.fileno(),),
        )
        theirs.close()
        self.tell(msgspec.json.encode(settings))

    def give(self, connection: socket.socket) -> bool:
        """Hand over a connection; False: the worker is dying, or has not taken those it was given before."""
        try:
            socket.send_fds(self._channel, [b"c"], [connection.fileno()])
        except OSError:
            return False
        return True

    def tell(self, line: bytes) -> None:
        """Send it an order; one that is dying gets none."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(line + b"\n")
            self.process.stdin.flush()

    def descriptor(self) -> int:
        """What becomes readable when the worker is ready, and when it dies."""
        assert self.process.stdout is not None
        return self.process.stdout.fileno()

    def end(self) -> None:
        """Close what led to a worker that has ended."""
        self._channel.close()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


class Workers:
    """`settings.workers` processes that answer connections to `listener`. `say` is told what happens to them, in a
    sentence; `users` reads the users again on SIGHUP."""

    def __init__(
        self,
        settings: Settings,
        listener: socket.socket,
        *,
        say: Callable[[str], None],
        users: Callable[[], tuple[User, ...]] | None = None,
    ) -> None:
        self._settings = settings
        self._listener = listener
        self._say = say
        self._read_users = users
        self._workers: list[_Worker] = []
        self._pause = 0.0
        self._due: list[float] = []
        """When each missing worker is started."""
        self._turn = 0
        self._ending = False
        self._reload = False

    def run(self, *, started: Callable[[], None]) -> int:
        """Serve until SIGTERM or SIGINT, then drain; return the exit code. `started` is called when all are ready.

        The code is 1 when workers do not start, or one had to be killed in the end.
        """
        self._listener.setblocking(False)
        wakes, wake = os.pipe()
        os.set_blocking(wake, False)
        before = {
            number: signal.signal(number, handler)
            for number, handler in (
                (signal.SIGTERM, self._on_end),
                (signal.SIGINT, self._on_end),
                (signal.SIGHUP, self._on_reload),
            )
        }
        old = signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        try:
            self._due = [0.0] * self._settings.workers
            if not self._mind(wakes, until_ready=True):
                self._drain()
                return 1
            if not self._ending:
                started()
                self._mind(wakes, until_ready=False)
            return self._drain()
        finally:
            signal.set_wakeup_fd(old)
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(wakes)
            os.close(wake)

    def _on_end(self, *_: object) -> None:
        self._ending = True

    def _on_reload(self, *_: object) -> None:
        self._reload = True

    def _mind(self, wakes: int, *, until_ready: bool) -> bool:
        """Keep the workers running until told to end or, `until_ready`, until all are; False: one did not start."""
        began = time.monotonic()
        while not self._ending:
            now = time.monotonic()
            for due in [due for due in self._due if due <= now]:
                self._due.remove(due)
                self._workers.append(_Worker(self._settings))
            if until_ready and not self._due and all(worker.ready for worker in self._workers):
                return True
            if until_ready and now > began + _START_TIME:
                self._say(f"the workers were not ready after {_START_TIME:g} s")
                return False
            if self._reload:
                self._reload = False
                self._replace_users()
            pause = min([0.5, *(due - now for due in self._due)])
            by_descriptor = {worker.descriptor(): worker for worker in self._workers}
            # Connections wait in the kernel while there is no worker for them.
            accepting = [self._listener.fileno()] if any(worker.ready for worker in self._workers) else []
            readable, _, _ = select.select([wakes, *accepting, *by_descriptor], [], [], max(pause, 0))
            for descriptor in readable:
                if descriptor == wakes:
                    os.read(wakes, 4096)
                elif descriptor == self._listener.fileno():
                    self._accept()
                elif os.read(descriptor, 4096).startswith(READY):
                    by_descriptor[descriptor].ready = True
                elif not self._died(by_descriptor[descriptor]) and until_ready:
                    return False
        return True

    def _accept(self) -> None:
        """Hand over the connections that wait, each to the next worker in turn."""
        for _ in range(_ACCEPTED):
            try:
                connection, _ = self._listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:  # too many files are open; others may be closed soon
                self._say(f"a connection cannot be accepted: {error.strerror}")
                time.sleep(0.05)
                return
            with connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                ready = [worker for worker in self._workers if worker.ready]
                self._turn += 1
                any(ready[(self._turn + step) % len(ready)].give(connection) for step in range(len(ready)))

    def _died(self, worker: _Worker) -> bool:
        """Plan another in place of one that died; whether it had been ready."""
        code = worker.process.wait()
        worker.end()
        self._workers.remove(worker)
        lived = time.monotonic() - worker.began
        self._pause = 0.0 if lived > _LIVED else min(max(self._pause * 2, 0.1), _LONGEST_PAUSE)
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        if worker.ready:
            self._say(f"worker {worker.process.pid} died ({how}); another one is started")
        else:
            self._say(f"worker {worker.process.pid} did not start ({how})")
        self._due.append(time.monotonic() + self._pause)
        return worker.ready

    def _replace_users(self) -> None:
        if self._read_users is None:
            self._say("there is no credentials file to read again")
            return
        try:
            users = self._read_users()
        except RagvecError as error:
            self._say(f"the users stay as they were: {error.message}")
            return
        self._settings = msgspec.structs.replace(self._settings, users=users)
        for worker in self._workers:
            worker.tell(msgspec.json.encode(users))
        self._say(f"read the credentials file again: {len(users)} users")

    def _drain(self) -> int:
        """End all workers; 1: one had to be killed."""
        self._listener.close()
        for worker in self._workers:
            worker.process.send_signal(signal.SIGTERM)
        code = 0
        deadline = time.monotonic() + self._settings.limits.drain_time + 10
        for worker in self._workers:
            try:
                worker.process.wait(max(deadline - time.monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                self._say(f"worker {worker.process.pid} did not end in time, and is killed")
                worker.process.kill()
                worker.process.wait()
                code = 1
            worker.end()
        return code
