from __future__ import annotations

import pytest

from benchmarks import data


@pytest.fixture
def made_up(tmp_path, monkeypatch):
    """Collections from few made-up records, in a cache of their own."""
    monkeypatch.setenv("RAGVEC_BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("RAGVEC_TEST_DATA", str(tmp_path / "absent"))
    monkeypatch.setattr(data, "MADE_UP_RECORDS", 600)
    monkeypatch.setattr(data, "QUERIES", 20)
    data._records.cache_clear()
    yield data.collection
    data._records.cache_clear()
