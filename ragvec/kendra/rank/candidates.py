"""Candidates: the passages near a question in meaning and those with its words, each with all its figures.

The words of a question are sought in every text field of the index, the nearest passages by their vectors; what one of
the rankings lacks is computed, so that every candidate has its similarity and its scores. Everything is of one moment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from ragvec.engine.protocol import IndexEngine, Ranked, TextQuery
from ragvec.filters.nodes import Filter
from ragvec.pipeline.passages import DOCUMENT_TITLE, HEADING, TEXT
from ragvec.types import FloatVector, RowArray

__all__ = ["SYNONYMS", "WEIGHTS", "Candidates", "candidates", "coverage", "sought", "weight_of"]

WEIGHTS: Mapping[str, float] = {TEXT: 1.0, DOCUMENT_TITLE: 0.5, HEADING: 0.3}
"""How much a word counts in each text field of a pipeline's index. The title's was chosen on SciFact's train split."""

_OTHER = 0.3
SYNONYMS = 0.5
"""How much a word counts that a thesaurus has added, of what the question's own words do."""

Floats = npt.NDArray[np.float64]


class Candidates(msgspec.Struct, frozen=True, eq=False):
    """Rows uint32 (n,) with their cosine to the question float64 (n,), 0 where there is no vector, and the weighted
    scores of each text query float64 (queries, n). `once` is what a text of average length with each word once has."""

    rows: RowArray
    similarity: Floats
    queries: tuple[TextQuery, ...]
    words: Floats
    once: float
    ranked: Ranked

    @property
    def bm25(self) -> Floats:
        """The sum of the scores of each candidate, (n,)."""
        total: Floats = self.words.sum(axis=0)
        return total


def sought(fields: Sequence[str], text: str, *, synonyms: str = "") -> tuple[TextQuery, ...]:
    """The text queries for a question: its words in each field, then the words that a thesaurus adds to them."""
    own = tuple(TextQuery(field, text, weight_of(field)) for field in fields)
    if not synonyms:
        return own
    return own + tuple(TextQuery(field, synonyms, SYNONYMS * weight_of(field)) for field in fields)


def weight_of(field: str) -> float:
    """How much a word counts in this text field."""
    return WEIGHTS.get(field, _OTHER)


def candidates(
    engine: IndexEngine, *, vector: FloatVector | None, queries: tuple[TextQuery, ...], depth: int, where: Filter
) -> Candidates:
    """The `depth` best rows of each ranking that satisfy `where`, together, in ascending order.

    Raises as `IndexEngine.rank`.
    """
    ranked = engine.rank(vector=vector, texts=queries, depth=depth, where=where)
    lists = [ranking.rows for ranking in ranked.texts]
    if ranked.vector is not None:
        lists.append(ranked.vector.rows)
    rows: RowArray = np.unique(np.concatenate(lists)) if lists else np.empty(0, np.uint32)
    similarity = np.zeros(len(rows))
    words = np.zeros((len(queries), len(rows)))
    if not queries and ranked.vector is not None:
        similarity[np.searchsorted(rows, ranked.vector.rows)] = 1.0 - ranked.vector.distances.astype(np.float64)
    elif len(rows):
        scores = engine.scores(rows, ranked=ranked, vector=vector, texts=queries)
        if scores.distances is not None:
            similarity[:] = 1.0 - scores.distances.astype(np.float64)
        words[:] = np.stack(scores.texts)
    return Candidates(rows, similarity, queries, words, _once(queries, ranked), ranked)


def coverage(bm25: Floats, once: float) -> Floats:
    """How much of what was asked the words of each candidate cover, (n,), from 0 up to 1.

    1 − e^(−x), where x is its score in proportion to that of a text of average length with each word once: 0.63 for
    such a text. Words that the collection lacks count as asked for and not covered.
    """
    if once <= 0:
        return np.zeros(len(bm25))
    covered: Floats = 1.0 - np.exp(-bm25 / once)
    return covered


def _once(queries: tuple[TextQuery, ...], ranked: Ranked) -> float:
    """That of the text itself, where it is searched; else the largest of another field."""
    own: dict[str, float] = {}
    for query, ranking in zip(queries, ranked.texts, strict=True):
        own.setdefault(query.key, ranking.once / query.weight)  # the question's own words come first
    return own.get(TEXT, max(own.values(), default=0.0))
