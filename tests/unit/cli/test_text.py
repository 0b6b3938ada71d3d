"""Text search from the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]

ROWS = {
    "a": ([1.0, 0.0], {"title": "Running shoes", "body": "light"}),
    "b": ([0.0, 1.0], {"title": "Boots", "body": "for a run"}),
    "c": ([0.9, 0.1], {"title": "Hats"}),
}


@pytest.fixture
def filled(ragvec: Run, tmp_path: Path) -> Run:
    path = tmp_path / "rows.jsonl"
    lines = [json.dumps({"key": key, "data": data, "metadata": metadata}) for key, (data, metadata) in ROWS.items()]
    path.write_text("\n".join(lines), encoding="utf-8")
    ragvec("buckets", "create", "work")
    made = ("--dimension", "2", "--non-filterable", "body", "--text", "title:en", "--text", "body", "--text", "a:b")
    ragvec("indexes", "create", "work/shop", *made)
    ragvec("vectors", "put", "work/shop", path)
    return ragvec


def keys(done: Any) -> list[str]:
    assert (done.status, done.err) == (0, "")
    return [row["key"] for row in done.json["vectors"]]


def test_show_tells_the_text_fields(filled: Run) -> None:
    assert filled("indexes", "show", "work/shop", "--json").json["text"] == {"title": "en", "body": None, "a:b": None}
    assert "text            title (en), body (any), a:b (any)" in filled("indexes", "show", "work/shop").out


def test_words_are_sought_in_all_fields_or_in_one(filled: Run) -> None:
    query = ("vectors", "query", "work/shop", "--text", "run", "--json")
    assert keys(filled(*query)) == ["a", "b"]
    assert keys(filled(*query, "--in", "body")) == ["b"]
    assert keys(filled(*query, "--in", "title", "--in", "body", "--where", '{"title": "Boots"}')) == ["b"]


def test_words_alone_have_scores_and_no_distances(filled: Run) -> None:
    done = filled("vectors", "query", "work/shop", "--text", "run")
    assert done.out.splitlines()[0].split() == ["key", "score", "metadata"]
    (first, *_) = filled("vectors", "query", "work/shop", "--text", "run", "--json").json["vectors"]
    assert set(first) == {"key", "score", "metadata"}


def test_words_go_with_a_vector_or_a_key(filled: Run) -> None:
    words = ("vectors", "query", "work/shop", "--text", "run", "--in", "body", "--fusion", "rrf")
    found = filled(*words, "--vector", "[1, 0]", "--json").json["vectors"]
    assert [row["key"] for row in found] == ["b", "a", "c"]
    assert [round(row["score"] * 61 * 63) for row in found] == [(61 + 63), 63, round(61 * 63 / 62)]
    assert filled(*words, "--vector", "[1, 0]").out.splitlines()[0].split() == ["key", "score", "distance", "metadata"]
    assert "a" not in keys(filled(*words, "--key", "a", "--json"))


def test_a_key_without_text_search_is_refused(filled: Run) -> None:
    done = filled("vectors", "query", "work/shop", "--text", "run", "--in", "author")
    assert done.status == 1
    assert "Expected a metadata key with text search: 'title', 'body', 'a:b'; got 'author'" in done.err


def test_what_is_ingested_is_found_by_its_words_and_its_meaning(ragvec: Run, tmp_path: Path) -> None:
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "a.txt").write_text("Form AB-1234 is for travel.", encoding="utf-8")
    (folder / "b.txt").write_text("Holidays are booked with the form of the department.", encoding="utf-8")
    ingest = ("ingest", folder, "--into", "work/notes", "--embedder", "hashing:64", "--json")
    assert ragvec(*ingest, "--text", "en").status == 0
    assert ragvec(*ingest, "--text", "en").status == 0, "as it was"
    assert ragvec(*ingest).status == 0, "and kept"

    query = ("vectors", "query", "work/notes", "--text", "AB-1234", "--json")
    (only,) = ragvec(*query, "--by", "words").json["vectors"]
    assert only["key"].startswith("a.txt")
    assert set(only) == {"key", "score", "metadata"}
    both = ragvec(*query).json["vectors"]
    assert len(both) == 2
    assert set(both[0]) == {"key", "score", "distance", "metadata"}
    assert set(ragvec(*query, "--by", "meaning").json["vectors"][0]) == {"key", "distance", "metadata"}

    done = ragvec(*ingest, "--text", "any")
    assert done.status == 1
    assert "Expected the language 'en'" in done.err


def test_text_fields_come_and_go(filled: Run) -> None:
    done = filled("indexes", "text", "work/shop")
    assert (done.status, done.out) == (0, "title (en), body (any), a:b (any)\n")
    changed = filled("indexes", "text", "work/shop", "--drop", "body", "--add", "body:en", "--drop", "a:b")
    assert changed.out == "title (en), body (en)\n"
    assert keys(filled("vectors", "query", "work/shop", "--text", "running", "--in", "body", "--json")) == ["b"]
    again = filled("indexes", "text", "work/shop", "--add", "title", "--json")
    assert again.status == 1
    assert "title" in again.err
    assert filled("indexes", "text", "work/shop", "--drop", "title", "--drop", "body").out == "No text is searched.\n"
