from __future__ import annotations

import logging
import multiprocessing
import os
import random
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ragvec.engine.local.postings import PostingStore, PostingView
from ragvec.errors import Corrupted
from ragvec.filters.bitmap import rows_matching
from ragvec.filters.interpret import matches
from ragvec.filters.nodes import And, Compare, Eq, Exists, Filter, In, Not, Or, StartsWith

BLOCK = 8
FILTERS: list[Filter] = [
    Eq("lang", "en"),
    Not(Eq("lang", "en")),
    Eq("id", "id-0007"),
    In("tags", ("t1", "t2")),
    Compare("n", "gte", 10),
    And((Compare("n", "gt", 5), Compare("n", "lt", 2**53 + 20), Eq("even", True))),
    StartsWith("id", "id-000"),
    Exists("text"),
    Or((Exists("rare"), Eq("tags", "t0"))),
]


def document(row: int) -> dict[str, Any]:
    number = 2**53 + row if row % 5 == 0 else row / 2
    rare = {"rare": [row, True]} if row % 11 == 0 else {}
    tags = [f"t{row % 3}", f"t{row % 4}"]
    return {
        "id": f"id-{row:04d}",
        "lang": ("en", "fr")[row % 2],
        "n": number,
        "even": row % 2 == 0,
        "tags": tags,
    } | rare


def stored(rows: range) -> list[bytes | None]:
    return [None if row % 13 == 12 else msgspec.json.encode(document(row) | {"text": "secret"}) for row in rows]


def expected(where: Filter, rows: int) -> list[int]:
    return [row for row in range(rows) if matches(where, {} if row % 13 == 12 else {**document(row), "text": "secret"})]


def open_store(folder: Path, **options: Any) -> PostingStore:
    return PostingStore(folder, non_filterable=options.pop("non_filterable", ()), block_rows=BLOCK, **options)


def fill(store: PostingStore, rows: int) -> None:
    store.extend(store.covered, stored(range(store.covered, rows)))


