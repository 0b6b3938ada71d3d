"""QueryVectors with texts: rankings, scores, filters, pages, and what is refused."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ragvec.api.client import Client

MakeIndex = Callable[..., dict[str, str]]
Refusal = Callable[..., Any]

FIELDS = [{"metadataKey": "title", "language": "en"}, {"metadataKey": "body"}]
TEXTS = {
    "a": ("Red shoes", "made for running in the rain"),
    "b": ("Running", "shoes shoes shoes"),
    "c": ("Green hats", "no rain comes through"),
    "d": ("A red hat", None),
    "e": ("Gloves", "rain rain rain and snow"),
}
VECTORS = {key: [math.cos(at), math.sin(at)] for at, key in enumerate(TEXTS)}
QUERY = {"float32": [1.0, 0.0]}


@pytest.fixture
def at(s3: Client, index_of: MakeIndex) -> dict[str, str]:
    configuration = {"nonFilterableMetadataKeys": ["body"], "textSearchConfigurations": FIELDS}
    at = index_of(s3, metadataConfiguration=configuration)
    s3.put_vectors(
        **at,
        vectors=[
            {
                "key": key,
                "data": {"float32": VECTORS[key]},
                "metadata": {"title": title, "n": len(title)} | ({} if body is None else {"body": body}),
            }
            for key, (title, body) in TEXTS.items()
        ],
    )
    return at


def texts(**wanted: str) -> list[dict[str, str]]:
    return [{"metadataKey": key, "text": text} for key, text in wanted.items()]


def keys(found: dict[str, Any]) -> list[str]:
    return [vector["key"] for vector in found["vectors"]]


def bm25(documents: dict[str, list[str]], query: list[str]) -> dict[str, float]:
    """By the formula in `ragvec.text.bm25`, in plain Python."""
    there = {key: words for key, words in documents.items() if words}
    average = sum(map(len, there.values())) / len(there)
    scores: dict[str, float] = {}
    for term in query:
        frequency = sum(term in words for words in there.values())
        idf = math.log(1 + (len(there) - frequency + 0.5) / (frequency + 0.5))
        for key, words in there.items():
            count = Counter(words)[term]
            if count:
                norm = count + 1.2 * (0.25 + 0.75 * len(words) / average)
                scores[key] = scores.get(key, 0.0) + idf * 2.2 * count / norm
    return scores


BODIES = {key: (body or "").split() for key, (_, body) in TEXTS.items()}
TITLES = {
    "a": ["red", "shoe"],
    "b": ["run"],
    "c": ["green", "hat"],
    "d": ["a", "red", "hat"],
    "e": ["glove"],
}


def by_key(found: dict[str, Any]) -> dict[str, dict[str, float]]:
    return {
        vector["key"]: {score["metadataKey"]: score["score"] for score in vector["scores"]["bm25Scores"]}
        for vector in found["vectors"]
    }


def test_texts_alone_rank_by_bm25(s3: Client, at: dict[str, str]) -> None:
    found = s3.query_vectors(**at, topK=10, queryTexts=texts(body="the rain and snow"), returnScores=True)

    expected = bm25(BODIES, ["the", "rain", "and", "snow"])
    assert keys(found) == sorted(expected, key=lambda key: -expected[key])
    assert by_key(found) == {key: {"body": pytest.approx(score, rel=1e-5)} for key, score in expected.items()}
    assert all(set(vector) == {"key", "scores"} for vector in found["vectors"])
    assert all(set(vector["scores"]) == {"bm25Scores"} for vector in found["vectors"])
    assert found["distanceMetric"] == "cosine"
    assert "nextToken" not in found


def test_several_texts_rank_by_the_sum(s3: Client, at: dict[str, str]) -> None:
    found = s3.query_vectors(
        **at, topK=10, queryTexts=texts(title="red hats", body="shoes in the rain"), returnScores=True
    )

    titles = bm25(TITLES, ["red", "hat"])
    bodies = bm25(BODIES, ["shoes", "in", "the", "rain"])
    total = {key: titles.get(key, 0.0) + bodies.get(key, 0.0) for key in titles.keys() | bodies.keys()}
    assert keys(found) == sorted(total, key=lambda key: -total[key])
    assert {key: sum(scores.values()) for key, scores in by_key(found).items()} == pytest.approx(total, rel=1e-5)
    matched = {key: set(scores) for key, scores in by_key(found).items()}
    assert matched["b"] == {"body"}
    assert matched["a"] == {"title", "body"}


def test_texts_and_a_vector_are_fused_by_reciprocal_rank(s3: Client, at: dict[str, str]) -> None:
    found = s3.query_vectors(
        **at,
        topK=10,
        queryTexts=texts(title="red hats", body="rain"),
        queryVector=QUERY,
        returnScores=True,
        returnDistance=True,
    )

    near = sorted(TEXTS, key=lambda key: -VECTORS[key][0])
    lists = [
        sorted(scores, key=lambda key: -scores[key])
        for scores in (bm25(TITLES, ["red", "hat"]), bm25(BODIES, ["rain"]))
    ]
    fused = {key: sum(1 / (61 + one.index(key)) for one in (*lists, near) if key in one) for key in TEXTS}
    assert keys(found) == sorted(fused, key=lambda key: (-np.float32(fused[key]), key))
    for vector in found["vectors"]:
        key, scores = vector["key"], vector["scores"]
        assert set(scores) == {"fused", "bm25Scores", "vectorDistance"}
        assert scores["fused"] == pytest.approx(fused[key], rel=1e-6)
        assert vector["distance"] == scores["vectorDistance"] == pytest.approx(1 - VECTORS[key][0], abs=1e-6)


def test_ties_are_in_order_of_key(s3: Client, index_of: MakeIndex) -> None:
    at = index_of(s3, metadataConfiguration={"textSearchConfigurations": [{"metadataKey": "t"}]})
    names = ["ü", "b", "z", "A", "a", "𝄞", "～"]
    vectors = [{"key": key, "data": QUERY, "metadata": {"t": "same words"}} for key in names]
    s3.put_vectors(**at, vectors=vectors)

    in_order = sorted(names, key=lambda key: key.encode())
    for wanted in ({}, {"queryVector": QUERY}):
        for most in (3, 7):
            found = s3.query_vectors(**at, topK=most, queryTexts=texts(t="words"), **wanted)
            assert keys(found) == in_order[:most]


def test_hits_that_one_ranking_each_puts_first_are_in_order_of_key(s3: Client, index_of: MakeIndex) -> None:
    at = index_of(s3, metadataConfiguration={"textSearchConfigurations": [{"metadataKey": "t"}]})
    vectors = [
        {"key": "y", "data": {"float32": [0.0, 1.0]}, "metadata": {"t": "word"}},
        {"key": "x", "data": QUERY, "metadata": {"t": "other"}},
    ]
    s3.put_vectors(**at, vectors=vectors)
    for order in (vectors, vectors[::-1]):
        s3.put_vectors(**at, vectors=order)
        found = s3.query_vectors(**at, topK=1, queryTexts=texts(t="word"), queryVector=QUERY)
        # y is first by text and second by vector, x first by vector alone.
        assert keys(found) == ["y"]


def test_filters_come_before_the_ranking(s3: Client, at: dict[str, str]) -> None:
    condition = {"n": {"$gt": 8}}
    found = s3.query_vectors(**at, topK=1, queryTexts=texts(body="rain"), filter=condition, returnMetadata=True)
    assert keys(found) == ["c"]
    assert found["vectors"][0]["metadata"]["title"] == "Green hats"

    hybrid = s3.query_vectors(**at, topK=10, queryTexts=texts(body="rain"), queryVector=QUERY, filter=condition)
    assert sorted(keys(hybrid)) == ["a", "c", "d"]


def test_a_key_that_is_searched_but_not_filterable_is_no_filter(
    s3: Client, at: dict[str, str], refusal: Refusal
) -> None:
    error = refusal(s3.query_vectors, **at, topK=1, queryTexts=texts(body="x"), filter={"body": "x"})
    assert "non-filterable" in str(error)


def test_scores_are_not_added_to_queries_by_vector(s3: Client, at: dict[str, str]) -> None:
    found = s3.query_vectors(**at, topK=2, queryVector=QUERY, returnScores=True)

    assert [set(vector) for vector in found["vectors"]] == [{"key"}, {"key"}]


def test_without_flags_hits_are_keys_alone(s3: Client, at: dict[str, str]) -> None:
    for wanted in ({}, {"queryVector": QUERY}):
        found = s3.query_vectors(**at, topK=2, queryTexts=texts(body="rain"), **wanted)
        assert [set(vector) for vector in found["vectors"]] == [{"key"}, {"key"}]


def test_texts_alone_have_no_distance(s3: Client, at: dict[str, str]) -> None:
    found = s3.query_vectors(**at, topK=2, queryTexts=texts(body="rain"), returnDistance=True)

    assert [set(vector) for vector in found["vectors"]] == [{"key"}, {"key"}]


def test_any_text_is_plain_words(s3: Client, at: dict[str, str]) -> None:
    for text in ('"rain"', "rain AND (snow", "body:rain", "-rain", "*", "?", "rain^9", "' OR 1=1 --", "\x00rain", "☔"):
        found = s3.query_vectors(**at, topK=5, queryTexts=texts(body=text))
        assert set(keys(found)) == ({"a", "c", "e"} if "rain" in text else set())


def test_what_was_replaced_and_deleted_is_not_found(s3: Client, at: dict[str, str]) -> None:
    s3.delete_vectors(**at, keys=["e"])
    s3.put_vectors(**at, vectors=[{"key": "c", "data": QUERY, "metadata": {"body": "sunshine"}}])

    assert keys(s3.query_vectors(**at, topK=5, queryTexts=texts(body="rain snow sunshine"))) == ["c", "a"]


# -- pages -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def many(s3: Client, index_of: MakeIndex) -> dict[str, str]:
    at = index_of(s3, metadataConfiguration={"textSearchConfigurations": [{"metadataKey": "t"}]})
    for start in (0, 150):
        s3.put_vectors(
            **at,
            vectors=[
                {
                    "key": f"k{i:03}",
                    "data": {"float32": [1.0, i / 100]},
                    "metadata": {"t": "word " * (1 + i % 7) + "other " * (i % 11)},
                }
                for i in range(start, start + 150)
            ],
        )
    return at


@pytest.mark.parametrize("vector", [{}, {"queryVector": QUERY}], ids=["text", "hybrid"])
def test_pages_are_of_one_ranking_whatever_is_written(s3: Client, many: dict[str, str], vector: dict[str, Any]) -> None:
    arguments = {**many, "queryTexts": texts(t="word"), "returnScores": True, "returnDistance": True, **vector}
    whole = s3.get_paginator("query_vectors").paginate(**arguments, topK=290).build_full_result()["vectors"]
    assert len(whole) == 290

    page = s3.query_vectors(**arguments, topK=290)
    found = page["vectors"]
    removed = whole[-1]["key"]
    s3.delete_vectors(**many, keys=[removed])
    s3.put_vectors(**many, vectors=[{"key": "new", "data": QUERY, "metadata": {"t": "word"}}])
    while "nextToken" in page:
        page = s3.query_vectors(**arguments, topK=290, nextToken=page["nextToken"])
        found += page["vectors"]
    assert found == whole[:-1]


def test_a_token_is_bound_to_the_texts(s3: Client, many: dict[str, str], refusal: Refusal) -> None:
    arguments = {**many, "topK": 200}
    token = s3.query_vectors(**arguments, queryTexts=texts(t="word"))["nextToken"]

    for other in (
        {"queryTexts": texts(t="words")},
        {"queryTexts": texts(t="word"), "queryVector": QUERY},
        {"queryTexts": texts(t="word"), "returnScores": True},
        {"queryVector": QUERY},
        {"queryTexts": texts(t="word"), "filter": {"t": "x"}},
    ):
        error = refusal(s3.query_vectors, **arguments, **other, nextToken=token)
        assert "nextToken belongs to another request" in str(error)
    by_vector = s3.query_vectors(**arguments, queryVector=QUERY)["nextToken"]
    assert "nextToken" in str(refusal(s3.query_vectors, **arguments, queryTexts=texts(t="word"), nextToken=by_vector))


# -- refusals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "path", "words"),
    [
        ({"queryTexts": []}, "/queryTexts", "length between 1 and 10"),
        ({"queryTexts": texts(**{f"k{i}": "x" for i in range(11)})}, "/queryTexts", "length between 1 and 10"),
        ({"queryTexts": texts(title="")}, "/queryTexts/0/text", "length between 1 and 1024"),
        ({"queryTexts": texts(title="x", body="y" * 1025)}, "/queryTexts/1/text", "length between 1 and 1024"),
        ({"queryTexts": texts(title="\ud800")}, "/queryTexts/0/text", "valid Unicode"),
        ({"queryTexts": [{"metadataKey": "", "text": "x"}]}, "/queryTexts/0/metadataKey", "between 1 and 63"),
        ({"queryTexts": [{"text": "x"}]}, "/queryTexts/0/metadataKey", "must not be null"),
        ({"queryTexts": texts(title="x") * 2}, "/queryTexts/1/metadataKey", "distinct metadata keys, got 'title'"),
        ({"queryTexts": texts(author="x")}, "/queryTexts/0/metadataKey", "configured for text search, got 'author'"),
        ({"queryTexts": texts(title="x"), "queryMode": "CLASSIC"}, "", "queryTexts requires an index of mode ENHANCED"),
        ({"queryTexts": texts(title="x"), "queryVector": {"float32": [1.0]}}, "", "Query vector"),
        ({"queryTexts": texts(title="x"), "topK": 0}, "/topK", "between 1 and 10000"),
        ({}, "/queryVector", "must not be null"),
    ],
)
def test_queries_that_break_a_rule_are_refused(
    s3: Client, at: dict[str, str], refusal: Refusal, arguments: dict[str, Any], path: str, words: str
) -> None:
    error = refusal(s3.query_vectors, **{**at, "topK": 1, **arguments})

    assert words in str(error)
    assert error.response["Error"]["Code"] == "ValidationException"
    if path:
        assert error.response["fieldList"][0]["path"] == path


def test_natively_texts_may_be_long(client: Client, s3: Client, at: dict[str, str]) -> None:
    found = client.query_vectors(**at, topK=5, maxResults=2, queryTexts=texts(body="rain " * 1000), returnData=True)

    assert keys(found) == ["e", "c"]
    assert found["vectors"][0]["data"]["float32"] == pytest.approx(VECTORS["e"], abs=1e-6)
    rest = client.query_vectors(
        **at, topK=5, maxResults=2, queryTexts=texts(body="rain " * 1000), returnData=True, nextToken=found["nextToken"]
    )
    assert keys(rest) == ["a"]
