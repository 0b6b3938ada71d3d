"""Many searches at once, or one change: for libraries whose indexes may be searched by several threads, but not while
one of them changes the index."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Gate"]


class Gate:
    """A search is between `enter` and `leave`; a change is a block of `changing`, which waits for the searches under
    way and holds off new ones. It has to be short."""

    __slots__ = ("_changed", "_changing", "_lock", "_searches")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._searches = 0
        self._changing = False

    def enter(self) -> None:
        """Before a search."""
        with self._lock:
            while self._changing:
                self._changed.wait()
            self._searches += 1

    def leave(self) -> None:
        """After it, however it ended."""
        with self._lock:
            self._searches -= 1
            if self._changing and not self._searches:
                self._changed.notify_all()

    @contextmanager
    def changing(self) -> Iterator[None]:
        """The block of a change."""
        with self._lock:
            while self._changing:
                self._changed.wait()
            self._changing = True
            while self._searches:
                self._changed.wait()
        try:
            yield
        finally:
            with self._lock:
                self._changing = False
                self._changed.notify_all()
