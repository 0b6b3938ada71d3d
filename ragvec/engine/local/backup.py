"""Backing up a store while it is used: one moment of all its indexes, in a folder that is a store itself.

Every backup is complete: with `since`, files that an earlier backup has too are linked rather than copied, so they take
space once, and either backup may be removed without the other losing anything. That is why an index that was not
written to costs next to nothing, and why a backup is never written to afterwards: a store cannot be opened for writing
where there is a backup.json.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import msgspec

import ragvec
from ragvec.ann.sealed import CHECKSUMS
from ragvec.engine.local.backup_cut import Cut, PinnedIndex, store_cut
from ragvec.engine.local.backup_files import (
    BackedUpIndex,
    Manifest,
    Progress,
    copy_file,
    digest_of,
    link_file,
    read_manifest,
    sync_tree,
    unfinished,
    write_manifest,
)
from ragvec.engine.local.identity import IDENTITY_FILE, write_identity
from ragvec.engine.local.layout import GenerationFolder, StoreFolder
from ragvec.engine.local.records import Records
from ragvec.engine.local.sqlite import store_error
from ragvec.engine.protocol import IndexSpec
from ragvec.errors import BucketNotFound, IndexNotFound, InvalidRequest, StoreError

__all__ = ["Backup", "backup"]

_RANGE = re.compile(r"(\d{12})-(\d{12})(\.post|\.text)?")
_PAGES = 4096


class Backup(msgspec.Struct, frozen=True):
    """A finished backup: `bytes` in `files` files, of which `linked_bytes` are shared with the earlier one. `created`
    is in epoch seconds: the moment that it shows."""

    path: str
    source: str
    created: float
    indexes: tuple[BackedUpIndex, ...]
    files: int
    bytes: int
    linked_bytes: int


def backup(
    path: str | Path,
    target: str | Path,
    *,
    since: str | Path | None = None,
    bucket: str | None = None,
    index: str | None = None,
    progress: Progress | None = None,
) -> Backup:
    """Back up the store in the folder `path` to the folder `target`, absent or empty, while any process may use the
    store; durable on return.

    It shows one moment of the whole store, of one `bucket`, or of one `index`, "bucket/name". The folder is a store
    that can be opened read-only, with a backup.json that lists size and SHA-256 of every file. It gets its name when it
    is complete. Of the backup `since`, what is equal is linked. Kept result lists are left out, and so are segments and
    posting lists that the moment did not have yet: those are rebuilt.

    Raises:
        NotAStore: there is no store, or `since` is no backup. InvalidRequest: `target` is not empty, or in the store.
        BucketNotFound, IndexNotFound. StoreFull, StoreReadOnly, Corrupted, StoreBusy, StoreError: nothing is left at
        `target`.
    """
    folder, goal = StoreFolder(Path(path).absolute()), Path(target).absolute()
    earlier = None if since is None else _Earlier(Path(since).absolute())
    _check_target(goal, folder)
    with unfinished(goal) as work:
        return _Run(folder, work, goal, earlier=earlier, progress=progress).run(bucket=bucket, index=index)


def _check_target(target: Path, folder: StoreFolder) -> None:
    if target.resolve() == folder.path.resolve() or folder.path.resolve() in target.resolve().parents:
        raise InvalidRequest(f"Expected a folder outside the store, got `{target}`", path="target")
    try:
        if not target.exists() or (target.is_dir() and not any(target.iterdir())):
            return
    except OSError as error:
        raise store_error(error, target) from error
    what = "a folder that is not empty" if target.is_dir() else "a file"
    raise InvalidRequest(
        f"Expected a new or an empty folder for the backup, got {what}: `{target}`; a backup is never written over, "
        "name another folder, and this one as `since` if it is an earlier backup",
        path="target",
    )


class _Earlier:
    """An earlier backup, as a place to link from."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._files = read_manifest(path).files

    def size(self, name: str) -> int | None:
        """The size of a file, None where it has none of this name."""
        return self._files[name][0] if name in self._files else None

    def link(self, name: str, *, found: tuple[int, str], to: Path) -> bool:
        """Link its file of this name to `to`, if it is as `found`."""
        source = self._path / name
        if self._files.get(name) != found:
            return False
        with contextlib.suppress(FileNotFoundError):
            return source.stat().st_size == found[0] and link_file(source, to)
        return False


