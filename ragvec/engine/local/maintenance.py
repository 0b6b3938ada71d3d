"""Background work: one thread a store that builds the segments that are due."""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from typing import Protocol

from ragvec.errors import RagvecError

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
        with self._lock:
            if self._pid != os.getpid():  # a forked child inherits the fields but not the thread
                self._thread, self._pid = None, os.getpid()
                self._waiting.clear()
            if index in self._waiting:
                return
            self._waiting.append(index)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="ragvec-maintenance", daemon=False)
                self._thread.start()

    def settle(self) -> None:
        """Return when everything that waits has been looked at."""
        while True:
            with self._lock:
                thread = self._thread if self._pid == os.getpid() else None
            if thread is None:
                return
            thread.join()

    def stop(self) -> None:
        """Drop what waits and return when the work in progress is done."""
        with self._lock:
            self._waiting.clear()
            thread = self._thread if self._pid == os.getpid() else None
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._thread = None
                    return
                index = self._waiting.popleft()
            try:
                if index.maintenance_due():
                    index.optimize()
            except (RagvecError, OSError) as error:
                # Derived data: searches stay exact without it, and the next change tries again.
                _log.warning("Building a segment failed and will be tried again: %s", error)
