"""A file layer under real processes: it counts every change to files below a folder, and logs, fails or kills at one.

`disk.c` is compiled when it is needed and loaded with LD_PRELOAD into a process and, through the environment, into all
that it starts. The product holds no fault points: every system call that changes a file is one. Followed are creating,
writing, truncating, fsync, rename, unlink, link, mkdir and rmdir; each has a number, over all processes. Not followed
are `*.mark` and `*-shm`, which are written through memory maps and need not survive, and what glibc's own stdio writes:
a file whose size is not what the log implies is logged whole (SNAPSHOT) before its fsync.

    RAGVEC_DISK_ROOT     the folder, absolute and resolved; it need not exist yet
    RAGVEC_DISK_CONTROL  the file of a `Control`
    RAGVEC_DISK_LOG      where to append the log; without it only the counters work
    RAGVEC_DISK_NOTES    a file outside the root whose writes are logged too, as NOTE, uncounted: a journal in its place

An entry of the log is written by one call, after the operation succeeded and before any other begins: a header of
little-endian magic "disk", kind, pid, bytes of path, bytes of path2 (uint32), offset, length (uint64); the paths,
relative to the root, "" for the root itself; for WRITE, SNAPSHOT and NOTE `length` bytes of data. A path is the one
that the file has at that time. Of operations that were made to fail only an fsync is logged, as SYNC_FAILED.
"""

from __future__ import annotations

import enum
import mmap
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

__all__ = ["EVERYBODY", "Control", "Entry", "Kind", "ShimMissing", "compile_shim", "environment", "read_log"]

EVERYBODY = 2**64 - 1
"""As `Control.victim`: the whole process group of the process that does the operation."""

_SOURCE = Path(__file__).with_name("disk.c")
_HEADER = struct.Struct("<4sIIIIQQ")
_MAGIC = b"disk"
_COUNTER = struct.Struct("<Q")
_PAGE_BYTES = 4096
_SIZES_BYTES = 16 * 32768
_PATH_AT, _PATH_BYTES = 512, 1024


class ShimMissing(Exception):
    """The layer cannot be had here; the message says why."""


class Kind(enum.IntEnum):
    """What an operation does."""

    WRITE = 1
    TRUNCATE = 2
    SYNC = 3
    SYNC_FOLDER = 4
    RENAME = 5
    UNLINK = 6
    MKDIR = 7
    RMDIR = 8
    CREATE = 9
    SNAPSHOT = 10
    LINK = 11
    NOTE = 12
    SYNC_FAILED = 13


class Entry(msgspec.Struct, frozen=True):
    """One line of the log. `length` is the new size for TRUNCATE, else the number of bytes in `data`."""

    kind: Kind
    pid: int
    path: str
    path2: str = ""
    offset: int = 0
    length: int = 0
    data: bytes = b""


