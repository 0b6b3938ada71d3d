"""Background work: one thread a store that builds the segments that are due."""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from typing import Protocol

from ragvec.errors import IndexNotFound, RagvecError

__all__ = ["Maintained", "Maintenance"]

_log = logging.getLogger("ragvec.maintenance")


class Maintained(Protocol):
    """What the thread works on."""

    def maintenance_due(self) -> bool:
        """Whether `optimize` has something to do."""
        ...

    def optimize(self) -> None:
        """Do it."""
        ...


class Maintenance:
    """Runs `optimize` of indexes that grew, one after the other, in a thread that ends when there is nothing to do.

    The thread is not a daemon: at interpreter exit a build that has begun is finished rather than torn down inside
    native code.
    """

    def __init__(self) -> None:
        self._waiting: deque[Maintained] = deque()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._pid = os.getpid()

    def consider(self, index: Maintained) -> None:
        """Have `index` looked at soon; cheap enough for every write."""
        self._after_fork()
        with self._lock:
            if index in self._waiting:
                return
            self._waiting.append(index)
            if self._thread is None:
                thread = threading.Thread(target=self._work, name="ragvec-maintenance", daemon=False)
                try:
                    thread.start()
                except RuntimeError as error:
                    # Too many threads, or the interpreter is ending. The write that led here is done all the same.
                    self._waiting.clear()
                    _log.warning("Segments are not built for now: %s", error)
                    return
                self._thread = thread

    def settle(self) -> None:
        """Return when everything that waits has been looked at."""
        self._after_fork()
        while True:
            with self._lock:
                thread = self._thread
            if thread is None:
                return
            thread.join()

    def stop(self) -> None:
        """Drop what waits and return when the work in progress is done."""
        self._after_fork()
        with self._lock:
            self._waiting.clear()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _after_fork(self) -> None:
        if self._pid != os.getpid():  # a child inherits the fields, but neither the thread nor whoever held the lock
            self._lock, self._thread, self._pid = threading.Lock(), None, os.getpid()
            self._waiting.clear()

    def _work(self) -> None:
        ended = False
        try:
            while not ended:
                ended = self._work_once()
        finally:
            if not ended:  # something unforeseen: the thread ends with it, and the next change starts another
                with self._lock:
                    self._thread = None

    def _work_once(self) -> bool:
        """Look at one index; True when none waited, so that this thread counts as ended."""
        with self._lock:
            if not self._waiting:
                self._thread = None
                return True
            index = self._waiting.popleft()
        try:
            if index.maintenance_due():
                index.optimize()
        except IndexNotFound as error:
            _log.debug("Nothing is built for an index that was deleted: %s", error)
        except (RagvecError, OSError) as error:
            # Derived data: searches stay exact without it, and the next change tries again.
            _log.warning("Building a segment failed and will be tried again: %s", error)
        return False
