"""Text files that steer an index, one of a kind at most: its thesaurus, its block list.

What a file is stands in one note, its text in another named by its version, since it may be large and is read once for
each version. A text is there before the note that names it, and goes after it.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Generic, TypeVar

import msgspec

from ragvec.errors import Conflict, QuotaExceeded, ResourceNotFound
from ragvec.kendra.learn.cached import Latest
from ragvec.kendra.limits import KENDRA, Limits
from ragvec.kendra.notes import Notes
from ragvec.kendra.problems import shown

__all__ = ["Listed", "TextLists"]

T = TypeVar("T")


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A file, less its text. `version` is another one whenever the text is, `source` is where that came from, `bytes`
    its length, and `figures` what is counted in it."""

    id: str
    name: str
    description: str | None = None
    role: str | None = None
    source: dict[str, str] | None = None
    created: float
    updated: float
    version: str
    bytes: int
    figures: dict[str, int]
    token: str | None = None


class TextLists(Generic[T]):
    """The files of one kind: `noun` names it, `note` is where it is kept, `parse` makes of a text what is used, or
    raises, and `count` tells its figures, or that it breaks a limit; `nothing` is used without a file."""

    def __init__(
        self,
        noun: str,
        *,
        note: str,
        most_bytes: Callable[[Limits], int],
        parse: Callable[[str], T],
        count: Callable[[str, Limits], Mapping[str, int]],
        nothing: T,
    ) -> None:
        self._noun, self._note, self._most_bytes = noun, note, most_bytes
        self._parse, self._count, self._nothing = parse, count, nothing
        self._parsed: Latest[T] = Latest()

    def current(self, notes: Notes) -> T:
        """What the file of an index says now."""
        while True:
            held = notes.read(self._note, Listed)
            if held is None:
                return self._nothing
            try:
                return self._parsed.of(notes.index.uid, held.version, partial(self._read, notes, held))
            except _Gone:
                again = notes.read(self._note, Listed)
                if again is not None and again.version == held.version:
                    raise

    def all(self, notes: Notes) -> tuple[Listed, ...]:
        """The files of an index: one or none."""
        held = notes.read(self._note, Listed)
        return () if held is None else (held,)

    def one(self, notes: Notes, wanted: str) -> Listed:
        """The file with this id. Raises ResourceNotFound."""
        for held in self.all(notes):
            if held.id == wanted:
                return held
        raise self._absent(wanted)

    def create(
        self,
        notes: Notes,
        text: str,
        *,
        name: str,
        limits: Limits = KENDRA,
        clock: Callable[[], float] = time.time,
        token: str | None = None,
        **about: Any,
    ) -> Listed:
        """Give the index a file of this text; `about` are its description, role and source. With a token used before,
        the file that was made then.

        Raises:
            QuotaExceeded: the text is too long, or the index has a file. InvalidRequest: it is none of the kind.
        """
        now = clock()
        changes = self._changes(text, limits)
        made = Listed(id=str(uuid.uuid4()), name=name, created=now, updated=now, token=token, **about, **changes)
        self._put(notes, made.version, text)

        def put(before: Listed | None) -> Listed:
            if before is not None and (token is None or before.token != token):
                raise QuotaExceeded(f"An index has at most 1 {self._noun}, and this one has {before.name!r}")
            return before or made

        held: Listed | None = None
        try:
            held = notes.change(self._note, Listed, put)
        finally:
            if held is None or held.version != made.version:
                self._put(notes, made.version, None)
        return held or made

    def change(
        self,
        notes: Notes,
        wanted: str,
        text: str | None = None,
        *,
        limits: Limits = KENDRA,
        clock: Callable[[], float] = time.time,
        **about: Any,
    ) -> Listed:
        """Give the file another text, or another of name, description, role and source; return what it is now.

        Raises:
            ResourceNotFound: the index has no such file. QuotaExceeded, InvalidRequest: as `create`; nothing changes.
        """
        replaced = self.one(notes, wanted)
        changes: dict[str, Any] = {**about, "updated": clock()}
        if text is not None:
            changes |= self._changes(text, limits)
            self._put(notes, changes["version"], text)

        def change(held: Listed | None) -> Listed:
            nonlocal replaced
            if held is None or held.id != wanted:
                raise self._absent(wanted)
            replaced = held
            return msgspec.structs.replace(held, **changes)

        after = notes.change(self._note, Listed, change) or replaced
        if after.version != replaced.version:
            self._put(notes, replaced.version, None)
        return after

    def delete(self, notes: Notes, wanted: str) -> None:
        """Remove a file. Raises ResourceNotFound."""
        held = self.one(notes, wanted)

        def remove(before: Listed | None) -> None:
            if before is None or before.id != wanted:
                raise self._absent(wanted)

        notes.change(self._note, Listed, remove)
        self._put(notes, held.version, None)

    def _read(self, notes: Notes, held: Listed) -> T:
        text = notes.read(f"{self._note}.text.{held.version}", str)
        if text is None:
            raise _Gone(f"The text of the {self._noun} {held.name!r} of {notes.index!r} is gone; update it")
        return self._parse(text)

    def _put(self, notes: Notes, version: str, text: str | None) -> None:
        notes.change(f"{self._note}.text.{version}", str, lambda _: text)

    def _changes(self, text: str, limits: Limits) -> dict[str, Any]:
        """What a file tells of its text."""
        size, most = len(text.encode()), self._most_bytes(limits)
        if size > most:
            raise QuotaExceeded(f"A {self._noun} has at most {most:,} bytes, got {size:,}")
        return {"version": uuid.uuid4().hex, "bytes": size, "figures": dict(self._count(text, limits))}

    def _absent(self, wanted: str) -> ResourceNotFound:
        return ResourceNotFound(f"There is no {self._noun} with the id {shown(wanted)}")


class _Gone(Conflict):
    """The text of a file was replaced between reading what it is and reading it."""
