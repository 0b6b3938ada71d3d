"""Forking a process that uses a store: the child starts with no SQLite connection open, and with no lock held.

SQLite keeps what it knows of its locks in the memory of the process. A child would inherit that, but not the locks: it
would write to a log that its parent, believing itself alone, removes (https://www.sqlite.org/howtocorrupt.html,
section 2.6), or wait for a transaction of a thread that it does not have. So a fork first waits until no operation is
under way in any thread, holding off new ones, and closes all connections.

An operation enters before it takes any other lock: a thread that waits for the fork to be over then holds nothing that
a thread for which the fork waits could want. Between two operations a thread may hold a lock of a database for a
moment, which the child would find taken for ever: there each gets new ones.

The lock of a module that another thread was importing stays taken in the child, for ever, and cannot be replaced: so
what runs between operations, in the background, imports nothing. Nor does it multiply matrices: OpenBLAS ends its
threads before a fork, for which a product under way waits, and the fork for it
(https://github.com/OpenMathLib/OpenBLAS/issues/2270 is of that kind).
"""

from __future__ import annotations

import importlib
import os
import threading
import weakref
from typing import Protocol

__all__ = ["Forkable", "import_ahead", "operation", "register"]

_IMPORTED_LATE = ("numpy.ma", "encodings.cp437")
"""What numpy's sets and zipfile import when they are first used."""


class Forkable(Protocol):
    """What holds connections."""

    def close(self) -> None:
        """Close them; later use opens them again."""
        ...

    def forked(self) -> None:
        """In the child, before anything else: no thread of the parent holds a lock here."""
        ...


class _Gate:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.changed = threading.Condition(self.lock)
        self.under_way = 0
        self.forking = False


class _Depth(threading.local):
    value = 0


_gate = _Gate()
_depth = _Depth()
_held: weakref.WeakSet[Forkable] = weakref.WeakSet()
_hooked = threading.Event()


class _Operation:
    """The block of `operation`; a class, since a generator would cost each query a microsecond."""

    __slots__ = ()

    def __enter__(self) -> None:
        if not _depth.value:
            gate = _gate
            with gate.lock:
                while gate.forking:
                    gate.changed.wait()
                gate.under_way += 1
        _depth.value += 1

    def __exit__(self, *_: object) -> None:
        _depth.value -= 1
        if not _depth.value:
            gate = _gate
            with gate.lock:
                gate.under_way -= 1
                if gate.forking:
                    gate.changed.notify_all()


_operation = _Operation()


def operation() -> _Operation:
    """Within the block no other thread forks. May be nested; may wait for a fork in progress when it is not."""
    return _operation


def import_ahead() -> None:
    """Import, within an operation, what libraries would import in the middle of background work."""
    with _operation:
        for name in _IMPORTED_LATE:
            importlib.import_module(name)


def register(forkable: Forkable) -> None:
    """Have it closed before every fork, and told in the child, as long as it lives."""
    with _gate.changed:
        if not _hooked.is_set() and hasattr(os, "register_at_fork"):
            os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
        _hooked.set()
        _held.add(forkable)


def _before() -> None:
    own = 1 if _depth.value else 0
    with _gate.changed:
        while _gate.forking:
            _gate.changed.wait()
        _gate.forking = True
        while _gate.under_way > own:
            _gate.changed.wait()
        held = list(_held)
    for forkable in held:
        forkable.close()


def _in_parent() -> None:
    with _gate.changed:
        _gate.forking = False
        _gate.changed.notify_all()


def _in_child() -> None:
    global _gate
    _gate = _Gate()
    _gate.under_way = 1 if _depth.value else 0
    for forkable in list(_held):
        forkable.forked()
