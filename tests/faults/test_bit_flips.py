"""Damage to each file of a store is found, never shows as a wrong answer, and is healed; see tests/torture/flips.py."""

from __future__ import annotations

import json
import logging
import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ragvec.care
from ragvec.engine.local.engine import LocalEngine
from ragvec.engine.local.index import LocalIndex
from ragvec.engine.local.sqlite import Database
from ragvec.errors import Corrupted, StoreBusy
from ragvec.store import Index, Store
from tests.torture import flips
from tests.torture.workload_small import shrunk

ROWS = 200


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "store"
    with Store(engine=LocalEngine(path, background=False, backend="exact")) as made:
        index = made.create_bucket("bucket").create_index("index", dimension=4, metric="euclidean")
        vectors = np.arange(4 * ROWS, dtype="f4").reshape(ROWS, 4)
        index.put([f"k{n:03d}" for n in range(ROWS)], vectors, [{"n": n} for n in range(ROWS)])
    return path


def opened(path: Path, **options: Any) -> Store:
    return Store(engine=LocalEngine(path, background=False, backend="exact", **options))


def generation(path: Path, number: int = 0) -> Path:
    (folder,) = path.glob(f"indexes/*/g{number:06d}")
    return folder


def flip(path: Path, byte: int) -> None:
    content = bytearray(path.read_bytes())
    content[byte] ^= 0x10
    path.write_bytes(content)


def the(store: Store) -> Index:
    return store.bucket("bucket").index("index")


def test_random_damage_to_any_file(tmp_path: Path) -> None:
    figures = flips.run(rounds=25, seed=4, folder=tmp_path)
    assert figures["attacks"] == 25
    assert int(figures["found"]) > 12


