"""Text in the Pythonic store: fields, queries, fusion, results."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ragvec.errors import IndexExists, InvalidRequest, InvalidVector, TextFieldExists, TextFieldNotFound
from ragvec.search.fuse import ReciprocalRank, WeightedSum
from ragvec.store import Index, Store

ROWS: dict[str, tuple[list[float], dict[str, Any]]] = {
    "a": ([1.0, 0.0], {"title": "Running shoes", "body": "light"}),
    "b": ([0.0, 1.0], {"title": "Boots", "body": "made for a run"}),
    "c": ([0.8, 0.6], {"title": "Hats", "score": "high"}),
}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store") as store:
        yield store


@pytest.fixture
def index(store: Store) -> Index:
    index = store.create_bucket("shop").create_index("things", dimension=2, text={"title": "en", "body": None})
    index.put(list(ROWS), [vector for vector, _ in ROWS.values()], [metadata for _, metadata in ROWS.values()])
    return index


# -- fields ------------------------------------------------------------------------------------------------------------


def test_fields_are_languages_by_key(store: Store, index: Index) -> None:
    bucket = index.bucket

    assert index.text_fields == {"title": "en", "body": None}
    assert bucket.create_index("one", dimension=2, text="title").text_fields == {"title": None}
    assert bucket.create_index("two", dimension=2, text=["title", "body"]).text_fields == {"title": None, "body": None}
    assert bucket.create_index("none", dimension=2).text_fields == {}


def test_fields_are_added_and_dropped(index: Index) -> None:
    index.drop_text("body")
    assert index.text_fields == {"title": "en"}
    with pytest.raises(TextFieldNotFound, match="not configured for text search: 'body'"):
        index.drop_text("body")

    index.add_text("body", language="fr")
    assert index.text_fields == {"title": "en", "body": "fr"}
    assert index.query(text={"body": "run"}).keys == ["b"]
    with pytest.raises(TextFieldExists, match="configured for text search already: 'title'"):
        index.add_text("title", language="de")
    with pytest.raises(InvalidRequest, match="enum value set"):
        index.add_text("other", language="xx")


def test_an_index_that_exists_must_have_the_same_text(index: Index) -> None:
    bucket, options = index.bucket, {"dimension": 2, "exist_ok": True}

    bucket.create_index("things", text={"body": None, "title": "en"}, **options)
    for text in (None, "title", {"title": "en", "body": "en"}):
        with pytest.raises(IndexExists):
            bucket.create_index("things", text=text, **options)


@pytest.mark.parametrize("text", [{"title": 3}, {3: "en"}, [3]])
def test_fields_that_are_none_are_refused(store: Store, text: Any) -> None:
    with pytest.raises(InvalidRequest, match="Expected languages by metadata key"):
        store.create_bucket("other").create_index("x", dimension=2, text=text)


# -- queries -----------------------------------------------------------------------------------------------------------


def test_a_text_is_sought_in_every_field(index: Index) -> None:
    found = index.query(text="run")

    assert found.keys == ["a", "b"]
    assert found.texts == ("title", "body")
    assert set(found.scores) == {"bm25:title", "bm25:body"}
    assert np.array_equal(found.score, found.scores["bm25:title"] + found.scores["bm25:body"])
    assert np.isnan(found.distances).all()


def test_texts_by_field(index: Index) -> None:
    assert index.query(text={"body": "run"}).keys == ["b"]
    assert index.query(text={"title": "hat", "body": "run"}, k=1).keys in (["b"], ["c"])


def test_boosts_weigh_fields(index: Index) -> None:
    plain = index.query(text="run")
    boosted = index.query(text="run", boosts={"body": 10.0})

    assert boosted.keys == ["b", "a"]
    assert boosted[0].scores == plain[1].scores, "the scores of fields stay as they are"
    assert boosted.score[0] == pytest.approx(10 * plain.score[1])
    near = index.query([1.0, 0.0], text={"body": "run"}, fusion="rrf", boosts={"body": 3.0})
    assert (near.keys[0], near.score[0]) == ("b", pytest.approx(3 / 61 + 1 / 63))


def test_fusion_by_name_and_by_value(index: Index) -> None:
    def query(fusion: Any) -> Any:
        return index.query([1.0, 0.0], text="run", fusion=fusion)

    assert np.array_equal(query("rrf").score, query(ReciprocalRank()).score)
    assert np.array_equal(query("weighted").score, query(WeightedSum()).score)
    assert query("rrf").score[0] == pytest.approx(2 / 61)
    assert query(ReciprocalRank(constant=1)).score[0] == pytest.approx(2 / 2)
    assert set(query(None).keys) == {"a", "b", "c"}
    for wrong in ("RRF", "", 60, [ReciprocalRank()]):
        with pytest.raises(InvalidRequest, match="Expected 'rrf' or 'weighted'"):
            query(wrong)


def test_texts_alone_are_fused_when_that_is_asked_for(index: Index) -> None:
    found = index.query(text="run", fusion="rrf")

    assert found.keys == ["a", "b"]
    assert found.score.tolist() == pytest.approx([1 / 61, 1 / 61])


def test_distances_are_those_of_a_query_by_vector(index: Index) -> None:
    expected = {hit.key: hit.distance for hit in index.query([0.3, 0.9])}

    assert {hit.key: hit.distance for hit in index.query([0.3, 0.9], text="run")} == expected


def test_filters_data_and_metadata(index: Index) -> None:
    (hit,) = index.query(text="run", where={"title": "Boots"}, data=True, metadata=False)

    assert hit.key == "b"
    assert hit.metadata is None
    assert hit.data is not None
    assert hit.data.tolist() == [0.0, 1.0]


def test_nothing_is_found_for_words_that_are_not_there(index: Index) -> None:
    for text in ("", "zebra", "!?", "\ud800"):
        assert index.query(text=text).keys == []
        assert set(index.query([1.0, 0.0], text=text).keys) == {"a", "b", "c"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "Expected a vector, a text or both"),
        ({"vector": [1, 0], "fusion": "rrf"}, "`boosts` and `fusion` belong to a text"),
        ({"text": {"author": "x"}}, "Expected a metadata key with text search: 'title', 'body'; got 'author'"),
        ({"text": {}}, "Expected a text, or texts by metadata key, got {}"),
        ({"text": {"title": 3}}, r"Expected a text, got 3 - at `text\['title'\]`"),
        ({"text": 3}, "Expected a text, or texts by metadata key, got 3"),
        ({"text": {"title": "x"}, "boosts": {"body": 2}}, "search: 'title'; got 'body' - at `boosts`"),
        ({"text": "x", "boosts": {"title": 0}}, r"Expected a number above 0, got 0 - at `boosts\['title'\]`"),
        ({"text": "x", "boosts": {"title": math.nan}}, "Expected a number above 0, got nan"),
        ({"text": "x", "boosts": {"title": True}}, "Expected a number above 0, got True"),
    ],
)
def test_what_is_no_query_is_refused(index: Index, arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        index.query(**arguments)


def test_several_vectors_with_a_text_are_refused(index: Index) -> None:
    with pytest.raises(InvalidVector):
        index.query(np.eye(2), text="run")


def test_an_index_without_text_search_says_how_to_get_it(store: Store) -> None:
    index = store.create_bucket("shop").create_index("plain", dimension=2)

    with pytest.raises(InvalidRequest, match=r"got 'plain', which has none: add_text\(key\) gives it"):
        index.query(text="x")


# -- results -----------------------------------------------------------------------------------------------------------


def test_a_hit_shows_its_score(index: Index) -> None:
    alone, both = index.query(text="hats")[0], index.query([1.0, 0.0], text="hats", fusion="rrf")[0]

    assert repr(alone).startswith(f"Hit('c', score={alone.score:.4f}, metadata=")
    assert repr(both).startswith(f"Hit('c', score={both.score:.4f}, distance=0.2000, metadata=")
    assert alone.scores == {"bm25:title": alone.score, "bm25:body": 0.0}
    assert math.isnan(alone.distance)


def test_results_tell_how_they_were_found(index: Index) -> None:
    found = index.query(text="hats")
    assert repr(found) == f"<TextResults: 1 hit by text in title, body, best 'c' at {found.score[0]:.4f}>"
    assert repr(index.query(text={"title": "no"})) == "<TextResults: no hits by text in title>"
    assert "3 hits by text in title, body and cosine" in repr(index.query([1.0, 0.0], text="hats"))
    assert isinstance(found[:1], list)
    assert [hit.key for hit in found[::-1]] == ["c"]


def test_results_as_html(index: Index) -> None:
    page = index.query([1.0, 0.0], text="hats")._repr_html_()
    heads = [part.partition("</th>")[0].rpartition(">")[2] for part in page.split("<th ")[1:]]
    assert heads == ["key", "score", "bm25:title", "bm25:body", "distance", "metadata"]
    assert "distance" not in index.query(text="hats")._repr_html_()
    index.add_text("<b>")
    assert "&lt;b&gt;" in index.query(text="hats")._repr_html_()
    assert "<b>" not in index.query(text="nothing")._repr_html_()


def test_results_as_a_table(index: Index) -> None:
    pytest.importorskip("pandas", reason="pandas is not installed")

    frame = index.query([1.0, 0.0], text="hats").to_pandas()
    columns = ["key", "score", "bm25:title", "bm25:body", "distance"]
    assert list(frame.columns)[:5] == columns
    assert "metadata.score" in frame
    alone = index.query(text="hats").to_pandas()
    assert list(alone.columns)[:4] == columns[:4]
    assert "distance" not in alone
    assert list(index.query(text="nothing").to_pandas().columns) == columns[:4]


def test_explain_tells_the_words_that_are_sought(index: Index) -> None:
    alone = str(index.explain(text={"title": "running hats"}))
    assert "run 1" in alone
    assert "hat 1" in alone
    assert "plan" in str(index.explain([1.0, 0.0], text="run"))
    with pytest.raises(InvalidRequest, match="Expected a vector, a text or both"):
        index.explain()
