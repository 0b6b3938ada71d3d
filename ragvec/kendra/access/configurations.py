"""Access control configurations: access lists with an id, which documents name and which change without them.

They are resolved when somebody asks: of the few that an index has, those that let the caller through are found, and a
document that names one is seen only if it is among them. So a change holds for the next query, whatever the number of
documents, and a document that names one that is gone is seen by nobody. Where a document has lists of its own too, both
must let through.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence

import msgspec

from ragvec.errors import ResourceNotFound
from ragvec.kendra.access.lists import AccessList
from ragvec.kendra.notes import Notes

__all__ = ["AccessConfiguration", "Configurations", "Entry"]

_NOTE = "access.configurations"


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """A principal as it was given."""

    name: str
    type: str
    access: str
    data_source_id: str | None = None


class AccessConfiguration(msgspec.Struct, frozen=True, kw_only=True):
    """A configuration: what it means, and its lists as they were given."""

    id: str
    name: str
    description: str | None = None
    access: AccessList
    entries: tuple[Entry, ...] | None = None
    levels: tuple[tuple[Entry, ...], ...] | None = None


class Configurations:
    """The configurations of one index, kept in its notes."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes

    def all(self) -> tuple[AccessConfiguration, ...]:
        """All of them, in order of their ids."""
        found = self._notes.read(_NOTE, dict[str, AccessConfiguration]) or {}
        return tuple(found[uid] for uid in sorted(found))

    def get(self, uid: str, *, path: str = "Id") -> AccessConfiguration:
        """The one with this id. Raises ResourceNotFound."""
        found = self._notes.read(_NOTE, dict[str, AccessConfiguration]) or {}
        if uid not in found:
            raise _missing(uid, path)
        return found[uid]

    def create(self, configuration: AccessConfiguration, *, token: str | None) -> str:
        """Keep a new one under an id of its own, which is returned; a token used before gives the id of then."""
        made = _uid(self._notes, token)

        def add(found: dict[str, AccessConfiguration] | None) -> dict[str, AccessConfiguration]:
            known = found or {}
            return known if made in known else {**known, made: msgspec.structs.replace(configuration, id=made)}

        self._notes.change(_NOTE, dict[str, AccessConfiguration], add)
        return made

    def update(self, configuration: AccessConfiguration) -> None:
        """Put this in place of the one with its id. Raises ResourceNotFound."""

        def put(found: dict[str, AccessConfiguration] | None) -> dict[str, AccessConfiguration]:
            if found is None or configuration.id not in found:
                raise _missing(configuration.id, "Id")
            return {**found, configuration.id: configuration}

        self._notes.change(_NOTE, dict[str, AccessConfiguration], put)

    def delete(self, uid: str) -> None:
        """Forget one; documents that name it are seen by nobody until they are put anew. Raises ResourceNotFound."""

        def drop(found: dict[str, AccessConfiguration] | None) -> dict[str, AccessConfiguration] | None:
            if found is None or uid not in found:
                raise _missing(uid, "Id")
            return {key: value for key, value in found.items() if key != uid} or None

        self._notes.change(_NOTE, dict[str, AccessConfiguration], drop)

    def open_to(self, names: Sequence[str]) -> tuple[str, ...]:
        """The ids of those that let somebody with these names through."""
        return tuple(one.id for one in self.all() if one.access.lets_through(names))


def _uid(notes: Notes, token: str | None) -> str:
    if token is None:
        return str(uuid.uuid4())
    digest = hashlib.sha256(f"{notes.index.uid}\0{token}".encode("utf-8", "surrogatepass")).digest()
    return str(uuid.UUID(bytes=digest[:16], version=4))


def _missing(uid: str, path: str) -> ResourceNotFound:
    return ResourceNotFound(f"There is no access control configuration with the id {uid} - at `{path}`")
