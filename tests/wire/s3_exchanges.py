"""Every operation of S3 Vectors at least once, and how a response is held against botocore's service model."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from typing import Any

import botocore.session
import pytest
from botocore.model import Shape, StructureShape

from tests.wire.serving import ACCOUNT, REGION

__all__ = ["ARN", "AT", "EXCHANGES", "FLAT", "NAMES", "POLICY", "SERVICE", "does", "misfits"]

SERVICE = botocore.session.get_session().get_service_model("s3vectors")
NAMES = sorted(SERVICE.operation_names)
ARN = f"arn:aws:s3vectors:{REGION}:{ACCOUNT}:bucket/docs"
AT = {"vectorBucketName": "docs", "indexName": "pages"}
FLAT = {"float32": [1.0, 0.0]}
POLICY = '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}}'

EXCHANGES: list[tuple[str, dict[str, Any]]] = [
    (
        "CreateVectorBucket",
        {"vectorBucketName": "docs", "tags": {"a": "b"}, "encryptionConfiguration": {"sseType": "AES256"}},
    ),
    ("GetVectorBucket", {"vectorBucketName": "docs"}),
    ("CreateVectorBucket", {"vectorBucketName": "empty"}),
    ("ListVectorBuckets", {"maxResults": 1}),
    ("PutVectorBucketDefaultIndexMode", {"vectorBucketArn": ARN, "defaultIndexMode": "ENHANCED"}),
    ("PutVectorBucketPolicy", {"vectorBucketName": "docs", "policy": POLICY}),
    ("GetVectorBucketPolicy", {"vectorBucketName": "docs"}),
    ("DeleteVectorBucketPolicy", {"vectorBucketName": "docs"}),
    (
        "CreateIndex",
        {
            **AT,
            "dataType": "float32",
            "dimension": 2,
            "distanceMetric": "cosine",
            "metadataConfiguration": {
                "nonFilterableMetadataKeys": ["text"],
                "textSearchConfigurations": [{"metadataKey": "text", "language": "en"}],
            },
        },
    ),
    (
        "CreateIndex",
        {
            "vectorBucketName": "docs",
            "indexName": "second",
            "dataType": "float32",
            "dimension": 1,
            "distanceMetric": "euclidean",
            "encryptionConfiguration": {"sseType": "AES256"},
        },
    ),
    ("GetIndex", AT),
    ("GetIndex", {"indexArn": ARN + "/index/second"}),
    ("ListIndexes", {"vectorBucketName": "docs", "maxResults": 1, "prefix": "p"}),
    ("ListIndexes", {"vectorBucketName": "docs", "maxResults": 1}),
    ("UpdateIndexMode", {**AT, "indexMode": "ENHANCED"}),
    ("UpdateMetadataConfiguration", {**AT, "add": {"textSearchConfigurations": [{"metadataKey": "title"}]}}),
    ("GetIndex", AT),
    (
        "PutVectors",
        {
            **AT,
            "vectors": [
                {"key": f"k{i:03}", "data": {"float32": [1.0, i / 7]}, "metadata": {"n": i, "text": "x"}}
                for i in range(150)
            ],
        },
    ),
    ("GetVectors", {**AT, "keys": ["k001"], "returnData": True, "returnMetadata": True}),
    ("ListVectors", {**AT, "maxResults": 2, "returnData": True, "segmentCount": 2, "segmentIndex": 0}),
    (
        "QueryVectors",
        {
            **AT,
            "topK": 140,
            "queryVector": FLAT,
            "filter": {"n": {"$lt": 145}},
            "returnMetadata": True,
            "returnDistance": True,
        },
    ),
    (
        "QueryVectors",
        {
            **AT,
            "topK": 140,
            "queryTexts": [{"metadataKey": "text", "text": "x"}, {"metadataKey": "title", "text": "y"}],
            "returnScores": True,
        },
    ),
    (
        "QueryVectors",
        {
            **AT,
            "topK": 140,
            "queryTexts": [{"metadataKey": "text", "text": "x"}],
            "queryVector": FLAT,
            "queryMode": "ENHANCED",
            "returnScores": True,
            "returnDistance": True,
            "returnMetadata": True,
        },
    ),
    (
        "UpdateMetadataConfiguration",
        {"indexArn": ARN + "/index/pages", "delete": {"textSearchConfigurations": [{"metadataKey": "title"}]}},
    ),
    ("TagResource", {"resourceArn": ARN + "/index/pages", "tags": {"k": "v"}}),
    ("ListTagsForResource", {"resourceArn": ARN + "/index/pages"}),
    ("UntagResource", {"resourceArn": ARN + "/index/pages", "tagKeys": ["k"]}),
    ("DeleteVectors", {**AT, "keys": ["k001"]}),
    ("DeleteIndex", AT),
    ("DeleteIndex", {"indexArn": ARN + "/index/second"}),
    ("DeleteVectorBucket", {"vectorBucketName": "docs"}),
]


def misfits(value: Any, shape: Shape, path: str) -> Iterator[str]:
    """Where a response differs from the shape of the service: members unknown or missing, values of another type."""
    if isinstance(shape, StructureShape) and getattr(shape, "is_document_type", False):
        if not isinstance(value, dict):
            yield f"{path}: {type(value).__name__} is no document"
    elif shape.type_name == "structure":
        for name, member in value.items():
            if name not in shape.members:
                yield f"{path}.{name}: unknown"
            else:
                yield from misfits(member, shape.members[name], f"{path}.{name}")
        for name in shape.required_members:
            if name not in value:
                yield f"{path}.{name}: missing"
    elif shape.type_name == "list":
        for item in value:
            yield from misfits(item, shape.member, f"{path}[]")
    elif shape.type_name == "map":
        for item in value.values():
            yield from misfits(item, shape.value, f"{path}{{}}")
    else:
        expected = {
            "string": str,
            "integer": int,
            "float": float,
            "boolean": bool,
            "timestamp": datetime.datetime,
        }[shape.type_name]
        if type(value) is not expected:
            yield f"{path}: {type(value).__name__} is no {shape.type_name}"


def does(client: str, *operations: str) -> Callable[[Any], Any]:
    """Marks a test that has `client` do these operations against a server."""

    def marked(test: Any) -> Any:
        for operation in reversed(operations):
            test = pytest.mark.sdk(client, operation)(test)
        return test

    return marked
