"""Listing by filter in pages reads each match about once."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ragvec.engine.local.engine import LocalEngine
from ragvec.engine.local.records import Records
from ragvec.filters.parse import parse_filter
from ragvec.store import Index, Store

MATCHES, BATCH = 600, 20


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    with Store(engine=LocalEngine(tmp_path / "store", background=False)) as store:
        made = store.create_bucket("bucket").create_index("index", dimension=2)
        put(made, range(2 * MATCHES))
        yield made


def put(index: Index, numbers: Any) -> None:
    keys = [f"k{n:05d}" for n in numbers]
    index.put(keys, np.ones((len(keys), 2)), [{"even": int(key[1:]) % 2 == 0} for key in keys])


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows each read by row number asked for."""
    counted: list[int] = []
    by_rows = Records.by_rows

    def count(self: Records, rows: Any, **options: Any) -> Any:
        counted.append(len(rows))
        return by_rows(self, rows, **options)

    monkeypatch.setattr(Records, "by_rows", count)
    return counted


EVEN = [f"k{n:05d}" for n in range(0, 2 * MATCHES, 2)]


def test_a_listing_reads_keys_once_however_many_pages_it_has(index: Index, reads: list[int]) -> None:
    assert [record.key for record in index.iter(where={"even": True}, batch=BATCH)] == EVEN
    # Each key once, and then each page with the one row that tells whether another follows.
    assert sum(reads) <= 2 * MATCHES + MATCHES // BATCH


def test_a_write_between_two_pages_costs_what_was_written(index: Index, reads: list[int]) -> None:
    found = []
    for number, record in enumerate(index.iter(where={"even": True}, batch=BATCH)):
        found.append(record.key)
        if number % BATCH == 0:
            put(index, [2 * number])  # replaced by itself: a new row
    assert found == EVEN
    assert sum(reads) <= 2 * MATCHES + 2 * (MATCHES // BATCH)


@pytest.mark.parametrize("seed", range(3))
def test_pages_agree_with_the_store_whatever_is_written_between_them(index: Index, seed: int) -> None:
    dice = random.Random(seed)
    engine = index.bucket.store.engine.index(index.spec)
    expected = set(EVEN)
    for _ in range(60):
        numbers = dice.sample(range(3 * MATCHES), dice.choice([1, 5, 100]))
        if dice.random() < 0.5:
            put(index, numbers)
            expected |= {f"k{n:05d}" for n in numbers if n % 2 == 0}
        else:
            index.delete([f"k{n:05d}" for n in numbers])
            expected -= {f"k{n:05d}" for n in numbers}
        after = f"k{dice.randrange(3 * MATCHES):05d}"
        limit = dice.choice([1, 7, 1000])
        page = engine.scan(after=after, limit=limit, where=_even(), data=False, metadata=True, damaged="raise")
        following = sorted(key for key in expected if key > after)
        assert [record.key for record in page.records] == following[:limit]
        assert page.next_after == (following[limit - 1] if len(following) > limit else None)


def test_segments_of_a_listing_are_disjoint_and_complete(index: Index) -> None:
    engine = index.bucket.store.engine.index(index.spec)
    parts = [engine.scan(limit=1000, where=_even(), segment=(at, 3), metadata=False).records for at in range(3)]
    assert sorted(record.key for part in parts for record in part) == EVEN


def _even() -> Any:
    return parse_filter({"even": True})
