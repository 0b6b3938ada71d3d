"""What a repair takes away is kept in <store>/lost+found/<time>/: files where they lay, damaged rows as JSON lines.

lost+found/<UTC time>/indexes/<uid>/g000000/…       files as they were
lost+found/<UTC time>/rows-<uid>.jsonl              {"row", "key", "reason", "metadata", "vector"}: what could be
                                                    read of each damaged row; metadata as text, the vector's bytes
                                                    in base64
"""

from __future__ import annotations

import base64
import os
import shutil
import time
from pathlib import Path

import msgspec

from ragvec.engine.local.layout import sync_folder
from ragvec.engine.local.sqlite import store_error

__all__ = ["LOST_FOUND", "LostFound"]

LOST_FOUND = "lost+found"


class _Kept(msgspec.Struct, frozen=True):
    row: int
    key: str | None
    reason: str
    metadata: str | None
    vector: str | None


class LostFound:
    """The place where one repair of the store at `store` keeps things; made when there is something to keep."""

    def __init__(self, store: Path) -> None:
        self._store = store
        self._folder: Path | None = None

    @property
    def folder(self) -> Path | None:
        """Where things are kept; None when there are none."""
        return self._folder

    def move(self, path: Path) -> None:
        """Take a file or a folder of the store away, if it is there. Raises StoreError."""
        target = self._target(path)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            path.rename(target)
            sync_folder(target.parent)
            sync_folder(path.parent)
        except FileNotFoundError:
            return
        except OSError as error:
            raise store_error(error, path) from error

    def copy(self, path: Path) -> None:
        """Keep a copy of a file, if it is there. Raises StoreError."""
        target = self._target(path)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target)
            with target.open("rb") as file:
                os.fsync(file.fileno())
            sync_folder(target.parent)
        except FileNotFoundError:
            return
        except OSError as error:
            raise store_error(error, path) from error

    def keep_row(
        self, uid: str, *, row: int, key: str | None, reason: str, metadata: object, vector: memoryview | None
    ) -> None:
        """Keep what there is of a damaged row of the index `uid`. Raises StoreError."""
        kept = _Kept(
            row=row,
            key=key,
            reason=reason,
            metadata=metadata.decode(errors="backslashreplace") if isinstance(metadata, bytes) else None,
            vector=None if vector is None else base64.b64encode(vector).decode(),
        )
        file = self._made() / f"rows-{uid}.jsonl"
        try:
            with file.open("ab") as out:
                out.write(msgspec.json.encode(kept) + b"\n")
                out.flush()
                os.fsync(out.fileno())
        except OSError as error:
            raise store_error(error, file) from error

    def _target(self, path: Path) -> Path:
        return self._made() / path.relative_to(self._store)

    def _made(self) -> Path:
        if self._folder is None:
            stem = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
            for attempt in range(1000):
                folder = self._store / LOST_FOUND / (stem if not attempt else f"{stem}-{attempt}")
                try:
                    folder.mkdir(parents=True)
                except FileExistsError:
                    continue
                except OSError as error:
                    raise store_error(error, folder) from error
                self._folder = folder
                break
        assert self._folder is not None
        return self._folder
