from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ragvec.cli.records import shortest

Run = Callable[..., Any]

ROWS = {
    "a": ([1.0, 0.0, 0.0], {"year": 2024, "tags": ["x", "y"], "text": "hello"}),
    "b": ([0.0, 1.0, 0.5], {}),
    "c": ([0.1, 0.2, -3e-5], {"year": 2019, "ok": True, "share": 1.0}),
    "d/é": ([-1.0, 0.3, 0.3], {"year": 2024.5, "name": "Ünïcödé \u2028 line"}),
}


def cosine(left: list[float], right: list[float]) -> float:
    a, b = (np.array(np.float32(side), dtype=np.float64) for side in (left, right))
    return 1 - float(a @ b / np.sqrt((a @ a) * (b @ b)))


@pytest.fixture
def filled(ragvec: Run, tmp_path: Path) -> Run:
    """`work/notes` with ROWS in it; `text` is not filterable."""
    lines = [json.dumps({"key": key, "data": data, "metadata": metadata}) for key, (data, metadata) in ROWS.items()]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    ragvec("buckets", "create", "work")
    ragvec("indexes", "create", "work/notes", "--dimension", "3", "--non-filterable", "text")
    assert ragvec("vectors", "put", "work/notes", path, "--json").json == {"stored": 4}
    return ragvec


def test_list_gives_all_in_order_of_key(filled: Run) -> None:
    found = filled("vectors", "list", "work/notes", "--json", "--data").json
    assert found == {
        "vectors": [{"key": key, "data": data, "metadata": metadata} for key, (data, metadata) in ROWS.items()]
    }


def test_list_goes_on_from_its_token(filled: Run) -> None:
    keys: list[str] = []
    token: list[str] = []
    for _ in range(3):
        page = filled("vectors", "list", "work/notes", "--limit", "3", "--no-metadata", "--json", *token).json
        assert all(set(row) == {"key"} for row in page["vectors"])
        keys += [row["key"] for row in page["vectors"]]
        if "nextToken" not in page:
            break
        token = ["--token", page["nextToken"]]
    assert keys == list(ROWS)
    done = filled("vectors", "list", "work/notes", "--token", "nonsense")
    assert (done.status, done.out) == (1, "")


def test_list_filters(filled: Run) -> None:
    found = filled("vectors", "list", "work/notes", "--where", '{"year": {"$gte": 2024}}', "--json").json
    assert [row["key"] for row in found["vectors"]] == ["a", "d/é"]


def test_list_for_people_says_how_to_go_on(filled: Run) -> None:
    done = filled("vectors", "list", "work/notes", "--limit", "2")
    lines = done.out.splitlines()
    assert lines[0].split() == ["key", "metadata"]
    assert lines[2] == 'a     {"year": 2024, "tags": ["x", "y"], "text": "hello"}'
    assert lines[-1].startswith("More: --token ")
    assert "\x1b" not in done.out


def test_get_keeps_the_order_and_tells_what_is_missing(filled: Run) -> None:
    done = filled("vectors", "get", "work/notes", "c", "zz", "a", "--data", "--json")
    assert done.status == 1
    assert done.json["missing"] == ["zz"]
    assert [row["key"] for row in done.json["vectors"]] == ["c", "a"]
    assert done.json["vectors"][0]["data"] == ROWS["c"][0]
    assert done.err == "ragvec: error: no vector 'zz' in work/notes\n"
    assert filled("vectors", "get", "work/notes", "c", "--json", "a").status == 0


def test_query_by_vector_gives_cosine_distances_nearest_first(filled: Run) -> None:
    query = [0.2, 0.9, -0.1]
    found = filled("vectors", "query", "work/notes", "--vector", json.dumps(query), "--json", "--data").json
    assert found["metric"] == "cosine"
    expected = sorted((cosine(query, data), key) for key, (data, _) in ROWS.items())
    assert [row["key"] for row in found["vectors"]] == [key for _, key in expected]
    assert [row["distance"] for row in found["vectors"]] == pytest.approx([far for far, _ in expected], abs=1e-6)
    assert found["vectors"][0]["data"] == ROWS[expected[0][1]][0]


