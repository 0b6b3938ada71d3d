"""From one format to the next: whole or not at all, in any number of processes, refused where there is damage; with the
real step from format 1, and with an artificial one that rewrites the folders of indexes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import threading
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

import ragvec
from ragvec import care
from ragvec.engine.local import migrate as migrations
from ragvec.engine.local.catalog_checks import catalog_problems
from ragvec.engine.local.engine import LocalEngine
from ragvec.engine.local.identity import read_identity
from ragvec.engine.local.layout import FORMAT, GenerationFolder, StoreFolder
from ragvec.engine.local.migrate import STEPS, MigrationStep, index_format, migrate, pending_migration
from ragvec.engine.protocol import IndexSpec
from ragvec.errors import Corrupted, NotAStore, StoreBusy, StoreError, StoreReadOnly, StoreTooNew

HERE = Path(__file__).parent
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform does not fork")


def store_1(folder: Path) -> Path:
    with zipfile.ZipFile(HERE / "store-1.zip") as archive:
        archive.extractall(folder)
    return folder / "store"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return store_1(tmp_path)


def catalog(path: Path) -> closing[sqlite3.Connection]:
    return closing(sqlite3.connect(path / "catalog.sqlite", isolation_level=None))


def version_of(path: Path) -> int:
    with catalog(path) as sql:
        return int(sql.execute("PRAGMA user_version").fetchone()[0])


def in_process(work: Callable[[], None]) -> int | None:
    """The exit code of a forked process that does the work."""

    def run() -> None:
        work()
        os._exit(0)

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    process.join(timeout=60)
    return process.exitcode


# -- 1 to 2 ------------------------------------------------------------------------------------------------------------


def test_opening_a_store_of_format_1_for_writing_migrates_it(old: Path) -> None:
    with ragvec.Store(old) as store:
        store.create_bucket("new")
    assert version_of(old) == FORMAT == 2
    with catalog(old) as sql:
        assert catalog_problems(sql) == []
        assert sql.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_migrated_catalog_has_the_schema_of_a_new_one(old: Path, tmp_path: Path) -> None:
    migrate(old)
    ragvec.Store(tmp_path / "new").close()
    schemas = []
    for path in (old, tmp_path / "new"):
        with catalog(path) as sql:
            schemas.append(sql.execute("SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY 1, 2").fetchall())
    assert schemas[0] == schemas[1]


def test_migrating_says_what_was_done_and_does_it_once(old: Path) -> None:
    due = pending_migration(old)
    assert (due.from_format, due.to_format, bool(due)) == (1, 2, True)
    assert version_of(old) == 1
    done = care.migrate(old)
    assert done == due
    assert not migrate(old)
    assert not pending_migration(old)


def test_every_index_tells_what_it_is_after_migrating(old: Path) -> None:
    migrate(old)
    with ragvec.Store(old, read_only=True) as store:
        for index in store.bucket("golden").indexes():
            spec = index.spec
            assert read_identity(StoreFolder(old).index(spec.uid)) == spec


def test_read_only_reads_format_1_as_it_is_and_goes_on_when_another_process_migrates(old: Path) -> None:
    before = (old / "catalog.sqlite").read_bytes()
    with ragvec.Store(old, read_only=True) as store:
        plain = store.bucket("golden").index("plain")
        assert plain.count() == 3
        page = store.client().list_vectors(vectorBucketName="golden", indexName="plain", maxResults=1)
        assert (old / "catalog.sqlite").read_bytes() == before
        assert version_of(old) == 1
        migrate(old)
        assert plain.property("embedder") == {"name": "made by hand", "dimension": 3}
        assert [index.name for index in store.bucket("golden").indexes()] == ["empty", "plain"]
        rest = store.client().list_vectors(vectorBucketName="golden", indexName="plain", nextToken=page["nextToken"])
        assert len(rest["vectors"]) == 2
        with pytest.raises(StoreReadOnly):
            plain.set_property("embedder", None)


OLD_WRITES = [
    ("INSERT INTO buckets VALUES (?, ?, ?, ?, NULL, ?)", ("b", 1.0, b"{}", "", b"{}")),
    ("UPDATE buckets SET index_mode = ? WHERE name = ?", ("ENHANCED", "golden")),
    ("UPDATE buckets SET policy = ? WHERE name = ?", ("{}", "golden")),
    ("UPDATE buckets SET tags = ? WHERE name = ?", (b"{}", "golden")),
    ("INSERT INTO indexes VALUES (?, ?, ?, ?, ?)", ("u", "golden", "i", b"{}", b"{}")),
    ("UPDATE indexes SET spec = ? WHERE name = ?", (b"{}", "plain")),
    ("UPDATE indexes SET tags = ? WHERE bucket = ? AND name = ?", (b"{}", "golden", "plain")),
    ("INSERT OR REPLACE INTO properties VALUES (?, ?, ?)", ("u", "embedder", b"1")),
]


@pytest.mark.parametrize(("statement", "values"), OLD_WRITES, ids=[statement for statement, _ in OLD_WRITES])
def test_a_process_of_format_1_that_has_the_store_open_can_read_and_not_write(
    old: Path, statement: str, values: tuple[object, ...]
) -> None:
    with catalog(old) as sql:
        # As it is at work: with its statements prepared, when another process migrates.
        sql.execute("BEGIN")
        sql.execute(statement, values)
        sql.execute("ROLLBACK")
        migrate(old)
        with pytest.raises(sqlite3.Error, match=r"has 2 by now|the store has format 2|columns but"):
            sql.execute(statement, values)
        (spec,) = sql.execute("SELECT spec FROM indexes WHERE bucket = ? AND name = ?", ("golden", "plain")).fetchone()
        assert b'"plain"' in spec
        assert catalog_problems(sql) == []


@needs_fork
def test_killed_before_the_commit_the_store_is_as_it_was(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(sql: sqlite3.Connection, folder: StoreFolder) -> None:
        STEPS[0].change(sql, folder)
        os.kill(os.getpid(), signal.SIGKILL)

    def work() -> None:
        migrate(old, steps=(STEPS[0]._replace(change=killed),))

    assert in_process(work) == -signal.SIGKILL
    assert version_of(old) == 1
    with ragvec.Store(old, read_only=True) as store:
        assert store.bucket("golden").index("plain").count() == 3
    assert migrate(old).to_format == 2


@needs_fork
def test_processes_that_migrate_at_once_all_succeed_and_one_does_it(old: Path, tmp_path: Path) -> None:
    did = tmp_path / "did"
    did.mkdir()

    def work(number: int) -> Callable[[], None]:
        def run() -> None:
            if migrate(old):
                (did / str(number)).touch()
            with ragvec.Store(old) as store:
                store.create_bucket(f"b{number}")
            os._exit(0)

        return run

    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=work(number)) for number in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=60)
    assert [process.exitcode for process in processes] == [0] * 4
    assert len(list(did.iterdir())) <= 1  # none where opening was quicker
    with ragvec.Store(old, read_only=True) as store:
        assert [bucket.name for bucket in store.buckets()] == ["b0", "b1", "b2", "b3", "golden"]


DAMAGE = {
    "a spec that is none": ("UPDATE indexes SET spec = '{' WHERE name = 'plain'", "indexes .* cannot be read"),
    "a spec of another index": (
        "UPDATE indexes SET name = 'other' WHERE name = 'plain'",
        "describes the index 'plain'",
    ),
    "tags that are none": ("UPDATE buckets SET tags = '[1]'", "buckets 'golden': cannot be read"),
    "a bucket that is gone": ("DELETE FROM buckets", "its bucket 'golden' does not exist"),
    "a property that is no JSON": ("UPDATE properties SET value = 'no'", "properties .* cannot be read"),
    "a table that is gone": ("DROP TABLE properties", "properties: the table is missing"),
    "a text that is no text": (
        "UPDATE buckets SET index_mode = CAST(x'ff' AS TEXT); UPDATE buckets SET tags = x'ff'",
        "buckets 'golden': cannot be read",
    ),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_a_damaged_catalog_is_not_migrated(old: Path, what: str) -> None:
    statements, message = DAMAGE[what]
    with catalog(old) as sql:
        sql.executescript(statements)
    for attempt in (lambda: migrate(old), lambda: ragvec.Store(old)):
        with pytest.raises(Corrupted, match=f"its format was not changed: .*{message}"):
            attempt()
    assert version_of(old) == 1
    ragvec.Store(old, read_only=True).close()


def test_a_folder_that_cannot_be_written_is_not_migrated(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(folder: Path, spec: IndexSpec) -> None:
        raise StoreBusy("no")

    monkeypatch.setattr("ragvec.engine.local.migrate_to_2.write_identity", full)
    with pytest.raises(StoreBusy):
        migrate(old)
    monkeypatch.undo()
    assert version_of(old) == 1
    assert migrate(old)


def test_what_is_no_store_or_too_new_is_not_migrated(tmp_path: Path) -> None:
    for path in (tmp_path / "absent", tmp_path):
        with pytest.raises(NotAStore):
            migrate(path)
    other = tmp_path / "other"
    other.mkdir()
    with catalog(other) as sql:
        sql.execute("CREATE TABLE books (title)")
    with pytest.raises(NotAStore, match="is not a ragvec catalog"):
        migrate(other)
    ragvec.Store(tmp_path / "new").close()
    with catalog(tmp_path / "new") as sql:
        sql.execute("PRAGMA user_version = 9")
    for attempt in (migrate, pending_migration):
        with pytest.raises(StoreTooNew, match="has format 9, this ragvec knows formats up to 2; upgrade ragvec"):
            attempt(tmp_path / "new")


# -- a step that rewrites folders --------------------------------------------------------------------------------------


def rewritten(folder: Path, spec: IndexSpec) -> None:
    """As a step would: everything in one transaction of records.sqlite, which ends by saying what it has done."""
    with closing(sqlite3.connect(GenerationFolder(folder, 0).records, isolation_level=None)) as sql:
        sql.execute("BEGIN IMMEDIATE")
        assert sql.execute("PRAGMA user_version").fetchone() == (0,)
        sql.execute("CREATE TABLE artificial (uid)")
        sql.execute("INSERT INTO artificial VALUES (?)", (spec.uid,))
        sql.execute(f"PRAGMA user_version = {FORMAT + 1}")
        sql.execute("COMMIT")


def changed(sql: sqlite3.Connection, folder: StoreFolder) -> None:
    sql.execute("CREATE TABLE artificial (number)")


ARTIFICIAL = (*STEPS, MigrationStep(FORMAT + 1, "an artificial step", changed, rewritten))


@pytest.fixture
def many(tmp_path: Path) -> Path:
    with ragvec.Store(tmp_path / "store") as store:
        bucket = store.create_bucket("bucket")
        for name in "abcde":
            bucket.create_index(name, dimension=2).put([name], [[1, 0]])
    return tmp_path / "store"


def folders(path: Path) -> list[Path]:
    return sorted((path / "indexes").iterdir())


def test_folders_are_rewritten_one_by_one_and_then_the_catalog(many: Path) -> None:
    told: list[tuple[int, int]] = []
    done = migrate(many, steps=ARTIFICIAL, progress=lambda count, total: told.append((count, total)))
    assert (done.from_format, done.to_format, done.steps, done.rewritten) == (2, 3, ("an artificial step",), 5)
    assert told == [(n, 5) for n in (1, 2, 3, 4, 5)]
    assert [index_format(folder) for folder in folders(many)] == [3] * 5
    assert version_of(many) == 3
    assert not migrate(many, steps=ARTIFICIAL)


def test_several_steps_are_taken_in_one_go(old: Path) -> None:
    done = migrate(old, steps=ARTIFICIAL)
    assert (done.from_format, done.to_format, len(done.steps), done.rewritten) == (1, 3, 2, 2)


@needs_fork
@pytest.mark.parametrize("after", range(6))
def test_killed_while_rewriting_it_goes_on_where_it_was(many: Path, tmp_path: Path, after: int) -> None:
    count = 0

    def killing(folder: Path, spec: IndexSpec) -> None:
        nonlocal count
        if count == after:
            os.kill(os.getpid(), signal.SIGKILL)
        rewritten(folder, spec)
        count += 1

    def killing_change(sql: sqlite3.Connection, folder: StoreFolder) -> None:
        changed(sql, folder)
        os.kill(os.getpid(), signal.SIGKILL)

    def work() -> None:
        migrate(many, steps=(*STEPS, MigrationStep(3, "killed", killing_change, killing)))

    assert in_process(work) == -signal.SIGKILL
    assert version_of(many) == 2
    assert sum(index_format(folder) == 3 for folder in folders(many)) == after
    assert migrate(many, steps=ARTIFICIAL).rewritten == 5 - after
    assert version_of(many) == 3


def test_an_index_that_fails_stops_the_step_and_one_that_was_deleted_does_not(many: Path) -> None:
    first, second = folders(many)[:2]

    def failing(folder: Path, spec: IndexSpec) -> None:
        if folder == second:
            raise StoreBusy("somebody is at work there")
        rewritten(folder, spec)

    def deleting(folder: Path, spec: IndexSpec) -> None:
        with ragvec.Store(many) as store:
            store.bucket("bucket").index(spec.name).delete_index()
        rewritten(folder, spec)

    with pytest.raises(StoreBusy):
        migrate(many, steps=(*STEPS, MigrationStep(3, "failing", changed, failing)))
    assert [index_format(first), index_format(second), version_of(many)] == [3, 2 - 1, 2]
    done = migrate(many, steps=(*STEPS, MigrationStep(3, "deleting", changed, deleting)))
    assert done.rewritten == 0
    assert version_of(many) == 3


@pytest.mark.parametrize("read_only", [True, False])
def test_a_generation_of_a_newer_format_is_refused_by_name_and_the_rest_is_served(
    many: Path, *, read_only: bool
) -> None:
    first, second = (read_identity(folder) for folder in folders(many)[:2])
    assert first is not None
    assert second is not None
    rewritten(folders(many)[0], first)
    before = GenerationFolder(folders(many)[0], 0).records.read_bytes()
    with ragvec.Store(many, read_only=read_only) as store:
        newer = store.bucket("bucket").index(first.name)
        message = r"g000000/records.sqlite` has format 3, this ragvec knows formats up to 2; upgrade ragvec"
        for attempt in (newer.count, lambda: newer.query([1, 0]), lambda: list(newer.iter())):
            with pytest.raises(StoreTooNew, match=message):
                attempt()
        assert store.bucket("bucket").index(second.name).count() == 1
    assert GenerationFolder(folders(many)[0], 0).records.read_bytes() == before


def test_an_index_made_while_others_are_rewritten_is_rewritten_too(many: Path) -> None:
    made = threading.Event()

    def slow(folder: Path, spec: IndexSpec) -> None:
        if not made.is_set():
            made.set()
            with ragvec.Store(many) as store:
                store.bucket("bucket").create_index("late", dimension=2)
        rewritten(folder, spec)

    done = migrate(many, steps=(*STEPS, MigrationStep(3, "slow", changed, slow)))
    assert done.rewritten == 6
    assert [index_format(folder) for folder in folders(many)] == [3] * 6


@needs_fork
def test_processes_that_rewrite_at_once_share_no_folder(many: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"

    def logging(folder: Path, spec: IndexSpec) -> None:
        rewritten(folder, spec)
        with log.open("a") as file:
            file.write(f"{spec.uid}\n")

    def work() -> None:
        migrate(many, steps=(*STEPS, MigrationStep(3, "logging", changed, logging)))
        os._exit(0)

    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=work) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=60)
    assert [process.exitcode for process in processes] == [0] * 3
    assert sorted(log.read_text().split()) == [folder.name for folder in folders(many)]


def test_opening_leaves_a_step_that_takes_long_to_migrate(many: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrations.migrate_on_opening, "__kwdefaults__", {"steps": ARTIFICIAL})
    monkeypatch.setattr("ragvec.engine.local.catalog.FORMAT", 3)
    with pytest.raises(
        StoreError, match="has format 2, and bringing it to format 3 takes a while: run `ragvec migrate`"
    ):
        LocalEngine(many)
    with LocalEngine(many, read_only=True) as engine:
        assert len(engine.catalog.uids()) == 5


def test_what_is_open_while_the_store_gets_a_newer_format_says_so(many: Path) -> None:
    with ragvec.Store(many) as store:
        bucket = store.bucket("bucket")
        assert bucket.index("a").count() == 1
        migrate(many, steps=ARTIFICIAL)
        for attempt in (
            lambda: store.create_bucket("more"),
            lambda: store.buckets(),
            lambda: bucket.index("a").set_property("p", 1),
            lambda: bucket.index("b").count(),
        ):
            with pytest.raises(StoreTooNew, match="has format 3, this ragvec knows formats up to 2; upgrade ragvec"):
                attempt()
