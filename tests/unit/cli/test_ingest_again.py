"""`ragvec ingest` that only tells, that rebuilds, and that keeps vectors; `ragvec cache`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ragvec.pipeline.cache import VectorCache
from ragvec.store import Store

Run = Callable[..., Any]


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.txt").write_text(f"Document {number} says one thing. And another one.")
    return folder


def test_a_dry_run_leaves_no_trace(ragvec: Run, documents: Path, store: Path) -> None:
    done = ragvec("ingest", documents, "--into", "work/notes", "--embedder", "hashing", "--dry-run")
    assert done.status == 0
    assert "added 3" in done.out
    assert "dry run: nothing was embedded or written" in done.out
    assert not store.exists()
    ragvec("ingest", documents, "--into", "work/notes", "--embedder", "hashing")
    (documents / "1.txt").write_text("Something else.")
    (documents / "2.txt").unlink()
    told = ragvec("ingest", documents, "--into", "work/notes", "--remove-missing", "--dry-run", "--json").json["report"]
    assert (told["replaced"], told["removed"], told["unchanged"], told["dry_run"]) == (1, 1, 1, True)
    with Store(store) as opened:
        assert opened.bucket("work").index("notes").count() == 3


def test_a_rebuild_takes_another_embedder(ragvec: Run, documents: Path, store: Path) -> None:
    ragvec("ingest", documents, "--into", "work/notes", "--embedder", "hashing:16")
    refused = ragvec("ingest", documents, "--into", "work/notes", "--embedder", "hashing:32")
    assert refused.status != 0
    done = ragvec("ingest", documents, "--into", "work/notes", "--embedder", "hashing:32", "--rebuild")
    assert (done.status, done.err) == (0, "")
    with Store(store) as opened:
        assert [(index.name, index.dimension) for index in opened.bucket("work").indexes()] == [("notes", 32)]
    both = ragvec("ingest", documents, "--into", "work/notes", "--rebuild", "--dry-run")
    assert both.status != 0
    assert "--dry-run: not with --rebuild" in both.err


def test_the_cache_is_shown_and_cleared(ragvec: Run, documents: Path, store: Path) -> None:
    ragvec("ingest", documents, "--into", "work/notes", "--embedder", "hashing", "--no-cache")
    assert ragvec("cache", "--json").json["vectors"] == 0
    with Store(store) as opened:
        cache = VectorCache.of(opened)
        assert cache is not None
        cache.keep("model", ["a", "b"], np.ones((2, 8), dtype=np.float32))
        cache.close()
    assert ragvec("cache").out.startswith("2 vectors, ")
    cleared = ragvec("cache", "--clear", "--json").json
    assert (cleared["vectors"], cleared["cleared"]) == (2, True)
    assert ragvec("cache", "--json").json["vectors"] == 0
