"""What can be wrong with a catalog that SQLite can read: rows against their checksums, and against each other."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import msgspec

from ragvec.engine.local.catalog_rows import (
    BUCKETS,
    INDEXES,
    STORE,
    TABLES,
    TOKEN_KEY_BYTES,
    CatalogTable,
    row_checksum,
)
from ragvec.engine.local.layout import is_uid
from ragvec.engine.protocol import IndexSpec

__all__ = ["CatalogProblem", "catalog_problems"]

_texts = msgspec.json.Decoder(dict[str, str]).decode
_any = msgspec.json.Decoder().decode
_spec = msgspec.json.Decoder(IndexSpec).decode


class CatalogProblem(NamedTuple):
    """One thing that is wrong: in which `table`, with the row of which primary key (empty for the table as such)."""

    table: str
    key: tuple[object, ...]
    what: str

    def __str__(self) -> str:
        return (
            f"{self.table} {'/'.join(map(repr, self.key))}: {self.what}" if self.key else f"{self.table}: {self.what}"
        )


def catalog_problems(sql: sqlite3.Connection) -> list[CatalogProblem]:
    """What is wrong with the rows of the catalog, seen in the transaction of `sql`, in order of tables and keys; of any
    format up to the present one. Read-only.

    Raises:
        sqlite3.Error: SQLite cannot read it.
    """
    (version,) = sql.execute("PRAGMA user_version").fetchone()
    strict, sql.text_factory = sql.text_factory, _lenient_text
    try:
        return list(_problems(sql, has_checksums=version >= 2))
    finally:
        sql.text_factory = strict


def _lenient_text(data: bytes) -> str:
    """Text as the column has it; what is not UTF-8 is no reason not to look at the rest."""
    return data.decode("utf-8", "surrogateescape")


def _problems(sql: sqlite3.Connection, *, has_checksums: bool) -> Iterator[CatalogProblem]:
    there = {name for (name,) in sql.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    buckets: set[object] = set()
    for table in TABLES if has_checksums else TABLES[:3]:
        if table.name not in there:
            yield CatalogProblem(table.name, (), "the table is missing")
            continue
        names: set[object] = set()
        columns = ", ".join((*table.columns, "checksum") if has_checksums else table.columns)
        order = ", ".join(table.columns[: table.keys])
        for row in sql.execute(f"SELECT {columns} FROM {table.name} ORDER BY {order}"):
            values, key = row[: len(table.columns)], row[: table.keys]
            names.add(row[0])
            if has_checksums and row_checksum(table, values) != row[-1]:
                yield CatalogProblem(table.name, key, "does not match its checksum")
                continue
            what = _wrong(table, values, buckets=buckets)
            if what is not None:
                yield CatalogProblem(table.name, key, what)
        if table is BUCKETS:
            buckets = names
        if table is STORE:
            for name in sorted({"id", "token_key"} - names):
                yield CatalogProblem(table.name, (name,), "is missing")


def _wrong(table: CatalogTable, values: tuple[Any, ...], *, buckets: set[object]) -> str | None:
    """What is wrong with the values of a row."""
    try:
        return _READERS.get(table.name, _wrong_value)(values, buckets)
    except (msgspec.MsgspecError, UnicodeDecodeError, TypeError) as error:
        return f"cannot be read: {error}"


def _wrong_bucket(values: tuple[Any, ...], _: set[object]) -> str | None:
    name, created, encryption, mode, policy, tags = values
    _texts(encryption)
    _texts(tags)
    kinds = (name, str), (created, float), (mode, str), (policy, (str, type(None)))
    return None if all(isinstance(value, kind) for value, kind in kinds) else "a value is of another type"


def _wrong_index(values: tuple[Any, ...], buckets: set[object]) -> str | None:
    uid, bucket, name, encoded, tags = values
    _texts(tags)
    spec = _spec(encoded)
    if (spec.uid, spec.bucket, spec.name) != (uid, bucket, name):
        return f"describes the index {spec.name!r} in bucket {spec.bucket!r} with uid {spec.uid!r}"
    if not is_uid(uid):
        return "its uid is not one"
    return None if bucket in buckets else f"its bucket {bucket!r} does not exist"


def _wrong_value(values: tuple[Any, ...], _: set[object]) -> str | None:
    _any(values[-1])
    return None


def _wrong_fact(values: tuple[Any, ...], _: set[object]) -> str | None:
    name, value = values
    if name == "token_key" and len(value) != TOKEN_KEY_BYTES:
        return f"expected {TOKEN_KEY_BYTES} bytes, got {len(value)}"
    return None


_READERS: dict[str, Callable[[tuple[Any, ...], set[object]], str | None]] = {
    BUCKETS.name: _wrong_bucket,
    INDEXES.name: _wrong_index,
    STORE.name: _wrong_fact,
}
