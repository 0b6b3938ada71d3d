"""Reads a store by docs/format.md alone: another program, which uses nothing of ragvec.

    for index in Store("my-store").indexes():
        for row in index.rows():
            print(row.key, row.vector, row.metadata)

Read-only; every checksum on the way is compared. For a store that nobody has open.
"""

from __future__ import annotations

import json
import sqlite3
import struct
import zlib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pyroaring import BitMap

APPLICATION = 0x72616776
FORMATS = (1, 2)


class Damaged(Exception):
    """A checksum or a description does not fit."""


class Row(NamedTuple):
    """A live record."""

    row: int
    key: str
    vector: np.ndarray[Any, np.dtype[np.float32]]
    metadata: dict[str, Any]


class Store:
    """The catalog."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.sql = _opened(self.folder / "catalog.sqlite")
        (application,) = self.sql.execute("PRAGMA application_id").fetchone()
        (self.format,) = self.sql.execute("PRAGMA user_version").fetchone()
        if application != APPLICATION or self.format not in FORMATS:
            raise Damaged(f"not a store of a format known here: {application:#x}, {self.format}")

    def table(self, name: str, columns: str) -> list[tuple[Any, ...]]:
        """All rows of a table, without their checksums, which are compared."""
        if self.format == 1:
            return self.sql.execute(f"SELECT {columns} FROM {name}").fetchall()
        rows = []
        for *values, checksum in self.sql.execute(f"SELECT {columns}, checksum FROM {name}"):
            if zlib.crc32(b"".join(map(_value, (name, *values)))) != checksum:
                raise Damaged(f"{name}: {values}")
            rows.append(tuple(values))
        return rows

    def buckets(self) -> dict[str, dict[str, Any]]:
        """By name: when it was made, its policy and its tags."""
        columns = "name, created, encryption, index_mode, policy, tags"
        return {
            name: {"created": created, "policy": policy, "tags": json.loads(tags)}
            for name, created, _, _, policy, tags in self.table("buckets", columns)
        }

    def indexes(self) -> list[Index]:
        """All indexes."""
        return [Index(self, json.loads(row[3])) for row in self.table("indexes", "uid, bucket, name, spec, tags")]

    def properties(self, uid: str) -> dict[str, Any]:
        """What is kept with an index."""
        rows = self.table("properties", "uid, name, value")
        return {name: json.loads(value) for owner, name, value in rows if owner == uid}

    def facts(self) -> dict[str, Any]:
        """The id of the store and its token key."""
        return dict(self.table("store", "name, value"))


class Index:
    """One index, in its current generation."""

    def __init__(self, store: Store, spec: dict[str, Any]) -> None:
        self.spec = spec
        self.name: str = spec["name"]
        self.home = store.folder / "indexes" / spec["uid"]
        number = 0
        while True:
            self.folder = self.home / f"g{number:06d}"
            self.sql = _opened(self.folder / "records.sqlite")
            state = self.sql.execute("SELECT sequence, rows, successor FROM state").fetchone()
            self.sequence, self.count, successor = state
            if successor is None:
                break
            number = successor
        shape = (self.count, spec["dimension"])
        path = self.folder / "vectors.f32"
        self.vectors = np.memmap(path, "<f4", "r", shape=shape) if self.count else np.empty(shape, "<f4")

    def identity(self) -> dict[str, Any]:
        """What index.json says."""
        content = (self.home / "index.json").read_bytes()
        document = json.loads(content)
        # The checksum is over the bytes of the spec as they are in the file: the last member.
        start = content.index(b'"spec":') + len(b'"spec":')
        if zlib.crc32(content[start:-1]) != document["crc"]:
            raise Damaged("index.json")
        found: dict[str, Any] = document["spec"]
        return found

    def rows(self) -> Iterator[Row]:
        """The live records in order of row."""
        query = "SELECT row, key, slot, metadata, checksum FROM records WHERE died IS NULL AND row < ? ORDER BY row"
        for row, key, slot, metadata, checksum in self.sql.execute(query, (self.count,)):
            data = self.vectors[row].tobytes()
            text = key.encode()
            if slot != zlib.crc32(text) % 65536 or checksum != zlib.crc32(data + text + (metadata or b"")):
                raise Damaged(f"row {row} of {self.name}, key {key!r}")
            yield Row(row, key, self.vectors[row], json.loads(metadata or b"{}"))

    def postings(self) -> list[PostingFile]:
        """The posting files, in order of rows."""
        return [PostingFile(path) for path in sorted((self.folder / "postings").glob("*.post"))]

    def segments(self) -> list[Path]:
        """The folders of the segments, whose checksums are compared."""
        found = sorted((self.folder / "segments").glob("[0-9]*-[0-9]*"))
        for folder in found:
            for name, (size, crc) in json.loads((folder / "checksums.json").read_bytes())["files"].items():
                content = (folder / name).read_bytes()
                if (len(content), zlib.crc32(content)) != (size, crc):
                    raise Damaged(f"{folder / name}")
        return found

    def kept(self) -> list[tuple[str, int, np.ndarray[Any, Any], np.ndarray[Any, Any]]]:
        """The kept result lists: id, generation, rows, distances."""
        rows = _opened(self.folder / "cursors.sqlite").execute("SELECT id, generation, rows, distances FROM cursors")
        return [(key, number, np.frombuffer(a, "<u4"), np.frombuffer(b, "<f4")) for key, number, a, b in rows]


class PostingFile:
    """Posting lists: for every field, kind of value and value the rows that hold it, dead ones included."""

    def __init__(self, path: Path) -> None:
        self.data = path.read_bytes()
        magic, version, _ = struct.unpack_from("<8sII", self.data)
        offset, length, crc, end = struct.unpack_from("<QII8s", self.data, len(self.data) - 24)
        header = self.data[offset : offset + length]
        if (magic, end, version) != (b"ragvpost", b"ragvpost", 1) or zlib.crc32(header) != crc:
            raise Damaged(str(path))
        self.header, _ = _unpacked(header, 0)
        self.range = self.header["first"], self.header["last"]

        self.fields = list(self.header["fields"])

    def exists(self, field: str) -> set[int]:
        """The rows that have the field."""
        return set(BitMap.deserialize(self._section(self.header["fields"][field][0]).tobytes()))

    def lists(self, field: str) -> Iterator[tuple[str, Any, list[int]]]:
        """Kind, value and rows, of all values of a field."""
        for kind, sections in self.header["fields"][field][1].items():
            arrays = {name: self._section(section) for name, section in sections.items()}
            ends = arrays["offsets"].tolist()
            for at, value in enumerate(_values(kind, arrays)):
                yield kind, value, arrays["rows"][ends[at] : ends[at + 1]].tolist()

    def _section(self, section: list[Any]) -> np.ndarray[Any, Any]:
        dtype, offset, length, crc = section
        data = self.data[offset : offset + length]
        if zlib.crc32(data) != crc:
            raise Damaged("a section of a posting file")
        return np.frombuffer(data, dtype)


def read_column(path: Path) -> list[bytes]:
    """The values of keys.bin or metadata.bin."""
    data = path.read_bytes()
    magic, count, size, crc = struct.unpack_from("<8sQQQ", data)
    if magic != b"ragcol_1" or zlib.crc32(data[32:]) != crc:
        raise Damaged(str(path))
    bounds = np.frombuffer(data, "<u8", count + 1, 32 + size + -size % 8).tolist()
    return [data[start:stop] for start, stop in pairwise(bounds)]


def _values(kind: str, arrays: dict[str, np.ndarray[Any, Any]]) -> list[Any]:
    if "blob" in arrays:
        text, starts = arrays["blob"].tobytes(), arrays["starts"].tolist()
        found = [text[start:stop].decode() for start, stop in pairwise(starts)]
        return found if kind == "string" else [int(value, 16) for value in found]
    doubles = arrays["doubles"].tolist()
    if kind == "boolean":
        return [bool(value) for value in doubles]
    if "residuals" not in arrays:
        return doubles
    return [int(d) + r if r else d for d, r in zip(doubles, arrays["residuals"].tolist(), strict=True)]


def _value(value: Any) -> bytes:
    """A value of the catalog as its row's checksum has it."""
    if value is None:
        return b"n"
    if isinstance(value, float):
        return struct.pack("<cd", b"f", value)
    if isinstance(value, int):
        return struct.pack("<cq", b"i", value)
    data = value.encode() if isinstance(value, str) else value
    return struct.pack("<cI", b"t" if isinstance(value, str) else b"b", len(data)) + data


