"""`ragvec serve --no-auth`: clients that sign nothing, each of which reaches its own service on the same paths."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

pytest.importorskip("boto3", reason="boto3 is not installed")
pytest.importorskip("qcloud_cos", reason="cos-python-sdk-v5 is not installed")
pytest.importorskip("tos", reason="tos is not installed")

import boto3
from botocore import UNSIGNED
from botocore.config import Config
from qcloud_cos import CosConfig
from qcloud_cos.cos_vectors_client import CosVectorsClient
from tos.vector_client import VectorClient

from tests.wire.serving import ACCOUNT, REGION, Serving, serving


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    store = tmp_path_factory.mktemp("served") / "store"
    with serving(store, users=[], flags=["--no-auth"]) as running:
        yield running


def test_each_anonymous_client_gets_replies_of_its_own_service(server: Serving) -> None:
    s3 = boto3.client(
        "s3vectors", endpoint_url=server.url, region_name=REGION, config=Config(signature_version=UNSIGNED)
    )
    s3.create_vector_bucket(vectorBucketName="of-s3")
    tos = VectorClient(
        endpoint="http://tosvectors-cn-beijing.volces.com",
        region="cn-beijing",
        proxy_host=server.host,
        proxy_port=server.port,
    )
    tos.create_vector_bucket("of-tos")
    settings = CosConfig(Anonymous=True, Region="ap-guangzhou", Scheme="http", Domain=f"{server.host}:{server.port}")
    with requests.Session() as session:
        cos = CosVectorsClient(settings, session=session)
        cos.create_vector_bucket(Bucket=f"of-cos-{ACCOUNT}")
        _, listed = cos.list_vector_buckets()
    names = [f"of-cos-{ACCOUNT}", "of-s3", "of-tos"]
    # There is one set of buckets, whoever asks.
    assert [entry["vectorBucketName"] for entry in listed["vectorBuckets"]] == names
    assert {entry["vectorBucketQcs"].partition(":")[0] for entry in listed["vectorBuckets"]} == {"qcs"}
    entries = tos.list_vector_buckets().vector_buckets
    assert [entry.vector_bucket_name for entry in entries] == names
    assert tos.get_vector_bucket("of-s3", ACCOUNT).vector_bucket.vector_bucket_trn.startswith("trn:tosvectors:")
    assert [entry["vectorBucketName"] for entry in s3.list_vector_buckets()["vectorBuckets"]] == names
    s3.close()
    tos.session.close()
