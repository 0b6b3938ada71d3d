"""What a search finds: passages, documents by their best passage, answers, FAQ rows, and the page made of them."""

from __future__ import annotations

import math
from typing import Any, Literal, TypeAlias

import msgspec

from ragvec.kendra.attributes import Field
from ragvec.types import Scalar

__all__ = [
    "Answer",
    "Cell",
    "Confidence",
    "CorrectedWord",
    "Correction",
    "FacetCounts",
    "FacetValue",
    "FaqHit",
    "Found",
    "Outcome",
    "Table",
]

Confidence: TypeAlias = Literal["VERY_HIGH", "HIGH", "MEDIUM", "LOW", "NOT_AVAILABLE"]


class Found(msgspec.Struct, frozen=True, eq=False):
    """A passage that was found, or a document by its best passage.

    `score` is its relevance, None when there was no text; `metadata` are the passage's as stored, without its text when
    that was not read. `similarity` is the cosine to the query, `bm25` the score of its words, where they were computed.
    `group` are other documents of its group, as many as are shown, in a collapsed result, and `group_size` how many the
    group has in all; None elsewhere.
    """

    key: str
    document_id: str
    metadata: dict[str, Any]
    score: float | None
    similarity: float | None = None
    bm25: float | None = None
    group: tuple[Found, ...] | None = None
    group_size: int | None = None


class Cell(msgspec.Struct, frozen=True):
    """A cell of a table's excerpt."""

    value: str
    header: bool = False
    highlighted: bool = False
    top_answer: bool = False


class Table(msgspec.Struct, frozen=True):
    """The part of a table that answers; `total_rows` counts those of the whole."""

    rows: tuple[tuple[Cell, ...], ...]
    total_rows: int


class Answer(msgspec.Struct, frozen=True, eq=False):
    """An answer read from a passage: the characters [begin, end) of the passage's text, or of a table."""

    passage: Found
    begin: int
    end: int
    confidence: Confidence
    score: float
    table: Table | None = None


class FaqHit(msgspec.Struct, frozen=True, eq=False):
    """A row of a FAQ whose question is the one asked, or near it. `metadata` are its attributes as stored."""

    document_id: str
    faq_id: str
    question: str
    answer: str
    uri: str
    metadata: dict[str, Any]
    score: float
    confidence: Confidence


class CorrectedWord(msgspec.Struct, frozen=True):
    """A word of a corrected text: the characters [begin, end) of that text, and the word that was typed."""

    begin: int
    end: int
    term: str
    corrected: str


class Correction(msgspec.Struct, frozen=True):
    """A query with its spelling corrected."""

    text: str
    words: tuple[CorrectedWord, ...]


class FacetValue(msgspec.Struct, frozen=True):
    """A value as stored and how many documents have it; `nested` counts another field among these documents."""

    value: Scalar
    count: int
    nested: FacetCounts | None = None


class FacetCounts(msgspec.Struct, frozen=True):
    """The values of one field, most frequent first, equal counts in ascending order of value."""

    field: Field
    values: tuple[FacetValue, ...]


class Outcome(msgspec.Struct, frozen=True, eq=False):
    """One page of what was found: `answers`, then `faqs`, then the documents `items`, as far as the page holds them.
    `total` counts everything found, of all kinds, `reachable` what paging can get to. `featured` stand above the page.
    `words` is the text that was searched for, less operators, and `synonyms` are what a thesaurus adds to it.
    """

    items: tuple[Found, ...]
    total: int
    reachable: int
    page: int
    page_size: int
    answers: tuple[Answer, ...] = ()
    faqs: tuple[FaqHit, ...] = ()
    facets: tuple[FacetCounts, ...] = ()
    featured: tuple[Found, ...] = ()
    warnings: tuple[str, ...] = ()
    correction: Correction | None = None
    words: str = ""
    synonyms: tuple[str, ...] = ()

    @property
    def pages(self) -> int:
        """How many pages can be asked for, at this page size."""
        return math.ceil(self.reachable / self.page_size)
