"""Words, their places and their stems."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragvec.text.words import STOP_WORDS, occurrences, query_terms, stem, unspaced, words

PIECES = "Dying dies die skies sky early earlier ferry Ferries FERRY Éclair eclairs 3.5 3 the 京 都 雨 a- 's _ “ İ"
TEXTS = st.lists(st.sampled_from([*PIECES.split(), " ", "-", "\n"]), max_size=25).map("".join) | st.text(max_size=30)


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


@settings(deadline=None)
@given(text=TEXTS, query=TEXTS)
def test_occurrences_are_the_words_whose_stem_is_asked_for(text: str, query: str) -> None:
    terms = query_terms(query)
    spaced = [word for word in words(text) if not unspaced(text[word.begin]) and word.term in terms.stems]
    found = list(occurrences(text, terms))
    assert [word for word in found if not unspaced(text[word.begin])] == spaced
    runs = [(at, at + size) for at in range(len(text)) for size in (1, 2) if text[at : at + size] in terms.runs]
    assert sorted((w.begin, w.end) for w in found if unspaced(text[w.begin])) == sorted(
        (begin, end) for begin, end in runs if end <= len(text)
    )


def test_queries_in_unspaced_scripts_become_pairs() -> None:
    assert query_terms("京都の雨").runs == {"京都", "都の", "の雨"}
    assert query_terms("雨 rain").runs == {"雨"}
