"""What a store must hold after a journal of operations: a plain dict, changed by each operation as documented.

A journal has a line `begin <n> <operation as JSON>` before each operation and `done <n>` after its acknowledgement. An
operation without `done` may have happened or not, wholly; `absent <n>` says that it did not. Vectors and metadata are
made from the operation's seed, so that lines stay short.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from ragvec.types import FloatMatrix

__all__ = ["DIMENSION", "Journal", "Model", "Operation", "State", "metadata_of", "vectors_of"]

DIMENSION = 8

Operation: TypeAlias = "dict[str, Any]"
State: TypeAlias = "dict[str, dict[str, Any]]"
"""By bucket {"policy", "tags", "indexes"}; by index {"metric", "properties", "target", "text", "records"}; by key (the
vector's bytes, metadata)."""

_WORDS = ("é", "дом", "家", "a b", "")


def vectors_of(operation: Operation) -> FloatMatrix:
    """The vectors of a put, float32 (keys, DIMENSION)."""
    random = np.random.RandomState(operation["seed"])  # whose numbers will never be others, unlike default_rng's
    return random.normal(size=(len(operation["keys"]), DIMENSION)).astype(np.float32)


def metadata_of(operation: Operation) -> list[dict[str, Any] | None]:
    """The metadata of a put: fields of each type, missing ones, and records without any."""
    seed = operation["seed"]
    return [
        None
        if (seed + n) % 11 == 0
        else {"n": (seed + n) % 10, "word": _WORDS[n % 5], "x": n / 7}
        | ({} if n % 3 else {"list": [_WORDS[n % 5], f"w{n % 4}"], "ok": n % 2 == 0})
        for n in range(len(operation["keys"]))
    ]


class Journal:
    """A journal file, and what it says. `alternatives` are the states that the store may be in."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.began: dict[int, Operation] = {}
        self.done: set[int] = set()
        self.absent: set[int] = set()
        for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else ():
            if not line.endswith("\n"):
                continue  # cut off by a kill, so what it was to announce has not begun
            verb, number, *rest = line.split(" ", 2)
            if verb == "begin":
                self.began[int(number)] = json.loads(rest[0])
            elif verb == "done":
                self.done.add(int(number))
            else:
                self.absent.add(int(number))

    @property
    def pending(self) -> list[int]:
        """The operations of which nobody knows whether they happened."""
        return [n for n in self.began if n not in self.done and n not in self.absent]

    def begin(self, operation: Operation) -> int:
        """Announce an operation; returns its number."""
        number = len(self.began)
        self._say(f"begin {number} {json.dumps(operation, ensure_ascii=False)}")
        self.began[number] = operation
        return number

    def acknowledge(self, number: int) -> None:
        """The operation happened."""
        self._say(f"done {number}")
        self.done.add(number)

    def deny(self, number: int) -> None:
        """The operation did not happen, and will not."""
        self._say(f"absent {number}")
        self.absent.add(number)

    def alternatives(self) -> list[tuple[Model, set[int]]]:
        """The models that the store may equal, each with the pending operations that took effect in it."""
        found: list[tuple[Model, set[int]]] = [(Model(), set())]
        for number, operation in self.began.items():
            if number in self.absent:
                continue
            if number in self.done:
                for model, _ in found:
                    model.apply(operation)
                continue
            for model, happened in list(found):
                other = Model(copy.deepcopy(model.state))
                if other.apply(operation):
                    found.append((other, happened | {number}))
        return found

    def _say(self, line: str) -> None:
        # One write without a buffer: what was said survives the process, in the order of what it did.
        with self.path.open("ab", buffering=0) as file:
            file.write((line + "\n").encode())


class Model:
    """The state, and what operations do to it."""

    def __init__(self, state: State | None = None) -> None:
        self.state: State = {} if state is None else state

    def index(self, operation: Operation) -> dict[str, Any]:
        """The index that an operation is about."""
        index: dict[str, Any] = self.state[operation["bucket"]]["indexes"][operation["index"]]
        return index

    def apply(self, operation: Operation) -> bool:
        """Do it; whether it changed anything."""
        change = getattr(self, "_" + operation["do"], None)
        if change is None:
            return False  # such as a query or a compaction
        change(operation)
        return True

    def _create_bucket(self, operation: Operation) -> None:
        self.state[operation["bucket"]] = {"policy": None, "tags": {}, "indexes": {}}

    def _delete_bucket(self, operation: Operation) -> None:
        del self.state[operation["bucket"]]

    def _create_index(self, operation: Operation) -> None:
        self.state[operation["bucket"]]["indexes"][operation["index"]] = {
            "metric": operation["metric"],
            "properties": {},
            "target": None,
            "text": dict.fromkeys(operation.get("text", ())),
            "records": {},
        }

    def _delete_index(self, operation: Operation) -> None:
        del self.state[operation["bucket"]]["indexes"][operation["index"]]

    def _tag(self, operation: Operation) -> None:
        self.state[operation["bucket"]]["tags"].update(operation["tags"])

    def _policy(self, operation: Operation) -> None:
        self.state[operation["bucket"]]["policy"] = operation["policy"]

    def _set_property(self, operation: Operation) -> None:
        properties = self.index(operation)["properties"]
        if operation["value"] is None:
            properties.pop(operation["name"], None)
        else:
            properties[operation["name"]] = operation["value"]

    def _tune(self, operation: Operation) -> None:
        self.index(operation)["target"] = operation["target"]

    def _add_text(self, operation: Operation) -> None:
        self.index(operation)["text"][operation["key"]] = None

    def _drop_text(self, operation: Operation) -> None:
        del self.index(operation)["text"][operation["key"]]

    def _put(self, operation: Operation) -> None:
        records = self.index(operation)["records"]
        for key, vector, metadata in zip(operation["keys"], vectors_of(operation), metadata_of(operation), strict=True):
            records[key] = (vector.tobytes(), metadata or {})

    def _delete(self, operation: Operation) -> None:
        records = self.index(operation)["records"]
        for key in operation["keys"]:
            records.pop(key, None)

    def _delete_where(self, operation: Operation) -> None:
        records = self.index(operation)["records"]
        for key in [key for key, (_, metadata) in records.items() if metadata.get("n") == operation["n"]]:
            del records[key]
