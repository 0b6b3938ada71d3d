"""Every format that was ever released opens, reads as it did, is migrated, and takes new writes; another program reads
the present one by docs/format.md alone."""

from __future__ import annotations

import json
import sqlite3
import zipfile
from collections import defaultdict
from contextlib import closing
from pathlib import Path
from typing import Any

import golden
import numpy as np
import pytest
import reader

import ragvec
from ragvec import care
from ragvec.engine.local.catalog_checks import catalog_problems
from ragvec.engine.local.identity import read_identity
from ragvec.engine.local.layout import FORMAT, StoreFolder
from ragvec.filters.interpret import matches
from ragvec.filters.parse import parse_filter

HERE = Path(__file__).parent
GOLDEN = sorted(HERE.glob("store-*.zip"))
LARGE = ("by-faiss", "by-scann")


def extracted(path: Path, folder: Path) -> Path:
    with zipfile.ZipFile(path) as archive:
        archive.extractall(folder)
    return folder / "store"


@pytest.fixture
def present(tmp_path: Path) -> Path:
    return extracted(HERE / f"store-{FORMAT}.zip", tmp_path)


def test_there_is_a_golden_store_of_the_present_format() -> None:
    assert f"store-{FORMAT}.zip" in {path.name for path in GOLDEN}


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
@pytest.mark.parametrize("how", ["read-only", "opened", "migrated"])
def test_a_golden_store_reads_as_it_did(path: Path, tmp_path: Path, how: str) -> None:
    folder = extracted(path, tmp_path)
    if how == "migrated":
        assert care.migrate(folder).to_format == FORMAT
    with ragvec.Store(folder, read_only=how == "read-only") as store:
        (bucket,) = store.buckets()
        names = [index.name for index in bucket.indexes()]
        assert [name for name in names if name not in LARGE] == ["empty", "plain"]
        plain = bucket.index("plain")
        assert (plain.dimension, plain.metric, plain.non_filterable) == (3, "euclidean", ("text",))
        assert [(r.key, r.data.tolist(), r.metadata) for r in plain.iter(data=True) if r.data is not None] == [
            ("b", [0, 5, 0], {"tags": ["z"], "n": 0.5}),
            ("ключ", [0, 0, 3], {"n": 2**53 + 1, "名": "é"}),
            ("\U0001f600", [1, 1, 1], {}),
        ]
        assert plain.query([0, 0, 0], k=2, where={"n": {"$gte": 0.5}}).keys == ["ключ", "b"]
        assert plain.count({"n": 2**53}) == 0
        assert plain.property("embedder") == {"name": "made by hand", "dimension": 3}
        assert plain.stats().tombstones == 2
        client = store.client()
        assert "Deny" in client.get_vector_bucket_policy(vectorBucketName="golden")["policy"]
        arn = client.get_vector_bucket(vectorBucketName="golden")["vectorBucket"]["vectorBucketArn"]
        assert client.list_tags_for_resource(resourceArn=arn)["tags"] == {"kind": "golden"}
        if how != "read-only":
            plain.put(["new"], [[9, 9, 9]], [{"n": 3}])
            assert plain.count({"n": 3}) == 1
            with closing(sqlite3.connect(folder / "catalog.sqlite")) as sql:
                assert catalog_problems(sql) == []
            for index in bucket.indexes():
                assert read_identity(StoreFolder(folder).index(index.spec.uid)) == index.spec


def expected(name: str) -> dict[str, tuple[Any, dict[str, Any]]]:
    """What golden.py put into a large index: by key, vector and metadata."""
    rows = {f"k{n:04d}": (vector, golden.metadata(n)) for n, vector in enumerate(golden.vectors())}
    if name == "by-scann":
        for n in range(0, golden.ROWS, 50):
            del rows[f"k{n:04d}"]
    ones = np.ones(golden.DIMENSION, np.float32)
    rows["k0001"], rows["new"] = (ones, {"n": -1}), (ones, {})
    del rows["k0002"]
    return rows


