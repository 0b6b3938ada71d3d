"""Candidates: the passages near a question in meaning and those with its words, each with all its figures.

The words of a question are sought in every text field of the index, the nearest passages by their vectors; what one of
the rankings lacks is computed, so that every candidate has its similarity and its scores. Everything is of one moment.

The relevance of each is (1 − words) × cosine + words × coverage, see `ragvec.kendra.relevance`; the cosine alone where
there are no text queries, the coverage alone where there is no vector.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from ragvec.engine.protocol import IndexEngine, Ranked, TextQuery
from ragvec.filters.nodes import EVERYTHING, Filter
from ragvec.kendra.learn.thesaurus import StoodFor
from ragvec.kendra.relevance import Scale
from ragvec.pipeline.passages import DOCUMENT_TITLE, HEADING, TEXT
from ragvec.types import FloatVector, RowArray

__all__ = ["SYNONYMS", "WEIGHTS", "Candidates", "candidates", "coverage", "sought", "weight_of"]

WEIGHTS: Mapping[str, float] = {TEXT: 1.0, DOCUMENT_TITLE: 0.5, HEADING: 0.3}
"""How much a word counts in each text field of a pipeline's index. The title's was chosen on SciFact's train split,
where 0.3 to 0.5 are the same within two thousandths of nDCG@10."""

_OTHER = 0.3
_ROUNDING = 1e-6
SYNONYMS = 0.5
"""How much a word counts that a thesaurus has added, of what the question's own words do."""

Floats = npt.NDArray[np.float64]


class Candidates(msgspec.Struct, frozen=True, eq=False):
    """Rows uint32 (n,) with their cosine to the question float64 (n,), 0 where there is no vector, and the weighted
    scores of each text query float64 (queries, n). `once` is what a text of average length with each word once has.
    `base` (n,) is their relevance, in [0, 1], before anything moves it."""

    rows: RowArray
    similarity: Floats
    queries: tuple[TextQuery, ...]
    words: Floats
    once: float
    base: Floats
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
    engine: IndexEngine,
    *,
    vector: FloatVector | None,
    queries: tuple[TextQuery, ...],
    depth: int,
    where: Filter,
    scale: Scale,
    access: Filter = EVERYTHING,
    stood_for: Sequence[StoodFor] = (),
) -> Candidates:
    """The `depth` best rows of each ranking that satisfy `where`, together, in ascending order; less those that cannot
    come up to the floor of the scale, whatever the rankings that they are not in would give them. How rare a word is
    counts over the rows that satisfy `access`. For the parts of the question in `stood_for` less is asked, see `_once`.

    Raises as `IndexEngine.rank`.
    """
    parts = _parts(stood_for) if any(query.key == TEXT for query in queries) else []
    texts = [*queries, *(query for each in parts for query in each)]
    ranked = engine.rank(vector=vector, texts=texts, depth=depth, where=where, counted=access)
    weighed = iter(ranked.texts[len(queries) :])
    asked = [[next(weighed).once for _ in each] for each in parts]
    ranked = msgspec.structs.replace(ranked, texts=ranked.texts[: len(queries)])
    lists = [(ranking.rows, ranking.scores.astype(np.float64)) for ranking in ranked.texts]
    if ranked.vector is not None:
        lists.append((ranked.vector.rows, 1.0 - ranked.vector.distances.astype(np.float64)))
    once = _once(queries, ranked, asked)
    rows: RowArray = np.unique(np.concatenate([rows for rows, _ in lists])) if lists else np.empty(0, np.uint32)
    least, most = _bounds(rows, lists, depth=depth)
    lowest = _relevance(least, once, scale=scale, vector=vector is not None)
    highest = _relevance(most, once, scale=scale, vector=vector is not None)
    kept = np.flatnonzero(highest >= scale.floor(best=float(lowest.max(initial=0.0))) - _ROUNDING)
    rows, scores = rows[kept], least[:, kept]
    if not np.array_equal(scores, most[:, kept]):
        found = engine.scores(rows, ranked=ranked, vector=vector, texts=queries)
        scores = np.stack([*found.texts, *([] if found.distances is None else [1.0 - found.distances])]).astype(
            np.float64
        )
    count = len(queries)
    similarity = scores[count] if vector is not None else np.zeros(len(rows))
    base = _relevance(scores, once, scale=scale, vector=vector is not None)
    return Candidates(rows, similarity, queries, scores[:count], once, base, ranked)


def coverage(bm25: Floats, once: float) -> Floats:
    """How much of what was asked the words of each candidate cover, (n,), from 0 up to 1.

    1 − e^(−x), where x is its score in proportion to that of a text of average length with each word once: 0.63 for
    such a text. Words that the collection lacks count as asked for and not covered.
    """
    if once <= 0:
        return np.zeros(len(bm25))
    covered: Floats = 1.0 - np.exp(-bm25 / once)
    return covered


def _bounds(rows: RowArray, lists: Sequence[tuple[RowArray, Floats]], *, depth: int) -> tuple[Floats, Floats]:
    """The least and the most that each list can give each row, (lists, rows). What is not in a list that ends before
    its depth has 0; what is not in another has no more than its last row."""
    least = np.zeros((len(lists), len(rows)))
    most = np.zeros((len(lists), len(rows)))
    for low, high, (there, scores) in zip(least, most, lists, strict=True):
        if len(there) >= depth:
            high[:] = max(float(scores[-1]), 0.0)
        where = np.searchsorted(rows, there)
        low[where] = high[where] = scores
    return least, most


def _relevance(scores: Floats, once: float, *, scale: Scale, vector: bool) -> Floats:
    """The relevance of rows, (n,), in [0, 1], from their scores in each list; that of the vector is the last."""
    texts = scores[:-1] if vector else scores
    if not len(texts):
        alone: Floats = np.clip(scores[0], 0.0, 1.0)
        return alone
    covered = coverage(texts.sum(axis=0), once)
    if not vector:
        return covered
    mixed: Floats = (1.0 - scale.words) * np.clip(scores[-1], 0.0, 1.0) + scale.words * covered
    return mixed


def _parts(stood_for: Sequence[StoodFor]) -> list[list[TextQuery]]:
    """Text queries for each part of a question that has synonyms: the part itself, then each of what stands for it."""
    return [
        [TextQuery(TEXT, each.part), *(TextQuery(TEXT, term, SYNONYMS) for term in each.terms)] for each in stood_for
    ]


def _once(queries: tuple[TextQuery, ...], ranked: Ranked, asked: Sequence[Sequence[float]]) -> float:
    """That of the text itself, where it is searched; else the largest of another field.

    `asked` has, for each part of the question with synonyms, what the part has of it and what each synonym would have
    in its place. The least of these counts: a synonym covers the words that it stands for, however rare they are.
    """
    own: dict[str, float] = {}
    for query, ranking in zip(queries, ranked.texts, strict=True):
        own.setdefault(query.key, ranking.once / query.weight)  # the question's own words come first
    once = own.get(TEXT, max(own.values(), default=0.0))
    if not asked:
        return once
    # Parts may share words, so that more would be taken away than there was.
    return max(once + sum(min(each) - each[0] for each in asked), max(min(each) for each in asked))
