"""What the query layer keeps with an index beside its passages: settings, lists and a journal, as index properties.

A property is durable and lives as long as the index does, in every engine, in backups too. Each is one JSON document;
a journal is a property for each entry, so that processes append to it without waiting for each other.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from ragvec.errors import Conflict

if TYPE_CHECKING:
    from ragvec.store import Index

__all__ = ["Notes"]

T = TypeVar("T")

_PREFIX = "kendra."
_ATTEMPTS = 64
_known: set[object] = set()
_meeting = threading.Lock()


class Notes:
    """The notes of one index. Values are msgspec structs, or what JSON has."""

    def __init__(self, index: Index) -> None:
        self.index = index

    @staticmethod
    def first(name: str, value: object) -> dict[str, Any]:
        """The properties of a new index that has this note from the first, see `Bucket.create_index`."""
        return {_PREFIX + name: msgspec.to_builtins(value)}

    def read(self, name: str, kind: type[T]) -> T | None:
        """The note of this name as a `kind`; None when there is none."""
        return _read(self.index.property(_PREFIX + name), kind)

    def change(self, name: str, kind: type[T], change: Callable[[T | None], T | None]) -> T | None:
        """Put what `change` makes of the note in its place (None removes it), and return that.

        `change` may be called several times, whenever somebody else changed the note meanwhile; what it raises changes
        nothing. Raises Conflict when others never stop.
        """
        for _ in range(_ATTEMPTS):
            before = self.index.property(_PREFIX + name)
            after = change(_read(before, kind))
            if self.index.set_property(_PREFIX + name, msgspec.to_builtins(after), expected=before):
                return after
        raise Conflict(f"The note {name!r} of {self.index!r} was changed by others {_ATTEMPTS} times in a row")

    def append(self, name: str, entry: object, *, at: int | None = None) -> str:
        """Add an entry to the journal of this name and return its id; ids are in order of `at`, now by default, in
        nanoseconds."""
        unique = f"{time.time_ns() if at is None else at:020d}-{os.urandom(4).hex()}"
        self.index.set_property(f"{_PREFIX}{name}/{unique}", msgspec.to_builtins(entry))
        return unique

    def entries(self, name: str) -> list[str]:
        """The ids of a journal's entries, oldest first."""
        prefix = f"{_PREFIX}{name}/"
        return [full.removeprefix(prefix) for full in self.index.property_names(prefix=prefix)]

    def entry(self, name: str, entry: str, kind: type[T]) -> T | None:
        """An entry of a journal by its id; None when it is gone."""
        return _read(self.index.property(f"{_PREFIX}{name}/{entry}"), kind)

    def journal(self, name: str, kind: type[T]) -> dict[str, T]:
        """The entries of a journal by id, oldest first."""
        found = {entry: self.entry(name, entry, kind) for entry in self.entries(name)}
        return {entry: value for entry, value in found.items() if value is not None}

    def forget(self, name: str, entry: str) -> None:
        """Remove an entry of a journal by its id."""
        self.index.set_property(f"{_PREFIX}{name}/{entry}", None)


def _read(value: object, kind: type[T]) -> T | None:
    if value is None:
        return None
    if kind not in _known:
        # msgspec may crash where threads meet a type for the first time together.
        with _meeting:
            msgspec.json.Decoder(kind)
            _known.add(kind)
    return msgspec.convert(value, kind)
