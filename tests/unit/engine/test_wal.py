"""Logs that a crash left: damage is told from the end of an interrupted write."""

from __future__ import annotations

import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

import ragvec
from ragvec.care import verify
from ragvec.engine.local.wal import broken_log

HEADER, FRAME = 32, 24


def crashed(folder: Path, *, page: int = 4096) -> Path:
    """A database as a killed process leaves it, with fourteen transactions in its log, of one to three pages each."""
    folder.mkdir()
    with closing(sqlite3.connect(folder / "live", isolation_level=None)) as sql:
        sql.execute(f"PRAGMA page_size={page}")
        sql.execute("PRAGMA journal_mode=WAL")
        sql.execute("PRAGMA wal_autocheckpoint=0")
        sql.execute("CREATE TABLE t (n INTEGER, x TEXT)")
        for number in range(14):
            sql.execute("INSERT INTO t VALUES (?, ?)", (number, "x" * (page // 9 * number)))
        shutil.copy(folder / "live", folder / "db")
        shutil.copy(folder / "live-wal", folder / "db-wal")
    return folder / "db-wal"


def rows(log: Path) -> int:
    """What SQLite makes of it; a copy is asked, since SQLite cleans up."""
    folder = log.parent / "asked"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name in ("db", "db-wal"):
        shutil.copy(log.parent / name, folder / name)
    with closing(sqlite3.connect(folder / "db")) as sql:
        if not sql.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            return 0
        found: int = sql.execute("SELECT count(*) FROM t").fetchone()[0]
        return found


@pytest.mark.parametrize("page", [512, 4096, 65536])
def test_a_flipped_bit_anywhere_before_the_last_two_transactions_is_found(tmp_path: Path, page: int) -> None:
    log = crashed(tmp_path / "crash", page=page)
    whole = log.read_bytes()
    assert broken_log(log) is None
    assert rows(log) == 14
    sizes = [int.from_bytes(whole[at + 4 : at + 8], "big") for at in range(HEADER, len(whole), FRAME + page)]
    commits = [at for at, size in enumerate(sizes) if size]
    last = HEADER + (commits[-3] + 1) * (FRAME + page)
    chosen = random.Random(page)
    heads = [at + chosen.randrange(FRAME) for at in range(HEADER, last, FRAME + page)]
    for byte in [*range(16, HEADER), *heads, *(chosen.randrange(HEADER, last) for _ in range(60))]:
        damaged = bytearray(whole)
        damaged[byte] ^= 1 << chosen.randrange(8)
        log.write_bytes(damaged)
        found = broken_log(log)
        assert found is not None, f"a flip of byte {byte} is not found"
        assert found.byte <= byte < found.byte + FRAME + page
        assert rows(log) <= 14 - found.commits + 1
    end = HEADER + (commits[-2] + 1) * (FRAME + page)
    for byte in (end + 4, end + FRAME, len(whole) - 1):
        log.write_bytes(whole[:byte] + bytes([whole[byte] ^ 1]) + whole[byte + 1 :])
        assert broken_log(log) is None  # as an interrupted write may look


def test_an_interrupted_write_is_no_damage(tmp_path: Path) -> None:
    log = crashed(tmp_path / "crash")
    whole = log.read_bytes()
    for size in [0, 7, HEADER, HEADER + 9, *np.random.default_rng(1).integers(HEADER, len(whole), 200).tolist()]:
        log.write_bytes(whole[:size])
        assert broken_log(log) is None
        log.write_bytes(whole[:size] + bytes(9000))
        assert broken_log(log) is None
    log.unlink()
    assert broken_log(log) is None


def test_verify_says_that_commits_will_be_lost(tmp_path: Path) -> None:
    with ragvec.Store(tmp_path / "live") as store:
        index = store.create_bucket("bucket").create_index("index", dimension=2)
        for number in range(9):
            index.put([f"k{number}"], [[1.0, number]])
        shutil.copytree(tmp_path / "live", tmp_path / "crashed")  # as a killed process leaves it
    assert verify(tmp_path / "crashed").problems == ()
    shutil.rmtree(tmp_path / "crashed")
    with ragvec.Store(tmp_path / "live") as store:
        for number in range(9):
            store.bucket("bucket").index("index").put([f"l{number}"], [[1.0, number]])
        shutil.copytree(tmp_path / "live", tmp_path / "crashed")
    (log,) = [path for path in (tmp_path / "crashed").rglob("records.sqlite-wal") if path.stat().st_size]
    content = bytearray(log.read_bytes())
    content[HEADER + FRAME + 100] ^= 4
    log.write_bytes(content)
    (problem,) = [one for one in verify(tmp_path / "crashed").problems if one.file.endswith("-wal")]
    assert (problem.severity, problem.bucket, problem.index) == ("primary", "bucket", "index")
    assert problem.byte == HEADER
    assert "latest commits in it are lost" in problem.what