def test_query_takes_the_shape_that_boto3_writes(filled: Run) -> None:
    query = '{"float32": [0.2, 0.9, -0.1]}'
    assert len(filled("vectors", "query", "work/notes", "--vector", query, "-k", "2", "--json").json["vectors"]) == 2


def test_query_by_key_leaves_that_vector_out(filled: Run) -> None:
    found = filled("vectors", "query", "work/notes", "--key", "a", "--top-k", "2", "--json").json["vectors"]
    expected = sorted((cosine(ROWS["a"][0], data), key) for key, (data, _) in ROWS.items() if key != "a")
    assert [row["key"] for row in found] == [key for _, key in expected[:2]]
    done = filled("vectors", "query", "work/notes", "--key", "zz")
    assert (done.status, done.err) == (1, "ragvec: error: no vector 'zz' in work/notes\n")


def test_query_filters(filled: Run) -> None:
    found = filled("vectors", "query", "work/notes", "--key", "a", "--where", '{"ok": true}', "--json").json["vectors"]
    assert [row["key"] for row in found] == ["c"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["query", "work/notes", "--vector", "[1, 2]"], "must have length 3, but has length 2"),
        (["query", "work/notes", "--text", "hello"], "was not filled by `ragvec ingest`"),
        (["count", "work/notes", "--where", '{"year": {"$foo": 1}}'], "'$foo'"),
        (["count", "work/notes", "--where", '{"text": "hello"}'], "non-filterable"),
        (["list", "work/other"], "No index 'other' in bucket 'work': it has notes"),
        (["put", "work/notes", "absent.jsonl"], "cannot read absent.jsonl: No such file or directory"),
    ],
)
def test_what_the_store_refuses_is_one_line(filled: Run, words: list[str], message: str) -> None:
    done = filled("vectors", *words)
    assert (done.status, done.out, done.err.count("\n")) == (1, "", 1)
    assert message in done.err


def test_count(filled: Run) -> None:
    assert filled("vectors", "count", "work/notes").out == "4\n"
    assert filled("vectors", "count", "work/notes", "--where", '{"year": {"$exists": true}}', "--json").json == {
        "count": 3
    }


def test_delete_asks_for_yes_and_tells_how_much_it_would_take(filled: Run) -> None:
    done = filled("vectors", "delete", "work/notes", "a", "zz")
    assert (done.status, done.out) == (2, "")
    assert done.err == "ragvec: error: this deletes 1 of 4 vectors of work/notes; repeat with --yes\n"
    assert "this deletes 4 of 4 vectors" in filled("vectors", "delete", "work/notes", "--where", "{}").err
    assert filled("vectors", "count", "work/notes").out == "4\n"


def test_delete_by_key_and_by_filter(filled: Run) -> None:
    # Keys may also stand behind an option.
    assert filled("vectors", "delete", "work/notes", "--yes", "a", "zz", "--json").json == {"deleted": 1}
    assert filled("vectors", "delete", "work/notes", "--where", '{"year": {"$lt": 2024.6}}', "--yes").out == (
        "Deleted 2 vectors of work/notes.\n"
    )
    assert filled("vectors", "list", "work/notes", "--json").json == {"vectors": [{"key": "b", "metadata": {}}]}


