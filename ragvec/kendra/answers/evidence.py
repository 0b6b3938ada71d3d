"""How well a unit of a passage answers a question: signs that need no model, each a number near [0, 1].

| sign | what it is |
|---|---|
| similarity | cosine of the passage to the question, as the search found it |
| cosine | cosine of the unit itself to the question |
| covered | share of the question's words that the unit has, rare words weighing more |
| by_passage | the same with title, heading and all of the passage |
| wanted | share of what the question may want (a time, a sum, a reason) that the unit has |
| length | characters of the unit, in hundreds |

A word weighs ln(1 + (n − d + ½) ÷ (d + ½)) when d of the n passages found have it, as in BM25.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from ragvec.kendra.answers.question import Asked, answers_kind, terms_of
from ragvec.kendra.answers.units import Unit, units
from ragvec.kendra.found import Found
from ragvec.pipeline.passages import DOCUMENT_TITLE, HEADING, TEXT

__all__ = ["SIGNS", "Candidate", "Evidence", "candidates"]

SIGNS = ("similarity", "cosine", "covered", "by_passage", "wanted", "length")
"""The columns of what `Evidence.signs` gives."""

_FIFTH = 5

Floats = npt.NDArray[np.float64]


class Candidate(msgspec.Struct, frozen=True):
    """A unit of the passage of this number, its text, and the terms in it."""

    passage: int
    unit: Unit
    text: str
    terms: frozenset[str]


class _Passage(msgspec.Struct, frozen=True):
    """What is known of a passage apart from its units."""

    similarity: float
    terms: frozenset[str]


def candidates(passages: Sequence[Found]) -> list[Candidate]:
    """The units of the passages, headings left out, in the order of the passages and of their texts."""
    found = []
    for number, passage in enumerate(passages):
        text = passage.metadata.get(TEXT) or ""
        for unit in units(text, heading=passage.metadata.get(HEADING) or ""):
            if unit.kind != "heading":
                piece = text[unit.begin : unit.end]
                found.append(Candidate(number, unit, piece, terms_of(piece)))
    return found


class Evidence:
    """A question before the passages found for it: what its words weigh, and how much of them each passage has."""

    def __init__(self, asked: Asked, passages: Sequence[Found]) -> None:
        self.asked = asked
        self._sought = asked.terms | asked.numbers
        self._passages = [_read(passage) for passage in passages]
        counts = Counter(term for passage in self._passages for term in self._sought & passage.terms)
        total = len(self._passages)
        self._weights = {
            term: math.log(1 + (total - counts[term] + 0.5) / (counts[term] + 0.5)) for term in sorted(self._sought)
        }
        self._total = math.fsum(self._weights.values())
        self.missing = self._share(self._sought - counts.keys())
        """Share of the question's words that no passage has."""
        scores = [passage.score or 0.0 for passage in passages[:_FIFTH]]
        self.lead = scores[0] - scores[-1] if scores else 0.0
        """How much more relevant the first passage is than the fifth, or the last of fewer."""

        similarities = [passage.similarity for passage in self._passages] or [0.0]
        self.nearest, self.farthest = max(similarities), min(similarities)
        """The largest and the smallest similarity of a passage."""

    def signs(self, units: Sequence[Candidate]) -> Floats:
        """(len(units), len(SIGNS)); the cosine, which takes a model, is 0."""
        rows = np.zeros((len(units), len(SIGNS)))
        kinds = self.asked.wanted
        for row, unit in enumerate(units):
            passage = self._passages[unit.passage]
            rows[row] = (
                passage.similarity,
                0.0,
                self._share(self._sought & unit.terms),
                self._share(self._sought & passage.terms),
                sum(answers_kind(unit.text, kind) for kind in kinds) / len(kinds) if kinds else 0.0,
                len(unit.text) / 100,
            )
        return rows

    def _share(self, terms: frozenset[str]) -> float:
        return math.fsum(self._weights[term] for term in sorted(terms)) / self._total if self._total else 0.0


def _read(passage: Found) -> _Passage:
    metadata = passage.metadata
    texts = (metadata.get(name) or "" for name in (DOCUMENT_TITLE, HEADING, TEXT))
    similarity = passage.similarity if passage.similarity is not None else passage.score
    return _Passage(similarity or 0.0, terms_of("\n".join(texts)))
