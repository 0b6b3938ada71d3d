"""The Pythonic store: what it accepts from numpy and pandas, what it refuses, and the frames that it returns."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ragvec
from ragvec.errors import (
    BucketNotFound,
    IndexNotFound,
    InvalidFilter,
    InvalidKey,
    InvalidMetadata,
    InvalidRequest,
    InvalidVector,
)

AXES = np.eye(3)


@pytest.fixture
def index(tmp_path: Path) -> Iterator[ragvec.Index]:
    with ragvec.Store(tmp_path) as store:
        index = store.create_bucket("lab").create_index("points", dimension=3, non_filterable=["text"])
        index.put(["a", "b", "c"], AXES, [{"n": 1, "text": "x"}, {"n": 2}, {"n": 3}])
        yield index


def test_a_frame_of_metadata_loses_its_missing_values(index: ragvec.Index) -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(
        {
            "whole": pd.array([1, None, 3], dtype="Int64"),
            "kind": pd.Categorical(["u", "v", "u"]),
            "flag": [True, False, True],
            "tags": [["p", "q"], ["r"], None],
            "score": [0.5, math.nan, 2.0],
        },
        index=[7, 8, 9],
    )
    index.put(pd.Series(["a", "b", "c"]), pd.DataFrame(AXES), frame)
    assert [record.metadata for record in index.get(["a", "b", "c"])] == [
        {"whole": 1, "kind": "u", "flag": True, "tags": ["p", "q"], "score": 0.5},
        {"kind": "v", "flag": False, "tags": ["r"]},
        {"whole": 3, "kind": "u", "flag": True, "score": 2.0},
    ]


def test_one_vector_gives_results_and_a_matrix_gives_a_list_of_them(index: ragvec.Index) -> None:
    one = index.query([1, 0, 0], k=np.int64(2))
    assert one.keys == ["a", "b"]
    for matrix in (AXES[:2], AXES[:2].tolist(), list(AXES[:2])):
        many = index.query(matrix, k=1)
        assert [results.keys for results in many] == [["a"], ["b"]]
    assert index.query(np.zeros((0, 3))) == []


def test_the_frame_of_a_matrix_names_the_query_of_each_hit(index: ragvec.Index) -> None:
    pytest.importorskip("pandas")
    assert list(index.query([1, 0, 0], k=2).to_pandas().columns) == ["key", "distance", "n", "text"]
    index.put(["d"], [[1, 1, 0]], [{"query": "mine"}])
    frame = index.query(AXES[:2], k=2).to_pandas()
    assert frame["query"].tolist() == [0, 0, 1, 1]
    assert frame["key"].tolist() == ["a", "d", "b", "d"]
    assert frame["metadata.query"].dropna().tolist() == ["mine", "mine"]
    empty = index.query(AXES[:2], where={"n": 9}).to_pandas()
    assert (len(empty), list(empty.columns)) == (0, ["query", "key", "distance"])


def test_numpy_values_in_filters(index: ragvec.Index) -> None:
    assert index.count({"n": {"$in": np.array([1, 2])}}) == 2
    assert index.count({"n": {"$gte": np.float32(2)}}) == 2


@pytest.mark.parametrize(
    ("keys", "vectors", "metadata", "kind", "words"),
    [
        ("d", [[1, 2, 3]], None, InvalidKey, "Expected a list of keys, got the text 'd' - at `keys`"),
        (["d", 5], AXES[:2], None, InvalidKey, "Expected a text as key, got 5 - at `keys[1]`"),
        (["d"], [[1, 2, 3]], {"n": 1}, InvalidMetadata, "or a DataFrame, got dict - at `metadata`"),
        (["d"], [[1, 2, 3]], "n", InvalidMetadata, "or a DataFrame, got str - at `metadata`"),
        (
            ["d", "e"],
            [[1, 2, 3], [1, math.nan, 3]],
            None,
            InvalidVector,
            "key 'e': vector contains NaNs or Infs: NaN at",
        ),
        (
            ["d", "e"],
            np.array([[1, 2, 3], [1, 2, -1e300]]),
            None,
            InvalidVector,
            "beyond the 3.402823e+38 of float32, at",
        ),
    ],
)
def test_a_refused_put_names_what_is_wrong_and_changes_nothing(
    index: ragvec.Index, keys: Any, vectors: Any, metadata: Any, kind: type[InvalidRequest], words: str
) -> None:
    with pytest.raises(kind) as caught:
        index.put(keys, vectors, metadata)
    assert words in str(caught.value)
    assert [record.key for record in index.iter()] == ["a", "b", "c"]


@pytest.mark.parametrize("where", [[], 5, "n", [("n", 1)]])
def test_a_filter_that_is_no_object_is_refused_everywhere(index: ragvec.Index, where: Any) -> None:
    for call in (index.count, lambda w: index.query([1, 0, 0], where=w), lambda w: list(index.iter(where=w))):
        with pytest.raises(InvalidFilter, match="Expected an object, got .* - at `filter`"):
            call(where)
    with pytest.raises(InvalidFilter):
        index.delete(where=where)
    assert index.count() == 3


@pytest.mark.parametrize("number", [0, -1, True, 2.0, "2", None])
def test_counts_are_integers_of_at_least_one(index: ragvec.Index, number: Any) -> None:
    with pytest.raises(InvalidRequest, match="Expected an integer of at least 1, got .* - at `k`"):
        index.query([1, 0, 0], k=number)
    with pytest.raises(InvalidRequest, match="at `batch`"):
        list(index.iter(batch=number))
    with pytest.raises(InvalidRequest, match="at `dimension`"):
        index.bucket.create_index("other", dimension=number)


def test_keys_are_texts(index: ragvec.Index) -> None:
    assert [record.key for record in index.get("a")] == ["a"]
    for call in (index.get, index.delete):
        with pytest.raises(InvalidKey, match=r"Expected a text as key, got 5 - at `keys\[1\]`"):
            call(["a", 5])  # type: ignore[list-item]  # that is the point
        for bad in ("", "k" * 1025, "a\ud800"):
            with pytest.raises(InvalidKey, match=r"'keys\[1\]'"):
                call(["a", bad])
    assert index.count() == 3


def test_one_text_is_no_list_of_keys(index: ragvec.Index) -> None:
    with pytest.raises(InvalidRequest, match="Expected a list of keys, got the text 'text' - at `non_filterable`"):
        index.bucket.create_index("other", dimension=3, non_filterable="text")


def test_a_ragged_matrix_is_refused(index: ragvec.Index) -> None:
    with pytest.raises(InvalidVector, match="vector must have length 3, but has length 2"):
        index.query([[1, 2, 3], [1, 2]])


def test_what_is_not_there_is_named(index: ragvec.Index) -> None:
    bucket, absent = index.bucket, index.bucket.store.bucket("gone")
    with pytest.raises(IndexNotFound, match="The specified index could not be found: 'none' in bucket 'lab'"):
        bucket.index("none").count()
    with pytest.raises(IndexNotFound, match="'none' in bucket 'lab'"):
        bucket.index("none").delete_index()
    for call in (absent.indexes, absent.delete, absent.index("i").stats, lambda: absent.create_index("i", dimension=3)):
        with pytest.raises(BucketNotFound, match="The specified vector bucket could not be found: 'gone'"):
            call()
    assert not absent.exists()
    assert not bucket.index("none").exists()


def test_stores_and_figures_are_tables_in_notebooks(tmp_path: Path) -> None:
    with ragvec.Store(tmp_path / "<b>") as store:
        assert "no indexes" in store._repr_html_()
        index = store.create_bucket("lab").create_index("points", dimension=2)
        index.put(["a"], [[1, 0]])
        shown = store._repr_html_() + index.stats()._repr_html_()
    for part in ("<td", "lab", "points", "cosine", "&lt;b&gt;", "exact over 1"):
        assert part in shown
    assert "<b>" not in shown
