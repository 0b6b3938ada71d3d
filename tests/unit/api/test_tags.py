"""Tags on buckets and indexes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ragvec.api.client import Client

BUCKET = "arn:aws:s3vectors:local:000000000000:bucket/docs"
INDEX = BUCKET + "/index/pages"
MakeIndex = Callable[..., dict[str, str]]
Refusal = Callable[..., Any]


def tags(client: Client, arn: str) -> dict[str, str]:
    found: dict[str, str] = client.list_tags_for_resource(resourceArn=arn)["tags"]
    return found


def test_tags_of_bucket_and_index_are_apart(client: Client) -> None:
    client.create_vector_bucket(vectorBucketName="docs", tags={"team": "search"})
    client.create_index(
        vectorBucketName="docs",
        indexName="pages",
        dataType="float32",
        dimension=1,
        distanceMetric="cosine",
        tags={"stage": "test", "空 名": ""},
    )
    assert tags(client, BUCKET) == {"team": "search"}
    assert tags(client, INDEX) == {"stage": "test", "空 名": ""}

    client.tag_resource(resourceArn=INDEX, tags={"stage": "live", "owner": "a@b.c"})
    client.untag_resource(resourceArn=INDEX, tagKeys=["空 名", "absent"])
    assert tags(client, INDEX) == {"stage": "live", "owner": "a@b.c"}
    assert tags(client, BUCKET) == {"team": "search"}


def test_tags_go_with_their_resource(client: Client, index_of: MakeIndex) -> None:
    at = index_of(client)
    client.tag_resource(resourceArn=INDEX, tags={"a": "b"})
    client.delete_index(**at)
    client.create_index(**at, dataType="float32", dimension=1, distanceMetric="cosine")

    assert tags(client, INDEX) == {}


def test_number_of_tags_counts_those_already_there(client: Client, index_of: MakeIndex, refusal: Refusal) -> None:
    index_of(client)
    client.tag_resource(resourceArn=BUCKET, tags={f"k{i}": "" for i in range(50)})
    client.tag_resource(resourceArn=BUCKET, tags={"k0": "again"})

    assert "Too many tags specified: at most 50, got 51" in str(
        refusal(client.tag_resource, resourceArn=BUCKET, tags={"x": ""})
    )
    assert len(tags(client, BUCKET)) == 50


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({"": "x"}, "Value with length 0 at '/tags' failed"),
        ({"k" * 129: "x"}, "Value with length 129 at '/tags' failed"),
        ({"k": "v" * 257}, "Value with length 257 at '/tags/k' failed"),
        ({"k!": "x"}, "(got 'k!')"),
        ({"k": "a\tb"}, "Member must satisfy regular expression pattern"),
        ({"aWs:x": ""}, "Invalid System Tag: aWs:x"),
    ],
)
def test_bad_tags_create_nothing(client: Client, refusal: Refusal, bad: dict[str, str], words: str) -> None:
    assert words in str(refusal(client.create_vector_bucket, vectorBucketName="docs", tags=bad))
    assert client.list_vector_buckets()["vectorBuckets"] == []


def test_longest_tag(client: Client) -> None:
    longest = {"k" * 128: "v" * 256}
    client.create_vector_bucket(vectorBucketName="docs", tags=longest)

    assert tags(client, BUCKET) == longest


@pytest.mark.parametrize("arn", ["", "docs", "arn:aws:s3:::docs", "x" * 1012])
def test_what_is_no_arn(client: Client, refusal: Refusal, arn: str) -> None:
    error = refusal(client.list_tags_for_resource, resourceArn=arn)

    assert error.response["Error"]["Code"] == "ValidationException"
    assert error.response["fieldList"][0]["path"] == "/resourceArn"
