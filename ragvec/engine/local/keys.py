"""The keys of a range of rows in one mapped file: from a row to its key in well under a microsecond.

A search returns keys, and SQLite takes some thirty microseconds to look up ten of them. Keys of rows never change, so a
segment carries those of its rows; they are derived from the records, as the segment is.

    keys.bin    b"ragkeys1", number of keys, bytes of text, CRC-32 of all that follows (4 uint64, little-endian); then
                where each key begins in the file, and where the last one ends (uint64 each); then the text: all keys in
                UTF-8, one after the other
"""

from __future__ import annotations

import mmap
import os
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ragvec.errors import Corrupted
from ragvec.types import RowArray

__all__ = ["KEYS_FILE", "KeyColumn", "write_keys"]

KEYS_FILE = "keys.bin"

_MAGIC = int.from_bytes(b"ragkeys1", "little")
_HEAD = struct.Struct("<QQQQ")


def write_keys(path: Path, keys: Sequence[str]) -> None:
    """Write the keys of rows 0, 1, … of a range, durably. Raises OSError."""
    texts = [key.encode("utf-8") for key in keys]
    bounds = np.empty(len(texts) + 1, dtype="<u8")
    bounds[0] = _HEAD.size + bounds.nbytes
    np.cumsum(np.fromiter(map(len, texts), dtype="<u8", count=len(texts)), out=bounds[1:])
    bounds[1:] += bounds[0]
    head, text = bounds.tobytes(), b"".join(texts)
    with path.open("wb") as file:
        file.write(_HEAD.pack(_MAGIC, len(texts), len(text), zlib.crc32(text, zlib.crc32(head))))
        file.write(head)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


class KeyColumn:
    """The keys that `write_keys` wrote into `path`, by position; any thread, also after the file was unlinked.

    Raises:
        Corrupted: the file is not one, holds another number of keys than `count`, or does not match its checksum.
    """

    def __init__(self, path: Path, *, count: int) -> None:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size < _HEAD.size:
                raise _damaged(path)
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        magic, found, size, checksum = _HEAD.unpack_from(self._map)
        begins = _HEAD.size + 8 * (count + 1)
        if (magic, found, len(self._map)) != (_MAGIC, count, begins + size):
            raise _damaged(path)
        content = memoryview(self._map)
        if zlib.crc32(content[_HEAD.size :]) != checksum:
            raise _damaged(path)
        self._bounds = np.frombuffer(content, dtype="<u8", count=count + 1, offset=_HEAD.size).data

    def take(self, positions: RowArray) -> list[str]:
        """The keys at these positions, in that order."""
        text, bounds = self._map, self._bounds
        return [text[bounds[at] : bounds[at + 1]].decode("utf-8") for at in positions.tolist()]


def _damaged(path: Path) -> Corrupted:
    return Corrupted(f"`{path}` is not the keys of its segment, or was damaged", store=str(path))
