"""`ragvec migrate`, on the golden store of format 1."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]
STORE_1 = Path(__file__).parents[2] / "format" / "store-1.zip"


@pytest.fixture
def old(store: Path) -> Path:
    with zipfile.ZipFile(STORE_1) as archive:
        archive.extractall(store.parent)
    return store


def test_check_says_what_is_due_and_changes_nothing(old: Path, ragvec: Run) -> None:
    before = (old / "catalog.sqlite").read_bytes()

    done = ragvec("migrate", "--check")

    assert done.status == 1
    assert "The store has format 1, this version 2. To do:" in done.out
    assert "checksums of the rows of catalog.sqlite" in done.out
    assert (old / "catalog.sqlite").read_bytes() == before


def test_migrating_says_what_was_done_and_then_that_nothing_is_left(old: Path, ragvec: Run) -> None:
    done = ragvec("migrate", "--json")
    assert (done.status, done.json["from"], done.json["to"], len(done.json["steps"])) == (0, 1, 2, 1)

    again = ragvec("migrate", "--check")
    assert again.status == 0
    assert again.out == "The store has format 2, that of this version; there is nothing to do.\n"
    assert ragvec("migrate", "--json").json["steps"] == []
    assert ragvec("vectors", "count", "golden/plain").status == 0


def test_what_is_no_store_is_refused(store: Path, ragvec: Run) -> None:
    for words in (["migrate"], ["migrate", "--check"]):
        done = ragvec(*words)
        assert done.status == 1
        assert "There is no store at" in done.err
        assert not store.exists()
