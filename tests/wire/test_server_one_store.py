"""One index through every service at once: what one client writes, the others read, and all of them agree."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import requests

pytest.importorskip("boto3", reason="boto3 is not installed")
pytest.importorskip("alibabacloud_oss_v2", reason="alibabacloud-oss-v2 is not installed")
pytest.importorskip("qcloud_cos", reason="cos-python-sdk-v5 is not installed")
pytest.importorskip("tos", reason="tos is not installed")

import alibabacloud_oss_v2.vectors.models as oss_models
import boto3
from qcloud_cos.cos_vectors_client import CosVectorsClient
from tos.models2 import Vector, VectorData
from tos.vector_client import VectorClient

from tests.wire import cos_client, oss_client
from tests.wire.serving import ACCOUNT, OWNER, REGION, Serving, serving

BUCKET = f"docs-{ACCOUNT}"
"""A name that all four take: COS wants the account at its end."""
INDEX, DIMENSION, COUNT = "pages", 16, 120
ROWS = np.random.default_rng(11).standard_normal((COUNT, DIMENSION)).astype(np.float32)
FRENCH = np.arange(COUNT) % 3 == 0
METADATA = [{"lang": "fr" if FRENCH[i] else "en", "year": i, "tags": ["a", str(i % 5)]} for i in range(COUNT)]
QUERY = np.random.default_rng(12).standard_normal(DIMENSION).astype(np.float32)
FILTER = {"lang": {"$eq": "fr"}}

pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")


class S3:
    def __init__(self, server: Serving, session: requests.Session) -> None:
        self.client = boto3.client(
            "s3vectors",
            endpoint_url=server.url,
            region_name=REGION,
            aws_access_key_id=OWNER.access_key,
            aws_secret_access_key=OWNER.secret_key,
        )
        self.at = {"vectorBucketName": BUCKET, "indexName": INDEX}

    def put(self, vectors: list[dict[str, Any]]) -> None:
        self.client.put_vectors(**self.at, vectors=vectors)

    def delete(self, key: str) -> None:
        self.client.delete_vectors(**self.at, keys=[key])

    def keys(self) -> list[str]:
        return [each["key"] for each in self.client.list_vectors(**self.at)["vectors"]]

    def query(self) -> list[tuple[str, float, dict[str, Any]]]:
        found = self.client.query_vectors(
            **self.at,
            queryVector={"float32": QUERY.tolist()},
            topK=20,
            filter=FILTER,
            returnDistance=True,
            returnMetadata=True,
        )
        return [(each["key"], each["distance"] ** 2, each["metadata"]) for each in found["vectors"]]


class Cos:
    def __init__(self, server: Serving, session: requests.Session) -> None:
        self.client = CosVectorsClient(cos_client.settings(server), session=session)
        self.at = {"Bucket": BUCKET, "Index": INDEX}

    def put(self, vectors: list[dict[str, Any]]) -> None:
        self.client.put_vectors(**self.at, Vectors=vectors)

    def delete(self, key: str) -> None:
        self.client.delete_vectors(**self.at, Keys=[key])

    def keys(self) -> list[str]:
        return [each["key"] for each in self.client.list_vectors(**self.at)[1]["vectors"]]

    def query(self) -> list[tuple[str, float, dict[str, Any]]]:
        _, found = self.client.query_vectors(
            **self.at,
            QueryVector={"float32": QUERY.tolist()},
            TopK=20,
            Filter=FILTER,
            ReturnDistance=True,
            ReturnMetaData=True,
        )
        return [(each["key"], each["distance"], each["metadata"]) for each in found["vectors"]]


class Tos:
    def __init__(self, server: Serving, session: requests.Session) -> None:
        self.client = VectorClient(
            OWNER.access_key,
            OWNER.secret_key,
            "http://tosvectors-cn-beijing.volces.com",
            "cn-beijing",
            proxy_host=server.host,
            proxy_port=server.port,
        )
        self.client.session.close()
        self.client.session = session
        self.at = (BUCKET, ACCOUNT, INDEX)

    def put(self, vectors: list[dict[str, Any]]) -> None:
        typed = [Vector(each["key"], VectorData(float32=each["data"]["float32"]), each["metadata"]) for each in vectors]
        self.client.put_vectors(*self.at, typed)

    def delete(self, key: str) -> None:
        self.client.delete_vectors(*self.at, [key])

    def keys(self) -> list[str]:
        return [each.key for each in self.client.list_vectors(BUCKET, INDEX, ACCOUNT).vectors]

    def query(self) -> list[tuple[str, float, dict[str, Any]]]:
        found = self.client.query_vectors(
            *self.at,
            VectorData(float32=QUERY.tolist()),
            top_k=20,
            return_distance=True,
            return_metadata=True,
            filter=FILTER,
        )
        return [(each.key, each.distance, each.metadata) for each in found.vectors]


class Oss:
    def __init__(self, server: Serving, session: requests.Session) -> None:
        self.client = oss_client.connect(server)
        self.at = {"bucket": BUCKET, "index_name": INDEX}

    def put(self, vectors: list[dict[str, Any]]) -> None:
        self.client.put_vectors(oss_models.PutVectorsRequest(**self.at, vectors=vectors))

    def delete(self, key: str) -> None:
        self.client.delete_vectors(oss_models.DeleteVectorsRequest(**self.at, keys=[key]))

    def keys(self) -> list[str]:
        return [each["key"] for each in self.client.list_vectors(oss_models.ListVectorsRequest(**self.at)).vectors]

    def query(self) -> list[tuple[str, float, dict[str, Any]]]:
        found = self.client.query_vectors(
            oss_models.QueryVectorsRequest(
                **self.at,
                query_vector={"float32": QUERY.tolist()},
                top_k=20,
                filter=FILTER,
                return_distance=True,
                return_metadata=True,
            )
        )
        return [(each["key"], each["distance"] ** 2, each["metadata"]) for each in found.vectors]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with serving(tmp_path_factory.mktemp("served") / "store", dialects="s3vectors,oss,cos,tos") as running:
        yield running


def test_what_one_service_writes_the_others_read(server: Serving) -> None:
    vectors = [
        {"key": f"p{i:03}", "data": {"float32": ROWS[i].tolist()}, "metadata": METADATA[i]} for i in range(COUNT)
    ]
    with requests.Session() as session:
        s3 = S3(server, session)
        services = [s3, Oss(server, session), Cos(server, session), Tos(server, session)]
        s3.client.create_vector_bucket(vectorBucketName=BUCKET)
        s3.client.create_index(**s3.at, dataType="float32", dimension=DIMENSION, distanceMetric="euclidean")
        for place, service in enumerate(services):
            service.put(vectors[place::4])
        true = ((ROWS.astype(np.float64) - QUERY) ** 2).sum(axis=1)
        nearest = [int(i) for i in np.argsort(true, kind="stable") if FRENCH[i]][:20]
        for service in services:
            assert service.keys() == [each["key"] for each in vectors]
            found = service.query()
            assert [(key, metadata) for key, _, metadata in found] == [(f"p{i:03}", METADATA[i]) for i in nearest]
            np.testing.assert_allclose([distance for _, distance, _ in found], true[nearest], rtol=1e-5)
        for place, service in enumerate(services):
            service.delete(f"p{place:03}")
            for other in services:
                assert other.keys()[0] == f"p{place + 1:03}"
        s3.client.close()
