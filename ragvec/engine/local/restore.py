"""Restoring a backup: every byte is compared with backup.json before anything has its name.

A whole backup becomes a store at a new place, or takes the place of a store that is kept beside it. A single index
becomes an index of a store in use: its files are put into place and its row is entered in one transaction of the
catalog, so that a crash leaves it whole or not there.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import msgspec

from ragvec.engine.local.backup_files import Manifest, Progress, copy_file, read_manifest, sync_tree, unfinished
from ragvec.engine.local.layout import GenerationFolder, StoreFolder
from ragvec.engine.local.records import Records
from ragvec.engine.local.sqlite import store_error
from ragvec.engine.local.verification import Problem
from ragvec.engine.local.verify import verify
from ragvec.errors import Corrupted, InvalidRequest, NotAStore

__all__ = ["Restore", "checked_copy", "restore"]

_SHOWN = 10


class Restore(msgspec.Struct, frozen=True):
    """What was restored: the `indexes`, as bucket/name, in `files` files of `bytes` bytes. `created` is the moment that
    the backup shows, in epoch seconds; `kept` is where the store that was there before is now.

    `problems` are what a deep `verify` finds in the restored store: damage that the store had when it was backed up.
    """

    path: str
    source: str
    created: float
    indexes: tuple[str, ...]
    files: int
    bytes: int
    kept: str | None = None
    problems: tuple[Problem, ...] = ()


def restore(
    source: str | Path,
    path: str | Path,
    *,
    replace: bool = False,
    index: str | None = None,
    name: str | None = None,
    progress: Progress | None = None,
) -> Restore:
    """Restore the backup in the folder `source` as a store at `path`, absent or empty; durable on return.

    With `replace` the store that is at `path` is kept beside it, under the name that `kept` tells; no process should
    have it open. With `index`, "bucket/name", that index alone is restored, into the store at `path`, which may be in
    use, under its name or the `name` given, "bucket/name", which must be free; its bucket is made where it is absent.

    Raises:
        NotAStore: `source` is no backup, or what is at `path` is no store. Corrupted: files of the backup are missing
        or damaged, all of which are named. InvalidRequest: `path` is not empty. IndexNotFound, IndexExists: see
        `index`. StoreTooNew, StoreFull, StoreReadOnly, StoreError: see those. Nothing was changed.
    """
    origin, goal = Path(source).absolute(), Path(path).absolute()
    manifest = read_manifest(origin)
    if index is not None:
        from ragvec.engine.local.restore_index import restore_index

        if replace:
            raise InvalidRequest(
                "Expected `replace` without `index`: an index is restored beside others", path="replace"
            )
        return restore_index(origin, goal, manifest, index=index, name=name or index, progress=progress)
    if name is not None:
        raise InvalidRequest("Expected `name` with `index` only", path="name")
    present, kept = _check_place(goal, replace=replace), None
    try:
        with unfinished(goal) as work:
            checked_copy(origin, work, manifest, names=list(manifest.files), progress=progress, last="catalog.sqlite")
            _check_store(work, manifest)
            problems = verify(work, deep=True).problems
            sync_tree(work)
            kept = _set_aside(goal) if present else None
    except BaseException:
        if kept is not None and not goal.exists():
            kept.rename(goal)
        raise
    return Restore(
        path=str(goal),
        source=str(origin),
        created=manifest.created,
        indexes=tuple(f"{one.bucket}/{one.name}" for one in manifest.indexes),
        files=len(manifest.files),
        bytes=manifest.bytes,
        kept=None if kept is None else str(kept),
        problems=problems,
    )


def checked_copy(
    source: Path, target: Path, manifest: Manifest, *, names: list[str], progress: Progress | None, last: str = ""
) -> None:
    """Copy these files of the backup `source` into the folder `target`, durably, `last` after all others.

    Raises:
        Corrupted: some are missing or not as backup.json has them; all such files are named.
    """
    total, done = sum(manifest.files[name][0] for name in names), 0

    def told(count: int) -> None:
        nonlocal done
        done += count
        if progress is not None:
            progress(done, total)

    damaged = []
    for name in sorted(names, key=lambda name: (name == last, name)):
        goal = target / name
        goal.parent.mkdir(parents=True, exist_ok=True)
        try:
            handle = os.open(source / name, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        except FileNotFoundError:
            damaged.append(f"`{name}` is missing")
            continue
        try:
            found = copy_file(handle, goal, told=told)
        finally:
            os.close(handle)
        if found != manifest.files[name]:
            size = manifest.files[name][0]
            what = f"has {found[0]} bytes instead of {size}" if found[0] != size else "has another SHA-256"
            damaged.append(f"`{name}` {what}")
    if damaged:
        more = f" and {len(damaged) - _SHOWN} more" if len(damaged) > _SHOWN else ""
        raise Corrupted(
            f"The backup `{source}` is damaged, nothing was restored: {'; '.join(damaged[:_SHOWN])}{more}",
            store=str(source),
        )


def _check_place(path: Path, *, replace: bool) -> bool:
    """Whether there is a store to set aside."""
    try:
        if not path.exists() or (path.is_dir() and not any(path.iterdir())):
            return False
    except OSError as error:
        raise store_error(error, path) from error
    if not replace:
        raise InvalidRequest(
            f"Expected a new or an empty folder to restore to, got `{path}`, which is there; with `replace` the store "
            "that is there is kept beside",
            path="path",
        )
    if not StoreFolder(path).catalog.is_file():
        raise NotAStore(
            f"`{path}` is not a ragvec store, and is left as it is: it has no catalog.sqlite", store=str(path)
        )
    return True


def _set_aside(path: Path) -> Path:
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    number, kept = 1, path.with_name(f"{path.name}.before-restore-{stamp}")
    while kept.exists():
        number += 1
        kept = path.with_name(f"{path.name}.before-restore-{stamp}-{number}")
    path.rename(kept)
    return kept


def _check_store(folder: Path, manifest: Manifest) -> None:
    """Whether what was copied is what backup.json says it is. Raises Corrupted, StoreTooNew."""
    from ragvec.engine.local.catalog import LocalCatalog

    catalog = LocalCatalog(StoreFolder(folder), read_only=True, on_create=lambda _: None, on_drop=lambda _: None)
    try:
        uids = catalog.uids()
    finally:
        catalog.close()
    if uids != {one.uid for one in manifest.indexes}:
        raise Corrupted("The catalog of the backup has other indexes than its backup.json", store=str(folder))
    for one in manifest.indexes:
        generation = GenerationFolder(folder / "indexes" / one.uid, one.generation)
        if not generation.path.is_dir():
            if one.rows:
                raise Corrupted(f"The backup has no files of index {one.bucket}/{one.name}", store=str(folder))
            continue
        records = Records(generation.records, read_only=True)
        try:
            state = records.state()
        finally:
            records.close()
        if (state.sequence, state.rows, state.successor) != (one.sequence, one.rows, None):
            raise Corrupted(
                f"Index {one.bucket}/{one.name} of the backup is at change {state.sequence} with {state.rows} rows, "
                f"and its backup.json says {one.sequence} and {one.rows}",
                store=str(folder),
            )
