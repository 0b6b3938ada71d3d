from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ragvec.errors import DocumentError, InvalidRequest
from ragvec.exchange import export_index, import_index
from ragvec.store import Index, Store

pa = pytest.importorskip("pyarrow", reason="pyarrow is an extra")
pq = pytest.importorskip("pyarrow.parquet", reason="pyarrow is an extra")

TINY = np.float32(1e-45)
EXTREMES = np.array(
    [[-0.0, TINY, 1.0], [np.finfo(np.float32).max, -TINY, 0.1], [1 / 3, -1e-38, 16777217.0], [0.0, 0.0, 1e-20]],
    dtype=np.float32,
)
METADATA: list[dict[str, Any] | None] = [
    {"n": 1, "text": "ü\n", "f": 1.0, "mixed": 1, "tags": ["a", "b"], "big": 2**63, "key": "taken", "ok": True},
    {"n": -(2**63), "f": 0.1, "mixed": 1.5, "nums": [1, 2], "lists": [1, 2.5]},
    None,
    {"mixed": "x", "ok": False, "tags": [""], "nums": [3], "fl": [1.0, -0.0]},
]


@pytest.fixture
def store(tmp_path: Path) -> Any:
    with Store(tmp_path / "store") as opened:
        yield opened


@pytest.fixture
def index(store: Store) -> Index:
    made = store.create_bucket("work").create_index(
        "all", dimension=3, metric="euclidean", non_filterable=["text", "big"]
    )
    made.put(["é", "a", "b", "\U0001f600"], EXTREMES, METADATA)
    made.set_property("embedder", {"name": "mine", "dimension": 3})
    return made


def state(index: Index) -> list[tuple[str, bytes, Any]]:
    return [
        (record.key, record.data.tobytes(), record.metadata)
        for record in index.iter(data=True)
        if record.data is not None
    ]


@pytest.mark.parametrize("columns", [False, True])
def test_what_is_imported_is_bit_for_bit_what_was_exported(
    store: Store, index: Index, tmp_path: Path, columns: bool
) -> None:
    first, second = tmp_path / "first.parquet", tmp_path / "second.parquet"
    told: list[int] = []
    done = export_index(index, first, columns=columns, progress=told.append)
    assert (done.records, done.format, done.sequence, done.damaged, sum(told)) == (4, "parquet", 1, (), 4)
    loaded = import_index(store, first, bucket="copy", index="all")
    assert (loaded.records, loaded.index, loaded.created) == (4, "copy/all", True)
    copy = store.bucket("copy").index("all")
    assert state(copy) == state(index)
    assert [json.dumps(record.metadata, sort_keys=True) for record in copy.iter()] == [
        json.dumps(record.metadata, sort_keys=True) for record in index.iter()
    ], "1 stays 1 and 1.0 stays 1.0"
    assert (copy.spec.metric, set(copy.spec.non_filterable)) == ("euclidean", {"text", "big"})
    assert copy.property("embedder") == {"name": "mine", "dimension": 3}
    export_index(copy, second, columns=columns)
    assert pq.read_table(first).equals(pq.read_table(second), check_metadata=True)


def test_the_columns_are_what_other_programs_expect(index: Index, tmp_path: Path) -> None:
    export_index(index, tmp_path / "plain.parquet")
    table = pq.read_table(tmp_path / "plain.parquet")
    assert table.schema.names == ["key", "vector", "metadata"]
    assert pa.types.is_fixed_size_list(table.schema.field("vector").type)
    assert table.schema.field("vector").type.list_size == 3
    assert table["key"].to_pylist() == ["a", "b", "é", "\U0001f600"]
    assert json.loads(table["metadata"][0].as_py()) == METADATA[1]
    assert table["metadata"][1].as_py() is None
    export_index(index, tmp_path / "typed.parquet", columns=True)
    typed = pq.read_table(tmp_path / "typed.parquet")
    kinds = {field.name: str(field.type) for field in typed.schema}
    del kinds["vector"]
    assert kinds == {
        "key": "string", "metadata": "string", "f": "double", "fl": "list<element: double>", "n": "int64",
        "nums": "list<element: int64>", "ok": "bool", "tags": "list<element: string>", "text": "string",
    }  # fmt: skip
    assert json.loads(typed["metadata"][2].as_py()) == {"mixed": 1, "big": 2**63, "key": "taken"}
    assert typed.to_pandas()["n"].tolist()[0] == -(2**63)