def test_put_reads_standard_input_and_gzip(filled: Run, process: Run, tmp_path: Path) -> None:
    done = process("vectors", "put", "work/notes", stdin='{"key": "e", "vector": [0, 0, 1]}\n\n')
    assert (done.status, done.out) == (0, "Stored 1 vector in work/notes.\n")
    packed = tmp_path / "rows.gz"
    packed.write_bytes(gzip.compress(b'{"key": "f", "vector": {"float32": [0, 0, 2]}, "metadata": {"year": 1}}'))
    assert filled("vectors", "put", "work/notes", packed).status == 0
    assert filled("vectors", "get", "work/notes", "e", "f", "--json").json["vectors"] == [
        {"key": "e", "metadata": {}},
        {"key": "f", "metadata": {"year": 1}},
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2 of {path} is not JSON"),
        ('"key"', "line 2 of {path} is not a record: Expected `object`, got `str`"),
        ('{"key": "x", "data": [1, 2, 3], "meta": {}}', "is not a record: Object contains unknown field `meta`"),
        ('{"key": 5, "data": [1, 2, 3]}', "is not a record: Expected `str`, got `int` - at `$.key`"),
        ('{"data": [1, 2, 3]}', "is not a record: Object missing required field `key`"),
        ('{"key": "x"}', "line 2 of {path}: expected exactly one of data and vector for key 'x'"),
        ('{"key": "x", "data": [1], "vector": [1]}', "expected exactly one of data and vector"),
        ('{"key": "x", "data": [1, 2, "3"]}', "is not a record: Expected `float`, got `str` - at `$.data[2]`"),
        ('{"key": "x", "data": [1, 2, true]}', "is not a record: Expected `float`, got `bool` - at `$.data[2]`"),
        ('{"key": "x", "vector": {"float64": [1, 2, 3]}}', "is not a record"),
        ('{"key": "x", "data": [1, 2]}', "line 2 of {path}: expected 3 numbers for key 'x', got 2"),
        (
            '{"key": "x", "data": [1, 2, 3], "metadata": 7}',
            "is not a record: Expected `object | null`, got `int` - at `$.metadata`",
        ),
        ('{"key": "x", "data": [0, 0, 0]}', "line 2 of {path}:"),
        ('{"key": "x", "data": [1e60, 0, 0]}', "line 2 of {path}:"),
        ('{"key": "", "data": [1, 0, 0]}', "line 2 of {path}:"),
        ('{"key": "x", "data": [1, 0, 0], "metadata": {"deep": {"er": 1}}}', "line 2 of {path}:"),
        ('{"key": "z", "data": [1, 0, 0]}', "of {path}:"),
    ],
)
def test_put_names_the_line_at_fault_and_stores_nothing_of_its_batch(
    filled: Run, tmp_path: Path, line: str, message: str
) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text('{"key": "z", "data": [1, 2, 3]}\n' + line + "\n")
    done = filled("vectors", "put", "work/notes", path)
    assert (done.status, done.out, done.err.count("\n")) == (1, "", 1)
    assert message.format(path=path) in done.err
    assert done.err.endswith("; nothing was stored\n")
    assert filled("vectors", "count", "work/notes").out == "4\n"


def test_put_tells_what_earlier_batches_stored(filled: Run, tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text("".join(f'{{"key": "n{n}", "data": [1, 2, 3]}}\n' for n in range(5001)) + "oops\n")
    done = filled("vectors", "put", "work/notes", path)
    assert done.status == 1
    assert f"line 5002 of {path} is not JSON" in done.err
    assert done.err.endswith("; the first 5,000 records were stored\n")
    assert filled("vectors", "count", "work/notes").out == "5004\n"


def test_a_document_cannot_send_commands_to_the_terminal(filled: Run, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    row = {"key": "e\x1b[31m", "data": [1, 1, 1], "metadata": {"text": "[bold]\x1b]0;title\x07"}}
    path.write_text(json.dumps(row))
    assert filled("vectors", "put", "work/notes", path).status == 0
    done = filled("vectors", "list", "work/notes")
    assert "[bold]" in done.out
    assert not {"\x1b", "\x07"} & set(done.out)


def test_long_texts_are_shortened_for_people_and_whole_in_json(filled: Run, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"key": "e", "data": [1, 1, 1], "metadata": {"text": "word " * 400}}))
    filled("vectors", "put", "work/notes", path)
    assert len(filled("vectors", "get", "work/notes", "e").out.splitlines()) < 6
    assert filled("vectors", "get", "work/notes", "e", "--json").json["vectors"][0]["metadata"]["text"] == "word " * 400


