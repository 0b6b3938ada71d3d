"""records.sqlite: keys, metadata, tombstones and the state of one generation. All SQL on it is here.

A row is written once and never changes, except that `died` is set, once, to the sequence number of the change that
replaced or deleted it. The row with `died` NULL is the live one of its key.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec

from ragvec.engine.local.columns import KEYS_FILE, METADATA_FILE
from ragvec.engine.local.layout import FORMAT
from ragvec.engine.local.sqlite import Database, store_error
from ragvec.errors import Corrupted, StoreTooNew

__all__ = ["SLOTS", "Changes", "Records", "State", "StoredRow", "WholeRow", "claim", "owner_mark", "slot_of"]

_COLUMN_ROWS = 32_768

SLOTS = 1 << 16
"""Keys hash to this many slots; a listing segment is a range of them."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS records (
    row INTEGER PRIMARY KEY, key TEXT NOT NULL, slot INTEGER NOT NULL, metadata BLOB, checksum INTEGER NOT NULL,
    died INTEGER
);
CREATE UNIQUE INDEX IF NOT EXISTS live_keys ON records (key, slot) WHERE died IS NULL;
CREATE INDEX IF NOT EXISTS tombstones ON records (died) WHERE died IS NOT NULL;
CREATE TABLE IF NOT EXISTS state (
    id INTEGER PRIMARY KEY CHECK (id = 1), sequence INTEGER NOT NULL, rows INTEGER NOT NULL, successor INTEGER
);
INSERT OR IGNORE INTO state VALUES (1, 0, 0, NULL);
"""


class State(NamedTuple):
    """`sequence` grows by one with every change; `rows` have been committed; `successor` is the generation that
    replaced this one."""

    sequence: int
    rows: int
    successor: int | None


class Changes(NamedTuple):
    """What happened since a sequence number: the present state, and the rows that died since."""

    state: State
    died: list[int]


class StoredRow(NamedTuple):
    """A row as stored; `metadata` is JSON in UTF-8 or None. `checksum` is there where the row was read whole, to be
    compared with what was read."""

    row: int
    key: str
    metadata: bytes | None
    checksum: int | None = None


class WholeRow(NamedTuple):
    """All that is stored of a row while it lives, in the order of the columns."""

    row: int
    key: str
    slot: int
    metadata: bytes | None
    checksum: int


def owner_mark(uid: str, generation: int) -> int:
    """The application_id of the records of a generation of the index `uid`, from 1 to 2^31 − 1; that of records made
    before there was this is 0."""
    return zlib.crc32(f"{uid}/{generation}".encode()) & 0x7FFF_FFFF or 1


def slot_of(key: bytes) -> int:
    """The slot of a key (UTF-8): its CRC-32 modulo SLOTS."""
    return zlib.crc32(key) % SLOTS


class Records:
    """The records of one generation. `owner` is its `owner_mark`, which a new file gets and another must not have."""

    def __init__(self, path: Path, *, read_only: bool, owner: int = 0) -> None:
        self.path = path
        self._owner = owner
        self._database = Database(path, read_only=read_only)
        # Looked at first, so that opening does not wait for a change that another process is making.
        made = self._made()
        if not read_only and not made:
            self._require_new()
            with self._database.write() as sql:
                for statement in _SCHEMA.split(";\n"):
                    sql.execute(statement)
                if owner:
                    sql.execute(f"PRAGMA application_id = {owner}")

    def close(self) -> None:
        """Close the connections."""
        self._database.close()

    def _made(self) -> bool:
        """Whether there is anything in the file. Raises StoreTooNew, Corrupted."""
        with self._database.read() as sql:
            (version,) = sql.execute("PRAGMA user_version").fetchone()
            if version > FORMAT:
                raise StoreTooNew(
                    f"`{self.path}` has format {version}, this ragvec knows formats up to {FORMAT}; upgrade ragvec",
                    store=str(self.path),
                )
            if self._owner:
                (found,) = sql.execute("PRAGMA application_id").fetchone()
                if found not in (0, self._owner):
                    raise Corrupted(
                        f"`{self.path}` belongs to another index, or to another generation of this one; "
                        "`ragvec repair` puts files that were swapped in their places",
                        store=str(self.path),
                    )
            return sql.execute("SELECT 1 FROM sqlite_master WHERE name = 'state'").fetchone() is not None

    def _require_new(self) -> None:
        """Refuse to begin anew beside vectors, which are only written once there are records."""
        vectors = self.path.with_name("vectors.f32")
        if vectors.exists() and vectors.stat().st_size:
            raise Corrupted(
                f"`{self.path}` is missing or empty where there are vectors: it was lost or damaged; `ragvec repair` "
                "saves what it can",
                store=str(self.path),
            )

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """The write transaction: everything in it becomes visible and durable at its end, or nothing does."""
        with self._database.write() as sql:
            yield sql

    # -- inside a write transaction --------------------------------------------------------------------------------

    @staticmethod
    def state_in(sql: sqlite3.Connection) -> State:
        """The state, inside a transaction. Raises Corrupted."""
        found = sql.execute("SELECT sequence, rows, successor FROM state").fetchone()
        if found is not None:
            sequence, rows, successor = found
            if type(sequence) is int and type(rows) is int and (successor is None or type(successor) is int):
                return State(sequence, rows, successor)
        where = str(sql.execute("PRAGMA database_list").fetchone()[2])
        raise Corrupted(f"`{where}` is damaged: its state is {found!r}", store=where)

    @staticmethod
    def set_state(sql: sqlite3.Connection, *, sequence: int, rows: int) -> None:
        """Advance the state."""
        sql.execute("UPDATE state SET sequence = ?, rows = ?", (sequence, rows))

    @staticmethod
    def set_successor(sql: sqlite3.Connection, number: int) -> None:
        """Say that generation `number` has taken this one's place."""
        sql.execute("UPDATE state SET successor = ?", (number,))

    @staticmethod
    def bury(sql: sqlite3.Connection, keys: Iterable[str], *, sequence: int) -> int:
        """Set `died` of the live rows of these keys; returns how many there were."""
        return sql.executemany(
            "UPDATE records SET died = ? WHERE key = ? AND died IS NULL", ((sequence, key) for key in keys)
        ).rowcount

    @staticmethod
    def bury_rows(sql: sqlite3.Connection, rows: Iterable[int], *, sequence: int) -> int:
        """Set `died` of these rows where they live; returns how many did."""
        return sql.executemany(
            "UPDATE records SET died = ? WHERE row = ? AND died IS NULL", ((sequence, row) for row in rows)
        ).rowcount

    @staticmethod
    def insert(sql: sqlite3.Connection, rows: Iterable[tuple[int, str, int, bytes | None, int]]) -> None:
        """Insert (row, key, slot, metadata, checksum); no live row may have the key."""
        sql.executemany("INSERT INTO records VALUES (?, ?, ?, ?, ?, NULL)", rows)

    # -- reading ---------------------------------------------------------------------------------------------------

    def state(self) -> State:
        """The committed state."""
        with self._database.read() as sql:
            return self.state_in(sql)

    def unchanged_since(self) -> bytes | None:
        """See `Database.unchanged_since`."""
        return self._database.unchanged_since()

    def changes(self, since: int) -> Changes:
        """The committed state and the rows that died after sequence number `since`, seen at one moment."""
        with self._database.read() as sql:
            state = self.state_in(sql)
            if state.sequence == since:
                return Changes(state, [])
            return Changes(state, [row for (row,) in sql.execute("SELECT row FROM records WHERE died > ?", (since,))])

    def live(self, first: int, last: int) -> list[WholeRow]:
        """Those of the rows [first, last) that live, in row order."""
        with self._database.read() as sql:
            cursor = sql.execute(
                "SELECT row, key, slot, metadata, checksum FROM records WHERE row >= ? AND row < ? AND died IS NULL "
                "ORDER BY row",
                (first, last),
            )
            return [WholeRow(*row) for row in cursor]

    def dead(self) -> int:
        """How many rows are dead."""
        with self._database.read() as sql:
            (count,) = sql.execute(
                "SELECT count(*) FROM records INDEXED BY tombstones WHERE died IS NOT NULL"
            ).fetchone()
            return int(count)

    def live_keys(self, keys: Iterable[str]) -> set[str]:
        """Those of the keys that have a live row."""
        with self._database.read() as sql:
            return {
                key
                for key in keys
                if sql.execute("SELECT 1 FROM records WHERE key = ? AND died IS NULL", (key,)).fetchone()
            }

    def metadata(self, first: int, last: int) -> list[bytes | None]:
        """The metadata of rows [first, last), dead ones included, in row order. Raises Corrupted: a row is missing."""
        with self._database.read() as sql:
            cursor = sql.execute("SELECT metadata FROM records WHERE row >= ? AND row < ? ORDER BY row", (first, last))
            found = [metadata for (metadata,) in cursor]
        if len(found) != last - first:
            raise Corrupted(
                f"Expected the rows {first} to {last - 1} in `{self.path}`, got {len(found)} of them",
                store=str(self.path),
            )
        return found

    def whole(self, first: int, last: int) -> list[StoredRow]:
        """Those of the rows [first, last) that are there, dead ones included, in row order, with their checksums."""
        with self._database.read() as sql:
            cursor = sql.execute(
                "SELECT row, key, metadata, checksum FROM records WHERE row >= ? AND row < ? ORDER BY row",
                (first, last),
            )
            return [StoredRow(*row) for row in cursor]

    def checksums(self, rows: Sequence[int]) -> dict[int, int]:
        """The checksums of these rows, dead ones included, by row number; of those that are there."""
        with self._database.read() as sql:
            cursor = sql.execute(
                "SELECT row, checksum FROM records WHERE row IN (SELECT value FROM json_each(?))",
                (msgspec.json.encode(list(rows)).decode(),),
            )
            return dict(cursor)

    def columns(self, first: int, last: int) -> dict[str, Iterator[list[bytes]]]:
        """Keys and metadata of rows [first, last), dead ones included, in row order, some thousand at a time; by the
        names of `ragvec.engine.local.columns`. No metadata is empty."""
        return {
            KEYS_FILE: self._column("CAST(key AS BLOB)", first, last),
            METADATA_FILE: self._column("coalesce(metadata, x'')", first, last),
        }

    def _column(self, expression: str, first: int, last: int) -> Iterator[list[bytes]]:
        for start in range(first, last, _COLUMN_ROWS):
            stop = min(start + _COLUMN_ROWS, last)
            with self._database.read() as sql:
                cursor = sql.execute(
                    f"SELECT {expression} FROM records WHERE row >= ? AND row < ? ORDER BY row", (start, stop)
                )
                values = [value for (value,) in cursor]
            yield values

    def by_keys(self, keys: Sequence[str]) -> list[StoredRow]:
        """The live rows of these keys, whole, in the order of `keys`, absent keys left out."""
        found = []
        with self._database.read() as sql:
            for key in keys:
                row = sql.execute(
                    "SELECT row, key, metadata, checksum FROM records WHERE key = ? AND died IS NULL", (key,)
                ).fetchone()
                if row is not None:
                    found.append(StoredRow(*row))
        return found

    def by_rows(
        self,
        rows: Sequence[int],
        *,
        metadata: bool,
        whole: bool = False,
        unsound: list[tuple[int, object]] | None = None,
    ) -> dict[int, StoredRow]:
        """These rows, dead ones included, by row number; with their checksums if `whole`.

        Rows that are missing or whose key is not the one of their slot go to `unsound` as (row, key), and are then not
        among the result.

        Raises:
            Corrupted: there is such a row, and no `unsound`.
        """
        name = "key" if unsound is None else "CAST(key AS BLOB)"
        columns = "metadata, checksum" if whole else "metadata, NULL" if metadata else "NULL, NULL"
        with self._database.read() as sql:
            cursor = sql.execute(
                f"SELECT slot, row, {name}, {columns} FROM records WHERE row IN (SELECT value FROM json_each(?))",
                (msgspec.json.encode(list(rows)).decode(),),
            )
            if whole and unsound is None:
                found = {row: StoredRow(row, *values) for _, row, *values in cursor}  # checksums tell more than slots
            else:
                found = {stored.row: stored for stored in self._sound_rows(cursor, unsound)}
        if len(found) < len(rows):
            known = {row for row, _ in unsound or ()}
            for row in rows:
                if row not in found and row not in known:
                    if unsound is None:
                        raise self._damaged(row, None, "it is missing")
                    unsound.append((row, None))
        return found

    def _sound_rows(self, cursor: sqlite3.Cursor, unsound: list[tuple[int, object]] | None) -> Iterator[StoredRow]:
        """Rows of (slot, row, key, metadata, checksum); with `unsound`, keys are bytes."""
        if unsound is None:
            yield from map(self._sound, cursor)
            return
        for slot, row, raw, metadata, checksum in cursor:
            try:
                sound = self._sound((slot, row, raw.decode(), metadata, checksum))
            except (Corrupted, AttributeError, UnicodeDecodeError):
                unsound.append((row, raw))
            else:
                yield sound

    def _sound(self, values: tuple[int, int, str, bytes | None, int | None]) -> StoredRow:
        slot, row, key, metadata, checksum = values
        if type(key) is not str or slot_of(key.encode()) != slot:
            raise self._damaged(row, key, "its key and slot do not belong together")
        return StoredRow(row, key, metadata, checksum)

    def _damaged(self, row: int, key: object, fault: str) -> Corrupted:
        return Corrupted(
            f"Row {row}, key {key!r}, of `{self.path}` is damaged: {fault}; `ragvec repair` keeps what there is of it "
            "and drops it, all other rows are served",
            store=str(self.path),
        )

    def deleted(self, rows: Iterable[int]) -> set[int]:
        """Those of the rows whose key has no live row at all: deleted, rather than replaced."""
        with self._database.read() as sql:
            cursor = sql.execute(
                "SELECT old.row FROM records AS old WHERE old.row IN (SELECT value FROM json_each(?)) "
                "AND old.died IS NOT NULL "
                "AND NOT EXISTS (SELECT 1 FROM records AS new WHERE new.key = old.key AND new.died IS NULL)",
                (msgspec.json.encode(list(rows)).decode(),),
            )
            return {row for (row,) in cursor}

    def after(
        self,
        key: str | None,
        *,
        limit: int,
        slots: tuple[int, int],
        whole: bool,
        unsound: list[tuple[int, object]] | None = None,
    ) -> list[StoredRow]:
        """The first `limit` live rows in byte order of key whose key is greater than `key` and whose slot is in the
        range; `whole` with metadata and checksums.

        Rows whose key is not the one of their slot go to `unsound` as (row, key), and are then not among the result.

        Raises:
            Corrupted: there is such a row, and no `unsound`.
        """
        # As bytes where damage is expected: a text that is not UTF-8 would end the query.
        name = "key" if unsound is None else "CAST(key AS BLOB)"
        columns = "metadata, checksum" if whole else "NULL, NULL"
        with self._database.read() as sql:
            cursor = sql.execute(
                f"SELECT slot, row, {name}, {columns} FROM records INDEXED BY live_keys "
                "WHERE died IS NULL AND key > ? AND slot >= ? AND slot < ? ORDER BY key LIMIT ?",
                ("" if key is None else key, *slots, limit),
            )
            if whole and unsound is None:
                return [StoredRow(row, *values) for _, row, *values in cursor]
            return list(self._sound_rows(cursor, unsound))


def claim(path: Path, uid: str, generation: int) -> None:
    """Make the records in `path`, which nobody uses, those of this generation of the index `uid`. Raises StoreError."""
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as sql:
            sql.execute(f"PRAGMA application_id = {owner_mark(uid, generation)}")
    except sqlite3.Error as error:
        raise store_error(error, path) from error
