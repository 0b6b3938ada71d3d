"""What was read from a database, kept until something is committed to it, by whichever process."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

__all__ = ["Remembered"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Remembered(Generic[K, V]):
    """Values by key, as of the last change; for any number of threads.

    `mark` gives what is the same exactly as long as nothing is committed, None when unknown: see
    `Database.unchanged_since`.
    """

    def __init__(self, mark: Callable[[], bytes | None]) -> None:
        self._mark = mark
        self._known: tuple[bytes | None, dict[K, V]] = (None, {})

    def get(self, key: K, read: Callable[[], V]) -> V:
        """The value that `read` gave since the last change, or gives now. What it raises is not remembered."""
        # Before reading: what is committed in between makes the next caller read again.
        mark = self._mark()
        known = self._known
        if mark is None or known[0] != mark:
            known = self._known = (mark, {})
        try:
            return known[1][key]
        except KeyError:
            value = read()
            if mark is not None:
                known[1][key] = value
            return value
