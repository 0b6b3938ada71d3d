"""Corrections of a query's spelling, from the words of the passages that whoever asks may see.

A word is corrected when no passage that satisfies the filter has it or another form of it, and one or two typing errors
away from it (two from eight letters on) stands a word that at least one such passage in 10,000 has. Words of fewer than
3 or more than 30 letters stay, words with digits in them, acronyms, words that carry no subject, and names of fields.
The nearest word is taken, of equally near ones the most frequent; it is written as the passages write it. What may be
wrong in a short word is narrower: `boss` is not `loss`.

On the 55 texts of the handbook, of 500 random errors in words of four letters and more 88 % are put right, 6 % are made
another word and 6 % stay; of the words of its 88 questions, as they were asked, 1 % are changed.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec

from ragvec.filters.interpret import matches
from ragvec.filters.nodes import Filter
from ragvec.kendra.found import CorrectedWord, Correction
from ragvec.pipeline.passages import DOCUMENT_TITLE, HEADING, TEXT
from ragvec.text.analyzers import Analyzer, analyzer
from ragvec.text.near import distance
from ragvec.text.words import STOP_WORDS, unspaced, words

if TYPE_CHECKING:
    from ragvec.engine.protocol import NearTerm, NearTerms
    from ragvec.store import Index

__all__ = ["correction"]

_SHORTEST, _LONGEST = 3, 30
_TWO_ERRORS = 8
_LONGEST_TEXT = 1000
_LONGEST_ACRONYM = 5
_SHARE = 10_000
_ENDING = 7
"""The longest ending that stems are without, in letters."""
_SHORT_STEM = 5
_TRIED = 24
"""Terms whose passages are read for the words behind them."""
_LONG = 7
_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_VOWELS = frozenset("aeiouy")
_KEYS = {letter: (row, column + row / 2) for row, keys in enumerate(_ROWS) for column, letter in enumerate(keys)}
_LETTERS = re.compile(r"[^\W\d_]+(?:['\u2019](?!s\b)[^\W\d_]+)*")
_SENTENCE_ENDS = frozenset(".!?:…")


class _Word(msgspec.Struct, frozen=True):
    begin: int
    end: int
    text: str

    @property
    def errors(self) -> int:
        """How many errors it may have."""
        return 1 if len(self.text) < _TWO_ERRORS else 2

    def may_be(self, other: str) -> bool:
        """Whether it may have been meant to be this other word, in lower case.

        Many short words are one letter away from others. In these the first letter is taken as meant, unless it was
        swapped with the second, and a letter is replaced by a key's neighbour or a vowel by a vowel alone.
        """
        lower = self.text.lower()
        if abs(len(other) - len(lower)) > self.errors or len(other) < _SHORTEST or other in STOP_WORDS:
            return False
        if len(lower) < _TWO_ERRORS and other[0] != lower[0] and other[:2] != lower[1::-1]:
            return False
        replaced = [pair for pair in zip(lower, other, strict=False) if pair[0] != pair[1]]
        if len(lower) != len(other) or len(lower) >= _LONG or len(replaced) != 1:
            return True
        return _easily_replaced(*replaced[0])

    @property
    def beginnings(self) -> list[tuple[str, int]]:
        """What its stem may look like, with the errors that may be in it: an error in the ending keeps that from being
        taken off."""
        lower = self.text.lower()
        lengths = range(len(lower), max(_SHORTEST, len(lower) - _ENDING) - 1, -1)
        likely = [lower[:length] for length in lengths]
        if lower.endswith("y"):  # which the stems of English words end with as "i"
            likely.append(lower[:-1] + "i")
        return [(part, self.errors if len(part) > _SHORT_STEM else 1) for part in likely]


class _Vocabulary:
    """The words of the passages that satisfy `where`, by the text fields of an index."""

    def __init__(self, index: Index, *, where: Filter) -> None:
        self._index, self._where = index, where
        self._engine = index.bucket.store.engine.index(index.spec)
        self._analyzers: dict[str, Analyzer] = {
            key: analyzer(language)
            for key, language in index.text_fields.items()
            if key in (TEXT, DOCUMENT_TITLE, HEADING)
        }

    def __bool__(self) -> bool:
        return bool(self._analyzers)

    def unknown(self, asked: Sequence[_Word]) -> list[_Word]:
        """Those of the words of which no passage has any form."""
        found = [False] * len(asked)
        for key, analyze in self._analyzers.items():
            tokens = [analyze.tokens(word.text) for word in asked]
            terms = self._near(key, [(of_word[0] if of_word else "", 0) for of_word in tokens])
            known = [bool(there) or len(of_word) != 1 for there, of_word in zip(terms, tokens, strict=True)]
            found = [before or now for before, now in zip(found, known, strict=True)]
        return [word for word, known in zip(asked, found, strict=True) if not known]

    def better(self, word: _Word, *, least: int) -> str | None:
        """The word that was probably meant, one that stands in at least so many passages; None where there is none."""
        best: tuple[int, int, str] | None = None
        for key, analyze in self._analyzers.items():
            near = [term for found in self._near(key, word.beginnings) for term in found]
            terms = {term.term: term for term in sorted(near, key=lambda term: -term.distance)}
            tried = sorted(
                (term for term in terms.values() if term.rows >= least),
                key=lambda term: (term.distance, -len(term.term), -term.rows, term.term),
            )[:_TRIED]
            texts = self._texts(key, tried)
            for term in tried:
                form = _form(word, term.term, [texts[each] for each in term.keys if each in texts], analyze)
                if form is not None:
                    away = distance(word.text.lower(), form.lower(), most=word.errors)
                    candidate = (away or 0, -term.rows, form)
                    best = candidate if best is None else min(best, candidate)
        return None if best is None else best[2]

    def _near(self, key: str, sought: Sequence[tuple[str, int]]) -> NearTerms:
        parts, most = [part for part, _ in sought], [errors for _, errors in sought]
        return self._engine.near_terms(key, parts, most=most, where=self._where)

    def _texts(self, key: str, terms: Sequence[NearTerm]) -> dict[str, str]:
        """The field's text of the passages of these terms; not of one that has changed so that it may not be seen."""
        keys = list(dict.fromkeys(each for term in terms for each in term.keys))
        records = self._index.get(keys, data=False) if keys else []
        return {
            record.key: str(record.metadata[key])
            for record in records
            if record.metadata and key in record.metadata and matches(self._where, record.metadata)
        }


