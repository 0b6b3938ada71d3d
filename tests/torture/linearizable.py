"""Deciding whether what several processes saw of a store is what a store that does one thing at a time could show.

A history is *linearizable* when every operation can be given a moment between its invocation and its response so that,
carried out at those moments one after the other, all of them give the results that they gave (Herlihy and Wing,
"Linearizability: a correctness condition for concurrent objects", ACM TOPLAS 12(3), 1990). Two checkers, which share
nothing:

`check_register`, for one key by itself, needs no hint. It is the search of Wing and Gong ("Testing and verifying
concurrent objects", JPDC 17, 1993) with the memory of Lowe ("Testing for linearizability", Concurrency and Computation
29(4), 2017): a state met again with the same operations behind it is not looked at twice. A history of many keys is
linearizable exactly if that of each key is, as long as no operation spans keys.

`check_order`, for a whole index, is what decides about operations that do span keys: batches, filters, queries, counts.
It is given the order in which the writes took effect (the sequence numbers of their commits). That is a hint, not
trusted: the order has to agree with real time, with what each write reported, and with a moment for every read. If it
does, that is a linearization; if it does not, no other one is possible for a store whose commits are numbered rightly.
"""

from __future__ import annotations

import heapq
import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

__all__ = [
    "REFUSED",
    "Call",
    "Read",
    "State",
    "Violation",
    "Write",
    "check_order",
    "check_register",
]

REFUSED: Any = object()
"""What `Call.apply` returns when the operation cannot have had its result in this state."""

State = Mapping[str, int]
"""An index: the version of every key that it holds."""

_MOST_STEPS = 2_000_000


class Violation(AssertionError):
    """The history cannot be that of a store that does one thing at a time."""


class Call(NamedTuple):
    """One operation as one key saw it, from `invoked` to `responded` (infinity when nothing was heard of it, so that it
    may have taken effect later, or never). `apply` maps the state before to that after, or to REFUSED."""

    invoked: float
    responded: float
    apply: Callable[[Hashable], Hashable]
    text: str


class Write(NamedTuple):
    """The change with number `sequence`. `change` modifies the state that it is given and returns the number of records
    that it deleted; `deleted` is the number that the store reported, None when it reports none."""

    sequence: int
    invoked: float
    responded: float
    change: Callable[[dict[str, int]], int]
    deleted: int | None
    text: str


class Read(NamedTuple):
    """Whether what was read `agrees` with the state at a position; `placed` is told the positions between which it may
    be, and is called before `agrees`."""

    invoked: float
    responded: float
    agrees: Callable[[Sequence[State], int], bool]
    text: str
    placed: Callable[[int, int], None] | None = None


class _Entry:
    """A call or, without one, a return; in a doubly linked list in order of time."""

    __slots__ = ("before", "bit", "call", "match", "next")

    def __init__(self, call: Call | None, bit: int) -> None:
        self.call, self.bit = call, bit
        self.before: _Entry | None = None
        self.next: _Entry | None = None
        self.match: _Entry | None = None

    def lift(self) -> None:
        """Take the call and its return out of the list."""
        for entry in (self, self.match):
            if entry is not None:
                assert entry.before is not None
                entry.before.next = entry.next
                if entry.next is not None:
                    entry.next.before = entry.before

    def unlift(self) -> None:
        """Put them back; only the call lifted last."""
        for entry in (self.match, self):
            if entry is not None:
                assert entry.before is not None
                entry.before.next = entry
                if entry.next is not None:
                    entry.next.before = entry


def check_register(calls: Sequence[Call], *, start: Hashable) -> int:
    """Return how many steps it took to find a linearization of `calls` from the state `start`.

    Raises:
        Violation: there is none; the message names the operation that could not be placed.
        RuntimeError: none was found in two million steps.
    """
    head, returns = _entries(calls)
    entry: _Entry | None = head.next
    state, done = start, 0
    seen: set[tuple[int, Hashable]] = set()
    stack: list[tuple[_Entry, Hashable, int]] = []
    furthest, stuck = -1, ""
    for steps in range(_MOST_STEPS):
        if not returns:
            return steps
        assert entry is not None, "a return that is left stands in the list"
        if entry.call is not None:
            after = entry.call.apply(state)
            if after is not REFUSED and (done | entry.bit, after) not in seen:
                seen.add((done | entry.bit, after))
                stack.append((entry, state, done))
                state, done = after, done | entry.bit
                returns -= entry.match is not None
                entry.lift()
                entry = head.next
                continue
            entry = entry.next
            continue
        # An operation that had responded by here cannot be placed: the last choice was wrong.
        if len(stack) > furthest:
            furthest, stuck = len(stack), _story(entry, stack, state)
        if not stack:
            raise Violation(f"no moment fits {stuck}")
        entry, state, done = stack.pop()
        entry.unlift()
        returns += entry.match is not None
        entry = entry.next
    raise RuntimeError(f"{len(calls)} calls on one register: undecided after {_MOST_STEPS:,} steps")