FILTERS = [{"even": True}, {"n": {"$gte": 100.5, "$lt": 400}}, {"list": "ключ"}, {"word": {"$startsWith": "wörd3"}}]


@pytest.mark.parametrize("name", LARGE)
@pytest.mark.parametrize("read_only", [True, False])
def test_the_large_indexes_of_the_present_format_read_as_they_did(present: Path, name: str, *, read_only: bool) -> None:
    rows = expected(name)
    with ragvec.Store(present, read_only=read_only, backend=name.removeprefix("by-")) as store:
        index = store.bucket("golden").index(name)
        found = {record.key: record for record in index.iter(data=True)}
        assert {key: (record.data.tolist(), record.metadata) for key, record in found.items()} == {
            key: (vector.tolist(), metadata) for key, (vector, metadata) in rows.items()
        }
        for where in FILTERS:
            tested = parse_filter(where)
            assert index.count(where) == sum(matches(tested, metadata) for _, metadata in rows.values())
        (segment,) = index.stats().segments
        assert (segment.backend, segment.first) == (name.removeprefix("by-"), 0)
        assert segment.leaves > 1
        result = index.query(np.ones(golden.DIMENSION), k=2)
        assert result.keys == ["k0001", "new"]
        assert store.engine.index(index.spec).snapshot().generation.postings.persisted == 2 * golden.BLOCK_ROWS


# -- by the document alone ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_another_program_reads_records_and_vectors_as_ragvec_does(path: Path, tmp_path: Path) -> None:
    folder = extracted(path, tmp_path)
    other = reader.Store(folder)
    seen = {index.name: list(index.rows()) for index in other.indexes()}
    buckets, properties = (
        other.buckets(),
        {index.name: other.properties(index.spec["uid"]) for index in other.indexes()},
    )
    with ragvec.Store(folder, read_only=True) as store:
        (bucket,) = store.buckets()
        assert {index.name for index in bucket.indexes()} == set(seen)
        for index in bucket.indexes():
            found = [(row.key, row.vector.tolist(), row.metadata) for row in sorted(seen[index.name], key=_by_key)]
            assert found == [
                (record.key, record.data.tolist(), record.metadata)
                for record in index.iter(data=True)
                if record.data is not None
            ]
        client = store.client()
        policy = client.get_vector_bucket_policy(vectorBucketName="golden")["policy"]
        assert list(buckets) == ["golden"]
        assert (buckets["golden"]["policy"], buckets["golden"]["tags"]) == (policy, {"kind": "golden"})
        assert properties["plain"]["embedder"] == bucket.index("plain").property("embedder")


def _by_key(row: reader.Row) -> bytes:
    return row.key.encode()


def test_another_program_reads_what_the_store_says_of_itself(present: Path) -> None:
    other = reader.Store(present)
    facts = other.facts()
    assert sorted(facts) == ["id", "token_key"]
    with ragvec.Store(present, read_only=True) as store:
        assert store.engine.token_key == facts["token_key"]
        assert len(facts["token_key"]) == 32
        specs = {index.name: index.spec for index in store.bucket("golden").indexes()}
    for index in other.indexes():
        assert index.identity() == index.spec
        assert index.spec["dimension"] == specs[index.name].dimension


@pytest.mark.parametrize("name", LARGE)
def test_another_program_reads_posting_lists_as_the_metadata_have_it(present: Path, name: str) -> None:
    (index,) = [index for index in reader.Store(present).indexes() if index.name == name]
    metadata = dict(index.sql.execute("SELECT row, metadata FROM records"))
    files = index.postings()
    assert [file.range for file in files] == [(0, golden.BLOCK_ROWS), (golden.BLOCK_ROWS, 2 * golden.BLOCK_ROWS)]
    for file in files:
        wanted: dict[tuple[str, str, Any], list[int]] = defaultdict(list)
        present_rows: dict[str, set[int]] = defaultdict(set)
        for row in range(*file.range):
            for field, value in json.loads(metadata[row]).items():
                if field != "text":  # not filterable
                    present_rows[field].add(row)
                    for kind, single in _kinds(value):
                        wanted[field, kind, single].append(row)
        assert {field: file.exists(field) for field in file.fields} == present_rows
        found = {(field, kind, value): rows for field in file.fields for kind, value, rows in file.lists(field)}
        assert found == wanted


