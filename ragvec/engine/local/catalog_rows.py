"""The tables of catalog.sqlite and their rows: every row carries a CRC-32 over its other values.

A row is written whole, by INSERT OR REPLACE, and so with its checksum; a trigger refuses every UPDATE. A process of an
older version that has the catalog open when it is migrated thus gets an error where it would leave a checksum out: its
INSERTs have too few values, and its UPDATEs are refused. What it reads it goes on reading.

The checksum of a row (docs/format.md gives an example) is over the name of its table and its values in the order of the
columns, each as one byte for the kind and then, little-endian:

    n  NULL       nothing
    i  INTEGER    int64
    f  REAL       double
    t  TEXT       number of bytes (uint32), UTF-8
    b  BLOB       number of bytes (uint32), the bytes
"""

from __future__ import annotations

import secrets
import sqlite3
import struct
import uuid
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from ragvec.errors import Corrupted

__all__ = [
    "BUCKETS",
    "CONFIGURATIONS",
    "INDEXES",
    "PROPERTIES",
    "STORE",
    "TABLES",
    "TEXT",
    "TOKEN_KEY_BYTES",
    "CatalogReader",
    "CatalogTable",
    "Values",
    "create_tables",
    "name_store",
    "remove_rows",
    "row_checksum",
    "write_row",
]

Values: TypeAlias = "tuple[Any, ...]"
"""Of one row, in order of the columns: str, bytes, int, float or None, as SQLite gives them back."""


class CatalogTable(NamedTuple):
    """A table: its columns but the checksum, of which the first `keys` are the primary key."""

    name: str
    columns: tuple[str, ...]
    keys: int
    declaration: str

    def named(self, values: Sequence[object]) -> str:
        """The row with these values, in words."""
        return f"{self.name} {'/'.join(map(repr, values[: self.keys]))}"


BUCKETS = CatalogTable(
    "buckets",
    ("name", "created", "encryption", "index_mode", "policy", "tags"),
    1,
    "name TEXT PRIMARY KEY, created REAL NOT NULL, encryption BLOB NOT NULL, index_mode TEXT NOT NULL, policy TEXT, "
    "tags BLOB NOT NULL",
)
INDEXES = CatalogTable(
    "indexes",
    ("uid", "bucket", "name", "spec", "tags"),
    1,
    "uid TEXT PRIMARY KEY, bucket TEXT NOT NULL, name TEXT NOT NULL, spec BLOB NOT NULL, tags BLOB NOT NULL",
)
PROPERTIES = CatalogTable(
    "properties", ("uid", "name", "value"), 2, "uid TEXT NOT NULL, name TEXT NOT NULL, value BLOB NOT NULL"
)
CONFIGURATIONS = CatalogTable(
    "configurations", ("uid", "name", "value"), 2, "uid TEXT NOT NULL, name TEXT NOT NULL, value BLOB NOT NULL"
)
"""What of an index its owner may change after it was made, such as the keys searched as text; by name, JSON."""

TEXT = "text"
"""The name of the configuration that lists the text fields."""

STORE = CatalogTable("store", ("name", "value"), 1, "name TEXT PRIMARY KEY, value BLOB NOT NULL")
"""What belongs to the store as a whole: `id` and `token_key`."""

TOKEN_KEY_BYTES = 32

TABLES = (BUCKETS, INDEXES, PROPERTIES, CONFIGURATIONS, STORE)

_CONSTRAINTS = {
    "indexes": ", UNIQUE (bucket, name)",
    "properties": ", PRIMARY KEY (uid, name)",
    "configurations": ", PRIMARY KEY (uid, name)",
}
_LONG = struct.Struct("<cq").pack
_DOUBLE = struct.Struct("<cd").pack
_LENGTH = struct.Struct("<cI").pack


