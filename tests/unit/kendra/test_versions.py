"""Superseded documents, near-duplicates and older versions, over made-up findings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from kendra_corpus import BagOfStems, fill

from ragvec.kendra.answers.reader import Levels, ReadSpan
from ragvec.kendra.found import Found
from ragvec.kendra.index import QueryIndex
from ragvec.kendra.limits import NATIVE
from ragvec.kendra.rank.documents import best_documents
from ragvec.kendra.rank.versions import Versions, newest
from ragvec.kendra.settings import Settings
from ragvec.store import Store


def left(documents: dict[str, dict[str, Any]], versions: Versions) -> str:
    """The ids that are kept, in order; all ids are single letters."""
    found = [Found(name, name, metadata, 1 - at / 100) for at, (name, metadata) in enumerate(documents.items())]
    return "".join(each.document_id for each in newest(found, versions))


@pytest.mark.parametrize(
    ("successors", "expected"),
    [
        ({"a": "b", "b": None}, "b"),
        ({"a": "x", "b": None}, "ab"),
        ({"a": "b", "b": "c", "c": None}, "c"),
        ({"a": "b", "b": "x"}, "b"),
        ({"a": "b", "b": "a"}, "a"),
        ({"c": "a", "a": "b", "b": "a"}, "a"),
        ({"a": "a", "b": 7}, "ab"),
    ],
)
def test_what_is_superseded_gives_place_to_what_was_found(successors: dict[str, Any], expected: str) -> None:
    documents = {name: {} if by is None else {"superseded_by": by} for name, by in successors.items()}
    assert left(documents, Versions()) == expected


def test_of_near_duplicates_the_most_relevant_stays() -> None:
    documents: dict[str, dict[str, Any]] = {
        "a": {"near_duplicate_of": "b"},
        "b": {},
        "c": {"near_duplicate_of": "b"},
        "d": {"near_duplicate_of": "x"},
        "e": {"near_duplicate_of": "x"},
        "f": {},
    }
    assert left(documents, Versions()) == "adf"
    assert left(documents, Versions(near_duplicate_of=None)) == "abcdef"


@pytest.mark.parametrize(
    ("versions", "expected"),
    [
        (["2.9", "2.10"], "b"),
        (["2.1", "2.1"], "a"),
        ([None, "0"], "b"),
        ([None, None], "a"),
        (["3", "2.9.9"], "a"),
        (["rc", "1"], "b"),
    ],
)
def test_of_versions_the_highest_stays(versions: list[str | None], expected: str) -> None:
    documents = {
        name: {"uri": "u", **({} if version is None else {"_version": version})}
        for name, version in zip("ab", versions, strict=True)
    }
    assert left(documents, Versions(same="uri")) == expected


def test_documents_that_share_nothing_stay() -> None:
    assert left({"a": {"uri": "u"}, "b": {"uri": "v"}, "c": {}, "d": {}, "e": {"uri": ""}}, Versions(same="uri")) == (
        "abcde"
    )


def test_nothing_is_left_out_unless_asked() -> None:
    found = [Found("a#0", "a", {"superseded_by": "b"}, 0.5), Found("b#0", "b", {}, 0.4)]
    assert [each.document_id for each in best_documents(found)] == ["a", "b"]
    assert [each.document_id for each in best_documents(found, versions=Versions())] == ["b"]


class FirstWords:
    """Reads the beginning of each passage."""

    levels = Levels(least=0.0, high=0.5, very_high=0.9)

    def read(self, question: str, passages: Sequence[str]) -> list[ReadSpan]:
        return [ReadSpan(number, 0, 5, 1.0) for number in range(len(passages))]


def test_nothing_answers_from_a_document_that_another_replaces(store: Store) -> None:
    fares = [
        {"id": "old", "title": "Fares", "text": "A day pass costs 8 crowns.", "superseded_by": "new"},
        {"id": "new", "title": "Fares", "text": "A day pass costs 9 crowns."},
    ]
    index = fill(store, fares, types={"superseded_by": "STRING_VALUE"})

    for versions, shown in ((None, {"old", "new"}), (Versions(), {"new"})):
        settings = Settings(limits=NATIVE, journal=False, reader=FirstWords(), versions=versions)
        found = QueryIndex(index, embedder=BagOfStems(), settings=settings).search("What does a day pass cost?")
        assert {item.document_id for item in found} == shown
        assert {answer.document_id for answer in found.answers} == {"new"}