def test_a_damaged_row_is_an_error_of_its_own_and_all_others_are_served(
    store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    flip(generation(store) / "vectors.f32", 7 * 16)
    with opened(store) as damaged:
        index = the(damaged)
        with pytest.raises(Corrupted, match=r"Row 7, key 'k007', of .* is damaged: expected vector, key and metadata"):
            index.get(["k006", "k007"])
        assert [record.key for record in index.get(["k006", "k008"])] == ["k006", "k008"]
        with pytest.raises(Corrupted, match="Row 7, key 'k007'"):
            list(index.iter(data=True))
        assert len(list(index.iter(data=True, damaged="skip"))) == ROWS - 1
        assert "Row 7, key 'k007'" in caplog.text
        listing = index._open()[1].scan(limit=ROWS, data=True, damaged="skip")
        assert (len(listing.records), listing.damaged) == (ROWS - 1, ("k007",))
        assert index.query([400, 401, 402, 403], k=3).keys == ["k100", "k099", "k101"]
        index.put(["k007"], [[1, 2, 3, 4]])
        assert len(list(index.iter(data=True))) == ROWS, "replaced, the damaged row is nobody's concern"
    assert ragvec.care.verify(store, deep=True).intact


def test_a_vector_file_that_is_too_short_serves_what_it_holds(store: Path) -> None:
    vectors = generation(store) / "vectors.f32"
    with vectors.open("r+b") as file:
        file.truncate(150 * 16 + 3)
    with opened(store) as damaged:
        index = the(damaged)
        assert index.count() == 150
        assert index.query([0, 1, 2, 3], k=1).keys == ["k000"]
        assert [record.key for record in index.get(["k149"])] == ["k149"]
        with pytest.raises(Corrupted, match=r"Row 150, key 'k150', .* not in vectors.f32, which is too short"):
            index.get(["k150"])
        with pytest.raises(Corrupted, match="repair` drops the rows that are lost"):
            index.put(["new"], [[1, 2, 3, 4]])
        index.delete(["k199"])
    done = ragvec.care.repair(store, backend="exact")
    assert sorted(row.key for row in done.lost if row.key is not None) == [f"k{n}" for n in range(150, 199)]
    with opened(store) as healed:
        assert the(healed).count() == 150


def test_records_that_are_gone_are_not_taken_for_an_empty_index(store: Path) -> None:
    (generation(store) / "records.sqlite").unlink()
    with opened(store) as damaged, pytest.raises(Corrupted, match="missing or empty where there are vectors"):
        the(damaged).count()


def test_broken_pages_of_the_records_take_only_their_own_rows(store: Path) -> None:
    records = generation(store) / "records.sqlite"
    with closing(Database(records, read_only=True)) as database, database.read() as sql:
        (page,) = (
            sql.execute(
                "SELECT pageno FROM dbstat WHERE name = 'records' AND pagetype = 'leaf' ORDER BY path LIMIT 1"
            ).fetchone()
            if _has_dbstat(sql)
            else (None,)
        )
    if page is None:
        pytest.skip("this SQLite does not tell which page holds what")
    content = bytearray(records.read_bytes())
    content[(page - 1) * 4096 : page * 4096] = bytes(4096)
    records.write_bytes(content)
    found = ragvec.care.verify(store, deep=True)
    assert not found.intact
    done = ragvec.care.repair(store, backend="exact")
    assert done.left.clean
    assert 0 < len(done.lost) < ROWS
    assert all(row.key == f"k{row.row:03d}" for row in done.lost), "the index of live keys still has their keys"
    with opened(store) as healed:
        assert the(healed).count() == ROWS - len(done.lost)


def _has_dbstat(sql: Any) -> bool:
    return bool(sql.execute("SELECT 1 FROM pragma_module_list WHERE name = 'dbstat'").fetchone())


def test_a_lost_catalog_is_made_again_from_the_folders(store: Path) -> None:
    with opened(store) as whole:
        spec = the(whole).spec
        the(whole).set_property("embedder", {"name": "x"})
    (store / "catalog.sqlite").unlink()
    found = ragvec.care.verify(store)
    assert ("catalog.sqlite", "it is missing") in {(one.file, one.what) for one in found.problems}
    done = ragvec.care.repair(store, backend="exact")
    assert "index bucket/index taken from its own folder; its tags and properties are lost" in done.done
    with opened(store) as healed:
        assert the(healed).spec == spec
        assert the(healed).count() == ROWS


def test_an_index_that_the_catalog_forgot_is_not_removed_and_is_taken_in_again(
    store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(Database(store / "catalog.sqlite")) as database, database.write() as sql:
        sql.execute("DELETE FROM indexes")
    with opened(store) as forgetful:
        assert not the(forgetful).exists()
    assert "holds an index that the catalog does not know" in caplog.text
    assert not ragvec.care.verify(store).intact
    assert ragvec.care.repair(store, backend="exact").left.clean
    with opened(store) as healed:
        assert the(healed).count() == ROWS


def test_repair_stops_where_somebody_writes(store: Path) -> None:
    flip(generation(store) / "vectors.f32", 0)
    with opened(store) as busy:
        handle = busy.engine.index(the(busy).spec)
        assert isinstance(handle, LocalIndex)
        with handle.snapshot().generation.segments.lease("tail") as held:
            assert held
            with pytest.raises(StoreBusy, match="Another process is building in"):
                ragvec.care.repair(store, backend="exact")
        assert the(busy).count() == ROWS
    assert ragvec.care.repair(store, backend="exact").left.clean


def test_who_has_a_store_open_goes_on_after_its_repair(store: Path) -> None:
    flip(generation(store) / "vectors.f32", 5 * 16)
    with opened(store) as reader:
        assert the(reader).count() == ROWS
        done = ragvec.care.repair(store, backend="exact")
        assert [row.key for row in done.lost] == ["k005"]
        assert the(reader).count() == ROWS - 1
        the(reader).put(["k005"], [[1, 2, 3, 4]])
    assert ragvec.care.verify(store, deep=True).clean
    assert done.kept is not None
    (line,) = [json.loads(text) for text in next(Path(done.kept).glob("*.jsonl")).read_text().splitlines()]
    assert (line["row"], line["key"], line["metadata"]) == (5, "k005", '{"n":5}')


def test_segments_and_posting_lists_of_another_time_are_not_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As after a restore that mixed an older copy with a newer one."""
    with shrunk():
        folders = []
        for name in ("one", "two"):
            path = tmp_path / name
            with Store(engine=LocalEngine(path, background=False)) as made:
                index = made.create_bucket("bucket").create_index("index", dimension=4, metric="euclidean")
                shared = np.random.default_rng(1).normal(size=(140, 4)).astype("f4")
                if name == "two":
                    shared[100:] += 1
                index.put([f"k{n}" for n in range(140)], shared, [{"n": n % 7, "of": name} for n in range(140)])
                index.optimize()
            folders.append(generation(path))
        for part in ("segments", "postings"):
            shutil.rmtree(folders[0] / part)
            shutil.copytree(folders[1] / part, folders[0] / part)
        found = ragvec.care.verify(tmp_path / "one")
        assert {problem.severity for problem in found.problems} == {"derived"}
        assert any("made of other rows" in problem.what for problem in found.problems)
        with caplog.at_level(logging.WARNING), Store(engine=LocalEngine(tmp_path / "one", background=False)) as mixed:
            assert the(mixed).count({"of": "one"}) == 140
            assert the(mixed).stats().segments == ()
        assert "was made of other rows" in caplog.text
        assert ragvec.care.repair(tmp_path / "one").left.clean


def test_verification_beside_writers_sees_no_problems(store: Path) -> None:
    with opened(store) as writing:
        index = the(writing)
        for round_ in range(12):
            index.put([f"w{round_}-{n}" for n in range(40)], np.ones((40, 4), dtype="f4"), [{"n": 1}] * 40)
            index.delete([f"w{round_ - 1}-{n}" for n in range(40)])
            if round_ % 4 == 3:
                index.compact()
            found = ragvec.care.verify(store, deep=True)
            assert found.clean, str(found)
