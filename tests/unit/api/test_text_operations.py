"""Text search in the operations: configuration, status, modes, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ragvec.api.client import Client

MakeClient = Callable[..., Client]
MakeIndex = Callable[..., dict[str, str]]
Refusal = Callable[..., Any]

TITLE = {"metadataKey": "title", "language": "en"}
BODY = {"metadataKey": "body"}
FLAT = {"float32": [1.0, 0.0]}


def configured(*fields: dict[str, str]) -> dict[str, Any]:
    return {"metadataConfiguration": {"textSearchConfigurations": list(fields)}}


def code(error: Any) -> str:
    return str(error.response["Error"]["Code"])


def fields_of(client: Client, at: dict[str, str]) -> Any:
    configuration = client.get_index(**at)["index"].get("metadataConfiguration", {})
    return configuration.get("textSearchConfigurations")


# -- configuration -----------------------------------------------------------------------------------------------------


def test_get_index_tells_the_fields_with_language_and_status(s3: Client, index_of: MakeIndex) -> None:
    at = index_of(s3, **configured(TITLE, {**BODY, "status": "BUILDING"}))

    assert fields_of(s3, at) == [{**TITLE, "status": "ACTIVE"}, {**BODY, "status": "ACTIVE"}]
    assert "nonFilterableMetadataKeys" not in s3.get_index(**at)["index"]["metadataConfiguration"]


def test_an_index_without_text_search_tells_none(s3: Client, index_of: MakeIndex) -> None:
    at = index_of(s3)

    assert "metadataConfiguration" not in s3.get_index(**at)["index"]


def test_fields_are_added_and_deleted(s3: Client, index_of: MakeIndex) -> None:
    at = index_of(s3, **configured(TITLE))

    answer = s3.update_metadata_configuration(**at, add={"textSearchConfigurations": [BODY]})
    assert answer["indexArn"] == s3.get_index(**at)["index"]["indexArn"]
    assert [field["metadataKey"] for field in fields_of(s3, at)] == ["title", "body"]

    s3.update_metadata_configuration(**at, delete={"textSearchConfigurations": [{"metadataKey": "title"}]})
    assert fields_of(s3, at) == [{**BODY, "status": "ACTIVE"}]

    s3.update_metadata_configuration(**at, delete={"textSearchConfigurations": [BODY]})
    assert fields_of(s3, at) is None


def test_what_is_there_already_is_found_through_an_added_field(s3: Client, index_of: MakeIndex) -> None:
    at = index_of(s3)
    s3.put_vectors(**at, vectors=[{"key": "a", "data": FLAT, "metadata": {"title": "Red shoes"}}])

    s3.update_metadata_configuration(**at, add={"textSearchConfigurations": [TITLE]})

    found = s3.query_vectors(**at, topK=1, queryTexts=[{"metadataKey": "title", "text": "shoe"}])
    assert [vector["key"] for vector in found["vectors"]] == ["a"]


def test_a_field_that_is_there_is_a_conflict_and_one_that_is_not_is_not_found(
    s3: Client, index_of: MakeIndex, refusal: Refusal
) -> None:
    at = index_of(s3, **configured(TITLE))

    error = refusal(
        s3.update_metadata_configuration,
        **at,
        add={"textSearchConfigurations": [BODY, {"metadataKey": "title", "language": "fr"}]},
    )
    assert (code(error), error.response["ResponseMetadata"]["HTTPStatusCode"]) == ("ConflictException", 409)
    error = refusal(
        s3.update_metadata_configuration, **at, delete={"textSearchConfigurations": [{"metadataKey": "title"}, BODY]}
    )
    assert (code(error), error.response["ResponseMetadata"]["HTTPStatusCode"]) == ("NotFoundException", 404)
    assert fields_of(s3, at) == [{**TITLE, "status": "ACTIVE"}], "all or none"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "Must specify either add or delete but not both"),
        (
            {"add": {"textSearchConfigurations": [BODY]}, "delete": {"textSearchConfigurations": [BODY]}},
            "Must specify either add or delete but not both",
        ),
        ({"delete": {}}, "'/delete/textSearchConfigurations' failed to satisfy constraint: Member must not be null"),
        ({"delete": {"textSearchConfigurations": []}}, "between 1 and 10"),
        ({"delete": {"textSearchConfigurations": [TITLE, {**BODY, "language": "en"}]}}, "language"),
        ({"add": {"textSearchConfigurations": [BODY, BODY]}}, "textSearchConfigurations names 'body' twice"),
        (
            {"add": {"textSearchConfigurations": [{"metadataKey": f"k{i}"} for i in range(10)]}},
            "An index has at most 10 textSearchConfigurations; it has 1, 10 more were given",
        ),
        ({"add": {"textSearchConfigurations": [{"metadataKey": f"k{i}"} for i in range(11)]}}, "between 0 and 10"),
        ({"add": {"textSearchConfigurations": [{"metadataKey": ""}]}}, "length between 1 and 63"),
        ({"add": {"textSearchConfigurations": [{"metadataKey": "x" * 64}]}}, "length between 1 and 63"),
        (
            {"add": {"textSearchConfigurations": [{"metadataKey": "x", "language": "tlh"}]}},
            "Member must satisfy enum value set: [en, fr, es, pt, it, de, nl, zh, ja, ko]",
        ),
        ({"add": {"textSearchConfigurations": [{**BODY, "status": "DONE"}]}}, "enum value set: [ACTIVE, BUILDING]"),
    ],
)
def test_changes_that_break_a_rule_are_refused(
    s3: Client, index_of: MakeIndex, refusal: Refusal, arguments: dict[str, Any], words: str
) -> None:
    at = index_of(s3, **configured(TITLE))

    error = refusal(s3.update_metadata_configuration, **at, **arguments)
    assert words in str(error)
    assert code(error) == "ValidationException"
    assert fields_of(s3, at) == [{**TITLE, "status": "ACTIVE"}]


def test_an_empty_addition_changes_nothing(s3: Client, index_of: MakeIndex) -> None:
    at = index_of(s3, **configured(TITLE))

    s3.update_metadata_configuration(**at, add={"textSearchConfigurations": []})
    assert fields_of(s3, at) == [{**TITLE, "status": "ACTIVE"}]


def test_an_index_is_not_made_with_a_field_that_breaks_a_rule(
    s3: Client, index_of: MakeIndex, refusal: Refusal
) -> None:
    at = index_of(s3)
    wrong = configured(TITLE, {"metadataKey": "x", "language": "Latin"})

    error = refusal(
        s3.create_index,
        **{**at, "indexName": "other"},
        dataType="float32",
        dimension=2,
        distanceMetric="cosine",
        **wrong,
    )
    assert error.response["fieldList"][0]["path"] == "/metadataConfiguration/textSearchConfigurations/1/language"
    assert len(s3.list_indexes(vectorBucketName="docs")["indexes"]) == 1


@pytest.mark.parametrize("dialect", ["oss", "cos", "tos"])
def test_dialects_without_text_search_refuse_it_by_name(
    client_of: MakeClient, index_of: MakeIndex, refusal: Refusal, dialect: str
) -> None:
    client = client_of(dialect)
    at = index_of(client)

    error = refusal(
        client.create_index,
        **{**at, "indexName": "other1"},
        dataType="float32",
        dimension=2,
        distanceMetric="cosine",
        **configured(TITLE),
    )
    assert f"`textSearchConfigurations` for CreateIndex in the {dialect} dialect" in str(error)
    text = {"queryTexts": [{"metadataKey": "title", "text": "x"}]}
    assert "`queryTexts`" in str(refusal(client.query_vectors, **at, topK=1, queryVector=FLAT, **text))
    assert "`returnScores`" in str(refusal(client.query_vectors, **at, topK=1, queryVector=FLAT, returnScores=True))
    change = {"textSearchConfigurations": [TITLE]}
    assert "no operation UpdateMetadataConfiguration" in str(
        refusal(client.update_metadata_configuration, **at, add=change)
    )


# -- modes -------------------------------------------------------------------------------------------------------------


def classic(s3: Client) -> None:
    s3.create_vector_bucket(vectorBucketName="old")
    s3.put_vector_bucket_default_index_mode(vectorBucketName="old", defaultIndexMode="CLASSIC")


OLD = {"vectorBucketName": "old", "indexName": "pages"}
SHAPE: dict[str, Any] = {"dataType": "float32", "dimension": 2, "distanceMetric": "cosine"}


def test_text_search_wants_mode_enhanced(s3: Client, refusal: Refusal) -> None:
    classic(s3)

    words = "textSearchConfigurations requires an index of mode ENHANCED, got CLASSIC"
    assert words in str(refusal(s3.create_index, **OLD, **SHAPE, **configured(TITLE)))
    s3.create_index(**OLD, **SHAPE)
    words = "UpdateMetadataConfiguration requires an index of mode ENHANCED"
    change = {"textSearchConfigurations": [TITLE]}
    assert words in str(refusal(s3.update_metadata_configuration, **OLD, add=change))
    text = [{"metadataKey": "title", "text": "x"}]
    words = "queryTexts requires an index of mode ENHANCED"
    assert words in str(refusal(s3.query_vectors, **OLD, topK=1, queryTexts=text))

    s3.update_index_mode(**OLD, indexMode="ENHANCED")
    s3.update_metadata_configuration(**OLD, add=change)
    assert s3.query_vectors(**OLD, topK=1, queryTexts=text)["vectors"] == []


def test_an_index_with_text_search_stays_enhanced(s3: Client, index_of: MakeIndex, refusal: Refusal) -> None:
    at = index_of(s3, **configured(TITLE))

    assert "delete them first" in str(refusal(s3.update_index_mode, **at, indexMode="CLASSIC"))
    s3.update_metadata_configuration(**at, delete={"textSearchConfigurations": [{"metadataKey": "title"}]})
    s3.update_index_mode(**at, indexMode="CLASSIC")
    assert s3.get_index(**at)["index"]["indexMode"] == "CLASSIC"


def test_natively_every_mode_has_text_search(client: Client, s3: Client) -> None:
    classic(s3)

    client.create_index(**OLD, **SHAPE, **configured(TITLE))
    client.put_vectors(**OLD, vectors=[{"key": "a", "data": FLAT, "metadata": {"title": "x"}}])
    text = [{"metadataKey": "title", "text": "x"}]
    assert len(client.query_vectors(**OLD, topK=1, queryTexts=text)["vectors"]) == 1


def test_a_default_mode_is_for_indexes_made_later(s3: Client, index_of: MakeIndex) -> None:
    at = index_of(s3)

    s3.put_vector_bucket_default_index_mode(vectorBucketName="docs", defaultIndexMode="CLASSIC")
    s3.create_index(**{**at, "indexName": "later"}, **SHAPE)
    modes = [s3.get_index(**{**at, "indexName": name})["index"]["indexMode"] for name in ("pages", "later")]
    assert modes == ["ENHANCED", "CLASSIC"]
    assert s3.get_vector_bucket(vectorBucketName="docs")["vectorBucket"]["defaultIndexMode"] == "CLASSIC"
