"""Bytes to text: byte order marks, UTF-8, what the file says of itself, then a guess that is told."""

from __future__ import annotations

import codecs
import importlib

from ragvec.errors import DocumentError
from ragvec.extras import available

__all__ = ["decode"]

_GUESS = "decoded as {}, a guess: the file is not UTF-8 and says nothing of its encoding"
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def decode(raw: bytes, *, declared: str = "") -> tuple[str, str]:
    """Return the text, with line ends as `\\n`, and a note on how it was decoded, empty when there is nothing to tell.

    A byte order mark decides; else UTF-8 if the bytes are valid UTF-8; else the encoding `declared` within the file;
    else the best guess of charset-normalizer where that is installed, and Windows-1252 where not.

    Raises:
        DocumentError: the bytes are not text: they hold NUL bytes, or do not fit the byte order mark.
    """
    text, note = _decode(raw, declared)
    if "\0" in text:
        raise DocumentError(
            "Expected text, got a file with NUL bytes: it is binary, or text in an encoding without a mark"
        )
    return text.replace("\r\n", "\n").replace("\r", "\n"), note


# Codecs that are known to Python and to no file: some take a time that grows with the square of the length, one refuses
# everything, and what others read is not what the file says to everybody else.
_NO_TEXT = frozenset({"idna", "mbcs", "oem", "punycode", "raw-unicode-escape", "undefined", "unicode-escape", "utf-7"})
_LATIN = frozenset(
    {"cp437", "cp775", "cp850", "cp852", "cp858", "cp1250", "cp1254", "cp1257", "cp1258", "mac_latin2", "mac_roman"}
)
_TELLING = 32
"""So many accented letters tell one Latin code page from another; fewer are taken for Windows-1252, the most common."""


def _accents(raw: bytes) -> int:
    return sum(byte > 0x7F for byte in raw)


def _is_encoding(name: str) -> bool:
    try:
        return codecs.lookup(name).name not in _NO_TEXT
    except LookupError:
        return False


def _decode(raw: bytes, declared: str) -> tuple[str, str]:
    for mark, encoding in _MARKS:
        if raw.startswith(mark):
            try:
                return raw[len(mark) :].decode(encoding), ""
            except UnicodeDecodeError as error:
                raise DocumentError(f"Expected {encoding} after its byte order mark, got {error.reason}") from error
    try:
        return raw.decode("utf-8"), ""
    except UnicodeDecodeError:
        pass
    if b"\0" in raw:
        return "\0", ""
    if declared and _is_encoding(declared):
        try:
            return raw.decode(declared), f"decoded as {declared}, as the file declares"
        except (UnicodeError, LookupError):
            pass
    if available("charset_normalizer"):
        best = importlib.import_module("charset_normalizer").from_bytes(raw).best()
        if best is not None and not (best.encoding in _LATIN and _accents(raw) < _TELLING):
            return str(best), _GUESS.format(best.encoding)
    return raw.decode("cp1252", "replace"), _GUESS.format("cp1252")