def _kinds(value: Any) -> set[tuple[str, Any]]:
    if isinstance(value, list):
        return {("string" if isinstance(item, str) else "listed_number", item) for item in value}
    return {("boolean" if isinstance(value, bool) else "string" if isinstance(value, str) else "number", value)}


@pytest.mark.parametrize("name", LARGE)
def test_another_program_finds_segments_whole_and_reads_their_columns(present: Path, name: str) -> None:
    (index,) = [index for index in reader.Store(present).indexes() if index.name == name]
    (segment,) = index.segments()
    first, last = map(int, segment.name.split("-"))
    stored = index.sql.execute("SELECT key, metadata FROM records WHERE row >= ? AND row < ?", (first, last)).fetchall()
    assert reader.read_column(segment / "keys.bin") == [key.encode() for key, _ in stored]
    assert reader.read_column(segment / "metadata.bin") == [blob or b"" for _, blob in stored]
    rows = np.asarray(index.vectors[first:last])
    lengths = np.linalg.norm(rows, axis=1)
    assert np.load(segment / "norms.npy", allow_pickle=False) == pytest.approx([lengths.min(), lengths.max()], rel=1e-6)
    report = json.loads((segment / "report.json").read_bytes())
    assert (report["backend"], report["report"]["rows"]) == (name.removeprefix("by-"), last - first)
    assert len(np.load(segment / "leaf_of_row.npy", allow_pickle=False)) == last - first
    assert np.load(segment / "leaf_sketches.npy", allow_pickle=False).shape == (last - first, 2)


@pytest.mark.parametrize("name", LARGE)
def test_another_program_reads_kept_result_lists(present: Path, name: str) -> None:
    (index,) = [index for index in reader.Store(present).indexes() if index.name == name]
    ((_, generation, rows, distances),) = index.kept()
    assert index.folder.name == f"g{generation:06d}"
    keys = dict(index.sql.execute("SELECT row, key FROM records"))
    assert [keys[row] for row in rows.tolist()][:2] == ["k0001", "new"]
    assert distances.tolist() == sorted(distances.tolist())


def test_the_other_program_notices_damage(present: Path) -> None:
    (index,) = [index for index in reader.Store(present).indexes() if index.name == "plain"]
    path = index.folder / "vectors.f32"
    data = bytearray(path.read_bytes())
    data[4 * 3 * 2] ^= 1
    path.write_bytes(data)
    (index,) = [index for index in reader.Store(present).indexes() if index.name == "plain"]
    with pytest.raises(reader.Damaged, match="row 2 of plain, key 'ключ'"):
        list(index.rows())


@pytest.mark.parametrize("read_only", [True, False])
def test_derived_files_of_a_newer_version_are_named_and_not_used(
    present: Path, caplog: pytest.LogCaptureFixture, *, read_only: bool
) -> None:
    for path in present.glob("indexes/*/g*/postings/*.post"):
        data = bytearray(path.read_bytes())
        data[8] = 9
        path.write_bytes(data)
    for path in present.glob("indexes/*/g*/segments/*/checksums.json"):
        path.write_bytes(path.read_bytes().replace(b'{"format":1', b'{"format":9'))
    with ragvec.Store(present, read_only=read_only, backend="scann") as store:
        index = store.bucket("golden").index("by-scann")
        rows = expected("by-scann")
        for where in FILTERS:
            tested = parse_filter(where)
            assert index.count(where) == sum(matches(tested, metadata) for _, metadata in rows.values())
        assert index.query(np.ones(golden.DIMENSION), k=2).keys == ["k0001", "new"]
        assert index.stats().segments == ()
    said = caplog.text
    assert "expected version 1, got 9" in said
    assert "expected checksums.json of format 1, got format 9" in said
