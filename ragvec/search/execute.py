"""Running a search against one index: rank once, then read pages of that ranking."""

from __future__ import annotations

from typing import cast

import numpy as np

from ragvec.engine.protocol import IndexEngine, Ranking
from ragvec.errors import ExpiredToken
from ragvec.search.request import Hits, SearchPage, SearchRequest
from ragvec.types import Record

__all__ = ["first_page", "next_page", "search"]

_ATTEMPTS = 5


def search(index: IndexEngine, request: SearchRequest) -> list[Hits]:
    """Return one `Hits` a query, also for one query, each of at most `request.k` records."""
    try:
        return [
            _read(index, ranking, request, 0, None, drop_deleted=False)
            for ranking in index.search(request.queries, k=request.k, where=request.where, effort=request.effort)
        ]
    except ExpiredToken:
        return [hits for hits, _ in _ranked(index, request, page_size=None)]


def first_page(
    index: IndexEngine, request: SearchRequest, *, page_size: int | None, digest: bytes, keep_seconds: float
) -> SearchPage:
    """Return the first `page_size` hits of the only query (all of them for None).

    When there are more, the whole ranking is kept for `keep_seconds`, so that later pages are of the same result list
    whatever is written meanwhile; only a request with the same `digest` can read it.
    """
    ((hits, ranking),) = _ranked(index, request, page_size=page_size)
    if page_size is None or len(ranking.rows) <= page_size:
        return SearchPage(hits)
    cursor = index.save_ranking(ranking, request=digest, ttl=keep_seconds)
    return SearchPage(hits, (cursor, page_size))


def next_page(
    index: IndexEngine, request: SearchRequest, *, page_size: int, digest: bytes, cursor: str, offset: int
) -> SearchPage:
    """Return the hits from `offset` on, at most `page_size`, of a ranking that `first_page` kept.

    Records deleted since are left out, so a page may hold fewer hits than asked for while more pages follow. Records
    replaced since are as they were when ranked.

    Raises:
        InvalidToken: the ranking belongs to a request with another digest.
        ExpiredToken: it is no longer kept.
    """
    ranking = index.load_ranking(cursor, request=digest)
    hits = _read(index, ranking, request, offset, offset + page_size, drop_deleted=True)
    end = offset + page_size
    return SearchPage(hits, (cursor, end) if end < len(ranking.rows) else None)


def _ranked(index: IndexEngine, request: SearchRequest, *, page_size: int | None) -> list[tuple[Hits, Ranking]]:
    for _ in range(_ATTEMPTS - 1):
        try:
            return _rank_and_read(index, request, page_size)
        except ExpiredToken:
            # The index was compacted between ranking and reading; rank again in the new generation.
            continue
    return _rank_and_read(index, request, page_size)


def _rank_and_read(index: IndexEngine, request: SearchRequest, page_size: int | None) -> list[tuple[Hits, Ranking]]:
    rankings = index.search(request.queries, k=request.k, where=request.where, effort=request.effort)
    return [(_read(index, ranking, request, 0, page_size, drop_deleted=False), ranking) for ranking in rankings]


def _read(
    index: IndexEngine, ranking: Ranking, request: SearchRequest, start: int, stop: int | None, *, drop_deleted: bool
) -> Hits:
    rows, distances = ranking.rows[start:stop], ranking.distances[start:stop]
    if ranking.keys is not None and not (request.data or request.metadata or drop_deleted):
        return Hits(None, distances, keys=ranking.keys[start:stop])
    records = index.fetch(
        rows,
        generation=ranking.generation,
        data=request.data,
        metadata=request.metadata,
        drop_deleted=drop_deleted,
        keys=None if ranking.keys is None else ranking.keys[start:stop],
    )
    if not drop_deleted:
        return Hits(cast("tuple[Record, ...]", tuple(records)), distances)
    present: list[Record] = [record for record in records if record is not None]
    if len(present) < len(records):
        kept = np.fromiter((record is not None for record in records), dtype=np.bool_, count=len(records))
        distances = distances[kept]
    return Hits(tuple(present), distances)
