"""The catalog's rows carry checksums: what is damaged is named, and the rest is served."""

from __future__ import annotations

import sqlite3
import struct
import zlib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragvec.engine.local.catalog_checks import CatalogProblem, catalog_problems
from ragvec.engine.local.catalog_rows import BUCKETS, CONFIGURATIONS, INDEXES, PROPERTIES, STORE, TABLES, row_checksum
from ragvec.engine.protocol import BucketInfo
from ragvec.errors import Corrupted, InvalidToken, StoreError
from ragvec.store import Store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with Store(tmp_path / "store") as store:
        for name in ("one", "two"):
            bucket = store.create_bucket(name)
            index = bucket.create_index("index", dimension=2)
            index.put(["a", "b", "c"], [[1, 0], [0, 1], [1, 1]])
            index.set_property("p", {"of": name})
    return tmp_path / "store"


def catalog(path: Path) -> closing[sqlite3.Connection]:
    return closing(sqlite3.connect(path / "catalog.sqlite", isolation_level=None))


def damage(path: Path, statement: str) -> None:
    """As a bit flip would: the values of a row change, its checksum does not."""
    with catalog(path) as sql:
        (table,) = [table.name for table in TABLES if f" {table.name} " in f"{statement} "]
        (trigger,) = sql.execute("SELECT sql FROM sqlite_master WHERE name = ?", (f"{table}_whole",)).fetchone()
        sql.execute(f"DROP TRIGGER {table}_whole")
        assert sql.execute(statement).rowcount == 1
        sql.execute(trigger)


def problems(path: Path) -> list[CatalogProblem]:
    with catalog(path) as sql:
        return catalog_problems(sql)


def plain_checksum(table: str, values: tuple[Any, ...]) -> int:
    """By the words of docs/format.md."""
    content = b""
    for value in (table, *values):
        if value is None:
            content += b"n"
        elif isinstance(value, int):
            content += b"i" + struct.pack("<q", value)
        elif isinstance(value, float):
            content += b"f" + struct.pack("<d", value)
        else:
            data = value.encode() if isinstance(value, str) else value
            content += (b"t" if isinstance(value, str) else b"b") + struct.pack("<I", len(data)) + data
    return zlib.crc32(content)


VALUES = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.binary(),
    st.text(st.characters(codec="utf-8")),
)


@given(st.sampled_from(TABLES), st.lists(VALUES, max_size=6).map(tuple))
def test_a_checksum_is_as_documented(table: Any, values: tuple[Any, ...]) -> None:
    assert row_checksum(table, values) == plain_checksum(table.name, values)


@given(st.lists(VALUES, min_size=1, max_size=4).map(tuple), st.lists(VALUES, min_size=1, max_size=4).map(tuple))
def test_rows_that_differ_have_encodings_that_differ(one: tuple[Any, ...], other: tuple[Any, ...]) -> None:
    if [(type(value), value) for value in one] != [(type(value), value) for value in other]:
        assert row_checksum(PROPERTIES, one) != row_checksum(PROPERTIES, other)


def test_every_change_leaves_rows_with_their_checksums(path: Path) -> None:
    with Store(path) as store:
        one = store.bucket("one")
        store.engine.catalog.create_bucket(BucketInfo("of an int", 1, {"sseType": "AES256"}), tags={}, max_buckets=None)
        steps: list[Callable[[], object]] = [
            lambda: store.engine.catalog.put_policy("one", '{"é":[]}'),
            lambda: store.engine.catalog.delete_policy("one"),
            lambda: store.engine.catalog.set_bucket_index_mode("one", "ENHANCED"),
            lambda: store.engine.catalog.set_index_mode(one.index("index").uid, "ENHANCED"),
            lambda: store.engine.catalog.change_tags("one", None, lambda tags: {**tags, "é": "ü"}),
            lambda: store.engine.catalog.change_tags("one", "index", lambda tags: {**tags, "k": "v"}),
            lambda: one.index("index").set_property("p", None),
            lambda: one.index("index").set_property("q", [1, 2.5, "é"]),
            lambda: one.index("index").tune(recall_target=0.9),
            lambda: one.index("index").delete_index(),
            lambda: one.delete(),
        ]
        for step in steps:
            step()
            assert problems(path) == []
        assert store.engine.catalog.bucket("of an int").created == 1.0


DAMAGED = {
    "a policy": (
        "UPDATE buckets SET policy = '{}' WHERE name = 'one'",
        "buckets 'one'",
        lambda s: s.bucket("one").exists(),
    ),
    "tags of a bucket": ("UPDATE buckets SET tags = x'7b' WHERE name = 'one'", "buckets 'one'", lambda s: s.buckets()),
    "a spec": (
        "UPDATE indexes SET spec = replace(spec, '2', '3') WHERE bucket = 'one'",
        "indexes '[0-9a-f-]{36}'",
        lambda s: s.bucket("one").index("index").count(),
    ),
    "a property": (
        "UPDATE properties SET value = '{\"of\":\"twa\"}' WHERE CAST(value AS TEXT) LIKE '%one%'",
        "properties '[0-9a-f-]{36}'/'p'",
        lambda s: s.bucket("one").index("index").property("p"),
    ),
    "the token key": (
        "UPDATE store SET value = zeroblob(32) WHERE name = 'token_key'",
        "store 'token_key'",
        lambda s: s.client().list_vectors(vectorBucketName="one", indexName="index", maxResults=1),
    ),
}