def test_row_groups_are_bounded_and_an_empty_index_is_a_file(store: Store, tmp_path: Path) -> None:
    made = store.create_bucket("b").create_index("i", dimension=2)
    export_index(made, tmp_path / "empty.parquet", columns=True)
    assert import_index(store, tmp_path / "empty.parquet", bucket="c", index="i").records == 0
    made.put([f"k{n:06d}" for n in range(40_000)], np.ones((40_000, 2), dtype=np.float32))
    export_index(made, tmp_path / "many.parquet")
    found = pq.ParquetFile(tmp_path / "many.parquet").metadata
    assert [found.row_group(n).num_rows for n in range(found.num_row_groups)] == [16_384, 16_384, 7_232]


@pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
@pytest.mark.parametrize("fixed", [False, True])
def test_files_of_other_programs_are_read(store: Store, tmp_path: Path, kind: str, fixed: bool) -> None:
    numbers = np.array([[1, 2, 3], [0.5, 0.25, -1]], dtype=kind)
    inner = pa.from_numpy_dtype(numbers.dtype)
    vectors = pa.array(list(numbers), type=pa.list_(inner, 3 if fixed else -1))
    table = pa.table(
        {
            "id": pa.array([7, 8]),
            "embedding": vectors,
            "title": ["one", None],
            "year": [2024.0, float("nan")],
            "when": [datetime.datetime(2024, 5, 6, 7, 8), None],
            "sort": pa.array(["x", "y"]).dictionary_encode(),
        }
    )
    pq.write_table(table, tmp_path / "other.parquet")
    done = import_index(store, tmp_path / "other.parquet", bucket="b", index="i", metric="euclidean")
    assert done.records == 2
    found = store.bucket("b").index("i").get(["7", "8"])
    assert [record.metadata for record in found] == [
        {"title": "one", "year": 2024.0, "when": "2024-05-06T07:08:00", "sort": "x"},
        {"sort": "y"},
    ]
    assert np.array_equal(np.stack([record.data for record in found]), numbers.astype(np.float32))  # type: ignore[misc]


def test_columns_are_named_where_the_defaults_do_not_do(store: Store, tmp_path: Path) -> None:
    table = pa.table(
        {"name": ["a", "b"], "v": [[1.0, 2.0], [3.0, 4.0]], "x": [1, 2], "y": ["p", "q"], "metadata": ["{}", "{}"]}
    )
    path = tmp_path / "other.parquet"
    pq.write_table(table, path)
    with pytest.raises(
        InvalidRequest, match=r"no column key or id or ids or _id: name the one of the key; it has name"
    ):
        import_index(store, path, bucket="b", index="i")
    with pytest.raises(InvalidRequest, match="no column 'nothing' for vector"):
        import_index(store, path, bucket="b", index="i", key="name", vector="nothing")
    import_index(store, path, bucket="b", index="i", key="name", vector="v", metadata=["y"], non_filterable=["y"])
    index = store.bucket("b").index("i")
    assert [record.metadata for record in index.iter()] == [{"y": "p"}, {"y": "q"}]
    assert (index.metric, index.non_filterable) == ("cosine", ("y",))
    with pytest.raises(InvalidRequest, match="for Parquet only"):
        import_index(store, tmp_path / "x.jsonl", bucket="b", index="j", key="name")


def test_metadata_as_a_struct_or_json(store: Store, tmp_path: Path) -> None:
    for number, column in enumerate(([{"a": 1, "b": None}, None], ['{"a": 1}', None])):
        pq.write_table(
            pa.table({"id": ["x", "y"], "vector": [[1.0], [2.0]], "metadata": column}), tmp_path / "m.parquet"
        )
        import_index(store, tmp_path / "m.parquet", bucket="b", index=f"i{number}")
        assert [record.metadata for record in store.bucket("b").index(f"i{number}").iter()] == [{"a": 1}, {}]


