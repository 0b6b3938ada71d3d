"""Format 1 to 2: checksums in the catalog, the store's id and token key, and an index.json for every index.

The files of the indexes are as they were. Only the catalog's own transaction changes anything that counts: an
index.json says what the catalog says, and format 1 takes no notice of it.
"""

from __future__ import annotations

import sqlite3

import msgspec

from ragvec.engine.local.catalog_rows import BUCKETS, INDEXES, PROPERTIES, TABLES, create_tables, name_store, write_row
from ragvec.engine.local.identity import write_identity
from ragvec.engine.local.layout import StoreFolder
from ragvec.engine.protocol import IndexSpec

__all__ = ["migrate_to_2"]

_VERSION = 2


def migrate_to_2(sql: sqlite3.Connection, folder: StoreFolder) -> None:
    """The change of the catalog, in its write transaction; also writes the index.json files. Raises StoreError."""
    for (spec,) in sql.execute("SELECT spec FROM indexes ORDER BY uid"):
        found = msgspec.json.decode(spec, type=IndexSpec)
        if folder.index(found.uid).is_dir():  # else its process died before making it; its next opening does
            write_identity(folder.index(found.uid), found)
    for table in (BUCKETS, INDEXES, PROPERTIES):
        sql.execute(f"ALTER TABLE {table.name} RENAME TO {table.name}_1")
    create_tables(sql, TABLES, version=_VERSION)
    for table in (BUCKETS, INDEXES, PROPERTIES):
        for values in sql.execute(f"SELECT {', '.join(table.columns)} FROM {table.name}_1"):
            write_row(sql, table, values)
    for table in (PROPERTIES, INDEXES, BUCKETS):  # one that refers to another first
        sql.execute(f"DROP TABLE {table.name}_1")
    name_store(sql)
