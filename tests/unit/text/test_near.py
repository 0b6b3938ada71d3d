"""Terms near a word, against a plain recursion and against looking at every term."""

from __future__ import annotations

import random
from functools import cache

import pytest

from ragvec.text.near import TermShapes, distance, near


def plainly(first: str, second: str) -> int:
    """Optimal string alignment, as its definition reads."""

    @cache
    def away(i: int, j: int) -> int:
        if not i or not j:
            return i + j
        found = [away(i - 1, j) + 1, away(i, j - 1) + 1, away(i - 1, j - 1) + (first[i - 1] != second[j - 1])]
        if i > 1 and j > 1 and first[i - 1] == second[j - 2] and first[i - 2] == second[j - 1]:
            found.append(away(i - 2, j - 2) + 1)
        return min(found)

    return away(len(first), len(second))


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("", "", 0),
        ("ferry", "ferry", 0),
        ("fery", "ferry", 1),
        ("ferrry", "ferry", 1),
        ("ferri", "ferry", 1),
        ("frery", "ferry", 1),
        ("ca", "abc", 3),
        ("bicylce", "bicycle", 1),
    ],
)
def test_errors_between_words(first: str, second: str, expected: int) -> None:
    assert distance(first, second, most=3) == expected
    assert distance(second, first, most=expected) == expected
    assert distance(first, second, most=expected - 1) is None


@pytest.mark.parametrize("seed", range(20))
def test_random_words_against_the_definition(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(100):
        first, second = ("".join(rng.choices("abcé", k=rng.randrange(9))) for _ in range(2))
        expected, most = plainly(first, second), rng.randrange(4)
        assert distance(first, second, most=most) == (expected if expected <= most else None)


@pytest.mark.parametrize("seed", range(10))
def test_no_near_term_is_passed_over(seed: int) -> None:
    rng = random.Random(seed)
    letters = "abcdefghijklmnopqrstuvwxyz0189äßжя中"
    terms = {"".join(rng.choices(letters[: rng.choice([6, 26, 37])], k=rng.randrange(1, 9))) for _ in range(2000)}
    shapes = TermShapes.of(sorted(terms))
    assert len(shapes) == len(terms)
    for word in [*rng.sample(sorted(terms), 10), *("".join(rng.choices(letters, k=5)) for _ in range(10))]:
        for most in (0, 1, 2):
            assert near(shapes, word, most=most) == {
                term: away for term in terms if (away := distance(word, term, most=most)) is not None
            }


def test_without_terms() -> None:
    assert near(TermShapes.of([]), "word", most=2) == {}
