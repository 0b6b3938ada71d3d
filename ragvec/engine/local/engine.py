"""A store in a folder: `ragvec.engine.protocol.Engine` without a server."""

from __future__ import annotations

import logging
import os
import shutil
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from ragvec.ann.backends import available_backend
from ragvec.engine.local import forks
from ragvec.engine.local.catalog import LocalCatalog
from ragvec.engine.local.identity import IDENTITY_FILE, read_identity, read_text_fields, same_index, write_identity
from ragvec.engine.local.index import LocalIndex
from ragvec.engine.local.layout import DROPPING_FILE, StoreFolder, sync_folder
from ragvec.engine.local.maintenance import Maintenance
from ragvec.engine.local.merging import LANES, Lane
from ragvec.engine.local.reserve import keep_reserve, spends_reserve
from ragvec.engine.local.tune import SETTINGS, Settings
from ragvec.engine.protocol import IndexSpec, TextField
from ragvec.errors import Corrupted, IndexNotFound, StoreError

__all__ = ["RECALL_TARGET", "LocalEngine"]

_log = logging.getLogger("ragvec.store")

RECALL_TARGET = 0.98
"""Recall@10 that segments are tuned to, measured on held-out rows when they are built."""


class LocalEngine:
    """The store at `path`, made when the folder is absent or empty.

    `clock` gives epoch seconds. With `background` segments are built by a thread as data grow; without it only by
    `optimize()`. Of the indexes in use, `most_open` stay open at a time (by default as many as suit the number of files
    that a process may have open); the others are opened again when they are used. `backend` names the library that
    builds and searches segments, see `available_backend`; those of another are replaced by the next build.

    Raises:
        NotAStore, StoreTooNew, StoreReadOnly, StoreError: see those. InvalidRequest: there is no such backend.
        MissingExtra: it is not installed.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        read_only: bool = False,
        recall_target: float = RECALL_TARGET,
        background: bool = True,
        most_open: int | None = None,
        backend: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.path = Path(path)
        self.read_only = read_only
        self._backend = available_backend(backend)
        # Absolute from the start: connections and maps are opened later, wherever the program has gone by then.
        self._folder = StoreFolder(self.path.absolute())
        self._recall_target = recall_target
        self._clock = clock
        self._indexes: OrderedDict[str, LocalIndex] = OrderedDict()
        self._latest: LocalIndex | None = None
        """The one used last, which is not the next to be closed."""
        self._most_open = most_open or _most_open()
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._lanes = tuple(map(Maintenance, LANES)) if background and not read_only else ()
        self.catalog = spends_reserve(LocalCatalog)(
            self._folder,
            read_only=read_only,
            on_create=self._make_files,
            on_drop=self._drop_all,
            on_dropping=self._mark_dropping,
            on_text=self._text_changed,
            on_texting=self._note_text,
        )
        if not read_only:
            self._sweep()
            keep_reserve(self._folder.path)

    def __enter__(self) -> LocalEngine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def token_key(self) -> bytes:
        """The secret that signs the store's page tokens."""
        return self.catalog.token_key

    @property
    def folder(self) -> Path:
        """The folder of the store, absolute, wherever the program has gone since it was opened."""
        return self._folder.path

    def index(self, spec: IndexSpec) -> LocalIndex:
        """The open index of this spec (the same object while it stays open)."""
        latest = self._latest
        if latest is not None and latest.spec.uid == spec.uid and self._pid == os.getpid():
            return latest
        if self._pid != os.getpid():
            # A child made behind Python's back: a thread of the parent may hold any of the locks inherited.
            self._lock, self._indexes, self._pid = threading.Lock(), OrderedDict(), os.getpid()
        with forks.operation(), self._lock:
            found = self._indexes.get(spec.uid)
            if found is None:
                found = self._opened(spec)
                self._make_room()
                self._indexes[spec.uid] = found
                for lane in LANES:
                    self._grown(found, lane)
            self._indexes.move_to_end(spec.uid)
            self._latest = found
            return found

    def opened(self) -> Iterator[LocalIndex]:
        """The indexes open in this process."""
        with forks.operation(), self._lock:
            return iter(list(self._indexes.values()))

    def settle(self) -> None:
        """Return when the background has nothing left to build."""
        for maintenance in self._lanes:
            maintenance.settle()

    def close(self) -> None:
        """Wait for the build in progress, if any, then release files and connections. Later use opens them again."""
        for maintenance in self._lanes:
            maintenance.stop()
        with forks.operation():
            with self._lock:
                indexes, self._indexes, self._latest = list(self._indexes.values()), OrderedDict(), None
            for index in indexes:
                index.close()
            self.catalog.close()

    @spends_reserve
    def _opened(self, spec: IndexSpec) -> LocalIndex:
        folder = self._folder.index(spec.uid)
        if self.read_only and not folder.is_dir():
            raise IndexNotFound(f"Index `{spec.name}` has not been written yet, and the store is read-only")
        index = LocalIndex(
            folder,
            spec,
            backend=self._backend,
            recall_target=self._recall_target,
            read_only=self.read_only,
            clock=self._clock,
            settings=lambda: self.catalog.settings(spec.uid),
            change_settings=lambda settings: self._set(spec.uid, settings),
            text_fields=lambda: self.catalog.text_fields(spec.uid),
            still_exists=self._exists,
            on_growth=self._grown,
            on_later=self._later,
        )
        if not self.read_only:
            self._identify(folder, spec)
        return index

    def _identify(self, folder: Path, spec: IndexSpec) -> None:
        """Say in the folder what the index is, if nothing does yet, and which text fields it has, if that is not what
        is said. Raises StoreError."""
        try:
            text = self.catalog.text_fields(spec.uid)
        except (Corrupted, IndexNotFound):
            return  # `repair` writes it again; or the index was deleted just now by another process
        try:
            if not (folder / IDENTITY_FILE).exists():
                write_identity(folder, spec, text)
            elif _text_differs(folder, spec, text):
                # Again as they are, in a transaction: another process may be changing them.
                self.catalog.change_text_fields(spec.uid, tuple)
        except IndexNotFound:
            return
        except StoreError:
            if self._exists(spec.uid):
                raise
            # Deleted just now by another process; the next operation on the index says so.

    def _make_room(self) -> None:
        """Close what was deleted by other processes, and the indexes used longest ago beyond `_most_open`."""
        known = self._known_uids() if self._indexes else None
        if known is not None:
            for uid in [uid for uid in self._indexes if uid not in known]:
                self._indexes.pop(uid).close()
                self._latest = None
        while len(self._indexes) >= self._most_open:
            self._indexes.popitem(last=False)[1].close()

    def _grown(self, index: LocalIndex, lane: Lane) -> None:
        for maintenance in self._lanes:
            if maintenance.lane == lane:
                maintenance.consider(index)

    def _later(self, index: LocalIndex, seconds: float) -> None:
        for maintenance in self._lanes:
            if maintenance.lane == "merge":
                maintenance.consider_later(index, seconds=seconds)

    def _set(self, uid: str, settings: Settings) -> None:
        self.catalog.set_property(uid, SETTINGS, msgspec.to_builtins(settings))

    def _exists(self, uid: str) -> bool:
        try:
            self.catalog.index_by_uid(uid)
        except IndexNotFound:
            return False
        return True

    def _make_files(self, spec: IndexSpec) -> None:
        """Make the files of a new index, so that it can be read before anything was written to it."""
        self.index(spec).snapshot()

    def _mark_dropping(self, uid: str) -> None:
        """Note in the folder of an index that the catalog is about to forget it, which is what `_sweep` goes by."""
        folder = self._folder.index(uid)
        try:
            (folder / DROPPING_FILE).touch()
            sync_folder(folder)
        except OSError as error:
            _log.debug("`%s` is not noted as being removed: %s", folder, error)

    def _note_text(self, spec: IndexSpec, fields: Sequence[TextField]) -> None:
        """Note in the folder of an index which text fields it is about to have: they outlive the catalog."""
        folder = self._folder.index(spec.uid)
        if folder.is_dir():  # else it is being made, which notes them
            write_identity(folder, spec, fields)

    def _text_changed(self, uid: str) -> None:
        with forks.operation(), self._lock:
            index = self._indexes.get(uid)
        if index is not None:
            self._grown(index, "tail")

    def _drop_all(self, uids: Sequence[str]) -> None:
        for uid in uids:
            self._drop(uid)

    def _drop(self, uid: str) -> None:
        with forks.operation():
            with self._lock:
                index = self._indexes.pop(uid, None)
                self._latest = None
            if index is not None:
                index.close()
        # The catalog has forgotten it; what cannot be removed now (Windows, open maps) goes at the next start.
        _remove(self._folder.index(uid))
        keep_reserve(self._folder.path)

    def _sweep(self) -> None:
        """Remove folders of indexes that a process died while dropping.

        What the catalog does not know, but nobody noted as being dropped, stays: a catalog that is damaged, or older
        than the folders, may have lost it.
        """
        if not self._folder.indexes.is_dir():
            return
        # Listed before the catalog is read: a folder is made only after its index is in the catalog.
        folders = list(self._folder.indexes.iterdir())
        known = self._known_uids()
        if known is None:
            return
        for folder in folders:
            noted = folder / DROPPING_FILE
            if folder.name in known:
                with suppress(OSError):  # a process died before the catalog forgot the index
                    noted.unlink(missing_ok=True)
            elif noted.exists() or not (folder / IDENTITY_FILE).exists():
                _remove(folder)
            else:
                _log.warning("`%s` holds an index that the catalog does not know; `ragvec repair` takes it in", folder)

    def _known_uids(self) -> set[str] | None:
        """The uids of all indexes, None when the catalog is damaged: what it does not know may then be there all the
        same."""
        try:
            return self.catalog.uids()
        except Corrupted as damage:
            _log.warning("Nothing is taken for deleted: %s", damage)
            return None


