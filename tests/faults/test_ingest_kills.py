"""Runs of the pipeline that are killed at many points, over and over, until one gets through."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ragvec.pipeline.cache import VectorCache
from ragvec.pipeline.manifest import Manifest
from ragvec.store import Store

CHILD = Path(__file__).with_name("ingest_child.py")


@pytest.fixture(scope="module")
def child() -> ModuleType:
    spec = importlib.util.spec_from_file_location("ingest_child", CHILD)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(store: Path, log: Path, *, point: int = 0, changed: bool = False) -> int | None:
    """The number of calls of a run that came to the end, None of one that was killed."""
    environment = {**os.environ, "CHANGED": "1"} if changed else {**os.environ}
    done = subprocess.run(
        [sys.executable, str(CHILD), str(store), str(log), str(point)],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        cwd=CHILD.parents[2],
    )
    if done.returncode == -signal.SIGKILL:
        return None
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def content(folder: Path) -> dict[str, tuple[bytes, Any]]:
    with Store(folder) as store:
        index = store.bucket("docs").index("pages")
        found = {record.key: (record.data.tobytes(), record.metadata) for record in index.iter(data=True)}
        assert store.verify(deep=True).problems == ()
    return found


def whole_documents(folder: Path) -> None:
    """A reader who comes now finds each document whole in some version, old or new, or not at all."""
    with Store(folder) as store:
        if not store.bucket("docs").exists() or not store.bucket("docs").index("pages").exists():
            return
        records = list(store.bucket("docs").index("pages").iter())
        manifest = Manifest(records)
        for document in manifest:
            entry = manifest.get(document)
            versions = {
                record.metadata["_hash"]
                for record in records
                if record.metadata and record.metadata["_document_id"] == document
            }
            assert entry is not None
            assert any(entry.has(version) for version in versions), document


def kept(folder: Path, texts: set[str]) -> set[str]:
    with Store(folder) as store:
        cache = VectorCache.of(store)
        assert cache is not None
        found = set(cache.find("hashing:16", 16, sorted(texts))) if cache.path.exists() else set()
        cache.close()
    return found


def embedded(log: Path) -> list[str]:
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


@pytest.mark.parametrize("changed", [False, True], ids=["first", "update"])
def test_a_killed_run_goes_on_where_it_was(tmp_path: Path, child: ModuleType, changed: bool) -> None:
    clean, log = tmp_path / "clean", tmp_path / "clean.log"
    calls = run(clean, log)
    if changed:
        log.unlink()
        calls = run(clean, log, changed=True)
    assert calls is not None
    expected, all_texts = content(clean), set(embedded(log))

    points = 8
    store, log = tmp_path / "store", tmp_path / "store.log"
    if changed:
        run(store, log)
        log.unlink()
    kills = 0
    # A store that is killed at one point after the other: each run goes on from what the one before left.
    for number in range(points):
        before, had = len(embedded(log)), kept(store, all_texts)
        ended = run(store, log, point=calls * (2 * number + 1) // (4 * points), changed=changed)
        kills += ended is None
        again = set(embedded(log)[before:]) & had
        assert not again, f"embedded again after kill {number}: {sorted(again)[:3]}"
        whole_documents(store)
    assert kills > points // 2
    before, had = len(embedded(log)), kept(store, all_texts)
    assert run(store, log, changed=changed) is not None
    assert not set(embedded(log)[before:]) & had
    assert content(store) == expected
    # What was in the embedder's hands when the process died is all that may be embedded twice: a batch a kill.
    assert len(embedded(log)) - len(set(embedded(log))) <= kills * 256


@pytest.mark.slow
@pytest.mark.parametrize("changed", [False, True], ids=["first", "update"])
def test_killed_at_each_of_many_points(tmp_path: Path, changed: bool) -> None:
    """A fresh store for each point, and one more run, which must give what a clean run gives."""
    base, log = tmp_path / "base", tmp_path / "log"
    clean = tmp_path / "clean"
    run(clean, log)
    calls = run(clean, log, changed=True) if changed else run(base, log)
    assert calls is not None
    expected = content(clean)
    for number in range(20):
        store, log = tmp_path / f"store-{number}", tmp_path / f"log-{number}"
        if changed:
            run(store, log)
            log.unlink()
        run(store, log, point=1 + calls * number // 20, changed=changed)
        whole_documents(store)
        had = kept(store, set(embedded(log)))
        before = len(embedded(log))
        assert run(store, log, changed=changed) is not None
        assert not set(embedded(log)[before:]) & had
        assert content(store) == expected, number
