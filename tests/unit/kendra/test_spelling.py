"""Corrections of spelling: which words, by which, where they stand, and nothing of what is hidden."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from kendra_corpus import FERRIES, TYPES, fill

from ragvec.filters.nodes import EVERYTHING, Eq
from ragvec.kendra.access import principals, visible_to
from ragvec.kendra.learn.spelling import correction
from ragvec.store import Index, Store

PAGES = [
    *FERRIES,
    {"id": "kendra", "title": "Kendra Atlas", "text": "Kendra answers questions. Ask Kendra about the reservation."},
]
PUBLIC = visible_to(principals(None, ()))


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    with Store(tmp_path_factory.mktemp("spelling") / "store") as store:
        index = fill(store, PAGES, types=TYPES)
        for field in ("_text", "_document_title"):
            index.add_text(field, language="en")
        yield index


def corrected(index: Index, text: str) -> str | None:
    found = correction(index, text, where=EVERYTHING)
    return None if found is None else found.text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bycicle on the ferry", None),
        ("bicylce on the ferry", "bicycle on the ferry"),
        ("mornign ferriez", "morning ferries"),
        ("tandms need a reservatoin?", "tandems need a reservation?"),
        ("cargo-bycicles", "cargo-bicycles"),
        ("Cyclsts board", "Cyclists board"),
        ("ask kendar", "ask Kendra"),
        ("atlsa", "Atlas"),
        ("ferry bicycles cargoes", None),
        ("what about tehm", None),
        ("feery", "ferry"),
        ("fepry", None),
        ("merry", None),
        ("efrry", "ferry"),
        ("CREWS", None),
        ("bicycl3 x2 ab", None),
        ("bicylce:deck", None),
        ("", None),
        ("zzzzzz qqqqq", None),
    ],
)
def test_corrections(index: Index, text: str, expected: str | None) -> None:
    assert corrected(index, text) == expected


def test_offsets_are_those_of_the_corrected_text(index: Index) -> None:
    found = correction(index, "ferrry to  cyclsts, mornin freigt", where=EVERYTHING)
    assert found is not None
    assert found.text == "ferry to  cyclists, morning freight"
    assert [(word.term, word.corrected) for word in found.words] == [
        ("ferrry", "ferry"),
        ("cyclsts", "cyclists"),
        ("mornin", "morning"),
        ("freigt", "freight"),
    ]
    for word in found.words:
        assert found.text[word.begin : word.end] == word.corrected


def test_words_that_somebody_may_not_see_correct_nothing(index: Index) -> None:
    assert corrected(index, "pursr") == "purser"
    assert correction(index, "pursr", where=PUBLIC) is None
    crew = visible_to(principals("ana", ("crew",)))
    found = correction(index, "pursr", where=crew)
    assert found is not None
    assert found.text == "purser"


def test_a_word_that_stands_only_in_what_is_hidden_counts_as_unknown(index: Index) -> None:
    # "consent" is in the crew's page alone; nothing public is near it, so nobody learns of it.
    assert correction(index, "consent", where=PUBLIC) is None
    assert correction(index, "consnt", where=PUBLIC) is None
    assert correction(index, "consnt", where=EVERYTHING) is not None


def test_a_filter_says_which_passages_count(index: Index) -> None:
    assert correction(index, "tandms", where=Eq("_category", "ticketing")) is None
    assert correction(index, "crowsn", where=Eq("_category", "ticketing")) is not None


def test_an_index_without_text_search_corrects_nothing(ferries: Index) -> None:
    assert correction(ferries, "bicylce", where=EVERYTHING) is None


def test_the_most_frequent_of_equally_near_words_is_taken(store: Store) -> None:
    pages = [{"id": f"{n}", "text": "a boat"} for n in range(3)] + [{"id": f"x{n}", "text": "a boot"} for n in range(2)]
    index = fill(store, pages)
    index.add_text("_text", language="en")
    assert corrected(index, "boit") == "boat"
    index.delete(where={"_document_id": {"$in": ["0", "1"]}})
    assert corrected(index, "boit") == "boot"


def test_a_rare_word_of_many_passages_corrects_nothing(tmp_path: Path) -> None:
    with Store(tmp_path / "store") as store:
        index = fill(store, [{"id": f"{n}", "text": "ferry"} for n in range(10_001)] + [{"id": "x", "text": "boat"}])
        index.add_text("_text", language="en")
        assert corrected(index, "boit") is None
        index.delete(where={"_document_id": {"$in": [str(n) for n in range(100)]}})
        assert corrected(index, "boit") == "boat"


def test_random_errors_in_words_of_the_pages(index: Index) -> None:
    rng = random.Random(5)
    words = ["bicycles", "freight", "yellow", "telephone", "reservation", "evening", "crowns", "cyclists"]
    letters = "abcdefghijklmnopqrstuvwxyz"
    wrong = []
    for _ in range(100):
        word = rng.choice(words)
        at = rng.randrange(1, len(word))
        kind = rng.choice((0, 1, 3))
        typed = {
            0: word[:at] + word[at + 1 :],
            1: word[:at] + rng.choice(letters) + word[at:],
            3: word[: at - 1] + word[at] + word[at - 1] + word[at + 1 :],
        }[kind]
        found = corrected(index, typed)
        if (found or typed).rstrip("s") != word.rstrip("s"):
            wrong.append((word, typed, found))
    assert len(wrong) <= 3, wrong
