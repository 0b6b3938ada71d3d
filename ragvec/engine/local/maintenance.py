"""Background work of one store, a lane of it: a thread that looks at indexes that grew, and a worker process for what
is large."""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections import deque
from typing import Protocol

from ragvec.engine.local.merging import Lane
from ragvec.engine.local.upkeep import Worker
from ragvec.engine.local.worker_process import InterpreterEndsError, WorkerProcess
from ragvec.errors import IndexNotFound, RagvecError

__all__ = ["LINGER_SECONDS", "Maintained", "Maintenance"]

LINGER_SECONDS = 10.0
"""How long the worker process waits for the next job: while a store is written to, one comes every few seconds."""

_NICE: dict[Lane, int] = {"tail": 2, "merge": 10}
"""New rows come first: searches wait for what is not built of them."""

_POLL_SECONDS = 0.2
_log = logging.getLogger("ragvec.maintenance")


class Maintained(Protocol):
    """What the thread works on."""

    def maintenance_due(self, lane: Lane) -> bool:
        """Whether `maintain` has something to do."""
        ...

    def maintain(self, lane: Lane, *, worker: Worker | None) -> None:
        """Do it, what is large by the worker."""
        ...


class Maintenance:
    """Runs `maintain` of indexes that grew, in one lane, one after the other, in a thread that ends when there is
    nothing to do.

    At interpreter exit nothing large is waited for: the worker process ends, and the next process that opens the store
    begins its job anew. What the thread itself has begun it finishes, being no daemon, since native code must not be
    torn down while it runs.
    """

    def __init__(self, lane: Lane, *, worker: WorkerProcess | None = None) -> None:
        self.lane: Lane = lane
        self._waiting: deque[Maintained] = deque()
        self._worker = worker or WorkerProcess(nice=_NICE[lane])
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._busy = False
        self._stopping = False
        self._timers: set[threading.Timer] = set()
        self._pid = os.getpid()

    def consider(self, index: Maintained) -> None:
        """Have `index` looked at soon; cheap enough for every write."""
        self._after_fork()
        with self._changed:
            if index in self._waiting:
                return
            self._waiting.append(index)
            self._changed.notify_all()
            if self._thread is None:
                thread = threading.Thread(target=self._work, name=f"ragvec-{self.lane}", daemon=False)
                try:
                    thread.start()
                except RuntimeError as error:
                    # Too many threads, or the interpreter is ending. The write that led here is done all the same.
                    self._waiting.clear()
                    _log.warning("Segments are not built for now: %s", error)
                    return
                self._thread = thread

    def consider_later(self, index: Maintained, *, seconds: float) -> None:
        """Have `index` looked at after that time, if it and this are still in use then."""
        self._after_fork()
        timer = threading.Timer(seconds, _remind, (weakref.ref(self), weakref.ref(index)))
        timer.daemon = True
        with self._changed:
            self._timers = {timer for timer in self._timers if timer.is_alive()} | {timer}
            try:
                timer.start()
            except RuntimeError as error:
                self._timers.remove(timer)
                _log.debug("Nothing is removed for now: %s", error)

    def settle(self) -> None:
        """Return when everything that waits has been looked at."""
        self._after_fork()
        with self._changed:
            thread = self._thread
            self._changed.wait_for(lambda: self._thread is None or not (self._waiting or self._busy))
            lingering = self._worker.running
        if thread is not None and not lingering:
            thread.join()

    def stop(self) -> None:
        """Drop what waits, return when the work in progress is done, and end the worker process."""
        self._after_fork()
        with self._changed:
            self._waiting.clear()
            for timer in self._timers:
                timer.cancel()
            self._timers.clear()
            thread = self._thread
            if thread is None or thread is threading.current_thread():
                return
            self._stopping = True
            self._changed.notify_all()
        thread.join()

    def _after_fork(self) -> None:
        if self._pid != os.getpid():  # a child inherits the fields, but neither the thread nor whoever held the lock
            self._changed, self._thread, self._pid = threading.Condition(), None, os.getpid()
            self._busy = self._stopping = False
            self._timers = set()
            self._waiting.clear()
            self._worker.abandon()

    def _work(self) -> None:
        try:
            while (index := self._next()) is not None:
                self._look_at(index)
        except InterpreterEndsError:
            _log.debug("What was being built is left to the next process")
        finally:
            with self._changed:
                if self._thread is threading.current_thread():  # something unforeseen; the next change starts another
                    self._end()

    def _end(self) -> None:
        """Count this thread as ended; with the lock."""
        self._worker.stop()
        self._thread, self._busy, self._stopping = None, False, False
        self._changed.notify_all()

    def _next(self) -> Maintained | None:
        """The next index to look at; None when there is none and the worker process has waited long enough."""
        until = time.monotonic() + LINGER_SECONDS
        with self._changed:
            self._busy = False
            self._changed.notify_all()
            while not self._waiting:
                if self._stopping or not self._worker.running or time.monotonic() > until:
                    self._end()
                    return None
                if not threading.main_thread().is_alive():
                    raise InterpreterEndsError
                self._changed.wait(_POLL_SECONDS)
            self._busy = True
            return self._waiting.popleft()

    def _look_at(self, index: Maintained) -> None:
        try:
            if index.maintenance_due(self.lane):
                index.maintain(self.lane, worker=self._worker)
        except IndexNotFound as error:
            _log.debug("Nothing is built for an index that was deleted: %s", error)
        except (RagvecError, OSError) as error:
            # Derived data: searches stay exact without it, and the next change tries again.
            _log.warning("Background work failed and will be tried again: %s", error)


def _remind(maintenance: weakref.ref[Maintenance], index: weakref.ref[Maintained]) -> None:
    at, what = maintenance(), index()
    if at is not None and what is not None:
        at.consider(what)
