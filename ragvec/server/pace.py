"""Which operations are so quick that the event loop does them itself.

Handing an operation to a thread and taking its result back costs as much as a third of a quick search, for both threads
want the interpreter's lock. So calls that were quick, time after time, are done where they arrive; all others, and
those of a kind that is not known yet, in threads, so that nobody waits for them.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from ragvec.server.dialects.face import Call

__all__ = ["QUICK", "Pace"]

QUICK = 0.003
"""Seconds: what an operation of a kind may take on average while the others wait for it."""
_TRIED = 4
_REMEMBERED = 16
"""Calls over which the average goes: one of a second sends its kind to the threads for the next fifty."""
_MOST = 1024
_READS = ("Get", "Query", "List")
_SHAPE = ("filter", "topK", "maxResults", "returnData", "queryTexts", "nextToken", "queryMode")


class Pace:
    """What is known of the time that calls take. A kind of call is one operation on one index with arguments that cost
    the same: a filter or none, as many results. For the thread of the event loop only."""

    def __init__(self) -> None:
        self._seen: OrderedDict[tuple[Any, ...], tuple[int, float]] = OrderedDict()
        """By kind the number of calls, up to `_REMEMBERED`, and their average in seconds."""

    def kind(self, call: Call) -> tuple[Any, ...] | None:
        """What to call the kind by; None: always for a thread, for it writes, or works on text."""
        if not call.operation.startswith(_READS) or call.index is None:
            return None
        arguments = call.arguments
        return (call.operation, call.bucket, call.index, *[_size(arguments.get(name)) for name in _SHAPE])

    def is_quick(self, kind: tuple[Any, ...]) -> bool:
        """Whether a call of this kind may be done at once."""
        count, average = self._seen.get(kind, (0, 0.0))
        return count >= _TRIED and average < QUICK

    def took(self, kind: tuple[Any, ...], seconds: float) -> None:
        """Learn from a call of this kind."""
        count, average = self._seen.get(kind, (0, 0.0))
        count = min(count + 1, _REMEMBERED)
        self._seen[kind] = count, average + (seconds - average) / count
        self._seen.move_to_end(kind)
        if len(self._seen) > _MOST:
            self._seen.popitem(last=False)


def _size(value: object) -> object:
    """What of an argument tells its cost: a number or a flag itself, of others only that they are there."""
    return value if isinstance(value, (int, float, str)) and value != "" else value is not None
