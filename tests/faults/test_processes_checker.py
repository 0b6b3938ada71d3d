"""The checkers of histories find what is wrong with one, and nothing wrong with a good one."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Hashable, Sequence

import pytest

from tests.torture.linearizable import REFUSED, Call, Read, State, Violation, Write, check_order, check_register


def put(value: int, invoked: float, responded: float) -> Call:
    return Call(invoked, responded, lambda _: value, f"put {value}")


def get(value: int | None, invoked: float, responded: float) -> Call:
    def apply(state: Hashable) -> Hashable:
        return state if state == value else REFUSED

    return Call(invoked, responded, apply, f"get {value}")


GOOD = {
    "one after the other": [put(1, 0, 1), get(1, 2, 3), put(2, 4, 5), get(2, 6, 7)],
    "a read beside a write sees it": [put(1, 0, 9), get(1, 2, 3), get(1, 4, 5)],
    "a read beside a write does not see it": [put(1, 0, 9), get(None, 2, 3), get(1, 4, 5)],
    "writes side by side, in the order that reads tell": [put(1, 0, 9), put(2, 0, 9), get(2, 1, 2), get(1, 3, 4)],
    "nothing was heard of a write that is there": [put(1, 0, math.inf), get(None, 1, 2), get(1, 3, 4)],
    "nothing was heard of a write that is not there": [put(1, 0, math.inf), get(None, 1, 2), get(None, 3, 4)],
    "touching intervals": [put(1, 0, 1), get(None, 1, 2)],
}
BAD = {
    "a stale read": [put(1, 0, 1), put(2, 2, 3), get(1, 4, 5)],
    "a lost update": [put(1, 0, 1), get(None, 2, 3)],
    "a read that goes back": [put(1, 0, 9), get(1, 1, 2), get(None, 3, 4)],
    "a value of nobody": [put(1, 0, 1), get(7, 2, 3)],
    "two readers that disagree on the order": [
        put(1, 0, 9), put(2, 0, 9), get(1, 1, 2), get(2, 3, 4), get(1, 5, 6),
    ],
    "a write that came back from the dead": [
        put(1, 0, math.inf), put(2, 0, 1), get(1, 2, 3), get(2, 4, 5), get(1, 6, 7),
    ],
    "a read before the write began": [get(1, 0, 1), put(1, 2, 3)],
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_a_good_register_passes(name: str) -> None:
    check_register(GOOD[name], start=None)


@pytest.mark.parametrize("name", BAD)
def test_a_bad_register_is_found_out(name: str) -> None:
    with pytest.raises(Violation, match="no moment fits get"):
        check_register(BAD[name], start=None)


def by_trying_all(calls: Sequence[Call]) -> bool:
    """The definition, literally; those without a response may be left out."""
    optional = [call for call in calls if call.responded == math.inf]
    for count in range(len(optional) + 1):
        for left_out in itertools.combinations(optional, count):
            chosen = [call for call in calls if call not in left_out]
            if any(_holds(order) for order in itertools.permutations(chosen)):
                return True
    return False


def _holds(order: Sequence[Call]) -> bool:
    state: Hashable = None
    for at, call in enumerate(order):
        if any(later.responded < call.invoked for later in order[at + 1 :]):
            return False
        state = call.apply(state)
        if state is REFUSED:
            return False
    return True


def test_the_search_decides_as_the_definition_does() -> None:
    chosen, verdicts = random.Random(4), set()
    for _ in range(400):
        calls = []
        for number in range(chosen.randint(2, 6)):
            invoked = chosen.randint(0, 8)
            responded = math.inf if chosen.random() < 0.1 else invoked + chosen.randint(1, 4)
            make: Callable[[int, float, float], Call] = put if chosen.random() < 0.5 else get
            calls.append(make(number if make is put else chosen.randint(0, 5), invoked, responded))
        expected = by_trying_all(calls)
        verdicts.add(expected)
        if expected:
            check_register(calls, start=None)
        else:
            with pytest.raises(Violation):
                check_register(calls, start=None)
    assert verdicts == {True, False}


def batch(sequence: int, invoked: float, responded: float, *keys: str) -> Write:
    def change(state: dict[str, int]) -> int:
        state.update(dict.fromkeys(keys, sequence))
        return 0

    return Write(sequence, invoked, responded, change, None, f"put {sequence}")


def delete(sequence: int, invoked: float, responded: float, key: str, *, deleted: int) -> Write:
    def change(state: dict[str, int]) -> int:
        return 0 if state.pop(key, None) is None else 1

    return Write(sequence, invoked, responded, change, deleted, f"delete {key}")


def look(invoked: float, responded: float, **expected: int) -> Read:
    def agrees(states: Sequence[State], position: int) -> bool:
        return states[position] == expected

    return Read(invoked, responded, agrees, f"read {expected}")


def test_a_good_order_passes() -> None:
    writes = [batch(1, 0, 9, "a", "b"), batch(2, 1, 4, "b"), delete(3, 10, 11, "a", deleted=1)]
    reads = [look(0, 2), look(2, 3, a=1, b=1), look(3, 5, a=1, b=1), look(5, 6, a=1, b=2), look(10, 12, b=2)]
    assert check_order(writes, reads, start={}) == 8


@pytest.mark.parametrize(
    ("writes", "reads", "what"),
    [
        ([batch(1, 0, 1, "a", "b")], [look(0, 1, a=1)], "read {'a': 1} is true of no state"),
        ([batch(1, 0, 1, "a", "b"), batch(2, 2, 3, "a", "b")], [look(2, 3, a=2, b=1)], "is true of no state"),
        ([batch(1, 0, 1, "a")], [look(2, 3)], "read {} is true of no state between the changes 1 and 1"),
        ([batch(1, 4, 5, "a")], [look(1, 2, a=1)], "between the changes 0 and 0"),
        ([batch(1, 0, 9, "a")], [look(1, 2, a=1), look(3, 4)], "read {} is true of no state"),
        ([batch(1, 0, 9, "a")], [look(1, 2, a=1), look(1, 6), look(3, 4)], "read {} is true of no state"),
        ([batch(1, 2, 3, "a"), batch(2, 0, 1, "a")], [], "began after"),
        ([batch(1, 0, 1, "a"), batch(3, 2, 3, "a")], [], "change 2 is missing"),
        ([batch(1, 0, 1, "a"), batch(1, 2, 3, "a")], [], "missing or there twice"),
        ([batch(1, 0, 1, "a"), delete(2, 2, 3, "a", deleted=0)], [], "deleted 1, and reported 0"),
    ],
    ids=["half a batch", "half of a newer batch", "a lost update", "a read of the future", "a read that goes back",
         "one that goes back beside a slow one", "an order against time", "a gap", "a number used twice",
         "a delete that counts wrongly"],
)  # fmt: skip
def test_a_bad_order_is_found_out(writes: list[Write], reads: list[Read], what: str) -> None:
    with pytest.raises(Violation) as caught:
        check_order(writes, reads, start={})
    assert what in str(caught.value)
