"""What is kept of a database until it changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from ragvec.engine.local.engine import LocalEngine
from ragvec.engine.local.remembered import Remembered
from ragvec.engine.protocol import BucketInfo
from ragvec.errors import BucketNotFound, PolicyNotFound


def test_values_are_read_once_until_the_mark_changes() -> None:
    marks: list[bytes | None] = [b"1"]
    read: list[str] = []

    def value(key: str) -> str | None:
        return remembered.get(key, lambda: read.append(key) or None)  # type: ignore[func-returns-value]

    remembered: Remembered[str, str | None] = Remembered(lambda: marks[0])
    assert [value("a"), value("a"), value("b")] == [None] * 3
    assert read == ["a", "b"]
    marks[0] = b"2"
    value("b")
    assert read == ["a", "b", "b"]
    marks[0] = None
    value("b")
    value("b")
    assert read == ["a", "b", "b", "b", "b"]


def test_what_reading_raises_is_not_kept() -> None:
    remembered: Remembered[str, int] = Remembered(lambda: b"1")

    with pytest.raises(ZeroDivisionError):
        remembered.get("a", lambda: 1 // 0)
    assert remembered.get("a", lambda: 2) == 2


def test_what_is_committed_while_it_is_read_is_read_again() -> None:
    marks = [b"1"]

    def read() -> int:
        marks[0] = b"2"
        return 1

    remembered: Remembered[str, int] = Remembered(lambda: marks[0])
    assert remembered.get("a", read) == 1
    assert remembered.get("a", lambda: 2) == 2


def test_a_policy_that_another_engine_puts_or_removes_is_seen_at_once(tmp_path: Path) -> None:
    ours, other = (LocalEngine(tmp_path / "store") for _ in range(2))
    with pytest.raises(BucketNotFound):
        ours.catalog.policy("docs")
    other.catalog.create_bucket(BucketInfo("docs", 1.0), tags={}, max_buckets=None)
    with pytest.raises(PolicyNotFound):
        ours.catalog.policy("docs")
    other.catalog.put_policy("docs", "{}")
    assert ours.catalog.policy("docs") == "{}"
    other.catalog.put_policy("docs", "[]")
    assert ours.catalog.policy("docs") == "[]"
    other.catalog.delete_policy("docs")
    with pytest.raises(PolicyNotFound):
        ours.catalog.policy("docs")
    other.catalog.delete_bucket("docs")
    with pytest.raises(BucketNotFound):
        ours.catalog.policy("docs")
    for engine in (ours, other):
        engine.close()
