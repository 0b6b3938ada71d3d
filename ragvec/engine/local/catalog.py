"""The catalog of a local store: buckets, indexes, policies, tags and properties, in one SQLite file."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
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
    CatalogReader,
    CatalogTable,
    Values,
    create_tables,
    name_store,
    remove_rows,
    write_row,
)
from ragvec.engine.local.layout import APPLICATION_ID, FORMAT, StoreFolder
from ragvec.engine.local.migrate import migrate_on_opening
from ragvec.engine.local.owned import forget, write_properties
from ragvec.engine.local.process_key import process_key
from ragvec.engine.local.remembered import Remembered
from ragvec.engine.local.reserve import spends_reserve
from ragvec.engine.local.sqlite import Database
from ragvec.engine.local.swap import exchange_names
from ragvec.engine.local.tune import SETTINGS, Settings
from ragvec.engine.protocol import BucketInfo, IndexSpec, Page, TextField
from ragvec.errors import (
    BucketExists,
    BucketNotEmpty,
    BucketNotFound,
    Corrupted,
    IndexExists,
    IndexNotFound,
    NotAStore,
    PolicyNotFound,
    QuotaExceeded,
    StoreError,
    StoreTooNew,
)

__all__ = ["LocalCatalog"]

_FIRST_WITH_CHECKSUMS = 2

_encode = msgspec.json.encode
_decode_spec = msgspec.json.Decoder(IndexSpec).decode
_decode_text_fields = msgspec.json.Decoder(tuple[TextField, ...]).decode
_UNCHECKED: Any = ...


class LocalCatalog:
    """`ragvec.engine.protocol.Catalog` on catalog.sqlite. `on_dropping` is told the uid of an index that is about to be
    removed, in the transaction, and `on_drop` the uids of those that were; `on_texting` is told the text fields that an
    index is about to have, in the transaction, and `on_text` the uid of one whose text fields have changed."""

    def __init__(
        self,
        folder: StoreFolder,
        *,
        read_only: bool,
        on_create: Callable[[IndexSpec], None],
        on_drop: Callable[[Sequence[str]], None],
        on_dropping: Callable[[str], None] = lambda _: None,
        on_text: Callable[[str], None] = lambda _: None,
        on_texting: Callable[[IndexSpec, Sequence[TextField]], None] = lambda _spec, _fields: None,
    ) -> None:
        exists = folder.prepare(read_only=read_only)
        self._database = Database(folder.catalog, read_only=read_only)
        self._folder = folder
        self._on_create = on_create
        self._on_drop, self._on_dropping = on_drop, on_dropping
        self._on_text, self._on_texting = on_text, on_texting
        mark = self._database.unchanged_since
        self._known_specs: Remembered[tuple[str, str], IndexSpec] = Remembered(mark)
        self._known_settings: Remembered[str, Settings] = Remembered(mark)
        self._known_text: Remembered[str, tuple[TextField, ...]] = Remembered(mark)
        self._known_policies: Remembered[str, str | None] = Remembered(mark)
        if exists:
            self._refuse_foreign()
        else:
            self._create()
        self._reader = CatalogReader(folder.catalog, checked=self._prepared_format() >= _FIRST_WITH_CHECKSUMS)
        self._token_key: bytes | None = None

    def close(self) -> None:
        """Close the connections."""
        self._database.close()

    @property
    def store_id(self) -> str | None:
        """The UUID that the store was given when it was made; None in a store of format 1, opened read-only."""
        return None if (found := self._fact("id")) is None else str(found)

    @property
    def token_key(self) -> bytes:
        """The secret that signs the store's page tokens, 32 bytes. That of a store of format 1, opened read-only, is
        good in this process only."""
        if self._token_key is None:
            self._token_key = self._fact("token_key") or process_key(str(self._folder.path))
        return self._token_key

    # -- buckets ---------------------------------------------------------------------------------------------------

    def create_bucket(self, bucket: BucketInfo, *, tags: dict[str, str], max_buckets: int | None) -> None:
        with self._write() as sql:
            if sql.execute("SELECT 1 FROM buckets WHERE name = ?", (bucket.name,)).fetchone():
                raise BucketExists("A vector bucket with the specified name already exists", subject=repr(bucket.name))
            (count,) = sql.execute("SELECT count(*) FROM buckets").fetchone()
            if max_buckets is not None and count >= max_buckets:
                raise QuotaExceeded(f"The account has {count} vector buckets; the limit is {max_buckets}")
            encryption = _encode(bucket.encryption)
            values = bucket.name, float(bucket.created), encryption, bucket.index_mode, None, _encode(tags)
            write_row(sql, BUCKETS, values)

    def bucket(self, name: str) -> BucketInfo:
        with self._read() as sql:
            return _bucket(self._bucket_row(sql, name))

    def buckets(self, *, prefix: str, after: str | None, limit: int) -> Page:
        chosen = "WHERE name > ? AND substr(name, 1, ?) = ? ORDER BY name LIMIT ?"
        with self._read() as sql:
            rows = list(self._reader.rows(sql, BUCKETS, chosen, (after or "", len(prefix), prefix, limit + 1)))
        more = rows[limit - 1][0] if len(rows) > limit else None
        return Page(tuple(map(_bucket, rows[:limit])), more)

    @spends_reserve
    def delete_bucket(self, name: str) -> None:
        with self._write() as sql:
            _require_bucket(sql, name)
            if sql.execute("SELECT 1 FROM indexes WHERE bucket = ? LIMIT 1", (name,)).fetchone():
                raise BucketNotEmpty("The specified vector bucket is not empty", subject=repr(name))
            remove_rows(sql, BUCKETS, name)

    def set_bucket_index_mode(self, name: str, mode: str) -> None:
        with self._write() as sql:
            self._change_bucket(sql, name, index_mode=mode)

    # -- indexes ---------------------------------------------------------------------------------------------------

    def create_index(
        self,
        spec: IndexSpec,
        *,
        tags: dict[str, str],
        max_indexes: int | None,
        text: Sequence[TextField] = (),
        properties: Mapping[str, Any] | None = None,
    ) -> None:
        with self._write() as sql:
            _require_bucket(sql, spec.bucket)
            if sql.execute("SELECT 1 FROM indexes WHERE bucket = ? AND name = ?", (spec.bucket, spec.name)).fetchone():
                subject = f"{spec.name!r} in bucket {spec.bucket!r}"
                raise IndexExists("An index with the specified name already exists", subject=subject)
            (count,) = sql.execute("SELECT count(*) FROM indexes WHERE bucket = ?", (spec.bucket,)).fetchone()
            if max_indexes is not None and count >= max_indexes:
                raise QuotaExceeded(
                    f"The vector bucket `{spec.bucket}` has {count} indexes; the limit is {max_indexes}"
                )
            write_row(sql, INDEXES, (spec.uid, spec.bucket, spec.name, _encode(spec), _encode(tags)))
            if text:
                write_row(sql, CONFIGURATIONS, (spec.uid, TEXT, _encode(text)))
            write_properties(sql, spec.uid, properties or {})
        try:
            self._on_create(spec)
        except (IndexNotFound, StoreError, OSError):
            # Where another process has deleted it by now, it was made all the same.
            if self._withdraw(spec.uid):
                raise

    def index(self, bucket: str, name: str) -> IndexSpec:
        def read() -> IndexSpec:
            with self._read() as sql:
                return _spec(self._index_row(sql, bucket, name))

        return self._known_specs.get((bucket, name), read)

    def index_by_uid(self, uid: str) -> IndexSpec:
        with self._read() as sql:
            row = self._reader.row(sql, INDEXES, "WHERE uid = ?", (uid,))
        if row is None:
            raise _no_index(uid)
        return _spec(row)

    def uids(self) -> set[str]:
        """The uids of all indexes. Raises Corrupted: one of them may be another, since its row is damaged."""
        with self._read() as sql:
            return {row[0] for row in self._reader.rows(sql, INDEXES)}

    def indexes(self, bucket: str, *, prefix: str, after: str | None, limit: int) -> Page:
        chosen = "WHERE bucket = ? AND name > ? AND substr(name, 1, ?) = ? ORDER BY name LIMIT ?"
        with self._read() as sql:
            _require_bucket(sql, bucket)
            parameters = (bucket, after or "", len(prefix), prefix, limit + 1)
            specs = tuple(map(_spec, self._reader.rows(sql, INDEXES, chosen, parameters)))
        more = specs[limit - 1].name if len(specs) > limit else None
        return Page(specs[:limit], more)

    @spends_reserve
    def delete_index(self, bucket: str, name: str) -> None:
        with self._write() as sql:
            uid = self._index_row(sql, bucket, name)[0]
            gone = self._forget(sql, uid)
        self._on_drop(gone)

    def swap_indexes(self, bucket: str, one: str, other: str) -> None:
        with self._write() as sql:
            rows = self._index_row(sql, bucket, one), self._index_row(sql, bucket, other)
            for spec in exchange_names(sql, *rows):
                self._on_texting(spec, self._text_fields(sql, spec.uid))

    def set_index_mode(self, uid: str, mode: str) -> None:
        with self._write() as sql:
            row = self._reader.row(sql, INDEXES, "WHERE uid = ?", (uid,))
            if row is None:
                raise _no_index(uid)
            changed = msgspec.structs.replace(_spec(row), index_mode=mode)
            write_row(sql, INDEXES, (*row[:3], _encode(changed), row[4]))

    def text_fields(self, uid: str) -> tuple[TextField, ...]:
        """The text fields of the index. Read anew only when the catalog changed."""

        def read() -> tuple[TextField, ...]:
            with self._read() as sql:
                _require_index(sql, uid)
                return self._text_fields(sql, uid)

        return self._known_text.get(uid, read)

    def change_text_fields(
        self, uid: str, change: Callable[[tuple[TextField, ...]], Sequence[TextField]]
    ) -> tuple[TextField, ...]:
        with self._write() as sql:
            row = self._reader.row(sql, INDEXES, "WHERE uid = ?", (uid,))
            if row is None:
                raise _no_index(uid)
            known = self._text_fields(sql, uid)
            changed = tuple(change(known))
            self._on_texting(_spec(row), changed)
            if changed == known:
                return changed
            if changed:
                write_row(sql, CONFIGURATIONS, (uid, TEXT, _encode(changed)))
            else:
                remove_rows(sql, CONFIGURATIONS, uid, TEXT)
        self._on_text(uid)
        return changed

    # -- policies, tags, properties --------------------------------------------------------------------------------

    def policy(self, bucket: str) -> str:
        """The policy. Read anew only when the catalog changed: every request to a server asks for it."""

        def read() -> str | None:
            with self._read() as sql:
                text = _named(BUCKETS, self._bucket_row(sql, bucket))["policy"]
                return None if text is None else str(text)

        policy = self._known_policies.get(bucket, read)
        if policy is None:
            raise PolicyNotFound("The specified vector bucket policy could not be found", subject=f"that of {bucket!r}")
        return policy

    def put_policy(self, bucket: str, policy: str) -> None:
        with self._write() as sql:
            self._change_bucket(sql, bucket, policy=policy)

    def delete_policy(self, bucket: str) -> None:
        with self._write() as sql:
            self._change_bucket(sql, bucket, policy=None)

    def tags(self, bucket: str, index: str | None) -> dict[str, str]:
        with self._read() as sql:
            return _tags(self._bucket_row(sql, bucket) if index is None else self._index_row(sql, bucket, index))

    def change_tags(self, bucket: str, index: str | None, change: Callable[[dict[str, str]], dict[str, str]]) -> None:
        with self._write() as sql:
            row = self._bucket_row(sql, bucket) if index is None else self._index_row(sql, bucket, index)
            table = BUCKETS if index is None else INDEXES
            write_row(sql, table, (*row[:-1], _encode(change(_tags(row)))))

    def settings(self, uid: str) -> Settings:
        """How the index is searched. Read anew only when the catalog changed."""

        def read() -> Settings:
            with self._read() as sql:
                return Settings.of(self._property(sql, uid, SETTINGS))

        return self._known_settings.get(uid, read)

    def property(self, uid: str, name: str) -> Any:
        with self._read() as sql:
            _require_index(sql, uid)
            return self._property(sql, uid, name)

    def property_names(self, uid: str, *, prefix: str) -> list[str]:
        with self._read() as sql:
            _require_index(sql, uid)
            chosen = "WHERE uid = ? AND name >= ? AND substr(name, 1, ?) = ? ORDER BY name"
            return [row[1] for row in self._reader.rows(sql, PROPERTIES, chosen, (uid, prefix, len(prefix), prefix))]

    def set_property(self, uid: str, name: str, value: Any, *, expected: Any = _UNCHECKED) -> bool:
        with self._write() as sql:
            _require_index(sql, uid)
            if expected is not _UNCHECKED and self._property(sql, uid, name) != expected:
                return False
            if value is None:
                remove_rows(sql, PROPERTIES, uid, name)
            else:
                write_row(sql, PROPERTIES, (uid, name, _encode(value)))
        return True

    # -- inner -----------------------------------------------------------------------------------------------------

    def _forget(self, sql: sqlite3.Connection, uid: str) -> list[str]:
        gone = forget(sql, uid)
        for each in gone:
            self._on_dropping(each)
        return gone

    def _withdraw(self, uid: str) -> bool:
        """Delete an index, and not one that was made since under its name; tells whether it was there."""
        with self._write() as sql:
            if self._reader.row(sql, INDEXES, "WHERE uid = ?", (uid,)) is None:
                return False
            gone = self._forget(sql, uid)
        self._on_drop(gone)
        return True

    @contextmanager
    def _read(self) -> Iterator[sqlite3.Connection]:
        with self._database.read() as sql:
            if self._format(sql) > FORMAT:
                raise self._too_new(sql)
            yield sql

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        """A write transaction, refused when another process has migrated the store to a newer format meanwhile."""
        with self._database.write() as sql:
            if self._format(sql) != FORMAT:
                raise self._too_new(sql)
            yield sql

    @staticmethod
    def _format(sql: sqlite3.Connection) -> int:
        (version,) = sql.execute("PRAGMA user_version").fetchone()
        return int(version)

    def _too_new(self, sql: sqlite3.Connection) -> StoreError:
        version, where = self._format(sql), str(self._folder.path)
        if version < FORMAT:
            return StoreError(
                f"The store at `{where}` had format {FORMAT} and has format {version} now: it was replaced while in "
                "use; open it again",
                store=where,
            )
        return StoreTooNew(
            f"The store at `{where}` has format {version}, this ragvec knows formats up to {FORMAT}; upgrade ragvec",
            store=where,
        )

    def _bucket_row(self, sql: sqlite3.Connection, name: str) -> Values:
        row = self._reader.row(sql, BUCKETS, "WHERE name = ?", (name,))
        if row is None:
            raise _no_bucket(name)
        return row

    def _index_row(self, sql: sqlite3.Connection, bucket: str, name: str) -> Values:
        row = self._reader.row(sql, INDEXES, "WHERE bucket = ? AND name = ?", (bucket, name))
        if row is None:
            _require_bucket(sql, bucket)
            raise _no_index(f"{name!r} in bucket {bucket!r}")
        return row

    def _change_bucket(self, sql: sqlite3.Connection, name: str, **changed: Any) -> None:
        values = {**_named(BUCKETS, self._bucket_row(sql, name)), **changed}
        write_row(sql, BUCKETS, tuple(values.values()))

    def _text_fields(self, sql: sqlite3.Connection, uid: str) -> tuple[TextField, ...]:
        if self._format(sql) < _FIRST_WITH_CHECKSUMS:
            return ()
        row = self._reader.row(sql, CONFIGURATIONS, "WHERE uid = ? AND name = ?", (uid, TEXT))
        return () if row is None else _decode_text_fields(row[2])

    def _property(self, sql: sqlite3.Connection, uid: str, name: str) -> Any:
        row = self._reader.row(sql, PROPERTIES, "WHERE uid = ? AND name = ?", (uid, name))
        return None if row is None else msgspec.json.decode(row[2])

    def _fact(self, name: str) -> Any:
        """A value of the table `store`; None in a store of format 1, which has none."""
        with self._read() as sql:
            if self._format(sql) < _FIRST_WITH_CHECKSUMS:
                return None
            row = self._reader.row(sql, STORE, "WHERE name = ?", (name,))
        if row is None:
            where = str(self._folder.path)
            raise Corrupted(f"`{self._folder.catalog}` has lost the {name} of the store", store=where)
        return row[1]

    def _create(self) -> None:
        with self._database.write() as sql:
            if self._format(sql):  # another process was quicker
                return
            if self._folder.has_indexes():
                # Its indexes would be taken for deleted ones, and their folders removed.
                raise Corrupted(
                    f"`{self._folder.catalog}` is empty, and `{self._folder.indexes}` is not: the catalog was lost; "
                    "nothing was changed. `ragvec repair` makes it again from what the indexes tell",
                    store=str(self._folder.path),
                )
            create_tables(sql, TABLES, version=FORMAT)
            name_store(sql)
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

    def _prepared_format(self) -> int:
        """The format that the catalog has once it was filled or migrated, as far as it may be."""
        with self._database.read() as sql:
            version = self._format(sql)
            if version > FORMAT:
                raise self._too_new(sql)
        if version == FORMAT:
            return version
        if self._database.read_only:
            if not version:
                raise NotAStore(f"`{self._folder.catalog}` is empty", store=str(self._folder.path))
            return version
        if not version:
            # A process died between making the file and filling it.
            self._create()
        else:
            migrate_on_opening(self._database, self._folder)
        return FORMAT


def _named(table: CatalogTable, row: Values) -> dict[str, Any]:
    return dict(zip(table.columns, row, strict=True))


def _bucket(row: Values) -> BucketInfo:
    name, created, encryption, mode = row[:4]
    return BucketInfo(name, created, msgspec.json.decode(encryption, type=dict[str, str]), mode)


def _spec(row: Values) -> IndexSpec:
    return _decode_spec(row[3])


def _tags(row: Values) -> dict[str, str]:
    """Those of a bucket or an index: the last column."""
    return msgspec.json.decode(row[-1], type=dict[str, str])


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
