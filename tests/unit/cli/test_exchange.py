from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ragvec as package

Run = Callable[..., Any]

HEADER = {
    "ragvec": "export",
    "format": 1,
    "dimension": 3,
    "metric": "euclidean",
    "non_filterable": ["text"],
    "properties": {"attributes": {"year": "LONG_VALUE"}, "embedder": {"dimension": 3, "name": "mine"}},
}


def lines(*objects: Any) -> str:
    return "".join(json.dumps(one) + "\n" for one in objects)


@pytest.fixture
def index(store: Path) -> Any:
    """An index of 1,234 random vectors, every property set, with rows replaced and deleted."""
    random = np.random.default_rng(5)
    with package.Store(store) as opened:
        made = opened.create_bucket("work").create_index(
            "notes", dimension=3, metric="euclidean", non_filterable=["text"]
        )
        keys = [f"é{n}" for n in range(1300)]
        made.put(keys, random.normal(size=(1300, 3)), [{"n": n, "text": "ü\n" * (n % 40)} for n in range(1300)])
        made.put(keys[:10], random.normal(size=(10, 3)), [{}] * 10)
        made.delete(keys[-66:])
        for name, value in HEADER["properties"].items():  # type: ignore[attr-defined]
            made.set_property(name, value)
        yield made


def test_export_then_import_then_export_is_identical(ragvec: Run, index: Any, tmp_path: Path) -> None:
    first, second, packed = tmp_path / "first.jsonl", tmp_path / "second.jsonl", tmp_path / "packed.jsonl.gz"
    assert ragvec("export", "work/notes", first, "--json").json == {"exported": 1234, "file": str(first)}
    assert ragvec("import", first, "copy/all", "--json").json == {"imported": 1234, "index": "copy/all"}
    assert ragvec("export", "copy/all", second).out == f"Exported 1,234 records of copy/all to {second}.\n"
    assert first.read_bytes() == second.read_bytes()
    assert ragvec("export", "copy/all", packed).status == 0
    assert gzip.decompress(packed.read_bytes()) == first.read_bytes()
    assert ragvec("import", packed, "copy/again").status == 0
    assert ragvec("stats", "copy/again", "--json").json["vectors"] == 1234
    again = tmp_path / "again.jsonl.gz"
    ragvec("export", "copy/again", again)
    assert again.read_bytes() == packed.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix == ".part") == []


def test_the_file_is_what_the_documentation_says(ragvec: Run, index: Any, tmp_path: Path) -> None:
    path = tmp_path / "notes.jsonl"
    ragvec("export", "work/notes", path)
    header, *records, end = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    assert header == HEADER
    assert end == {"records": 1234}
    held = index.get([record["key"] for record in records])
    assert len(held) == 1234
    for record, found in zip(records, held, strict=True):
        assert set(record) == {"key", "data", "metadata"}
        assert record["metadata"] == found.metadata
        assert np.array_equal(np.float32(record["data"]), found.data)
    assert [record["key"].encode() for record in records] == sorted(record["key"].encode() for record in records)


def test_export_and_import_through_pipes(process: Run, index: Any, tmp_path: Path) -> None:
    exported = process("export", "work/notes", "-")
    assert (exported.status, exported.err) == (0, "")
    done = process("import", "-", "copy/notes", stdin=exported.out)
    assert (done.status, done.out, done.err) == (0, "Imported 1,234 records into copy/notes.\n", "")
    assert process("export", "copy/notes", "-").out == exported.out