def agrees(view: PostingView, rows: int) -> bool:
    return view.covered == rows and all(list(rows_matching(where, view)) == expected(where, rows) for where in FILTERS)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def flip(path: Path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 0x10
    path.write_bytes(data)


def test_an_absent_folder_is_an_empty_store_and_reading_makes_no_folder(tmp_path: Path) -> None:
    store = open_store(tmp_path / "postings", read_only=True)
    assert (store.covered, store.runs_end, store.damaged) == (0, 0, [])
    assert len(store.view().universe()) == 0
    fill(store, 20)
    store.seal()
    assert agrees(store.view(), 20)
    assert not (tmp_path / "postings").exists()


def test_seal_persists_full_blocks_and_the_next_opening_finds_them(tmp_path: Path) -> None:
    folder = tmp_path / "postings"
    store = open_store(folder)
    fill(store, 21)
    store.seal()
    assert (store.covered, store.runs_end) == (21, 16)
    assert names(folder) == ["000000000000-000000000008.post", "000000000008-000000000016.post"]
    reopened = open_store(folder)
    assert (reopened.covered, reopened.runs_end) == (16, 16)
    fill(reopened, 21)
    assert agrees(reopened.view(), 21)
    assert reopened.verify() == []


def test_runs_merge_as_they_grow_and_superseded_files_go(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    for rows in range(BLOCK, 60 * BLOCK + 1, BLOCK):
        fill(store, rows)
        store.seal()
        assert len(store.runs) <= 9
        assert names(tmp_path) == sorted(run.path.name for run in store.runs if run.path is not None)
    assert [(run.last - run.first) // BLOCK for run in store.runs] == [16, 16, 16, 4, 4, 4]
    assert agrees(store.view(), 60 * BLOCK)
    assert agrees(open_store(tmp_path).view(), 60 * BLOCK)


def test_runs_merge_in_memory_when_nothing_may_be_written(tmp_path: Path) -> None:
    store = open_store(tmp_path, read_only=True)
    for rows in range(5, 60 * BLOCK, 5):
        fill(store, rows)
    assert len(store.runs) <= 9
    assert agrees(store.view(), store.covered)
    assert names(tmp_path) == []


def test_extend_continues_where_the_store_ends(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    fill(store, 3)
    with pytest.raises(ValueError, match="Expected the rows from 3 on, got 2"):
        store.extend(2, [None])


@pytest.mark.parametrize("bad", [b"[1]", b"{", b'{"a": "\xff"}', b""])
def test_a_row_whose_metadata_is_not_an_object_is_named_and_has_none(
    tmp_path: Path, bad: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    store = open_store(tmp_path)
    store.extend(0, [*stored(range(10)), bad, None])
    assert "Row 10 in" in caplog.text
    assert "has damaged metadata" in caplog.text
    for where in FILTERS:
        assert [row for row in rows_matching(where, store.view()) if row < 10] == expected(where, 10)
    assert store.covered == 12
    assert [row for row in store.view().exists("n") if row >= 10] == []


def test_non_filterable_keys_are_not_indexed(tmp_path: Path) -> None:
    store = open_store(tmp_path, non_filterable=("text",))
    fill(store, 3 * BLOCK + 2)
    store.seal()
    assert not store.view().exists("text")
    assert not store.view().equal("text", "secret")
    assert store.view().exists("lang")
    assert not any(b"secret" in path.read_bytes() for path in tmp_path.iterdir())


def test_runs_made_under_other_non_filterable_keys_are_not_used(tmp_path: Path) -> None:
    store = open_store(tmp_path, non_filterable=("text",))
    fill(store, BLOCK)
    store.seal()
    other = open_store(tmp_path)
    assert other.covered == 0
    assert len(other.damaged) == 1


def test_answers_belong_to_the_caller(tmp_path: Path) -> None:
    big = 4 * 2048
    store = PostingStore(tmp_path, non_filterable=(), block_rows=big)
    store.extend(0, [b'{"a":1,"b":"x"}'] * big)
    store.seal()
    view = store.view()
    asks = {
        "equal": lambda: view.equal("a", 1),
        "any_of": lambda: view.any_of("b", ("x", "y")),
        "compare": lambda: view.compare("a", [("gt", 0)]),
        "starts_with": lambda: view.starts_with("b", ""),
        "exists": lambda: view.exists("a"),
        "universe": view.universe,
    }
    for ask in asks.values():
        ask().clear()
    assert {name: len(ask()) for name, ask in asks.items()} == dict.fromkeys(asks, big)


def test_nan_and_unknown_fields_match_nothing(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    fill(store, 2 * BLOCK + 3)
    view = store.view()
    assert not view.equal("n", float("nan"))
    assert not view.compare("n", [("lt", float("nan"))])
    assert not view.compare("absent", [("lt", 1)])
    assert not view.any_of("absent", [1, "x"])
    assert not view.starts_with("absent", "")
    assert not view.exists("absent")
    assert not view.equal("lang", "\ud800")


DAMAGE = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "cut short": lambda path: path.write_bytes(b"rag"),
    "empty": lambda path: path.write_bytes(b""),
    "grown": lambda path: path.write_bytes(path.read_bytes() + b"\0"),
    "magic": lambda path: flip(path, 0),
    "version": lambda path: flip(path, 8),
    "header": lambda path: flip(path, len(path.read_bytes()) - 40),
    "trailer": lambda path: flip(path, len(path.read_bytes()) - 20),
    "another range": lambda path: path.write_bytes(path.with_name("000000000016-000000000024.post").read_bytes()),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_file_is_left_out_reported_and_replaced(tmp_path: Path, damage: Any) -> None:
    store = open_store(tmp_path)
    fill(store, 3 * BLOCK)
    store.seal()
    victim = tmp_path / "000000000008-000000000016.post"
    good = victim.read_bytes()
    damage(victim)
    store = open_store(tmp_path)
    assert (store.covered, store.damaged) == (BLOCK, [victim])
    fill(store, 3 * BLOCK)
    assert agrees(store.view(), 3 * BLOCK)
    store.seal()
    assert victim.read_bytes() == good
    assert open_store(tmp_path).covered == 3 * BLOCK


@pytest.mark.parametrize("read_only", [False, True])
def test_a_damaged_section_is_found_on_first_use_and_recovered_from(tmp_path: Path, read_only: bool) -> None:
    store = open_store(tmp_path)
    fill(store, 2 * BLOCK)
    store.seal()
    victim = tmp_path / "000000000000-000000000008.post"
    flip(victim, 20)
    store = open_store(tmp_path, read_only=read_only)
    fill(store, 2 * BLOCK + 3)
    view = store.view()
    with pytest.raises(Corrupted, match="a section does not match its checksum") as caught:
        [rows_matching(where, view) for where in FILTERS]
    assert caught.value.store == str(victim)
    store.recover()
    assert (store.covered, store.damaged) == (0, [victim])
    fill(store, 2 * BLOCK + 3)
    assert agrees(store.view(), 2 * BLOCK + 3)
    store.seal()
    assert agrees(store.view(), 2 * BLOCK + 3)
    assert victim.exists()
    assert open_store(tmp_path).verify() == ([victim] if read_only else [])


def test_verify_names_every_damaged_file(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    fill(store, 3 * BLOCK)
    store.seal()
    victims = sorted(tmp_path.iterdir())[1:]
    for victim in victims:
        flip(victim, 17)
    store = open_store(tmp_path)
    assert store.verify() == victims
    assert store.damaged == victims


def test_damage_met_by_a_merge_costs_no_answer(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    fill(store, 3 * BLOCK)
    store.seal()
    flip(tmp_path / "000000000008-000000000016.post", 20)
    store = open_store(tmp_path)
    fill(store, 4 * BLOCK)
    store.seal()  # four runs of a size: due to merge, and the second is damaged
    assert store.covered == BLOCK
    fill(store, 4 * BLOCK)
    store.seal()
    assert agrees(store.view(), 4 * BLOCK)
    assert names(tmp_path) == ["000000000000-000000000032.post"]


def test_the_larger_of_overlapping_runs_wins(tmp_path: Path) -> None:
    small = open_store(tmp_path)
    for rows in (BLOCK, 2 * BLOCK, 3 * BLOCK):
        fill(small, rows)
        small.seal()
    kept = {path: path.read_bytes() for path in tmp_path.iterdir()}
    fill(small, 4 * BLOCK)
    small.seal()
    for path, data in kept.items():  # as if another process had just written them
        path.write_bytes(data)
    store = open_store(tmp_path)
    assert [(run.first, run.last) for run in store.runs] == [(0, 4 * BLOCK)]
    fill(store, 5 * BLOCK)
    store.seal()
    assert names(tmp_path) == ["000000000000-000000000032.post", "000000000032-000000000040.post"]


def test_what_another_process_persisted_is_taken_over(tmp_path: Path) -> None:
    behind, ahead = open_store(tmp_path), open_store(tmp_path)
    fill(behind, 2 * BLOCK + 1)
    old = behind.view()
    fill(ahead, 9 * BLOCK)
    ahead.seal()
    behind.refresh()
    assert (behind.covered, behind.runs_end) == (9 * BLOCK, 9 * BLOCK)
    assert agrees(behind.view(), 9 * BLOCK)
    assert agrees(old, 2 * BLOCK + 1)


def test_a_refresh_never_loses_rows(tmp_path: Path) -> None:
    ahead, behind = open_store(tmp_path), open_store(tmp_path)
    fill(behind, 2 * BLOCK)
    behind.seal()
    fill(ahead, 5 * BLOCK + 3)
    ahead.refresh()
    assert agrees(ahead.view(), 5 * BLOCK + 3)


def test_runs_that_end_within_the_tail_are_not_taken_over(tmp_path: Path) -> None:
    behind, other = open_store(tmp_path), PostingStore(tmp_path, non_filterable=(), block_rows=BLOCK // 2)
    fill(behind, 2 * BLOCK - 2)
    fill(other, 3 * BLOCK // 2)
    other.seal()
    behind.refresh()
    assert agrees(behind.view(), 2 * BLOCK - 2)
    fill(behind, 2 * BLOCK)
    behind.seal()
    assert agrees(open_store(tmp_path).view(), 2 * BLOCK)


def test_a_small_run_before_a_large_one_is_merged_into_it(tmp_path: Path) -> None:
    small = PostingStore(tmp_path, non_filterable=(), block_rows=3)
    fill(small, 3)
    small.seal()
    store = open_store(tmp_path)
    fill(store, 3 + 4 * BLOCK)
    store.seal()
    assert [(run.first, run.last) for run in store.runs] == [(0, 3 + 4 * BLOCK)]
    assert agrees(store.view(), 3 + 4 * BLOCK)


def test_a_view_outlives_the_files_it_reads(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    fill(store, 3 * BLOCK)
    store.seal()
    view = open_store(tmp_path).view()
    fill(store, 4 * BLOCK)
    store.seal()
    assert names(tmp_path) == ["000000000000-000000000032.post"]
    assert agrees(view, 3 * BLOCK)


def test_temporary_files_of_the_dead_are_removed_and_those_of_the_living_are_not(tmp_path: Path) -> None:
    old, new = tmp_path / "000000000000-000000000008-dead.tmp", tmp_path / "000000000000-000000000008-live.tmp"
    old.touch()
    new.touch()
    os.utime(old, (0, 0))
    store = open_store(tmp_path)
    fill(store, BLOCK)
    store.seal()
    assert set(names(tmp_path)) == {new.name, "000000000000-000000000008.post"}


def test_what_cannot_be_written_stays_in_memory_and_is_written_later(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "postings"
    store = open_store(folder)
    fill(store, 2 * BLOCK)
    folder.write_text("in the way")
    with caplog.at_level(logging.WARNING, "ragvec.postings"):
        store.seal()
    assert "stay in memory for now" in caplog.text
    assert agrees(store.view(), 2 * BLOCK)
    folder.unlink()
    store.seal()
    assert store.runs_end == 2 * BLOCK


@pytest.mark.skipif(sys.platform != "linux", reason="needs RLIMIT_FSIZE")
def test_a_full_disk_leaves_no_half_written_file(tmp_path: Path) -> None:
    script = """
import resource, sys
from pathlib import Path
from ragvec.engine.local.postings import PostingStore
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
store = PostingStore(Path(sys.argv[1]), non_filterable=(), block_rows=1024)
store.extend(0, [b'{"id":"%020d"}' % row for row in range(2048)])
store.seal()
assert store.covered == 2048 and store.runs_end == 0
assert list(store.view().equal("id", "%020d" % 77)) == [77]
"""
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "File too large" in done.stderr
    assert names(tmp_path) == []


def seal_in_steps(folder: Path, rows: int, step: int) -> None:
    store = open_store(folder)
    while store.covered < rows:
        fill(store, min(rows, store.covered + step))
        store.seal()
    assert agrees(store.view(), rows)


def test_processes_that_seal_at_once_do_no_harm(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=seal_in_steps, args=(tmp_path, 300, step)) for step in (7, 20)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    store = open_store(tmp_path)
    assert store.damaged == []
    assert store.covered == 296
    fill(store, 300)
    assert agrees(store.view(), 300)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_fork_carries_on_with_what_was_open(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    fill(store, 50)
    store.seal()
    view = store.view()
    child = os.fork()
    if child == 0:
        fill(store, 100)
        store.seal()
        os._exit(0 if agrees(view, 50) and agrees(store.view(), 100) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    fill(store, 90)
    store.seal()
    assert store.covered >= 90
    assert agrees(view, 50)
    assert agrees(open_store(tmp_path).view(), 96)


def test_views_answer_from_other_threads_while_rows_come_in(tmp_path: Path) -> None:
    store = PostingStore(tmp_path, non_filterable=(), block_rows=64)
    metadata = stored(range(1500))
    answers = {where: [matches(where, msgspec.json.decode(data or b"{}")) for data in metadata] for where in FILTERS}
    latest = [store.view()]
    done = threading.Event()
    wrong: list[str] = []

    def ask(seed: int) -> None:
        choose = random.Random(seed)
        while not done.is_set():
            view, where = latest[0], choose.choice(FILTERS)
            if list(rows_matching(where, view)) != [row for row in range(view.covered) if answers[where][row]]:
                wrong.append(f"{where} at {view.covered}")

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    try:
        while store.covered < len(metadata):
            store.extend(store.covered, metadata[store.covered : store.covered + 3])
            latest[0] = store.view()
            store.seal()
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert wrong == []


def test_stores_opened_while_another_merges_find_every_row(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    sealed = [0]
    short: list[tuple[int, int]] = []
    done = threading.Event()

    def reopen() -> None:
        while not done.is_set():
            at_least = sealed[0]
            found = open_store(tmp_path, read_only=True)
            if found.covered < at_least or found.damaged:
                short.append((at_least, found.covered))

    thread = threading.Thread(target=reopen)
    thread.start()
    try:
        for rows in range(BLOCK, 60 * BLOCK, BLOCK):
            fill(store, rows)
            store.seal()
            sealed[0] = store.runs_end
    finally:
        done.set()
        thread.join()
    assert short == []
