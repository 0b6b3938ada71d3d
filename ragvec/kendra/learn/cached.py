"""What was made of an index's notes, kept while they stay as they are."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

__all__ = ["Latest"]

T = TypeVar("T")


class Latest(Generic[T]):
    """A value for each of the `most` indexes used last, made anew when the version of what it is made of changes."""

    def __init__(self, *, most: int = 16) -> None:
        self._most = most
        self._lock = Lock()
        self._found: OrderedDict[str, tuple[str, T]] = OrderedDict()

    def of(self, uid: str, version: str, make: Callable[[], T]) -> T:
        """The value of this index at this version. `make` is called without a lock, so perhaps by two at once."""
        with self._lock:
            found = self._found.get(uid)
            if found is not None and found[0] == version:
                self._found.move_to_end(uid)
                return found[1]
        value = make()
        with self._lock:
            self._found[uid] = version, value
            self._found.move_to_end(uid)
            while len(self._found) > self._most:
                self._found.popitem(last=False)
        return value
