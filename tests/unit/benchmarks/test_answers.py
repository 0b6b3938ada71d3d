"""What the benchmark of answers counts as right, and the threshold that it finds."""

from __future__ import annotations

import pytest

from benchmarks.answers import rates, threshold_for
from benchmarks.answers_evidence import overlaps, places
from benchmarks.answers_fit import Verdict
from ragvec.evaluation.questions import Evidence, Question
from ragvec.kendra.found import Found

PROSE = "Ferries carry bicycles.\n\nThe rack of each ferry holds 12 bicycles, and 2 tandems."
TABLE = "Version: v2; Released: February 2020; Last day: 31 March 2027\nVersion: v3; Released: 14 October 2025"


def found(key: str, text: str) -> Found:
    document = key.partition("#")[0]
    return Found(key, document, {"_document_id": document, "_text": text}, 0.5)


def question(text: str, *, document: str = "d") -> Question:
    return Question("q", "?", "!", (Evidence(document, text),), {document: 3}, "fact")


def words(text: str, place: tuple[str, list[tuple[int, int]]]) -> list[str]:
    return [text[begin:end] for begin, end in place[1]]


def test_evidence_is_found_where_it_stands_whatever_the_white_space() -> None:
    passages = [found("d#0", "Another thing."), found("d#1", PROSE.replace(" of ", " of\n   ")), found("e#0", PROSE)]
    [place] = places(question("The rack of each ferry holds 12 bicycles"), passages)
    assert place[0] == "d#1"
    assert words(passages[1].metadata["_text"], place) == [
        "The",
        "rack",
        "of",
        "each",
        "ferry",
        "holds",
        "12",
        "bicycles",
    ]


def test_evidence_from_a_table_is_found_between_the_names_of_its_columns() -> None:
    [place] = places(question("v2 February 2020 31 March 2027"), [found("d#0", TABLE)])
    assert words(TABLE, place) == ["v2", "February", "2020", "31", "March", "2027"]


@pytest.mark.parametrize(
    ("piece", "expected"),
    [
        ("rack of each ferry", True),
        ("The rack", False),
        ("Ferries carry bicycles.", False),
        ("holds 12 bicycles, and 2 tandems.", True),
    ],
)
def test_an_overlap_is_three_words_in_their_place(piece: str, expected: bool) -> None:
    gold = places(question("The rack of each ferry holds 12 bicycles"), [found("d#0", PROSE)])
    begin = PROSE.index(piece)
    assert overlaps("d#0", begin, begin + len(piece), gold) is expected
    assert not overlaps("d#1", begin, begin + len(piece), gold)


def test_rates_and_the_threshold_count_what_is_given() -> None:
    run = [Verdict(True, 0.9, True, 10), Verdict(True, 0.6, False, 10), Verdict(True, 0.2, True, 10)]
    run += [Verdict(False, score / 10, False, 10) for score in range(10)]
    assert rates([run], 0.5) == pytest.approx((1 / 3, 1 / 3, 0.5))
    assert threshold_for([run]) == pytest.approx(0.8, abs=1e-5)
    assert rates([run], threshold_for([run]))[2] == pytest.approx(0.1)
