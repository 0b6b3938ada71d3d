"""Vectors that were computed before, by model and text, in the store: nothing is embedded twice.

`<store>/cache/vectors.sqlite` holds a row a text: a hash of model, dimension and text; the vector as float32; a
CRC-32 over both. Several processes use it at once. It is a convenience: losing it costs time. So its commits are not
fsynced (a killed process loses nothing, a power cut may), a row that does not match its checksum is passed over, and a
file that is damaged is begun anew. Beyond its limit of size the oldest rows go.
"""

from __future__ import annotations

import hashlib
import logging
import sqlite3
import zlib
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import msgspec
import numpy as np

from ragvec.engine.local.engine import LocalEngine
from ragvec.engine.local.sqlite import Database
from ragvec.errors import Corrupted, InvalidRequest, StoreError
from ragvec.store import Store
from ragvec.types import FloatMatrix, FloatVector

__all__ = ["MOST_BYTES", "CacheStats", "VectorCache"]

MOST_BYTES = 2 << 30
"""Size of the file beyond which the oldest vectors go: about a million of 384 dimensions."""

_SCHEMA = "CREATE TABLE IF NOT EXISTS vectors (id INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, vector BLOB, crc INT)"
_ASKED = 500
_SHARE = 8
_WAIT = 60.0

_log = logging.getLogger("ragvec.cache")


class CacheStats(msgspec.Struct, frozen=True):
    """What a cache holds: `vectors`, in a file of so many `bytes`."""

    vectors: int
    bytes: int


class VectorCache:
    """The vectors kept in one file, which is made on first use; safe from several threads and processes.

    Trouble with the file stops nobody: the cache then finds and keeps nothing more, and `trouble` says why.
    """

    def __init__(self, path: Path, *, most_bytes: int = MOST_BYTES) -> None:
        if most_bytes < 1 << 20:
            raise InvalidRequest(f"Expected at least {1 << 20:,} bytes, got {most_bytes:,}", path="most_bytes")
        self.path = path
        self.trouble = ""
        self._most = most_bytes
        self._database: Database | None = None

    def __repr__(self) -> str:
        return f"VectorCache({str(self.path)!r})"

    @classmethod
    def of(cls, store: Store) -> VectorCache | None:
        """The cache of a store in a folder that can be written; None for any other store."""
        engine = store.engine
        if not isinstance(engine, LocalEngine) or getattr(engine, "read_only", False):
            return None
        return cls(Path(engine.folder) / "cache" / "vectors.sqlite")

    def find(self, model: str, dimension: int, texts: Sequence[str]) -> dict[str, FloatVector]:
        """The vectors of those `texts` that are kept, each float32 (dimension,)."""
        by_hash = {_hash(model, dimension, text): text for text in texts}
        hashes = list(by_hash)
        found: dict[str, FloatVector] = {}
        if self.trouble:
            return found
        try:
            for at in range(0, len(hashes), _ASKED):
                part = hashes[at : at + _ASKED]
                marks = ",".join("?" * len(part))
                with self._opened().read() as sql:
                    rows = sql.execute(f"SELECT hash, vector, crc FROM vectors WHERE hash IN ({marks})", part)
                    for key, blob, crc in rows:
                        if len(blob) == 4 * dimension and zlib.crc32(blob, zlib.crc32(key)) == crc:
                            found[by_hash[key]] = np.frombuffer(blob, dtype="<f4").astype(np.float32, copy=False)
        except StoreError as error:
            self._give_up(error)
        return found

    def keep(self, model: str, texts: Sequence[str], vectors: FloatMatrix) -> None:
        """Keep the vectors of `texts`, float32 (len(texts), dimension)."""
        if self.trouble or not texts:
            return
        rows = []
        for text, vector in zip(texts, vectors, strict=True):
            key, blob = _hash(model, vectors.shape[1], text), vector.astype("<f4").tobytes()
            rows.append((key, blob, zlib.crc32(blob, zlib.crc32(key))))
        try:
            with self._opened().write() as sql:
                # Another value under the same hash is a damaged one.
                sql.executemany("INSERT OR REPLACE INTO vectors (hash, vector, crc) VALUES (?, ?, ?)", rows)
                self._shorten(sql)
        except StoreError as error:
            self._give_up(error)

    def stats(self) -> CacheStats:
        """What is there. Raises StoreError."""
        if not self.path.is_file():
            return CacheStats(0, 0)
        with self._opened().read() as sql:
            (count,) = sql.execute("SELECT count(*) FROM vectors").fetchone()
        return CacheStats(count, self.path.stat().st_size)

    def clear(self) -> CacheStats:
        """Forget everything; tells what there was. Raises StoreError."""
        was = self.stats()
        if was.vectors:
            with self._opened().write() as sql:
                sql.execute("DELETE FROM vectors")
            self.close()
            with closing(sqlite3.connect(self.path, isolation_level=None, timeout=_WAIT)) as connection:
                connection.execute("VACUUM")
        return was

    def close(self) -> None:
        """Close the file; later use opens it again."""
        if self._database is not None:
            self._database.close()

    def _opened(self) -> Database:
        if self._database is None:
            try:
                self.path.parent.mkdir(exist_ok=True)
            except OSError as error:
                raise StoreError(f"`{self.path.parent}` cannot be made: {error}", store=str(self.path)) from error
            database = Database(self.path, durability="none")
            try:
                with database.write() as sql:
                    sql.execute(_SCHEMA)
            except Corrupted as error:
                database.close()
                _log.warning("The cache is begun anew: %s", error)
                for suffix in ("", "-wal", "-shm"):
                    self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
                database = Database(self.path, durability="none")
                with database.write() as sql:
                    sql.execute(_SCHEMA)
            self._database = database
        return self._database

    def _give_up(self, error: StoreError) -> None:
        self.trouble = error.message
        _log.warning("Vectors are not kept any more in this run: %s", error)

    def _shorten(self, sql: sqlite3.Connection) -> None:
        """Drop the oldest rows, an eighth at a time, until the file is within its limit."""
        while True:
            (pages,), (free,), (size,) = (
                sql.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "freelist_count", "page_size")
            )
            if (pages - free) * size <= self._most:
                return
            (first, last) = sql.execute("SELECT min(id), max(id) FROM vectors").fetchone()
            if first is None:
                return
            sql.execute("DELETE FROM vectors WHERE id <= ?", (first + (last - first) // _SHARE,))


def _hash(model: str, dimension: int, text: str) -> bytes:
    content = f"{model}\0{dimension}\0{text}".encode("utf-8", "surrogatepass")
    return hashlib.blake2b(content, digest_size=16).digest()
