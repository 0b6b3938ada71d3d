"""The AWS CLI, unmodified, against `ragvec serve`: every operation that its version 1.46 has."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.wire.s3_exchanges import ARN, POLICY, does
from tests.wire.serving import REGION, Serving

AWS = Path(sys.executable).with_name("aws")

pytestmark = pytest.mark.skipif(not AWS.exists(), reason="the AWS CLI is not installed beside this Python")

CLIENT = "AWS CLI"
BUCKET = ("--vector-bucket-name", "docs")
INDEX = (*BUCKET, "--index-name", "pages")


class Cli:
    """Runs `aws s3vectors …` in an environment that has nothing but what this server needs."""

    def __init__(self, server: Serving, home: Path) -> None:
        self._server = server
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "AWS_ACCESS_KEY_ID": server.owner.access_key,
            "AWS_SECRET_ACCESS_KEY": server.owner.secret_key,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL_S3VECTORS": server.url,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_MAX_ATTEMPTS": "1",
        }

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(AWS), "s3vectors", *arguments, "--output", "json"]
        return subprocess.run(command, capture_output=True, text=True, env=self._environment, timeout=120, check=False)

    def __call__(self, *arguments: str) -> Any:
        done = self.run(*arguments)
        assert done.returncode == 0, f"aws s3vectors {' '.join(arguments)}: {done.stderr}"
        return json.loads(done.stdout) if done.stdout.strip() else {}


@pytest.fixture
def aws(server: Serving, tmp_path: Path) -> Cli:
    return Cli(server, tmp_path)


@does(
    CLIENT,
    "CreateVectorBucket",
    "GetVectorBucket",
    "ListVectorBuckets",
    "CreateIndex",
    "GetIndex",
    "ListIndexes",
    "PutVectors",
    "GetVectors",
    "ListVectors",
    "QueryVectors",
    "DeleteVectors",
    "DeleteIndex",
    "DeleteVectorBucket",
)
def test_from_a_bucket_to_its_end(aws: Cli, tmp_path: Path) -> None:
    assert aws("create-vector-bucket", *BUCKET) == {"vectorBucketArn": ARN}
    assert aws("get-vector-bucket", *BUCKET)["vectorBucket"]["vectorBucketName"] == "docs"
    assert [bucket["vectorBucketName"] for bucket in aws("list-vector-buckets")["vectorBuckets"]] == ["docs"]
    kind = ("--data-type", "float32", "--dimension", "2", "--distance-metric", "euclidean")
    assert aws("create-index", *INDEX, *kind) == {"indexArn": f"{ARN}/index/pages"}
    assert aws("get-index", *INDEX)["index"]["dimension"] == 2
    assert len(aws("list-indexes", *BUCKET)["indexes"]) == 1

    vectors = [{"key": f"k{i:03}", "data": {"float32": [i, 0]}, "metadata": {"n": i, "ö": "ü"}} for i in range(120)]
    (tmp_path / "vectors.json").write_text(json.dumps(vectors))
    aws("put-vectors", *INDEX, "--vectors", f"file://{tmp_path}/vectors.json")
    got = aws("get-vectors", *INDEX, "--keys", "k005", "--return-data", "--return-metadata")
    assert got["vectors"] == [{"key": "k005", "data": {"float32": [5.0, 0.0]}, "metadata": {"n": 5, "ö": "ü"}}]
    # The CLI goes through all pages.
    assert len(aws("list-vectors", *INDEX, "--page-size", "50")["vectors"]) == 120
    query = ("--query-vector", '{"float32": [0, 1]}', "--return-distance", "--filter", '{"n": {"$gte": 3}}')
    assert [hit["key"] for hit in aws("query-vectors", *INDEX, "--top-k", "110", *query)["vectors"]][::109] == [
        "k003",
        "k112",
    ]
    aws("delete-vectors", *INDEX, "--keys", "k000", "k001")
    aws("delete-index", *INDEX)
    aws("delete-vector-bucket", *BUCKET)


@does(
    CLIENT,
    "PutVectorBucketPolicy",
    "GetVectorBucketPolicy",
    "DeleteVectorBucketPolicy",
    "TagResource",
    "ListTagsForResource",
    "UntagResource",
)
def test_what_belongs_to_buckets_and_indexes(aws: Cli) -> None:
    aws("create-vector-bucket", *BUCKET, "--tags", "team=birds", "--encryption-configuration", "sseType=AES256")
    aws("create-index", *INDEX, "--data-type", "float32", "--dimension", "2", "--distance-metric", "cosine")

    aws("put-vector-bucket-policy", *BUCKET, "--policy", POLICY)
    assert aws("get-vector-bucket-policy", *BUCKET) == {"policy": POLICY}
    aws("delete-vector-bucket-policy", *BUCKET)
    gone = aws.run("get-vector-bucket-policy", *BUCKET)
    assert gone.returncode in (254, 255)  # of version 2 and 1
    assert "(NotFoundException) when calling the GetVectorBucketPolicy operation" in gone.stderr

    aws("tag-resource", "--resource-arn", ARN, "--tags", "stage=test")
    assert aws("list-tags-for-resource", "--resource-arn", ARN) == {"tags": {"team": "birds", "stage": "test"}}
    aws("untag-resource", "--resource-arn", ARN, "--tag-keys", "team", "stage")
    assert aws("list-tags-for-resource", "--resource-arn", ARN) == {"tags": {}}
    aws("delete-index", *INDEX)
    aws("delete-vector-bucket", *BUCKET)
