"""Block lists: which queries they keep from being suggested, and the operations on them."""

from __future__ import annotations

from pathlib import Path

import pytest
from kendra_corpus import BagOfStems

from ragvec.errors import QuotaExceeded, ResourceNotFound
from ragvec.kendra.client import Client
from ragvec.kendra.learn.blocked import BLOCK_LISTS, Blocked, blocked
from ragvec.kendra.notes import Notes
from ragvec.store import Index, Store


@pytest.fixture
def notes(ferries: Index) -> Notes:
    return Notes(ferries)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("the secret plan", True),
        ("SECRET!", True),
        ("secrets", False),
        ("project blue sky now", True),
        ("project-blue-sky", True),
        ("blue sky", False),
        ("project blue", False),
        ("", False),
    ],
)
def test_whole_words_and_phrases_block(query: str, expected: bool) -> None:
    assert (query in Blocked(["Secret", "Project  Blue Sky"])) is expected


def test_a_list_counts_its_phrases_once_and_leaves_blank_lines_out(notes: Notes) -> None:
    made = BLOCK_LISTS.create(notes, "\ufeffone\n\n two \none\n--\n", name="words")
    assert (made.figures, made.bytes) == ({"items": 2}, 21)
    assert "two" in blocked(notes)


def test_limits(notes: Notes) -> None:
    with pytest.raises(QuotaExceeded, match="at most 20,000 words and phrases, got 20,001"):
        BLOCK_LISTS.create(notes, "\n".join(f"w{n}" for n in range(20_001)), name="words")
    with pytest.raises(QuotaExceeded, match="at most 2,097,152 bytes"):
        BLOCK_LISTS.create(notes, "x" * (2 << 20) + "y", name="words")
    BLOCK_LISTS.create(notes, "one", name="words")
    with pytest.raises(QuotaExceeded, match="at most 1 block list, and this one has 'words'"):
        BLOCK_LISTS.create(notes, "two", name="more")
    assert len(notes.index.property_names(prefix="kendra.block_list.text")) == 1


def test_what_is_blocked_follows_the_list(notes: Notes) -> None:
    assert not blocked(notes)
    made = BLOCK_LISTS.create(notes, "one", name="words")
    BLOCK_LISTS.change(notes, made.id, description="d")
    assert "one" in blocked(notes)
    BLOCK_LISTS.change(notes, made.id, "two")
    assert "one" not in blocked(notes)
    assert "two" in blocked(notes)
    BLOCK_LISTS.delete(notes, made.id)
    assert "two" not in blocked(notes)
    assert notes.index.property_names(prefix="kendra.block_list") == []
    assert BLOCK_LISTS.all(notes) == ()
    with pytest.raises(ResourceNotFound, match="no block list with the id"):
        BLOCK_LISTS.delete(notes, made.id)


def test_the_operations_of_a_client(store: Store, ferries: Index, tmp_path: Path) -> None:
    client = Client(store, embedder=BagOfStems(), folders={"lists": tmp_path})
    uid = ferries.uid
    client.query(IndexId=uid, QueryText="bicycle fares", PageSize=1)
    client.query(IndexId=uid, QueryText="bicycle racks", PageSize=1)

    def texts() -> list[str]:
        found = client.get_query_suggestions(IndexId=uid, QueryText="bicycle")["Suggestions"]
        return sorted(each["Value"]["Text"]["Text"] for each in found)

    (tmp_path / "blocked.txt").write_text("fares\n", encoding="utf-8")
    source = {"Bucket": "lists", "Key": "blocked.txt"}
    given = {"IndexId": uid, "Name": "words", "RoleArn": "", "SourceS3Path": source}
    made = client.create_query_suggestions_block_list(**given, ClientToken="t")["Id"]
    assert client.create_query_suggestions_block_list(**given, ClientToken="t")["Id"] == made
    assert texts() == ["bicycle racks"]
    assert client.describe_query_suggestions_config(IndexId=uid)["TotalSuggestionsCount"] == 1

    described = client.describe_query_suggestions_block_list(IndexId=uid, Id=made)
    assert (described["ItemCount"], described["FileSizeBytes"], described["Status"]) == (1, 6, "ACTIVE")
    (listed,) = client.list_query_suggestions_block_lists(IndexId=uid)["BlockListSummaryItems"]
    assert (listed["Id"], listed["ItemCount"]) == (made, 1)

    (tmp_path / "blocked.txt").write_text("racks\nboats", encoding="utf-8")
    client.update_query_suggestions_block_list(IndexId=uid, Id=made, SourceS3Path=source)
    assert texts() == ["bicycle fares"]
    with pytest.raises(client.exceptions.ValidationException, match="No folder stands for the bucket 'other'"):
        client.update_query_suggestions_block_list(IndexId=uid, Id=made, SourceS3Path={**source, "Bucket": "other"})
    client.delete_query_suggestions_block_list(IndexId=uid, Id=made)
    assert texts() == ["bicycle fares", "bicycle racks"]
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.describe_query_suggestions_block_list(IndexId=uid, Id=made)
