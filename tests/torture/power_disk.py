"""A simulated disk: what a folder may hold after the power failed, told from the log of all changes made to it.

Promised are only the bytes of a file that was fsynced after they were written, and the names in a folder that was
fsynced after they changed. Everything else may be there or not:

- of a file, each sector of 512 bytes in any state that it had since the last fsync of the file, and the file in any of
  its sizes since then; where it is longer than what was written, there are zeros;
- of a folder, any subset of the names made, removed and renamed since its last fsync. A rename is there or not, in both
  folders where there are two. That a file was fsynced makes its name no more durable, although most file systems do so;
- of what lies below a name that is lost, nothing;
- of what an fsync should have made durable that failed, anything, whatever fsync comes later: Linux counts such pages
  as written. Only writing the bytes again helps.

This is more than ext4, XFS or btrfs do to a program, so that what passes here does not depend on any of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import msgspec

from tests.torture.disk import Entry, Kind

__all__ = ["SECTOR", "Disk", "Keep", "State", "keep_all", "keep_none"]

SECTOR = 512


class _Write(msgspec.Struct, frozen=True, eq=False):
    """Bytes of a file set; the size is what it is afterwards. `number` is that of the record."""

    number: int
    offset: int
    data: bytes
    size: int


class _Name(msgspec.Struct, frozen=True, eq=False):
    """Names that changed: `removed` from its folder, then `made`, in that folder or another, for `node`."""

    number: int
    node: _File | _Folder | None
    removed: tuple[_Folder, str] | None
    made: tuple[_Folder, str] | None

    def places(self) -> tuple[tuple[_Folder, str], ...]:
        return tuple(place for place in (self.removed, self.made) if place is not None)


class Keep(Protocol):
    """Which of the changes that were not made durable are on the disk all the same."""

    def name(self, number: int) -> bool:
        """Whether the change of names by record `number` is."""
        ...

    def data(self, path: str, writes: list[int]) -> Callable[[int, int], bool]:
        """For the file last known as `path`, with unsynced writes by these records: whether the sector with this
        index has the write by this record; asked in the order of writes, and of each sector the last that is kept
        holds, on all those before it."""
        ...


class _File:
    def __init__(self, path: str) -> None:
        self.path = path
        self.live = bytearray()
        self.durable = b""
        self.pending: list[_Write] = []
        self.doubtful: set[int] = set()
        self.sure: set[int] = set()

    def write(self, number: int, offset: int, data: bytes) -> None:
        if offset > len(self.live):
            data = bytes(offset - len(self.live)) + data
            offset = len(self.live)
        self.live[offset : offset + len(data)] = data
        self.pending.append(_Write(number, offset, data, len(self.live)))

    def truncate(self, number: int, size: int) -> None:
        if size > len(self.live):
            self.write(number, size, b"")
            return
        gone = len(self.live) - size
        del self.live[size:]
        self.pending.append(_Write(number, size, bytes(gone), size))

    def sync(self) -> None:
        if self.doubtful:
            self.sure.update(write.number for write in self.pending if write.number not in self.doubtful)
            return
        out = bytearray(self.durable)
        for write in self.pending:
            out += bytes(max(0, write.offset + len(write.data) - len(out)))
            out[write.offset : write.offset + len(write.data)] = write.data
            out[write.size :] = b""
        self.durable, self.pending = bytes(out), []

    def fail(self) -> None:
        """An fsync failed: programs still see what they wrote, yet no later fsync will write it."""
        self.doubtful.update(write.number for write in self.pending if write.number not in self.sure)

    def after_failure(self, keep: Keep) -> bytes:
        if not self.pending:
            return self.durable
        luck = keep.data(self.path, [write.number for write in self.pending])

        def kept(sector: int, number: int) -> bool:
            return luck(sector, number) or number in self.sure

        longest = max(len(self.durable), *(write.offset + len(write.data) for write in self.pending))
        out = bytearray(self.durable) + bytes(longest - len(self.durable))
        last: dict[int, int] = {}
        size = len(self.durable)
        for at, write in enumerate(self.pending):
            for sector in range(write.offset // SECTOR, -(-(write.offset + len(write.data)) // SECTOR)):
                if kept(sector, write.number):
                    last[sector] = at
            if kept(-1, write.number):
                size = write.size
        for at, write in enumerate(self.pending):
            first, end = write.offset // SECTOR, -(-(write.offset + len(write.data)) // SECTOR)
            if all(last.get(sector, -1) >= at for sector in range(first, end)):
                out[write.offset : write.offset + len(write.data)] = write.data
                continue
            for sector in range(first, end):
                if last.get(sector, -1) >= at:
                    low = max(write.offset, sector * SECTOR)
                    high = min(write.offset + len(write.data), (sector + 1) * SECTOR)
                    out[low:high] = write.data[low - write.offset : high - write.offset]
        return bytes(out[:size]) + bytes(max(0, size - len(out)))


class _Folder:
    def __init__(self) -> None:
        self.live: dict[str, _File | _Folder] = {}
        self.durable: dict[str, _File | _Folder] = {}
        self.pending: list[_Name] = []


def _apply(change: _Name, names: Callable[[_Folder], dict[str, _File | _Folder]]) -> None:
    if change.removed is not None:
        folder, name = change.removed
        if change.node is None or names(folder).get(name) is change.node:
            names(folder).pop(name, None)
    if change.made is not None:
        folder, name = change.made
        assert change.node is not None
        names(folder)[name] = change.node


class State(msgspec.Struct, frozen=True):
    """What the disk holds: the folders, and the files with their content, by path."""

    folders: tuple[str, ...]
    files: dict[str, bytes]

    def digest(self) -> str:
        """Equal for equal states."""
        hashed = hashlib.blake2b(repr(self.folders).encode(), digest_size=16)
        for path, data in self.files.items():
            hashed.update(f"{path}\0{len(data)}\0".encode())
            hashed.update(data)
        return hashed.hexdigest()

    def write(self, folder: Path) -> None:
        """Make it, in a folder that does not exist."""
        folder.mkdir(parents=True)
        for name in self.folders:
            (folder / name).mkdir()
        for name, data in self.files.items():
            (folder / name).write_bytes(data)


class Disk:
    """The disk under one folder, at first empty, as changes are made to it one by one.

    An fsync of a path for which `ignored` is true makes nothing durable: a disk that lies, or a program that forgot it.
    """

    def __init__(self, *, ignored: Callable[[str], bool] = lambda path: False) -> None:
        self._root = _Folder()
        self._ignored = ignored
        self.changes = 0

    def apply(self, change: Entry) -> None:
        """Make one change. What is done to a file without a name is of no consequence."""
        self.changes += 1
        number = self.changes
        match change.kind:
            case Kind.WRITE | Kind.TRUNCATE | Kind.SYNC | Kind.SYNC_FAILED | Kind.SNAPSHOT:
                node = self._node(change.path)
                if isinstance(node, _File):
                    self._to_file(node, change)
            case Kind.SYNC_FOLDER:
                node = self._node(change.path)
                if isinstance(node, _Folder) and not self._ignored(change.path):
                    self._sync_folder(node)
            case Kind.RENAME | Kind.LINK:
                self._rename(change)
            case Kind.UNLINK | Kind.RMDIR:
                folder, name = self._place(change.path)
                self._change(_Name(number, folder.live.get(name), (folder, name), None))
            case Kind.MKDIR | Kind.CREATE:
                folder, name = self._place(change.path)
                if name not in folder.live:
                    made = _Folder() if change.kind is Kind.MKDIR else _File(change.path)
                    self._change(_Name(number, made, None, (folder, name)))
            case Kind.NOTE:
                pass

    def live(self) -> State:
        """All that was done, as running programs see it."""
        return self._state(lambda folder: folder.live, lambda file: bytes(file.live))

    def after_failure(self, keep: Keep) -> State:
        """What is left when the power fails now."""
        names: dict[_Folder, dict[str, _File | _Folder]] = {}

        def of(folder: _Folder) -> dict[str, _File | _Folder]:
            if folder not in names:
                names[folder] = dict(folder.durable)
            return names[folder]

        changes = {change.number: change for folder in self._folders() for change in folder.pending}
        for number in sorted(changes):
            if keep.name(number):
                _apply(changes[number], of)
        return self._state(of, lambda file: file.after_failure(keep))

    def pending_names(self) -> list[int]:
        """The records that changed names and are not durable, in order."""
        return sorted({change.number for folder in self._folders() for change in folder.pending})

    def pending_files(self) -> dict[str, list[int]]:
        """The files that have writes that are not durable, with the records of these."""
        return {
            file.path: [write.number for write in file.pending]
            for folder in self._folders()
            for file in (*folder.durable.values(), *folder.live.values())
            if isinstance(file, _File) and file.pending
        }

    def _to_file(self, file: _File, change: Entry) -> None:
        number = self.changes
        if change.kind is Kind.WRITE:
            file.write(number, change.offset, change.data)
        elif change.kind is Kind.TRUNCATE:
            file.truncate(number, change.length)
        elif change.kind is Kind.SNAPSHOT:
            file.truncate(number, 0)
            file.write(number, 0, change.data)
        elif change.kind is Kind.SYNC_FAILED:
            file.fail()
        elif not self._ignored(change.path):
            file.sync()

    def _rename(self, change: Entry) -> None:
        source, target = self._place(change.path), self._place(change.path2)
        node = source[0].live.get(source[1])
        if node is None:
            return
        if isinstance(node, _File):
            node.path = change.path2
        self._change(_Name(self.changes, node, source if change.kind is Kind.RENAME else None, target))

    def _change(self, change: _Name) -> None:
        _apply(change, lambda folder: folder.live)
        for folder in {folder for folder, _ in change.places()}:
            folder.pending.append(change)

    def _sync_folder(self, folder: _Folder) -> None:
        for change in list(folder.pending):
            _apply(change, lambda folder: folder.durable)
            for other, _ in change.places():
                if change in other.pending:
                    other.pending.remove(change)

    def _node(self, path: str) -> _File | _Folder | None:
        node: _File | _Folder | None = self._root
        for part in path.split("/"):
            if part in ("", "."):
                continue
            node = node.live.get(part) if isinstance(node, _Folder) else None
        return node

    def _place(self, path: str) -> tuple[_Folder, str]:
        above, _, name = path.rpartition("/")
        folder = self._node(above)
        if not isinstance(folder, _Folder):
            raise ValueError(f"Expected a folder at {above!r}, for record {self.changes}")
        return folder, name

    def _folders(self) -> Iterator[_Folder]:
        found, seen = [self._root], {self._root}
        while found:
            folder = found.pop()
            yield folder
            for node in [*folder.live.values(), *folder.durable.values()]:
                if isinstance(node, _Folder) and node not in seen:
                    seen.add(node)
                    found.append(node)

    def _state(
        self,
        names: Callable[[_Folder], dict[str, _File | _Folder]],
        content: Callable[[_File], bytes],
    ) -> State:
        folders: list[str] = []
        files: dict[str, bytes] = {}
        left: list[tuple[str, _Folder]] = [("", self._root)]
        seen = {self._root}
        while left:
            at, folder = left.pop()
            for name, node in sorted(names(folder).items(), key=lambda item: item[0]):
                path = f"{at}{name}"
                if isinstance(node, _File):
                    files[path] = content(node)
                elif node not in seen:  # a cycle of renames that no file system would keep
                    seen.add(node)
                    folders.append(path)
                    left.append((path + "/", node))
        folders.sort()
        return State(tuple(folders), dict(sorted(files.items())))


class _Same:
    """Keeps all names or none, and all data or none."""

    def __init__(self, *, names: bool, data: bool) -> None:
        self._names, self._data = names, data

    def name(self, number: int) -> bool:
        return self._names

    def data(self, path: str, writes: list[int]) -> Callable[[int, int], bool]:
        return lambda sector, number: self._data


keep_all: Keep = _Same(names=True, data=True)
keep_none: Keep = _Same(names=False, data=False)
