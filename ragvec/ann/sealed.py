"""Folders of files that are written once: checksums of every file, verified before anything in them is trusted.

`checksums.json` in such a folder holds `{"format": 1, "files": {name: [bytes, CRC-32]}}` for every other file. It is
written last, so a folder without it was never finished.
"""

from __future__ import annotations

import os
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from ragvec.errors import Corrupted

__all__ = ["CHECKSUMS", "seal", "verify"]

CHECKSUMS = "checksums.json"
_FORMAT = 1
_CHUNK = 1 << 20
_LARGE = 1 << 25
_THREADS = 4


class _Seal(msgspec.Struct, frozen=True):
    format: int
    files: dict[str, tuple[int, int]]


def seal(folder: Path) -> None:
    """Write the checksums of all files in `folder`, and make files and names durable; again when files were added."""
    files = {path.name: _checksum(path, durable=True) for path in sorted(folder.iterdir()) if path.name != CHECKSUMS}
    target = folder / CHECKSUMS
    with target.open("wb") as file:
        file.write(msgspec.json.encode(_Seal(format=_FORMAT, files=files)))
        file.flush()
        os.fsync(file.fileno())
    if os.name != "nt":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def verify(folder: Path, *, content: bool = True) -> None:
    """Compare every file in `folder` with its checksum; without `content`, only whether it is there and of its size.

    Raises:
        Corrupted: a file is missing, of another size or of other content, or the folder was never sealed.
    """
    stored = _read(folder)
    if not content:
        for name, (size, _) in stored.files.items():
            try:
                found = (folder / name).stat().st_size
            except FileNotFoundError as error:
                raise _damaged(folder, f"`{name}` is missing") from error
            if found != size:
                raise _damaged(folder, f"expected `{name}` of {size} bytes, got {found} bytes")
        return
    for name, (size, crc), got in zip(stored.files, stored.files.values(), _checksums(folder, stored), strict=True):
        if got is None:
            raise _damaged(folder, f"`{name}` is missing")
        if got != (size, crc):
            raise _damaged(
                folder, f"expected `{name}` of {size} bytes, CRC-32 {crc:08x}, got {got[0]} bytes, CRC-32 {got[1]:08x}"
            )


def _read(folder: Path) -> _Seal:
    try:
        stored = msgspec.json.decode((folder / CHECKSUMS).read_bytes(), type=_Seal)
    except FileNotFoundError as error:
        raise _damaged(folder, f"it has no {CHECKSUMS}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _damaged(folder, f"{CHECKSUMS} is not readable: {error}") from error
    if stored.format != _FORMAT:
        raise _damaged(folder, f"expected {CHECKSUMS} of format {_FORMAT}, got format {stored.format}")
    if any(set("/\\\0") & set(name) or name in ("", ".", "..") for name in stored.files):
        raise _damaged(folder, f"{CHECKSUMS} names a file that is not in the folder")
    return stored


def _checksums(folder: Path, stored: _Seal) -> list[tuple[int, int] | None]:
    """Sizes and checksums of the files as they are, None for one that is missing; of large ones side by side."""

    def of(name: str) -> tuple[int, int] | None:
        try:
            return _checksum(folder / name, durable=False)
        except FileNotFoundError:
            return None

    if sum(size for size, _ in stored.files.values()) < _LARGE:
        return [of(name) for name in stored.files]
    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(of, stored.files))


def _checksum(path: Path, *, durable: bool) -> tuple[int, int]:
    size = crc = 0
    with path.open("r+b" if durable else "rb") as file:
        while chunk := file.read(_CHUNK):
            size += len(chunk)
            crc = zlib.crc32(chunk, crc)
        if durable:
            os.fsync(file.fileno())
    return size, crc


def _damaged(folder: Path, what: str) -> Corrupted:
    return Corrupted(f"`{folder}` is damaged: {what}; it is derived data and can be built again", store=str(folder))


# Made once while the module is imported: msgspec may crash where threads meet a type for the first time together.
msgspec.json.Decoder(_Seal)
