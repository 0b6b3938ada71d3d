"""What is in a backup: backup.json, and files that are copied, linked and compared by SHA-256.

    {"format": 1, "crc": CRC-32 of the JSON of `backup`, "backup": {…, "files": {path: [bytes, SHA-256 in hex]}}}

A backup is a folder that is itself a store: catalog.sqlite and indexes/, as in docs/format.md, without marks, kept
result lists and whatever was unfinished. backup.json is written last.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import uuid
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

import msgspec

from ragvec.engine.local.layout import BACKUP_FILE, sync_folder
from ragvec.engine.local.lease import BuildLease
from ragvec.engine.local.sqlite import store_error
from ragvec.errors import Corrupted, NotAStore, StoreError, StoreTooNew

__all__ = [
    "MANIFEST",
    "BackedUpIndex",
    "Manifest",
    "Progress",
    "copy_file",
    "digest_of",
    "link_file",
    "read_manifest",
    "sync_tree",
    "unfinished",
    "write_manifest",
]

MANIFEST = BACKUP_FILE

Progress: TypeAlias = Callable[[int, int], object]
"""Told how many bytes are done, and of how many."""

_FORMAT = 1
_CHUNK = 1 << 22
_LOCK = "unfinished.lock"


class BackedUpIndex(msgspec.Struct, frozen=True):
    """One index in a backup: `rows` of it, deleted ones included, as of change `sequence` of `generation`."""

    uid: str
    bucket: str
    name: str
    dimension: int
    generation: int
    sequence: int
    rows: int


class Manifest(msgspec.Struct, frozen=True):
    """What backup.json tells: who wrote it (`ragvec`, a version), when (epoch seconds), of which store, and what is in
    it. `files` are size and SHA-256 by path within the backup, with slashes."""

    ragvec: str
    created: float
    source: str
    store_format: int
    indexes: tuple[BackedUpIndex, ...]
    files: dict[str, tuple[int, str]]

    @property
    def bytes(self) -> int:
        """The size of all files."""
        return sum(size for size, _ in self.files.values())


class _Envelope(msgspec.Struct, frozen=True):
    format: int
    crc: int
    backup: msgspec.Raw


class _Version(msgspec.Struct, frozen=True):
    format: int


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write backup.json, durable on return. Raises OSError."""
    encoded = msgspec.json.encode(manifest)
    with (folder / MANIFEST).open("xb") as file:
        file.write(msgspec.json.encode(_Envelope(_FORMAT, zlib.crc32(encoded), msgspec.Raw(encoded))))
        file.flush()
        os.fsync(file.fileno())


def read_manifest(folder: Path) -> Manifest:
    """What backup.json in `folder` tells.

    Raises:
        NotAStore: there is none. Corrupted: it is damaged. StoreTooNew: a newer ragvec wrote it. StoreError: it cannot
        be read.
    """
    path = folder / MANIFEST
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise NotAStore(
            f"`{folder}` is not a backup: it has no {MANIFEST}, which is written when a backup is complete",
            store=str(folder),
        ) from None
    except OSError as error:
        raise store_error(error, path) from error
    try:
        version = msgspec.json.decode(content, type=_Version).format
        if version > _FORMAT:
            raise StoreTooNew(
                f"`{path}` has format {version}, this ragvec knows formats up to {_FORMAT}; upgrade ragvec",
                store=str(folder),
            )
        envelope = msgspec.json.decode(content, type=_Envelope)
        if zlib.crc32(bytes(envelope.backup)) != envelope.crc:
            raise Corrupted(f"`{path}` does not match its own checksum: the backup is damaged", store=str(folder))
        return msgspec.json.decode(envelope.backup, type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Corrupted(f"`{path}` does not describe a backup: {error}", store=str(folder)) from error


@contextmanager
def unfinished(target: Path) -> Iterator[Path]:
    """A new folder beside `target`, which gets its name when the block is left, and goes when it raises.

    `target` must be absent or an empty folder then. What processes that died left of such folders is removed.

    Raises:
        StoreFull, StoreReadOnly, StoreError: also for OSError in the block; nothing is left.
    """
    work = target.with_name(f".{target.name}.unfinished-{uuid.uuid4().hex[:12]}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(target)
        work.mkdir()
        try:
            with BuildLease(work / _LOCK).try_acquire() as held:
                if not held:
                    raise StoreError(f"`{work}` is in use by another process", store=str(target))
                yield work
                (work / _LOCK).unlink()
            if target.is_dir():
                target.rmdir()
            work.rename(target)
            sync_folder(target.parent)
        except BaseException:
            shutil.rmtree(work, ignore_errors=True)
            raise
    except OSError as error:
        raise store_error(error, target) from error


def _remove_abandoned(target: Path) -> None:
    for path in target.parent.glob(f".{_escaped(target.name)}.unfinished-*"):
        with contextlib.suppress(StoreError), BuildLease(path / _LOCK).try_acquire() as held:
            if held:
                shutil.rmtree(path, ignore_errors=True)


def _escaped(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def digest_of(path: Path) -> tuple[int, str]:
    """Size and SHA-256 of a file. Raises OSError."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return size, digest.hexdigest()


def copy_file(source: int, target: Path, *, size: int | None = None, told: Callable[[int], object]) -> tuple[int, str]:
    """Copy the first `size` bytes of the open file `source` (None: all) to the new file `target`, durable on return;
    returns how many there were and their SHA-256. `told` learns of every piece.

    The system copies where it can: on file systems that share blocks between files that takes no space.

    Raises OSError; a short source is not an error.
    """
    digest, position = hashlib.sha256(), 0
    with target.open("xb", buffering=0) as file:
        by_system = hasattr(os, "copy_file_range")
        while size is None or position < size:
            length = _CHUNK if size is None else min(_CHUNK, size - position)
            chunk = _piece(source, length, position)
            if not chunk:
                break
            if by_system:
                by_system = _copied_by_system(source, file.fileno(), len(chunk), position)
            if not by_system:
                file.seek(position)
                rest = memoryview(chunk)
                while rest:
                    rest = rest[file.write(rest) :]
            digest.update(chunk)
            position += len(chunk)
            told(len(chunk))
        os.fsync(file.fileno())
    return position, digest.hexdigest()


def _piece(source: int, length: int, position: int) -> bytes:
    if hasattr(os, "pread"):
        return os.pread(source, length, position)
    os.lseek(source, position, os.SEEK_SET)
    return os.read(source, length)


_NO_RANGE = {errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.ETXTBSY, errno.EPERM, errno.EBADF}


def _copied_by_system(source: int, target: int, length: int, position: int) -> bool:
    """Whether the system copied the range; not between file systems that do not know how."""
    done = 0
    while done < length:
        try:
            count = os.copy_file_range(
                source, target, length - done, offset_src=position + done, offset_dst=position + done
            )
        except OSError as error:
            if error.errno in _NO_RANGE:
                return False
            raise
        if not count:
            return False
        done += count
    return True


def link_file(source: Path, target: Path) -> bool:
    """Give a file a second name; False where the file system does not do that."""
    try:
        target.hardlink_to(source)
    except OSError as error:
        if error.errno in {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS, errno.ENOENT}:
            return False
        raise
    return True


def sync_tree(folder: Path) -> None:
    """Make all names under `folder` durable. Raises OSError."""
    for path, _, _ in os.walk(folder, topdown=False):
        sync_folder(Path(path))
