"""ragvec verify and ragvec repair: what they print, and their exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ragvec.store import Store

ROWS = 30


@pytest.fixture
def damaged(store: Path) -> Path:
    """A store with one record, k7, whose vector has a flipped bit."""
    with Store(store, backend="exact") as made:
        index = made.create_bucket("work").create_index("notes", dimension=4)
        index.put([f"k{n}" for n in range(ROWS)], np.eye(ROWS, 4, dtype="f4") + 1, [{"n": n} for n in range(ROWS)])
    (vectors,) = store.glob("indexes/*/g000000/vectors.f32")
    content = bytearray(vectors.read_bytes())
    content[7 * 16] ^= 1
    vectors.write_bytes(content)
    return store


def test_a_store_without_damage_is_said_to_have_none(ragvec: Callable[..., Any]) -> None:
    ragvec("buckets", "create", "work")
    done = ragvec("verify")
    assert done.status == 0
    assert "no problem found" in done.out
    assert "structure only; --deep compares everything" in done.out
    document = ragvec("verify", "--deep", "--json").json
    assert (document["clean"], document["intact"], document["problems"]) == (True, True, [])
    assert ragvec("repair").out.strip().endswith("nothing to repair.")
    assert ragvec("repair", "--yes").status == 0


def test_damage_of_a_record_is_named_and_gives_an_exit_code(ragvec: Callable[..., Any], damaged: Path) -> None:
    assert ragvec("verify").status == 0, "structure is whole"
    done = ragvec("verify", "--deep")
    assert done.status == 1
    assert "work/notes" in done.out
    (problem,) = ragvec("verify", "--deep", "--json").json["problems"]
    assert (problem["severity"], problem["row"], problem["key"]) == ("primary", 7, "k7")
    assert problem["what"].startswith("row 7, key 'k7': expected vector, key and metadata of CRC-32")


def test_a_store_can_be_named_in_the_place_of_the_option(ragvec: Callable[..., Any], damaged: Path) -> None:
    assert ragvec("--store", "elsewhere", "verify", damaged, "--deep").status == 1
    missing = ragvec("verify", damaged / "nothing")
    assert missing.status == 1
    assert "There is no store at" in missing.err


def test_without_yes_repair_says_what_it_would_do_and_does_nothing(ragvec: Callable[..., Any], damaged: Path) -> None:
    before = {path: path.read_bytes() for path in damaged.rglob("*.f32")}
    done = ragvec("repair")
    assert done.status == 1
    assert "Nothing was changed; `ragvec repair --yes` does what is said here." in done.out
    assert {path: path.read_bytes() for path in damaged.rglob("*.f32")} == before
    assert not (damaged / "lost+found").exists()


def test_repair_drops_and_names_the_damaged_record(ragvec: Callable[..., Any], damaged: Path) -> None:
    done = ragvec("repair", "--yes", "--json")
    assert done.status == 0
    document = done.json
    assert [(row["bucket"], row["index"], row["row"], row["key"]) for row in document["lost"]] == [
        ("work", "notes", 7, "k7")
    ]
    assert document["left"]["problems"] == []
    (kept,) = Path(document["kept"]).glob("rows-*.jsonl")
    line = json.loads(kept.read_text())
    assert (line["row"], line["key"], line["metadata"]) == (7, "k7", '{"n":7}')
    assert ragvec("vectors", "count", "work/notes", "--json").json["count"] == ROWS - 1
    assert ragvec("repair", "--yes").out.strip().endswith("nothing to repair.")
