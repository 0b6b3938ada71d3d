"""Stores on a file system that this process cannot write, while others can."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from local_store import ROWS, filled

from ragvec.store import Store


@pytest.fixture
def read_only_view(tmp_path: Path) -> Iterator[Path]:
    """The folder `real` beside it, mounted where it cannot be written."""
    (tmp_path / "real").mkdir()
    view = tmp_path / "view"
    view.mkdir()
    if subprocess.run(["mount", "--bind", str(tmp_path / "real"), str(view)], capture_output=True).returncode:
        pytest.skip("mounting needs root")
    subprocess.run(["mount", "-o", "remount,ro,bind", str(view)], check=True)
    yield view
    subprocess.run(["umount", "-l", str(view)], check=True)


def test_a_reader_without_permission_to_write_sees_later_changes(read_only_view: Path) -> None:
    real = read_only_view.parent / "real"
    store, _ = filled(real / "store")
    store.close()
    reader = Store(read_only_view / "store", read_only=True).bucket("bucket").index("index")
    assert reader.count() == ROWS
    for n in range(3):
        with Store(real / "store") as writer:
            writer.bucket("bucket").index("index").put([f"later{n}"], [[1.0, 1.0]])
        assert reader.count() == ROWS + n + 1
    reader.bucket.store.close()


def test_committed_changes_in_a_log_are_read_where_nothing_can_be_written(read_only_view: Path) -> None:
    real = read_only_view.parent / "real"
    store, index = filled(real / "store")
    store.close()
    index.put(["in the log"], [[1.0, 1.0]])
    # A copy of a store in use, without the files of shared memory.
    shutil.copytree(real / "store", real / "copy", ignore=shutil.ignore_patterns("*-shm"))
    store.close()
    reader = Store(read_only_view / "store", read_only=True).bucket("bucket").index("index")
    assert reader.count() == ROWS + 1
    reader.bucket.store.close()
    before = {path: path.read_bytes() for path in (real / "copy").rglob("*") if path.is_file()}
    with Store(read_only_view / "copy", read_only=True) as copy:
        index = copy.bucket("bucket").index("index")
        for _ in range(2):
            assert index.count() == ROWS + 1
            assert index.get(["in the log"])[0].key == "in the log"
            assert index.query([1.0, 1.0], k=1, where={}).keys == ["in the log"]
    assert before == {path: path.read_bytes() for path in (real / "copy").rglob("*") if path.is_file()}
    with Store(real / "copy") as opened:
        assert opened.bucket("bucket").index("index").count() == ROWS + 1
