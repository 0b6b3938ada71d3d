"""Where a document stands: a file, or a part of one; and what opens such parts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Protocol
from urllib.parse import quote

import msgspec

from ragvec.limits import FileLimits
from ragvec.pipeline.documents import Document, Failure

__all__ = ["Opener", "Place"]


class Place(msgspec.Struct, frozen=True):
    """A file or a part of one: the id of its document, its URI, and its own name with the suffix.

    A part `b.txt` of the file `a.zip` has the id `a.zip/b.txt` and the URI `file:///…/a.zip#b.txt`.
    """

    id: str
    uri: str
    name: str

    def below(self, name: str) -> Place:
        """The place of the part `name`, which may be a path."""
        joint = "/" if "#" in self.uri else "#"
        own = PurePosixPath(name).name or name
        return Place(f"{self.id}/{name}", f"{self.uri}{joint}{quote(name, errors='replace')}", own)

    @property
    def suffix(self) -> str:
        """The suffix of the name in lower case, with the dot; empty without one."""
        return PurePosixPath(self.name).suffix.lower()

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return PurePosixPath(self.name).stem


class Opener(Protocol):
    """What reads the parts of a file that holds others, within the same limits."""

    limits: FileLimits

    def member(self, raw: bytes, place: Place, *, suffix: str | None = None) -> Iterator[Document | Failure]:
        """What is in a part; a failure where it cannot be read. `suffix` tells of what type it is, None as its name
        does."""
        ...

    def unpacks(self, count: int) -> None:
        """Note that so many bytes are unpacked. Raises DocumentError when that is more than a file may."""
        ...
