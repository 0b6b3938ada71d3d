"""One cut through a whole store: a read transaction on the catalog and on every index, which all see one moment.

SQLite cannot begin several transactions at once. So they are begun one after the other, and then each file is looked
at again: where nothing was committed to any of them since its own transaction began, all of them saw the moment after
the last had begun. What did change begins again. That holds up no writer. Only where writers are too quick for it, the
catalog and the indexes that keep changing are locked for the moment that it takes; locks are never waited for while
others are held for long, so that one long write does not stop the writers of other indexes.

What a cut sees stays readable until it is closed, whatever is compacted or deleted meanwhile: its files are open.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import msgspec

from ragvec.engine.local import forks
from ragvec.engine.local.generations import newest
from ragvec.engine.local.layout import APPLICATION_ID, FORMAT, GenerationFolder, StoreFolder, generations
from ragvec.engine.local.records import Records, State
from ragvec.engine.local.sqlite import Database, store_error
from ragvec.engine.protocol import IndexSpec
from ragvec.errors import Corrupted, NotAStore, StoreBusy, StoreError, StoreReadOnly, StoreTooNew

__all__ = ["Cut", "PinnedIndex", "store_cut"]

_PATIENCE_SECONDS = 600.0
"""How long to try before StoreBusy: longer than any single write should take."""

_TRIES = 6
"""Looks without any lock; each takes well below a millisecond an index."""

_FIRST_WAIT, _LONGEST_WAIT = 0.05, 2.0
"""Seconds to wait for a lock while others are held."""

_TROUBLES, _PAUSE = 50, 0.01
"""How often an index may be found unreadable, and the seconds before it is looked at again."""

_FILES_PER_INDEX = 7
_FILES_APART = 128

_decode_spec = msgspec.json.Decoder(IndexSpec).decode


class _Moved(Exception):
    """Something changed in a way that makes a new look at the catalog, or at the index, necessary."""


class PinnedIndex:
    """An index as of the cut: `records` is inside a read transaction, `vectors` an open file, None without rows.

    An index whose files were not made yet, as between its two steps of creation, has neither.
    """

    def __init__(self, spec: IndexSpec, folder: Path, stack: ExitStack) -> None:
        self.spec = spec
        self.folder = folder
        self.records: sqlite3.Connection | None = None
        self.vectors: int | None = None
        self.state = State(0, 0, None)
        self._mark: bytes | None = None
        self._database: Database | None = None
        self.generation = GenerationFolder(folder, 0)
        if _is_unmade(folder):
            return
        self.generation = GenerationFolder(folder, newest(folder, read_only=True))
        self._database = stack.enter_context(closing(Database(self.generation.records, read_only=True)))
        self._mark = self._database.unchanged_since()
        self.records = stack.enter_context(self._database.read())
        self.state = self._state(self.records)
        if self.state.rows:
            self.vectors = os.open(self.generation.vectors, os.O_RDONLY | getattr(os, "O_BINARY", 0))
            stack.callback(os.close, self.vectors)

    def is_latest(self) -> bool:
        """Whether nothing was committed since its transaction began."""
        if self._database is None:
            return _is_unmade(self.folder)
        if self._mark is not None and self._mark == self._database.unchanged_since():
            return True
        with self._database.read() as sql:
            return Records.state_in(sql) == self.state

    def look_again(self) -> None:
        """Begin the transaction anew. Raises _Moved where opening the index anew is necessary."""
        if self.records is None or self._database is None:
            raise _Moved
        self.records.execute("COMMIT")
        self._mark = self._database.unchanged_since()
        self.records.execute("BEGIN")
        self.state = self._state(self.records)
        if self.state.rows and self.vectors is None:
            raise _Moved

    @staticmethod
    def _state(sql: sqlite3.Connection) -> State:
        state = Records.state_in(sql)
        if state.successor is not None:  # another generation took its place
            raise _Moved
        return state


def _is_unmade(folder: Path) -> bool:
    """Whether the files of an index were not made yet, in whole or in part, since it was entered in the catalog."""
    numbers = generations(folder)
    if numbers != [0]:
        return not numbers
    first = GenerationFolder(folder, 0)
    if first.vectors.exists():
        return False
    if not first.records.exists():
        return True
    with closing(Database(first.records, read_only=True)) as database, database.read() as sql:
        return sql.execute("SELECT 1 FROM sqlite_master WHERE name = 'state'").fetchone() is None


class Cut:
    """What a store held at one moment; `catalog` is inside a read transaction."""

    def __init__(self, catalog: sqlite3.Connection, indexes: list[PinnedIndex]) -> None:
        self.catalog = catalog
        self.indexes = indexes


@contextmanager
def store_cut(folder: StoreFolder, *, chosen: Callable[[IndexSpec], bool] = lambda _: True) -> Iterator[Cut]:
    """A cut through the store in `folder`, with those of its indexes that are `chosen`. No thread of this process forks
    within the block, since connections are open.

    Raises:
        NotAStore: there is none. StoreTooNew, Corrupted, StoreBusy, StoreError: see those.
    """
    if not folder.catalog.is_file():
        raise NotAStore(f"There is no store at `{folder.path}`: it has no catalog.sqlite", store=str(folder.path))
    with forks.operation(), ExitStack() as stack:
        try:
            cut = stack.enter_context(_Search(folder, chosen).found())
        except OSError as error:
            raise store_error(error, folder.path) from error
        yield cut


class _Search:
    def __init__(self, folder: StoreFolder, chosen: Callable[[IndexSpec], bool]) -> None:
        self._folder = folder
        self._chosen = chosen
        self._deadline = time.monotonic() + _PATIENCE_SECONDS
        self._restless: set[Path] = set()
        """Files that changed while a cut was tried."""
        self._tries = 0
        self._troubles = 0
        self._wait = _FIRST_WAIT
        self._lockable = True

    @contextmanager
    def found(self) -> Iterator[Cut]:
        while True:
            if time.monotonic() > self._deadline:
                raise StoreBusy(
                    f"Writers left no moment at which `{self._folder.path}` could be seen as a whole for "
                    f"{_PATIENCE_SECONDS:.0f} s; try again when less is written",
                    store=str(self._folder.path),
                )
            with ExitStack() as stack:
                try:
                    with ExitStack() as locks:
                        self._lock(locks)
                        cut = self._tried(stack)
                except _Moved:
                    continue
                yield cut
                return

    def _tried(self, stack: ExitStack) -> Cut:
        catalog = stack.enter_context(closing(Database(self._folder.catalog, read_only=True)))
        mark = catalog.unchanged_since()
        sql = stack.enter_context(catalog.read())
        known = self._specs(sql)
        _make_room_for_files(len(known), self._folder.path)
        pinned = [self._pinned(spec, stack) for spec in known]
        while True:
            self._tries += 1
            late = [index for index in pinned if not index.is_latest()]
            if mark is None or mark != catalog.unchanged_since():
                with catalog.read() as now:
                    if _content(now) != _content(sql):
                        self._restless.add(self._folder.catalog)
                        raise _Moved
            if not late:
                self._check_lengths(pinned)
                return Cut(sql, pinned)
            self._restless.update(index.generation.records for index in late)
            if self._tries % _TRIES == 0:
                raise _Moved
            for index in late:
                index.look_again()

    def _check_lengths(self, pinned: list[PinnedIndex]) -> None:
        for index in pinned:
            size = 0 if index.vectors is None else os.fstat(index.vectors).st_size
            needed = 4 * index.spec.dimension * index.state.rows
            if size < needed:
                raise Corrupted(
                    f"`{index.generation.vectors}` has {size} bytes where {index.state.rows} rows of "
                    f"{index.spec.dimension} float32 need {needed}; `ragvec repair` saves what is there",
                    store=str(self._folder.path),
                )

    def _specs(self, sql: sqlite3.Connection) -> list[IndexSpec]:
        (application,) = sql.execute("PRAGMA application_id").fetchone()
        (version,) = sql.execute("PRAGMA user_version").fetchone()
        where = str(self._folder.path)
        if application != APPLICATION_ID:
            raise NotAStore(f"`{self._folder.catalog}` is not a ragvec catalog", store=where)
        if version > FORMAT:
            raise StoreTooNew(
                f"The store at `{where}` has format {version}, this ragvec knows formats up to {FORMAT}; "
                "upgrade ragvec",
                store=where,
            )
        rows = sql.execute("SELECT spec FROM indexes ORDER BY uid").fetchall()
        return [spec for (blob,) in rows if self._chosen(spec := _decode_spec(blob))]

    def _pinned(self, spec: IndexSpec, stack: ExitStack) -> PinnedIndex:
        folder = self._folder.index(spec.uid)
        try:
            with ExitStack() as own:
                pinned = PinnedIndex(spec, folder, own)
                stack.push(own.pop_all())
                return pinned
        except (StoreError, OSError, sqlite3.Error) as error:
            # Deleted, compacted or made in this moment; what stays like this is damaged.
            self._troubles += 1
            if self._troubles > _TROUBLES and self._still_known(spec.uid):
                raise error if isinstance(error, StoreError) else store_error(error, folder) from error
            time.sleep(_PAUSE)
            raise _Moved from error

    def _still_known(self, uid: str) -> bool:
        database = Database(self._folder.catalog, read_only=True)
        with closing(database), database.read() as sql:
            return sql.execute("SELECT 1 FROM indexes WHERE uid = ?", (uid,)).fetchone() is not None

    # -- locks, when looking alone did not do ------------------------------------------------------------------------

    def _lock(self, locks: ExitStack) -> None:
        """Hold the write transactions of what kept changing; nothing in the first rounds, and where nobody may write.

        Raises _Moved when one of them could not be had soon: all are given back, and it is tried again.
        """
        if self._tries < _TRIES or not self._lockable:
            return
        paths = sorted(self._restless, key=lambda path: (path != self._folder.catalog, path))
        for number, path in enumerate(paths):
            try:
                locks.enter_context(_write_lock(path, seconds=self._wait if number else _LONGEST_WAIT))
            except StoreBusy:
                # The one that is written to for long comes first the next time, when nothing else is held.
                self._wait = min(2 * self._wait, _LONGEST_WAIT)
                raise _Moved from None
            except StoreReadOnly:
                self._lockable = False
                return
            except FileNotFoundError:
                self._restless.discard(path)  # compacted or deleted


def _content(catalog: sqlite3.Connection) -> list[list[tuple[object, ...]]]:
    names = [name for (name,) in catalog.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
    return [catalog.execute(f'SELECT * FROM "{name}"').fetchall() for name in names]


@contextmanager
def _write_lock(path: Path, *, seconds: float) -> Iterator[None]:
    """Within the block nobody else writes. Nothing is written here either, and nothing made.

    Raises StoreBusy, StoreReadOnly, FileNotFoundError.
    """
    if not path.exists():
        raise FileNotFoundError(path)
    if not os.access(path, os.W_OK):
        raise StoreReadOnly(f"No permission to write `{path}`", store=str(path))
    with ExitStack() as stack:
        try:
            connection = stack.enter_context(
                closing(
                    sqlite3.connect(
                        f"{path.resolve().as_uri()}?mode=rw", uri=True, timeout=seconds, isolation_level=None
                    )
                )
            )
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            if not path.exists():
                raise FileNotFoundError(path) from error
            raise store_error(error, path) from error
        try:
            yield
        finally:
            connection.execute("ROLLBACK")


def _make_room_for_files(indexes: int, store: Path) -> None:
    """Let this process have as many files open as a cut through so many indexes takes."""
    try:
        import resource
    except ModuleNotFoundError:  # Windows, where handles are not scarce
        return
    needed = indexes * _FILES_PER_INDEX + _FILES_APART
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or needed <= soft:
        return
    if hard != resource.RLIM_INFINITY and needed > hard:
        raise StoreError(
            f"Expected to have up to {needed:,} files open for {indexes:,} indexes at one moment, and this process may "
            f"have {hard:,}: raise that (`ulimit -n`), or back up bucket by bucket",
            store=str(store),
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
