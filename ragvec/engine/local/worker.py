"""The worker process: carries out the background work of one store, one job at a time, and keeps out of the way.

`python -m ragvec.engine.local.worker <threads> <nice>` is started by `ragvec.engine.local.worker_process` and speaks to
it as in `ragvec.engine.local.worker_messages`: it says `Hello`, takes `Run`, may send `Log` and `Ready` and waits for
`Go` after the latter, and ends with `Done` or `Failed`.

It ends when its standard input does, which is when its parent does, whatever it is doing: what is unfinished then is
removed by the next build.
"""

from __future__ import annotations

import logging
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import BinaryIO, TypeAlias

from ragvec.ann.backends import AnnBackend, available_backend
from ragvec.engine.local.jobs import Job, perform
from ragvec.engine.local.snapshot import Generation
from ragvec.engine.local.worker_messages import (
    Answer,
    Done,
    Failed,
    Hello,
    Log,
    Ready,
    Request,
    Run,
    read_frame,
    write_frame,
)

__all__ = ["main"]

Inbox: TypeAlias = "queue.SimpleQueue[Request | Answer]"
Send: TypeAlias = Callable[[Answer], None]

_WATCH_SECONDS = 1.0


def main(threads: int, *, nice: int) -> None:
    """Serve until standard input ends."""
    requests = os.fdopen(os.dup(0), "rb")
    replies = os.fdopen(os.dup(1), "wb")
    # A library that prints must not speak to the parent.
    os.dup2(2, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(os, "nice"):
        os.nice(nice)
    inbox: Inbox = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(requests, inbox), daemon=True).start()
    if hasattr(os, "getppid") and os.name != "nt":
        # A process that the parent forked holds the pipe open, too.
        threading.Thread(target=_watch, args=(os.getppid(),), daemon=True).start()
    sending = threading.Lock()

    def send(message: Answer) -> None:
        with sending:
            write_frame(replies, message)

    log = logging.getLogger("ragvec")
    log.addHandler(_Forward(send))
    log.propagate = False
    backends: dict[str, AnnBackend | None] = {}
    send(Hello())
    while True:
        request = inbox.get()
        if not isinstance(request, Run):
            continue
        job = request.job
        log.setLevel(request.level)
        try:
            if job.backend not in backends:
                backends[job.backend] = available_backend(job.backend, threads=threads)
            done = _carry_out(job, backends[job.backend], send, inbox)
        except Exception as error:  # noqa: BLE001 - all of them are the parent's to judge
            send(Failed.of(error, traceback.format_exc()))
        else:
            send(Done(done))


def _carry_out(job: Job, backend: AnnBackend | None, send: Send, inbox: Inbox) -> bool:
    def opened(number: int) -> Generation:
        return Generation(
            job.index,
            number,
            spec=job.spec,
            backend=backend,
            recall_target=job.recall_target,
            read_only=False,
            clock=time.time,
            serving=False,
            text_fields=lambda: job.text,
        )

    def ready(generation: Generation) -> None:
        send(Ready(generation.number))
        inbox.get()

    generation = opened(job.generation)
    try:
        result = perform(job, generation, opened=opened, ready=ready, clock=time.time)
        if result is not None and result is not generation:
            result.close()
        return result is not None
    finally:
        generation.close()


def _receive(requests: BinaryIO, inbox: Inbox) -> None:
    try:
        while (message := read_frame(requests)) is not None:
            inbox.put(message)
    finally:
        os._exit(0)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_WATCH_SECONDS)
    os._exit(0)


class _Forward(logging.Handler):
    """Sends log lines to the parent."""

    def __init__(self, send: Send) -> None:
        super().__init__()
        self._send = send

    def emit(self, record: logging.LogRecord) -> None:
        """Send the line."""
        self._send(Log(record.name, record.levelno, record.getMessage()))


if __name__ == "__main__":
    main(int(sys.argv[1]), nice=int(sys.argv[2]))
