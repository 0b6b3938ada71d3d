"""Result lists kept for later pages: in a small SQLite file that every process sees, or in memory where the folder is
read-only.

They are a convenience with a time limit, so their commits are not fsynced: losing one costs an ExpiredToken. A power
cut may therefore damage the file, which is then begun anew, and each list carries a CRC-32 over its other values: id,
request, expiry (double), generation, exact (int64), rows, distances, and scores where it has any.
"""

from __future__ import annotations

import logging
import sqlite3
import struct
import threading
import uuid
import zlib
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from ragvec.engine.local.sqlite import Database, store_error
from ragvec.engine.protocol import Ranking
from ragvec.errors import Corrupted, ExpiredToken, InvalidToken, StoreError
from ragvec.types import FloatVector

__all__ = ["MOST_CURSORS", "Cursors", "check_kept"]

MOST_CURSORS = 4096
"""Rankings kept at a time; a full ranking takes 80 KB. Beyond it, those that expire first go early."""

_log = logging.getLogger("ragvec.cursors")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS cursors (
    id TEXT PRIMARY KEY, request BLOB NOT NULL, expires REAL NOT NULL, generation INTEGER NOT NULL,
    exact INTEGER NOT NULL, rows BLOB NOT NULL, distances BLOB NOT NULL, checksum INTEGER NOT NULL,
    scores BLOB
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS expiry ON cursors (expires);
"""
_COLUMNS = "id, request, expires, generation, exact, rows, distances, scores, checksum"
_NUMBERS = struct.Struct("<dqq")


class Cursors:
    """The saved rankings of one generation. `clock` gives epoch seconds."""

    def __init__(self, path: Path, *, read_only: bool, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._memory: dict[str, tuple[bytes, float, Ranking]] = {}
        self._lock = threading.Lock()
        self._database = None if read_only else Database(path, durability="none")

    def close(self) -> None:
        """Close the file."""
        if self._database is not None:
            self._database.close()

    def save(self, ranking: Ranking, *, request: bytes, ttl: float) -> str:
        """Keep a ranking for `ttl` seconds; returns its id."""
        cursor, now = uuid.uuid4().hex, self._clock()
        if self._database is None:
            with self._lock:
                kept = [(key, value) for key, value in self._memory.items() if value[1] > now]
                self._memory = dict(kept[1 - MOST_CURSORS :])
                self._memory[cursor] = (request, now + ttl, ranking)
            return cursor
        values = (
            cursor,
            request,
            now + ttl,
            ranking.generation,
            int(ranking.exact),
            ranking.rows.astype("<u4").tobytes(),
            ranking.distances.astype("<f4").tobytes(),
            None if ranking.scores is None else _packed(ranking.scores),
        )
        try:
            _insert(self._database, values, now=now)
        except Corrupted as damage:
            _log.warning("The saved result lists are lost: %s", damage)
            self._begin_anew(self._database)
            _insert(self._database, values, now=now)
        return cursor

    def load(self, cursor: str, *, request: bytes) -> Ranking:
        """The ranking kept under `cursor`.

        Raises:
            ExpiredToken: it is not kept, or no longer. InvalidToken: it was made by another request.
        """
        saved = self._find(cursor)
        if saved is None or saved[1] <= self._clock():
            raise ExpiredToken("nextToken has expired: repeat the query without it", path="nextToken")
        if saved[0] != request:
            raise InvalidToken("nextToken belongs to another request", path="nextToken")
        return saved[2]

    def needed_until(self) -> float:
        """When the last of them expires, in epoch seconds; 0 when there are none."""
        if self._database is None:
            return max((expires for _, expires, _ in self._memory.values()), default=0.0)
        if not self._database.path.exists():
            return 0.0
        try:
            with self._database.read() as sql:
                if not sql.execute("SELECT 1 FROM sqlite_master WHERE name = 'cursors'").fetchone():
                    return 0.0
                return float(sql.execute("SELECT coalesce(max(expires), 0) FROM cursors").fetchone()[0])
        except Corrupted as damage:
            _log.warning("The saved result lists cannot be read: %s", damage)
            return 0.0

    def _find(self, cursor: str) -> tuple[bytes, float, Ranking] | None:
        if self._database is None:
            return self._memory.get(cursor)
        if not self._database.path.exists():
            return None
        try:
            with self._database.read() as sql:
                if not _is_checked(sql):
                    return None
                row = sql.execute(f"SELECT {_columns(sql)} FROM cursors WHERE id = ?", (cursor,)).fetchone()
        except Corrupted as damage:
            _log.warning("The saved result lists cannot be read: %s", damage)
            return None
        if row is None:
            return None
        if _checksum(row[:-1]) != row[-1]:
            _log.warning("A saved result list is damaged: %s in `%s`", cursor, self._database.path)
            return None
        _, request, expires, generation, exact, rows, distances, scores, _ = row
        ranking = Ranking(
            rows=np.frombuffer(rows, dtype="<u4"),
            distances=np.frombuffer(distances, dtype="<f4"),
            generation=generation,
            exact=bool(exact),
            scores=None if scores is None else _unpacked(scores),
        )
        return request, expires, ranking

    @staticmethod
    def _begin_anew(database: Database) -> None:
        database.close()
        for suffix in ("", "-wal", "-shm"):
            try:
                database.path.with_name(database.path.name + suffix).unlink(missing_ok=True)
            except OSError as error:
                raise store_error(error, database.path) from error


def _insert(database: Database, values: tuple[object, ...], *, now: float) -> None:
    with database.write() as sql:
        if not _is_checked(sql):
            sql.execute("DROP TABLE IF EXISTS cursors")  # of an earlier version; its lists have no checksums
        elif not _has(sql, "scores"):
            sql.execute("ALTER TABLE cursors ADD COLUMN scores BLOB")  # of an earlier version, too
        for statement in _SCHEMA.split(";\n"):
            sql.execute(statement)
        sql.execute("DELETE FROM cursors WHERE expires <= ?", (now,))
        sql.execute(
            f"INSERT INTO cursors ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", (*values, _checksum(values))
        )
        (count,) = sql.execute("SELECT count(*) FROM cursors").fetchone()
        if count > MOST_CURSORS:
            sql.execute(
                "DELETE FROM cursors WHERE id IN (SELECT id FROM cursors ORDER BY expires LIMIT ?)",
                (count - MOST_CURSORS,),
            )


def _is_checked(sql: sqlite3.Connection) -> bool:
    """Whether there are lists with checksums."""
    return _has(sql, "checksum")


def _has(sql: sqlite3.Connection, column: str) -> bool:
    found = sql.execute("SELECT 1 FROM pragma_table_info('cursors') WHERE name = ?", (column,)).fetchone()
    return found is not None


def _columns(sql: sqlite3.Connection) -> str:
    """Those of the table, which may be of an earlier version without scores."""
    return _COLUMNS if _has(sql, "scores") else _COLUMNS.replace("scores", "NULL")


def _checksum(values: tuple[Any, ...]) -> int | None:
    """The checksum of a list as it is stored; None where the values are not even of their types."""
    cursor, request, expires, generation, exact, rows, distances, scores = values
    try:
        crc = zlib.crc32(_NUMBERS.pack(expires, generation, exact), zlib.crc32(request, zlib.crc32(cursor.encode())))
        return zlib.crc32(scores or b"", zlib.crc32(distances, zlib.crc32(rows, crc)))
    except (TypeError, AttributeError, struct.error):
        return None


def _packed(scores: Mapping[str, FloatVector]) -> bytes:
    """MessagePack: a map of names to little-endian float32."""
    return msgspec.msgpack.encode({name: found.astype("<f4").tobytes() for name, found in scores.items()})


def _unpacked(data: bytes) -> dict[str, FloatVector]:
    packed = msgspec.msgpack.decode(data, type=dict[str, bytes])
    return {name: np.frombuffer(found, dtype="<f4") for name, found in packed.items()}


def check_kept(path: Path, *, deep: bool) -> str | None:
    """What is wrong with the result lists kept in the file `path`, None for nothing; with `deep` every list is compared
    with its checksum."""
    try:
        with closing(Database(path, read_only=True, durability="none")) as database, database.read() as sql:
            found = sql.execute(f"PRAGMA {'integrity' if deep else 'quick'}_check(1)").fetchone()[0]
            if found != "ok":
                return f"SQLite reports: {found}"
            if deep and _is_checked(sql):
                for values in sql.execute(f"SELECT {_columns(sql)} FROM cursors"):
                    if _checksum(values[:-1]) != values[-1]:
                        return f"the result list {values[0]!r} does not match its checksum"
    except StoreError as error:
        return str(error)
    return None
