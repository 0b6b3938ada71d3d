"""Which rows of an index's FAQs ask what a query asks.

A row's score is 0.6 × the cosine of the two questions + 0.4 × the share of stems that they have in common (Dice's
coefficient over their distinct stems). On the 44 questions of datasets/handbook/faq.csv with all-MiniLM-L6-v2, another
wording of the same question scores 0.71 or more in 19 of 20 cases; of 138 other questions about the same company none
comes above 0.57 (with hashed words 0.54 and 0.62). So a row counts from 0.62 on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ragvec.filters.nodes import EVERYTHING, And, Filter, In
from ragvec.kendra.faqs.stored import ANSWER, FAQ_ID, QUESTION, faqs_of, questions_index
from ragvec.kendra.found import Confidence, FaqHit
from ragvec.kendra.notes import Notes
from ragvec.pipeline.passages import DOCUMENT_ID, SOURCE_URI
from ragvec.store import Index
from ragvec.text.words import words
from ragvec.types import FloatVector

__all__ = ["LEAST", "find_faqs"]

LEAST = 0.62
"""The least score of a row that is shown."""

_OF_MEANING = 0.6
_VERY_HIGH, _HIGH = 0.85, 0.74
_CANDIDATES = 32
_HIDDEN = frozenset({DOCUMENT_ID, QUESTION, ANSWER})


def find_faqs(
    index: Index,
    text: str,
    *,
    where: Filter = EVERYTHING,
    embed: Callable[[str], FloatVector],
    most: int = 4,
    least: float = LEAST,
) -> list[FaqHit]:
    """The rows of this index's FAQs whose question is `text`, or near it, best first; at most `most`.

    `where` is held against the attributes of rows, which have those of documents. A FAQ that is not ACTIVE, as one
    whose adding was interrupted, has no rows here. Nothing is read when the index has no FAQs.
    """
    beside = questions_index(index)
    if beside is None or most < 1:
        return []
    active = tuple(faq.id for faq in faqs_of(Notes(index)).values() if faq.status == "ACTIVE")
    vector = np.asarray(embed(text), dtype=np.float32)
    if not vector.any():  # no direction to look in: text without a word
        return []
    hits = beside.query(vector, k=max(_CANDIDATES, most), where=And((where, In(FAQ_ID, active))))
    asked = _stems(text)
    scored = [(_score(1.0 - hit.distance, asked, hit.metadata or {}), hit.key, hit.metadata or {}) for hit in hits]
    best = sorted((each for each in scored if each[0] >= least), key=lambda each: (-each[0], each[1]))
    return [_hit(score, metadata) for score, _, metadata in best[:most]]


def _score(similarity: float, asked: frozenset[str], metadata: dict[str, Any]) -> float:
    row = _stems(metadata[QUESTION])
    shared = 2 * len(asked & row) / (len(asked) + len(row)) if asked and row else 0.0
    return min(1.0, max(0.0, _OF_MEANING * similarity + (1 - _OF_MEANING) * shared))


def _stems(text: str) -> frozenset[str]:
    return frozenset(word.term for word in words(text) if word.term)


def _hit(score: float, metadata: dict[str, Any]) -> FaqHit:
    confidence: Confidence = "VERY_HIGH" if score >= _VERY_HIGH else "HIGH" if score >= _HIGH else "MEDIUM"
    return FaqHit(
        document_id=metadata[DOCUMENT_ID],
        faq_id=metadata[FAQ_ID],
        question=metadata[QUESTION],
        answer=metadata[ANSWER],
        uri=str(metadata.get(SOURCE_URI, "")),
        metadata={name: value for name, value in metadata.items() if name not in _HIDDEN},
        score=score,
        confidence=confidence,
    )
