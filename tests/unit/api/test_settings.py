"""What one service sets for buckets and indexes, beside their tags."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ragvec.api.client import Client
from ragvec.api.settings import change_setting, plain_tags, setting, setting_tags
from ragvec.engine.local.engine import LocalEngine
from ragvec.engine.protocol import BucketInfo
from ragvec.errors import BucketNotFound, IndexNotFound

BUCKET = "arn:aws:s3vectors:local:000000000000:bucket/docs"


def test_settings_are_kept_changed_and_removed(
    client: Client, index_of: Callable[..., Any], engine: LocalEngine
) -> None:
    index_of(client)
    catalog = engine.catalog

    assert setting(catalog, "oss.logging", bucket="docs") is None
    change_setting(catalog, "oss.logging", "one", bucket="docs")
    change_setting(catalog, "oss.logging", "of an index", bucket="docs", index="pages")
    change_setting(catalog, "oss.other", "ä", bucket="docs")
    assert setting(catalog, "oss.logging", bucket="docs") == "one"
    assert setting(catalog, "oss.logging", bucket="docs", index="pages") == "of an index"
    change_setting(catalog, "oss.logging", "two", bucket="docs")
    assert setting(catalog, "oss.logging", bucket="docs") == "two"
    for _ in range(2):
        change_setting(catalog, "oss.logging", None, bucket="docs")
        assert setting(catalog, "oss.logging", bucket="docs") is None
    assert setting(catalog, "oss.other", bucket="docs") == "ä"


def test_settings_are_no_tags(client: Client, index_of: Callable[..., Any], engine: LocalEngine) -> None:
    index_of(client)
    change_setting(engine.catalog, "oss.logging", "kept", bucket="docs")
    client.tag_resource(resourceArn=BUCKET, tags={f"k{i}": "" for i in range(50)})

    assert len(client.list_tags_for_resource(resourceArn=BUCKET)["tags"]) == 50
    client.untag_resource(resourceArn=BUCKET, tagKeys=["#oss.logging", "k0"])
    assert setting(engine.catalog, "oss.logging", bucket="docs") == "kept"
    assert len(client.list_tags_for_resource(resourceArn=BUCKET)["tags"]) == 49


def test_no_tag_has_the_name_of_a_setting(
    client: Client, index_of: Callable[..., Any], refusal: Callable[..., Any]
) -> None:
    index_of(client)

    (name,) = setting_tags({"oss.logging": ""})
    assert "regular expression" in str(refusal(client.tag_resource, resourceArn=BUCKET, tags={name: "x"}))
    assert "regular expression" in str(refusal(client.create_vector_bucket, vectorBucketName="new", tags={name: "x"}))


def test_settings_are_there_from_the_beginning(engine: LocalEngine) -> None:
    tags = {"a": "b", **setting_tags({"oss.group": "rg-1"})}
    engine.catalog.create_bucket(BucketInfo("docs", 0.0), tags=tags, max_buckets=None)

    assert setting(engine.catalog, "oss.group", bucket="docs") == "rg-1"
    assert plain_tags(engine.catalog.tags("docs", None)) == {"a": "b"}


def test_what_is_not_there_has_no_settings(engine: LocalEngine) -> None:
    engine.catalog.create_bucket(BucketInfo("docs", 0.0), tags={}, max_buckets=None)

    for call in (
        lambda: setting(engine.catalog, "x", bucket="none"),
        lambda: change_setting(engine.catalog, "x", "y", bucket="none"),
    ):
        with pytest.raises(BucketNotFound):
            call()
    with pytest.raises(IndexNotFound):
        setting(engine.catalog, "x", bucket="docs", index="none")
