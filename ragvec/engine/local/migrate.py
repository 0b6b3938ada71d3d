"""From one format of a store to the next: numbered steps, each of which happens as a whole or not at all.

A step changes the catalog in one write transaction, which also sets the format. Some first rewrite the folders of the
indexes, one by one, for as long as that takes. Killed at any moment, a store is either of the format that it had or of
the next, and the work goes on where it ended: which folders were rewritten, they tell by themselves (see
`index_format`). So a step has two parts:

- `rewrite(folder, spec)` brings the folder of one index to the format of the step and ends with one commit that says
  so. It is called again for a folder in which it was killed. Processes of the older format may be at work in the folder
  and must be made to notice: as in a compaction, by a new generation whose records.sqlite has the new format, which
  they refuse by name when they go on there.
- `change(sql, folder)` changes the catalog, in the write transaction in which no index can be made.

Steps that only change the catalog take moments: opening a store for writing takes them by itself. Opening it read-only
takes none and reads the format that it finds. What a process of an older version has open it can go on reading; its
writes to the catalog are refused (see `ragvec.engine.local.catalog_rows` and `LocalCatalog`).
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

import msgspec

from ragvec.engine.local.catalog_checks import catalog_problems
from ragvec.engine.local.generations import newest
from ragvec.engine.local.layout import APPLICATION_ID, GenerationFolder, StoreFolder, generations
from ragvec.engine.local.lease import BuildLease
from ragvec.engine.local.migrate_to_2 import migrate_to_2
from ragvec.engine.local.sqlite import Database
from ragvec.engine.protocol import IndexSpec
from ragvec.errors import Corrupted, NotAStore, StoreError, StoreTooNew

__all__ = ["STEPS", "Migration", "MigrationStep", "index_format", "migrate", "migrate_on_opening", "pending_migration"]

LOCK_FILE = "migrate.lock"
"""Locked by whoever rewrites folders; it stays, empty."""

_PAUSE = 0.05
_NAMED = 3
_log = logging.getLogger("ragvec.store")
Progress: TypeAlias = Callable[[int, int], object]
_decode_spec = msgspec.json.Decoder(IndexSpec).decode


class MigrationStep(NamedTuple):
    """The step to the format `version` from the one before, and what it does in words."""

    version: int
    summary: str
    change: Callable[[sqlite3.Connection, StoreFolder], None]
    rewrite: Callable[[Path, IndexSpec], None] | None = None


class Migration(msgspec.Struct, frozen=True):
    """What was done, or is to be: from which format to which, by which `steps` in words, and how many folders of
    indexes were rewritten."""

    store: str
    from_format: int
    to_format: int
    steps: tuple[str, ...]
    rewritten: int = 0

    def __bool__(self) -> bool:
        return bool(self.steps)


STEPS: tuple[MigrationStep, ...] = (
    MigrationStep(
        2,
        "checksums of the rows of catalog.sqlite, an id and a token key of the store, an index.json for every index",
        migrate_to_2,
    ),
)


def migrate(path: str | Path, *, progress: Progress | None = None, steps: Sequence[MigrationStep] = STEPS) -> Migration:
    """Bring the store at `path` to the format after the last of the `steps` and return what was done; nothing when it
    has that format already. Other processes may use the store meanwhile.

    While folders are rewritten, `progress` is told after each how many have the format of the step and how many there
    are.

    Raises:
        NotAStore, StoreTooNew: see those. Corrupted: what would be changed is damaged; nothing was changed, and `ragvec
        verify` tells more. StoreReadOnly, StoreFull, StoreBusy, StoreError: it has the format that it had, or one
        between, and can be migrated further.
    """
    folder = _existing(path)
    folder.prepare(read_only=False)  # refuses a backup
    database = Database(folder.catalog)
    try:
        return _migrated(database, folder, steps, progress=progress)
    finally:
        database.close()


def pending_migration(path: str | Path, *, steps: Sequence[MigrationStep] = STEPS) -> Migration:
    """What `migrate` would do with the store at `path`, which is only read. Raises NotAStore, StoreTooNew."""
    folder = _existing(path)
    database = Database(folder.catalog, read_only=True)
    try:
        with database.read() as sql:
            version = _version(sql, folder, steps)
    finally:
        database.close()
    due = tuple(step.summary for step in steps if step.version > version)
    return Migration(str(folder.path), version, version if not due else steps[-1].version, due)


def migrate_on_opening(database: Database, folder: StoreFolder, *, steps: Sequence[MigrationStep] = STEPS) -> None:
    """Take the steps that are due, if they are quick.

    Raises:
        StoreError: one of them rewrites folders, which only `migrate` does. The others as `migrate`.
    """
    with database.read() as sql:
        version = _version(sql, folder, steps)
    slow = [step for step in steps if step.version > version and step.rewrite is not None]
    if slow:
        raise StoreError(
            f"The store at `{folder.path}` has format {version}, and bringing it to format {steps[-1].version} takes a "
            "while: run `ragvec migrate`, or open it read-only",
            store=str(folder.path),
        )
    done = _migrated(database, folder, steps, progress=None)
    if done:
        _log.info("The store at `%s` was migrated from format %d to %d", done.store, done.from_format, done.to_format)


def index_format(index: Path) -> int:
    """The format since which the current generation in the folder of an index is as it is: `user_version` of its
    records.sqlite, in which 0 stands for 1. Raises StoreError."""
    number = newest(index, read_only=True)
    database = Database(GenerationFolder(index, number).records, read_only=True)
    try:
        with database.read() as sql:
            (version,) = sql.execute("PRAGMA user_version").fetchone()
    finally:
        database.close()
    return int(version) or 1


def _existing(path: str | Path) -> StoreFolder:
    """The folder of the store at `path`, which must hold one. Raises NotAStore."""
    folder = StoreFolder(Path(path).absolute())
    if not folder.prepare(read_only=True):
        raise NotAStore(f"There is no store at `{folder.path}`", store=str(folder.path))
    looking = Database(folder.catalog, read_only=True)
    try:
        with looking.read() as sql:
            (application,) = sql.execute("PRAGMA application_id").fetchone()
    finally:
        looking.close()
    if application != APPLICATION_ID:
        raise NotAStore(f"`{folder.catalog}` is not a ragvec catalog", store=str(folder.path))
    return folder


def _version(sql: sqlite3.Connection, folder: StoreFolder, steps: Sequence[MigrationStep]) -> int:
    (version,) = sql.execute("PRAGMA user_version").fetchone()
    latest = steps[-1].version
    if version > latest:
        raise StoreTooNew(
            f"The store at `{folder.path}` has format {version}, this ragvec knows formats up to {latest}; "
            "upgrade ragvec",
            store=str(folder.path),
        )
    return int(version)


def _migrated(
    database: Database, folder: StoreFolder, steps: Sequence[MigrationStep], *, progress: Progress | None
) -> Migration:
    with database.read() as sql:
        before = version = _version(sql, folder, steps)
    done: list[str] = []
    rewritten = 0
    for step in steps:
        if step.version <= version:
            continue
        if step.rewrite is None:
            taken = _change(database, folder, step, steps)
        else:
            taken, count = _rewrite_and_change(database, folder, step, steps, progress=progress)
            rewritten += count
        if taken:
            done.append(step.summary)
    with database.read() as sql:
        version = _version(sql, folder, steps)
    return Migration(str(folder.path), before, version, tuple(done), rewritten)


def _change(database: Database, folder: StoreFolder, step: MigrationStep, steps: Sequence[MigrationStep]) -> bool:
    """Take a step's change of the catalog; False when another process has, or folders are left to rewrite."""
    with database.write() as sql:
        if _version(sql, folder, steps) >= step.version:
            return False
        if step.rewrite is not None and _left(folder, step, _specs(sql)):
            return False
        _require_sound(sql, folder)
        step.change(sql, folder)
        sql.execute(f"PRAGMA user_version = {step.version}")
    return True


