"""QueryVectorsFusion bodies, as the SDKs of the service write them, and the searches that they become."""

from __future__ import annotations

from typing import Any

import pytest

from ragvec.api.oss_fusion import FusionSearch, fusion_search
from ragvec.engine.protocol import TextQuery
from ragvec.errors import InvalidRequest
from ragvec.search.fuse import ReciprocalRank, WeightedSum

KNN: dict[str, Any] = {"field": "text_vector", "queryVector": [0.1, 0.2], "topK": 7, "numCandidates": 100}
TITLE = {"title": {"$textMatch": {"value": "cloud storage"}}}
CHEAP = {"price": {"$lt": {"value": 9}}}
KIND = {"category": {"$in": {"value": ["phone", "audio"]}}}


def search_of(**body: Any) -> FusionSearch:
    return fusion_search({"indexName": "docs", **body})


def fields(search: FusionSearch) -> dict[str, Any]:
    return {name: value for name in search.__struct_fields__ if (value := getattr(search, name)) is not None}


def test_a_vector_alone() -> None:
    search = search_of(knn=[{**KNN, "filter": {"$and": {"clauses": [CHEAP, KIND]}}}], returnMetadata=True)

    assert search == FusionSearch(
        index_name="docs",
        vector=[0.1, 0.2],
        where={"$and": [{"price": {"$lt": 9}}, {"category": {"$in": ["phone", "audio"]}}]},
        limit=7,
        metadata=True,
    )
    assert search_of(knn=KNN, limit=3).limit == 3
    assert search_of(knn=KNN, limit=30).limit == 7


def test_a_filter_beside_a_vector_is_its_filter() -> None:
    assert search_of(knn=KNN, query=CHEAP).where == {"price": {"$lt": 9}}
    assert search_of(knn=KNN, query=CHEAP).texts == ()


def test_words_alone_with_a_filter() -> None:
    search = search_of(query={"$and": {"clauses": [CHEAP, TITLE, KIND]}}, limit=3, nextToken="t")

    assert search.texts == (TextQuery("title", "cloud storage"),)
    assert search.where == {"$and": [{"price": {"$lt": 9}}, {"category": {"$in": ["phone", "audio"]}}]}
    assert (search.limit, search.next_token, search.fusion, search.vector) == (3, "t", None, None)


def test_short_forms_mean_the_same() -> None:
    short = search_of(query={"$and": [{"title": {"$textMatch": "cloud storage"}}, {"price": {"$lt": 9}}]})

    assert short == search_of(query={"$and": {"clauses": [TITLE, CHEAP]}})
    assert short.where == {"price": {"$lt": 9}}


def test_words_in_several_fields() -> None:
    body = {"body": {"$textMatch": {"value": "disk", "boost": 0.5}}}
    search = search_of(query={"$or": {"clauses": [TITLE, body]}})

    assert search.texts == (TextQuery("title", "cloud storage"), TextQuery("body", "disk", 0.5))


def test_words_beside_a_vector_add_up() -> None:
    search = search_of(knn={**KNN, "boost": 2.0, "filter": CHEAP}, query={"$and": {"clauses": [TITLE, CHEAP]}})

    assert search.fusion == WeightedSum(weights=(1.0, 2.0), normalise="none")
    assert (search.vector, search.where, search.limit) == ([0.1, 0.2], {"price": {"$lt": 9}}, 10)


def test_reciprocal_rank() -> None:
    parts = [{"retriever": {"knn": KNN}, "weight": 0.7}, {"retriever": {"simple": {"query": TITLE}}}]
    search = search_of(retriever={"rrf": {"windowSize": 50, "retrievers": parts}}, limit=5)

    assert search.fusion == ReciprocalRank(constant=50, weights=(1.0, 0.7))
    assert (search.depth, search.limit, search.texts) == (50, 5, (TextQuery("title", "cloud storage"),))
    other = search_of(retriever={"rrf": {"k": 60, "retrievers": parts}})
    assert other.fusion == ReciprocalRank(constant=60, weights=(1.0, 0.7))
    assert other.depth == 100


def test_weights() -> None:
    text = {"title": {"$textMatch": {"value": "x", "boost": 3.0}}}

    def weighted(normalizer: str) -> FusionSearch:
        parts = [
            {"retriever": {"simple": {"query": text}}, "weight": 0.3, "normalizer": normalizer},
            {"retriever": {"knn": {**KNN, "boost": 2.0}}, "weight": 0.7, "normalizer": normalizer},
        ]
        return search_of(retriever={"weight": {"retrievers": parts}})

    scaled = weighted("minMax")
    assert scaled.fusion == WeightedSum(weights=(0.3, 0.7), normalise="min-max")
    assert scaled.texts == (TextQuery("title", "x"),)
    plain = weighted("none")
    assert plain.fusion == WeightedSum(weights=(0.3, 1.4), normalise="none")
    assert plain.texts == (TextQuery("title", "x", 3.0),)


def test_a_retriever_alone() -> None:
    assert search_of(retriever={"knn": KNN}) == search_of(knn=KNN)
    assert search_of(retriever={"simple": {"query": TITLE}}) == search_of(query=TITLE)