def _unpacked(data: bytes, at: int) -> tuple[Any, int]:
    """The MessagePack value at a place, and where it ends: maps, lists, texts and whole numbers."""
    kind, at = data[at], at + 1
    if kind < 0x80:
        return kind, at
    if kind < 0x90 or kind in (0xDE, 0xDF):
        count, at = (kind & 15, at) if kind < 0x90 else _number(data, at, 2 << (kind - 0xDE))
        items = {}
        for _ in range(count):
            key, at = _unpacked(data, at)
            items[key], at = _unpacked(data, at)
        return items, at
    if kind < 0xA0 or kind in (0xDC, 0xDD):
        count, at = (kind & 15, at) if kind < 0xA0 else _number(data, at, 2 << (kind - 0xDC))
        values = []
        for _ in range(count):
            value, at = _unpacked(data, at)
            values.append(value)
        return values, at
    if kind < 0xC0 or 0xD9 <= kind <= 0xDB:
        length, at = (kind & 31, at) if kind < 0xC0 else _number(data, at, 1 << (kind - 0xD9))
        return data[at : at + length].decode(), at + length
    if 0xCC <= kind <= 0xCF:
        return _number(data, at, 1 << (kind - 0xCC))
    raise Damaged(f"unexpected MessagePack byte {kind:#x}")


def _number(data: bytes, at: int, size: int) -> tuple[int, int]:
    return int.from_bytes(data[at : at + size], "big"), at + size


def _opened(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)
