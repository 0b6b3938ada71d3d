"""Where things lie in a store's folder (docs/format.md describes the files themselves).

<store>/catalog.sqlite                      buckets, indexes, policies, tags, properties
<store>/indexes/<uid>/index.json            what the index is
<store>/indexes/<uid>/g<generation>/        one generation of one index:
    records.sqlite                          keys, metadata, tombstones, state: the commit point
    vectors.f32                             float32 rows, little-endian, row i at i × dimension × 4
    segments/                               ANN segments over ranges of rows (derived)
    postings/                               posting lists over ranges of rows (derived)
    text/<field>/                           inverted lists of a text field over ranges of rows (derived)
    cursors.sqlite                          result lists kept for later pages (may be lost)
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from ragvec.engine.local.sqlite import store_error
from ragvec.errors import Corrupted, NotAStore, StoreReadOnly

__all__ = [
    "APPLICATION_ID",
    "BACKUP_FILE",
    "FORMAT",
    "GenerationFolder",
    "StoreFolder",
    "generations",
    "is_uid",
    "sync_folder",
]

APPLICATION_ID = 0x72616776
"""SQLite application_id of catalog.sqlite: the bytes of "ragv"."""

FORMAT = 2
"""SQLite user_version of catalog.sqlite: the format of everything below the folder."""

BACKUP_FILE = "backup.json"
"""Where it lies, the folder is a backup."""

DROPPING_FILE = "dropping"
"""In the folder of an index, empty, from just before the catalog forgets it: only such a folder is a left-over."""

_GENERATION = re.compile(r"g(\d{6})")
_UID = re.compile(r"[0-9A-Za-z_-]{1,64}")


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable; where the platform cannot (Windows), its file system does so by itself."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def is_uid(uid: str) -> bool:
    """Whether a text can be the uid of an index, and so the name of its folder: a UUID, or something as harmless."""
    return _UID.fullmatch(uid) is not None


def generations(index: Path) -> list[int]:
    """The numbers of the generations that the folder of an index holds, ascending."""
    try:
        names = [entry.name for entry in index.iterdir()]
    except FileNotFoundError:
        return []
    return sorted(int(match[1]) for name in names if (match := _GENERATION.fullmatch(name)))


class StoreFolder:
    """The folder of a store."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.catalog = path / "catalog.sqlite"
        self.indexes = path / "indexes"

    def prepare(self, *, read_only: bool) -> bool:
        """Make the folder if it is absent; return whether it holds a store already.

        Raises:
            NotAStore: the path is a file, or a folder with other things in it; or nothing is there and `read_only` is
            set. StoreReadOnly: the folder cannot be made, or is a backup.
        """
        try:
            if not read_only and (self.path / BACKUP_FILE).exists():
                raise StoreReadOnly(
                    f"`{self.path}` is a backup, which is never written to: open it with read_only=True, or restore it "
                    "to another folder",
                    store=str(self.path),
                )
            if self.catalog.is_file():
                return True
            if self.path.exists() and not self.path.is_dir():
                raise NotAStore(f"Expected a folder, got a file: `{self.path}`", store=str(self.path))
            others = sorted(entry.name for entry in self.path.iterdir()) if self.path.is_dir() else []
            if self.catalog.is_file():  # another process has just made it
                return True
            if others:
                raise NotAStore(
                    f"`{self.path}` is not a ragvec store: it has no catalog.sqlite but holds {', '.join(others[:3])}"
                    f"{' and more' if len(others) > 3 else ''}; name an empty or a new folder",
                    store=str(self.path),
                )
            if read_only:
                raise NotAStore(f"There is no store at `{self.path}` to open read-only", store=str(self.path))
            above = [folder.parent for folder in (self.path, *self.path.parents) if not folder.exists()]
            self.path.mkdir(parents=True, exist_ok=True)
            for folder in above:
                sync_folder(folder)
            if not os.access(self.path, os.W_OK):
                raise StoreReadOnly(f"No permission to make a store in `{self.path}`", store=str(self.path))
        except OSError as error:
            raise store_error(error, self.path) from error
        return False

    def has_indexes(self) -> bool:
        """Whether there are folders of indexes, whatever the catalog says. Raises StoreError."""
        try:
            return any(is_uid(entry.name) for entry in self.indexes.iterdir())
        except FileNotFoundError:
            return False
        except OSError as error:
            raise store_error(error, self.indexes) from error

    def index(self, uid: str) -> Path:
        """The folder of an index.

        Raises:
            Corrupted: what the catalog has as its uid is none, so that the folder might be anywhere.
        """
        if not is_uid(uid):
            raise Corrupted(
                f"Expected the uid of an index, got {uid!r}, in `{self.catalog}`: it is damaged", store=str(self.path)
            )
        return self.indexes / uid


class GenerationFolder:
    """The folder of one generation of an index."""

    def __init__(self, index: Path, generation: int) -> None:
        self.generation = generation
        self.path = index / f"g{generation:06d}"
        self.records = self.path / "records.sqlite"
        self.vectors = self.path / "vectors.f32"
        self.segments = self.path / "segments"
        self.postings = self.path / "postings"
        self.text = self.path / "text"
        self.cursors = self.path / "cursors.sqlite"

    def create(self) -> None:
        """Make the folder of an index's first generation; what other processes make at the same time is left alone.

        Raises StoreFull, StoreReadOnly, StoreError.
        """
        try:
            self.path.mkdir(parents=True)
        except FileExistsError:
            return
        except OSError as error:
            raise store_error(error, self.path) from error
        if generations(self.path.parent) != [self.generation]:
            # This process was held up between looking and making, and the index has moved on meanwhile.
            self.path.rmdir()

    def sync(self) -> None:
        """Make the names above the folder's content durable. Raises StoreFull, StoreError."""
        for folder in (self.path.parent, self.path.parent.parent, self.path.parent.parent.parent):
            try:
                sync_folder(folder)
            except OSError as error:
                raise store_error(error, folder) from error

    def bytes(self) -> int:
        """Size of all files in it."""
        total = 0
        for folder, _, names in os.walk(self.path):
            for name in names:
                try:
                    total += (Path(folder) / name).stat().st_size
                except FileNotFoundError:  # a segment that another process has just replaced
                    continue
        return total