def _rewrite_and_change(
    database: Database,
    folder: StoreFolder,
    step: MigrationStep,
    steps: Sequence[MigrationStep],
    *,
    progress: Progress | None,
) -> tuple[bool, int]:
    """Rewrite folders and take the step; whether this process took it, and how many folders it rewrote."""
    lease = BuildLease(folder.path / LOCK_FILE)
    count = 0
    while True:
        with lease.try_acquire() as held:
            while held:
                with database.read() as sql:
                    if _version(sql, folder, steps) >= step.version:
                        return False, count
                    _require_sound(sql, folder)
                    specs = _specs(sql)
                left = _left(folder, step, specs)
                for done, spec in enumerate(left, len(specs) - len(left) + 1):
                    count += _rewrite(database, folder, step, spec)
                    if progress is not None:
                        progress(done, len(specs))
                if _change(database, folder, step, steps):
                    return True, count
        time.sleep(_PAUSE)  # another process is at it


def _rewrite(database: Database, folder: StoreFolder, step: MigrationStep, spec: IndexSpec) -> bool:
    """Rewrite the folder of one index; False when it was deleted meanwhile."""
    assert step.rewrite is not None
    try:
        step.rewrite(folder.index(spec.uid), spec)
    except (StoreError, OSError, sqlite3.Error):
        with database.read() as sql:
            if spec.uid in {other.uid for other in _specs(sql)}:
                raise
        return False
    return True


def _left(folder: StoreFolder, step: MigrationStep, specs: Iterable[IndexSpec]) -> list[IndexSpec]:
    """The indexes that have files, not yet of the step's format."""
    return [
        spec
        for spec in specs
        if generations(folder.index(spec.uid)) and index_format(folder.index(spec.uid)) < step.version
    ]


def _specs(sql: sqlite3.Connection) -> list[IndexSpec]:
    return [_decode_spec(spec) for (spec,) in sql.execute("SELECT spec FROM indexes ORDER BY uid")]


def _require_sound(sql: sqlite3.Connection, folder: StoreFolder) -> None:
    """Refuse a catalog that is damaged. Raises Corrupted."""
    problems = [str(problem) for problem in catalog_problems(sql)]
    if not problems:
        problems = [text for (text,) in sql.execute("PRAGMA quick_check") if text != "ok"]
    if problems:
        more = f" and {len(problems) - _NAMED} more" if len(problems) > _NAMED else ""
        raise Corrupted(
            f"`{folder.catalog}` is damaged, so its format was not changed: {'; '.join(problems[:_NAMED])}{more}. "
            "Open the store read-only, or see `ragvec verify` and `ragvec repair`",
            store=str(folder.path),
        )
