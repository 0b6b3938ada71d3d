"""The journal: what it keeps of a query, when it is written, and what happens to it over time."""

from __future__ import annotations

import logging
import multiprocessing
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from ragvec.kendra.found import Found, Outcome
from ragvec.kendra.learn import journal
from ragvec.kendra.learn.journal import Asked, Shown, asked, flush, normal_text, record
from ragvec.kendra.notes import Notes
from ragvec.store import Index, Store

ENTRIES = "kendra.journal/"


@pytest.fixture
def notes(ferries: Index) -> Notes:
    return Notes(ferries)


def outcome(*documents: str, total: int | None = None, page: int = 1) -> Outcome:
    items = tuple(Found(f"{document}#0", document, {}, 0.5) for document in documents)
    return Outcome(items, len(items) if total is None else total, len(items), page, 10)


def ask(notes: Notes, query_id: str, text: str = "a query", *, at: float = 0.0, user: str | None = None) -> None:
    record(notes, query_id, text, outcome("a.md"), user, clock=lambda: at)


def test_a_query_is_kept_with_what_it_showed(notes: Notes) -> None:
    record(notes, "q1", '  What "is"\n a FARE? ', outcome("a.md", "b.md", total=7), "ana", clock=lambda: 12.5)
    (kept,) = asked(notes)
    assert (kept.id, kept.at, kept.text, kept.total, kept.page) == ("q1", 12.5, "what is a fare?", 7, 1)
    assert kept.shown == (Shown("DOCUMENT", "a.md"), Shown("DOCUMENT", "b.md"))
    assert kept.confidence == 0.5


def test_nobody_stands_in_it_by_name(notes: Notes, store: Store) -> None:
    for number, user in enumerate(["ana", "ana", "bo", None]):
        ask(notes, f"q{number}", at=number, user=user)
    first, again, other, nobody = [query.who for query in asked(notes)]
    assert first == again != other
    assert nobody is None
    stored = repr([notes.index.property(name) for name in notes.index.property_names(prefix=ENTRIES)])
    assert "ana" not in stored
    elsewhere = Notes(store.bucket("docs").create_index("elsewhere", dimension=4))
    ask(elsewhere, "q", user="ana")
    assert asked(elsewhere)[0].who != first


def test_a_query_without_words_is_not_kept(notes: Notes) -> None:
    for text in (None, "", "  ", '""'):
        record(notes, "q", text, outcome("a.md"))
    assert asked(notes) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [("A  b\tC", "a b c"), ("don't “say”", "dont say"), ("x" * 2000, "x" * 1000), ("dead-letter!", "dead-letter!")],
)
def test_normal_text(text: str, expected: str) -> None:
    assert normal_text(text) == expected


def test_nothing_is_written_while_queries_are_asked_but_everything_when_the_store_closes(tmp_path: Path) -> None:
    with Store(tmp_path / "store") as store:
        index = store.create_bucket("docs").create_index("i", dimension=4)
        for number in range(10):
            ask(Notes(index), f"q{number}")
        assert index.property_names(prefix=ENTRIES) == []
    with Store(tmp_path / "store") as store:
        index = store.bucket("docs").index("i")
        assert len(index.property_names(prefix=ENTRIES)) == 1
        assert [query.id for query in asked(Notes(index))] == [f"q{number}" for number in range(10)]


def test_queries_come_in_order_of_time_each_once(notes: Notes, store: Store) -> None:
    for number in (3, 1, 2):
        ask(notes, f"q{number}", at=number)
        flush(store)
    ask(notes, "q2", at=2)
    assert [query.id for query in asked(notes)] == ["q1", "q2", "q3"]
    assert [query.id for query in asked(notes, since=2)] == ["q2", "q3"]


def test_journals_of_indexes_are_apart(notes: Notes, store: Store) -> None:
    other = Notes(store.bucket("docs").create_index("other", dimension=4))
    ask(notes, "here")
    ask(other, "there")
    assert [query.id for query in asked(notes)] == ["here"]
    assert [query.id for query in asked(other)] == ["there"]


