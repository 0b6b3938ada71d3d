"""Schemas of fusion indexes: what is one, and what each rule refuses."""

from __future__ import annotations

from typing import Any

import pytest

from ragvec.errors import InvalidMetadata, InvalidRequest
from ragvec.server.dialects.oss_schema import fusion_schema

VECTOR = {"name": "v", "type": "vector", "dimension": 3}
TITLE = {"name": "title", "type": "string", "exactMatch": True, "text": {"enabled": True, "analyzer": "standard"}}


def schema_of(*fields: Any) -> Any:
    return fusion_schema({"fields": list(fields)})


def test_a_schema_of_every_kind() -> None:
    schema = schema_of(
        {**VECTOR, "dataType": "float32", "distanceMetric": "cosine"},
        TITLE,
        {"name": "body", "type": "string", "exactMatch": False, "text": {"enabled": True}},
        {"name": "code", "type": "string", "text": {"enabled": False}},
        {"name": "n", "type": "long"},
        {"name": "price", "type": "double"},
        {"name": "sold", "type": "bool"},
    )

    assert (schema.vector, schema.dimension, schema.metric) == ("v", 3, "cosine")
    assert schema.texts == ("title", "body")
    assert schema.not_filterable == ("body",)
    assert schema.values == {
        "title": "string",
        "body": "string",
        "code": "string",
        "n": "long",
        "price": "double",
        "sold": "bool",
    }
    assert fusion_schema(schema.document) == schema


def test_a_vector_has_defaults() -> None:
    assert schema_of(VECTOR).metric == "euclidean"


def field(**members: Any) -> dict[str, Any]:
    return {"fields": [{**VECTOR, **members}]}


FAULTS: dict[str, tuple[Any, str, str]] = {
    "nothing": (None, "/schemaConfiguration", "must be an object"),
    "list": ([], "/schemaConfiguration", "must be an object"),
    "no fields": ({}, "/schemaConfiguration/fields", "1 to 100 fields"),
    "empty": ({"fields": []}, "/schemaConfiguration/fields", "1 to 100 fields"),
    "more members": ({"fields": [VECTOR], "x": 1}, "/schemaConfiguration/x", "is not known"),
    "101 fields": (
        {"fields": [{"name": f"f{i}", "type": "long"} for i in range(101)]},
        "/schemaConfiguration/fields",
        "1 to 100",
    ),
    "text as a field": ({"fields": ["v"]}, "/schemaConfiguration/fields/0", "must be an object"),
    "no vector": (
        {"fields": [TITLE]},
        "/schemaConfiguration/fields",
        "one field of type vector: an index has one; got 0",
    ),
    "two vectors": ({"fields": [VECTOR, {**VECTOR, "name": "w"}]}, "/schemaConfiguration/fields", "got 2"),
    "nine texts": (
        {"fields": [VECTOR, *({**TITLE, "name": f"t{i}"} for i in range(9))]},
        "/schemaConfiguration/fields",
        "got 9",
    ),
    "name twice": ({"fields": [VECTOR, {"name": "v", "type": "long"}]}, "/schemaConfiguration/fields/1/name", "twice"),
    "no name": ({"fields": [{"type": "vector"}]}, "/schemaConfiguration/fields/0/name", "1 to 63 letters"),
    "name with a digit first": (field(name="1a"), "/schemaConfiguration/fields/0/name", "got '1a'"),
    "name with a line": (field(name="a\n"), "/schemaConfiguration/fields/0/name", "beginning with a letter"),
    "long name": (field(name="a" * 64), "/schemaConfiguration/fields/0/name", "1 to 63"),
    "no type": ({"fields": [{"name": "a"}]}, "/schemaConfiguration/fields/0/type", "must be vector, string, long"),
    "other type": (field(type="geo"), "/schemaConfiguration/fields/0/type", "got 'geo'"),
    "type of a type": (field(type={}), "/schemaConfiguration/fields/0/type", "must be vector"),
    "no dimension": (field(dimension=None), "/schemaConfiguration/fields/0/dimension", "from 1 to 4096, got None"),
    "dimension 0": (field(dimension=0), "/schemaConfiguration/fields/0/dimension", "got 0"),
    "dimension 4097": (field(dimension=4097), "/schemaConfiguration/fields/0/dimension", "got 4097"),
    "dimension true": (field(dimension=True), "/schemaConfiguration/fields/0/dimension", "got True"),
    "metric": (field(distanceMetric="dot"), "/schemaConfiguration/fields/0/distanceMetric", "euclidean or cosine"),
    "data type": (field(dataType="int8"), "/schemaConfiguration/fields/0/dataType", "must be float32"),
    "text of a vector": (field(text={"enabled": True}), "/schemaConfiguration/fields/0/text", "is not known"),
    "text of a number": (
        {"fields": [VECTOR, {**TITLE, "type": "long"}]},
        "/schemaConfiguration/fields/1/text",
        "is not known",
    ),
    "dimension of a text": (
        {"fields": [VECTOR, {**TITLE, "dimension": 3}]},
        "/schemaConfiguration/fields/1/dimension",
        "is not known",
    ),
    "exact match": (
        {"fields": [VECTOR, {**TITLE, "exactMatch": 1}]},
        "/schemaConfiguration/fields/1/exactMatch",
        "true or false",
    ),
    "text": ({"fields": [VECTOR, {**TITLE, "text": True}]}, "/schemaConfiguration/fields/1/text", "must be an object"),
    "enabled": (
        {"fields": [VECTOR, {**TITLE, "text": {"enabled": "yes"}}]},
        "/schemaConfiguration/fields/1/text/enabled",
        "true or false",
    ),
    "split": (
        {
            "fields": [
                VECTOR,
                {**TITLE, "text": {"enabled": True, "analyzer": "split", "analyzerParameters": {"delimiter": ","}}},
            ]
        },
        "/schemaConfiguration/fields/1/text/analyzer",
        "is not supported: expected standard, got 'split'",
    ),
    "parameters of standard": (
        {"fields": [VECTOR, {**TITLE, "text": {"enabled": True, "analyzerParameters": {"delimiter": ","}}}]},
        "/schemaConfiguration/fields/1/text/analyzerParameters",
        "which has none",
    ),
}


@pytest.mark.parametrize(("document", "path", "words"), FAULTS.values(), ids=FAULTS)
def test_what_is_no_schema_is_refused(document: Any, path: str, words: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        fusion_schema(document)

    assert caught.value.path == path
    assert caught.value.message.startswith(path)
    assert words in caught.value.message


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("string", ["a", "", ["a", "b"]], [1, True, 1.5, [1], ["a", 1]]),
        ("long", [1, -3, [1, 2]], [1.5, True, "1", [1, 1.5], [True]]),
        ("double", [1, 1.5, [1, 2.5]], [True, "1", ["1"]]),
        ("bool", [True, False], [1, 0, "true"]),
    ],
    ids=["string", "long", "double", "bool"],
)
def test_values_are_of_the_type_of_their_field(kind: str, good: list[Any], bad: list[Any]) -> None:
    schema = schema_of(VECTOR, {"name": "f", "type": kind})

    for value in good:
        schema.check({"f": value, "other": object()}, "vectors[0].metadata")
    for value in bad:
        with pytest.raises(InvalidMetadata, match=f"Expected {kind} for the field 'f'") as caught:
            schema.check({"f": value}, "vectors[0].metadata")
        assert caught.value.path == "vectors[0].metadata.f"
    for absent in ({}, None, "no object"):
        schema.check(absent, "")
