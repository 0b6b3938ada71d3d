"""Texts are found by the next search in any process, also after processes were killed wherever they were."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ragvec.care import verify
from ragvec.engine.local.engine import LocalEngine
from ragvec.engine.local.text_feed import TextFeeds
from ragvec.engine.protocol import BucketInfo, IndexSpec, TextField

sys.path.insert(0, str(Path(__file__).parent))
from text_writer import BLOCK, told_in, unfound

KILLS = 12
PROCESSES = 3


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    defaults: Any = TextFeeds.__init__
    monkeypatch.setitem(defaults.__kwdefaults__, "block_rows", BLOCK)
    with LocalEngine(tmp_path / "store", background=False) as engine:
        engine.catalog.create_bucket(BucketInfo("bucket", 0.0), tags={}, max_buckets=None)
        spec = IndexSpec("b" * 32, "bucket", "index", 2, "euclidean", 0.0)
        engine.catalog.create_index(spec, tags={}, max_indexes=None, text=[TextField("t")])
    return tmp_path / "store"


def writer(store: Path, name: str, rounds: int) -> subprocess.Popen[str]:
    command = [sys.executable, str(Path(__file__).with_name("text_writer.py"))]
    arguments = [str(store), name, str(rounds), str(store.parent / "told")]
    return subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def all_there(store: Path) -> None:
    told = told_in(store.parent / "told")
    assert told
    with LocalEngine(store, background=False) as engine:
        index = engine.index(engine.catalog.index("bucket", "index"))
        assert unfound(index, told, field="t") == []
        index.optimize()
        assert unfound(index, told, field="t") == []
    assert verify(store, deep=True).problems == ()


def test_nothing_acknowledged_is_lost_to_text_search_by_kills(store: Path) -> None:
    """One process after the other is killed, wherever it is: in a write, in persisting or merging lists, in making
    those of a new field, in a compaction."""
    draw = random.Random(7)
    told = store.parent / "told"
    for number in range(KILLS):
        before = len(told_in(told))
        process = writer(store, f"p{number}", 10_000)
        goal = before + draw.randint(3, 60)
        while len(told_in(told)) < goal and process.poll() is None:
            pass
        process.kill()
        printed, errors = process.communicate()
        assert (printed, errors) == ("", ""), f"process {number}"
    all_there(store)


def test_processes_find_what_others_have_written(store: Path) -> None:
    running = [writer(store, f"p{number}", 40) for number in range(PROCESSES)]
    for process in running:
        printed, errors = process.communicate(timeout=240)
        assert (printed, errors, process.returncode) == ("", "", 0)
    all_there(store)