def test_small_batches_are_merged_and_old_queries_dropped(
    notes: Notes, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"_ENTRIES": 4, "_MERGED": 10, "KEPT": 20}.items():
        monkeypatch.setattr(journal, name, value)
    most = 0
    for number in range(60):
        ask(notes, f"q{number:02}", at=float(number))
        flush(store)
        most = max(most, len(notes.index.property_names(prefix=ENTRIES)))
        assert [query.id for query in asked(notes)][-15:] == [
            f"q{n:02}" for n in range(max(0, number - 14), number + 1)
        ]
    assert most <= 10
    assert len(asked(notes)) < 30


def test_queries_older_than_what_is_kept_go_when_batches_are_merged(
    notes: Notes, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "_ENTRIES", 2)
    monkeypatch.setattr(journal, "_MERGED", 1)
    monkeypatch.setattr(journal, "KEPT", 4)
    year = 366 * 86_400.0
    for number in range(12):
        ask(notes, f"q{number:02}", at=number * year)
        flush(store)
    assert len(asked(notes)) <= 7
    assert asked(notes)[-1].id == "q11"


def test_a_store_that_cannot_be_written_answers_all_the_same(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Store(tmp_path / "store") as store:
        store.create_bucket("docs").create_index("i", dimension=4)
    with Store(tmp_path / "store", read_only=True) as store:
        notes = Notes(store.bucket("docs").index("i"))
        ask(notes, "q")
        with caplog.at_level(logging.WARNING):
            assert asked(notes) == []
        assert "1 queries are not in the journal of" in caplog.text


def test_the_journal_of_a_deleted_index_is_gone(notes: Notes, store: Store, caplog: pytest.LogCaptureFixture) -> None:
    ask(notes, "q")
    notes.index.delete_index()
    flush(store)
    assert caplog.text == ""


def _ask_many(folder: str, name: str) -> None:
    with Store(folder) as store:
        notes = Notes(store.bucket("docs").index("i"))
        for number in range(200):
            ask(notes, f"{name}{number}", at=float(number))


def test_several_processes_write_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    with Store(folder) as store:
        store.create_bucket("docs").create_index("i", dimension=4)
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=_ask_many, args=(str(folder), name)) for name in "ab"]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    with Store(folder) as store:
        found = {query.id for query in asked(Notes(store.bucket("docs").index("i")))}
    assert found == {f"{name}{number}" for name in "ab" for number in range(200)}


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_writes_what_it_asked_itself(tmp_path: Path) -> None:
    with Store(tmp_path / "store") as store:
        notes = Notes(store.create_bucket("docs").create_index("i", dimension=4))
        ask(notes, "parent", at=1.0)

        def child(*_: Any) -> None:
            ask(notes, "child", at=2.0)
            flush(store)

        process = multiprocessing.get_context("fork").Process(target=child)
        process.start()
        process.join()
        assert process.exitcode == 0
        entries = [notes.entry("journal", entry, journal._Batch) for entry in notes.entries("journal")]
        assert [query.id for entry in entries if entry for query in entry.queries] == ["child"]
        found: list[Asked] = asked(notes)
        assert [query.id for query in found] == ["parent", "child"]


def test_threads_ask_while_the_journal_is_written_and_read(notes: Notes, store: Store) -> None:
    def ask_some(name: str) -> None:
        for number in range(100):
            ask(notes, f"{name}{number}", at=float(number))

    threads = [threading.Thread(target=ask_some, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    seen = 0
    while any(thread.is_alive() for thread in threads):
        flush(store)
        now = len(asked(notes))
        assert now >= seen
        seen = now
    for thread in threads:
        thread.join()
    assert {query.id for query in asked(notes)} == {f"{name}{number}" for name in "abcd" for number in range(100)}
