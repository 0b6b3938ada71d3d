"""Looking through a whole store for damage, read-only, beside whoever is reading and writing it.

Each index is looked at as of one moment. A store that cannot be opened can be looked through all the same. Fast checks
take about as long as reading records.sqlite, deep ones as long as reading everything and indexing the metadata anew.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple, TypeAlias

import msgspec

from ragvec.engine.local.catalog_checks import catalog_problems
from ragvec.engine.local.cursors import check_kept
from ragvec.engine.local.generations import is_retired
from ragvec.engine.local.identity import IDENTITY_FILE, read_identity, same_index
from ragvec.engine.local.layout import (
    APPLICATION_ID,
    DROPPING_FILE,
    FORMAT,
    GenerationFolder,
    StoreFolder,
    generations,
    is_uid,
)
from ragvec.engine.local.readable import state_of
from ragvec.engine.local.records import owner_mark
from ragvec.engine.local.sqlite import Database
from ragvec.engine.local.verification import CheckedIndex, Problem, Severity, Verification
from ragvec.engine.local.verify_derived import Listed, check_postings, check_segments, check_texts, reason
from ragvec.engine.local.verify_records import Report, check_database, check_records
from ragvec.engine.local.wal import BrokenLog, broken_log
from ragvec.engine.protocol import IndexSpec
from ragvec.errors import NotAStore, StoreError, StoreTooNew

__all__ = ["Progress", "current_generation", "known_indexes", "verify"]

Progress: TypeAlias = Callable[[int, int], object]
"""Told how many bytes are done, of how many; about."""

_ORDER: dict[Severity, int] = {"primary": 0, "derived": 1, "losable": 2}
_ATTEMPTS = 5
_YOUNG_SECONDS = 60.0
"""An index without files may be one that is being made, for so long."""

_WITH_IDENTITY = 2
"""The format from which on every index has its index.json."""

_SALVAGE_CATALOG = "makes it again from what can be read of it and what the indexes tell of themselves"
_PUT_BACK = "puts it where it belongs if that is there, and else saves what other files tell"
_decode_spec = msgspec.json.Decoder(IndexSpec).decode


def verify(path: str | Path, *, deep: bool = False, progress: Progress | None = None) -> Verification:
    """Look for damage in the store at `path`; nothing is changed.

    Fast: whether the structures of all files are whole, and agree with each other in numbers. `deep`: also every row
    against its checksum, every byte of what is derived against its checksums, and whether posting lists and segments
    say what the records say. What writers, builds, merges and deletes under way do is no problem. No thread of this
    process forks meanwhile.

    Raises:
        NotAStore: there is no store. StoreTooNew: a newer ragvec wrote it.
    """
    folder = StoreFolder(Path(path).absolute())
    if not folder.catalog.exists() and not folder.indexes.is_dir():
        raise NotAStore(f"There is no store at `{path}`: it has neither catalog.sqlite nor indexes", store=str(path))
    return _Verify(folder, str(path), deep=deep, progress=progress).run()


class _Known(NamedTuple):
    """What the catalog tells: its format, and the spec of each index by uid; `readable` as far as that is whole."""

    format: int | None
    specs: dict[str, IndexSpec]
    readable: bool


def known_indexes(folder: StoreFolder) -> _Known:
    """What can be read of the catalog. Raises StoreTooNew."""
    specs: dict[str, IndexSpec] = {}
    version, whole = None, True
    try:
        with _reading(folder.catalog) as sql:
            (version,) = sql.execute("PRAGMA user_version").fetchone()
            for uid, spec in sql.execute("SELECT uid, spec FROM indexes ORDER BY uid"):
                try:
                    found = _decode_spec(spec)
                except (msgspec.MsgspecError, UnicodeDecodeError, TypeError):
                    whole = False
                    continue
                if found.uid == uid and is_uid(uid):
                    specs[uid] = found
    except (StoreError, sqlite3.Error):
        return _Known(version, specs, readable=False)
    if version > FORMAT:
        raise StoreTooNew(
            f"The store at `{folder.path}` has format {version}, this ragvec knows formats up to {FORMAT}; upgrade "
            "ragvec",
            store=str(folder.path),
        )
    return _Known(version, specs, readable=whole and version > 0)


def current_generation(index: Path) -> int | None:
    """The number of the generation that counts, also where files that would tell are damaged; None without any."""
    numbers = generations(index)
    if len(numbers) < 2:
        return numbers[0] if numbers else None
    if is_retired(index, numbers[-2]):
        return numbers[-1]
    try:
        with _reading(GenerationFolder(index, numbers[-2]).records) as sql:
            state = state_of(sql)
    except (StoreError, sqlite3.Error):
        return numbers[-2]
    return numbers[-1] if state is not None and state[2] is not None else numbers[-2]


class _Verify:
    """One look through a store."""

    def __init__(self, folder: StoreFolder, path: str, *, deep: bool, progress: Progress | None) -> None:
        self._folder, self._path, self._deep, self._progress = folder, path, deep, progress
        self._problems: list[Problem] = []
        self._indexes: list[CheckedIndex] = []
        self._done = 0
        self._total = 0
        self._started = time.monotonic()

    def run(self) -> Verification:
        listed = self._folders()
        broken = self._broken_logs(listed)
        self._total = _bytes_below(self._folder.path) if self._progress is not None else 0
        known = known_indexes(self._folder)
        self._catalog()
        specs = dict(known.specs)
        for uid in listed:
            if uid not in specs and (spec := self._described(uid)) is not None and not known.readable:
                specs[uid] = spec
        for uid, spec in specs.items():
            self._index(uid, spec, format_=known.format)
        self._logs(broken, specs)
        self._strangers(listed, specs, readable=known.readable)
        self._advance(max(0, self._total - self._done))
        self._problems.sort(key=lambda problem: (_ORDER[problem.severity], problem.file, problem.row or 0))
        return Verification(
            path=self._path,
            deep=self._deep,
            format=known.format,
            indexes=tuple(sorted(self._indexes, key=lambda index: (index.bucket, index.index))),
            problems=tuple(self._problems),
            bytes=self._done,
            seconds=time.monotonic() - self._started,
        )

    def _broken_logs(self, listed: list[str]) -> dict[Path, BrokenLog]:
        """What a crash left and was damaged since; the first to open an SQLite file drops what is behind the damage."""
        files = [self._folder.catalog]
        for uid in listed:
            index = self._folder.indexes / uid
            files += [GenerationFolder(index, number).records for number in generations(index)]
        found = {}
        for file in files:
            log = file.with_name(f"{file.name}-wal")
            try:
                broken = broken_log(log)
            except OSError:
                continue  # what cannot be read is told of the file that it belongs to
            if broken is not None:
                found[log] = broken
        return found

    def _logs(self, broken: dict[Path, BrokenLog], specs: dict[str, IndexSpec]) -> None:
        for log, (byte, commits) in broken.items():
            place = log.relative_to(self._folder.path).as_posix()
            spec = specs.get(log.parent.parent.name)
            report = Report(bucket=spec.bucket, index=spec.name) if spec is not None else Report()
            what = f"it is damaged, and the {commits} latest commits in it are lost with the first use of the store"
            report.add("primary", place, what, remedy="goes on without them", byte=byte)
            self._problems += report.problems

    def _advance(self, count: int) -> None:
        self._done += count
        if self._progress is not None:
            self._total = max(self._total, self._done)
            self._progress(self._done, self._total)

    def _folders(self) -> list[str]:
        try:
            return sorted(entry.name for entry in self._folder.indexes.iterdir() if entry.is_dir())
        except OSError:
            return []

    # -- the catalog -----------------------------------------------------------------------------------------------

    def _catalog(self) -> None:
        report = Report()
        try:
            with _reading(self._folder.catalog) as sql:
                (application,) = sql.execute("PRAGMA application_id").fetchone()
                (version,) = sql.execute("PRAGMA user_version").fetchone()
                if application != APPLICATION_ID or not version:
                    what = f"it is not a catalog: its application_id is {application:#x} and its format {version}"
                    report.add("primary", "catalog.sqlite", what, remedy=_SALVAGE_CATALOG)
                elif check_database(sql, "catalog.sqlite", report, deep=self._deep, remedy=_SALVAGE_CATALOG):
                    for problem in catalog_problems(sql):
                        report.add("primary", "catalog.sqlite", str(problem), remedy=_SALVAGE_CATALOG)
        except (StoreError, sqlite3.Error) as error:
            what = reason(error) if self._folder.catalog.exists() else "it is missing"
            report.add("primary", "catalog.sqlite", what, remedy=_SALVAGE_CATALOG)
        self._problems += report.problems

    def _described(self, uid: str) -> IndexSpec | None:
        try:
            return read_identity(self._folder.index(uid)) if is_uid(uid) else None
        except StoreError:
            return None

    def _strangers(self, listed: list[str], specs: dict[str, IndexSpec], *, readable: bool) -> None:
        """Folders that no index has; by now those under way have come or gone."""
        known = known_indexes(self._folder)
        for uid in listed:
            folder = self._folder.indexes / uid
            if uid in specs or uid in known.specs or not folder.is_dir() or (folder / DROPPING_FILE).exists():
                continue
            if not (folder / IDENTITY_FILE).exists() and readable:
                continue  # left by a process that died while it dropped the index; removed at the next opening
            spec = self._described(uid)
            report = Report(bucket=spec.bucket, index=spec.name) if spec is not None else Report()
            report.add(
                "primary",
                f"indexes/{uid}",
                "the catalog does not know this index",
                remedy="takes it into the catalog" if spec is not None else "leaves it, since nothing tells what it is",
            )
            self._problems += report.problems

    # -- an index --------------------------------------------------------------------------------------------------

    def _index(self, uid: str, spec: IndexSpec, *, format_: int | None) -> None:
        for attempt in range(_ATTEMPTS):
            report = Report(bucket=spec.bucket, index=spec.name)
            before = generations(self._folder.index(uid))
            checked = self._look(uid, spec, report, format_=format_)
            if not report.problems:
                break
            # Compacted, or deleted, meanwhile?
            known = known_indexes(self._folder)
            if known.readable and uid not in known.specs:
                return
            if generations(self._folder.index(uid)) == before or attempt == _ATTEMPTS - 1:
                break
        if checked is not None:
            self._indexes.append(checked)
        self._problems += report.problems

    def _look(self, uid: str, spec: IndexSpec, report: Report, *, format_: int | None) -> CheckedIndex | None:
        index, where = self._folder.index(uid), f"indexes/{uid}"
        current = current_generation(index)
        if current is None:
            if time.time() - spec.created > _YOUNG_SECONDS or index.is_dir():
                report.add("primary", where, "its files are missing", remedy="makes it again, empty")
            return None
        self._identity(index, where, spec, report, format_=format_)
        for number in generations(index):
            if number < current:
                older = Report(bucket=spec.bucket, index=spec.name, lesser=True)
                self._generation(index, number, f"{where}/g{number:06d}", spec, older)
                report.problems += older.problems
        return self._generation(index, current, f"{where}/g{current:06d}", spec, report, current=True)

    @staticmethod
    def _identity(index: Path, where: str, spec: IndexSpec, report: Report, *, format_: int | None) -> None:
        file = f"{where}/{IDENTITY_FILE}"
        try:
            described = read_identity(index)
        except StoreError as error:
            report.add("derived", file, reason(error), remedy="writes it again")
            return
        if described is None:
            # One that is being made gets it a moment later.
            if format_ is not None and format_ >= _WITH_IDENTITY and time.time() - spec.created > _YOUNG_SECONDS:
                report.add("derived", file, "it is missing", remedy="writes it again")
        elif not same_index(described, spec):
            what = f"it describes {described.bucket}/{described.name}, uid {described.uid}"
            report.add(
                "derived", file, what, remedy="writes it again, or puts folders that were swapped in their places"
            )

    def _generation(
        self, index: Path, number: int, where: str, spec: IndexSpec, report: Report, *, current: bool = False
    ) -> CheckedIndex | None:
        folder = GenerationFolder(index, number)
        found = Listed(folder, non_filterable=spec.non_filterable) if current else None
        checked = None
        try:
            with _reading(folder.records) as sql:
                (owner,) = sql.execute("PRAGMA application_id").fetchone()
                if owner not in (0, owner_mark(spec.uid, number)):
                    what = "it belongs to another index, or to another generation of this one"
                    report.add("primary", f"{where}/records.sqlite", what, remedy=_PUT_BACK)
                    return None
                checked = check_records(
                    sql, folder, where, report, dimension=spec.dimension, deep=self._deep, progress=self._advance
                )
                if checked is not None and found is not None:
                    if checked.successor is not None:
                        what = f"it says that generation {checked.successor} took its place, and there is none"
                        report.add(
                            "primary", f"{where}/records.sqlite", what, remedy="writes a new generation of its rows"
                        )
                    for check in (check_postings, check_texts, check_segments):
                        check(
                            sql,
                            found,
                            folder,
                            where,
                            report,
                            spec=spec,
                            checked=checked,
                            deep=self._deep,
                            progress=self._advance,
                        )
        except (StoreError, sqlite3.Error) as error:
            what = reason(error) if folder.records.exists() else "it is missing"
            remedy = "saves what segments and vectors.f32 tell, in a new generation"
            report.add("primary", f"{where}/records.sqlite", what, remedy=remedy)
        self._small(folder, where, report)
        if checked is None or found is None:
            return None
        return CheckedIndex(
            bucket=spec.bucket,
            index=spec.name,
            uid=spec.uid,
            generation=number,
            sequence=checked.sequence,
            rows=checked.rows,
            vectors=checked.live,
            segments=len(found.segments),
            postings=len(found.runs),
        )

    def _small(self, folder: GenerationFolder, where: str, report: Report) -> None:
        """What may be lost."""
        wrong = check_kept(folder.cursors, deep=self._deep) if folder.cursors.exists() else None
        if wrong is not None and folder.cursors.exists():
            report.add("losable", f"{where}/cursors.sqlite", wrong, remedy="moves it to lost+found")


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A read transaction on a file that may be damaged; raises StoreError, also of errors within the block."""
    with closing(Database(path, read_only=True)) as database, database.read() as sql:
        yield sql


def _bytes_below(path: Path) -> int:
    total = 0
    for entry in path.rglob("*"):
        try:
            total += entry.stat().st_size if entry.is_file() else 0
        except OSError:
            continue
    return total
