"""The Pythonic store: what it accepts from numpy and pandas, what it refuses, and the frames that it returns."""

from __future__ import annotations

import html
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


@pytest.mark.parametrize("effort", [0, -1, math.nan, True, "2", None])
def test_efforts_are_numbers_above_0(index: ragvec.Index, effort: Any) -> None:
    for call in (index.query, index.explain):
        with pytest.raises(InvalidRequest, match="Expected a number above 0, got .* - at `effort`"):
            call([1, 0, 0], effort=effort)


def test_any_effort_finds_what_few_rows_hold(index: ragvec.Index) -> None:
    for effort in (5e-324, 0.1, 1, np.float32(3), 10**400, math.inf):
        assert index.query([1, 0, 0], k=2, effort=effort).keys == ["a", "b"]


def test_an_explanation_tells_the_steps_from_the_snapshot_to_the_keys(index: ragvec.Index) -> None:
    found = index.explain([1, 0, 0], k=2, where={"n": {"$gte": 2}})
    names = [step.name for step in found.steps]
    assert names[:3] == ["snapshot", "filter", "plan"]
    assert names[-2:] == ["order", "keys"]
    assert (found.k, found.rows, found.matches, found.exact, found.recall, found.effort) == (2, 3, 2, True, 1.0, 1.0)
    assert all(step.microseconds >= 0 for step in found.steps)
    assert found.microseconds == sum(step.microseconds for step in found.steps)
    text = str(found)
    head, *lines = text.splitlines()
    assert head.startswith("k = 2 of 2 matching rows, 3 in all · exact · effort 1 · ")
    assert head.endswith(" µs")
    assert [line.split()[0] for line in lines] == [name.split()[0] for name in names]
    assert "3 rows → " in lines[1]
    assert "rows 0 to 2" in lines[2]
    assert found._repr_html_() == f"<pre>{html.escape(text)}</pre>"
    assert "filter" not in [step.name for step in index.explain([1, 0, 0]).steps]


def test_an_explanation_of_a_search_that_finds_nothing(index: ragvec.Index) -> None:
    found = index.explain([1, 0, 0], where={"n": 9}, effort=math.inf)
    assert (found.matches, found.exact) == (0, True)
    assert "k = 10 of 0 matching rows, 3 in all · exact · effort inf" in str(found)


def test_explaining_refuses_what_a_query_refuses(index: ragvec.Index) -> None:
    for vector in ([1, 2], [1, 2, math.nan], [0, 0, 0], "abc"):
        with pytest.raises(InvalidVector):
            index.explain(vector)
    with pytest.raises(InvalidFilter):
        index.explain([1, 0, 0], where={"text": "x"})
    with pytest.raises(InvalidRequest, match="at `k`"):
        index.explain([1, 0, 0], k=0)


@pytest.mark.parametrize("target", [0, 1.5, -1, math.nan, True, "0.9"])
def test_a_recall_target_is_above_0_and_at_most_1(index: ragvec.Index, target: Any) -> None:
    with pytest.raises(
        InvalidRequest, match="Expected a number above 0 and at most 1, got .* - at `recall_target`"
    ) as caught:
        index.tune(recall_target=target)
    assert repr(target) in str(caught.value)


def test_queries_for_tuning_are_a_matrix_of_the_dimension(index: ragvec.Index) -> None:
    with pytest.raises(InvalidVector, match="Invalid query 1: "):
        index.tune(queries=[[1, 0, 0], [1, math.nan, 0]])
    with pytest.raises(InvalidVector, match="3"):
        index.tune(queries=np.ones((2, 4)))
    with pytest.raises(InvalidRequest, match="at `k`"):
        index.tune(queries=AXES, k=0)
    assert index.property("search") is None, "what was refused changed nothing"


def test_tuning_a_small_index_tells_that_it_is_exact(index: ragvec.Index) -> None:
    found = index.tune(recall_target=0.9, queries=AXES, k=2)
    assert (found.recall_target, found.recall, found.k, found.queries) == (0.9, 1.0, 2, 3)
    assert index.tune(recall_target=0.5).recall == 1.0
    assert index.query([1, 0, 0], k=1).keys == ["a"]


def test_a_store_looks_after_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with ragvec.Store("store") as store:
        index = store.create_bucket("b").create_index("i", dimension=2)
        index.put(["a"], [[1, 0]])
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        assert store.verify(deep=True).clean
        store.backup(tmp_path / "backup")
        index.put(["b"], [[0, 1]])
    with ragvec.Store(tmp_path / "backup", read_only=True) as backup:
        assert [record.key for record in backup.bucket("b").index("i").iter()] == ["a"]
