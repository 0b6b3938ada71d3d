"""Words as they are written, before a language makes stems of them, and which stems words of a form may have.

Inverted lists hold stems. Whether a word begins in some way can be told by its stem in most cases: by Porter2, the
English stemmer, a stem is the beginning of its word but for at most two letters at its end, which `root` takes away,
and what follows the root in the word begins with few letters: it is what the rules of Porter2 take away.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

from ragvec.text.languages.european import unaccented
from ragvec.text.languages.standard import Words, folded

__all__ = ["TELLING", "Stems", "fits", "form_parts", "root", "stems_of", "written"]

TELLING = ("en", None)
"""Languages in which `stems_of` tells something; in others any stem may be that of a word of some form."""

_VOWEL = re.compile("[aeiouy]")
_SYLLABLE = re.compile("[aeiouy][^aeiou]")
_AFTER: Mapping[str, str] = {"": "aefilmnosy'", "e": "aeioy", "i": "iy", "ie": "iy", "y": "iy", "l": "il", "le": "il"}
"""What may follow a root in a word whose stem is the root and this ending."""


@cache
def written(language: str | None) -> Words:
    """Words and codes as they are written, in folded case; in English without accents and the possessive 's."""
    if language == "en":
        return Words("written:en", word=lambda word: (unaccented(word.removesuffix("'s") or word),))
    return Words("written")


def form_parts(pattern: str, *, language: str | None) -> tuple[str, ...]:
    """What stands before, between and behind the `*` of a pattern, as `written` has it; empty where nothing does."""
    parts = map(folded, pattern.split("*"))
    return tuple(map(unaccented, parts) if language == "en" else parts)


def fits(word: str, parts: tuple[str, ...]) -> bool:
    """Whether the word has these parts in order: it begins with the first and ends with the last."""
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


def root(stem: str) -> str:
    """The part of an English stem with which every word begins that has the stem."""
    if stem.endswith(("ble", "ie")):
        return stem[:-2]
    if stem.endswith("e"):
        # None is put behind what has no vowel.
        return stem[:-1] if _VOWEL.search(stem, 0, len(stem) - 1) else stem
    return stem[:-1] if stem.endswith(("i", "y", "bl")) else stem


class Stems:
    """Terms of a text field: `sure` ones are those of words of the form alone, `unsure` ones may be of others too."""

    __slots__ = ("sure", "unsure")

    def __init__(self, sure: list[str], unsure: list[str]) -> None:
        self.sure, self.unsure = sure, unsure


def stems_of(parts: tuple[str, ...], beginning: list[str], *, language: str | None) -> Stems:
    """The stems that words with these parts may have: of `beginning`, all terms of the field that begin with the first
    part, and of others, which the field may or may not have. For the languages of `TELLING`."""
    if language is None:
        return Stems([term for term in beginning if fits(term, parts)], [])
    first = parts[0]
    simple = not any(parts[1:])
    sure, unsure = [], list(dict.fromkeys(_shorter(first)))
    for term in beginning:
        if simple and root(term).startswith(first):
            sure.append(term)
        else:
            unsure.append(term)
    return Stems(sure, [term for term in dict.fromkeys(unsure) if term not in set(sure)])


def _shorter(beginning: str) -> list[str]:
    """English stems, other than those that begin so, which a word with this beginning may have."""
    found = []
    for size in range(1, len(beginning)):
        kept, after = beginning[:size], beginning[size]
        found += [kept + ending for ending in _AFTER if _may_follow(kept, ending, after)]
    return [stem for stem in found if not stem.startswith(beginning)]


def _may_follow(kept: str, ending: str, after: str) -> bool:
    """Whether a word that begins with `kept` and then `after` may have the stem `kept + ending`."""
    if ending in ("l", "le") and not kept.endswith("b"):
        return False
    if ending in ("", "e") and not _VOWEL.search(kept):
        # Nothing is taken from behind what has no vowel, but for an s behind an apostrophe.
        return after == (ending or "'")
    if ending == "" and after == kept[-1]:
        return True
    if ending == "" and after in "amo" and len(_SYLLABLE.findall(kept)) < 2:
        # Suffixes with these letters go only from behind two syllables, or leave these letters.
        return kept.endswith(("at", "iz"))
    return after in _AFTER[ending]
