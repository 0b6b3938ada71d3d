"""langchain-aws's S3 Vectors store on a ragvec client, and on boto3's with `ragvec serve`: the real library."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ragvec
from ragvec.api.client import Client

pytest.importorskip("langchain_aws", reason="langchain-aws is not installed")

import boto3
from langchain_aws.vectorstores.s3_vectors import AmazonS3Vectors
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

from tests.wire.serving import REGION, Serving

DIMENSION = 512
TEXTS = [
    "Herons wade in shallow water",
    "Otters sleep floating on their backs",
    "A kingfisher dives for small fish",
    "Expense reports are due on Friday",
    "Travel expense limits for hotels",
]
METADATA = [
    {"topic": "birds", "page": 1},
    {"topic": "mammals", "page": 2},
    {"topic": "birds", "page": 3},
    {"topic": "finance", "page": 4},
    {"topic": "finance", "page": 5},
]


class WordEmbeddings(Embeddings):
    """Adds up a fixed pseudo-random vector for each word; texts that share words are near."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        total = np.zeros(DIMENSION)
        for word in text.lower().split():
            seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "big")
            total += np.random.default_rng(seed).standard_normal(DIMENSION)
        return [float(value) for value in total]


@pytest.fixture(params=["native", "s3", "served"])
def client(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    if request.param != "served":
        with ragvec.connect(tmp_path / "store", dialect=request.param) as client:
            client.create_vector_bucket(vectorBucketName="langchain")
            yield client
        return
    server: Serving = request.getfixturevalue("server")
    remote = boto3.client("s3vectors", **settings(server))
    remote.create_vector_bucket(vectorBucketName="langchain")
    yield remote
    for index in remote.list_indexes(vectorBucketName="langchain")["indexes"]:
        remote.delete_index(indexArn=index["indexArn"])
    remote.delete_vector_bucket(vectorBucketName="langchain")


def settings(server: Serving) -> dict[str, str]:
    """How boto3 reaches a server."""
    return {
        "endpoint_url": server.url,
        "region_name": REGION,
        "aws_access_key_id": server.owner.access_key,
        "aws_secret_access_key": server.owner.secret_key,
    }


@pytest.fixture
def store(client: Client) -> AmazonS3Vectors:
    store = AmazonS3Vectors(
        vector_bucket_name="langchain",
        index_name="texts",
        non_filterable_metadata_keys=["_page_content"],
        embedding=WordEmbeddings(),
        client=client,
    )
    store.add_texts(TEXTS, METADATA, ids=[f"t{i}" for i in range(5)])
    return store


def test_the_index_is_made_on_first_use(client: Client, store: AmazonS3Vectors) -> None:
    index = client.get_index(vectorBucketName="langchain", indexName="texts")["index"]

    assert (index["dimension"], index["distanceMetric"]) == (DIMENSION, "cosine")
    assert index["metadataConfiguration"] == {"nonFilterableMetadataKeys": ["_page_content"]}
    assert store.add_texts(["Another heron"], [{"topic": "birds", "page": 6}], ids=["t5"]) == ["t5"]


def test_nearest_texts_come_first_with_their_metadata(store: AmazonS3Vectors) -> None:
    found = store.similarity_search("expense hotels", k=2)

    assert [document.id for document in found] == ["t4", "t3"]
    assert found[0].page_content == TEXTS[4]
    assert found[0].metadata == {"topic": "finance", "page": 5}


def test_scores_are_cosine_distances(store: AmazonS3Vectors) -> None:
    found = store.similarity_search_with_score(TEXTS[0], k=5)
    query = np.array(WordEmbeddings().embed_query(TEXTS[0]))

    assert found[0][0].id == "t0"
    for document, distance in found:
        vector = np.array(WordEmbeddings().embed_query(document.page_content))
        cosine = vector @ query / np.linalg.norm(vector) / np.linalg.norm(query)
        assert distance == pytest.approx(1 - cosine, abs=1e-6)
    assert store.similarity_search_with_relevance_scores(TEXTS[0], k=1)[0][1] == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(
    ("filters", "ids"),
    [
        ({"topic": {"$eq": "birds"}}, {"t0", "t2"}),
        ({"topic": "finance"}, {"t3", "t4"}),
        ({"$and": [{"page": {"$gte": 2}}, {"page": {"$lt": 5}}]}, {"t1", "t2", "t3"}),
        ({"$or": [{"topic": "mammals"}, {"page": 5}]}, {"t1", "t4"}),
        ({"topic": {"$nin": ["birds", "finance"]}}, {"t1"}),
        ({"topic": "none"}, set()),
    ],
)
def test_filters(store: AmazonS3Vectors, filters: dict[str, object], ids: set[str]) -> None:
    assert {document.id for document in store.similarity_search("water", k=5, filter=filters)} == ids


def test_get_by_ids(store: AmazonS3Vectors) -> None:
    found = store.get_by_ids(["t3", "t1", "t3"])

    assert [document.id for document in found] == ["t3", "t1", "t3"]
    assert found[1].page_content == TEXTS[1]
    with pytest.raises(ValueError, match="Id 't9' not found"):
        store.get_by_ids(["t1", "t9"])


def test_delete_by_ids_and_as_a_whole(client: Client, store: AmazonS3Vectors) -> None:
    assert store.delete(["t0", "absent"])
    assert "t0" not in {document.id for document in store.similarity_search("heron", k=5)}

    assert store.delete()
    assert client.list_indexes(vectorBucketName="langchain")["indexes"] == []
    store.add_texts(["made anew"], [{"topic": "x"}], ids=["n"])
    assert [document.id for document in store.similarity_search("made", k=5)] == ["n"]


def test_as_retriever(store: AmazonS3Vectors) -> None:
    retriever = store.as_retriever(search_kwargs={"k": 2, "filter": {"topic": "birds"}})

    found = retriever.invoke("a kingfisher dives")
    assert [document.id for document in found] == ["t2", "t0"]
    assert all(isinstance(document, Document) for document in found)


def test_from_documents_in_batches(client: Client) -> None:
    documents = [Document(f"number {i}", metadata={"n": i}) for i in range(450)]
    store = AmazonS3Vectors.from_documents(
        documents, WordEmbeddings(), vector_bucket_name="langchain", index_name="many", client=client
    )

    (best,) = store.similarity_search("number 449", k=1)
    assert (best.page_content, best.metadata) == ("number 449", {"n": 449})
    listed = client.get_paginator("list_vectors").paginate(vectorBucketName="langchain", indexName="many")
    assert len(listed.build_full_result()["vectors"]) == 450


def test_an_error_of_the_store_is_one_of_botocore(client: Client) -> None:
    from botocore.exceptions import ClientError

    store = AmazonS3Vectors(vector_bucket_name="absent", index_name="texts", embedding=WordEmbeddings(), client=client)
    with pytest.raises(ClientError) as caught:
        store.add_texts(["x"])
    assert caught.value.response["Error"]["Code"] == "NotFoundException"
