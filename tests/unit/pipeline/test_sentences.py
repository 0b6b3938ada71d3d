"""Where sentences begin."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragvec.pipeline.sentences import sentence_starts


def sentences(text: str) -> list[str]:
    starts = [*sentence_starts(text, 0, len(text)), len(text)]
    return [text[begin:end].strip() for begin, end in pairwise(starts)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ('He said "stop." Then he left.', ['He said "stop."', "Then he left."]),
        ("See Dr. Smith, e.g. Monday. He knows.", ["See Dr. Smith, e.g. Monday.", "He knows."]),
        ("J. Smith of the U.S. Navy left. It rained.", ["J. Smith of the U.S. Navy left.", "It rained."]),
        ("Version 2.1 is out. 3 people came.", ["Version 2.1 is out.", "3 people came."]),
        ("and so on etc. but more. ok", ["and so on etc. but more. ok"]),
        ("これは文です。次の文です！終わり", ["これは文です。", "次の文です！", "終わり"]),
        ("¿Qué? ¡No! Sí.", ["¿Qué?", "¡No!", "Sí."]),
        ("Wait... Really?", ["Wait...", "Really?"]),
    ],
)
def test_sentences_end_where_a_reader_says(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


@pytest.mark.parametrize("text", ["." * 200_000, '."' * 100_000, ". " * 100_000, "." + " " * 200_000, "。 " * 50_000])
def test_hostile_punctuation_is_read_once(text: str) -> None:
    starts = sentence_starts(text, 0, len(text))
    assert starts[0] == 0
    assert starts == sorted(set(starts))


@given(st.text(st.sampled_from("aB. !?。\"'1\n"), max_size=60), st.integers(0, 10))
def test_starts_rise_within_the_range(text: str, begin: int) -> None:
    begin = min(begin, len(text))
    starts = sentence_starts(text, begin, len(text))
    assert starts[0] == begin
    assert starts == sorted(set(starts))
    assert starts[-1] <= max(begin, len(text) - 1) or not text[begin:]
