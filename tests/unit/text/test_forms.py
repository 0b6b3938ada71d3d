"""Which stems words of a form may have."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from Stemmer import Stemmer

import ragvec
from ragvec.text.analyzers import analyzer
from ragvec.text.forms import fits, form_parts, root, stems_of, written

STEM = Stemmer("english")
ENDINGS = ["", "s", "es", "ed", "ing", "ly", "ies", "ied", "y", "ation", "ational", "bility", "bly", "ible", "iveness"]
ENDINGS += ["ization", "fulness", "ement", "ical", "logy", "ness", "ously", "er", "eedly", "'s", "ting", "ll", "ying"]


def known_words() -> list[str]:
    """The words of this package's own texts, some tens of thousands."""
    found: set[str] = set()
    for path in Path(ragvec.__file__).parent.rglob("*.py"):
        found |= set(re.findall(r"[a-z]+", path.read_text("utf-8").lower()))
    dice = random.Random(3)
    letters = "abcdefghilmnoprstuy"
    return sorted(found) + [
        "".join(dice.choices(letters, k=dice.randint(1, 6))) + dice.choice(ENDINGS) for _ in range(20_000)
    ]


WORDS = known_words()


def test_every_word_begins_with_the_root_of_its_stem() -> None:
    assert not [word for word in WORDS if not word.startswith(root(STEM.stemWord(word)))]


@pytest.mark.parametrize("language", ["en", None])
@pytest.mark.parametrize("seed", range(2))
def test_no_word_of_a_form_is_missed_and_none_is_taken_for_one(language: str | None, seed: int) -> None:
    dice = random.Random(seed)
    by_stem: dict[str, set[str]] = {}
    for word in WORDS:
        for term in analyzer(language).tokens(word):
            by_stem.setdefault(term, set()).update(written(language).tokens(word))
    for _ in range(60):
        word = dice.choice([word for word in dice.choices(WORDS, k=50) if len(word) > 3] or ["ferry"])
        cut = dice.randint(3, len(word))
        pattern = word[:cut] + "*" + (word[-dice.randint(1, 3) :] if dice.random() < 0.3 else "")
        parts = form_parts(pattern, language=language)
        beginning = [stem for stem in by_stem if stem.startswith(parts[0])]
        stems = stems_of(parts, beginning, language=language)
        for stem in stems.sure:
            assert all(fits(one, parts) for one in by_stem[stem]), (pattern, stem)
        told = {*stems.sure, *stems.unsure}
        missed = {
            stem for stem, those in by_stem.items() if stem not in told and any(fits(one, parts) for one in those)
        }
        assert not missed, pattern


@settings(max_examples=300, deadline=None)
@given(st.text("abcdeghilmnorstuvy'", min_size=1, max_size=12))
@example("dying")
@example("skies")
@example("sensibility")
@example("happily")
@example("controlled")
@example("swimming")
def test_the_root_of_any_letters(word: str) -> None:
    stem = STEM.stemWord(word)
    assert word.startswith(root(stem)) or not word[0].isalpha()


def test_words_are_written_as_they_are() -> None:
    assert written("en").tokens("The Ferry's cafés, foo_bar!") == ["the", "ferry", "cafes", "foo", "bar", "foobar"]
    assert written(None).tokens("Ferries' cafés") == ["ferries", "cafés"]
    assert form_parts("CAFÉ*s", language="en") == ("cafe", "s")
    assert form_parts("Café*", language=None) == ("café", "")
