"""Many searches at once, or one change: for libraries whose indexes may be searched by several threads, but not while
one of them changes the index."""

from __future__ import annotations

import threading

__all__ = ["Gate"]


class Gate:
    """`searching` and `changing` are the two kinds of block. A change waits for the searches under way and holds off
    new ones; it has to be short."""

    __slots__ = ("_changed", "_changing", "_searches", "changing", "searching")

    def __init__(self) -> None:
        self._changed = threading.Condition(threading.Lock())
        self._searches = 0
        self._changing = False
        self.searching = _Searching(self)
        self.changing = _Changing(self)


class _Searching:
    __slots__ = ("_gate",)

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def __enter__(self) -> None:
        gate = self._gate
        with gate._changed:
            while gate._changing:
                gate._changed.wait()
            gate._searches += 1

    def __exit__(self, *_: object) -> None:
        gate = self._gate
        with gate._changed:
            gate._searches -= 1
            if gate._changing and not gate._searches:
                gate._changed.notify_all()


class _Changing:
    __slots__ = ("_gate",)

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def __enter__(self) -> None:
        gate = self._gate
        with gate._changed:
            while gate._changing:
                gate._changed.wait()
            gate._changing = True
            while gate._searches:
                gate._changed.wait()

    def __exit__(self, *_: object) -> None:
        gate = self._gate
        with gate._changed:
            gate._changing = False
            gate._changed.notify_all()
