"""The worker process as its parent sees it: started when a job is large enough, gone a while after the last one.

Queries share the interpreter lock and the processors with whatever else a process does. A build in a process of its
own, at a lower priority and with one processor less than there are, leaves both to them. What a start costs, some 0.2 s
of a processor, is less than any build that is given away.
"""

from __future__ import annotations

import logging
import math
import os
import queue
import re
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import msgspec

import ragvec
from ragvec.engine.local.jobs import Job
from ragvec.engine.local.worker_messages import (
    Answer,
    Done,
    Failed,
    Go,
    Log,
    Ready,
    Request,
    Run,
    read_frame,
    write_frame,
)
from ragvec.errors import StoreError

__all__ = ["LARGE", "InterpreterEndsError", "WorkerProcess", "can_start"]

LARGE = 1 << 20
"""From this cost on a job is given away: 2,731 rows of 384 dimensions, which take about a second."""

_log = logging.getLogger("ragvec.maintenance")

_POLL_SECONDS = 0.2
_START_SECONDS = 60.0
_LAST_WORDS = 1 << 14
_ROOT = Path(ragvec.__file__).absolute().parent.parent
_PYTHON = re.compile(r"(python|pypy)[\w.-]*", re.IGNORECASE)
_THREAD_SETTINGS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


def can_start() -> bool:
    """Whether this program's executable is a Python that runs modules: not so where Python is embedded or frozen."""
    return (
        bool(sys.executable)
        and not getattr(sys, "frozen", False)
        and _PYTHON.fullmatch(Path(sys.executable).name) is not None
    )


class WorkerProcess:
    """A worker, `ragvec.engine.local.upkeep.Worker`, for one thread; its process starts with the first job.

    Where none can be started, `suits` says so from then on.
    """

    def __init__(self, *, nice: int = 10, threads: int | None = None) -> None:
        self._nice = nice
        self._threads = threads or max(1, _processors() - 1)
        self._process: _Process | None = None
        self._dropped = False
        self._usable = can_start()

    @property
    def running(self) -> bool:
        """Whether there is a process."""
        return self._process is not None

    def suits(self, job: Job) -> bool:
        """Whether the job is worth giving away: large, or a process is there in any case."""
        if not self._usable or not (self.running or job.cost >= LARGE):
            return False
        if self._process is None:
            self._process, self._dropped = self._started(), False
            self._usable = self._process is not None
        return self._usable

    def run(self, job: Job, *, ready: Callable[[int], None]) -> bool:
        """Have the job carried out; raises what it raised. False when it was dropped, or somebody else is at it.

        Raises:
            StoreError: the process ended meanwhile. InterpreterEndsError: this one is about to, so the job was given
            up.
        """
        process = self._process
        assert process is not None, "suits() was asked"
        try:
            process.send(Run(job, logging.getLogger("ragvec").getEffectiveLevel()))
            while isinstance(message := process.receive(), (Log, Ready)):
                if isinstance(message, Ready):
                    ready(message.generation)
                    process.send(Go())
                else:
                    logging.getLogger(message.logger).log(message.level, "%s", message.text)
        except _EndedError as error:
            self.stop()
            if self._dropped:
                return False
            where, why = str(job.index), process.last_words
            raise StoreError(
                f"The process that worked on `{where}` ended before it was done: {why}", store=where
            ) from error
        except BaseException:
            self.stop()
            raise
        if isinstance(message, Failed):
            raise message.error() from _RemoteError(message.traceback)
        return isinstance(message, Done) and message.carried_out

    def drop(self) -> None:
        """Have what is under way end without result; for any thread."""
        process = self._process
        if process is not None:
            self._dropped = True
            process.popen.kill()

    def stop(self) -> None:
        """End the process, whatever it is doing."""
        process, self._process = self._process, None
        if process is not None:
            process.end()

    def abandon(self) -> None:
        """In a forked child: leave the parent's process alone."""
        process, self._process = self._process, None
        if process is not None:
            process.abandon()

    def _started(self) -> _Process | None:
        try:
            process = _Process(self._threads, nice=self._nice)
        except OSError as error:
            _log.warning("No process for background work can be started, threads do it instead: %s", error)
            return None
        try:
            process.receive(timeout=_START_SECONDS)
        except _EndedError:
            process.end()
            _log.warning("Background work is done by threads, since a process for it ended: %s", process.last_words)
            return None
        except BaseException:
            process.end()
            raise
        return process


