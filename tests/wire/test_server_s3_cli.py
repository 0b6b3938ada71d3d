"""The AWS CLI, unmodified, against `ragvec serve`: every operation that its version 1.46 has."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
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


DRIVER = """
import contextlib, io, json, sys
from awscli.clidriver import create_clidriver

for line in sys.stdin:
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        try:
            code = create_clidriver().main(json.loads(line))
        except SystemExit as end:
            code = end.code
    print(json.dumps([code, out.getvalue(), err.getvalue()]), flush=True)
"""
"""Runs one command a line as `aws` does, whose start takes longer than most commands."""


class Cli:
    """Runs `aws s3vectors …` in an environment that has nothing but what this server needs."""

    def __init__(self, server: Serving, home: Path) -> None:
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "AWS_ACCESS_KEY_ID": server.owner.access_key,
            "AWS_SECRET_ACCESS_KEY": server.owner.secret_key,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_DEFAULT_OUTPUT": "json",
            "AWS_ENDPOINT_URL_S3VECTORS": server.url,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_MAX_ATTEMPTS": "1",
        }
        self._driver = subprocess.Popen(
            [sys.executable, "-c", DRIVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=self.environment,
        )

    def close(self) -> None:
        self._driver.communicate(timeout=60)

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """The exit code, and what was printed to standard output and error."""
        assert self._driver.stdin is not None
        assert self._driver.stdout is not None
        self._driver.stdin.write(json.dumps(["s3vectors", *arguments]) + "\n")
        self._driver.stdin.flush()
        code, out, err = json.loads(self._driver.stdout.readline())
        return code, out, err

    def __call__(self, *arguments: str) -> Any:
        code, out, err = self.run(*arguments)
        assert code == 0, f"aws s3vectors {' '.join(arguments)}: {err}"
        return json.loads(out) if out.strip() else {}


@pytest.fixture
def aws(server: Serving, tmp_path: Path) -> Iterator[Cli]:
    cli = Cli(server, tmp_path)
    yield cli
    cli.close()


def test_the_command_itself(aws: Cli) -> None:
    command = [str(AWS), "s3vectors", "get-vector-bucket", "--vector-bucket-name", "absent"]
    done = subprocess.run(command, capture_output=True, text=True, env=aws.environment, timeout=120, check=False)

    assert done.returncode in (254, 255)  # of version 2 and 1
    assert "(NotFoundException) when calling the GetVectorBucket operation: The specified vector" in done.stderr


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
    code, _, told = aws.run("get-vector-bucket-policy", *BUCKET)
    assert code != 0
    assert "(NotFoundException) when calling the GetVectorBucketPolicy operation" in told

    aws("tag-resource", "--resource-arn", ARN, "--tags", "stage=test")
    assert aws("list-tags-for-resource", "--resource-arn", ARN) == {"tags": {"team": "birds", "stage": "test"}}
    aws("untag-resource", "--resource-arn", ARN, "--tag-keys", "team", "stage")
    assert aws("list-tags-for-resource", "--resource-arn", ARN) == {"tags": {}}
    aws("delete-index", *INDEX)
    aws("delete-vector-bucket", *BUCKET)
