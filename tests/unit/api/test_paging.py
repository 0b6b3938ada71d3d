"""Pages: complete, without repetition, consistent while others write; tokens that only fit where they were given."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ragvec.api.client import Client, connect
from ragvec.engine.local.engine import LocalEngine

FLAT = {"float32": [1.0, 0.0]}
MakeIndex = Callable[..., dict[str, str]]
Refusal = Callable[..., Any]


def put(client: Client, at: dict[str, str], keys: list[str], *, shift: float = 0.0) -> None:
    """Vectors whose order by distance to FLAT is that of their keys."""
    vectors = [
        {"key": key, "data": {"float32": [1.0, (i + shift) / 100]}, "metadata": {"n": i}} for i, key in enumerate(keys)
    ]
    client.put_vectors(**at, vectors=vectors)


def keys_of(answer: dict[str, Any]) -> list[str]:
    return [vector["key"] for vector in answer["vectors"]]


def all_pages(call: Callable[..., dict[str, Any]], **arguments: Any) -> list[list[str]]:
    pages, token = [], None
    while True:
        answer = call(**arguments, nextToken=token)
        pages.append(keys_of(answer))
        token = answer.get("nextToken")
        if token is None:
            return pages


def flat(pages: list[list[str]]) -> list[str]:
    return [key for page in pages for key in page]


def keys(count: int) -> list[str]:
    return [f"k{i:03}" for i in range(count)]


# -- queries -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("top_k", "size", "sizes"),
    [(10, 3, [3, 3, 3, 1]), (9, 3, [3, 3, 3]), (3, 3, [3]), (1, 5, [1]), (500, 20, [20, 10])],
)
def test_pages_of_a_query_make_up_top_k(
    client: Client, index_of: MakeIndex, top_k: int, size: int, sizes: list[int]
) -> None:
    at = index_of(client)
    put(client, at, keys(30))

    pages = all_pages(client.query_vectors, **at, topK=top_k, queryVector=FLAT, maxResults=size)
    assert [len(page) for page in pages] == sizes
    assert flat(pages) == keys(30)[:top_k]


def test_s3_pages_hold_100(s3: Client, index_of: MakeIndex) -> None:
    at = index_of(s3)
    put(s3, at, keys(250))

    pages = all_pages(s3.query_vectors, **at, topK=240, queryVector=FLAT)
    assert [len(page) for page in pages] == [100, 100, 40]
    assert flat(pages) == keys(240)


def test_later_pages_keep_distances_and_metadata(client: Client, index_of: MakeIndex) -> None:
    at = index_of(client)
    put(client, at, keys(10))
    request = {
        **at,
        "topK": 10,
        "queryVector": FLAT,
        "returnDistance": True,
        "returnMetadata": True,
        "returnData": True,
    }

    whole = client.query_vectors(**request)["vectors"]
    first = client.query_vectors(**request, maxResults=4)
    second = client.query_vectors(**request, maxResults=4, nextToken=first["nextToken"])
    third = client.query_vectors(**request, maxResults=4, nextToken=second["nextToken"])
    assert first["vectors"] + second["vectors"] + third["vectors"] == whole
    assert {first["distanceMetric"], second["distanceMetric"], third["distanceMetric"]} == {"cosine"}
    assert whole[3]["metadata"] == {"n": 3}
    assert whole[3]["data"] == {"float32": [1.0, float(np.float32(0.03))]}


def test_pages_are_of_one_moment_whatever_is_written(client: Client, index_of: MakeIndex) -> None:
    at = index_of(client)
    put(client, at, keys(12))
    request = {**at, "topK": 100, "queryVector": FLAT, "returnMetadata": True, "maxResults": 4}
    first = client.query_vectors(**request)

    client.put_vectors(**at, vectors=[{"key": "new", "data": FLAT}])
    client.put_vectors(**at, vectors=[{"key": "k005", "data": FLAT, "metadata": {"n": -1}}])
    client.delete_vectors(**at, keys=["k000", "k004", "k009"])

    second = client.query_vectors(**request, nextToken=first["nextToken"])
    third = client.query_vectors(**request, nextToken=second["nextToken"])
    assert keys_of(first) == ["k000", "k001", "k002", "k003"]
    assert keys_of(second) == ["k005", "k006", "k007"]
    assert keys_of(third) == ["k008", "k010", "k011"]
    assert second["vectors"][0]["metadata"] == {"n": 5}
    assert "nextToken" not in third


def test_another_opening_of_the_store_goes_on_with_a_token(
    client: Client, index_of: MakeIndex, engine: LocalEngine
) -> None:
    at = index_of(client)
    put(client, at, keys(9))
    request = {**at, "topK": 9, "queryVector": FLAT, "maxResults": 5}
    token = client.query_vectors(**request)["nextToken"]

    with connect(engine.path) as other:
        assert keys_of(other.query_vectors(**request, nextToken=token)) == keys(9)[5:]
        assert keys_of(other.query_vectors(**{**request, "maxResults": 2}, nextToken=token)) == keys(9)[5:7]


def test_query_pages_under_concurrent_writers(client: Client, index_of: MakeIndex) -> None:
    at = index_of(client)
    put(client, at, keys(60))
    stop = threading.Event()

    def write() -> None:
        step = 0
        while not stop.is_set():
            put(client, at, [f"w{step % 7}", "k030"], shift=step % 5)
            client.delete_vectors(**at, keys=[f"w{(step + 3) % 7}"])
            step += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(15):
            found = flat(all_pages(client.query_vectors, **at, topK=1000, queryVector=FLAT, maxResults=7))
            assert len(found) == len(set(found))
            assert set(keys(60)) <= set(found)
            listed = flat(all_pages(client.list_vectors, **at, maxResults=7))
            assert listed == sorted(set(listed))
            assert set(keys(60)) <= set(listed)
    finally:
        stop.set()
        writer.join()


CHANGES: list[tuple[str, dict[str, Any]]] = [
    ("topK", {"topK": 6}),
    ("vector", {"queryVector": {"float32": [1.0, 0.5]}}),
    ("filter", {"filter": {"n": {"$gte": 0}}}),
    ("metadata", {"returnMetadata": True}),
    ("distance", {"returnDistance": True}),
    ("index", {"indexName": "other"}),
]


@pytest.mark.parametrize("change", [change for _, change in CHANGES], ids=[name for name, _ in CHANGES])
def test_a_token_of_another_query_is_refused(
    client: Client, index_of: MakeIndex, refusal: Refusal, change: dict[str, Any]
) -> None:
    at = index_of(client)
    client.create_index(**{**at, "indexName": "other"}, dataType="float32", dimension=2, distanceMetric="cosine")
    put(client, at, keys(9))
    request = {**at, "topK": 9, "queryVector": FLAT, "maxResults": 5}
    token = client.query_vectors(**request)["nextToken"]

    error = refusal(client.query_vectors, **{**request, **change}, nextToken=token)
    assert error.response["Error"]["Code"] == "ValidationException"
    assert "nextToken belongs to another request" in str(error)
    assert error.response["fieldList"][0]["path"] == "/nextToken"


def test_an_index_made_anew_under_its_name_refuses_tokens_of_the_old(
    client: Client, index_of: MakeIndex, refusal: Refusal
) -> None:
    at = index_of(client)
    put(client, at, keys(9))
    query = {**at, "topK": 9, "queryVector": FLAT, "maxResults": 5}
    query_token = client.query_vectors(**query)["nextToken"]
    list_token = client.list_vectors(**at, maxResults=5)["nextToken"]
    client.delete_index(**at)
    client.create_index(**at, dataType="float32", dimension=2, distanceMetric="cosine")
    put(client, at, keys(9))

    refusal(client.query_vectors, **query, nextToken=query_token)
    refusal(client.list_vectors, **at, nextToken=list_token)


def test_an_expired_token_says_what_to_do(tmp_path: Path, index_of: MakeIndex, refusal: Refusal) -> None:
    now = [1_000_000.0]
    with LocalEngine(tmp_path / "clocked", background=False, clock=lambda: now[0]) as engine:
        client = Client(engine)
        at = index_of(client)
        put(client, at, keys(9))
        request = {**at, "topK": 9, "queryVector": FLAT, "maxResults": 5}
        token = client.query_vectors(**request)["nextToken"]

        now[0] += client.session.dialect.limits.ranking_seconds - 1
        assert keys_of(client.query_vectors(**request, nextToken=token)) == keys(9)[5:]
        now[0] += 2
        assert "repeat the query" in str(refusal(client.query_vectors, **request, nextToken=token))


# -- lists -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 4, 9, 10, 1000])
def test_a_list_is_complete_and_in_byte_order_of_key(client: Client, index_of: MakeIndex, size: int) -> None:
    at = index_of(client)
    names = ["b", "a", "Z", "é", "日本", "𝄞", "a ", "a\u0000", "~", "10", "9"]
    put(client, at, names)

    pages = all_pages(client.list_vectors, **at, maxResults=size)
    assert flat(pages) == sorted(names, key=str.encode)
    assert all(len(page) == size for page in pages[:-1])


@pytest.mark.parametrize("count", [1, 2, 5, 16])
def test_segments_share_the_keys_among_them(client: Client, index_of: MakeIndex, count: int) -> None:
    at = index_of(client)
    put(client, at, keys(100))

    parts = [
        flat(all_pages(client.list_vectors, **at, maxResults=7, segmentCount=count, segmentIndex=i))
        for i in range(count)
    ]
    assert sorted(flat(parts)) == keys(100)
    assert all(part == sorted(part) for part in parts)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"segmentCount": 2}, "Must specify both segmentCount and segmentIndex or neither"),
        ({"segmentIndex": 0}, "Must specify both segmentCount and segmentIndex or neither"),
        ({"segmentCount": 2, "segmentIndex": 2}, "segmentIndex must be less than segmentCount 2, got 2"),
        ({"segmentCount": 17, "segmentIndex": 0}, "Member must be between 1 and 16, inclusive"),
        ({"segmentCount": 0, "segmentIndex": 0}, "Member must be between 1 and 16, inclusive"),
        ({"segmentCount": 16, "segmentIndex": -1}, "Member must be between 0 and 15, inclusive"),
    ],
)
def test_bad_segments(
    client: Client, index_of: MakeIndex, refusal: Refusal, arguments: dict[str, int], words: str
) -> None:
    at = index_of(client)

    assert words in str(refusal(client.list_vectors, **at, **arguments))


def test_a_list_with_a_filter(client: Client, index_of: MakeIndex) -> None:
    at = index_of(client)
    put(client, at, keys(30))

    pages = all_pages(client.list_vectors, **at, maxResults=4, filter={"n": {"$gte": 19}})
    assert [len(page) for page in pages] == [4, 4, 3]
    assert flat(pages) == keys(30)[19:]


def test_tokens_of_lists_belong_to_their_list(client: Client, index_of: MakeIndex, refusal: Refusal) -> None:
    at = index_of(client)
    client.create_index(**{**at, "indexName": "other"}, dataType="float32", dimension=2, distanceMetric="cosine")
    client.create_vector_bucket(vectorBucketName="second")
    put(client, at, keys(50))
    token = client.list_vectors(**at, maxResults=2, segmentCount=2, segmentIndex=0)["nextToken"]
    indexes = client.list_indexes(vectorBucketName="docs", maxResults=1)["nextToken"]
    buckets = client.list_vector_buckets(maxResults=1)["nextToken"]

    for call, arguments in [
        (client.list_vectors, {**at, "nextToken": token}),
        (client.list_vectors, {**at, "nextToken": token, "segmentCount": 2, "segmentIndex": 1}),
        (client.list_vectors, {**at, "nextToken": token, "segmentCount": 3, "segmentIndex": 0}),
        (client.list_vectors, {**at, "nextToken": token, "segmentCount": 2, "segmentIndex": 0, "filter": {"n": 1}}),
        (client.list_vectors, {**at, "indexName": "other", "nextToken": token, "segmentCount": 2, "segmentIndex": 0}),
        (client.list_indexes, {"vectorBucketName": "second", "nextToken": indexes}),
        (client.list_indexes, {"vectorBucketName": "docs", "nextToken": indexes, "prefix": "o"}),
        (client.list_indexes, {"vectorBucketName": "docs", "nextToken": buckets}),
        (client.list_vector_buckets, {"nextToken": indexes}),
        (client.query_vectors, {**at, "topK": 1, "queryVector": FLAT, "nextToken": token}),
    ]:
        assert "nextToken belongs to another request" in str(refusal(call, **arguments))
    good = client.list_vectors(**at, maxResults=3, segmentCount=2, segmentIndex=0, nextToken=token)
    assert len(good["vectors"]) == 3


def test_damaged_tokens_are_refused(client: Client, index_of: MakeIndex, refusal: Refusal) -> None:
    at = index_of(client)
    put(client, at, keys(9))
    request = {**at, "topK": 9, "queryVector": FLAT, "maxResults": 5}
    token = client.query_vectors(**request)["nextToken"]
    damaged = token[:10] + ("A" if token[10] != "A" else "B") + token[11:]

    assert "nextToken is damaged" in str(refusal(client.query_vectors, **request, nextToken=damaged))
    assert "nextToken is damaged" in str(refusal(client.list_vectors, **at, nextToken="abc"))
    assert "nextToken is damaged" in str(refusal(client.list_vector_buckets, nextToken="🙂"))
    assert "between 1 and 2048, inclusive" in str(refusal(client.list_vectors, **at, nextToken="a" * 2049))
    assert "between 1 and 512, inclusive" in str(refusal(client.list_vector_buckets, nextToken="a" * 513))
    assert "between 1 and 4096, inclusive" in str(refusal(client.query_vectors, **request, nextToken="a" * 4097))


def test_an_empty_token_is_the_start_where_the_service_says_so(
    client_of: Callable[..., Client], refusal: Refusal
) -> None:
    assert client_of("cos").list_vector_buckets(nextToken="")["vectorBuckets"] == []
    assert client_of("tos").list_vector_buckets(nextToken="")["vectorBuckets"] == []
    refusal(client_of("s3").list_vector_buckets, nextToken="")
    refusal(client_of("native").list_vector_buckets, nextToken="")


def test_lists_of_names_by_prefix(client: Client) -> None:
    for name in ["alpha", "beta", "alp", "gamma", "alphabet"]:
        client.create_vector_bucket(vectorBucketName=name)
        client.create_index(
            vectorBucketName="alpha" if name != "alp" else "alp",
            indexName=name,
            dataType="float32",
            dimension=1,
            distanceMetric="euclidean",
        )

    def names(maximum: int, prefix: str | None) -> list[str]:
        found: list[str] = []
        token = None
        while True:
            page = client.list_vector_buckets(maxResults=maximum, prefix=prefix, nextToken=token)
            assert len(page["vectorBuckets"]) <= maximum
            found += [bucket["vectorBucketName"] for bucket in page["vectorBuckets"]]
            token = page.get("nextToken")
            if token is None:
                return found

    assert names(2, None) == ["alp", "alpha", "alphabet", "beta", "gamma"]
    assert names(1, "alph") == ["alpha", "alphabet"]
    assert names(9, "x") == []
    listed = client.list_indexes(vectorBucketName="alpha", prefix="alph")["indexes"]
    assert [index["indexName"] for index in listed] == ["alpha", "alphabet"]
