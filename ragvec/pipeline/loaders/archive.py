"""Zip archives: a document for every file in them, within limits of what they unpack to."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import PurePosixPath

from ragvec.errors import DocumentError
from ragvec.limits import FileLimits
from ragvec.pipeline.documents import Document, Failure
from ragvec.pipeline.loaders.place import Opener, Place
from ragvec.pipeline.loaders.source import Content, refused, source_bytes

__all__ = ["ARCHIVE_DAMAGE", "check_archive", "load_zip", "member_bytes"]

ARCHIVE_DAMAGE = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, RuntimeError, ValueError)
"""How a damaged archive shows itself: in its list, in a member's head, in what is packed."""

_ENCRYPTED = 0x1


def load_zip(content: Content, place: Place, opener: Opener) -> Iterator[Document | Failure]:
    """The documents in the files of an archive, in order of their names; hidden files and those of `__MACOSX` are left
    out, as in folders.

    A member that cannot be read is a failure, the others go on. An archive in an archive is opened too, to
    `FileLimits(depth=…)`.

    Raises:
        DocumentError: it is no zip archive, or holds more than a limit allows.
    """
    limits = opener.limits
    packed = io.BytesIO(source_bytes(content, limits))
    try:
        members = check_archive(packed, limits)
        opener.unpacks(sum(member.file_size for member in members))
        archive = zipfile.ZipFile(packed)
    except ARCHIVE_DAMAGE as error:
        raise DocumentError(f"Expected a zip archive, got a file that cannot be read as one: {error}") from error
    with archive:
        for member in sorted(members, key=lambda member: member.filename):
            name = PurePosixPath(member.filename.replace("\\", "/"))
            parts = [part for part in name.parts if part not in ("..", "/")]
            if (
                member.filename.endswith(("/", "\\"))
                or not parts
                or parts[0] == "__MACOSX"
                or any(p.startswith((".", "~$")) for p in parts)
            ):
                continue
            below = place.below("/".join(parts))
            try:
                raw = member_bytes(archive, member)
            except DocumentError as error:
                yield Failure(below.id, error.message, below.id)
                continue
            yield from opener.member(raw, below)


def check_archive(source: io.BytesIO, limits: FileLimits) -> list[zipfile.ZipInfo]:
    """The members of an archive; one that unpacks to more than it should is refused before anything is unpacked: no
    member of it ever gives more bytes than its entry says.

    Raises:
        DocumentError: a limit is passed. zipfile.BadZipFile: it is no archive.
    """
    with zipfile.ZipFile(source) as archive:
        members = archive.infolist()
    if len(members) > limits.parts:
        raise refused("parts", most=limits.parts, got=f"{len(members):,}", unit="files in an archive")
    unpacked = sum(member.file_size for member in members)
    if unpacked > limits.unpacked_bytes:
        raise refused("unpacked_bytes", most=limits.unpacked_bytes, got=f"{unpacked:,}", unit="bytes in an archive")
    return members


def member_bytes(archive: zipfile.ZipFile, member: zipfile.ZipInfo | str) -> bytes:
    """What a member of an archive holds.

    Raises:
        DocumentError: it is encrypted or damaged, or there is none of this name.
    """
    try:
        entry = archive.getinfo(member) if isinstance(member, str) else member
        if entry.flag_bits & _ENCRYPTED:
            raise DocumentError("Expected a file that can be read, got one that is encrypted with a password")
        return archive.read(entry)
    except KeyError as error:
        raise DocumentError(f"Expected {member!r:.200} in the archive, got none of this name") from error
    except ARCHIVE_DAMAGE as error:
        raise DocumentError(f"Expected a file that can be unpacked: {error!s:.300}") from error
