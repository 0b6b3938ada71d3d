"""Result lists kept for later pages: in a small SQLite file that every process sees, or in memory where the folder is
read-only.

They are a convenience with a time limit, so their commits are not fsynced: losing one costs an ExpiredToken.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ragvec.engine.local.sqlite import Database
from ragvec.engine.protocol import Ranking
from ragvec.errors import ExpiredToken, InvalidToken

__all__ = ["Cursors"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS cursors (
    id TEXT PRIMARY KEY, request BLOB NOT NULL, expires REAL NOT NULL, generation INTEGER NOT NULL,
    exact INTEGER NOT NULL, rows BLOB NOT NULL, distances BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS expiry ON cursors (expires);
"""


class Cursors:
    """The saved rankings of one generation. `clock` gives epoch seconds."""

    def __init__(self, path: Path, *, read_only: bool, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._memory: dict[str, tuple[bytes, float, Ranking]] = {}
        self._lock = threading.Lock()
        self._database = None if read_only else Database(path, durability="none")
        self._ready = False

    def close(self) -> None:
        """Close the file."""
        if self._database is not None:
            self._database.close()

    def save(self, ranking: Ranking, *, request: bytes, ttl: float) -> str:
        """Keep a ranking for `ttl` seconds; returns its id."""
        cursor, now = uuid.uuid4().hex, self._clock()
        if self._database is None:
            with self._lock:
                self._memory = {key: value for key, value in self._memory.items() if value[1] > now}
                self._memory[cursor] = (request, now + ttl, ranking)
            return cursor
        with self._database.write() as sql:
            if not self._ready:
                for statement in _SCHEMA.split(";\n"):
                    sql.execute(statement)
                self._ready = True
            sql.execute("DELETE FROM cursors WHERE expires <= ?", (now,))
            sql.execute(
                "INSERT INTO cursors VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    cursor,
                    request,
                    now + ttl,
                    ranking.generation,
                    int(ranking.exact),
                    ranking.rows.astype("<u4").tobytes(),
                    ranking.distances.astype("<f4").tobytes(),
                ),
            )
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

    def _find(self, cursor: str) -> tuple[bytes, float, Ranking] | None:
        if self._database is None:
            return self._memory.get(cursor)
        if not self._database.path.exists():
            return None
        with self._database.read() as sql:
            if not sql.execute("SELECT 1 FROM sqlite_master WHERE name = 'cursors'").fetchone():
                return None
            row = sql.execute(
                "SELECT request, expires, generation, exact, rows, distances FROM cursors WHERE id = ?", (cursor,)
            ).fetchone()
        if row is None:
            return None
        request, expires, generation, exact, rows, distances = row
        ranking = Ranking(
            rows=np.frombuffer(rows, dtype="<u4"),
            distances=np.frombuffer(distances, dtype="<f4"),
            generation=generation,
            exact=bool(exact),
        )
        return request, expires, ranking