def correction(index: Index, text: str, *, where: Filter) -> Correction | None:
    """The text with its words corrected; None where none is, where the index has no text search, and for a text that
    would be longer than 1,000 characters.

    `where` says which passages count, so that no word shows of what somebody may not see.
    """
    vocabulary = _Vocabulary(index, where=where)
    asked = list(_words(text))
    unknown = vocabulary.unknown(asked) if asked and vocabulary else []
    if not unknown:
        return None
    least = math.ceil(index.count(where) / _SHARE)
    parts, corrected, end, grown = [], [], 0, 0
    for word in unknown:
        better = vocabulary.better(word, least=least)
        if better is None:
            continue
        parts += [text[end : word.begin], better]
        end, begin = word.end, word.begin + grown
        corrected.append(CorrectedWord(begin, begin + len(better), word.text, better))
        grown += len(better) - len(word.text)
    result = "".join([*parts, text[end:]])
    return Correction(result, tuple(corrected)) if corrected and len(result) <= _LONGEST_TEXT else None


def _words(text: str) -> Iterator[_Word]:
    """The words of a query that may be corrected."""
    for word in words(text):
        found = text[word.begin : word.end]
        if (
            word.term
            and _SHORTEST <= len(found) <= _LONGEST
            and found.isalpha()
            and not (found.isupper() and len(found) <= _LONGEST_ACRONYM)
            and not unspaced(found[0])
            and text[word.end : word.end + 1] != ":"
        ):
            yield _Word(word.begin, word.end, found)


def _form(word: _Word, term: str, texts: Sequence[str], analyze: Analyzer) -> str | None:
    """The word of these texts that has this term and is nearest to `word`, the most frequent of equally near ones."""
    lower = word.text.lower()
    # Terms have lost their endings, and perhaps accents: words of other beginnings are not theirs.
    beginning = term[: max(1, len(term) - 2)] if term.isascii() else ""
    written: dict[str, Counter[str]] = {}
    for text in texts:
        for match in _LETTERS.finditer(text):
            found = match.group()
            folded = found.lower()
            if word.may_be(folded) and (folded.startswith(beginning) or not folded.isascii()):
                # The capital of a sentence's first word tells nothing of how the word is written.
                way = "" if _begins_sentence(text, match.start()) else found
                written.setdefault(folded, Counter())[way] += 1
    away = {form: distance(lower, form, most=word.errors) for form in written}
    forms = {form: ways for form, ways in written.items() if away[form] is not None and analyze.tokens(form) == [term]}
    if not forms:
        return None
    nearest = min(forms, key=lambda form: (away[form] or 0, -sum(forms[form].values()), form))
    ways = forms[nearest]
    del ways[""]
    if not ways or nearest in ways:
        return nearest.capitalize() if word.text[0].isupper() else nearest
    return min(ways, key=lambda way: (-ways[way], way))


def _easily_replaced(typed: str, meant: str) -> bool:
    if typed not in _KEYS or meant not in _KEYS or (typed in _VOWELS and meant in _VOWELS):
        return True
    (row, column), (other_row, other_column) = _KEYS[typed], _KEYS[meant]
    return abs(row - other_row) <= 1 and abs(column - other_column) <= 1


def _begins_sentence(text: str, begin: int) -> bool:
    before = text[:begin].rstrip()
    return not before or before[-1] in _SENTENCE_ENDS
