"""Runs: immutable posting lists over a range of rows [first, last), in memory or in a file read through mmap.

A run file, `<first>-<last>.post`, little-endian:

    magic "ragvpost" · version uint32 · zero uint32
    sections, each from a multiple of 8 bytes: arrays as they are in memory, `exists` as a portable Roaring bitmap
    header: MessagePack of `_Header`, which places every section and has its CRC-32
    header offset uint64 · header bytes uint32 · CRC-32 of the header uint32 · magic

The header is last so that a file is written in one pass, a field at a time. Opening a file reads and checks the header;
the sections of a field are checked when the field is first used.
"""

from __future__ import annotations

import mmap
import os
import re
import struct
import uuid
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt
from pyroaring import BitMap

from ragvec.engine.local.columns import witnesses
from ragvec.engine.local.layout import sync_folder
from ragvec.engine.local.posting_columns import Column, FieldPostings, Kind, merge_fields
from ragvec.errors import Corrupted

__all__ = [
    "TEMPORARY_SUFFIX",
    "Checksums",
    "Run",
    "merge_runs",
    "merged_fields",
    "open_run",
    "run_name",
    "run_range",
    "write_run",
]

TEMPORARY_SUFFIX = ".tmp"

_MAGIC = b"ragvpost"
_VERSION = 1
_HEAD = struct.Struct("<8sII")
_TAIL = struct.Struct("<QII8s")
_NAME = re.compile(r"(\d{12})-(\d{12})\.post")


class _Section(msgspec.Struct, frozen=True, array_like=True):
    dtype: str
    offset: int
    bytes: int
    crc: int


class _Field(msgspec.Struct, frozen=True, array_like=True):
    exists: _Section
    columns: dict[Kind, dict[str, _Section]]


class _Header(msgspec.Struct, frozen=True):
    first: int
    last: int
    non_filterable: list[str]
    fields: dict[str, _Field]
    witnesses: list[tuple[int, int]] = []
    """Some rows and their checksums, which tie the file to the rows that it was made of."""


Checksums: TypeAlias = "Callable[[Sequence[int]], Mapping[int, int]]"
"""Gives the checksums of rows, by row, as the records have them."""


class Run:
    """Posting lists over the rows [first, last); `path` is the file they are in, None for memory only. `witnesses` are
    some of the rows that it was made of, with their checksums."""

    def __init__(
        self,
        *,
        first: int,
        last: int,
        fields: Mapping[str, FieldPostings],
        path: Path | None = None,
        witnesses: Sequence[tuple[int, int]] = (),
    ) -> None:
        self.first, self.last, self.fields, self.path, self.witnesses = first, last, fields, path, witnesses

    def __repr__(self) -> str:
        return f"Run({self.first}, {self.last}, {'memory' if self.path is None else self.path.name})"

    def verify(self) -> None:
        """Check every section. Raises Corrupted."""
        for name in self.fields:
            self.fields[name]


def run_name(first: int, last: int) -> str:
    """The file name of a run."""
    return f"{first:012d}-{last:012d}.post"


def run_range(name: str) -> tuple[int, int] | None:
    """The range of rows in the name of a run file; None for other files."""
    found = _NAME.fullmatch(name)
    return (int(found[1]), int(found[2])) if found else None


def merged_fields(runs: Sequence[Run]) -> Iterator[tuple[str, FieldPostings]]:
    """The fields of adjacent runs, given in row order, as of one run; sorted by name, made one at a time."""
    for name in sorted({name for run in runs for name in run.fields}):
        parts = [run.fields[name] for run in runs if name in run.fields]
        yield name, merge_fields(parts, first=runs[0].first, last=runs[-1].last)


def merge_runs(runs: Sequence[Run]) -> Run:
    """Adjacent runs, given in row order, as one in memory."""
    return Run(first=runs[0].first, last=runs[-1].last, fields=dict(merged_fields(runs)))