def row_checksum(table: CatalogTable, values: Sequence[object]) -> int:
    """CRC-32 of a row, whose `values` are all but the checksum, in order of the columns."""
    parts = [_encoded(table.name)]
    parts.extend(map(_encoded, values))
    return zlib.crc32(b"".join(parts))


def _encoded(value: object) -> bytes:
    if value is None:
        return b"n"
    if isinstance(value, bytes):
        return _LENGTH(b"b", len(value)) + value
    if isinstance(value, str):
        text = value.encode("utf-8", "surrogatepass")
        return _LENGTH(b"t", len(text)) + text
    if isinstance(value, int):
        return _LONG(b"i", value)
    if isinstance(value, float):
        return _DOUBLE(b"f", value)
    raise TypeError(f"Expected a value that SQLite keeps, got {type(value).__name__}")


def create_tables(sql: sqlite3.Connection, tables: Iterable[CatalogTable], *, version: int) -> None:
    """Make the tables, in a write transaction. `version` is the format that the refusal of an UPDATE names."""
    for table in tables:
        sql.execute(
            f"CREATE TABLE {table.name} ({table.declaration}, checksum INTEGER NOT NULL"
            f"{_CONSTRAINTS.get(table.name, '')}) WITHOUT ROWID"
        )
        refusal = f"the store has format {version} by now, whose rows are only replaced whole: close it, upgrade ragvec"
        sql.execute(
            f"CREATE TRIGGER {table.name}_whole BEFORE UPDATE ON {table.name} "
            f"BEGIN SELECT RAISE(ABORT, '{refusal}'); END"
        )


def name_store(sql: sqlite3.Connection) -> None:
    """Give a store its id, a UUID, and the secret that signs its page tokens, in a write transaction."""
    write_row(sql, STORE, ("id", str(uuid.uuid4())))
    write_row(sql, STORE, ("token_key", secrets.token_bytes(TOKEN_KEY_BYTES)))


def write_row(sql: sqlite3.Connection, table: CatalogTable, values: Values) -> None:
    """Insert a row, or replace the one with its primary key, in a write transaction."""
    places = ", ".join("?" * (len(values) + 1))
    sql.execute(f"INSERT OR REPLACE INTO {table.name} VALUES ({places})", (*values, row_checksum(table, values)))


def remove_rows(sql: sqlite3.Connection, table: CatalogTable, *key: str) -> None:
    """Remove the rows whose first columns are `key`, in a write transaction."""
    condition = " AND ".join(f"{column} = ?" for column in table.columns[: len(key)])
    sql.execute(f"DELETE FROM {table.name} WHERE {condition}", key)


class CatalogReader:
    """Reads rows of the catalog at `path`, and compares their checksums where `checked`: a catalog of format 1 has
    none."""

    def __init__(self, path: Path, *, checked: bool) -> None:
        self._path = path
        self._checked = checked

    def rows(
        self, sql: sqlite3.Connection, table: CatalogTable, rest: str = "", parameters: Sequence[object] = ()
    ) -> Iterator[Values]:
        """The rows that `rest` (WHERE, ORDER BY …) chooses, each without its checksum.

        Raises:
            Corrupted: a row does not match its checksum.
        """
        columns = ", ".join((*table.columns, "checksum") if self._checked else table.columns)
        for row in sql.execute(f"SELECT {columns} FROM {table.name} {rest}", tuple(parameters)):
            values = row[: len(table.columns)]
            if self._checked and row_checksum(table, values) != row[-1]:
                raise Corrupted(
                    f"Expected the checksum of its values in the row {table.named(values)} of `{self._path}`, got "
                    "another: it is damaged. Everything else can be used; `ragvec verify` names all that is damaged",
                    store=str(self._path),
                )
            yield values

    def row(
        self, sql: sqlite3.Connection, table: CatalogTable, rest: str, parameters: Sequence[object]
    ) -> Values | None:
        """The only row that `rest` chooses, None when there is none. Raises Corrupted."""
        return next(self.rows(sql, table, rest, parameters), None)