class _Process:
    """The pipes and threads around a worker process. Its messages are read as they come, so that waiting for one can be
    given up."""

    def __init__(self, threads: int, *, nice: int) -> None:
        self.last_words = ""
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by end()
        try:
            self.popen = subprocess.Popen(
                [sys.executable, "-m", "ragvec.engine.local.worker", str(threads), str(nice)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                # -m looks into the working folder first, whose files are none of a store's business.
                cwd=_ROOT,
                env=_environment(threads),
                **_apart(),
            )
        except BaseException:
            self._errors.close()
            raise
        self._inbox: queue.SimpleQueue[Request | Answer | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, name="ragvec-worker-replies", daemon=True)
        self._reader.start()
        self._finalizer = weakref.finalize(self, _kill, self.popen, os.getpid())

    def send(self, message: Request) -> None:
        assert self.popen.stdin is not None
        try:
            write_frame(self.popen.stdin, message)  # type: ignore[arg-type]  # IO[bytes] is a BinaryIO in all but name
        except OSError as error:
            raise _EndedError from error

    def receive(self, *, timeout: float = math.inf) -> Request | Answer:
        """The next message. Raises _EndedError when there is none within `timeout` seconds."""
        until = time.monotonic() + timeout
        while time.monotonic() < until:
            try:
                message = self._inbox.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                if not threading.main_thread().is_alive():
                    raise InterpreterEndsError from None
                continue
            if message is None:
                break
            return message
        raise _EndedError

    def end(self) -> None:
        """Kill it and let go of everything."""
        self._finalizer()
        self._reader.join()
        assert self.popen.stdin is not None
        assert self.popen.stdout is not None
        with suppress(OSError):
            self.popen.stdin.close()
        self.popen.stdout.close()
        self._errors.seek(0)
        lines = self._errors.read()[-_LAST_WORDS:].decode(errors="replace").strip().splitlines()
        self.last_words = lines[-1] if lines else f"exit code {self.popen.returncode}"
        self._errors.close()

    def abandon(self) -> None:
        """In a forked child: forget it."""
        self._finalizer.detach()
        self.popen.returncode = 0  # that nobody here waits for it is no mistake

    def _read(self) -> None:
        assert self.popen.stdout is not None
        try:
            while (message := read_frame(self.popen.stdout)) is not None:  # type: ignore[arg-type]  # as in send()
                self._inbox.put(message)
        except (OSError, EOFError, msgspec.DecodeError) as error:
            _log.debug("The worker process was cut short: %s", error)
        self._inbox.put(None)


def _kill(popen: subprocess.Popen[bytes], pid: int) -> None:
    if pid == os.getpid():
        popen.kill()
        popen.wait()


def _environment(threads: int) -> dict[str, str]:
    """The same modules as here, and libraries that keep to `threads` threads."""
    folders = [folder for folder in sys.path if folder and Path(folder).is_absolute()]
    return os.environ | dict.fromkeys(_THREAD_SETTINGS, str(threads)) | {"PYTHONPATH": os.pathsep.join(folders)}


def _apart() -> dict[str, Any]:
    """Out of reach of the interrupt key of this program's terminal."""
    if sys.platform == "win32":
        flags = (
            subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW | subprocess.BELOW_NORMAL_PRIORITY_CLASS
        )
        return {"creationflags": flags}
    return {"start_new_session": True}


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class InterpreterEndsError(Exception):
    """The program is at its end and waits for this thread."""


class _EndedError(Exception):
    """The worker process ended."""


class _RemoteError(Exception):
    """Carries the traceback of the worker process."""

    def __str__(self) -> str:
        return f"\n\n{self.args[0]}"
