"""Restoring one index of a backup into a store that may be in use."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec

from ragvec.engine.local.backup_files import BackedUpIndex, Manifest, Progress, sync_tree
from ragvec.engine.local.catalog import LocalCatalog
from ragvec.engine.local.catalog_rows import BUCKETS, CONFIGURATIONS, INDEXES, PROPERTIES, CatalogReader, write_row
from ragvec.engine.local.identity import write_identity
from ragvec.engine.local.layout import GenerationFolder, StoreFolder, generations, is_uid, sync_folder
from ragvec.engine.local.lease import BuildLease
from ragvec.engine.local.records import claim
from ragvec.engine.local.restore import Restore, checked_copy
from ragvec.engine.local.sqlite import Database, store_error
from ragvec.engine.protocol import IndexSpec
from ragvec.errors import Corrupted, IndexExists, IndexNotFound, InvalidRequest, StoreError

__all__ = ["restore_index"]

_WORK = "restoring-"
_LOCK = "unfinished.lock"
_NOTE = "uid-"
_FIRST_WITH_CHECKSUMS = 2

_decode_spec = msgspec.json.Decoder(IndexSpec).decode


def restore_index(
    source: Path, path: Path, manifest: Manifest, *, index: str, name: str, progress: Progress | None
) -> Restore:
    """Restore the index `index` of the backup `source` into the store at `path` as `name`; see `restore`."""
    entry = _entry(manifest, index)
    bucket, slash, new_name = name.partition("/")
    if not (bucket and slash and new_name) or "/" in new_name:
        raise InvalidRequest(f"Expected `name` as bucket/name, got {name!r}", path="name")
    prefix = f"indexes/{entry.uid}/"
    names = [file for file in manifest.files if file.startswith(prefix)]
    folder = StoreFolder(path)
    # Opened as every writer opens it: it is made where there is none, and migrated where it is older.
    closing_catalog = closing(LocalCatalog(folder, read_only=False, on_create=lambda _: None, on_drop=lambda _: None))
    try:
        with closing_catalog, _work_folder(folder) as work:
            checked_copy(source, work, manifest, names=["catalog.sqlite", *names], progress=progress)
            rows = _Rows(work / "catalog.sqlite", entry, checked=manifest.store_format >= _FIRST_WITH_CHECKSUMS)
            spec = msgspec.structs.replace(rows.spec, uid=str(uuid.uuid4()), bucket=bucket, name=new_name)
            _put_in_place(folder, rows, spec, work / "indexes" / entry.uid, work / "place")
    except OSError as error:
        raise store_error(error, path) from error
    return Restore(
        path=str(path),
        source=str(source),
        created=manifest.created,
        indexes=(name,),
        files=len(names),
        bytes=sum(manifest.files[file][0] for file in names),
    )


def _entry(manifest: Manifest, index: str) -> BackedUpIndex:
    for one in manifest.indexes:
        if f"{one.bucket}/{one.name}" == index:
            return one
    there = ", ".join(sorted(f"{one.bucket}/{one.name}" for one in manifest.indexes)[:20]) or "none"
    raise IndexNotFound(f"The backup has no index {index!r}; it has {there}")


class _Rows:
    """What the catalog of the backup says of one index."""

    def __init__(self, catalog: Path, entry: BackedUpIndex, *, checked: bool) -> None:
        reader = CatalogReader(catalog, checked=checked)
        with closing(Database(catalog, read_only=True)) as database, database.read() as sql:
            index = reader.row(sql, INDEXES, "WHERE uid = ?", (entry.uid,))
            if index is None:
                raise Corrupted(f"The catalog of the backup lacks {entry.bucket}/{entry.name}", store=str(catalog))
            self.spec = _decode_spec(index[3])
            self.tags = index[4]
            self.bucket = reader.row(sql, BUCKETS, "WHERE name = ?", (entry.bucket,))
            tables = [PROPERTIES, CONFIGURATIONS] if checked else [PROPERTIES]
            self.hanging = [(table, list(reader.rows(sql, table, "WHERE uid = ?", (entry.uid,)))) for table in tables]


@contextmanager
def _work_folder(folder: StoreFolder) -> Iterator[Path]:
    """A folder in the store that nobody looks into, removed at the end; those of processes that died go too."""
    for old in folder.path.glob(f"{_WORK}*"):
        with contextlib.suppress(StoreError), BuildLease(old / _LOCK).try_acquire() as held:
            if held:
                _remove_abandoned(folder, old)
    work = folder.path / f"{_WORK}{uuid.uuid4().hex[:12]}"
    work.mkdir()
    try:
        with BuildLease(work / _LOCK).try_acquire() as held:
            if not held:
                raise StoreError(f"`{work}` is in use by another process", store=str(folder.path))
            yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _remove_abandoned(folder: StoreFolder, work: Path) -> None:
    """Remove what a process left that died, also files put into place for an index that was never entered."""
    for note in work.glob(_NOTE + "*"):
        uid = note.name[len(_NOTE) :]
        if is_uid(uid) and not _is_entered(folder, uid):
            shutil.rmtree(folder.index(uid), ignore_errors=True)
    shutil.rmtree(work, ignore_errors=True)


def _put_in_place(folder: StoreFolder, rows: _Rows, spec: IndexSpec, files: Path, place: Path) -> None:
    """Give the files their place and enter the index, in one transaction of the catalog."""
    if files.is_dir():
        files.rename(place)
    else:
        place.mkdir()
    (place / "index.json").unlink(missing_ok=True)
    write_identity(place, spec)
    for number in generations(place):
        claim(GenerationFolder(place, number).records, spec.uid, number)
    sync_tree(place)
    goal = folder.index(spec.uid)
    (place.parent / f"{_NOTE}{spec.uid}").touch()
    sync_folder(place.parent)
    try:
        with closing(Database(folder.catalog)) as database, database.write() as sql:
            if sql.execute("SELECT 1 FROM indexes WHERE bucket = ? AND name = ?", (spec.bucket, spec.name)).fetchone():
                subject = f"{spec.name!r} in bucket {spec.bucket!r}"
                raise IndexExists("An index with the specified name already exists", subject=subject)
            folder.indexes.mkdir(exist_ok=True)
            place.rename(goal)
            sync_folder(folder.indexes)
            _enter(sql, rows, spec)
    except BaseException:
        if not _is_entered(folder, spec.uid):
            shutil.rmtree(goal, ignore_errors=True)
        raise


def _enter(sql: sqlite3.Connection, rows: _Rows, spec: IndexSpec) -> None:
    """Write the rows of the catalog, in its write transaction."""
    if not sql.execute("SELECT 1 FROM buckets WHERE name = ?", (spec.bucket,)).fetchone():
        was = rows.bucket or ("", time.time(), b"{}", "", None, b"{}")
        policy = was[4] if was[0] == spec.bucket else None
        write_row(sql, BUCKETS, (spec.bucket, *was[1:4], policy, *was[5:]))
    write_row(sql, INDEXES, (spec.uid, spec.bucket, spec.name, msgspec.json.encode(spec), rows.tags))
    for table, values in rows.hanging:
        for value in values:
            write_row(sql, table, (spec.uid, *value[1:]))


def _is_entered(folder: StoreFolder, uid: str) -> bool:
    with closing(Database(folder.catalog, read_only=True)) as database, database.read() as sql:
        return sql.execute("SELECT 1 FROM indexes WHERE uid = ?", (uid,)).fetchone() is not None
