"""Keys and metadata of passages."""

from __future__ import annotations

import hashlib

import pytest

from ragvec.limits import NATIVE
from ragvec.pipeline.passages import Passage, key_prefix, passage_key

PASSAGE = Passage(
    document_id="travel/per-diem.md",
    number=2,
    count=7,
    begin=10,
    end=15,
    text="Porto",
    hash="0f",
    heading="Travel > Per diem",
    page=3,
    attributes={"_document_title": "Per diem", "_view_count": 12, "department": "Finance", "_acl_allow": ["group:hr"]},
)


def test_the_key_is_the_document_and_the_number_of_the_passage() -> None:
    assert PASSAGE.key == passage_key("travel/per-diem.md", 2) == "travel/per-diem.md#00002"


@pytest.mark.parametrize("document_id", ["x" * 1008, "é" * 504, "x" * 1009, "漢" * 400, "x" * 10_000])
def test_keys_fit_whatever_the_length_of_the_id(document_id: str) -> None:
    key = passage_key(document_id, 10**14)
    assert len(key.encode()) <= NATIVE.key_max_bytes
    assert key.startswith(document_id) == (len(document_id.encode()) <= 1008)


def test_a_long_id_is_replaced_by_its_hash() -> None:
    document_id = "é" * 1000
    assert key_prefix(document_id) == f"sha256:{hashlib.sha256(document_id.encode()).hexdigest()}#"


def test_metadata_give_the_passage_back() -> None:
    metadata = PASSAGE.to_metadata()
    assert metadata == {
        "_document_id": "travel/per-diem.md",
        "_document_title": "Per diem",
        "_view_count": 12,
        "department": "Finance",
        "_acl_allow": ["group:hr"],
        "_passage": 2,
        "_passages": 7,
        "_begin": 10,
        "_end": 15,
        "_excerpt_page_number": 3,
        "_heading": "Travel > Per diem",
        "_text": "Porto",
        "_hash": "0f",
    }
    assert Passage.from_metadata(metadata) == PASSAGE


def test_what_is_unknown_is_left_out() -> None:
    bare = Passage(document_id="d", number=0, count=1, begin=0, end=1, text="x", hash="h")
    assert {"_heading", "_excerpt_page_number"}.isdisjoint(bare.to_metadata())
    assert Passage.from_metadata(bare.to_metadata()) == bare
    assert bare.title == ""


def test_records_of_others_are_no_passages() -> None:
    assert Passage.from_metadata({}) is None
    assert Passage.from_metadata({"_document_id": "d", "colour": "red"}) is None
