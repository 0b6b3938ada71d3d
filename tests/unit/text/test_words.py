"""Words, their places and their stems."""

from __future__ import annotations

import pytest
from ragvec.text.words import STOP_WORDS, query_terms, stem, words


def found(text: str) -> list[str]:
    return [text[word.begin : word.end] for word in words(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Per-diem rates, 2024.", ["Per", "diem", "rates", "2024"]),
        ("the employee's laptop isn’t", ["the", "employee's", "laptop", "isn’t"]),
        ("costs 1,250.75 EUR (v2.1)", ["costs", "1,250.75", "EUR", "v2.1"]),
        ("snake_case", ["snake", "case"]),
        ("cafe\u0301 naïve", ["cafe\u0301", "naïve"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("東京の雨", ["東", "京", "の", "雨"]),
        ("한국어 문서", ["한국어", "문서"]),
        ("GPU用途", ["GPU", "用", "途"]),
        ("  ...  ", []),
    ],
)
def test_words_stand_where_they_are_written(text: str, expected: list[str]) -> None:
    assert found(text) == expected


@pytest.mark.parametrize(
    "forms",
    [
        ("patient", "Patients", "PATIENT", "patient's"),
        ("ferry", "ferries"),
        ("calibrate", "calibrated", "calibrating", "calibration"),
        ("expense", "expenses"),
        ("resume\u0301", "résumé", "resume"),
    ],
)
def test_forms_of_one_word_share_a_stem(forms: tuple[str, ...]) -> None:
    assert len({stem(form) for form in forms}) == 1


def test_different_words_keep_different_stems() -> None:
    assert len({stem(word) for word in ("leave", "lease", "travel", "policy", "police")}) >= 4
    assert stem("leave") != stem("lease")


def test_stop_words_have_no_stem_and_queries_leave_them_out() -> None:
    assert {stem(word) for word in STOP_WORDS} == {""}
    assert query_terms("What is it that we should do?").stems == frozenset()
    assert not query_terms("to be or not to be")
    assert query_terms("How many days of leave?").stems == {stem("days"), stem("leave")}


def test_queries_in_unspaced_scripts_become_pairs() -> None:
    assert query_terms("京都の雨").runs == {"京都", "都の", "の雨"}
    assert query_terms("雨 rain").runs == {"雨"}
