"""langchain-aws's S3 Vectors store, unmodified, making its own client of `ragvec serve`; test_langchain_aws.py has more
of it, also over a server."""

from __future__ import annotations

import pytest

pytest.importorskip("langchain_aws", reason="langchain-aws is not installed")

import boto3
from langchain_aws.vectorstores.s3_vectors import AmazonS3Vectors

from tests.wire.s3_exchanges import does
from tests.wire.serving import Serving
from tests.wire.test_langchain_aws import METADATA, TEXTS, WordEmbeddings, settings


@does(
    "AmazonS3Vectors",
    "CreateIndex",
    "GetIndex",
    "PutVectors",
    "GetVectors",
    "QueryVectors",
    "DeleteVectors",
    "DeleteIndex",
)
def test_a_store_that_makes_its_own_client(server: Serving) -> None:
    boto3.client("s3vectors", **settings(server)).create_vector_bucket(vectorBucketName="own-client")
    store = AmazonS3Vectors(
        vector_bucket_name="own-client", index_name="texts", embedding=WordEmbeddings(), **settings(server)
    )

    assert store.add_texts(TEXTS, METADATA, ids=[f"t{i}" for i in range(5)]) == ["t0", "t1", "t2", "t3", "t4"]
    found = store.similarity_search("expense hotels", k=2, filter={"topic": "finance"})
    assert [document.id for document in found] == ["t4", "t3"]
    assert store.get_by_ids(["t0"])[0].page_content == TEXTS[0]
    assert store.delete(["t0"])
    assert store.delete()