def _entries(calls: Sequence[Call]) -> tuple[_Entry, int]:
    """The head of the list, and how many returns are in it. A call comes before a return at the same time."""
    timed: list[tuple[float, int, int, _Entry]] = []
    for number, call in enumerate(calls):
        entry = _Entry(call, 1 << number)
        timed.append((call.invoked, 0, number, entry))
        if call.responded != math.inf:
            entry.match = _Entry(None, entry.bit)
            entry.match.match = entry
            timed.append((call.responded, 1, number, entry.match))
    head = last = _Entry(None, 0)
    for _, _, _, entry in sorted(timed, key=lambda item: item[:3]):
        last.next, entry.before = entry, last
        last = entry
    return head, sum(kind for _, kind, _, _ in timed)


def _story(entry: _Entry, stack: Sequence[tuple[_Entry, Hashable, int]], state: Hashable) -> str:
    assert entry.match is not None
    assert entry.match.call is not None
    before = "; ".join(placed.call.text for placed, _, _ in stack[-3:] if placed.call is not None)
    return f"{entry.match.call.text}, where the state is {state!r} after: {before or 'nothing'}"


def check_order(writes: Iterable[Write], reads: Iterable[Read], *, start: State) -> int:
    """Return how many operations were checked: `writes`, in the order of their sequence numbers 1, 2, … without a gap,
    take the state `start` through states 0, 1, …, and for each of the `reads` there is a position among them.

    Raises:
        Violation: naming the operation that contradicts this order.
    """
    ordered = sorted(writes, key=lambda write: write.sequence)
    states = _states(ordered, start)
    _check_real_time(ordered)
    limits = _Limits(ordered)
    placed: list[tuple[float, int]] = []
    """Reads that may not have ended when the next begins, the first to end first."""
    low = count = 0
    for read in sorted(reads, key=lambda read: read.invoked):
        while placed and placed[0][0] < read.invoked:
            low = max(low, heapq.heappop(placed)[1])
        first, last = max(low, limits.first(read.invoked)), limits.last(read.responded)
        if read.placed is not None:
            read.placed(first, last)
        at = next((position for position in range(first, last + 1) if read.agrees(states, position)), None)
        if at is None:
            raise Violation(f"{read.text} is true of no state between the changes {first} and {last}")
        # The earliest position is the best: it binds later reads the least.
        heapq.heappush(placed, (read.responded, at))
        count += 1
    return len(ordered) + count


class _Limits:
    """The positions that real time leaves to a read."""

    def __init__(self, ordered: Sequence[Write]) -> None:
        by_end = sorted((write.responded, write.sequence) for write in ordered)
        by_start = sorted((write.invoked, write.sequence) for write in ordered)
        self._ends = [end for end, _ in by_end]
        self._starts = [start for start, _ in by_start]
        self._latest = [0, *accumulate((sequence for _, sequence in by_end), max)]
        backwards = accumulate((sequence for _, sequence in reversed(by_start)), min)
        self._earliest = [*reversed(list(backwards)), len(ordered) + 1]

    def first(self, invoked: float) -> int:
        """The last change that had ended before."""
        return self._latest[bisect_left(self._ends, invoked)]

    def last(self, responded: float) -> int:
        """The change before the first one that began afterwards."""
        return self._earliest[bisect_right(self._starts, responded)] - 1


def _states(ordered: Sequence[Write], start: State) -> list[dict[str, int]]:
    states = [dict(start)]
    for expected, write in enumerate(ordered, start=1):
        if write.sequence != expected:
            raise Violation(f"change {expected} is missing or there twice, next is {write.sequence}: {write.text}")
        state = dict(states[-1])
        deleted = write.change(state)
        if write.deleted is not None and write.deleted != deleted:
            raise Violation(f"{write.text} as change {expected} deleted {deleted}, and reported {write.deleted}")
        states.append(state)
    return states


def _check_real_time(ordered: Sequence[Write]) -> None:
    first_response, by = math.inf, ""
    for write in reversed(ordered):
        if write.invoked > first_response:
            raise Violation(f"{write.text} is change {write.sequence}, but began after {by} had ended, which is later")
        if write.responded < first_response:
            first_response, by = write.responded, write.text
