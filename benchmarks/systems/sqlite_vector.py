"""sqlite-vec: a vec0 table with metadata columns; it searches by brute force."""

from __future__ import annotations

import sqlite3
from types import ModuleType
from typing import Any

import numpy as np
import sqlite_vec

from benchmarks.systems.base import Condition, System

__all__ = ["SqliteVec"]

SCHEMA = """create virtual table rows using vec0(
    row integer primary key, vector float[{dimension}] distance_metric=cosine,
    pos text, lexname text, length integer, serial integer, +lemma text)"""
QUERY = "select row, distance, pos, lexname, lemma, length, serial from rows where vector match ? and k = ?"


def _sqlite() -> ModuleType:
    """Python's own sqlite3 where it can load extensions, else the same interface from pysqlite3."""
    if hasattr(sqlite3.Connection, "enable_load_extension"):
        return sqlite3
    import pysqlite3

    module: ModuleType = pysqlite3
    return module


class SqliteVec(System):
    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection = _sqlite().connect(self.folder / "rows.sqlite", check_same_thread=False)
        connection.enable_load_extension(True)
        sqlite_vec.load(connection)
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma synchronous = full")
        return connection

    def create(self) -> None:
        self.connection = self._connection()
        self.connection.execute(SCHEMA.format(dimension=self.dimension))

    def open(self) -> None:
        self.connection = self._connection()

    def put(self, keys: list[str], vectors: np.ndarray, metadata: list[dict[str, Any]]) -> None:
        names = ("pos", "lexname", "lemma", "length", "serial")
        with self.connection:
            self.connection.executemany(
                "insert into rows (row, vector, pos, lexname, lemma, length, serial) values (?, ?, ?, ?, ?, ?, ?)",
                (
                    (int(key), vector.tobytes(), *(entry[name] for name in names))
                    for key, vector, entry in zip(keys, vectors, metadata, strict=True)
                ),
            )

    def search(self, query: np.ndarray, *, k: int) -> Any:
        return self.connection.execute(QUERY, (query.tobytes(), k)).fetchall()

    def search_many(self, queries: np.ndarray, *, k: int) -> list[Any]:
        # One connection serves one thread at a time; brute force in one thread is what a notebook user has.
        return [self.search(query, k=k) for query in queries]

    def search_where(self, query: np.ndarray, *, k: int, where: Any) -> Any:
        text, values = where
        return self.connection.execute(f"{QUERY} and {text}", (query.tobytes(), k, *values)).fetchall()

    def condition(self, condition: Condition) -> Any:
        if condition.equals is not None:
            return f"{condition.field} = ?", (condition.equals,)
        return f"{condition.field} >= ? and {condition.field} < ?", (condition.low, condition.high)

    def rows(self, answer: Any) -> list[int]:
        return [row for row, *_ in answer]

    def close(self) -> None:
        self.connection.close()
