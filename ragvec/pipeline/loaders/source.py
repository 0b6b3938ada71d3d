"""The bytes of a file that nobody vouches for, and the refusal of what is beyond a limit."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TypeAlias

from ragvec.errors import DocumentError
from ragvec.limits import FileLimits

__all__ = ["Content", "file_kind", "refused", "regular_file", "source_bytes"]

Content: TypeAlias = "Path | bytes"
"""What a loader reads: a file, or the bytes of one that came out of an archive, a letter or the web."""

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def refused(limit: str, *, most: float, got: str, unit: str) -> DocumentError:
    """The error for what is beyond the field `limit` of FileLimits; `got` tells how much there is."""
    return DocumentError(f"Expected at most {most:,} {unit}, got {got}: FileLimits({limit}=…) allows more")


def file_kind(mode: int) -> str:
    """What is there instead of a regular file, in words; empty for a regular file. `mode` is that of `os.stat`."""
    if stat.S_ISREG(mode):
        return ""
    return next((words for test, words in _KINDS if test(mode)), "something else")


def regular_file(path: Path) -> int:
    """A descriptor, for reading, of a regular file; opening never waits, as it would for the writer of a pipe.

    Raises:
        DocumentError: it is no regular file. OSError: it cannot be opened.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    kind = file_kind(os.fstat(descriptor).st_mode)
    if kind:
        os.close(descriptor)
        raise DocumentError(f"Expected a file, got {kind}")
    return descriptor


def source_bytes(content: Content, limits: FileLimits) -> bytes:
    """All bytes of a file as it is now; a file that grows meanwhile is cut off, or refused, no later than at the limit.

    Raises:
        DocumentError: it has more than `limits.file_bytes`, or is no regular file. OSError: it cannot be read.
    """
    most = limits.file_bytes
    if isinstance(content, bytes):
        if len(content) > most:
            raise refused("file_bytes", most=most, got=f"{len(content):,}", unit="bytes in a file")
        return content
    with os.fdopen(regular_file(content), "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            raise refused("file_bytes", most=most, got=f"{size:,}", unit="bytes in a file")
        raw = file.read(size + 1)
        if len(raw) > size:
            # It grows, or is one of those of /proc, which say that they are empty.
            raw += file.read(max(0, most - size))
    if len(raw) > most:
        raise refused("file_bytes", most=most, got="more", unit="bytes in a file")
    return raw
