"""The lines of a file of JSON lines, one after the other, however many there are and however long one is."""

from __future__ import annotations

import codecs
import io
import os
from collections.abc import Iterator
from typing import Any, BinaryIO

import msgspec

from ragvec.errors import DocumentError
from ragvec.limits import FileLimits
from ragvec.pipeline.encodings import decode
from ragvec.pipeline.loaders.source import Content, refused, regular_file, source_bytes

__all__ = ["json_lines", "json_object"]

_CHUNK = 1 << 20


def json_lines(content: Content, limits: FileLimits) -> Iterator[tuple[int, bytes | DocumentError, str]]:
    """The number of each line from 1, the line in UTF-8, and a note on how it was decoded; blank lines are left out.

    A line longer than `limits.line_bytes` comes as the error that says so. Only a line feed ends a line: JSON text may
    hold other characters that Python calls line ends. A file in UTF-8 is read twice and never held; one in another
    encoding is held, and so must not be larger than `limits.file_bytes`.

    Raises:
        DocumentError: the file is no text, or is too large for its encoding. OSError: it cannot be read.
    """
    with _opened(content, limits) as file:
        if _is_utf8(file):
            file.seek(len(codecs.BOM_UTF8) if _marked(file) else 0)
            yield from _numbered(file, limits, note="")
            return
    text, note = decode(source_bytes(content, limits))
    yield from _numbered(io.BytesIO(text.encode()), limits, note=note)


def json_object(line: bytes) -> dict[str, Any]:
    """The JSON object on a line.

    Raises:
        DocumentError: there is none, or one that is nested too deep.
    """
    try:
        found: dict[str, Any] = msgspec.json.decode(line, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DocumentError(f"Expected a JSON object on one line: {error!s:.300}") from error
    except RecursionError as error:
        raise DocumentError("Expected a JSON object on one line, got one that is nested too deep") from error
    return found


def _opened(content: Content, limits: FileLimits) -> BinaryIO:
    if isinstance(content, bytes):
        return io.BytesIO(source_bytes(content, limits))
    return os.fdopen(regular_file(content), "rb")


def _is_utf8(file: BinaryIO) -> bool:
    """Whether a file is UTF-8 without NUL bytes, which is what can be read as it comes."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        while chunk := file.read(_CHUNK):
            if b"\0" in chunk:
                return False
            decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _marked(file: BinaryIO) -> bool:
    file.seek(0)
    return file.read(len(codecs.BOM_UTF8)) == codecs.BOM_UTF8


def _numbered(file: BinaryIO, limits: FileLimits, *, note: str) -> Iterator[tuple[int, bytes | DocumentError, str]]:
    most, number = limits.line_bytes, 0
    while line := file.readline(most + 1):
        number += 1
        if len(line) > most and not line.endswith(b"\n"):
            length = len(line)
            while line and not line.endswith(b"\n"):
                line = file.readline(_CHUNK)
                length += len(line)
            yield number, refused("line_bytes", most=most, got=f"{length:,}", unit="bytes in a line"), note
        elif not line.isspace():
            yield number, line, note