def test_import_refuses_an_index_that_is_not_empty_unless_merged(ragvec: Run, index: Any, tmp_path: Path) -> None:
    path = tmp_path / "more.jsonl"
    rows = [{"key": "é0", "data": [1, 2, 3], "metadata": {"new": True}}, {"key": "x", "data": [4, 5, 6]}]
    path.write_text(lines(HEADER, *rows, {"records": 2}).replace(" ", ""))
    done = ragvec("import", path, "work/notes")
    assert done.status == 1
    assert "index work/notes holds 1,234 vectors already; `merge` (--merge) adds to them" in done.err
    assert ragvec("import", path, "work/notes", "--merge", "--json").json["imported"] == 2
    assert index.count() == 1235
    assert index.get(["é0"])[0].metadata == {"new": True}
    assert index.property("attributes") == {"year": "LONG_VALUE"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dimension": 4}, "index work/notes has dimension 3, and the file has 4"),
        ({"metric": "cosine"}, "index work/notes has metric euclidean, and the file has cosine"),
        ({"non_filterable": []}, "has non-filterable keys ['text'], and the file has []"),
        ({"properties": {"embedder": {"name": "theirs", "dimension": 3}}}, "was filled by the embedder"),
        ({"properties": {"attributes": {"year": "DATE_VALUE"}}}, "attribute 'year' is LONG_VALUE in index work/notes"),
    ],
)
def test_merging_what_does_not_belong_together_is_refused(
    ragvec: Run, index: Any, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    path = tmp_path / "more.jsonl"
    path.write_text(lines({**HEADER, **change}, {"records": 0}).replace(" ", ""))
    done = ragvec("import", path, "work/notes", "--merge")
    assert done.status == 1
    assert message in done.err
    assert index.count() == 1234


RECORD = {"key": "a", "data": [1, 2, 3], "metadata": {"year": 1}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not an export of ragvec, which begins with"),
        (lines(RECORD), "is not an export of ragvec"),
        ("\x00\x01binary", "is not an export of ragvec"),
        (lines({**HEADER, "format": 2}), "has format 2; this ragvec reads up to 1: upgrade ragvec"),
        (lines({**HEADER, "dimension": "3"}), "line 1 of {path}: expected dimension of type int, got '3'"),
        (lines({**HEADER, "metric": "dot"}, {"records": 0}), "dot"),
        (lines(HEADER, RECORD), "is cut short: it ends after 1 records"),
        (lines(HEADER, RECORD) + '{"records":2}\n', 'line 3 of {path}: {{"records":2}} after 1 records'),
        (lines(HEADER, RECORD) + '{"records":1}\n' + lines(RECORD), "goes on after line 3"),
        (lines(HEADER, RECORD, RECORD) + '{"records":2}\n', "of {path}:"),
        (lines(HEADER, {**RECORD, "data": [1, 2]}) + '{"records":1}\n', "line 2 of {path}: expected 3 numbers"),
        (lines(HEADER, RECORD)[:-20], "line 2 of {path} is not JSON"),
    ],
)
def test_a_bad_file_leaves_neither_bucket_nor_index(ragvec: Run, tmp_path: Path, text: str, message: str) -> None:
    ragvec("buckets", "create", "work")
    path = tmp_path / "bad.jsonl"
    path.write_text(text)
    for target in ("work/notes", "fresh/notes"):
        done = ragvec("import", path, target)
        assert (done.status, done.out, done.err.count("\n")) == (1, "", 1)
        assert message.format(path=path) in done.err
    assert ragvec("buckets", "--json").json == {"buckets": [{"bucket": "work", "indexes": 0, "vectors": 0}]}


def test_keys_repeated_far_apart_are_found_too(ragvec: Run, tmp_path: Path) -> None:
    path = tmp_path / "twice.jsonl"
    rows = [{"key": f"k{n % 6000}", "data": [1, 2, n + 1]} for n in range(6001)]
    path.write_text(lines(HEADER, *rows) + '{"records":6001}\n')
    done = ragvec("import", path, "work/notes")
    assert done.status == 1
    assert f"line 6002 of {path}: key 'k0' is that of line 2 too; nothing was imported" in done.err
    assert ragvec("buckets", "--json").json == {"buckets": []}


def test_a_failed_import_empties_an_index_that_was_empty(ragvec: Run, tmp_path: Path) -> None:
    ragvec("buckets", "create", "work")
    options = ("--dimension", "3", "--metric", "euclidean", "--non-filterable", "text")
    ragvec("indexes", "create", "work/notes", *options)
    path = tmp_path / "cut.jsonl"
    path.write_text(lines(HEADER, *({"key": f"k{n}", "data": [1, 2, n]} for n in range(5500))))
    assert "cut short" in ragvec("import", path, "work/notes").err
    assert ragvec("vectors", "count", "work/notes").out == "0\n"


def test_damaged_compression_is_named(ragvec: Run, index: Any, tmp_path: Path) -> None:
    path = tmp_path / "notes.jsonl.gz"
    ragvec("export", "work/notes", path)
    whole = path.read_bytes()
    for damaged in (whole[:-100], whole[:5000] + b"\0" * 40 + whole[5040:]):
        path.write_bytes(damaged)
        done = ragvec("import", path, "copy/notes")
        assert done.status == 1
        assert "copy" not in ragvec("buckets", "--json").out
        assert str(path) in done.err


def test_an_export_that_cannot_be_written_leaves_nothing(ragvec: Run, index: Any, tmp_path: Path) -> None:
    done = ragvec("export", "work/notes", tmp_path / "absent" / "notes.jsonl")
    assert (done.status, done.out) == (1, "")
    assert done.err.startswith("ragvec: error: cannot write ")
    (tmp_path / "folder").mkdir()
    done = ragvec("export", "work/notes", tmp_path / "folder")
    assert done.status == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "store"]


def test_an_old_export_stays_when_the_new_one_fails(ragvec: Run, tmp_path: Path) -> None:
    ragvec("buckets", "create", "work")
    path = tmp_path / "notes.jsonl"
    path.write_text("old")
    assert ragvec("export", "work/absent", path).status == 1
    assert path.read_text() == "old"