def test_a_filter_alone() -> None:
    search = search_of(query={"$and": {"clauses": [CHEAP, KIND]}}, limit=30)

    assert (search.vector, search.texts, search.limit) == (None, (), 30)
    assert search.where == {"$and": [{"price": {"$lt": 9}}, {"category": {"$in": ["phone", "audio"]}}]}
    assert search_of(retriever={"simple": {"query": CHEAP}}) == search_of(query=CHEAP)


def test_some_metadata() -> None:
    search = search_of(query=TITLE, returnMetadataFields=["title"], sort=[{"_score": {"order": "desc"}}])

    assert (search.metadata, search.fields) == (True, ("title",))


def rrf(*parts: Any, **more: Any) -> dict[str, Any]:
    return {"retriever": {"rrf": {"retrievers": [{"retriever": part} for part in parts], **more}}}


SIMPLE = {"simple": {"query": TITLE}}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "/query must be given, or knn, or a retriever"),
        ({"knn": [KNN, KNN]}, "/knn must be one: an index has one vector field; got 2"),
        ({"knn": {**KNN, "radius": 2}}, "/knn/radius is no parameter of knn"),
        ({"knn": {**KNN, "numCandidates": 3}}, "/knn/numCandidates must be at least topK, which is 7"),
        ({"knn": {**KNN, "queryVector": "x"}}, "/knn/queryVector must be an array, got 'x'"),
        ({"knn": {**KNN, "filter": TITLE}}, "/knn/filter must be a filter, without $textMatch"),
        ({"knn": KNN, "query": {"$and": {"clauses": [TITLE, CHEAP]}}}, "/knn/filter must be the filter in query"),
        ({"query": {"$and": {"clauses": [TITLE, TITLE]}}}, "/query/$and may hold one $textMatch"),
        ({"query": {"$or": {"clauses": [TITLE, CHEAP]}}}, "/query/$or must hold either conditions or $textMatch"),
        ({"query": {"$and": {"clauses": [{"$or": {"clauses": [TITLE]}}, TITLE]}}}, "must be at the top of the query"),
        ({"query": {"$not": {"clauses": [CHEAP]}}}, "/query/$not is not supported"),
        (
            {"query": {"title": {"$textMatch": {"value": "x", "operator": "and"}}}},
            "$textMatch/operator is not supported",
        ),
        ({"query": {"title": {"$textMatch": {"value": 3}}}}, "must be a text, got 3"),
        ({"query": {**TITLE, **CHEAP}}, "/query must have one member, got 'title', 'price'"),
        (
            {"query": TITLE, "sort": [{"price": {"order": "asc"}}]},
            "/sort/0 is not supported: hits are in order of score",
        ),
        ({"query": TITLE, "sort": [{"_score": {"order": "asc"}}]}, "/sort/0 is not supported"),
        ({"query": TITLE, "partitionKeys": ["a"]}, "/partitionKeys is not supported: an index has no partitions"),
        ({"query": TITLE, "limit": 0}, "/limit must be at least 1"),
        ({"query": TITLE, "explain": True}, "/explain is no parameter of QueryVectorsFusion"),
        ({"query": TITLE, **rrf(SIMPLE)}, "/query cannot be used together with retriever"),
        (rrf(), "/retriever/rrf/retrievers must be 1 to 3, got 0"),
        (rrf(SIMPLE, SIMPLE), "must search each text field once"),
        (rrf({"knn": KNN}, {"knn": KNN}), "may hold one knn: an index has one vector field"),
        (rrf(SIMPLE, {"knn": {**KNN, "filter": CHEAP}}), "must have the same filter each"),
        (rrf({"simple": {"query": CHEAP}}), "retrievers/0/retriever must hold one vector or one $textMatch"),
        (rrf(rrf(SIMPLE)["retriever"]), "/retriever/rrf/retrievers/0/retriever/rrf is not supported here"),
        (rrf(SIMPLE, k=0), "/retriever/rrf/k must be at least 1"),
        (rrf(SIMPLE, rankConstant=60), "/retriever/rrf/rankConstant is no parameter of the rrf retriever"),
        ({"retriever": {"linear": {}}}, "/retriever/linear is no retriever"),
        (
            {"retriever": {"weight": {"retrievers": [{"retriever": SIMPLE, "normalizer": "l2"}]}}},
            "normalizer is not supported: expected none, minMax, got 'l2'",
        ),
        (
            {
                "retriever": {
                    "weight": {
                        "retrievers": [{"retriever": SIMPLE, "normalizer": "minMax"}, {"retriever": {"knn": KNN}}]
                    }
                }
            },
            "must have one normalizer, got minMax, none",
        ),
    ],
)
def test_what_does_not_fit_is_refused_by_name(body: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        search_of(**body)
    assert words in str(caught.value)
    assert caught.value.path.startswith("/")


def test_the_vector_field_may_be_fixed() -> None:
    assert fusion_search({"indexName": "docs", "knn": KNN}, vector_field="text_vector").vector == [0.1, 0.2]
    with pytest.raises(InvalidRequest, match="/knn/field must be 'float32', the vector field, got 'text_vector'"):
        fusion_search({"indexName": "docs", "knn": KNN}, vector_field="float32")
