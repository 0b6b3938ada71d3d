"""A ranking alone is that of a search."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import ragvec
from ragvec.errors import InvalidRequest

ANIMALS = ("cat", "dog", "hen", "cow", "fox", "owl", "ant", "bee")


@pytest.fixture
def index(tmp_path: Path) -> Iterator[ragvec.QueryIndex]:
    with ragvec.Store(tmp_path / "store") as store:
        handle = store.bucket("b").index("animals")
        documents = [
            {"id": f"{animal}{at}", "text": f"The {animal} number {at} sleeps.", "kind": animal}
            | ({"_acl_allow": ["group:keepers"]} if at else {})
            for animal in ANIMALS
            for at in range(3)
        ]
        ragvec.Pipeline(index=handle, embedder="hashing:128").run(documents, progress=False)
        yield ragvec.QueryIndex(handle)


def test_a_ranking_is_that_of_a_search(index: ragvec.QueryIndex) -> None:
    for text in ("sleeping fox", "owl AND number", "where does the bee sleep?"):
        for options in ({}, {"where": {"kind": {"$in": ["fox", "owl", "bee"]}}}, {"user": "ann"}, {"syntax": False}):
            found = index.search(text, page_size=20, answers=False, **options)
            ranked = index.ranking(text, k=20, **options)
            assert [(item.document_id, item.score, item.passage) for item in found] == [tuple(each) for each in ranked]
    assert len(index.ranking("number", k=5)) == 5
    assert {each.document_id[-1] for each in index.ranking("number", k=99, groups=["guests"])} == {"0"}
    with pytest.raises(InvalidRequest, match="text"):
        index.ranking(" ")