def column(values: Any, kind: Any = None) -> Any:
    return pa.array(values, type=kind)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"vector": column([[1.0, 2.0], [1.0]])},
            r"row 1 \(from 0\), column 'vector' of .*: expected 2 numbers, got 1",
        ),
        ({"vector": column([[1.0, 2.0], None])}, r"row 1 .*expected a vector, got null"),
        ({"vector": column([[1.0, 2.0], [None, 1.0]])}, r"row 1 .*expected a number, got null at 0"),
        ({"vector": column([[1.0, 2.0], [float("nan"), 1.0]])}, r"row 1 of .*NaN"),
        ({"vector": column([[1.0, 2.0], [1e300, 1.0]])}, r"row 1 of .*Inf"),
        ({"vector": column([[1.0, 2.0], [0.0, 0.0]])}, r"row 1 of .*zero norm"),
        ({"vector": column(["x", "y"])}, r"column 'vector' of .*: expected lists of numbers, got string"),
        ({"id": column(["a", None])}, r"row 1 .*column 'id' of .*: expected a text or an integer as key, got None"),
        ({"id": column(["a", "a"])}, r"row 1 of .*: key 'a' is that of row 0 too; nothing was imported"),
        ({"id": column(["a", ""])}, r"row 1 of .*"),
        ({"m": column([b"x", b"y"])}, r"row 0 .*column 'm' of .*: expected a text, a number.* got bytes"),
        ({"metadata": column(["{}", "[1]"])}, r"row 1 .*column 'metadata' of .*: expected a JSON object or a struct"),
        ({"metadata": column(["{}", '{"a": {"b": 1}}'])}, r"row 1 of .*"),
    ],
)
def test_what_is_wrong_is_named_by_row_and_column(
    store: Store, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    columns = {"id": column(["a", "b"]), "vector": column([[1.0, 2.0], [3.0, 4.0]]), **changes}
    pq.write_table(pa.table(columns), tmp_path / "bad.parquet")
    with pytest.raises(DocumentError, match=message) as caught:
        import_index(store, tmp_path / "bad.parquet", bucket="b", index="i")
    assert caught.value.source == str(tmp_path / "bad.parquet")
    assert store.buckets() == []


def test_damaged_and_absent_files(store: Store, index: Index, tmp_path: Path) -> None:
    path = tmp_path / "all.parquet"
    export_index(index, path)
    whole = path.read_bytes()
    for bad in (b"", b"PAR1", whole[:-20], whole[:30]):
        path.write_bytes(bad)
        with pytest.raises(DocumentError, match=r"cannot read .*all\.parquet"):
            import_index(store, path, bucket="copy", index="all")
    with pytest.raises(DocumentError, match="cannot read"):
        import_index(store, tmp_path / "absent.parquet", bucket="copy", index="all")
    path.write_bytes(whole)
    with pytest.raises(InvalidRequest, match="is an export of ragvec, which tells them"):
        import_index(store, path, bucket="copy", index="all", metric="cosine")
    assert [bucket.name for bucket in store.buckets()] == ["work"]


def test_pandas_frames_come_back(store: Store, tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is an extra")
    random = np.random.default_rng(1)
    vectors = random.normal(size=(50, 4)).astype(np.float32)
    frame = pandas.DataFrame({"id": [f"k{n}" for n in range(50)], "vector": list(vectors), "n": range(50)})
    frame.index = frame.index + 100
    frame.to_parquet(tmp_path / "frame.parquet")
    import_index(store, tmp_path / "frame.parquet", bucket="b", index="i")
    found = store.bucket("b").index("i").get(["k7"])[0]
    assert found.metadata == {"n": 7}
    assert np.array_equal(found.data, vectors[7])  # type: ignore[arg-type]