def _text_differs(folder: Path, spec: IndexSpec, text: Sequence[TextField]) -> bool:
    """Whether the folder of the index says that it has other text fields, or another name: a process died while names
    were exchanged. What is damaged, or of another index, is left for `verify` to find."""
    try:
        described = read_identity(folder)
        if described is not None and described.name != spec.name:
            return same_index(msgspec.structs.replace(described, name=spec.name), spec)
        return described is not None and same_index(described, spec) and read_text_fields(folder) != tuple(text)
    except StoreError:
        return False


def _remove(folder: Path) -> None:
    """Remove the folder of an index, as far as possible; its identity first, and durably, so that after a power failure
    half of a folder is never taken for an index whose catalog was lost."""
    try:
        (folder / IDENTITY_FILE).unlink(missing_ok=True)
        sync_folder(folder)
    except OSError as error:
        _log.debug("`%s` is removed later: %s", folder, error)
        return
    shutil.rmtree(folder, ignore_errors=True)


_FILES_PER_INDEX = 16
"""Connections and maps of an index in use: more than it has on average."""


def _most_open() -> int:
    try:
        import resource
    except ModuleNotFoundError:  # Windows, where handles are not scarce
        return 256
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1024 if soft == resource.RLIM_INFINITY else max(8, min(1024, soft // _FILES_PER_INDEX))
