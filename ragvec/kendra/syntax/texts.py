"""Words, phrases and wildcards in one text: the plain reading, to which every faster way answers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from ragvec.text.analyzers import Analyzer
from ragvec.text.languages.standard import folded
from ragvec.text.words import SPACED, UNSPACED

__all__ = ["folded_words", "glob_parts", "has_glob", "has_phrase", "has_word"]

_WORD = re.compile(rf"[{UNSPACED}]|{SPACED}")


def folded_words(text: str) -> list[str]:
    """The words of a text in order, in folded case; each character of a script without spaces is one."""
    return list(map(_folded, _WORD.findall(text)))


def has_word(text: str, word: str, *, analyzer: Analyzer) -> bool:
    """Whether all terms that the analyzer makes of the word are among those of the text; False where it makes none."""
    wanted = set(analyzer.tokens(word))
    return bool(wanted) and wanted <= set(analyzer.tokens(text))


def has_phrase(text: str, phrase: Sequence[str]) -> bool:
    """Whether the words of the phrase, folded, stand in the text one after the other; whatever stands between words
    does not count."""
    if text.isascii():
        # Without this most texts would be divided in vain; folding does not change their letters but for case.
        lower = text.lower()
        if not all(word in lower for word in phrase):
            return False
    found = folded_words(text)
    first, length = phrase[0], len(phrase)
    return any(
        word == first and found[at : at + length] == list(phrase) for at, word in enumerate(found) if word == first
    )


def glob_parts(pattern: str) -> tuple[str, ...]:
    """What stands before, between and behind the `*` of a pattern, folded; empty where nothing does."""
    return tuple(map(folded, pattern.split("*")))


def has_glob(text: str, parts: Sequence[str]) -> bool:
    """Whether a word of the text, folded, has these parts in order: it begins with the first and ends with the last."""
    if text.isascii():
        lower = text.lower()
        if not all(part in lower for part in parts):
            return False
    return any(_fits(word, parts) for word in folded_words(text))


def _fits(word: str, parts: Sequence[str]) -> bool:
    first, *between, last = parts
    if not word.startswith(first) or len(word) < len(first) + len(last) or not word.endswith(last):
        return False
    at, end = len(first), len(word) - len(last)
    for part in between:
        found = word.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True


@lru_cache(maxsize=1 << 16)
def _folded(word: str) -> str:
    return folded(word)
