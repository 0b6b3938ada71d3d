"""llama-index's S3 vector store, unmodified, against `ragvec serve`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("llama_index.vector_stores.s3", reason="llama-index-vector-stores-s3 is not installed")

import boto3
from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.core.vector_stores.types import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
    VectorStoreQuery,
)
from llama_index.vector_stores.s3 import S3VectorStore

from tests.wire.s3_exchanges import does
from tests.wire.serving import REGION, Serving

CLIENT = "S3VectorStore"
TEXTS = ["Herons wade in shallow water", "Otters sleep floating", "Expense reports are due", "A kingfisher dives"]
TOPICS = ["birds", "mammals", "finance", "birds"]


def nodes() -> list[TextNode]:
    return [
        TextNode(
            id_=f"n{i}",
            text=text,
            embedding=[1.0, i / 3, 0.5],
            metadata={"topic": TOPICS[i], "page": i},
            relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=f"document-{i // 2}")},
        )
        for i, text in enumerate(TEXTS)
    ]


@pytest.fixture
def session(server: Serving, monkeypatch: pytest.MonkeyPatch) -> boto3.Session:
    # The store makes its clients from a session, and so takes the address from the environment.
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3VECTORS", server.url)
    return boto3.Session(
        aws_access_key_id=server.owner.access_key,
        aws_secret_access_key=server.owner.secret_key,
        region_name=REGION,
    )


@pytest.fixture
def store(session: boto3.Session) -> Iterator[S3VectorStore]:
    client = session.client("s3vectors")
    client.create_vector_bucket(vectorBucketName="llama")
    store = S3VectorStore.create_index_from_bucket("llama", "nodes", 3, sync_session=session)
    assert store.add(nodes()) == ["n0", "n1", "n2", "n3"]
    yield store
    for index in client.list_indexes(vectorBucketName="llama")["indexes"]:
        client.delete_index(indexArn=index["indexArn"])
    client.delete_vector_bucket(vectorBucketName="llama")


def found(store: S3VectorStore, **query: Any) -> list[str]:
    return store.query(VectorStoreQuery(query_embedding=[1.0, 0.0, 0.5], similarity_top_k=4, **query)).ids


@does(CLIENT, "CreateIndex", "PutVectors", "QueryVectors")
def test_nodes_come_back_nearest_first(store: S3VectorStore) -> None:
    result = store.query(VectorStoreQuery(query_embedding=[1.0, 0.0, 0.5], similarity_top_k=3))

    assert result.ids == ["n0", "n1", "n2"]
    assert [node.get_content() for node in result.nodes] == TEXTS[:3]
    assert [node.metadata for node in result.nodes] == [{"topic": TOPICS[i], "page": i} for i in range(3)]
    assert result.similarities[0] == pytest.approx(1)
    assert result.similarities == sorted(result.similarities, reverse=True)


@pytest.mark.parametrize(
    ("key", "operator", "value", "ids"),
    [
        ("topic", FilterOperator.EQ, "birds", ["n0", "n3"]),
        ("topic", FilterOperator.NE, "birds", ["n1", "n2"]),
        ("page", FilterOperator.GTE, 2, ["n2", "n3"]),
        ("page", FilterOperator.LT, 1, ["n0"]),
        ("topic", FilterOperator.IN, ["finance", "mammals"], ["n1", "n2"]),
        ("topic", FilterOperator.NIN, ["finance", "mammals"], ["n0", "n3"]),
        ("author", FilterOperator.IS_EMPTY, None, ["n0", "n1", "n2", "n3"]),
    ],
)
def test_filters(store: S3VectorStore, key: str, operator: FilterOperator, value: Any, ids: list[str]) -> None:
    one = MetadataFilters(filters=[MetadataFilter(key=key, operator=operator, value=value)])

    assert found(store, filters=one) == ids


@pytest.mark.parametrize(
    ("condition", "ids"), [(FilterCondition.AND, ["n3"]), (FilterCondition.OR, ["n0", "n2", "n3"])]
)
def test_filters_together(store: S3VectorStore, condition: FilterCondition, ids: list[str]) -> None:
    both = [
        MetadataFilter(key="topic", operator=FilterOperator.EQ, value="birds"),
        MetadataFilter(key="page", operator=FilterOperator.GT, value=1),
    ]

    assert found(store, filters=MetadataFilters(filters=both, condition=condition)) == ids


@does(CLIENT, "GetVectors", "DeleteVectors", "ListVectors", "DeleteIndex")
def test_get_delete_and_clear(store: S3VectorStore, session: boto3.Session) -> None:
    assert [node.get_content() for node in store.get_nodes(["n2", "absent"])] == [TEXTS[2]]

    store.delete("document-0")
    assert found(store) == ["n2", "n3"]
    store.delete_nodes(["n2"])
    assert found(store) == ["n3"]
    store.clear()
    assert session.client("s3vectors").list_indexes(vectorBucketName="llama")["indexes"] == []


async def test_its_coroutines(store: S3VectorStore) -> None:
    query = VectorStoreQuery(query_embedding=[1.0, 0.0, 0.5], similarity_top_k=1)

    assert (await store.aquery(query)).ids == ["n0"]
    await store.adelete_nodes(["n0"])
    assert (await store.aquery(query)).ids == ["n1"]
