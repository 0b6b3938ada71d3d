"""Saved result lists: kept for a time, in bounded number, and no worse off for damage or a failed write."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import numpy as np
import pytest

from ragvec.engine.local import cursors
from ragvec.engine.local.cursors import Cursors
from ragvec.engine.protocol import Ranking
from ragvec.errors import ExpiredToken, StoreError


def ranking(first: int = 0) -> Ranking:
    rows = np.arange(first, first + 3, dtype=np.uint32)
    return Ranking(rows=rows, distances=rows.astype(np.float32), generation=0, exact=True)


@pytest.mark.parametrize("damage", [b"this is no database at all" * 200, b"SQLite format 3\x00" + b"\xff" * 9000])
def test_a_damaged_file_is_begun_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: bytes) -> None:
    path = tmp_path / "cursors.sqlite"
    first = Cursors(path, read_only=False, clock=lambda: 0.0)
    lost = first.save(ranking(), request=b"r", ttl=10)
    first.close()
    path.write_bytes(damage)
    kept = Cursors(path, read_only=False, clock=lambda: 0.0)
    with pytest.raises(ExpiredToken):
        kept.load(lost, request=b"r")
    cursor = kept.save(ranking(5), request=b"r", ttl=10)
    assert kept.load(cursor, request=b"r").rows.tolist() == [5, 6, 7]
    assert "The saved result lists are lost" in caplog.text
    kept.close()


def test_a_failed_first_save_does_not_fail_the_next(tmp_path: Path) -> None:
    # What the database refuses after the table was made in the same transaction: here, a value that it cannot hold.
    saved = Cursors(tmp_path / "cursors.sqlite", read_only=False, clock=lambda: 0.0)
    with pytest.raises(StoreError):
        saved.save(ranking(), request=object(), ttl=10)  # type: ignore[arg-type]
    cursor = saved.save(ranking(), request=b"r", ttl=10)
    assert saved.load(cursor, request=b"r").rows.tolist() == [0, 1, 2]
    saved.close()


@pytest.mark.parametrize("read_only", [False, True])
def test_scores_are_kept_with_their_ranking(tmp_path: Path, read_only: bool) -> None:
    saved = Cursors(tmp_path / "cursors.sqlite", read_only=read_only, clock=lambda: 0.0)
    scores = {"fused": np.array([3, 2, 1], np.float32), "bm25:a key: é": np.array([0.5, 0, 7], np.float32)}
    by_text = Ranking(np.arange(3, dtype=np.uint32), np.empty(0, np.float32), generation=0, exact=True, scores=scores)
    loaded = saved.load(saved.save(by_text, request=b"r", ttl=10), request=b"r")
    assert loaded.scores is not None
    assert {name: found.tolist() for name, found in loaded.scores.items()} == {
        "fused": [3, 2, 1],
        "bm25:a key: é": [0.5, 0, 7],
    }
    assert len(loaded.distances) == 0
    saved.close()


def test_a_table_without_scores_is_read_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "cursors.sqlite"
    earlier = Cursors(path, read_only=False, clock=lambda: 0.0)
    cursor = earlier.save(ranking(1), request=b"r", ttl=10)
    earlier.close()
    with closing(sqlite3.connect(path)) as sql:
        sql.execute("ALTER TABLE cursors DROP COLUMN scores")
    saved = Cursors(path, read_only=False, clock=lambda: 0.0)
    assert saved.load(cursor, request=b"r").rows.tolist() == [1, 2, 3]
    assert cursors.check_kept(path, deep=True) is None
    scored = msgspec.structs.replace(ranking(5), scores={"fused": np.ones(3, np.float32)})
    assert saved.load(saved.save(scored, request=b"r", ttl=10), request=b"r").scores is not None
    assert saved.load(cursor, request=b"r").rows.tolist() == [1, 2, 3]
    saved.close()


@pytest.mark.parametrize("read_only", [False, True])
def test_so_many_are_kept_and_those_that_expire_first_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read_only: bool
) -> None:
    monkeypatch.setattr(cursors, "MOST_CURSORS", 5)
    now = [0.0]
    saved = Cursors(tmp_path / "cursors.sqlite", read_only=read_only, clock=lambda: now[0])
    names = []
    for n in range(8):
        now[0] = float(n)
        names.append(saved.save(ranking(n), request=b"r", ttl=100))
    for n in range(3):
        with pytest.raises(ExpiredToken):
            saved.load(names[n], request=b"r")
    assert [saved.load(name, request=b"r").rows[0] for name in names[3:]] == [3, 4, 5, 6, 7]
    saved.close()


def test_expired_lists_give_their_space_to_new_ones(tmp_path: Path) -> None:
    now = [0.0]
    path = tmp_path / "cursors.sqlite"
    saved = Cursors(path, read_only=False, clock=lambda: now[0])
    large = Ranking(
        rows=np.arange(10_000, dtype=np.uint32), distances=np.zeros(10_000, np.float32), generation=0, exact=True
    )
    for n in range(60):
        now[0] = float(n)
        saved.save(large, request=b"r", ttl=5)
    saved.close()
    assert path.stat().st_size < 12 * 80_000
