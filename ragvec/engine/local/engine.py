"""A store in a folder: `ragvec.engine.protocol.Engine` without a server."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from ragvec.ann.backends import available_backend
from ragvec.engine.local.catalog import LocalCatalog
from ragvec.engine.local.index import LocalIndex
from ragvec.engine.local.layout import StoreFolder
from ragvec.engine.local.maintenance import Maintenance
from ragvec.engine.protocol import IndexSpec
from ragvec.errors import IndexNotFound

__all__ = ["RECALL_TARGET", "LocalEngine"]

RECALL_TARGET = 0.98
"""Recall@10 that segments are tuned to, measured on held-out rows when they are built."""


class LocalEngine:
    """The store at `path`, made when the folder is absent or empty.

    `clock` gives epoch seconds. With `background` segments are built by a thread as data grow; without it only by
    `optimize()`.

    Raises:
        NotAStore, StoreTooNew, StoreReadOnly, StoreError: see those.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        read_only: bool = False,
        recall_target: float = RECALL_TARGET,
        background: bool = True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.path = Path(path)
        self.read_only = read_only
        self._folder = StoreFolder(self.path)
        self._recall_target = recall_target
        self._clock = clock
        self._indexes: dict[str, LocalIndex] = {}
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._maintenance = Maintenance() if background and not read_only else None
        self._backend = available_backend()
        self.catalog = LocalCatalog(self._folder, read_only=read_only, on_drop=self._drop)
        if not read_only:
            self._sweep()

    def __enter__(self) -> LocalEngine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def index(self, spec: IndexSpec) -> LocalIndex:
        """The open index of this spec (the same object while it stays open)."""
        if self._pid != os.getpid():
            # A forked child starts with nothing open: another thread of the parent may hold any of the locks inherited.
            self._lock, self._indexes, self._pid = threading.Lock(), {}, os.getpid()
        with self._lock:
            found = self._indexes.get(spec.uid)
            if found is None:
                folder = self._folder.index(spec.uid)
                if self.read_only and not folder.is_dir():
                    raise IndexNotFound(f"Index `{spec.name}` has not been written yet, and the store is read-only")
                found = LocalIndex(
                    folder,
                    spec,
                    backend=self._backend,
                    recall_target=self._recall_target,
                    read_only=self.read_only,
                    clock=self._clock,
                    still_exists=self._exists,
                    on_growth=self._grown,
                )
                self._indexes[spec.uid] = found
                self._grown(found)
            return found

    def opened(self) -> Iterator[LocalIndex]:
        """The indexes open in this process."""
        with self._lock:
            return iter(list(self._indexes.values()))

    def settle(self) -> None:
        """Return when the background has nothing left to build."""
        if self._maintenance is not None:
            self._maintenance.settle()

    def close(self) -> None:
        """Wait for the build in progress, if any, then release files and connections. Later use opens them again."""
        if self._maintenance is not None:
            self._maintenance.stop()
        with self._lock:
            indexes, self._indexes = list(self._indexes.values()), {}
        for index in indexes:
            index.close()
        self.catalog.close()

    def _grown(self, index: LocalIndex) -> None:
        if self._maintenance is not None:
            self._maintenance.consider(index)

    def _exists(self, uid: str) -> bool:
        try:
            self.catalog.index_by_uid(uid)
        except IndexNotFound:
            return False
        return True

    def _drop(self, uid: str) -> None:
        with self._lock:
            index = self._indexes.pop(uid, None)
        if index is not None:
            index.close()
        # The catalog has forgotten it; what cannot be removed now (Windows, open maps) goes at the next start.
        shutil.rmtree(self._folder.index(uid), ignore_errors=True)

    def _sweep(self) -> None:
        """Remove folders of indexes that the catalog does not know: a process died while dropping them."""
        if not self._folder.indexes.is_dir():
            return
        # Listed before the catalog is read: a folder is made only after its index is in the catalog.
        folders = list(self._folder.indexes.iterdir())
        known = self.catalog.uids()
        for folder in folders:
            if folder.name not in known:
                shutil.rmtree(folder, ignore_errors=True)
