"""QueryVectorsFusion of OSS: searches of fusion indexes by vector, by words, by both, or by a filter alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from ragvec.api.access import Session
from ragvec.api.filtering import where_of
from ragvec.api.names import check_bucket_name, check_index_name
from ragvec.api.oss_fusion import FusionSearch, fusion_search
from ragvec.api.paging import name_token, query_page, start_after
from ragvec.api.records import query_vector
from ragvec.api.requests import QueryVectors
from ragvec.engine.protocol import IndexSpec
from ragvec.errors import InvalidRequest
from ragvec.search import execute
from ragvec.search.hybrid import BM25, FUSED, first_text_page, next_text_page
from ragvec.search.page import encode_token, request_digest
from ragvec.search.request import ScoredHits, SearchRequest, TextRequest
from ragvec.server.dialects.oss_vectors import OssVectors
from ragvec.types import Record

__all__ = ["FusionHit", "FusionResult", "query_fusion"]

_MOST_PAGED = 1000
"""Hits that the pages of one search by words have together."""


class FusionHit(msgspec.Struct, frozen=True, omit_defaults=True):
    """A record with its score, higher being better."""

    key: str
    score: float
    metadata: dict[str, Any] | None = None


class FusionResult(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """Hits, best first; without `nextToken` they are the last."""

    vectors: list[FusionHit]
    next_token: str | None = None


def query_fusion(indexes: OssVectors, arguments: dict[str, Any]) -> FusionResult:
    """Search a fusion index; see `ragvec.api.oss_fusion` for what can be asked.

    Scores are BM25 for words, the negated distance for a vector, what fuses them for both, and 1 for a filter alone,
    whose hits are in byte order of key.

    Raises:
        BucketNotFound, IndexNotFound, InvalidToken. InvalidRequest: the index is no fusion index, or the search is
        malformed, names fields that there are not, or asks for what there is not.
    """
    session = indexes.session
    bucket, index = arguments["vectorBucketName"], arguments.get("indexName")
    check_bucket_name(bucket, session.dialect)
    if not isinstance(index, str):
        raise InvalidRequest(f"/indexName must be a text, got {index!r:.60}", path="/indexName")
    check_index_name(index, session.dialect)
    spec = session.engine.catalog.index(bucket, index)
    schema = indexes.schemas.of(spec)
    if schema is None:
        raise InvalidRequest(
            f"QueryVectorsFusion searches fusion indexes; {index} is a standard index: use QueryVectors",
            path="/indexName",
        )
    body = {name: value for name, value in arguments.items() if name != "vectorBucketName" and value is not None}
    search = fusion_search(body, vector_field=schema.vector)
    _check(search, schema.texts, most=session.dialect.limits.top_k or _MOST_PAGED)
    paged = "query" in body and "knn" not in body
    if search.next_token and not paged:
        raise InvalidRequest("nextToken belongs to searches by query alone", path="/nextToken")
    if search.texts:
        return _by_words(indexes.session, spec, search, paged=paged)
    if search.vector is None:
        return _by_filter(indexes.session, spec, search, paged=paged)
    return FusionResult(vectors=_by_vector(indexes.session, spec, search))


def _check(search: FusionSearch, texts: tuple[str, ...], *, most: int) -> None:
    if search.limit > most:
        raise InvalidRequest(f"/limit must be from 1 to {most}, got {search.limit}", path="/limit")
    for text in search.texts:
        if text.key not in texts:
            known = ", ".join(map(repr, texts)) or "none"
            raise InvalidRequest(
                f"$textMatch searches fields with text: the schema has {known}; got {text.key!r:.80}", path="/query"
            )
    for field in search.fields or ():
        if not isinstance(field, str):
            raise InvalidRequest(
                f"/returnMetadataFields must be an array of texts, got {field!r:.60}", path="/returnMetadataFields"
            )
    if search.next_token is not None and not isinstance(search.next_token, str):
        raise InvalidRequest(f"/nextToken must be a text, got {search.next_token!r:.60}", path="/nextToken")


def _by_vector(session: Session, spec: IndexSpec, search: FusionSearch) -> list[FusionHit]:
    vector = query_vector(session, spec, search.vector)
    request = SearchRequest(
        queries=vector.reshape(1, -1),
        k=search.limit,
        where=where_of(session, spec, search.where),
        metadata=search.metadata,
    )
    (hits,) = execute.search(session.engine.index(spec), request)
    # Subtracted, so that nothing at all is 0, not -0.
    return _hits(hits.records, (0.0 - hits.distances).tolist(), search)


def _by_filter(session: Session, spec: IndexSpec, search: FusionSearch, *, paged: bool) -> FusionResult:
    where = where_of(session, spec, search.where)
    scope = ("fusion", spec.uid, repr(where), search.metadata, repr(search.fields))
    listing = session.engine.index(spec).scan(
        after=start_after(session, search.next_token, scope=scope, longest=session.dialect.limits.query_token_max),
        limit=search.limit,
        where=where,
        max_bytes=session.dialect.limits.list_vectors_bytes,
        metadata=search.metadata,
    )
    return FusionResult(
        vectors=_hits(listing.records, [1.0] * len(listing.records), search),
        next_token=name_token(session, listing.next_after, scope=scope) if paged else None,
    )


def _by_words(session: Session, spec: IndexSpec, search: FusionSearch, *, paged: bool) -> FusionResult:
    request = TextRequest(
        texts=search.texts,
        k=_MOST_PAGED if paged else search.limit,
        vector=None if search.vector is None else query_vector(session, spec, search.vector),
        fusion=search.fusion,
        depth=search.depth,
        where=where_of(session, spec, search.where),
        metadata=search.metadata,
    )
    index, keep = session.engine.index(spec), session.dialect.limits.ranking_seconds
    texts = tuple((text.key, text.text, text.weight) for text in search.texts)
    digest = request_digest("fusion", spec.uid, texts, repr(request.where), search.metadata, search.fields)
    page = query_page(
        session,
        QueryVectors(top_k=request.k, max_results=search.limit, next_token=search.next_token),
        digest=digest,
        first=lambda size: first_text_page(index, request, page_size=size, digest=digest, keep_seconds=keep),
        later=lambda size, cursor, offset: next_text_page(
            index, request, page_size=size, digest=digest, cursor=cursor, offset=offset
        ),
    )
    assert isinstance(page.hits, ScoredHits)
    scores = page.hits.scores[FUSED if FUSED in page.hits.scores else BM25]
    token = page.next_page
    return FusionResult(
        vectors=_hits(page.hits.records, scores.tolist(), search),
        next_token=None if token is None else encode_token(token, digest=digest, key=session.engine.token_key),
    )


def _hits(records: Sequence[Record], scores: list[float], search: FusionSearch) -> list[FusionHit]:
    found = []
    for record, score in zip(records, scores, strict=True):
        metadata = record.metadata
        if metadata is not None and search.fields is not None:
            metadata = {name: metadata[name] for name in search.fields if name in metadata}
        found.append(FusionHit(record.key, score, metadata))
    return found
