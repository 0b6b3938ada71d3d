"""What the logs of `tests.torture.processes_actor` say, put to the checkers of `tests.torture.linearizable`.

Of an index that is there all the time: its commits in the order of their numbers explain every read (`check_order`),
and each key by itself is a register (`check_register`). Of indexes that come and go: each key by itself is a register
that exists or not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from tests.torture.linearizable import REFUSED, Call, Read, State, Violation, Write, check_order, check_register
from tests.torture.processes_plan import EVERYTHING, STABLE, VOLATILE, Operation, accepts, distance, keys_of

__all__ = ["Done", "judge", "read_logs"]

_Where = list[Any] | None


class Done(msgspec.Struct):
    """One operation; `responded` is infinity, and `result` None, when its process was killed before it ended."""

    process: int
    thread: int
    operation: Operation
    invoked: float
    responded: float = math.inf
    result: Any = None
    sequence: int | None = None

    @property
    def failure(self) -> str:
        """The name of the error that it raised, empty if none."""
        return self.result["error"] if isinstance(self.result, dict) and "error" in self.result else ""

    @property
    def text(self) -> str:
        """It and its result, short, for people."""
        when = f"[{self.invoked}, {self.responded}]"
        return f"{self.process}/{self.thread} {self.operation} -> {str(self.result)[:600]} {when}"


class _Figures(msgspec.Struct):
    found: int = 0
    nearest: int = 0


def read_logs(folder: Path) -> list[Done]:
    """The operations in all logs, by process and thread, each in the order in which they were done."""
    every = []
    for path in sorted(folder.glob("*.log")):
        process, thread = map(int, path.stem.split("-"))
        for line in path.read_bytes().split(b"\n")[:-1]:
            said = msgspec.json.decode(line)
            if "begin" in said:
                every.append(Done(process, thread, said["begin"], said["at"]))
            elif "sequence" in said:
                every[-1].sequence = said["sequence"]
            else:
                every[-1].responded, every[-1].result = said["at"], said["result"]
    return every


def judge(every: Sequence[Done], *, approximate: Callable[[int], bool]) -> dict[str, int]:
    """Raise Violation unless the operations are linearizable; returns how many were checked, and found how well.

    `approximate` tells whether the searches of a process may miss something.
    """
    _check_failures(every)
    figures = _Figures()
    checked = 0
    for name in STABLE:
        there = _settled([done for done in every if done.operation["index"] == name])
        writes = [_write(done) for done in there if done.sequence is not None and _is_write(done)]
        checked += check_order(writes, _reads(there, approximate, figures), start={})
        for key in keys_of(name):
            check_register(list(_calls(there, key, approximate)), start=None)
    for name in VOLATILE:
        there = _settled([done for done in every if done.operation["index"] == name])
        checked += len(there)
        _check_later_pages(there)
        for key in keys_of(name):
            check_register(list(_calls(there, key, approximate)), start=_NO_INDEX)
    return {"checked": checked, "recall": round(1000 * figures.found / max(1, figures.nearest))}


def _check_failures(every: Iterable[Done]) -> None:
    for done in every:
        allowed: set[str] = set()
        if done.operation["index"] in VOLATILE:
            allowed |= {"IndexNotFound"}
            if done.operation["do"] == "create":
                allowed = {"IndexExists"}
            elif done.operation["do"] in ("list", "page") and not _is_first(done):
                allowed |= {"InvalidToken"}  # the index of that name is another by now
        if done.operation["do"] == "page" and not _is_first(done):
            allowed |= {"ExpiredToken"}  # compacted, and the time of the earlier generation was up
        if done.failure and done.failure not in allowed:
            raise Violation(f"raised what it must not: {done.text}")


def _is_first(done: Done) -> bool:
    return done.operation.get("after") is None and not done.operation.get("offset")


def _is_write(done: Done) -> bool:
    return done.operation["do"] in ("put", "delete", "delete_where")


def _settled(every: Sequence[Done]) -> list[Done]:
    """Without the operations of killed processes that did not take effect: those whose commit has a number that another
    took, or that nobody saw the effect of though nothing followed."""
    ended = [done for done in every if done.responded != math.inf]
    taken = {done.sequence for done in ended if _is_write(done)}
    seen = {version for done in ended for version in _versions(done)}
    pending = [done for done in every if done.responded == math.inf and done.operation["do"] == "put"]
    pending.sort(key=lambda done: done.operation["version"] not in seen)
    for done in pending:
        was_seen = done.operation["version"] in seen
        last = max((sequence for sequence in taken if sequence is not None), default=0)
        fits = done.sequence is not None and done.sequence not in taken and (was_seen or done.sequence < last)
        if was_seen and not fits and done.operation["index"] in STABLE:
            raise Violation(f"seen, though it cannot have been committed: {done.text}")
        if fits or was_seen:
            taken.add(done.sequence)
            ended.append(done)
    return ended


def _versions(done: Done) -> Iterable[int]:
    match done.operation["do"]:
        case _ if done.failure or done.result is None:
            return []
        case "get":
            return list(done.result.values())
        case "list" | "page":
            return [version for _, version, _ in done.result["found"]]
        case "query":
            return [version for _, version, _ in done.result]
    return []


# -- a whole index ---------------------------------------------------------------------------------------------------


def _write(done: Done) -> Write:
    operation = done.operation

    def change(state: dict[str, int]) -> int:
        if operation["do"] == "put":
            state.update(dict.fromkeys(operation["keys"], operation["version"]))
            return 0
        if operation["do"] == "delete":
            gone = [key for key in operation["keys"] if key in state]
        else:
            gone = [key for key, version in state.items() if accepts(operation["where"], key, version)]
        for key in gone:
            del state[key]
        return len(gone)

    assert done.sequence is not None
    return Write(done.sequence, done.invoked, done.responded, change, done.result, done.text)


def _reads(every: Sequence[Done], approximate: Callable[[int], bool], figures: _Figures) -> Iterable[Read]:
    lists: dict[tuple[int, int, int], _Paged] = {}
    for done in sorted(every, key=lambda done: done.invoked):
        if done.operation["do"] == "page":
            yield from _page(done, lists, exact=not approximate(done.process))
            continue
        agrees = _agrees(done, figures, exact=not approximate(done.process))
        if agrees is not None:
            yield Read(done.invoked, done.responded, agrees, done.text)


def _agrees(done: Done, figures: _Figures, *, exact: bool) -> Callable[[Sequence[State], int], bool] | None:
    operation, result = done.operation, done.result
    where: _Where = operation.get("where")
    match operation["do"]:
        case "delete" if done.sequence is None:
            return lambda states, at: result == 0 and not any(key in states[at] for key in operation["keys"])
        case "delete_where" if done.sequence is None:
            return lambda states, at: result == 0 == len(_matching(states[at], where))
        case "get":
            return lambda states, at: (
                result == {key: states[at][key] for key in operation["keys"] if key in states[at]}
                and list(result) == [key for key in operation["keys"] if key in states[at]]
            )
        case "list":
            return lambda states, at: _is_page_of_keys(done, states[at])
        case "count":
            return lambda states, at: result == len(_matching(states[at], where))
        case "stats":
            return lambda states, at: result == [len(states[at]), at]
        case "query":
            return lambda states, at: _is_ranking(done, states[at], figures, exact=exact)
    return None


def _matching(state: State, where: _Where) -> dict[str, int]:
    return {key: version for key, version in state.items() if accepts(where, key, version)}


def _ranking(state: State, operation: Operation) -> list[list[Any]]:
    """The k nearest, nearest first, ties by key."""
    place = operation["at"]
    matching = _matching(state, operation["where"]).items()
    hits = sorted((distance(key, version, at=place), key.encode(), key, version) for key, version in matching)
    return [[key, version, far] for far, _, key, version in hits[: operation["k"]]]


def _is_ranking(done: Done, state: State, figures: _Figures, *, exact: bool) -> bool:
    operation, result = done.operation, done.result
    expected = _ranking(state, operation)
    if exact or operation["k"] >= EVERYTHING or operation["effort"] is None:
        return bool(result == expected)
    if not (_are_sound(result, state, operation) and len(result) == len(expected)):
        return False
    figures.nearest += len(expected)
    figures.found += sum(far <= expected[-1][2] for _, _, far in result)
    return True


def _are_sound(hits: list[list[Any]], state: State, operation: Operation) -> bool:
    """Whether hits are of the state, satisfy the filter, and are in order."""
    order = [(far, key.encode()) for key, _, far in hits]
    return order == sorted(set(order)) and all(
        state.get(key) == version
        and accepts(operation["where"], key, version)
        and far == distance(key, version, at=operation["at"])
        for key, version, far in hits
    )


def _is_page_of_keys(done: Done, state: State) -> bool:
    operation, found = done.operation, done.result["found"]
    after = operation["after"]
    rest = sorted(key for key in _matching(state, operation["where"]) if after is None or key > after)
    page = rest[: operation["size"]]
    return (
        [key for key, _, _ in found] == page
        and all(state[key] == version for key, version, _ in found)
        and done.result["more"] == (len(rest) > len(page))
    )


class _Paged:
    """One result list that is read in pages, and the states that it may be of."""

    def __init__(self, first: Done) -> None:
        self.first = first
        self.window = (0, -1)
        self.shown = list(first.result["found"])

    def place(self, low: int, high: int) -> None:
        """It was ranked at one of these positions."""
        self.window = (low, high)


def _page(done: Done, lists: dict[tuple[int, int, int], _Paged], *, exact: bool) -> Iterable[Read]:
    operation = done.operation
    if done.failure:
        return
    of = (done.process, done.thread, operation["list"])
    found, start = done.result["found"], operation["offset"]
    if not start:
        paged = lists[of] = _Paged(done)

        def first(states: Sequence[State], at: int) -> bool:
            expected = _ranking(states[at], operation)
            if done.result["more"] != (len(expected) > operation["size"]):
                return False
            if exact:
                return bool(found == expected[: operation["size"]])
            return len(found) == len(expected[: operation["size"]]) and _are_sound(found, states[at], operation)

        yield Read(done.invoked, done.responded, first, done.text, paged.place)
        return
    paged = lists[of]
    before = list(paged.shown)
    paged.shown += found

    def later(states: Sequence[State], at: int) -> bool:
        # What was deleted since is left out; what was replaced since is as it was.
        low, high = paged.window
        for ranked in range(low, high + 1):
            expected = _ranking(states[ranked], operation)
            if exact:
                part = [hit for hit in expected[start : start + operation["size"]] if hit[0] in states[at]]
                if expected[: operation["size"]] == paged.first.result["found"] and part == found:
                    return True
            elif _are_sound(before + found, states[ranked], operation) and len(found) <= operation["size"]:
                return True
        return False

    yield Read(done.invoked, done.responded, later, done.text)


# -- one key ---------------------------------------------------------------------------------------------------------

_NO_INDEX = -1
_refused: Hashable = REFUSED


def _calls(every: Iterable[Done], key: str, approximate: Callable[[int], bool]) -> Iterable[Call]:
    for done in every:
        apply = _apply(done, key)
        if apply is not None:
            yield Call(done.invoked, done.responded, apply, f"{key} in {done.text}")


def _apply(done: Done, key: str) -> Callable[[Hashable], Hashable] | None:
    """What the operation did to, or saw of, a key: its version, None without one, _NO_INDEX without an index."""
    operation = done.operation
    keys = operation.get("keys")
    if (keys is not None and key not in keys) or done.failure == "InvalidToken":
        return None
    if done.failure == "IndexNotFound":
        return lambda state: state if state == _NO_INDEX else REFUSED
    where: _Where = operation.get("where")
    match operation["do"]:
        case "create" if done.failure:
            return lambda state: state if state != _NO_INDEX else REFUSED
        case "create":
            return lambda state: None if state == _NO_INDEX else REFUSED
        case "drop":
            return lambda state: _NO_INDEX if state != _NO_INDEX else REFUSED
        case "put":
            version: int = operation["version"]
            return lambda state: version if state != _NO_INDEX else REFUSED
        case "delete":
            there = {0: False, len(operation["keys"]): True}.get(done.result)
            return lambda state: (
                REFUSED if state == _NO_INDEX or (there is not None and there != (state is not None)) else None
            )
        case "delete_where":
            return lambda state: None if isinstance(state, int) and accepts(where, key, state) else state
        case "get":
            return _seen(key, done.result.get(key), None)
        case "query" if operation["k"] >= EVERYTHING:
            return _seen(key, {hit[0]: hit[1] for hit in done.result}.get(key), where)
        case "list":
            found = {hit[0]: hit[1] for hit in done.result["found"]}
            first = operation["after"] is None or key > operation["after"]
            if first and (not done.result["more"] or key <= max(found)):
                return _seen(key, found.get(key), where)
    return None


def _seen(key: str, version: int | None, where: _Where) -> Callable[[Hashable], Hashable]:
    def apply(state: Hashable) -> Hashable:
        if state == _NO_INDEX:
            return _refused
        shown = state if isinstance(state, int) and accepts(where, key, state) else None
        if shown != version:
            return _refused
        return state

    return apply


def _check_later_pages(every: Sequence[Done]) -> None:
    """Later pages of an index that may have been made anew show nothing that was written after the first."""
    written = {done.operation["version"]: done.invoked for done in every if done.operation["do"] == "put"}
    first: dict[tuple[int, int, int], Done] = {}
    for done in every:
        if done.operation["do"] != "page" or done.failure:
            continue
        begun = first.setdefault((done.process, done.thread, done.operation["list"]), done)
        if any(written[version] > begun.responded for _, version, _ in done.result["found"]):
            raise Violation(f"a page of what was written after the first page {begun.text}: {done.text}")
