"""Which embedder a query index uses, and what it refuses."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import numpy as np
import pytest
from kendra_corpus import BagOfStems, fill, present

from ragvec.errors import EmbedderMismatch, InvalidFilter, InvalidRequest, NonFilterableKey
from ragvec.kendra import Client, QueryIndex
from ragvec.kendra.relevance import MINILM, MINILM_ALONE, UNCALIBRATED, scale_for
from ragvec.pipeline.embedders import HashingEmbedder
from ragvec.store import Index, Store


class Other(BagOfStems):
    name = "other"


class Shorter(BagOfStems):
    dimension = 12

    def embed_query(self, text: str) -> Any:
        return np.ones(12, np.float32)


def test_another_embedder_than_the_one_that_filled_the_index_is_refused(ferries: Index) -> None:
    with pytest.raises(EmbedderMismatch) as caught:
        QueryIndex(ferries, embedder=Other()).search("ferry")
    assert str(caught.value) == "The index 'pages' was filled by the embedder 'bag-of-stems-96', got 'other'"


def test_an_embedder_of_another_dimension_is_refused(ferries: Index) -> None:
    with pytest.raises(
        EmbedderMismatch, match="holds vectors of dimension 96, the embedder 'bag-of-stems-96' gives 12"
    ):
        QueryIndex(ferries, embedder=Shorter()).search("ferry")


def test_an_index_that_names_no_embedder_needs_one_given(store: Store) -> None:
    index = fill(store, [{"id": "x", "text": "ferry"}])
    index.set_property("embedder", None)
    with pytest.raises(InvalidRequest, match="does not say which embedder filled it: pass `embedder`"):
        QueryIndex(index).search("ferry")
    assert QueryIndex(index, embedder=BagOfStems()).search("ferry").total == 1


def test_the_embedder_is_had_by_the_name_that_the_index_recorded(store: Store) -> None:
    embedder = HashingEmbedder(96)
    index = fill(store, [{"id": "x", "text": "ferry bicycle"}])
    index.set_property("embedder", {"name": embedder.name, "dimension": 96})
    index.put(["x#00000"], embedder.embed_documents(["ferry bicycle"]), [index.get(["x#00000"])[0].metadata])
    assert QueryIndex(index).search("ferry bicycle")[0].score == pytest.approx(1.0, abs=1e-6)
    assert QueryIndex(index).embedder is QueryIndex(index).embedder


def test_an_embedder_whose_name_says_too_little_has_to_be_given(store: Store) -> None:
    index = fill(store, [{"id": "x", "text": "ferry"}])
    index.set_property("embedder", {"name": "some/model@0123;normalize=False", "dimension": 96})
    with pytest.raises(InvalidRequest, match="pass the embedder itself"):
        QueryIndex(index).search("ferry")


def test_embedders_are_given_as_to_the_pipeline(store: Store) -> None:
    index = fill(store, [{"id": "x", "text": "ferry"}])
    index.set_property("embedder", {"name": "hashing:96", "dimension": 96})
    assert QueryIndex(index, embedder="hashing:96").embedder.name == "hashing:96"
    with pytest.raises(InvalidRequest, match="got int"):
        QueryIndex(index, embedder=7).search("ferry")


def test_dates_in_filters_stand_as_text_or_datetime(ferries: Index) -> None:
    index = QueryIndex(ferries)
    for since in ("2022-08-01", datetime(2022, 8, 1, tzinfo=timezone.utc), 1_659_312_000):
        found = index.search(where={"_created_at": {"$gte": since}})
        assert [item.document_id for item in found] == ["crew/rota.md", "fares.md"]
    between = {"$and": [{"_created_at": {"$gte": "2022-08-01", "$lt": "2022-09-01T00:00:00Z"}}]}
    assert [item.document_id for item in index.search(where=between)] == ["fares.md"]
    assert index.search(where={"_category": "2022-08-01"}).total == 0
    with pytest.raises(InvalidRequest, match="Expected a date in ISO 8601, got 'August' - at `where`"):
        index.search(where={"_created_at": {"$gte": "August"}})


def test_browsing_needs_no_embedder(ferries: Index) -> None:
    assert QueryIndex(ferries).search(where={"department": "Sales"}).total == 2


def test_only_cosine_indexes_can_be_searched_by_text(store: Store) -> None:
    index = store.create_bucket("b").create_index("i", dimension=96, metric="euclidean")
    with pytest.raises(InvalidRequest, match="Expected an index with the metric cosine, got euclidean"):
        QueryIndex(index, embedder=BagOfStems()).search("ferry")


def test_records_of_another_make_are_passed_over(ferries: Index) -> None:
    ferries.put(["stranger"], BagOfStems().embed_query("ferry bicycle")[None], [{"colour": "red"}])
    index = QueryIndex(ferries, embedder=BagOfStems())
    assert "stranger" not in {item.document_id for item in index.search("ferry bicycle")}
    assert index.search().total == 4


def test_a_field_that_cannot_be_filtered_on_is_refused_and_not_just_found_nowhere(store: Store) -> None:
    index = store.create_bucket("b").create_index("i", dimension=96, non_filterable=("notes",))
    index.set_property("embedder", {"name": BagOfStems.name, "dimension": 96})
    index.set_property("attributes", {"notes": "STRING_VALUE"})
    client = Client(store, embedder=BagOfStems())
    condition = {"EqualsTo": {"Key": "notes", "Value": {"StringValue": "x"}}}
    for text in ("ferry", None):
        with pytest.raises(client.exceptions.ValidationException, match="has 'notes' declared non-filterable"):
            client.query(IndexId=index.uid, AttributeFilter=condition, **present(QueryText=text))
    with pytest.raises(NonFilterableKey):
        QueryIndex(index).search(where={"notes": "x"})


def test_an_index_emptied_or_deleted_meanwhile(ferries: Index) -> None:
    index = QueryIndex(ferries, embedder=BagOfStems())
    assert index.search("ferry").total
    ferries.delete(where={})
    assert index.search("ferry", facets=["department"]).total == 0
    assert index.search().pages == 0


def test_repr(ferries: Index) -> None:
    assert repr(QueryIndex(ferries)) == "QueryIndex(Index('docs', 'pages'))"


@pytest.mark.parametrize(
    "name", ["all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2@53aa5117", "ALL-MINILM-L6-V2"]
)
def test_the_calibrated_scale_is_known_by_the_models_name(name: str) -> None:
    assert scale_for(name, words=True) is MINILM
    assert scale_for(name) is MINILM_ALONE
    assert scale_for("hashing-384") is UNCALIBRATED


def test_buckets_of_similarity() -> None:
    scores = [None, 0.1, 0.35, 0.4999, 0.5, 0.65, 1.0]
    assert [MINILM_ALONE.confidence(score) for score in scores] == [
        "NOT_AVAILABLE", "LOW", "MEDIUM", "MEDIUM", "HIGH", "VERY_HIGH", "VERY_HIGH",
    ]  # fmt: skip
    assert MINILM_ALONE.floor(best=0.9) == 0.45
    assert MINILM_ALONE.floor(best=0.1) == 0.20


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ({"_view_count": "12"}, "Expected a number for the attribute '_view_count', got '12'"),
        ({"_category": 5}, "Expected text for the attribute '_category', got 5"),
        ({"_category": {"$in": ["a", True]}}, "Expected text for the attribute '_category', got True"),
        ({"_view_count": {"$startsWith": "1"}}, "Expected a number for the attribute '_view_count', got '1'"),
        ({"department": {"$gt": 1}}, "Expected text for the attribute 'department', got 1"),
    ],
)
def test_a_value_that_no_document_can_have_is_refused(ferries: Index, where: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidFilter, match=message):
        QueryIndex(ferries).search(where=where)
