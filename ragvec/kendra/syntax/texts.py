"""Words, phrases and wildcards in one text: the plain reading, to which every faster way answers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from ragvec.text.analyzers import Analyzer
from ragvec.text.forms import fits, written
from ragvec.text.languages.standard import folded
from ragvec.text.words import SPACED, UNSPACED

__all__ = ["folded_words", "has_glob", "has_phrase", "has_word"]

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
    simple = _simply_folded(text)
    if simple is not None and _phrase_like(tuple(phrase)).search(simple) is None:
        return False
    wanted, found = list(phrase), folded_words(text)
    first, length = wanted[0], len(wanted)
    return any(word == first and found[at : at + length] == wanted for at, word in enumerate(found))


def has_glob(text: str, parts: tuple[str, ...], *, language: str | None) -> bool:
    """Whether a word of the text, or a code as a whole, as a text field of the language has them written, has these
    parts in order: it begins with the first and ends with the last."""
    if text.isascii() and _beginning_like(parts[0]).search(text.lower()) is None:
        return False
    return any(fits(word, parts) for word in written(language).tokens(text))


@lru_cache(maxsize=1 << 16)
def _folded(word: str) -> str:
    return folded(word)


# Dividing a text takes long, so most are passed over by a look at them as a whole. That goes where folding a text is
# the same as folding its words: without marks that join what stands before them, and characters that cannot be seen.
_SIMPLE = re.compile("[\\x00-\\xac\\xae-\\u024f\\u2010-\\u2027\\u2030-\\u205e\\u20ac]*")


def _simply_folded(text: str) -> str | None:
    if text.isascii():
        return text.lower()
    return folded(text) if _SIMPLE.fullmatch(text) else None


@lru_cache(maxsize=256)
def _phrase_like(phrase: tuple[str, ...]) -> re.Pattern[str]:
    """What every simply folded text has that holds the phrase."""
    return re.compile(r"[\W_]*".join(map(re.escape, phrase)))


@lru_cache(maxsize=256)
def _beginning_like(part: str) -> re.Pattern[str]:
    """What every text of plain characters has, in small letters, with a word or code that begins so."""
    return re.compile(r"(?<![^\W_])" + r"[-_./:@,]?".join(map(re.escape, part)))
