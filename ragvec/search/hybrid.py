"""Searching by text, alone or with a vector: rankings of one moment, made into one.

Records that one ranking alone has found are completed: what the other rankings would have given them is computed, so
that each hit has all its scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ragvec.engine.protocol import IndexEngine, Ranked, Ranking, TextQuery
from ragvec.errors import ExpiredToken
from ragvec.search.fuse import DEFAULT, Fused, RankedList, fuse
from ragvec.search.request import ScoredHits, SearchPage, TextRequest
from ragvec.types import FloatVector, Record, RowArray

__all__ = ["BM25", "DISTANCE", "FUSED", "first_text_page", "next_text_page", "score_of", "text_search"]

BM25 = "bm25"
DISTANCE = "distance"
FUSED = "fused"

_ATTEMPTS = 5
_DEEPER = 4


def score_of(key: str) -> str:
    """The name of the score of a text field."""
    return f"{BM25}:{key}"


def text_search(index: IndexEngine, request: TextRequest) -> ScoredHits:
    """Return the at most `request.k` best records. Raises as `IndexEngine.rank`."""
    return _rank_and_read(index, request, page_size=None)[0]


def first_text_page(
    index: IndexEngine, request: TextRequest, *, page_size: int | None, digest: bytes, keep_seconds: float
) -> SearchPage:
    """As `ragvec.search.execute.first_page`."""
    hits, ranking = _rank_and_read(index, request, page_size=page_size)
    if page_size is None or len(ranking.rows) <= page_size:
        return SearchPage(hits)
    return SearchPage(hits, (index.save_ranking(ranking, request=digest, ttl=keep_seconds), page_size))


def next_text_page(
    index: IndexEngine, request: TextRequest, *, page_size: int, digest: bytes, cursor: str, offset: int
) -> SearchPage:
    """As `ragvec.search.execute.next_page`."""
    ranking = index.load_ranking(cursor, request=digest)
    end = offset + page_size
    hits = _read(index, ranking, request, offset, end, drop_deleted=True)
    return SearchPage(hits, (cursor, end) if end < len(ranking.rows) else None)


def _rank_and_read(index: IndexEngine, request: TextRequest, *, page_size: int | None) -> tuple[ScoredHits, Ranking]:
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            ranking = _ranking(index, request)
            return _read(index, ranking, request, 0, page_size, drop_deleted=False), ranking
        except ExpiredToken:
            # The index was compacted between ranking and reading; rank again in the new generation.
            if attempt == _ATTEMPTS:
                raise
    raise AssertionError("unreachable")


def _ranking(index: IndexEngine, request: TextRequest) -> Ranking:
    """The best `request.k` rows in their order, with their scores."""
    texts = tuple(TextQuery(text.key, text.text) for text in request.texts)
    depth = request.k if request.vector is None and len(texts) == 1 else max(request.k, request.depth)
    ranked = _ranked(index, request, texts, depth=depth)
    name = BM25 if request.vector is None and request.fusion is None else FUSED
    if name == BM25:
        ranked, rows, scores = _summed(index, request, texts, ranked=ranked, depth=depth)
    else:
        rows, scores = _in_order(index, _fused(index, request, texts, ranked=ranked), ranked=ranked, k=request.k)
    ordered: dict[str, FloatVector] = {name: scores}
    ranking = Ranking(
        rows,
        np.empty(0, np.float32),
        ranked.generation,
        exact=ranked.vector is None or ranked.vector.exact,
        scores=ordered,
    )
    if not request.scores:
        return ranking
    all_scores = index.scores(rows, ranked=ranked, vector=request.vector, texts=texts)
    ordered.update((score_of(text.key), found) for text, found in zip(texts, all_scores.texts, strict=True))
    if all_scores.distances is not None:
        ordered[DISTANCE] = all_scores.distances
    return ranking


def _ranked(index: IndexEngine, request: TextRequest, texts: Sequence[TextQuery], *, depth: int) -> Ranked:
    return index.rank(vector=request.vector, texts=texts, depth=depth, where=request.where, effort=request.effort)


def _summed(
    index: IndexEngine, request: TextRequest, texts: Sequence[TextQuery], *, ranked: Ranked, depth: int
) -> tuple[Ranked, RowArray, FloatVector]:
    """The best rows by the weighted sum of their BM25 scores, exactly: the lists are read deeper until no row outside
    them can come up to the k-th (the threshold algorithm of Fagin, Lotem and Naor, 2001)."""
    weights = np.array([text.weight for text in request.texts])
    if len(texts) == 1:
        (only,) = ranked.texts
        return ranked, only.rows, (only.scores * weights[0]).astype(np.float32)
    while True:
        union: RowArray = np.unique(np.concatenate([ranking.rows for ranking in ranked.texts]))
        found = index.scores(union, ranked=ranked, vector=None, texts=texts).texts
        total = weights @ np.stack(found, dtype=np.float64)
        unread = [
            weight * float(ranking.scores[-1])
            for weight, ranking in zip(weights, ranked.texts, strict=True)
            if len(ranking.rows) >= depth
        ]
        order = np.lexsort((union, -total))
        if not unread or (len(union) >= request.k and total[order[request.k - 1]] >= sum(unread)):
            return ranked, *_in_order(index, Fused(union[order], total[order]), ranked=ranked, k=request.k)
        depth *= _DEEPER
        ranked = _ranked(index, request, texts, depth=depth)


def _fused(index: IndexEngine, request: TextRequest, texts: Sequence[TextQuery], *, ranked: Ranked) -> Fused:
    rankings = [RankedList(ranking.rows, ranking.scores) for ranking in ranked.texts]
    boosts = [text.weight for text in request.texts]
    if ranked.vector is not None:
        rankings.append(RankedList(ranked.vector.rows, -ranked.vector.distances))
        boosts.append(1.0)

    def complete(rows: RowArray) -> list[FloatVector]:
        found = index.scores(rows, ranked=ranked, vector=request.vector, texts=texts)
        return [*found.texts] if found.distances is None else [*found.texts, -found.distances]

    return fuse(rankings, DEFAULT if request.fusion is None else request.fusion, boosts=boosts, complete=complete)


def _in_order(index: IndexEngine, fused: Fused, *, ranked: Ranked, k: int) -> tuple[RowArray, FloatVector]:
    """The best `k` rows with their scores as float32, equal ones in byte order of key."""
    rows, scores = fused.rows, fused.scores.astype(np.float32)
    if len(rows) > k:
        stop = int(np.searchsorted(-scores, -scores[k - 1], side="right"))
        rows, scores = rows[:stop], scores[:stop]
    tied: npt.NDArray[np.bool_] = np.zeros(len(rows), np.bool_)
    same = scores[1:] == scores[:-1]
    tied[1:] |= same
    tied[:-1] |= same
    places = np.flatnonzero(tied)
    if len(places):
        records = index.fetch(rows[places], generation=ranked.generation, data=False, metadata=False)
        keys = [record.key for record in records if record is not None]
        by_key = sorted(range(len(places)), key=lambda at: (-scores[places[at]], keys[at]))
        rows = rows.copy()
        rows[places] = rows[places[by_key]]
    return rows[:k], scores[:k]


def _read(
    index: IndexEngine, ranking: Ranking, request: TextRequest, start: int, stop: int | None, *, drop_deleted: bool
) -> ScoredHits:
    records = index.fetch(
        ranking.rows[start:stop],
        generation=ranking.generation,
        data=request.data,
        metadata=request.metadata,
        drop_deleted=drop_deleted,
    )
    scores = {name: values[start:stop] for name, values in (ranking.scores or {}).items()}
    present: list[Record] = [record for record in records if record is not None]
    if len(present) < len(records):
        kept: Any = np.fromiter((record is not None for record in records), dtype=np.bool_, count=len(records))
        scores = {name: values[kept] for name, values in scores.items()}
    distances = scores.pop(DISTANCE, None)
    return ScoredHits(tuple(present), distances, scores=scores)