def compile_shim(folder: Path) -> Path:
    """The shared object, compiled into `folder` unless it is there. Raises ShimMissing."""
    if not sys.platform.startswith("linux"):
        raise ShimMissing(f"LD_PRELOAD and /proc are those of Linux, this is {sys.platform}")
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise ShimMissing("no C compiler: neither cc, gcc nor clang is on the path")
    target = folder / "disk.so"
    if not target.exists() or target.stat().st_mtime_ns < _SOURCE.stat().st_mtime_ns:
        folder.mkdir(parents=True, exist_ok=True)
        made = target.with_name(f"disk-{os.getpid()}.so")
        command = [compiler, "-O2", "-shared", "-fPIC", "-o", str(made), str(_SOURCE), "-ldl", "-lpthread"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ShimMissing(f"{' '.join(command)} failed: {done.stderr.strip()}")
        made.replace(target)
    return target


def environment(
    shim: Path, control: Control, *, root: Path, log: Path | None = None, notes: Path | None = None
) -> dict[str, str]:
    """This process's environment, with which a process to be started is followed."""
    new = dict(os.environ) | {
        "LD_PRELOAD": str(shim.resolve()),
        "RAGVEC_DISK_ROOT": str(root.resolve()),
        "RAGVEC_DISK_CONTROL": str(control.path.resolve()),
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1",
    }
    for name, path in (("RAGVEC_DISK_LOG", log), ("RAGVEC_DISK_NOTES", notes)):
        new.pop(name, None)
        if path is not None:
            new[name] = str(path.resolve())
    return new


def read_log(path: Path) -> Iterator[Entry]:
    """The entries of a log, in the order in which things happened; one that was cut off by a kill at the end is left
    out. Raises ValueError where it is no log."""
    data = memoryview(path.read_bytes())
    at = 0
    while at + _HEADER.size <= len(data):
        magic, kind, pid, path_bytes, path2_bytes, offset, length = _HEADER.unpack_from(data, at)
        if magic != _MAGIC:
            raise ValueError(f"expected an entry at byte {at} of `{path}`, got {magic!r}")
        at += _HEADER.size
        held = length if kind in {Kind.WRITE, Kind.SNAPSHOT, Kind.NOTE} else 0
        if at + path_bytes + path2_bytes + held > len(data):
            return
        name = os.fsdecode(bytes(data[at : at + path_bytes]))
        at += path_bytes
        name2 = os.fsdecode(bytes(data[at : at + path2_bytes]))
        at += path2_bytes
        yield Entry(Kind(kind), pid, name, name2, offset, length, bytes(data[at : at + held]))
        at += held


def _counter(place: int, doc: str) -> property:
    def get(self: Control) -> int:
        value: int = _COUNTER.unpack_from(self._map, 8 * place)[0]
        return value

    def put(self: Control, value: int) -> None:
        _COUNTER.pack_into(self._map, 8 * place, value)

    return property(get, put, doc=doc)


class Control:
    """The page of counters that all followed processes share with their controller, in the file `path`."""

    operations = _counter(0, "How many operations were begun.")
    kill_before = _counter(1, "Kill before the operation of this number; 0: never.")
    fail_from = _counter(2, "Fail operations from this number on; 0: never.")
    error = _counter(3, "The errno to fail with.")
    fail_kinds = _counter(4, "Which kinds fail: the sum of 1 << kind.")
    fail_count = _counter(5, "How many fail; 0: without end.")
    failed = _counter(6, "How many were made to fail.")
    kill_after = _counter(7, "Kill after the operation of this number, before its process goes on; 0: never.")
    short_write = _counter(8, "Whether the first failing write writes half of its bytes, as a disk that becomes full.")
    victim = _counter(9, "Who is killed: 0 the process that does the operation, EVERYBODY, or a process id.")
    killed_at = _counter(10, "The operation at which somebody was killed; 0: nobody was.")
    _killed_kind = _counter(11, "")

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.exists():
            with path.open("xb") as file:
                file.truncate(_PAGE_BYTES + _SIZES_BYTES)
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 0)

    def reset(self) -> None:
        """Set all counters to 0."""
        self._map[: 8 * 12] = bytes(8 * 12)
        self._map[_PATH_AT : _PATH_AT + _PATH_BYTES] = bytes(_PATH_BYTES)

    @property
    def killed(self) -> tuple[Kind, str] | None:
        """What was done, on which path, where somebody was killed."""
        if not self.killed_at:
            return None
        path = self._map[_PATH_AT : _PATH_AT + _PATH_BYTES].partition(b"\0")[0]
        return Kind(self._killed_kind), os.fsdecode(path)

    def fail(self, at: int, *, error: int, kinds: set[Kind] | None = None, count: int = 0) -> None:
        """Fail `count` operations (0: all) of these kinds from number `at` on."""
        self.failed = 0
        self.error, self.fail_count = error, count
        self.fail_kinds = sum(1 << kind for kind in (Kind if kinds is None else kinds))
        self.fail_from = at

    def close(self) -> None:
        """Unmap the page."""
        self._map.close()
