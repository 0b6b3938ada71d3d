"""Files that have each other's places, as after a restore by hand, are put back.

Records tell by their application_id whose they are, and vectors by the checksums that the records keep.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing, suppress
from pathlib import Path

from ragvec.engine.local.columns import witnesses
from ragvec.engine.local.layout import GenerationFolder, StoreFolder, generations, sync_folder
from ragvec.engine.local.readable import VectorReader, fault_of, found_rows, state_of
from ragvec.engine.local.records import owner_mark
from ragvec.engine.local.sqlite import Database, store_error
from ragvec.engine.protocol import IndexSpec
from ragvec.errors import StoreError

__all__ = ["put_back"]

_MAGIC = b"SQLite format 3\x00"
_OWNER_AT = 68


def put_back(folder: StoreFolder, specs: Iterable[IndexSpec]) -> list[str]:
    """Exchange the files that have each other's places; returns what was done. Raises StoreError."""
    places = [
        (spec, GenerationFolder(index, number))
        for spec in specs
        for index in [folder.index(spec.uid)]
        for number in generations(index)
    ]
    return _records(places) + _vectors(places)


def _records(places: list[tuple[IndexSpec, GenerationFolder]]) -> list[str]:
    done = []
    home = {owner_mark(spec.uid, place.generation): (spec, place.records) for spec, place in places}
    for spec, place in places:
        for path in (place.records, place.cursors):
            owner = _owner(path)
            if owner not in home or home[owner][1] == path or _owner(home[owner][1]) == owner:
                continue
            other, target = home[owner]
            _exchange(path, target)
            done.append(
                f"{path.name} of {spec.bucket}/{spec.name} and {target.name} of {other.bucket}/{other.name} had each "
                "other's places"
            )
    return done


def _vectors(places: list[tuple[IndexSpec, GenerationFolder]]) -> list[str]:
    strange = [(spec, place) for spec, place in places if _is_own(place, place.vectors, spec.dimension) is False]
    done = []
    while strange:
        spec, place = strange.pop()
        for at, (other, there) in enumerate(strange):
            if other.dimension != spec.dimension or not _is_own(place, there.vectors, spec.dimension):
                continue
            _exchange(place.vectors, there.vectors)
            done.append(
                f"the vectors of {spec.bucket}/{spec.name} and {other.bucket}/{other.name} had each other's places"
            )
            if _is_own(there, there.vectors, other.dimension):
                del strange[at]
            break
    return done


def _owner(path: Path) -> int | None:
    """The application_id of an SQLite file; None where it is none."""
    try:
        with path.open("rb") as file:
            head = file.read(_OWNER_AT + 4)
    except OSError:
        return None
    if not head.startswith(_MAGIC) or len(head) < _OWNER_AT + 4:
        return None
    return int.from_bytes(head[_OWNER_AT:], "big")


def _is_own(place: GenerationFolder, vectors: Path, dimension: int) -> bool | None:
    """Whether most of some rows of the records match their checksums with these vectors; None where there are none to
    look at."""
    try:
        with closing(Database(place.records, read_only=True)) as database, database.read() as sql:
            state = state_of(sql)
            if state is None or not state[1]:
                return None
            with VectorReader(vectors, dimension=dimension) as reader:
                faults = [
                    fault_of(found, reader.row(row))
                    for row in witnesses(0, state[1])
                    for found in found_rows(sql, row, row + 1)
                ]
    except (StoreError, sqlite3.Error):
        return None
    return 2 * sum(fault is None for fault in faults) > len(faults)


def _exchange(one: Path, other: Path) -> None:
    """Let two files have each other's places, SQLite files with their logs."""
    between = one.with_name(one.name + ".exchanged")
    try:
        for side in ("", "-wal") if one.suffix == ".sqlite" else ("",):
            first, second = one.with_name(one.name + side), other.with_name(other.name + side)
            for source, target in ((first, between), (second, first), (between, second)):
                with suppress(FileNotFoundError):
                    source.rename(target)
        if one.suffix == ".sqlite":
            for path in (one, other):
                path.with_name(path.name + "-shm").unlink(missing_ok=True)
                path.with_suffix(".mark").unlink(missing_ok=True)
        for path in (one, other):
            sync_folder(path.parent)
    except OSError as error:
        raise store_error(error, one) from error
