"""The texts of a result: excerpts, what an answer stands in, and where the words of the query are in them."""

from __future__ import annotations

import re
from typing import Literal, TypeAlias

import msgspec

from ragvec.kendra.found import Answer, Found, Outcome
from ragvec.kendra.limits import Limits
from ragvec.pipeline.passages import PASSAGE, PASSAGES, TEXT
from ragvec.text.highlight import Excerpt, Span, best_window, excerpt, highlights
from ragvec.text.words import Terms, query_terms

__all__ = ["AnswerText", "Kind", "Sought", "answer_text", "beginning", "excerpt_of", "passage_content", "text_of"]

Kind: TypeAlias = Literal["STANDARD", "THESAURUS_SYNONYM"]

_ANSWER_CHARS = 600
_STARTS = re.compile(r"(?:[.!?…][\"'”’»)\]]*\s+|[。！？]|\n\s*)(?=\S)")
_LAST_WORD = re.compile(r"\s+\S*$")


class Sought(msgspec.Struct, frozen=True):
    """The words to highlight: `every` of them, and those that the query itself has; the others are synonyms."""

    every: Terms
    own: Terms

    @classmethod
    def of(cls, outcome: Outcome) -> Sought:
        """What to highlight in an outcome."""
        own = query_terms(outcome.words)
        more = query_terms(" ".join(outcome.synonyms))
        return cls(Terms(own.stems | more.stems, own.runs | more.runs) if outcome.synonyms else own, own)

    def spans(self, text: str) -> tuple[Span, ...]:
        """Where the words stand in a text, left to right."""
        return highlights(text, self.every)

    def synonyms(self, text: str) -> frozenset[Span]:
        """Those of the spans of a text that only a thesaurus brought."""
        if self.every == self.own:
            return frozenset()
        return frozenset(self.spans(text)) - frozenset(highlights(text, self.own))


class AnswerText(msgspec.Struct, frozen=True):
    """What an answer stands in: a piece of its passage, and the answer in it. `begin` is the piece's in the passage."""

    text: str
    answer: Span
    begin: int


def text_of(found: Found, name: str = TEXT) -> str:
    """A text of the metadata; empty where there is none."""
    value = found.metadata.get(name)
    return value if isinstance(value, str) else ""


def excerpt_of(found: Found, sought: Sought, *, limits: Limits) -> Excerpt:
    """The part of the passage that shows most of the terms; dots also where the passage is not its whole document."""
    number, count = found.metadata.get(PASSAGE, 0), found.metadata.get(PASSAGES, 1)
    return excerpt(
        text_of(found),
        sought.every,
        max_chars=limits.excerpt_chars,
        max_words=limits.excerpt_words,
        more_before=number > 0,
        more_after=number + 1 < count,
    )


def passage_content(found: Found, sought: Sought, *, limits: Limits) -> str:
    """The passage's text; of one that is too long, the window that shows most of the terms, without dots."""
    text = text_of(found)
    if len(text.split()) <= limits.passage_words:
        return text
    window = best_window(text, sought.every, max_chars=None, max_words=limits.passage_words)
    return text[window.begin : window.end]


def answer_text(answer: Answer, *, limits: Limits) -> AnswerText:
    """The passage around an answer, from the start of a sentence, such that an excerpt of its beginning shows it.

    It has some 600 characters and whole words; longer only where the answer is.
    """
    text = text_of(answer.passage)
    last = min(answer.begin, len(text))
    earliest = max(0, answer.end - limits.excerpt_chars)
    starts = [0, *(match.end() for match in _STARTS.finditer(text))]
    begin = next((start for start in starts if earliest <= start <= last), last)
    end = len(text)
    if end - begin > _ANSWER_CHARS:
        end = max(answer.end, begin + len(beginning(text[begin:], _ANSWER_CHARS)))
    piece = text[begin:end].rstrip()
    return AnswerText(piece, Span(last - begin, min(answer.end - begin, len(piece))), begin)


def beginning(text: str, most: int) -> str:
    """The first words of a text, in at most `most` characters; of a longer word, its beginning."""
    if len(text) <= most:
        return text
    cut = text[: most + 1]
    return (_LAST_WORD.sub("", cut) or cut[:most])[:most]