def write_run(
    folder: Path,
    fields: Iterable[tuple[str, FieldPostings]],
    *,
    first: int,
    last: int,
    non_filterable: Iterable[str],
    checksums: Checksums | None = None,
) -> Path:
    """Write a run file, durable on return, and return its path; a file of that name is replaced. It keeps some of the
    `checksums`.

    Raises:
        OSError: nothing was changed.
    """
    path = folder / run_name(first, last)
    temporary = folder / f"{path.stem}-{uuid.uuid4().hex}{TEMPORARY_SUFFIX}"
    kept = [] if checksums is None else sorted(checksums(witnesses(first, last)).items())
    try:
        with temporary.open("xb") as out:
            _write(out, fields, header=_Header(first, last, sorted(non_filterable), {}, kept))
            out.flush()
            os.fsync(out.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(folder)
    return path


def _write(out: BinaryIO, fields: Iterable[tuple[str, FieldPostings]], *, header: _Header) -> None:
    out.write(_HEAD.pack(_MAGIC, _VERSION, 0))
    for name, field in fields:
        exists = np.frombuffer(field.exists.serialize(), np.uint8)
        columns = {
            kind: {section: _put(out, array) for section, array in column.sections().items()}
            for kind, column in field.columns.items()
        }
        header.fields[name] = _Field(_put(out, exists), columns)
    encoded = msgspec.msgpack.encode(header)
    offset = out.tell()
    out.write(encoded)
    out.write(_TAIL.pack(offset, len(encoded), zlib.crc32(encoded), _MAGIC))


def _put(out: BinaryIO, array: npt.NDArray[Any]) -> _Section:
    out.write(bytes(-out.tell() % 8))
    little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    data = little.data.cast("B") if little.size else b""
    offset = out.tell()
    out.write(data)
    return _Section(little.dtype.str, offset, little.nbytes, zlib.crc32(data))


def open_run(path: Path, *, non_filterable: Iterable[str], checksums: Checksums | None = None) -> Run:
    """Open a run file; with `checksums`, one that keeps some is compared with them.

    Raises:
        FileNotFoundError: it is gone, as when another process has merged it away.
        Corrupted: it is not a whole run file of this version, or was made under other non-filterable keys, or of other
        rows.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size < _HEAD.size + _TAIL.size:
            raise _damaged(path, f"{size} bytes are too few for a run file")
        mapped = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    magic, version, _ = _HEAD.unpack_from(mapped)
    offset, length, crc, end = _TAIL.unpack_from(mapped, size - _TAIL.size)
    if magic != _MAGIC or end != _MAGIC or offset + length + _TAIL.size != size:
        raise _damaged(path, "it is not a whole run file")
    if version != _VERSION:
        raise _damaged(path, f"expected version {_VERSION}, got {version}")
    encoded = mapped[offset : offset + length]
    if zlib.crc32(encoded) != crc:
        raise _damaged(path, "the header does not match its checksum")
    try:
        header = msgspec.msgpack.decode(encoded, type=_Header)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _damaged(path, f"the header is not one: {error}") from error
    if (header.first, header.last) != run_range(path.name):
        raise _damaged(path, f"it holds the rows [{header.first}, {header.last})")
    if header.non_filterable != sorted(non_filterable):
        raise _damaged(path, "it was made under other non-filterable keys")
    if checksums is not None and header.witnesses:
        known = checksums([row for row, _ in header.witnesses])
        for row, checksum in header.witnesses:
            if known.get(row) != checksum:
                raise _damaged(path, f"it was made of other rows: row {row} has another checksum")
    fields = _MappedFields(path, mapped, header)
    return Run(first=header.first, last=header.last, fields=fields, path=path, witnesses=header.witnesses)


class _MappedFields(Mapping[str, FieldPostings]):
    """The fields of a run file, each checked and made when it is first asked for.

    Threads may ask at once: at worst a field is made twice, and either is good.
    """

    def __init__(self, path: Path, mapped: memoryview, header: _Header) -> None:
        self._path, self._mapped, self._header = path, mapped, header
        self._made: dict[str, FieldPostings] = {}

    def __len__(self) -> int:
        return len(self._header.fields)

    def __iter__(self) -> Iterator[str]:
        return iter(self._header.fields)

    def __contains__(self, name: object) -> bool:
        return name in self._header.fields

    def __getitem__(self, name: str) -> FieldPostings:
        made = self._made.get(name)
        if made is None:
            made = self._made[name] = self._make(self._header.fields[name])
        return made

    def _make(self, field: _Field) -> FieldPostings:
        first, last = self._header.first, self._header.last
        try:
            columns = {
                kind: Column.from_sections(
                    {name: self._array(section) for name, section in sections.items()},
                    kind=kind,
                    first=first,
                    last=last,
                )
                for kind, sections in field.columns.items()
            }
            exists = BitMap.deserialize(self._array(field.exists).tobytes())
            if exists and exists.max() >= last:
                raise ValueError(f"row {exists.max()} is beyond it")
        except (LookupError, ValueError, TypeError) as error:
            raise _damaged(self._path, f"its description is wrong: {error}") from error
        return FieldPostings(exists, columns)

    def _array(self, section: _Section) -> npt.NDArray[Any]:
        data = self._mapped[section.offset : section.offset + section.bytes]
        if zlib.crc32(data) != section.crc:
            raise _damaged(self._path, "a section does not match its checksum")
        return np.frombuffer(data, section.dtype)


def _damaged(path: Path, reason: str) -> Corrupted:
    return Corrupted(f"`{path}` is damaged and will be rebuilt from the records: {reason}", store=str(path))
