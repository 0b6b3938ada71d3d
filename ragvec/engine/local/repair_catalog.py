"""Making catalog.sqlite again: from its rows that are whole, and from what the folders of the indexes tell.

Of buckets and indexes, policies, tags and properties are in the catalog alone: where their rows are damaged, they are
lost, and named.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import msgspec

from ragvec.engine.local.catalog_rows import (
    BUCKETS,
    CONFIGURATIONS,
    INDEXES,
    PROPERTIES,
    STORE,
    TABLES,
    TEXT,
    CatalogTable,
    Values,
    create_tables,
    name_store,
    row_checksum,
    write_row,
)
from ragvec.engine.local.identity import read_identity, read_text_fields
from ragvec.engine.local.layout import APPLICATION_ID, FORMAT, StoreFolder, is_uid, sync_folder
from ragvec.engine.local.lost_found import LostFound
from ragvec.engine.local.sqlite import Database, store_error
from ragvec.engine.protocol import IndexSpec, TextField
from ragvec.errors import StoreError

__all__ = ["rebuild_catalog", "take_in"]

_FIRST_WITH_CHECKSUMS = 2
_encode = msgspec.json.encode
_decode_spec = msgspec.json.Decoder(IndexSpec).decode
_SIDES = ("-wal", "-shm")


def rebuild_catalog(folder: StoreFolder, kept: LostFound) -> list[str]:
    """Put a new catalog in the place of a damaged or missing one, of which copies are kept; returns what was done and
    what is lost, in words.

    Raises:
        StoreFull, StoreReadOnly, StoreError: the catalog is as it was.
    """
    rows, notes = _readable(folder)
    specs = {values[0]: _decode_spec(values[3]) for values in rows[INDEXES.name]}
    for uid, spec in _described(folder).items():
        if uid not in specs:
            named = any((known.bucket, known.name) == (spec.bucket, spec.name) for known in specs.values())
            if named:
                spec = msgspec.structs.replace(spec, name=f"{spec.name}-{uid[:8]}")
            specs[uid] = spec
            rows[INDEXES.name].append(_index_row(spec))
            notes.append(f"index {spec.bucket}/{spec.name} taken from its own folder; its tags and properties are lost")
    notes += _add_text_fields(folder, specs, rows[CONFIGURATIONS.name])
    buckets = {values[0] for values in rows[BUCKETS.name]}
    for bucket in sorted({spec.bucket for spec in specs.values()} - buckets):
        created = min(spec.created for spec in specs.values() if spec.bucket == bucket)
        rows[BUCKETS.name].append((bucket, created, _encode({}), "", None, _encode({})))
        notes.append(f"bucket {bucket} made again; its policy, tags and settings are lost")
    temporary = folder.path / "catalog.sqlite.new"
    try:
        _write(temporary, rows)
        for path in (folder.catalog, *_beside(folder.catalog)):
            kept.copy(path)
        # The old log first: read with the new file it would be taken for its own.
        for path in _beside(folder.catalog):
            path.unlink(missing_ok=True)
        temporary.replace(folder.catalog)
        folder.catalog.with_suffix(".mark").unlink(missing_ok=True)
        sync_folder(folder.path)
    except OSError as error:
        raise store_error(error, folder.catalog) from error
    finally:
        for path in (temporary, *_beside(temporary), temporary.with_suffix(".mark")):
            path.unlink(missing_ok=True)
    return notes


def take_in(folder: StoreFolder, spec: IndexSpec) -> str:
    """Enter an index that the catalog, which is whole, does not know; returns what was done. Raises StoreError."""
    with closing(Database(folder.catalog)) as database, database.write() as sql:
        if not sql.execute("SELECT 1 FROM buckets WHERE name = ?", (spec.bucket,)).fetchone():
            write_row(sql, BUCKETS, (spec.bucket, spec.created, _encode({}), "", None, _encode({})))
        if sql.execute("SELECT 1 FROM indexes WHERE bucket = ? AND name = ?", (spec.bucket, spec.name)).fetchone():
            spec = msgspec.structs.replace(spec, name=f"{spec.name}-{spec.uid[:8]}")
        write_row(sql, INDEXES, _index_row(spec))
        if text := read_text_fields(folder.index(spec.uid)):
            write_row(sql, CONFIGURATIONS, (spec.uid, TEXT, _encode(text)))
    return f"index {spec.bucket}/{spec.name} taken into the catalog; its tags and properties are lost"


def _add_text_fields(folder: StoreFolder, specs: dict[str, IndexSpec], configurations: list[Values]) -> list[str]:
    """Add the text fields that the folders of the indexes name to `configurations`, for those indexes of which the
    catalog has none that are whole; returns notes of it."""
    known = {values[0] for values in configurations if values[1] == TEXT}
    notes = []
    for uid, spec in specs.items():
        text: tuple[TextField, ...] = ()
        with suppress(StoreError):
            text = read_text_fields(folder.index(uid)) if uid not in known else ()
        if text:
            configurations.append((uid, TEXT, _encode(text)))
            notes.append(f"text fields of {spec.bucket}/{spec.name} taken from its own folder")
    return notes


def _index_row(spec: IndexSpec) -> Values:
    return spec.uid, spec.bucket, spec.name, _encode(spec), _encode({})


def _beside(path: Path) -> list[Path]:
    return [path.with_name(path.name + side) for side in _SIDES]


def _described(folder: StoreFolder) -> dict[str, IndexSpec]:
    """The indexes whose folders tell what they are."""
    found = {}
    if folder.indexes.is_dir():
        for entry in sorted(folder.indexes.iterdir()):
            spec = None
            with suppress(StoreError):
                spec = read_identity(entry)
            if spec is not None and spec.uid == entry.name:
                found[entry.name] = spec
    return found


def _readable(folder: StoreFolder) -> tuple[dict[str, list[Values]], list[str]]:
    """The rows of the catalog that are whole, by table, and a note of those that are not."""
    rows: dict[str, list[Values]] = {table.name: [] for table in TABLES}
    notes: list[str] = []
    try:
        with closing(Database(folder.catalog, read_only=True)) as database, database.read() as sql:
            (version,) = sql.execute("PRAGMA user_version").fetchone()
            for table in TABLES:
                rows[table.name], damaged = _table(sql, table, checked=version >= _FIRST_WITH_CHECKSUMS)
                notes += [f"{table.named(values)} is damaged" for values in damaged]
    except (StoreError, sqlite3.Error) as error:
        notes.append(f"the catalog could not be read: {error}")
    rows[INDEXES.name] = [values for values in rows[INDEXES.name] if _is_index(values)]
    return rows, notes


def _table(sql: sqlite3.Connection, table: CatalogTable, *, checked: bool) -> tuple[list[Values], list[Values]]:
    columns = ", ".join((*table.columns, "checksum") if checked else table.columns)
    keys = table.columns[: table.keys]
    found: dict[Any, Values] = {}
    damaged: dict[Any, Values] = {}
    # From both ends, as far as a broken page allows.
    for direction in ("ASC", "DESC"):
        order = ", ".join(f"{key} {direction}" for key in keys)
        with suppress(sqlite3.Error):
            for row in sql.execute(f"SELECT {columns} FROM {table.name} ORDER BY {order}"):
                values = row[: len(table.columns)]
                whole = not checked or row_checksum(table, values) == row[-1]
                (found if whole else damaged)[values[: table.keys]] = values
    return list(found.values()), list(damaged.values())


def _is_index(values: Values) -> bool:
    try:
        return is_uid(values[0]) and _decode_spec(values[3]).uid == values[0]
    except (msgspec.MsgspecError, TypeError, UnicodeDecodeError):
        return False


def _write(path: Path, rows: dict[str, list[Values]]) -> None:
    path.unlink(missing_ok=True)
    uids = {values[0] for values in rows[INDEXES.name]}
    with closing(Database(path)) as database, database.write() as sql:
        create_tables(sql, TABLES, version=FORMAT)
        if {values[0] for values in rows[STORE.name]} == {"id", "token_key"}:
            for values in rows[STORE.name]:
                write_row(sql, STORE, values)
        else:
            name_store(sql)
        for table in (BUCKETS, INDEXES, PROPERTIES, CONFIGURATIONS):
            for values in rows[table.name]:
                if table in (BUCKETS, INDEXES) or values[0] in uids:
                    write_row(sql, table, values)
        sql.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        sql.execute(f"PRAGMA user_version = {FORMAT}")
    # Closing the last connection puts everything into the file itself.
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