class _Run:
    def __init__(
        self, folder: StoreFolder, work: Path, goal: Path, *, earlier: _Earlier | None, progress: Progress | None
    ) -> None:
        self._folder = folder
        self._work = work
        self._goal = goal
        self._earlier = earlier
        self._progress = progress
        self._files: dict[str, tuple[int, str]] = {}
        self._linked = self._done = self._total = 0

    def run(self, *, bucket: str | None, index: str | None) -> Backup:
        with ExitStack() as opened:
            created, store_format, pinned = self._copied_cut(_Choice(bucket, index), opened)
            # From here on no connection is open: the store's log does not grow, and this process may fork.
            for one in pinned:
                self._copy_rest(one)
        (self._work / "catalog.part").rename(self._work / "catalog.sqlite")
        manifest = Manifest(
            ragvec=ragvec.__version__,
            created=created,
            source=str(self._folder.path),
            store_format=store_format,
            indexes=tuple(map(_entry, pinned)),
            files=dict(sorted(self._files.items())),
        )
        write_manifest(self._work, manifest)
        sync_tree(self._work)
        return Backup(
            path=str(self._goal),
            source=manifest.source,
            created=created,
            indexes=manifest.indexes,
            files=len(self._files),
            bytes=manifest.bytes,
            linked_bytes=self._linked,
        )

    def _copied_cut(self, chosen: _Choice, opened: ExitStack) -> tuple[float, int, list[PinnedIndex]]:
        """Copy what SQLite keeps; the vectors stay open in `opened`."""
        with store_cut(self._folder, chosen=chosen) as cut:
            created = time.time()
            chosen.check(cut)
            (store_format,) = cut.catalog.execute("PRAGMA user_version").fetchone()
            for pinned in cut.indexes:
                if pinned.vectors is not None:
                    pinned.vectors = os.dup(pinned.vectors)
                    opened.callback(os.close, pinned.vectors)
            self._total = sum(map(_expected_bytes, cut.indexes))
            # The catalog gets its name last: until then nothing here can be taken for a store.
            self._copy_catalog(cut, chosen)
            for pinned in cut.indexes:
                self._copy_databases(pinned)
            return created, int(store_format), cut.indexes

    def _copy_catalog(self, cut: Cut, chosen: _Choice) -> None:
        part = self._work / "catalog.part"
        _copy_database(cut.catalog, part)
        if chosen.is_partial:
            _keep_only(part, chosen, uids=[pinned.spec.uid for pinned in cut.indexes])
        self._files["catalog.sqlite"] = _synced(part)
        (self._work / "indexes").mkdir()

    def _copy_databases(self, pinned: PinnedIndex) -> None:
        folder = GenerationFolder(self._work / "indexes" / pinned.spec.uid, pinned.generation.generation)
        folder.path.mkdir(parents=True)
        identity = folder.path.parent / IDENTITY_FILE
        if pinned.records is None:  # entered in the catalog, and not made yet
            _make_empty(folder)
            write_identity(identity.parent, pinned.spec)
            self._keep(identity, _synced(identity))
        else:
            _copy_database(pinned.records, folder.records)
            with contextlib.suppress(FileNotFoundError):  # a store from before there was this file
                self._copy(pinned.folder / IDENTITY_FILE, identity)
        self._keep(folder.records, _synced(folder.records))
        self._tell(self._files[self._name(folder.records)][0])

    def _copy_rest(self, pinned: PinnedIndex) -> None:
        if pinned.vectors is None:
            return
        folder = GenerationFolder(self._work / "indexes" / pinned.spec.uid, pinned.generation.generation)
        size = 4 * pinned.spec.dimension * pinned.state.rows
        found = copy_file(pinned.vectors, folder.vectors, size=size, told=self._tell)
        if found[0] != size:
            raise StoreError(
                f"`{pinned.generation.vectors}` ended after {found[0]} bytes where it had {size}",
                store=str(self._folder.path),
            )
        self._keep(folder.vectors, found)
        for source in _derived(pinned.generation.postings, pinned.state.rows):
            self._copy_derived([source], source.parent, folder.postings)
        for field in _folders(pinned.generation.text):
            for source in _derived(field, pinned.state.rows):
                self._copy_derived([source], field, folder.text / field.name)
        for source in _derived(pinned.generation.segments, pinned.state.rows):
            self._copy_derived(_sealed_files(source), source, folder.segments / source.name)

    def _copy_derived(self, files: list[Path], source: Path, goal: Path) -> None:
        """Copy all or none of these files of the folder `source`: they may be superseded and go at any moment."""
        new = not goal.exists()
        goal.mkdir(parents=True, exist_ok=True)
        before, linked = dict(self._files), self._linked
        try:
            for file in files:
                self._copy(file, goal / file.relative_to(source))
        except FileNotFoundError:
            self._files, self._linked = before, linked
            if new:
                shutil.rmtree(goal)
                return
        if not any(goal.iterdir()):
            goal.rmdir()

    def _copy(self, source: Path, goal: Path) -> None:
        """Copy or link a file that does not change; FileNotFoundError when it is gone."""
        handle = os.open(source, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        try:
            self._keep(goal, copy_file(handle, goal, told=self._tell))
        finally:
            os.close(handle)

    def _keep(self, path: Path, found: tuple[int, str]) -> None:
        """Note a file that is there, or put a link to the equal one of the earlier backup in its place."""
        name = self._name(path)
        self._files[name] = found
        if self._earlier is not None and self._earlier.size(name) == found[0]:
            beside = path.with_name(path.name + ".link")
            if self._earlier.link(name, found=found, to=beside):
                beside.replace(path)
                self._linked += found[0]

    def _name(self, path: Path) -> str:
        return path.relative_to(self._work).as_posix()

    def _tell(self, count: int) -> None:
        self._done += count
        if self._progress is not None:
            self._total = max(self._total, self._done)
            self._progress(self._done, self._total)


class _Choice:
    """Which indexes are backed up: all, those of a bucket, or one."""

    def __init__(self, bucket: str | None, index: str | None) -> None:
        if bucket is not None and index is not None:
            raise InvalidRequest("Expected at most one of `bucket` and `index`", path="index")
        self.bucket, self.name = bucket, None
        if index is not None:
            self.bucket, slash, self.name = index.partition("/")
            if not (self.bucket and slash and self.name):
                raise InvalidRequest(f"Expected `index` as bucket/name, got {index!r}", path="index")

    @property
    def is_partial(self) -> bool:
        """Whether it is not all."""
        return self.bucket is not None

    def __call__(self, spec: IndexSpec) -> bool:
        return self.bucket in (None, spec.bucket) and self.name in (None, spec.name)

    def check(self, cut: Cut) -> None:
        """Raises BucketNotFound, IndexNotFound."""
        if self.bucket is None:
            return
        if not cut.catalog.execute("SELECT 1 FROM buckets WHERE name = ?", (self.bucket,)).fetchone():
            raise BucketNotFound("The specified vector bucket could not be found", subject=repr(self.bucket))
        if self.name is not None and not cut.indexes:
            subject = f"{self.name!r} in bucket {self.bucket!r}"
            raise IndexNotFound("The specified index could not be found", subject=subject)


def _entry(pinned: PinnedIndex) -> BackedUpIndex:
    spec = pinned.spec
    return BackedUpIndex(
        uid=spec.uid,
        bucket=spec.bucket,
        name=spec.name,
        dimension=spec.dimension,
        generation=pinned.generation.generation,
        sequence=pinned.state.sequence,
        rows=pinned.state.rows,
    )


def _expected_bytes(pinned: PinnedIndex) -> int:
    """About how many bytes will be copied."""
    if pinned.records is None:
        return 0
    (pages,) = pinned.records.execute("PRAGMA page_count").fetchone()
    (page,) = pinned.records.execute("PRAGMA page_size").fetchone()
    total = int(pages * page) + 4 * pinned.spec.dimension * pinned.state.rows
    for path in _derived(pinned.generation.postings, pinned.state.rows):
        total += _size(path)
    for field in _folders(pinned.generation.text):
        total += sum(_size(path) for path in _derived(field, pinned.state.rows))
    for folder in _derived(pinned.generation.segments, pinned.state.rows):
        total += sum(_size(path) for path in _sealed_files(folder))
    return total


def _folders(path: Path) -> list[Path]:
    """The folders of text fields, in order."""
    try:
        return sorted(entry for entry in path.iterdir() if entry.is_dir())
    except FileNotFoundError:
        return []


def _derived(folder: Path, rows: int) -> Iterator[Path]:
    """The files of lists or the segments that the first `rows` rows have, in order."""
    try:
        names = sorted(entry.name for entry in folder.iterdir())
    except FileNotFoundError:
        return
    for name in names:
        match = _RANGE.fullmatch(name)
        if match is not None and int(match[2]) <= rows:
            yield folder / name


def _sealed_files(segment: Path) -> list[Path]:
    """The files of a segment; none when it is being removed."""
    try:
        files = sorted(path for path in segment.iterdir() if path.is_file())
    except FileNotFoundError:
        return []
    return files if any(path.name == CHECKSUMS for path in files) else []


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _copy_database(sql: sqlite3.Connection, target: Path) -> None:
    """Copy what the transaction of `sql` sees to a new file that needs no log beside it."""
    try:
        with closing(sqlite3.connect(target, isolation_level=None)) as copy:
            copy.execute("PRAGMA synchronous=OFF")
            # A transaction that is open is what all steps read from, whatever is committed between them.
            sql.backup(copy, pages=_PAGES)
        _do_without_log(target)
    except sqlite3.Error as error:
        raise store_error(error, target) from error


def _do_without_log(path: Path) -> None:
    """Have readers leave no files beside it; the first writer of a restored store uses a log again."""
    with closing(sqlite3.connect(path, isolation_level=None)) as sql:
        sql.execute("PRAGMA synchronous=OFF")
        sql.execute("PRAGMA journal_mode=DELETE")


def _make_empty(folder: GenerationFolder) -> None:
    """Make the records of an index that has none."""
    records = Records(folder.records, read_only=False)
    records.close()
    folder.records.with_suffix(".mark").unlink(missing_ok=True)
    try:
        _do_without_log(folder.records)
    except sqlite3.Error as error:
        raise store_error(error, folder.records) from error


def _keep_only(catalog: Path, chosen: _Choice, *, uids: list[str]) -> None:
    """Remove from a copied catalog what hangs on other buckets and indexes."""
    listed = msgspec.json.encode(uids).decode()
    try:
        with closing(sqlite3.connect(catalog, isolation_level=None)) as sql:
            sql.execute("PRAGMA synchronous=OFF")
            names = [name for (name,) in sql.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            for name in names:
                columns = {column for _, column, *_ in sql.execute(f'PRAGMA table_info("{name}")')}
                if "uid" in columns:
                    sql.execute(f'DELETE FROM "{name}" WHERE uid NOT IN (SELECT value FROM json_each(?))', (listed,))
            sql.execute("DELETE FROM buckets WHERE name != ?", (chosen.bucket,))
            sql.execute("VACUUM")
    except sqlite3.Error as error:
        raise store_error(error, catalog) from error


def _synced(path: Path) -> tuple[int, str]:
    with path.open("r+b") as file:
        os.fsync(file.fileno())
    return digest_of(path)
