"""Which actions a request needs, where policies are enforced."""

from __future__ import annotations

from typing import Any

import pytest

from ragvec.api.access import actions
from ragvec.api.decode import decode_request
from ragvec.api.dialects import S3
from ragvec.api.operations import OPERATIONS

VECTOR = {"queryVector": {"float32": [1.0]}}


def needed(operation: str, **arguments: Any) -> tuple[str, ...]:
    request = decode_request(OPERATIONS[operation].request, arguments, operation=operation, dialect=S3)
    return actions(operation, request)


@pytest.mark.parametrize(
    ("arguments", "more"),
    [
        (VECTOR, ()),
        ({**VECTOR, "returnDistance": True, "returnMetadata": False}, ()),
        ({**VECTOR, "filter": {"a": 1}}, ("GetVectors",)),
        ({**VECTOR, "returnMetadata": True}, ("GetVectors",)),
        ({"queryTexts": [{"metadataKey": "a", "text": "x"}]}, ("GetVectors",)),
    ],
)
def test_a_query_that_tells_of_metadata_needs_get_vectors_too(arguments: dict[str, Any], more: tuple[str, ...]) -> None:
    assert needed("QueryVectors", topK=1, **arguments) == ("QueryVectors", *more)


@pytest.mark.parametrize("told", [{"returnData": True}, {"returnMetadata": True}])
def test_a_list_with_more_than_keys_needs_get_vectors_too(told: dict[str, Any]) -> None:
    assert needed("ListVectors", **told) == ("ListVectors", "GetVectors")
    assert needed("ListVectors", **dict.fromkeys(told, False)) == ("ListVectors",)


def test_creation_with_tags_needs_tag_resource_too() -> None:
    index = {"indexName": "pages", "dataType": "float32", "dimension": 1, "distanceMetric": "cosine"}

    for operation, arguments in (("CreateVectorBucket", {"vectorBucketName": "docs"}), ("CreateIndex", index)):
        assert needed(operation, **arguments, tags={"a": "b"}) == (operation, "TagResource")
        assert needed(operation, **arguments, tags={}) == (operation,)


def test_other_operations_need_their_own_action() -> None:
    assert needed("GetVectors", keys=["a"], returnMetadata=True) == ("GetVectors",)
