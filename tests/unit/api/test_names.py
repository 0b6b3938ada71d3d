"""Names and ARNs: what each dialect allows, and how requests address buckets and indexes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ragvec.api.client import Client
from ragvec.api.dialects import DIALECTS
from ragvec.api.names import Arn, bucket_arn, check_bucket_name, check_index_name, index_arn, parse_arn
from ragvec.errors import InvalidName

LONG = "a" * 64
BUCKETS = {
    "s3": (["abc", "a-b", "1a2", "a" * 63], ["ab", LONG, "A-b", "-ab", "ab-", "a.b", "a_b", "a b", "äbc", "abc\n"]),
    "oss": (["abc", "a" * 32], ["ab", "a" * 33, "-ab", "ab-", "Abc"]),
    "cos": (["docs-1250000000", "a-1"], ["docs", "docs-", "docs-1a", "-1", "Docs-1", "a" * 62 + "-1"]),
    "tos": (["abc", "a" * 32], ["ab", "a" * 33, "ab-"]),
    "native": (["b", "abc", "a.b", "docs-1250000000", "a" * 63], ["", LONG, "A", "-a", "a_b", "a/b", "..", "a\u0000b"]),
}
INDEXES = {
    "s3": (["abc", "my-index", "v1.0", "a" * 63], ["ab", LONG, "Abc", "-ab", "ab.", "a_b"]),
    "oss": (["a", "Docs1", "a" * 63], ["1a", "my-index", "a.b", LONG, ""]),
    "cos": (["abc", "my-index", "v1.0"], ["ab", "Abc", "ab-"]),
    "tos": (["abc", "my-index"], ["ab", "Abc"]),
    "native": (["i", "my-index", "Docs1", "v1.0"], ["", LONG, "-a", "a_b", "a/b", "."]),
}
ARNS = {
    "native": "arn:aws:s3vectors:local:123456789012:bucket/docs",
    "s3": "arn:aws:s3vectors:local:123456789012:bucket/docs",
    "oss": "acs:ossvector:local:123456789012:docs",
    "cos": "qcs::cosvector:local:uid/123456789012:bucket/docs-1",
    "tos": "trn:tosvectors:local:123456789012:bucket/docs",
}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_bucket_names(dialect: str) -> None:
    good, bad = BUCKETS[dialect]
    for name in good:
        check_bucket_name(name, DIALECTS[dialect])
    for name in bad:
        with pytest.raises(InvalidName):
            check_bucket_name(name, DIALECTS[dialect])


@pytest.mark.parametrize("dialect", DIALECTS)
def test_index_names(dialect: str) -> None:
    good, bad = INDEXES[dialect]
    for name in good:
        check_index_name(name, DIALECTS[dialect])
    for name in bad:
        with pytest.raises(InvalidName):
            check_index_name(name, DIALECTS[dialect])


@pytest.mark.parametrize("dialect", ["s3", "oss", "cos", "tos"])
def test_native_allows_every_name_of_the_services(dialect: str) -> None:
    for name in BUCKETS[dialect][0]:
        check_bucket_name(name, DIALECTS["native"])
    for name in INDEXES[dialect][0]:
        check_index_name(name, DIALECTS["native"])


def test_a_refused_name_says_the_rule_and_what_was_got() -> None:
    with pytest.raises(InvalidName) as caught:
        check_index_name("my-index", DIALECTS["oss"])

    assert caught.value.message == (
        "Invalid index name: expected letters and digits, beginning with a letter; got 'my-index'"
    )
    assert caught.value.path == "/indexName"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_arns_come_apart_as_they_were_put_together(dialect: str) -> None:
    rules = DIALECTS[dialect]
    bucket = "docs-1" if dialect == "cos" else "docs"
    where = {"region": "local", "account": "123456789012", "bucket": bucket}

    assert bucket_arn(rules, **where) == ARNS[dialect]
    assert parse_arn(ARNS[dialect], rules, path="/a", kind="bucket") == Arn(**where)
    arn = index_arn(rules, **where, index="Pages1" if dialect == "oss" else "pages")
    assert arn == ARNS[dialect] + ("/index/Pages1" if dialect == "oss" else "/index/pages")
    assert parse_arn(arn, rules, path="/a", kind="any").index in {"Pages1", "pages"}
    for text, kind in [(arn, "bucket"), (ARNS[dialect], "index"), ("arn:aws:s3:::docs", "any"), (arn + "/x", "any")]:
        with pytest.raises(InvalidName, match="Member must satisfy regular expression pattern"):
            parse_arn(text, rules, path="/a", kind=kind)


def test_an_arn_does_for_names_everywhere(client: Client, index_of: Callable[..., dict[str, str]]) -> None:
    at = index_of(client)
    bucket = {"vectorBucketArn": client.get_vector_bucket(vectorBucketName="docs")["vectorBucket"]["vectorBucketArn"]}
    index = {"indexArn": client.get_index(**at)["index"]["indexArn"]}
    policy = '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}}'

    created = client.create_index(
        **bucket, indexName="second", dataType="float32", dimension=1, distanceMetric="euclidean"
    )
    assert created["indexArn"] == bucket["vectorBucketArn"] + "/index/second"
    assert len(client.list_indexes(**bucket)["indexes"]) == 2
    client.put_vector_bucket_policy(**bucket, policy=policy)
    assert client.get_vector_bucket_policy(**bucket)["policy"] == policy
    client.delete_vector_bucket_policy(**bucket)
    client.put_vector_bucket_default_index_mode(**bucket, defaultIndexMode="CLASSIC")
    client.put_vectors(**index, vectors=[{"key": "k", "data": {"float32": [1, 0]}}])
    assert client.get_vectors(**index, keys=["k"])["vectors"] == [{"key": "k"}]
    assert client.list_vectors(**index)["vectors"] == [{"key": "k"}]
    assert client.query_vectors(**index, topK=1, queryVector={"float32": [1, 0]})["vectors"] == [{"key": "k"}]
    assert client.count_vectors(**index)["count"] == 1
    client.delete_vectors(**index, keys=["k"])
    client.update_index_mode(**index, indexMode="ENHANCED")
    client.delete_index(**index)
    client.delete_index(indexArn=created["indexArn"])
    client.delete_vector_bucket(**bucket)
    assert client.list_vector_buckets()["vectorBuckets"] == []


@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws:s3vectors:elsewhere:000000000000:bucket/docs/index/pages",
        "arn:aws:s3vectors:local:111111111111:bucket/docs/index/pages",
    ],
)
def test_an_arn_of_another_account_or_region_finds_nothing(
    client: Client, index_of: Callable[..., dict[str, str]], refusal: Callable[..., Any], arn: str
) -> None:
    index_of(client)

    assert refusal(client.get_index, indexArn=arn).response["Error"]["Code"] == "NotFoundException"
    assert refusal(client.get_vector_bucket, vectorBucketArn=arn.partition("/index")[0]).response["Error"]["Code"] == (
        "NotFoundException"
    )
    assert refusal(client.tag_resource, resourceArn=arn, tags={}).response["Error"]["Code"] == "NotFoundException"


def test_cos_takes_names_and_qcs_together_when_they_agree(
    client_of: Callable[..., Client], index_of: Callable[..., dict[str, str]], refusal: Callable[..., Any]
) -> None:
    cos = client_of("cos", account="1250000000")
    at = index_of(cos)
    qcs = cos.get_index(**at)["index"]["indexArn"]

    assert qcs == "qcs::cosvector:local:uid/1250000000:bucket/docs-1250000000/index/pages"
    assert cos.get_index(indexArn=qcs)["index"]["indexName"] == "pages"
    assert cos.get_index(**at, indexArn=qcs)["index"]["indexName"] == "pages"
    assert "different indexes" in str(refusal(cos.get_index, **{**at, "indexName": "other"}, indexArn=qcs))
    bucket = qcs.partition("/index")[0]
    assert cos.get_vector_bucket(vectorBucketName=at["vectorBucketName"], vectorBucketArn=bucket)["vectorBucket"]
    assert "different buckets" in str(refusal(cos.get_vector_bucket, vectorBucketName="a-1", vectorBucketArn=bucket))


@pytest.mark.parametrize("dialect", ["oss", "tos"])
def test_oss_and_tos_take_no_arn(
    client_of: Callable[..., Client], index_of: Callable[..., dict[str, str]], refusal: Callable[..., Any], dialect: str
) -> None:
    client = client_of(dialect)
    arn = client.get_index(**index_of(client))["index"]["indexArn"]

    assert f"The {dialect} dialect takes names, no ARN" in str(refusal(client.get_index, indexArn=arn))


def test_the_same_names_in_one_store_through_two_dialects(client_of: Callable[..., Client]) -> None:
    oss, native = client_of("oss"), client_of("native")
    oss.create_vector_bucket(vectorBucketName="docs")
    oss.create_index(
        vectorBucketName="docs", indexName="Docs1", dataType="float32", dimension=1, distanceMetric="euclidean"
    )

    assert [found["indexName"] for found in native.list_indexes(vectorBucketName="docs")["indexes"]] == ["Docs1"]


@pytest.mark.parametrize(
    ("method", "arguments", "place"),
    [
        ("list_vector_buckets", {"prefix": "a\ud800"}, "/prefix"),
        ("list_indexes", {"vectorBucketName": "docs", "prefix": "a\ud800"}, "/prefix"),
        (
            "create_vector_bucket",
            {"vectorBucketName": "other", "encryptionConfiguration": {"sseType": "aws:kms", "kmsKeyArn": "a\ud800"}},
            "/encryptionConfiguration/kmsKeyArn",
        ),
        (
            "create_index",
            {
                "vectorBucketName": "docs",
                "indexName": "other",
                "dataType": "float32",
                "dimension": 2,
                "distanceMetric": "cosine",
                "metadataConfiguration": {"nonFilterableMetadataKeys": ["a\ud800"]},
            },
            "/metadataConfiguration/nonFilterableMetadataKeys/0",
        ),
    ],
)
def test_unpaired_surrogates_are_refused_where_text_is_free(
    client_of: Callable[..., Client], refusal: Callable[..., Any], method: str, arguments: dict[str, Any], place: str
) -> None:
    for name in ("native", "s3"):
        client = client_of(name)
        error = refusal(getattr(client, method), **arguments)
        assert error.response["Error"]["Code"] == "ValidationException"
        assert f"at '{place}' failed to satisfy constraint: Member must be valid Unicode text" in str(error)
