"""English, French, Spanish, Portuguese, Italian, German and Dutch: stems by the Snowball algorithms.

What is done around the stemmer, language by language; where accents are folded, they may be left out in typing.

| language | before the stemmer | after it |
|---|---|---|
| en | accents folded: only loanwords have them | |
| fr | elided words left out (l'eau → eau), ligatures opened (cœur → coeur) | accents folded |
| es | | accents folded, but not ñ, a letter of its own (año, ano) |
| pt | d' left out; plurals that the stemmer does not know (-ões, -ais, -éis, -ns), -cao for -ção | accents folded |
| it | elided words left out (dell'acqua → acqua) | accents folded |
| de | | accents folded (umlauts, also ae oe ue, are the stemmer's); -inn as -in |
| nl | | accents folded |

The possessive 's is left out in all of them. Accents are folded on Latin letters only. Compounds are not divided.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from importlib.metadata import version

from ragvec.text.languages.standard import RULES, Words
from ragvec.text.words import STOP_WORDS

__all__ = ["EUROPEAN", "european", "unaccented"]

EUROPEAN = {
    "en": "english",
    "fr": "french",
    "es": "spanish",
    "pt": "portuguese",
    "it": "italian",
    "de": "german",
    "nl": "dutch",
}
"""Languages with the names of their stemmers."""

_FRENCH = re.compile(r"(?:[ldjtmncs]|qu|jusqu|lorsqu|puisqu|quoiqu)'(?=.)")
_ITALIAN = re.compile(
    r"(?:[lcdmstv]|un|gl|agl|dagl|degl|negl|sugl|(?:a|da|de|ne|su|co|pe|que|be|sant?)ll?|quest)'(?=.)"
)
_PORTUGUESE = re.compile(r"d'(?=.)")
_PORTUGUESE_ENDINGS = tuple(
    (re.compile(ending), singular)
    for ending, singular in (
        ("[cç][oõ]es$", "ção"),
        ("cao$", "ção"),
        ("[õã]es$", "ão"),
        ("veis$", "vel"),
        ("éis$", "el"),
        ("(?<=[áâéêíóôú].)eis$|(?<=[áâéêíóôú]..)eis$", "il"),
        ("(?<=..)ais$", "al"),
        ("óis$", "ol"),
        ("(?<=[bcdfghjklmnpqrstvxz])is$", "il"),
        ("ns$", "m"),
    )
)
_ACCENT = re.compile("(?<=[A-Za-z\u00c0-\u024f])[\u0300-\u036f]+")
_LETTERS = str.maketrans({"æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i", "ħ": "h"})


def european(language: str) -> Words:
    """The analyzer of one of the languages of `EUROPEAN`."""
    name = EUROPEAN[language]
    from Stemmer import Stemmer

    def stem(word: str) -> str:
        # One for each word, a microsecond: a stemmer keeps state between its steps, and threads share the analyzer.
        return str(Stemmer(name, 0).stemWord(word))

    label = f"{language}:{RULES} snowball {version('PyStemmer')}"
    return Words(label, word=_terms(language, stem), light=STOP_WORDS if language == "en" else ())


def _terms(language: str, stem: Callable[[str], str]) -> Callable[[str], Sequence[str]]:
    before, after = _BEFORE.get(language, _opened), _AFTER.get(language, unaccented)

    def terms(word: str) -> Sequence[str]:
        # What is so long is no word: its stem would mean nothing and take long.
        if len(word) > _LONGEST_WORD:
            return (unaccented(word),)
        return (after(stem(before(word.removesuffix("'s") or word))),)

    return terms


_LONGEST_WORD = 100


def _opened(word: str) -> str:
    return word if word.isascii() else word.translate(_LETTERS)


def unaccented(word: str) -> str:
    """The word without the accents of its Latin letters."""
    if word.isascii():
        return word
    apart = unicodedata.normalize("NFD", word.translate(_LETTERS))
    return unicodedata.normalize("NFC", _ACCENT.sub("", apart))


def _spanish(word: str) -> str:
    return word if word.isascii() else unicodedata.normalize("NFC", _ACCENT.sub(_but_tilde_n, _apart(word)))


def _apart(word: str) -> str:
    return unicodedata.normalize("NFD", word.translate(_LETTERS))


def _but_tilde_n(match: re.Match[str]) -> str:
    return "\u0303" if match.string[match.start() - 1] == "n" and "\u0303" in match.group() else ""


def _without(elided: re.Pattern[str]) -> Callable[[str], str]:
    def before(word: str) -> str:
        opened = _opened(word)
        match = elided.match(opened)
        return opened if match is None else opened[match.end() :]

    return before


def _portuguese(word: str) -> str:
    word = _PORTUGUESE.sub("", word, count=1) if word.startswith("d'") else word
    if len(word) > 4 or "õ" in word or "ã" in word:
        for ending, singular in _PORTUGUESE_ENDINGS:
            changed, times = ending.subn(singular, word)
            if times:
                return changed
    return _opened(word)


def _german_plain(stem: str) -> str:
    plain = unaccented(stem)
    return plain[:-1] if len(plain) > 5 and plain.endswith("inn") else plain


_BEFORE: dict[str, Callable[[str], str]] = {
    "en": unaccented,
    "fr": _without(_FRENCH),
    "it": _without(_ITALIAN),
    "pt": _portuguese,
}
_AFTER: dict[str, Callable[[str], str]] = {"es": _spanish, "de": _german_plain}
