"""Fusion indexes of OSS Vectors by the vendor's client: schemas, records with a named vector, and searches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("alibabacloud_oss_v2", reason="alibabacloud-oss-v2 is not installed")

from alibabacloud_oss_v2.vectors import models

import ragvec
from tests.wire.oss_client import connect, refused
from tests.wire.serving import Serving

AT = {"bucket": "shop", "index_name": "Products"}
FIELDS = [
    {"name": "text_vector", "type": "vector", "dataType": "float32", "dimension": 4, "distanceMetric": "euclidean"},
    {"name": "title", "type": "string", "exactMatch": True, "text": {"enabled": True, "analyzer": "standard"}},
    {"name": "body", "type": "string", "exactMatch": False, "text": {"enabled": True}},
    {"name": "brand", "type": "string"},
    {"name": "price", "type": "double"},
    {"name": "stock", "type": "long"},
    {"name": "on_sale", "type": "bool"},
]
COLOURS = ("red", "blue", "green", "black", "white")
THINGS = ("shoes", "boots", "coat", "scarf", "headphones", "lamp")
COUNT = 60


def record(i: int, row: np.ndarray[Any, Any]) -> dict[str, Any]:
    colour, thing = COLOURS[i % 5], THINGS[i % 6]
    metadata = {
        "title": f"{colour} {thing}" + (f" {thing}" if i % 7 == 0 else ""),
        "body": f"A {thing[:-1]} in {colour}, number {i}" + (" 无线耳机" if thing == "headphones" else ""),
        "brand": f"brand{i % 4}",
        "price": i / 2,
        "stock": i,
        "on_sale": i % 3 == 0,
    }
    return {"key": f"p{i:02}", "data": {"text_vector": row.tolist()}, "metadata": metadata}


ROWS = np.random.default_rng(11).normal(size=(COUNT, 4)).astype(np.float32)
RECORDS = [record(i, row) for i, row in enumerate(ROWS)]
QUERY = [0.25, -0.5, 0.75, 1.0]
DISTANCES = np.linalg.norm(ROWS.astype(np.float64) - QUERY, axis=1)
NEAREST = [f"p{i:02}" for i in np.argsort(DISTANCES)]
KNN = {"field": "text_vector", "queryVector": QUERY, "topK": 8}


def sdk(operation: str) -> Any:
    return pytest.mark.sdk("alibabacloud-oss-v2", operation)


def words(field: str, value: str, **more: Any) -> dict[str, Any]:
    return {field: {"$textMatch": {"value": value, **more}}}


@pytest.fixture(scope="module")
def client(server: Serving) -> Iterator[Any]:
    client = connect(server)
    client.put_vector_bucket(models.PutVectorBucketRequest(bucket="shop"))
    client.put_vector_index_fusion(models.PutVectorIndexFusionRequest(**AT, schema_configuration={"fields": FIELDS}))
    client.put_vectors(models.PutVectorsRequest(**AT, vectors=RECORDS))
    client.put_vector_index(models.PutVectorIndexRequest(bucket="shop", index_name="Standard", dimension=4))
    yield client
    for index in ("Products", "Standard"):
        client.delete_vector_index(models.DeleteVectorIndexRequest(bucket="shop", index_name=index))
    client.delete_vector_bucket(models.DeleteVectorBucketRequest(bucket="shop"))


@pytest.fixture(scope="module")
def beside(client: Any, server: Serving) -> Iterator[Any]:
    """The same index without a server."""
    with ragvec.Store(server.store) as store:
        yield store.bucket("shop").index("Products")


def search(client: Any, **arguments: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.query_vectors_fusion(
        models.QueryVectorsFusionRequest(**AT, **arguments)
    ).vectors
    return found


def misfit(call: Callable[[], Any]) -> str:
    """The message of the refusal of a parameter."""
    error = refused(call)
    assert (error.status_code, error.code) == (400, "VectorIndexParameterInvalid"), error.message
    return str(error.message)


@sdk("PutVectorIndexFusion")
def test_a_fusion_index_is_described_by_its_schema(client: Any) -> None:
    index = client.get_vector_index(models.GetVectorIndexRequest(**AT)).index
    listed = client.list_vector_indexes(models.ListVectorIndexesRequest(bucket="shop")).indexes

    assert (index["mode"], index["dimension"], index["distanceMetric"]) == ("fusion", 4, "euclidean")
    assert index["schemaConfiguration"] == {"fields": FIELDS}
    assert listed[0] == index
    assert "mode" not in listed[1]


def test_vectors_have_the_name_of_their_field(client: Any) -> None:
    (got,) = client.get_vectors(
        models.GetVectorsRequest(**AT, keys=["p05"], return_data=True, return_metadata=True)
    ).vectors
    listed = client.list_vectors(models.ListVectorsRequest(**AT, return_data=True, return_metadata=True)).vectors

    assert got == RECORDS[5]
    assert listed == RECORDS
    assert client.get_vectors(models.GetVectorsRequest(**AT, keys=["p05"])).vectors == [{"key": "p05"}]


@sdk("QueryVectorsFusion")
def test_the_nearest_by_vector(client: Any) -> None:
    found = search(client, knn=KNN, return_metadata=True)

    assert [each["key"] for each in found] == NEAREST[:8]
    assert [each["score"] for each in found] == pytest.approx(-np.sort(DISTANCES)[:8], rel=1e-6)
    assert found[0]["metadata"] == RECORDS[int(NEAREST[0][1:])]["metadata"]
    assert search(client, knn=[KNN], limit=3) == [{"key": each["key"], "score": each["score"]} for each in found[:3]]


def test_the_nearest_that_satisfy_a_filter(client: Any) -> None:
    cheap = {"$and": {"clauses": [{"price": {"$lt": {"value": 20}}}, {"on_sale": {"$eq": {"value": True}}}]}}
    expected = [key for key in NEAREST if int(key[1:]) < 40 and int(key[1:]) % 3 == 0][:8]

    for arguments in ({"knn": {**KNN, "filter": cheap}}, {"knn": KNN, "query": cheap}):
        found = search(client, **arguments, return_metadata_fields=["price", "absent"])
        assert [each["key"] for each in found] == expected
        assert all(each["metadata"] == {"price": int(each["key"][1:]) / 2} for each in found)


def test_words_are_found_best_first(client: Any, beside: Any) -> None:
    found = search(client, query=words("title", "blue shoes"), limit=10)
    own = beside.query(text={"title": "blue shoes"}, k=10)

    assert [each["key"] for each in found] == [hit.key for hit in own]
    assert [each["score"] for each in found] == pytest.approx([hit.score for hit in own])
    assert all({"blue", "shoes"} & set(RECORDS[int(each["key"][1:])]["metadata"]["title"].split()) for each in found)


def test_words_of_one_character_each(client: Any) -> None:
    found = search(client, query=words("body", "耳机"), limit=50)

    assert sorted(each["key"] for each in found) == [f"p{i:02}" for i in range(4, COUNT, 6)]


def test_words_come_page_by_page(client: Any) -> None:
    query = {"$and": {"clauses": [words("title", "shoes"), {"stock": {"$lt": {"value": 50}}}]}}
    whole = search(client, query=query, limit=100)
    pages, token = [], None
    while True:
        result = client.query_vectors_fusion(
            models.QueryVectorsFusionRequest(**AT, query=query, limit=4, next_token=token)
        )
        pages.append(result.vectors)
        token = result.next_token
        if not token:
            break

    assert len(whole) == 9
    assert [len(page) for page in pages] == [4, 4, 1]
    assert [each for page in pages for each in page] == whole
    first = client.query_vectors_fusion(models.QueryVectorsFusionRequest(**AT, query=query, limit=4)).next_token
    again = misfit(lambda: search(client, query=words("title", "boots"), limit=4, next_token=first))
    assert "belongs to another request" in again


def test_a_filter_alone_finds_all_that_satisfy_it(client: Any) -> None:
    query = {
        "$and": {"clauses": [{"brand": {"$in": {"value": ["brand1", "brand2"]}}}, {"stock": {"$lt": {"value": 21}}}]}
    }
    expected = [f"p{i:02}" for i in range(21) if i % 4 in (1, 2)]
    pages, token = [], None
    while True:
        request = models.QueryVectorsFusionRequest(
            **AT, query=query, limit=4, next_token=token, return_metadata_fields=["stock"]
        )
        result = client.query_vectors_fusion(request)
        pages.append(result.vectors)
        token = result.next_token
        if not token:
            break

    assert [len(page) for page in pages] == [4, 4, 2]
    assert [each for page in pages for each in page] == [
        {"key": key, "score": 1.0, "metadata": {"stock": int(key[1:])}} for key in expected
    ]
    alone = search(client, retriever={"simple": {"query": query}}, limit=100)
    assert alone == [{"key": key, "score": 1.0} for key in expected]


def test_ranks_of_several_retrievers_are_fused(client: Any) -> None:
    texts = [each["key"] for each in search(client, query=words("title", "blue shoes"), limit=COUNT)]
    retriever = {
        "rrf": {
            "k": 50,
            "windowSize": 100,
            "retrievers": [
                {"retriever": {"knn": {**KNN, "topK": 100}}, "weight": 2.0},
                {"retriever": {"simple": {"query": words("title", "blue shoes")}}, "weight": 0.5},
            ],
        }
    }
    scores = {key: 2.0 / (51 + rank) for rank, key in enumerate(NEAREST)}
    for rank, key in enumerate(texts):
        scores[key] += 0.5 / (51 + rank)

    found = search(client, retriever=retriever, limit=20)

    assert [each["score"] for each in found] == pytest.approx(sorted(scores.values(), reverse=True)[:20], rel=1e-5)
    assert all(each["score"] == pytest.approx(scores[each["key"]], rel=1e-5) for each in found)


def test_scores_of_vector_and_words_add_up(client: Any) -> None:
    texts = {each["key"]: each["score"] for each in search(client, query=words("title", "blue"), limit=COUNT)}

    found = search(client, knn={**KNN, "boost": 2.0, "topK": 60}, query=words("title", "blue", boost=4.0), limit=10)

    expected = {key: 4.0 * texts.get(key, 0.0) - 2.0 * DISTANCES[int(key[1:])] for key in NEAREST}
    assert [each["score"] for each in found] == pytest.approx(sorted(expected.values(), reverse=True)[:10], rel=1e-5)


REFUSALS: dict[str, tuple[str, dict[str, Any]]] = {
    "nothing": ("must be given", {}),
    "other field": ("must be 'text_vector'", {"knn": {**KNN, "field": "image_vector"}}),
    "vector too short": ("must have length 4", {"knn": {**KNN, "queryVector": [1.0]}}),
    "two vectors": ("one vector field", {"knn": [KNN, KNN]}),
    "field without words": ("fields with text", {"query": words("brand", "a")}),
    "limit": ("/limit must be from 1 to 500", {"query": words("title", "a"), "limit": 501}),
    "no limit": ("/limit must be at least 1", {"query": words("title", "a"), "limit": 0}),
    "partitions": ("no partitions", {"query": words("title", "a"), "partition_keys": ["a"]}),
    "order": ("order of score", {"query": words("title", "a"), "sort": [{"price": {"order": "asc"}}]}),
    "token of a vector": ("nextToken", {"knn": KNN, "next_token": "x"}),
    "token beside both": ("nextToken", {"knn": KNN, "query": words("title", "a"), "next_token": "x"}),
    "token of nobody": ("nextToken", {"query": words("title", "a"), "next_token": "x"}),
    "filter on a text that has none": (
        "non-filterable",
        {"knn": {**KNN, "filter": {"body": {"$eq": {"value": "a"}}}}},
    ),
    "retriever beside another": ("together with retriever", {"knn": KNN, "retriever": {"knn": KNN}}),
    "fields of another type": ("returnMetadataFields", {"knn": KNN, "return_metadata_fields": [1]}),
}


@pytest.mark.parametrize(("expected", "arguments"), REFUSALS.values(), ids=REFUSALS)
def test_what_cannot_be_searched_is_told(client: Any, expected: str, arguments: dict[str, Any]) -> None:
    assert expected in misfit(lambda: search(client, **arguments))


@pytest.mark.parametrize(
    ("metadata", "data", "expected"),
    [
        ({"price": "1"}, {"text_vector": [1, 2, 3, 4]}, "Expected double for the field 'price'"),
        ({"price": True}, {"text_vector": [1, 2, 3, 4]}, "Expected double"),
        ({"on_sale": 1}, {"text_vector": [1, 2, 3, 4]}, "Expected bool"),
        ({"stock": 1.5}, {"text_vector": [1, 2, 3, 4]}, "Expected long"),
        ({"title": 1}, {"text_vector": [1, 2, 3, 4]}, "Expected string"),
        ({}, {"float32": [1, 2, 3, 4]}, "Expected the vector 'text_vector' of the schema alone, got 'float32'"),
        ({}, {"text_vector": [1, 2, 3, 4], "image_vector": [1]}, "alone"),
        ({}, {}, "alone, got none"),
        ({}, {"text_vector": [1, 2, 3]}, "must have length 4"),
    ],
    ids=[
        "text as double",
        "bool as double",
        "long as bool",
        "double as long",
        "long as string",
        "standard",
        "two",
        "none",
        "short",
    ],
)
def test_records_are_those_of_the_schema(client: Any, metadata: Any, data: Any, expected: str) -> None:
    good = {**RECORDS[0], "key": "good"}
    bad = {"key": "bad", "data": data, "metadata": metadata}

    told = misfit(lambda: client.put_vectors(models.PutVectorsRequest(**AT, vectors=[good, bad])))
    assert expected in told
    assert client.get_vectors(models.GetVectorsRequest(**AT, keys=["good", "bad"])).vectors == []


def test_each_query_has_its_kind_of_index(client: Any) -> None:
    query = {"query_vector": {"float32": QUERY}, "top_k": 1}

    assert "use QueryVectorsFusion" in misfit(lambda: client.query_vectors(models.QueryVectorsRequest(**AT, **query)))
    standard = models.QueryVectorsFusionRequest(bucket="shop", index_name="Standard", knn=KNN)
    assert "is a standard index" in misfit(lambda: client.query_vectors_fusion(standard))


def test_a_field_named_float32_serves_both_queries(client: Any) -> None:
    at = {"bucket": "shop", "index_name": "Both"}
    fields = [{"name": "float32", "type": "vector", "dimension": 2, "distanceMetric": "cosine"}]
    client.put_vector_index_fusion(models.PutVectorIndexFusionRequest(**at, schema_configuration={"fields": fields}))
    client.put_vectors(models.PutVectorsRequest(**at, vectors=[{"key": "a", "data": {"float32": [1, 0]}}]))

    plain = models.QueryVectorsRequest(**at, query_vector={"float32": [0, 1]}, top_k=1, return_distance=True)
    fusion = models.QueryVectorsFusionRequest(**at, knn={"field": "float32", "queryVector": [0, 1]})
    (got,) = client.get_vectors(models.GetVectorsRequest(**at, keys=["a"], return_data=True)).vectors

    assert client.query_vectors(plain).vectors == [{"key": "a", "distance": 1.0}]
    assert client.query_vectors_fusion(fusion).vectors == [{"key": "a", "score": -1.0}]
    assert got["data"] == {"float32": [1, 0]}
    client.delete_vector_index(models.DeleteVectorIndexRequest(**at))


def test_an_index_made_again_has_its_own_schema(client: Any) -> None:
    at = {"bucket": "shop", "index_name": "Again"}
    for name in ("first", "second"):
        fields = [{"name": name, "type": "vector", "dimension": 2}]
        client.put_vector_index_fusion(
            models.PutVectorIndexFusionRequest(**at, schema_configuration={"fields": fields})
        )
        client.put_vectors(models.PutVectorsRequest(**at, vectors=[{"key": "a", "data": {name: [1, 0]}}]))
        client.delete_vector_index(models.DeleteVectorIndexRequest(**at))
    client.put_vector_index(models.PutVectorIndexRequest(**at, dimension=2))
    client.put_vectors(models.PutVectorsRequest(**at, vectors=[{"key": "a", "data": {"float32": [1, 0]}}]))
    client.delete_vector_index(models.DeleteVectorIndexRequest(**at))
