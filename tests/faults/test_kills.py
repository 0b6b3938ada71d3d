"""A short form of tests/torture/kills.py, and that it would notice what it looks for."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ragvec.store import Store
from tests.torture import kills
from tests.torture.disk import Kind, ShimMissing, compile_shim
from tests.torture.workload import check, run
from tests.torture.workload_model import DIMENSION, Journal, vectors_of

ROUNDS = 40
MEMORY = Path("/dev/shm")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """In memory where that can be: a killed process loses nothing that it wrote, whether that reached a disk or not."""
    try:
        compile_shim(tmp_path)
    except ShimMissing as reason:
        pytest.skip(str(reason))
    if not MEMORY.is_dir() or shutil.disk_usage(MEMORY).free < 1 << 28:
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=MEMORY) as found:
        yield Path(found)


def test_killed_processes_lose_nothing_that_was_acknowledged(folder: Path) -> None:
    figures = kills.run(rounds=ROUNDS, seed=1, folder=folder)
    assert int(figures["kills"]) >= 30
    assert int(figures["checked"]) > 1000
    assert int(figures["kinds of step"]) > 20


@pytest.mark.slow
def test_killed_processes_at_many_more_steps(folder: Path) -> None:
    assert int(kills.run(rounds=600, seed=2, folder=folder)["kills"]) >= 500


def test_steps_are_named_alike_in_every_run() -> None:
    path = (
        "indexes/3fe0238f-df12-4fa1-b0a1-912628dab41a/g000001/segments/tmp-tail-72b91e8876d042469c140100df5e118b/a.npy"
    )
    assert kills.step_name(Kind.SYNC, path) == "sync indexes/UID/gN/segments/tmp-tail-ID/FILE"
    path = "indexes/3fe0238f-df12-4fa1-b0a1-912628dab41a/g000001/postings/000000000000-000000000064.post"
    assert kills.step_name(Kind.CREATE, path) == "create indexes/UID/gN/postings/ROWS.post"
    assert kills.step_name(Kind.SYNC_FOLDER, "") == "sync_folder ."


@pytest.fixture
def store(tmp_path: Path) -> Path:
    run(tmp_path / "store", Journal(tmp_path / "journal"), seed=4, steps=3, group="commit")
    return tmp_path / "store"


def journal_of(store: Path) -> Journal:
    return Journal(store.with_name("journal"))


def test_a_store_that_is_as_its_journal_says_passes_and_may_be_checked_again(store: Path) -> None:
    first = check(store, journal_of(store).path)
    assert first > 0
    assert check(store, journal_of(store).path, again=False) > 0
    assert not journal_of(store).pending


def test_an_acknowledged_write_that_is_lost_is_noticed(store: Path) -> None:
    journal = journal_of(store)
    names = {"bucket": "first", "index": "i0"}
    journal.acknowledge(journal.begin({"do": "put", **names, "keys": ["lost"], "seed": 1}))
    with pytest.raises(AssertionError, match="lacks.*lost"):
        check(store, journal.path)


def test_a_half_batch_is_noticed_and_a_whole_one_or_none_is_not(store: Path) -> None:
    journal = journal_of(store)
    operation = {"do": "put", "bucket": "first", "index": "i0", "keys": ["one", "two"], "seed": 1}
    journal.begin(operation)
    with Store(store) as opened:
        opened.bucket("first").index("i0").put(["one"], vectors_of(operation)[:1], [{"n": 1}])
    with pytest.raises(AssertionError, match="no set of the pending operations"):
        check(store, journal.path)
    with Store(store) as opened:
        opened.bucket("first").index("i0").delete(["one"])
    check(store, journal.path, again=False)
    again = journal_of(store)
    assert not again.pending
    assert len(again.absent) == 1


def test_another_vector_is_noticed(store: Path) -> None:
    with Store(store) as opened:
        index = opened.bucket("first").index("i0")
        record = next(index.iter(data=True))
        index.put([record.key], [[0.5] * DIMENSION], [record.metadata])
    with pytest.raises(AssertionError, match="expected"):
        check(store, journal_of(store).path)
