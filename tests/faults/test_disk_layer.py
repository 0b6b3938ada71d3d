"""The file layer under the torture tests: what it counts, logs, fails and kills at is what happened."""

from __future__ import annotations

import errno
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.torture.disk import Control, Entry, Kind, ShimMissing, compile_shim, environment, read_log

SCRIPT = """
import os, subprocess, sys
import numpy as np
import ragvec

notes, root = sys.argv[1], sys.argv[2]
with open(notes, "a") as file:
    file.write("begun")
store = ragvec.Store(root + "/store")
index = store.create_bucket("b").create_index("i", dimension=4)
index.put([str(n) for n in range(40)], np.ones((40, 4)), [{"n": n} for n in range(40)])
index.delete(["3"])
index.compact()
store.close()
np.save(root + "/by-stdio.npy", np.arange(1000))
with open(root + "/by-stdio.npy", "r+b") as file:
    os.fsync(file.fileno())
subprocess.run([sys.executable, "-c", "open(%r, 'w').write('by a child')" % (root + "/child")], check=True)
os.truncate(root + "/child", 4)
os.link(root + "/child", root + "/linked")
os.rename(root + "/linked", root + "/renamed")
with open(root + "/renamed", "ab") as file:
    file.write(b" appended")
with open(root + "/copied", "wb") as out, open(root + "/renamed", "rb") as source:
    os.sendfile(out.fileno(), source.fileno(), 0, 100)
with open(root + "/ignored.mark", "wb") as file:
    file.write(b"x")
"""


class Layer:
    """A folder that is followed."""

    def __init__(self, folder: Path) -> None:
        self.root, self.log, self.notes = folder / "root", folder / "log", folder / "notes"
        self.root.mkdir()
        self.notes.touch()
        self.control = Control(folder / "control")
        self._environment = environment(
            compile_shim(folder), self.control, root=self.root, log=self.log, notes=self.notes
        )

    def run(self, script: str) -> subprocess.CompletedProcess[str]:
        """The script in a process that is followed."""
        command = [sys.executable, "-c", script, str(self.notes), str(self.root)]
        return subprocess.run(command, env=self._environment, capture_output=True, text=True, check=False)

    def entries(self) -> list[Entry]:
        """The log."""
        return list(read_log(self.log))


@pytest.fixture
def layer(tmp_path: Path) -> Layer:
    try:
        return Layer(tmp_path)
    except ShimMissing as reason:
        pytest.skip(str(reason))


def replayed(entries: list[Entry]) -> dict[str, bytes]:
    """The files, by path, that the log says there are."""
    files: dict[str, bytearray] = {}
    for entry in entries:
        match entry.kind:
            case Kind.CREATE:
                files[entry.path] = bytearray()
            case Kind.WRITE:
                held = files.setdefault(entry.path, bytearray())
                held.extend(bytes(max(0, entry.offset + entry.length - len(held))))
                held[entry.offset : entry.offset + entry.length] = entry.data
            case Kind.SNAPSHOT:
                files[entry.path] = bytearray(entry.data)
            case Kind.TRUNCATE:
                held = files[entry.path]
                held.extend(bytes(max(0, entry.length - len(held))))
                del held[entry.length :]
            case Kind.UNLINK:
                del files[entry.path]
            case Kind.LINK:
                files[entry.path2] = files[entry.path]
            case Kind.RENAME:
                inside = [path for path in files if path == entry.path or path.startswith(entry.path + "/")]
                for path in inside:
                    files[entry.path2 + path[len(entry.path) :]] = files.pop(path)
            case _:
                pass
    return {path: bytes(held) for path, held in files.items()}


def test_the_log_says_what_became_of_every_file(layer: Layer) -> None:
    done = layer.run(SCRIPT)
    assert done.returncode == 0, done.stderr
    there = {
        str(path.relative_to(layer.root)): path.read_bytes()
        for path in layer.root.rglob("*")
        if path.is_file() and path.suffix != ".mark"
    }
    entries = layer.entries()
    assert replayed(entries) == there
    assert len({entry.pid for entry in entries}) == 2
    assert (entries[0].kind, entries[0].data) == (Kind.NOTE, b"begun")
    counted = [entry for entry in entries if entry.kind not in (Kind.NOTE, Kind.SNAPSHOT)]
    assert len(counted) <= layer.control.operations <= len(counted) + 8, "those that fail by themselves are counted too"
    assert {Kind.SYNC, Kind.SYNC_FOLDER, Kind.MKDIR, Kind.SNAPSHOT} <= {entry.kind for entry in entries}


WRITES = "import sys\nfor n in range(9):\n    open(sys.argv[2] + f'/{n}', 'wb', buffering=0).write(b'12345678')\n"


@pytest.mark.parametrize("after", [False, True])
def test_a_process_is_killed_before_or_after_an_operation(layer: Layer, *, after: bool) -> None:
    if after:
        layer.control.kill_after = 4
    else:
        layer.control.kill_before = 4
    assert layer.run(WRITES).returncode == -signal.SIGKILL
    assert layer.control.killed == (Kind.WRITE, "1")
    assert (layer.root / "1").read_bytes() == (b"12345678" if after else b"")
    assert not (layer.root / "2").exists()
    layer.control.reset()
    assert layer.run(WRITES).returncode == 0, "the lock went with the process"
    assert len(list(layer.root.iterdir())) == 9


def test_operations_fail_where_they_should_as_often_as_they_should(layer: Layer) -> None:
    layer.control.fail(3, error=errno.ENOSPC, kinds={Kind.WRITE}, count=1)
    done = layer.run(WRITES)
    assert "No space left on device" in done.stderr
    assert layer.control.failed == 1
    assert sorted(path.name for path in layer.root.iterdir()) == ["0", "1"]
    assert (layer.root / "1").read_bytes() == b""


def test_a_disk_that_becomes_full_may_take_half_of_a_write(layer: Layer) -> None:
    layer.control.fail(2, error=errno.ENOSPC, kinds={Kind.WRITE})
    layer.control.short_write = 1
    layer.run(WRITES)
    assert (layer.root / "0").read_bytes() == b"1234"


def test_a_file_that_is_no_log_is_refused(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"x" * 100)
    with pytest.raises(ValueError, match="expected an entry at byte 0"):
        list(read_log(tmp_path / "log"))
