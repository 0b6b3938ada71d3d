"""Which fields are searched by text outlives the catalog: the folder of the index tells."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

import ragvec
from ragvec.care import backup, repair, restore, verify
from ragvec.engine.local.engine import LocalEngine
from ragvec.engine.local.identity import IDENTITY_FILE, read_identity, read_text_fields, write_identity
from ragvec.engine.local.sqlite import Database
from ragvec.engine.protocol import IndexSpec, TextField
from ragvec.errors import StoreFull

BODY, TITLE = TextField("body", "en"), TextField("title")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "store"
    with ragvec.Store(path) as made:
        index = made.create_bucket("bucket").create_index("notes", dimension=2, text={"body": "en"})
        index.put(["a", "b"], [[1, 0], [0, 1]], [{"body": "red fishes"}, {"title": "blue birds"}])
    return path


def spec_of(engine: LocalEngine) -> IndexSpec:
    return engine.catalog.index("bucket", "notes")


def uid_of(store: Path) -> str:
    (folder,) = (store / "indexes").iterdir()
    return folder.name


def found(store: Path, text: str) -> list[str]:
    with ragvec.Store(store) as opened:
        return [match.key for match in opened.bucket("bucket").index("notes").query(text=text)]


def test_a_lost_catalog_is_made_again_with_the_text_fields(store: Path) -> None:
    with LocalEngine(store) as engine:
        engine.catalog.change_text_fields(uid_of(store), lambda fields: [*fields, TITLE])
    (store / "catalog.sqlite").unlink()
    assert "text fields of bucket/notes taken from its own folder" in repair(store).done
    with LocalEngine(store) as engine:
        assert engine.catalog.text_fields(uid_of(store)) == (BODY, TITLE)
    assert found(store, "fish") == ["a"]
    assert found(store, "bird") == []
    assert found(store, "birds") == ["b"]
    assert verify(store, deep=True).clean


def test_a_damaged_row_of_the_configuration_is_made_again(store: Path) -> None:
    with closing(Database(store / "catalog.sqlite")) as database, database.write() as sql:
        sql.execute("DROP TRIGGER configurations_whole")
        sql.execute("UPDATE configurations SET value = ?", (b'[{"key":"other"}]',))
    assert not verify(store).clean
    repair(store)
    assert found(store, "fish") == ["a"]


def test_an_index_that_the_catalog_forgot_is_taken_in_with_its_text_fields(store: Path) -> None:
    with closing(Database(store / "catalog.sqlite")) as database, database.write() as sql:
        for table in ("configurations", "indexes"):
            sql.execute(f"DELETE FROM {table}")
    repair(store)
    assert found(store, "fish") == ["a"]


def test_fields_that_are_no_longer_searched_do_not_come_back(store: Path) -> None:
    with LocalEngine(store) as engine:
        engine.catalog.change_text_fields(uid_of(store), lambda _: [])
    assert read_text_fields(store / "indexes" / uid_of(store)) == ()
    (store / "catalog.sqlite").unlink()
    repair(store)
    with LocalEngine(store) as engine:
        assert engine.catalog.text_fields(uid_of(store)) == ()


def test_a_change_that_cannot_be_noted_is_not_made(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise StoreFull("no room", store=str(store))

    with LocalEngine(store) as engine:
        monkeypatch.setattr("ragvec.engine.local.engine.write_identity", full)
        with pytest.raises(StoreFull):
            engine.catalog.change_text_fields(uid_of(store), lambda fields: [*fields, TITLE])
        assert engine.catalog.text_fields(uid_of(store)) == (BODY,)
    assert read_text_fields(store / "indexes" / uid_of(store)) == (BODY,)


def test_an_index_from_before_gets_its_text_fields_noted_when_it_is_opened(store: Path) -> None:
    folder = store / "indexes" / uid_of(store)
    described = read_identity(folder)
    assert described is not None
    write_identity(folder, described)
    assert b'"text"' not in (folder / IDENTITY_FILE).read_bytes()
    with LocalEngine(store, read_only=True) as engine:
        engine.index(spec_of(engine)).snapshot()
    assert read_text_fields(folder) == ()
    with LocalEngine(store) as engine:
        engine.index(spec_of(engine)).snapshot()
        assert read_identity(folder) == spec_of(engine)
    assert read_text_fields(folder) == (BODY,)


def test_an_index_restored_on_its_own_has_its_text_fields_noted(store: Path, tmp_path: Path) -> None:
    backup(store, tmp_path / "copy")
    restore(tmp_path / "copy", store, index="bucket/notes", name="bucket/again")
    with ragvec.Store(store) as opened:
        assert [match.key for match in opened.bucket("bucket").index("again").query(text="fish")] == ["a"]
    for folder in (store / "indexes").iterdir():
        assert read_text_fields(folder) == (BODY,)
