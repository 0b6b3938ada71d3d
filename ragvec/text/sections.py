"""Files of named arrays, written once and read through a memory map.

    magic 8 bytes · version uint32 · zero uint32
    the arrays, little-endian, each from a multiple of 8 bytes
    header: MessagePack of {"about": whatever the writer tells, "arrays": {name: [dtype, offset, bytes, CRC-32]}}
    header offset uint64 · header bytes uint32 · CRC-32 of the header uint32 · magic

Opening reads and checks the header; an array is checked when it is first asked for.
"""

from __future__ import annotations

import mmap
import os
import struct
import uuid
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from ragvec.errors import Corrupted

__all__ = ["TEMPORARY_SUFFIX", "SectionFile", "write_sections"]

TEMPORARY_SUFFIX = ".tmp"
"""Of a file that is being written, or was when its process died."""

_HEAD = struct.Struct("<8sII")
_TAIL = struct.Struct("<QII8s")


class _Section(msgspec.Struct, frozen=True, array_like=True):
    dtype: str
    offset: int
    bytes: int
    crc: int


class _Header(msgspec.Struct, frozen=True):
    about: dict[str, Any]
    arrays: dict[str, _Section]


def write_sections(
    path: Path, arrays: Mapping[str, npt.NDArray[Any]], *, about: Mapping[str, Any], magic: bytes, version: int
) -> None:
    """Write a file of one-dimensional arrays, durable on return but for its name, which is the caller's to sync; one
    that is there is replaced at once.

    Raises:
        OSError: nothing was changed.
    """
    temporary = path.parent / f"{path.stem}-{uuid.uuid4().hex}{TEMPORARY_SUFFIX}"
    try:
        with temporary.open("xb") as out:
            out.write(_HEAD.pack(magic, version, 0))
            placed = {}
            for name, array in arrays.items():
                out.write(bytes(-out.tell() % 8))
                little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
                data = little.data.cast("B") if little.size else memoryview(b"")
                placed[name] = _Section(little.dtype.str, out.tell(), len(data), zlib.crc32(data))
                out.write(data)
            encoded = msgspec.msgpack.encode(_Header(dict(about), placed))
            offset = out.tell()
            out.write(encoded)
            out.write(_TAIL.pack(offset, len(encoded), zlib.crc32(encoded), magic))
            out.flush()
            os.fsync(out.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


class SectionFile:
    """An open file of arrays; `about` is what its writer told. For any thread.

    Raises:
        FileNotFoundError: it is gone. Corrupted: it is not a whole file of this magic and version.
    """

    def __init__(self, path: Path, *, magic: bytes, version: int) -> None:
        self.path = path
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size < _HEAD.size + _TAIL.size:
                raise self._damaged(f"{size} bytes are too few")
            self._mapped = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        found, its_version, _ = _HEAD.unpack_from(self._mapped)
        offset, length, crc, end = _TAIL.unpack_from(self._mapped, size - _TAIL.size)
        if found != magic or end != magic or offset + length + _TAIL.size != size:
            raise self._damaged("it is not a whole file of its kind")
        if its_version != version:
            raise self._damaged(f"expected version {version}, got {its_version}")
        encoded = self._mapped[offset : offset + length]
        if zlib.crc32(encoded) != crc:
            raise self._damaged("the header does not match its checksum")
        try:
            header = msgspec.msgpack.decode(encoded, type=_Header)
        except msgspec.MsgspecError as error:
            raise self._damaged(f"the header is not one: {error}") from error
        self.about = header.about
        self._sections = header.arrays
        self._arrays: dict[str, npt.NDArray[Any]] = {}

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        """The array of this name, read-only. Raises Corrupted: there is none, or it does not match its checksum."""
        array = self._arrays.get(name)
        if array is None:
            # Threads may ask at once: at worst it is checked twice, and either is good.
            array = self._arrays[name] = self._checked(name)
        return array

    def verify(self) -> None:
        """Check every array, also those that were checked before. Raises Corrupted."""
        for name in self._sections:
            self._checked(name)

    def _checked(self, name: str) -> npt.NDArray[Any]:
        section = self._sections.get(name)
        if section is None:
            raise self._damaged(f"it has no section {name!r}")
        data = self._mapped[section.offset : section.offset + section.bytes]
        if len(data) != section.bytes or zlib.crc32(data) != section.crc:
            raise self._damaged(f"the section {name!r} does not match its checksum")
        try:
            return np.frombuffer(data, section.dtype)
        except (TypeError, ValueError) as error:
            raise self._damaged(f"the section {name!r} is described wrongly: {error}") from error

    def _damaged(self, reason: str) -> Corrupted:
        return Corrupted(
            f"`{self.path}` is damaged and will be rebuilt from the records: {reason}", store=str(self.path)
        )