@pytest.mark.parametrize("what", DAMAGED)
@pytest.mark.parametrize("read_only", [True, False])
def test_a_damaged_row_is_named_when_it_is_read_and_the_rest_is_served(
    path: Path, what: str, *, read_only: bool
) -> None:
    statement, row, read = DAMAGED[what]
    damage(path, statement)
    with Store(path, read_only=read_only) as store:
        with pytest.raises(Exception, match=f"checksum .*{row}") as raised:
            read(store)
        assert isinstance(raised.value.__cause__ or raised.value, Corrupted)
        other = store.bucket("two").index("index")
        assert other.count() == 3
        assert other.property("p") == {"of": "two"}
    (problem,) = problems(path)
    assert problem.what == "does not match its checksum"
    assert problem.table == row.split()[0]


def test_a_damaged_uid_costs_no_index_its_folder(path: Path) -> None:
    folders = sorted((path / "indexes").iterdir())
    damage(path, "UPDATE indexes SET uid = 'x' || substr(uid, 2) WHERE bucket = 'one'")
    with Store(path) as store:
        assert store.bucket("two").index("index").count() == 3
        store.create_bucket("three").create_index("index", dimension=2)
        with pytest.raises(Corrupted):
            store.bucket("one").index("index").delete_index()
    Store(path).close()
    assert set(folders) <= set((path / "indexes").iterdir())


@pytest.mark.parametrize("uid", ["", "..", "../../elsewhere", "/etc", "a/b", "a\\b", "." * 3])
def test_what_is_no_uid_leads_nowhere(path: Path, uid: str) -> None:
    with Store(path) as store, pytest.raises(Corrupted, match="Expected the uid of an index, got"):
        store.engine._drop(uid)  # type: ignore[attr-defined]  # of a LocalEngine
    assert len(list((path / "indexes").iterdir())) == 2


def test_an_empty_catalog_beside_indexes_is_not_filled_anew(path: Path) -> None:
    (path / "catalog.sqlite").write_bytes(b"")
    for suffix in ("-wal", "-shm"):
        (path / f"catalog.sqlite{suffix}").unlink(missing_ok=True)
    with pytest.raises(Corrupted, match=r"the catalog was lost; nothing was changed. `ragvec repair` makes it again"):
        Store(path)
    assert len(list((path / "indexes").iterdir())) == 2


def test_text_that_is_none_is_a_problem_of_its_row_alone(path: Path) -> None:
    damage(path, "UPDATE buckets SET index_mode = CAST(x'ff' AS TEXT) WHERE name = 'one'")
    assert problems(path) == [CatalogProblem("buckets", ("one",), "does not match its checksum")]


def test_a_row_that_was_removed_or_put_into_another_table_is_noticed(path: Path) -> None:
    with catalog(path) as sql:
        sql.execute("DELETE FROM store WHERE name = 'token_key'")
        sql.execute("DELETE FROM buckets WHERE name = 'one'")
        sql.execute("INSERT INTO configurations SELECT * FROM properties WHERE CAST(value AS TEXT) LIKE '%two%'")
    found = [(problem.table, problem.what) for problem in problems(path)]
    assert found == [
        (INDEXES.name, "its bucket 'one' does not exist"),
        (CONFIGURATIONS.name, "does not match its checksum"),
        (STORE.name, "is missing"),
    ]
    assert str(problems(path)[-1]) == "store 'token_key': is missing"


def test_rows_are_never_updated(path: Path) -> None:
    with catalog(path) as sql:
        for table in TABLES:
            if sql.execute(f"SELECT 1 FROM {table.name}").fetchone():
                with pytest.raises(
                    sqlite3.IntegrityError, match="whose rows are only replaced whole: close it, upgrade"
                ):
                    sql.execute(f"UPDATE {table.name} SET checksum = 0")


def test_a_store_that_was_replaced_by_an_older_one_while_open_says_so(path: Path) -> None:
    with Store(path) as store:
        with catalog(path) as sql:
            sql.execute("PRAGMA user_version = 1")
        with pytest.raises(StoreError, match="had format 2 and has format 1 now: it was replaced while in use"):
            store.create_bucket("three")


# -- page tokens -------------------------------------------------------------------------------------------------------


def first_page(store: Store) -> dict[str, Any]:
    return store.client().list_vectors(vectorBucketName="one", indexName="index", maxResults=1)


def rest(store: Store, token: str) -> list[str]:
    page = store.client().list_vectors(vectorBucketName="one", indexName="index", nextToken=token)
    return [vector["key"] for vector in page["vectors"]]


def test_a_token_is_good_for_its_store_in_every_process_and_for_no_other(path: Path) -> None:
    with Store(path) as store, Store(path, read_only=True) as again:
        token = first_page(store)["nextToken"]
        assert rest(again, token) == ["b", "c"]
        assert len(store.engine.token_key) == 32
    with Store(path) as store:
        assert rest(store, token) == ["b", "c"]
        lists = store.client().list_vector_buckets(maxResults=1)
    with catalog(path) as sql:
        sql.execute("DELETE FROM store")
        for name, value in (("id", "another"), ("token_key", bytes(32))):
            sql.execute("INSERT INTO store VALUES (?, ?, ?)", (name, value, row_checksum(STORE, (name, value))))
    with Store(path) as store:
        for attempt in (
            lambda: rest(store, token),
            lambda: store.client().list_vector_buckets(nextToken=lists["nextToken"]),
        ):
            with pytest.raises(Exception, match="was not returned by this store") as refused:
                attempt()
            assert isinstance(refused.value.__cause__ or refused.value, InvalidToken)


def test_two_stores_have_keys_and_ids_of_their_own(path: Path, tmp_path: Path) -> None:
    with Store(path) as one, Store(tmp_path / "other") as other:
        assert one.engine.token_key != other.engine.token_key
        assert one.engine.catalog.store_id != other.engine.catalog.store_id  # type: ignore[attr-defined]  # LocalCatalog
    assert BUCKETS.named(("b", 1.0)) == "buckets 'b'"
