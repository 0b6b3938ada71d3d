"""The catalog of a local store: buckets, indexes, policies, tags and properties, in one SQLite file."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

import msgspec

from ragvec.engine.local.layout import APPLICATION_ID, FORMAT, StoreFolder
from ragvec.engine.local.sqlite import Database
from ragvec.engine.local.tune import SETTINGS, Settings
from ragvec.engine.protocol import BucketInfo, IndexSpec, Page
from ragvec.errors import (
    BucketExists,
    BucketNotEmpty,
    BucketNotFound,
    IndexExists,
    IndexNotFound,
    NotAStore,
    PolicyNotFound,
    QuotaExceeded,
    StoreError,
    StoreTooNew,
)

__all__ = ["LocalCatalog"]

_SCHEMA = """
CREATE TABLE buckets (
    name TEXT PRIMARY KEY, created REAL NOT NULL, encryption BLOB NOT NULL, index_mode TEXT NOT NULL, policy TEXT,
    tags BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE indexes (
    uid TEXT PRIMARY KEY, bucket TEXT NOT NULL REFERENCES buckets (name), name TEXT NOT NULL, spec BLOB NOT NULL,
    tags BLOB NOT NULL, UNIQUE (bucket, name)
) WITHOUT ROWID;
CREATE TABLE properties (
    uid TEXT NOT NULL, name TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (uid, name)
) WITHOUT ROWID;
"""

_encode = msgspec.json.encode
_decode_spec = msgspec.json.Decoder(IndexSpec).decode
_UNCHECKED: Any = ...


class LocalCatalog:
    """`ragvec.engine.protocol.Catalog` on catalog.sqlite. `on_drop` is told the uid of an index after it was
    removed."""

    def __init__(
        self,
        folder: StoreFolder,
        *,
        read_only: bool,
        on_create: Callable[[IndexSpec], None],
        on_drop: Callable[[str], None],
    ) -> None:
        exists = folder.prepare(read_only=read_only)
        self._database = Database(folder.catalog, read_only=read_only)
        self._folder = folder
        self._on_create = on_create
        self._on_drop = on_drop
        self._known: tuple[bytes | None, dict[tuple[str, str], IndexSpec]] = (None, {})
        self._known_settings: tuple[bytes | None, dict[str, Settings]] = (None, {})
        """What was read since the catalog last changed, and its mark then."""
        if exists:
            self._refuse_foreign()
        else:
            self._create()
        self._check_format()

    def close(self) -> None:
        """Close the connections."""
        self._database.close()

    # -- buckets ---------------------------------------------------------------------------------------------------

    def create_bucket(self, bucket: BucketInfo, *, tags: dict[str, str], max_buckets: int | None) -> None:
        with self._database.write() as sql:
            if sql.execute("SELECT 1 FROM buckets WHERE name = ?", (bucket.name,)).fetchone():
                raise BucketExists("A vector bucket with the specified name already exists", subject=repr(bucket.name))
            (count,) = sql.execute("SELECT count(*) FROM buckets").fetchone()
            if max_buckets is not None and count >= max_buckets:
                raise QuotaExceeded(f"The account has {count} vector buckets; the limit is {max_buckets}")
            sql.execute(
                "INSERT INTO buckets VALUES (?, ?, ?, ?, NULL, ?)",
                (bucket.name, bucket.created, _encode(bucket.encryption), bucket.index_mode, _encode(tags)),
            )

    def bucket(self, name: str) -> BucketInfo:
        with self._database.read() as sql:
            row = sql.execute(
                "SELECT name, created, encryption, index_mode FROM buckets WHERE name = ?", (name,)
            ).fetchone()
        if row is None:
            raise _no_bucket(name)
        return _bucket(row)

    def buckets(self, *, prefix: str, after: str | None, limit: int) -> Page:
        with self._database.read() as sql:
            rows = sql.execute(
                "SELECT name, created, encryption, index_mode FROM buckets WHERE name > ? AND substr(name, 1, ?) = ? "
                "ORDER BY name LIMIT ?",
                (after or "", len(prefix), prefix, limit + 1),
            ).fetchall()
        more = rows[limit - 1][0] if len(rows) > limit else None
        return Page(tuple(_bucket(row) for row in rows[:limit]), more)

    def delete_bucket(self, name: str) -> None:
        with self._database.write() as sql:
            _require_bucket(sql, name)
            if sql.execute("SELECT 1 FROM indexes WHERE bucket = ? LIMIT 1", (name,)).fetchone():
                raise BucketNotEmpty("The specified vector bucket is not empty", subject=repr(name))
            sql.execute("DELETE FROM buckets WHERE name = ?", (name,))

    def set_bucket_index_mode(self, name: str, mode: str) -> None:
        with self._database.write() as sql:
            _require_bucket(sql, name)
            sql.execute("UPDATE buckets SET index_mode = ? WHERE name = ?", (mode, name))

    # -- indexes ---------------------------------------------------------------------------------------------------

    def create_index(self, spec: IndexSpec, *, tags: dict[str, str], max_indexes: int | None) -> None:
        with self._database.write() as sql:
            _require_bucket(sql, spec.bucket)
            if sql.execute("SELECT 1 FROM indexes WHERE bucket = ? AND name = ?", (spec.bucket, spec.name)).fetchone():
                subject = f"{spec.name!r} in bucket {spec.bucket!r}"
                raise IndexExists("An index with the specified name already exists", subject=subject)
            (count,) = sql.execute("SELECT count(*) FROM indexes WHERE bucket = ?", (spec.bucket,)).fetchone()
            if max_indexes is not None and count >= max_indexes:
                raise QuotaExceeded(
                    f"The vector bucket `{spec.bucket}` has {count} indexes; the limit is {max_indexes}"
                )
            sql.execute(
                "INSERT INTO indexes VALUES (?, ?, ?, ?, ?)",
                (spec.uid, spec.bucket, spec.name, _encode(spec), _encode(tags)),
            )
        try:
            self._on_create(spec)
        except (StoreError, OSError):
            self.delete_index(spec.bucket, spec.name)
            raise

    def index(self, bucket: str, name: str) -> IndexSpec:
        mark = self._database.unchanged_since()
        known = self._known
        if mark is None or known[0] != mark:
            known = self._known = (mark, {})
        spec = known[1].get((bucket, name))
        if spec is None:
            spec = self._index(bucket, name)
            if mark is not None:
                known[1][bucket, name] = spec
        return spec

    def _index(self, bucket: str, name: str) -> IndexSpec:
        with self._database.read() as sql:
            row = sql.execute("SELECT spec FROM indexes WHERE bucket = ? AND name = ?", (bucket, name)).fetchone()
            if row is None:
                _require_bucket(sql, bucket)
                raise _no_index(f"{name!r} in bucket {bucket!r}")
        return _decode_spec(row[0])

    def index_by_uid(self, uid: str) -> IndexSpec:
        with self._database.read() as sql:
            row = sql.execute("SELECT spec FROM indexes WHERE uid = ?", (uid,)).fetchone()
        if row is None:
            raise _no_index(uid)
        return _decode_spec(row[0])

    def uids(self) -> set[str]:
        """The uids of all indexes."""
        with self._database.read() as sql:
            return {uid for (uid,) in sql.execute("SELECT uid FROM indexes")}

    def indexes(self, bucket: str, *, prefix: str, after: str | None, limit: int) -> Page:
        with self._database.read() as sql:
            _require_bucket(sql, bucket)
            rows = sql.execute(
                "SELECT name, spec FROM indexes WHERE bucket = ? AND name > ? AND substr(name, 1, ?) = ? "
                "ORDER BY name LIMIT ?",
                (bucket, after or "", len(prefix), prefix, limit + 1),
            ).fetchall()
        more = rows[limit - 1][0] if len(rows) > limit else None
        return Page(tuple(_decode_spec(row[1]) for row in rows[:limit]), more)

    def delete_index(self, bucket: str, name: str) -> None:
        with self._database.write() as sql:
            _require_bucket(sql, bucket)
            row = sql.execute("SELECT uid FROM indexes WHERE bucket = ? AND name = ?", (bucket, name)).fetchone()
            if row is None:
                raise _no_index(f"{name!r} in bucket {bucket!r}")
            sql.execute("DELETE FROM indexes WHERE uid = ?", row)
            sql.execute("DELETE FROM properties WHERE uid = ?", row)
        self._on_drop(row[0])

    def set_index_mode(self, uid: str, mode: str) -> None:
        with self._database.write() as sql:
            row = sql.execute("SELECT spec FROM indexes WHERE uid = ?", (uid,)).fetchone()
            if row is None:
                raise _no_index(uid)
            changed = msgspec.structs.replace(_decode_spec(row[0]), index_mode=mode)
            sql.execute("UPDATE indexes SET spec = ? WHERE uid = ?", (_encode(changed), uid))

    # -- policies, tags, properties --------------------------------------------------------------------------------

    def policy(self, bucket: str) -> str:
        with self._database.read() as sql:
            row = sql.execute("SELECT policy FROM buckets WHERE name = ?", (bucket,)).fetchone()
        if row is None:
            raise _no_bucket(bucket)
        if row[0] is None:
            raise PolicyNotFound("The specified vector bucket policy could not be found", subject=f"that of {bucket!r}")
        return str(row[0])

    def put_policy(self, bucket: str, policy: str) -> None:
        self._set_policy(bucket, policy)

    def delete_policy(self, bucket: str) -> None:
        self._set_policy(bucket, None)

    def tags(self, bucket: str, index: str | None) -> dict[str, str]:
        with self._database.read() as sql:
            return _tags(sql, bucket, index)

    def change_tags(self, bucket: str, index: str | None, change: Callable[[dict[str, str]], dict[str, str]]) -> None:
        with self._database.write() as sql:
            tags = _encode(change(_tags(sql, bucket, index)))
            if index is None:
                sql.execute("UPDATE buckets SET tags = ? WHERE name = ?", (tags, bucket))
            else:
                sql.execute("UPDATE indexes SET tags = ? WHERE bucket = ? AND name = ?", (tags, bucket, index))

    def settings(self, uid: str) -> Settings:
        """How the index is searched. Read anew only when the catalog changed."""
        mark = self._database.unchanged_since()
        known = self._known_settings
        if mark is None or known[0] != mark:
            known = self._known_settings = (mark, {})
        found = known[1].get(uid)
        if found is None:
            with self._database.read() as sql:
                found = Settings.of(_property(sql, uid, SETTINGS))
            if mark is not None:
                known[1][uid] = found
        return found

    def property(self, uid: str, name: str) -> Any:
        with self._database.read() as sql:
            _require_index(sql, uid)
            return _property(sql, uid, name)

    def set_property(self, uid: str, name: str, value: Any, *, expected: Any = _UNCHECKED) -> bool:
        with self._database.write() as sql:
            _require_index(sql, uid)
            if expected is not _UNCHECKED and _property(sql, uid, name) != expected:
                return False
            if value is None:
                sql.execute("DELETE FROM properties WHERE uid = ? AND name = ?", (uid, name))
            else:
                sql.execute("INSERT OR REPLACE INTO properties VALUES (?, ?, ?)", (uid, name, _encode(value)))
        return True

    # -- inner -----------------------------------------------------------------------------------------------------

    def _set_policy(self, bucket: str, policy: str | None) -> None:
        with self._database.write() as sql:
            _require_bucket(sql, bucket)
            sql.execute("UPDATE buckets SET policy = ? WHERE name = ?", (policy, bucket))

    def _create(self) -> None:
        with self._database.write() as sql:
            (version,) = sql.execute("PRAGMA user_version").fetchone()
            if version:  # another process was quicker
                return
            for statement in _SCHEMA.split(";"):
                sql.execute(statement)
            sql.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            sql.execute(f"PRAGMA user_version = {FORMAT}")

    def _refuse_foreign(self) -> None:
        """Look at a file that is there without writing to it: opening it for writing would change its journal mode."""
        looking = Database(self._folder.catalog, read_only=True)
        with looking.read() as sql:
            (application,) = sql.execute("PRAGMA application_id").fetchone()
            used = sql.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone() is not None
        looking.close()
        if used and application != APPLICATION_ID:
            where = str(self._folder.path)
            raise NotAStore(f"`{self._folder.catalog}` is not a ragvec catalog", store=where)

    def _check_format(self) -> None:
        with self._database.read() as sql:
            (version,) = sql.execute("PRAGMA user_version").fetchone()
        where = str(self._folder.path)
        if not version:
            if self._database.read_only:
                raise NotAStore(f"`{self._folder.catalog}` is empty", store=where)
            # A process died between making the file and filling it.
            self._create()
        elif version > FORMAT:
            raise StoreTooNew(
                f"The store at `{where}` has format {version}, this ragvec knows formats up to {FORMAT}; "
                "upgrade ragvec",
                store=where,
            )


def _bucket(row: tuple[Any, ...]) -> BucketInfo:
    name, created, encryption, mode = row
    return BucketInfo(name, created, msgspec.json.decode(encryption, type=dict[str, str]), mode)


def _tags(sql: sqlite3.Connection, bucket: str, index: str | None) -> dict[str, str]:
    _require_bucket(sql, bucket)
    if index is None:
        row = sql.execute("SELECT tags FROM buckets WHERE name = ?", (bucket,)).fetchone()
    else:
        row = sql.execute("SELECT tags FROM indexes WHERE bucket = ? AND name = ?", (bucket, index)).fetchone()
    if row is None:
        raise _no_index(f"{index!r} in bucket {bucket!r}")
    return msgspec.json.decode(row[0], type=dict[str, str])


def _property(sql: sqlite3.Connection, uid: str, name: str) -> Any:
    row = sql.execute("SELECT value FROM properties WHERE uid = ? AND name = ?", (uid, name)).fetchone()
    return None if row is None else msgspec.json.decode(row[0])


def _require_bucket(sql: sqlite3.Connection, name: str) -> None:
    if not sql.execute("SELECT 1 FROM buckets WHERE name = ?", (name,)).fetchone():
        raise _no_bucket(name)


def _require_index(sql: sqlite3.Connection, uid: str) -> None:
    if not sql.execute("SELECT 1 FROM indexes WHERE uid = ?", (uid,)).fetchone():
        raise _no_index(uid)


def _no_bucket(name: str) -> BucketNotFound:
    return BucketNotFound("The specified vector bucket could not be found", subject=repr(name))


def _no_index(subject: str) -> IndexNotFound:
    return IndexNotFound("The specified index could not be found", subject=subject)
