"""What belongs to the rows of a segment, in mapped files: from a row to its key or metadata in a microsecond.

A search returns keys, and SQLite takes some thirty microseconds to look up ten of them. Keys and metadata of rows never
change, so a segment carries those of its rows; they are derived from the records, as the segment is.

    keys.bin, metadata.bin      b"ragcol_1", number of values, bytes of all values, CRC-32 of all that follows (4
                                uint64, little-endian); the values, one after the other; then where in the file each
                                begins, and where the last one ends (uint64). Keys are in UTF-8, metadata is JSON, and
                                empty for none.
    norms.npy                   the least and the greatest norm of the rows, float32
    row_checksums.npy           the checksum of each row, of vector, key and metadata, as the records have it (uint32):
                                what ties the segment to its rows
"""

from __future__ import annotations

import mmap
import os
import struct
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from ragvec.ann.array_files import read_array
from ragvec.distance import row_norms
from ragvec.errors import Corrupted
from ragvec.types import FloatMatrix, RowArray

__all__ = [
    "KEYS_FILE",
    "METADATA_FILE",
    "NORMS_FILE",
    "ROW_CHECKSUMS_FILE",
    "Column",
    "KeyColumn",
    "read_norms",
    "read_row_checksums",
    "witnesses",
    "write_column",
    "write_keys",
    "write_norms",
    "write_row_checksums",
]

KEYS_FILE = "keys.bin"
METADATA_FILE = "metadata.bin"
NORMS_FILE = "norms.npy"
ROW_CHECKSUMS_FILE = "row_checksums.npy"

_WITNESSES = 16

_MAGIC = int.from_bytes(b"ragcol_1", "little")
_HEAD = struct.Struct("<QQQQ")


def write_column(path: Path, parts: Iterable[Sequence[bytes]]) -> None:
    """Write the values of rows 0, 1, … of a range, given some at a time, durably. Raises OSError."""
    ends = [np.zeros(1, dtype="<u8")]
    size = checksum = 0
    with path.open("wb") as file:
        file.write(bytes(_HEAD.size))
        for values in parts:
            text = b"".join(values)
            file.write(text)
            checksum = zlib.crc32(text, checksum)
            lengths = np.fromiter(map(len, values), dtype="<u8", count=len(values))
            ends.append(np.cumsum(lengths, dtype="<u8") + np.uint64(size))
            size += len(text)
        padding = bytes(-size % 8)  # the numbers after it are read where they lie
        bounds = (np.concatenate(ends) + np.uint64(_HEAD.size)).astype("<u8", copy=False)
        tail = padding + bounds.tobytes()
        file.write(tail)
        file.seek(0)
        file.write(_HEAD.pack(_MAGIC, len(bounds) - 1, size, zlib.crc32(tail, checksum)))
        file.flush()
        os.fsync(file.fileno())


def write_keys(path: Path, keys: Sequence[str]) -> None:
    """As `write_column`, of texts."""
    write_column(path, [[key.encode("utf-8") for key in keys]])


class Column:
    """The values that `write_column` wrote into `path`, by position; any thread, also after the file was unlinked.

    With `verified`, somebody has compared the file with a checksum just now, and its own is not looked at.

    Raises:
        Corrupted: the file is not one, holds another number of values than `count`, or does not match its checksum.
    """

    def __init__(self, path: Path, *, count: int, verified: bool = False) -> None:
        self.path = path
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size < _HEAD.size:
                raise _damaged(path)
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        magic, found, size, checksum = _HEAD.unpack_from(self._map)
        begins = _HEAD.size + size + -size % 8
        if (magic, found, len(self._map)) != (_MAGIC, count, begins + 8 * (count + 1)):
            raise _damaged(path)
        content = memoryview(self._map)
        if not verified and zlib.crc32(content[_HEAD.size :]) != checksum:
            raise _damaged(path)
        self._bounds = np.frombuffer(content, dtype="<u8", count=count + 1, offset=begins).data

    def blobs(self, positions: Iterable[int]) -> list[bytes]:
        """The values at these positions, in that order."""
        text, bounds = self._map, self._bounds
        return [text[bounds[at] : bounds[at + 1]] for at in positions]


class KeyColumn(Column):
    """A column of texts."""

    def take(self, positions: RowArray) -> list[str]:
        """The texts at these positions, in that order. Raises Corrupted."""
        text, bounds = self._map, self._bounds
        try:
            return [text[bounds[at] : bounds[at + 1]].decode("utf-8") for at in positions.tolist()]
        except UnicodeDecodeError as error:
            raise _damaged(self.path) from error


def _damaged(path: Path) -> Corrupted:
    return Corrupted(f"`{path}` is not a column of its segment, or was damaged", store=str(path))


def write_norms(path: Path, rows: FloatMatrix) -> None:
    """Write the least and the greatest norm of `rows` float32 (n, d), n ≥ 1; making it durable is the caller's."""
    norms = row_norms(rows)
    np.save(path, np.array([norms.min(), norms.max()], dtype=np.float32), allow_pickle=False)


def read_norms(path: Path) -> tuple[float, float] | None:
    """What `write_norms` wrote, None where there is no such file. Raises Corrupted."""
    try:
        found = read_array(path)
        if found.shape != (2,) or found.dtype != np.float32:
            raise ValueError(f"expected 2 of float32, got {found.shape} of {found.dtype}")
        least, greatest = found.tolist()
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise Corrupted(f"`{path}` is not the range of norms of its segment: {error}", store=str(path)) from error
    return least, greatest


def write_row_checksums(path: Path, checksums: RowArray) -> None:
    """Write the checksums uint32 (n,) of the rows of a segment; making them durable is the caller's."""
    np.save(path, checksums.astype("<u4", copy=False), allow_pickle=False)


def read_row_checksums(path: Path, *, count: int) -> RowArray | None:
    """What `write_row_checksums` wrote, None where there is no such file. Raises Corrupted: of another number of
    rows."""
    try:
        found: RowArray = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        return None
    except (ValueError, EOFError) as error:
        raise Corrupted(f"`{path}` is not the checksums of a segment's rows: {error}", store=str(path)) from error
    if found.shape != (count,) or found.dtype != np.uint32:
        raise Corrupted(
            f"Expected uint32[{count}], the checksums of the rows, got {found.dtype}{list(found.shape)}, in `{path}`",
            store=str(path),
        )
    return found


def witnesses(first: int, last: int) -> list[int]:
    """The rows of [first, last) by whose checksums one tells cheaply whether something was made of these rows: some,
    evenly spread. The last row is among them, since two histories of one index differ from some row on."""
    return [int(row) for row in np.unique(np.linspace(first, last - 1, _WITNESSES).astype(np.int64))]
