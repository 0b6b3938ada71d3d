"""Listing by filter while records are replaced."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ragvec.engine.local import listing
from ragvec.engine.local.engine import LocalEngine
from ragvec.engine.local.records import Records, StoredRow
from ragvec.filters.parse import parse_filter
from ragvec.store import Store


def test_a_listing_ends_while_others_write_all_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "_FEW", 3)
    store = Store(engine=LocalEngine(tmp_path / "store", background=False))
    index = store.create_bucket("bucket").create_index("index", dimension=2, metric="euclidean")
    index.put([f"k{n:02d}" for n in range(40)], np.ones((40, 2)), [{"n": n % 2} for n in range(40)])
    writer = Store(engine=LocalEngine(tmp_path / "store", background=False))
    other = writer.bucket("bucket").index("index")
    after = Records.after
    walks = []

    def after_a_write(self: Records, *args: object, **options: object) -> list[StoredRow]:
        # Another process replaces records between every snapshot and the walk that it is for.
        walks.append(1)
        assert len(walks) < 100, "the listing goes on for ever"
        other.put(["k10", "k11"], np.ones((2, 2)), [{"n": 0}, {"n": 0}])
        return after(self, *args, **options)

    monkeypatch.setattr(Records, "after", after_a_write)
    found = store.engine.index(index.spec).scan(limit=100, where=parse_filter({"n": 0}), metadata=True)
    expected = sorted({f"k{n:02d}" for n in range(0, 40, 2)} | {"k11"})
    assert [record.key for record in found.records] == expected
    assert all(record.metadata == {"n": 0} for record in found.records)
    store.close()
    writer.close()
