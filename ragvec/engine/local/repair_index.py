"""Repairing one index: its good rows are written into a new generation, and what is derived and damaged is put away.

Nothing is written into a damaged file but, where that is possible, the number of the generation that takes its place,
so that whoever has it open goes on there.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import msgspec
import numpy as np

from ragvec.engine.local.generations import remove
from ragvec.engine.local.layout import GenerationFolder, generations, sync_folder
from ragvec.engine.local.lease import BuildLease
from ragvec.engine.local.lost_found import LostFound
from ragvec.engine.local.marks import ChangeMark
from ragvec.engine.local.records import Records, owner_mark, slot_of
from ragvec.engine.local.salvage import Salvage, SavedRow
from ragvec.engine.local.sqlite import store_error
from ragvec.engine.local.vectors import VectorFile
from ragvec.engine.protocol import IndexSpec
from ragvec.errors import StoreBusy

__all__ = ["LostRow", "Rewritten", "locked", "put_away", "rewrite", "write_locked"]

_WAIT_SECONDS = 10.0
_CHUNK = 4096
_log = logging.getLogger("ragvec.store")


class Rewritten(NamedTuple):
    """What became of the rows of a generation: those `lost`; the keys of those that no checksum confirms; and of those
    that may have been deleted before, which nothing tells."""

    lost: list[LostRow]
    unchecked: list[str]
    unsure: list[str]


class LostRow(msgspec.Struct, frozen=True):
    """A row that could not be saved; its key is None where nothing tells it."""

    bucket: str
    index: str
    row: int
    key: str | None
    reason: str


@contextmanager
def locked(folder: GenerationFolder) -> Iterator[sqlite3.Connection | None]:
    """Within the block nobody else writes to the generation or builds in it; gives the connection whose write
    transaction sees to that, None where records.sqlite cannot be used.

    Raises:
        StoreBusy: somebody is at work there. StoreReadOnly, StoreError: the folder cannot be written.
    """
    with ExitStack() as held:
        try:
            folder.segments.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise store_error(error, folder.segments) from error
        for name in ("build.lock", "merge.lock"):
            if not held.enter_context(BuildLease(folder.segments / name).try_acquire()):
                raise StoreBusy(
                    f"Another process is building in `{folder.path}`: wait for it or close the store there, then "
                    "repair again; nothing was changed there",
                    store=str(folder.path),
                )
        yield held.enter_context(write_locked(folder.records))


@contextmanager
def write_locked(path: Path) -> Iterator[sqlite3.Connection | None]:
    """Within the block nobody else writes to the SQLite file; gives the connection whose write transaction sees to
    that, None where the file cannot be used. Raises StoreBusy."""
    if not path.is_file():
        yield None
        return
    uri = f"file:{quote(str(path.resolve()))}?mode=rw"
    with closing(sqlite3.connect(uri, uri=True, timeout=_WAIT_SECONDS, isolation_level=None)) as sql:
        try:
            sql.execute("PRAGMA synchronous=FULL")
            sql.execute("BEGIN IMMEDIATE")
            sql.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.Error as error:
            known = store_error(error, path)
            if isinstance(known, StoreBusy):
                raise StoreBusy(
                    f"Another process is writing to `{path}`: close the store there, then repair again; nothing was "
                    "changed there",
                    store=str(path),
                ) from error
            yield None
            return
        yield sql


def rewrite(
    index: Path, spec: IndexSpec, number: int, kept: LostFound, *, progress: Callable[[int], object]
) -> Rewritten:
    """Write the good rows of generation `number` into a new one, which takes its place; the old one is kept, and so is
    what can be read of each damaged row.

    Raises:
        StoreBusy: somebody is writing or building there. StoreFull, StoreReadOnly, StoreError: everything is as it was.
    """
    old = GenerationFolder(index, number)
    new = GenerationFolder(index, max(generations(index)) + 1)
    with locked(old) as sql:
        salvage = Salvage(sql, old, dimension=spec.dimension, owner=owner_mark(spec.uid, number))
        places, lost, unsure = _plan(salvage)
        try:
            new.path.mkdir()
        except OSError as error:
            raise store_error(error, new.path) from error
        try:
            unchecked = _write(salvage, new, set(places.values()), spec=spec, progress=progress)
            sync_folder(new.path)
            sync_folder(index)
        except BaseException:
            remove(index, new.generation)
            raise
        for saved in lost:
            kept.keep_row(
                spec.uid,
                row=saved.row,
                key=saved.key,
                reason=saved.fault or "",
                metadata=saved.metadata,
                vector=saved.vector,
            )
        _succeed(sql, old, new.generation)
    for before in generations(index):
        if before < new.generation:
            kept.move(GenerationFolder(index, before).path)
    named = [LostRow(spec.bucket, spec.name, saved.row, saved.key, saved.fault or "") for saved in lost]
    return Rewritten(named, unchecked, unsure)


def put_away(folder: GenerationFolder, files: list[Path], kept: LostFound) -> None:
    """Take derived files of a generation away. Raises StoreBusy, StoreError."""
    with locked(folder):
        for path in files:
            kept.move(path)


def _plan(salvage: Salvage) -> tuple[dict[str, int], list[SavedRow], list[str]]:
    """The row to write of each key, the rows that are damaged and whose key no later row has, and the keys to write of
    which nothing tells whether they were deleted."""
    places: dict[str, int] = {}
    unsure: dict[str, int] = {}
    lost: list[SavedRow] = []
    for saved, lives in salvage.saved():
        if lives is False:
            continue
        if saved.fault is not None or saved.key is None:
            lost.append(saved)
            continue
        places[saved.key] = saved.row
        if lives is None:
            unsure[saved.key] = saved.row
    lost = [saved for saved in lost if places.get(saved.key or "", -1) < saved.row]
    return places, lost, [key for key, row in unsure.items() if places[key] == row]


def _write(
    salvage: Salvage, new: GenerationFolder, rows: set[int], *, spec: IndexSpec, progress: Callable[[int], object]
) -> list[str]:
    unchecked: list[str] = []
    vectors = VectorFile(new.vectors, dimension=spec.dimension)
    count = 0
    chosen = (saved for saved, _ in salvage.saved() if saved.row in rows)
    with (
        closing(Records(new.records, read_only=False, owner=owner_mark(spec.uid, new.generation))) as records,
        vectors.appending(0) as file,
        records.writing() as sql,
    ):
        while batch := list(islice(chosen, _CHUNK)):
            raw = b"".join(saved.vector for saved in batch if saved.vector is not None)
            file.append(np.frombuffer(raw, dtype="<f4").reshape(len(batch), spec.dimension))
            records.insert(sql, (_columns(saved, row) for row, saved in enumerate(batch, start=count)))
            unchecked += [saved.key or "" for saved in batch if not saved.checked]
            count += len(batch)
            progress(len(raw))
        file.sync()
        records.set_state(sql, sequence=salvage.sequence + 1, rows=count)
    return unchecked


def _columns(saved: SavedRow, row: int) -> tuple[int, str, int, bytes | None, int]:
    key = saved.key or ""
    return row, key, slot_of(key.encode()), saved.metadata, saved.checksum


def _succeed(sql: sqlite3.Connection | None, old: GenerationFolder, number: int) -> None:
    """Tell whoever has the old generation open where to go on, if it can still be told."""
    if sql is None:
        return
    mark = ChangeMark(old.records.with_suffix(".mark"), read_only=False)
    with suppress(OSError):
        value, _ = mark.begin()
        try:
            Records.set_successor(sql, number)
            sql.execute("COMMIT")
        except sqlite3.Error as error:
            _log.debug("`%s` does not tell its successor: %s", old.records, error)
        else:
            mark.ended(value)
    mark.close()
