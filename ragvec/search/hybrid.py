"""Searching by text, alone or with a vector: rankings of one moment, made into one.

Records that one ranking alone has found are completed: what the other rankings would have given them is computed, so
that each hit has all its scores.
"""

from __future__ import annotations

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
    for _ in range(_ATTEMPTS - 1):
        try:
            ranking = _Search(index, request).ranking()
            return _read(index, ranking, request, 0, page_size, drop_deleted=False), ranking
        except ExpiredToken:
            # The index was compacted between ranking and reading; rank again in the new generation.
            continue
    ranking = _Search(index, request).ranking()
    return _read(index, ranking, request, 0, page_size, drop_deleted=False), ranking


class _Search:
    """One search: what was ranked, and the scores that rankings lacked, which are not computed twice."""

    def __init__(self, index: IndexEngine, request: TextRequest) -> None:
        self._index, self._request = index, request
        # Boosts are applied here: the scores that are told are without them.
        self._texts = tuple(TextQuery(text.key, text.text) for text in request.texts)
        single = request.vector is None and len(self._texts) == 1
        self._depth = request.k if single else max(request.k, request.depth)
        self._ranked = self._rank()
        self._completed: tuple[RowArray, list[FloatVector]] | None = None

    def ranking(self) -> Ranking:
        """The best `k` rows in their order, with their scores."""
        ranked, request = self._ranked, self._request
        if request.vector is not None or request.fusion is not None:
            name, (rows, scores) = FUSED, self._in_order(self._fused())
        else:
            name, (rows, scores) = BM25, self._summed()
        named: dict[str, FloatVector] = {name: scores}
        if request.scores:
            names = [*(score_of(text.key) for text in self._texts), *([DISTANCE] if request.vector is not None else [])]
            named.update(zip(names, self._scores(rows), strict=True))
        exact = ranked.vector is None or ranked.vector.exact
        return Ranking(rows, np.empty(0, np.float32), self._ranked.generation, exact=exact, scores=named)

    def _rank(self) -> Ranked:
        request = self._request
        return self._index.rank(
            vector=request.vector, texts=self._texts, depth=self._depth, where=request.where, effort=request.effort
        )

    def _summed(self) -> tuple[RowArray, FloatVector]:
        """The best rows by the weighted sum of their BM25 scores, exactly: the lists are read deeper until no row
        outside them can come up to the k-th (the threshold algorithm of Fagin, Lotem and Naor, 2001)."""
        weights = np.array([text.weight for text in self._request.texts])
        if len(self._texts) == 1:
            (only,) = self._ranked.texts
            self._completed = only.rows, [only.scores]
            return only.rows, (only.scores * weights[0]).astype(np.float32)
        while True:
            lists = self._ranked.texts
            union: RowArray = np.unique(np.concatenate([ranking.rows for ranking in lists]))
            total = weights @ np.stack(self._complete(union), dtype=np.float64)
            unread = [
                weight * float(ranking.scores[-1])
                for weight, ranking in zip(weights, lists, strict=True)
                if len(ranking.rows) >= self._depth
            ]
            order = np.lexsort((union, -total))
            enough = len(union) >= self._request.k and total[order[self._request.k - 1]] >= sum(unread)
            if not unread or enough:
                return self._in_order(Fused(union[order], total[order]))
            self._depth *= _DEEPER
            self._ranked = self._rank()

    def _fused(self) -> Fused:
        rankings = [RankedList(ranking.rows, ranking.scores) for ranking in self._ranked.texts]
        boosts = [text.weight for text in self._request.texts]
        near = self._ranked.vector
        if near is not None:
            rankings.append(RankedList(near.rows, -near.distances))
            boosts.append(1.0)
        fusion = DEFAULT if self._request.fusion is None else self._request.fusion
        return fuse(rankings, fusion, boosts=boosts, complete=self._likeness, texts=len(self._texts))

    def _likeness(self, rows: RowArray) -> list[FloatVector]:
        """As `_complete`, of the vector the negated distance: more is better."""
        scores = self._complete(rows)
        return scores if self._request.vector is None else [*scores[:-1], -scores[-1]]

    def _complete(self, rows: RowArray) -> list[FloatVector]:
        """The scores of `rows`, uint32 ascending, for each text, then their distances, where there is a vector."""
        found = self._index.scores(rows, ranked=self._ranked, vector=self._request.vector, texts=self._texts)
        scores = [*found.texts] if found.distances is None else [*found.texts, found.distances]
        self._completed = rows, scores
        return scores

    def _scores(self, rows: RowArray) -> list[FloatVector]:
        """As `_complete`, of rows of which some or all were completed before."""
        if self._completed is not None:
            known, scores = self._completed
            if known is rows:
                return scores
            places = np.searchsorted(known, rows)
            if len(known) and np.array_equal(known[np.minimum(places, len(known) - 1)], rows):
                return [values[places] for values in scores]
        found = self._index.scores(rows, ranked=self._ranked, vector=self._request.vector, texts=self._texts)
        return [*found.texts] if found.distances is None else [*found.texts, found.distances]

    def _in_order(self, fused: Fused) -> tuple[RowArray, FloatVector]:
        """The best `k` rows with their scores as float32, equal ones in byte order of key."""
        rows, scores, k = fused.rows, fused.scores.astype(np.float32), self._request.k
        if len(rows) > k:
            stop = int(np.searchsorted(-scores, -scores[k - 1], side="right"))
            rows, scores = rows[:stop], scores[:stop]
        tied: npt.NDArray[np.bool_] = np.zeros(len(rows), np.bool_)
        same = scores[1:] == scores[:-1]
        tied[1:] |= same
        tied[:-1] |= same
        places = np.flatnonzero(tied)
        if len(places):
            generation = self._ranked.generation
            records = self._index.fetch(rows[places], generation=generation, data=False, metadata=False)
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
