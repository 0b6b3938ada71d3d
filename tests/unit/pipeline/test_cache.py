"""Vectors kept by model and text."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ragvec.errors import InvalidRequest
from ragvec.pipeline.cache import VectorCache
from ragvec.store import Store


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[VectorCache]:
    made = VectorCache(tmp_path / "cache" / "vectors.sqlite")
    yield made
    made.close()


def vectors(count: int, dimension: int = 8, *, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, dimension)).astype(np.float32)


def test_what_was_kept_is_found_again_bit_by_bit(cache: VectorCache) -> None:
    texts = [f"text {number}" for number in range(1200)]
    kept = vectors(1200)
    assert cache.find("model", 8, texts) == {}
    cache.keep("model", texts, kept)
    found = VectorCache(cache.path).find("model", 8, [*texts, "another"])
    assert list(found) != []
    assert {text: vector.tobytes() for text, vector in found.items()} == {
        text: vector.tobytes() for text, vector in zip(texts, kept, strict=True)
    }
    assert cache.stats().vectors == 1200


def test_models_dimensions_and_texts_are_told_apart(cache: VectorCache) -> None:
    cache.keep("model", ["text", "lone \ud800 surrogate"], vectors(2))
    assert cache.find("other", 8, ["text"]) == {}
    assert cache.find("model", 4, ["text"]) == {}
    assert cache.find("model", 8, ["Text"]) == {}
    assert set(cache.find("model", 8, ["text", "lone \ud800 surrogate"])) == {"text", "lone \ud800 surrogate"}


def test_the_oldest_go_where_there_are_too_many(tmp_path: Path) -> None:
    small = VectorCache(tmp_path / "cache" / "vectors.sqlite", most_bytes=1 << 20)
    for turn in range(8):
        small.keep("model", [f"{turn} {number}" for number in range(100)], vectors(100, 768, seed=turn))
    small.close()
    assert small.path.stat().st_size < 1.5 * (1 << 20)
    assert len(small.find("model", 768, [f"7 {number}" for number in range(100)])) == 100
    assert small.find("model", 768, [f"0 {number}" for number in range(100)]) == {}
    with pytest.raises(InvalidRequest, match="Expected at least 1,048,576 bytes, got 5"):
        VectorCache(tmp_path / "x", most_bytes=5)


def test_a_damaged_row_is_passed_over_and_kept_anew(cache: VectorCache) -> None:
    cache.keep("model", ["one", "two"], vectors(2))
    cache.close()
    connection = sqlite3.connect(cache.path)
    connection.execute("UPDATE vectors SET vector = zeroblob(32) WHERE id = 1")
    connection.commit()
    connection.close()
    assert list(cache.find("model", 8, ["one", "two"])) == ["two"]
    cache.keep("model", ["one"], vectors(1))
    assert set(cache.find("model", 8, ["one", "two"])) == {"one", "two"}


def test_a_damaged_file_is_begun_anew(cache: VectorCache) -> None:
    cache.keep("model", ["one"], vectors(1))
    cache.close()
    cache.path.write_bytes(b"no database" * 1000)
    again = VectorCache(cache.path)
    assert again.find("model", 8, ["one"]) == {}
    again.keep("model", ["one"], vectors(1))
    assert set(again.find("model", 8, ["one"])) == {"one"}
    assert again.trouble == ""
    again.close()


def test_a_file_that_cannot_be_made_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    cache = VectorCache(tmp_path / "cache" / "vectors.sqlite")
    cache.keep("model", ["one"], vectors(1))
    assert cache.find("model", 8, ["one"]) == {}
    assert "cannot be made" in cache.trouble


def test_clearing_gives_the_space_back(cache: VectorCache) -> None:
    cache.keep("model", [str(number) for number in range(2000)], vectors(2000, 384))
    was = cache.clear()
    assert was.vectors == 2000
    assert cache.stats().vectors == 0
    cache.close()
    assert cache.path.stat().st_size < 100_000


def test_it_lies_in_the_store_and_a_store_that_is_only_read_has_none(tmp_path: Path) -> None:
    with Store(tmp_path / "store") as store:
        store.create_bucket("docs")
        cache = VectorCache.of(store)
        assert cache is not None
        assert cache.path == tmp_path / "store" / "cache" / "vectors.sqlite"
        cache.keep("model", ["one"], vectors(1))
        cache.close()
        assert store.verify(deep=True).problems == ()
    with Store(tmp_path / "store", read_only=True) as store:
        assert VectorCache.of(store) is None


WRITER = """
import sys
from pathlib import Path
import numpy as np
from ragvec.pipeline.cache import VectorCache

cache = VectorCache(Path(sys.argv[1]))
turn = 0
while True:
    texts = [f"{sys.argv[2]} {turn} {number}" for number in range(50)]
    cache.keep("model", texts, np.full((50, 64), turn, dtype=np.float32))
    print(turn, flush=True)
    turn += 1
"""


def test_killed_writers_leave_what_they_said_was_kept(cache: VectorCache) -> None:
    told: dict[int, int] = {}
    for round_ in range(4):
        children = [
            subprocess.Popen(
                [sys.executable, "-c", WRITER, str(cache.path), str(2 * round_ + one)],
                stdout=subprocess.PIPE,
                text=True,
            )
            for one in range(2)
        ]
        for one, child in enumerate(children):
            assert child.stdout is not None
            for line in child.stdout:
                told[2 * round_ + one] = int(line)
                if int(line) >= 3 + round_:
                    break
            os.kill(child.pid, signal.SIGKILL)
        for one, child in enumerate(children):
            assert child.stdout is not None
            for line in child.stdout:
                if line.endswith("\n"):
                    told[2 * round_ + one] = int(line)
            child.stdout.close()
            deadline = time.monotonic() + 30
            assert child.wait(timeout=deadline - time.monotonic()) == -signal.SIGKILL
    for writer, last in told.items():
        for turn in range(last + 1):
            found = cache.find("model", 64, [f"{writer} {turn} {number}" for number in range(50)])
            assert len(found) == 50
            assert all((vector == turn).all() for vector in found.values())
    assert cache.trouble == ""
