from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ragvec as package

Run = Callable[..., Any]


@pytest.fixture
def index(store: Path) -> Any:
    with package.Store(store) as opened:
        made = opened.create_bucket("work").create_index("notes", dimension=3)
        made.put([f"k{n}" for n in range(300)], np.ones((300, 3)))
        opened.bucket("work").create_index("other", dimension=2).put(["a"], [[1.0, 2.0]])
        yield made


def test_backup_and_restore(ragvec: Run, index: Any, store: Path, tmp_path: Path) -> None:
    monday, tuesday = tmp_path / "monday", tmp_path / "tuesday"
    done = ragvec("backup", monday)
    assert done.status == 0
    assert done.out.startswith(f"Backed up 2 indexes of {store} to {monday}: ")
    document = ragvec("backup", tuesday, "--since", monday, "--json").json
    assert document["path"] == str(tuesday)
    assert 0 < document["linked_bytes"] < document["bytes"]
    assert {one["name"]: one["rows"] for one in document["indexes"]} == {"notes": 300, "other": 1}
    index.delete(where={})
    index.bucket.store.close()
    done = ragvec("restore", tuesday)
    assert (done.status, done.out) == (1, "")
    assert "with `replace` the store that is there is kept beside" in done.err
    document = ragvec("restore", tuesday, "--replace", "--json").json
    assert Path(document["kept"]).is_dir()
    assert ragvec("vectors", "count", "work/notes").out == "300\n"
    done = ragvec("restore", monday, "--index", "work/notes", "--as", "work/again")
    assert done.out.startswith(f"Restored work/notes from {monday}") or done.out.startswith("Restored work/again")
    assert ragvec("vectors", "count", "work/again").out == "300\n"


def test_a_backup_can_be_looked_at_and_not_changed(ragvec: Run, index: Any, tmp_path: Path) -> None:
    ragvec("backup", tmp_path / "backup", "--index", "work/notes")
    assert ragvec("--store", tmp_path / "backup", "stats", "--json").json["indexes"][0]["vectors"] == 300
    done = ragvec("--store", tmp_path / "backup", "buckets", "create", "more")
    assert done.status == 1
    assert "is a backup, which is never written to" in done.err


def test_what_is_wrong_is_said_on_one_line(ragvec: Run, index: Any, store: Path, tmp_path: Path) -> None:
    for words, message in (
        (("backup", store / "inside"), "Expected a folder outside the store"),
        (("backup", tmp_path / "b", "--bucket", "absent"), "vector bucket could not be found"),
        (("backup", tmp_path / "b", "--since", store), "is not a backup"),
        (("restore", store, "--store", tmp_path / "new"), "is not a backup: it has no backup.json"),
        (("backup", tmp_path / "b", "--store", tmp_path / "absent"), "There is no store at"),
    ):
        done = ragvec(*words)
        assert (done.status, done.out, done.err.count("\n")) == (1, "", 1), words
        assert message in done.err
    assert ragvec("backup", tmp_path / "b", "--bucket", "a", "--index", "a/b").status == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["store"]


def test_compact(ragvec: Run, index: Any) -> None:
    index.delete([f"k{n}" for n in range(200)])
    text = ragvec("compact", "work/other").out
    assert "work/other" in text
    assert "work/notes" not in text
    document = ragvec("compact", "--json").json
    rows = {row["index"]: row for row in document["indexes"]}
    assert (rows["notes"]["rows_before"], rows["notes"]["rows_after"], rows["notes"]["vectors"]) == (300, 100, 100)
    assert rows["other"]["rows_before"] == rows["other"]["rows_after"] == 1
    assert rows["notes"]["bytes_after"] < rows["notes"]["bytes_before"] + 1_000_000
    assert index.stats().generation == 1
    assert ragvec("compact", "work/absent").status == 1


def test_parquet_by_name_and_by_option(ragvec: Run, index: Any, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="pyarrow is an extra")
    path, other = tmp_path / "notes.parquet", tmp_path / "notes.dat"
    assert ragvec("export", "work/notes", path, "--columns", "--json").json == {"exported": 300, "file": str(path)}
    assert ragvec("export", "work/notes", other, "--format", "parquet").status == 0
    for number, file in enumerate((path, other)):
        options = ("--format", "parquet") if file is other else ()
        assert ragvec("import", file, f"work/copy{number}", *options, "--json").json["imported"] == 300
    assert ragvec("import", "-", "work/x", "--format", "parquet").status == 2
    done = ragvec("import", path, "work/y", "--key-column", "key")
    assert (done.status, "which tells them" in done.err) == (1, True)
