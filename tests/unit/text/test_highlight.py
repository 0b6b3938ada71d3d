"""Highlights and excerpts, against plain restatements of what they promise."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragvec.text.highlight import CUT, best_window, excerpt, highlights
from ragvec.text.words import STOP_WORDS, query_terms, stem, words

VOCABULARY = [
    "ferry",
    "ferries",
    "bicycle",
    "Bicycles",
    "the",
    "of",
    "naïve",
    "café",
    "straße",
    "𝒳-ray",
    "👩‍🚀",
    "Zürich's",
    "3.5",
]
SEPARATORS = [" ", "  ", "\n", ". ", ", ", "! ", "\n\n", " — "]
TEXTS = st.lists(st.tuples(st.sampled_from(VOCABULARY), st.sampled_from(SEPARATORS)), max_size=120).map(
    lambda parts: "".join(word + gap for word, gap in parts)
)
QUERIES = st.lists(st.sampled_from(VOCABULARY), min_size=1, max_size=4).map(" ".join)


def marked(text: str, query: str) -> list[str]:
    return [text[span.begin : span.end] for span in highlights(text, query_terms(query))]


def test_whole_words_are_marked_in_every_form_and_stop_words_are_not() -> None:
    text = "Every morning ferry has racks for 24 bicycles. The noon ferry takes 12 bicycles; strap the bicycle down."
    assert marked(text, "how many bicycles fit on the morning ferry") == [
        "morning", "ferry", "bicycles", "ferry", "bicycles", "bicycle",
    ]  # fmt: skip
    assert marked("a bicyclist's ferryman", "bicycle ferry") == []


def test_offsets_are_code_points_also_above_the_basic_plane() -> None:
    text = "👩‍🚀🛰️ 𝒳𝒴𝒵: the café’s naïve ferry"
    assert marked(text, "NAIVE ferries cafe") == ["café’s", "naïve", "ferry"]


def test_runs_of_unspaced_scripts_are_marked_as_one() -> None:
    assert marked("明日は京都の雨が降る", "京都の雨") == ["京都の雨"]
    assert marked("東の京、都の", "京都") == []


def test_a_short_text_is_its_own_excerpt() -> None:
    shown = excerpt("Bring a bicycle.", query_terms("bicycle"))
    assert shown.text == "Bring a bicycle."
    assert [(span.begin, span.end) for span in shown.highlights] == [(8, 15)]


def test_offsets_count_the_dots_of_a_text_cut_before_it() -> None:
    shown = excerpt("Bring a bicycle.", query_terms("bicycle"), more_before=True, more_after=True)
    assert shown.text == "...Bring a bicycle...."
    assert [(span.begin, span.end) for span in shown.highlights] == [(11, 18)]


def test_the_window_covers_the_most_terms_and_begins_at_a_sentence() -> None:
    noise = "Nothing of note is written in this sentence here. "
    text = noise * 12 + "Ferry staff check each bicycle on the morning deck. " + noise * 12
    shown = excerpt(text, query_terms("bicycle morning ferry"))
    assert "Ferry staff check each bicycle on the morning deck." in shown.text
    assert re.match(r"\.\.\.(Nothing|Ferry)", shown.text)
    assert shown.text.endswith("." + CUT)


def test_without_a_matching_word_the_excerpt_is_the_beginning() -> None:
    text = "First sentence of it. " * 40
    assert excerpt(text, query_terms("zebra")).text.startswith("First sentence of it.")


def test_one_endless_word_is_cut() -> None:
    shown = excerpt("x" * 5000, query_terms("x"))
    assert len(shown.text) <= 300
    assert shown.text.endswith("x" + CUT)


@pytest.mark.parametrize("text", ["", "   \n\t "])
def test_a_text_without_words_has_an_empty_excerpt(text: str) -> None:
    assert excerpt(text, query_terms("ferry")).text == ""
    assert excerpt(text, query_terms("ferry")).highlights == ()


@settings(max_examples=150, deadline=None)
@given(text=TEXTS, query=QUERIES, chars=st.integers(60, 300), before=st.booleans(), after=st.booleans())
def test_what_an_excerpt_promises(text: str, query: str, chars: int, before: bool, after: bool) -> None:
    terms = query_terms(query)
    shown = excerpt(text, terms, max_chars=chars, max_words=40, more_before=before, more_after=after)
    assert len(shown.text) <= chars
    assert len(shown.text.split()) <= 40
    inner = shown.text.removeprefix(CUT).removesuffix(CUT)
    assert inner in text
    for span in shown.highlights:
        word = shown.text[span.begin : span.end]
        assert stem(word) in terms.stems
        assert word.lower() not in STOP_WORDS
    places = [(span.begin, span.end) for span in shown.highlights]
    assert places == sorted(places)
    expected = [word for word in words(inner) if word.term in terms.stems]
    assert len(expected) == len(places)


@settings(max_examples=100, deadline=None)
@given(text=TEXTS, query=QUERIES, chars=st.integers(30, 120))
def test_no_window_covers_more_terms(text: str, query: str, chars: int) -> None:
    """Every window between two word boundaries is tried."""
    terms = query_terms(query)
    window = best_window(text, terms, max_chars=chars, max_words=12)

    def covered(begin: int, end: int) -> int:
        piece = text[begin:end]
        return len({stem(piece[span.begin : span.end]) for span in highlights(piece, terms)})

    chunks = [match.span() for match in re.finditer(r"\S+", text)]
    best = max(
        (
            covered(chunks[i][0], chunks[j][1])
            for i in range(len(chunks))
            for j in range(i, min(i + 12, len(chunks)))
            if chunks[j][1] - chunks[i][0] <= chars
        ),
        default=0,
    )
    assert covered(window.begin, window.end) == best
    assert window.end - window.begin <= chars