def test_buckets_and_indexes(filled: Run) -> None:
    assert filled("buckets", "create", "work", "--exist-ok").status == 0
    filled("buckets", "create", "archive")
    assert filled("buckets", "--json").json == {
        "buckets": [
            {"bucket": "archive", "indexes": 0, "vectors": 0},
            {"bucket": "work", "indexes": 1, "vectors": 4},
        ]
    }
    summary = {"bucket": "work", "index": "notes", "vectors": 4, "dimension": 3, "metric": "cosine", "embedder": None}
    assert filled("indexes", "--json").json == {"indexes": [summary]}
    assert filled("indexes", "list", "archive", "--json").json == {"indexes": []}
    assert filled("buckets", "show", "work", "--json").json == {"bucket": "work", "indexes": [summary]}
    shown = filled("indexes", "show", "work/notes", "--json").json
    assert {name: shown[name] for name in summary} == summary
    assert shown["non_filterable"] == ["text"]
    assert "work/notes" in filled("indexes", "show", "work/notes").out


def test_creating_again_is_refused_unless_asked_for(filled: Run) -> None:
    again = ("indexes", "create", "work/notes", "--dimension", "3", "--non-filterable", "text")
    assert filled(*again).status == 1
    assert filled(*again, "--exist-ok").status == 0
    assert filled("indexes", "create", "work/notes", "--dimension", "4", "--exist-ok").status == 1


def test_deleting_buckets_and_indexes_asks_for_yes(filled: Run) -> None:
    assert filled("buckets", "delete", "work", "--yes").err == (
        "ragvec: error: Bucket 'work' holds 1 index (notes); --force deletes them\n"
    )
    done = filled("buckets", "delete", "work", "--force")
    assert (done.status, done.out) == (2, "")
    assert done.err == "ragvec: error: this deletes bucket 'work', 1 index and 4 vectors; repeat with --yes\n"
    assert filled("indexes", "delete", "work/notes").status == 2
    assert filled("vectors", "count", "work/notes").out == "4\n"
    assert filled("indexes", "delete", "work/notes", "--yes", "--json").json == {"deleted": "work/notes", "vectors": 4}
    assert filled("buckets", "delete", "work", "--yes").status == 0
    assert filled("buckets", "--json").json == {"buckets": []}


def test_stats(filled: Run) -> None:
    row = filled("stats", "work/notes", "--json").json
    assert (row["vectors"], row["rows"], row["tombstones"], row["dimension"]) == (4, 4, 0, 3)
    assert filled("stats", "--json").json["indexes"] == [row]
    assert "work/notes" in filled("stats").out
    assert "exact" in filled("stats", "work/notes").out


def test_numbers_read_back_bit_for_bit() -> None:
    random = np.random.default_rng(7)
    bits = random.integers(0, 2**32, size=200_000, dtype=np.uint32).view(np.float32)
    extremes = np.array([0.0, -0.0, 1e-45, -1e-45, 3.4028235e38, -3.4028235e38, 1.1754944e-38, 0.1], dtype=np.float32)
    numbers = np.concatenate([bits[np.isfinite(bits)], extremes, random.normal(size=10_000).astype(np.float32)])
    back = np.array(json.loads(json.dumps(shortest(numbers).tolist())), dtype=np.float64).astype(np.float32)
    assert np.array_equal(back.view(np.uint32), numbers.view(np.uint32))
    assert shortest(np.float32([0.1, -2.5, 1e-7, 123456])).tolist() == [0.1, -2.5, 1e-7, 123456]
