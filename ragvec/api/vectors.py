"""The operations on vectors."""

from __future__ import annotations

import msgspec
import numpy as np

from ragvec.api.access import Session, index_spec
from ragvec.api.constraints import Constraints
from ragvec.api.filtering import where_of
from ragvec.api.names import check_keys
from ragvec.api.paging import name_token, query_page, start_after
from ragvec.api.records import encode_records, query_vector
from ragvec.api.requests import CountVectors, DeleteVectors, GetVectors, ListVectors, PutVectors, QueryVectors
from ragvec.api.responses import Count, Deleted, Empty, Numbers, QueryResult, Vector, VectorList
from ragvec.api.text_query import query_texts
from ragvec.distance import squared_euclidean
from ragvec.engine.protocol import IndexSpec
from ragvec.errors import InvalidRequest
from ragvec.search import execute
from ragvec.search.execute import first_page, next_page
from ragvec.search.page import encode_token, request_digest
from ragvec.search.request import SearchPage, SearchRequest
from ragvec.types import FloatVector, Record

__all__ = ["count_vectors", "delete_vectors", "get_vectors", "list_vectors", "put_vectors", "query_vectors"]


def put_vectors(session: Session, request: PutVectors) -> Empty:
    """Insert or replace vectors, all or none. Raises BucketNotFound, IndexNotFound, InvalidRequest."""
    constraints = Constraints(hints=session.dialect.hints)
    constraints.length("/vectors", request.vectors, low=1, high=session.dialect.limits.put_vectors)
    constraints.check()
    check_keys([vector.key for vector in request.vectors], session.dialect, path="/vectors/{}/key")
    spec = index_spec(session, request)
    records = encode_records(
        session,
        spec,
        keys=[vector.key for vector in request.vectors],
        vectors=[vector.data.float32 for vector in request.vectors],
        metadata=[vector.metadata for vector in request.vectors],
    )
    session.engine.index(spec).put(*records)
    return Empty()


def get_vectors(session: Session, request: GetVectors) -> VectorList:
    """Return the vectors with these keys, each once, in that order; absent ones are left out. Raises IndexNotFound."""
    constraints = Constraints(hints=session.dialect.hints)
    constraints.length("/keys", request.keys, low=1, high=session.dialect.limits.get_keys)
    constraints.check()
    check_keys(request.keys, session.dialect, path="/keys/{}")
    records = session.engine.index(index_spec(session, request)).get(
        list(dict.fromkeys(request.keys)), data=bool(request.return_data), metadata=bool(request.return_metadata)
    )
    return VectorList(vectors=[_vector(record) for record in records])


def list_vectors(session: Session, request: ListVectors) -> VectorList:
    """Return a page of vectors in byte order of key. Raises IndexNotFound, InvalidRequest (filter, token)."""
    limits = session.dialect.limits
    constraints = Constraints(hints=session.dialect.hints)
    constraints.between("/maxResults", request.max_results, low=1, high=limits.list_vectors_max)
    constraints.between("/segmentCount", request.segment_count, low=1, high=limits.segments)
    constraints.between("/segmentIndex", request.segment_index, low=0, high=limits.segments - 1)
    constraints.check()
    segment = _segment(request)
    spec = index_spec(session, request)
    where = where_of(session, spec, request.where)
    scope = ("vectors", spec.uid, *segment, repr(where))
    listing = session.engine.index(spec).scan(
        after=start_after(session, request.next_token, scope=scope, longest=limits.vector_token_max),
        limit=request.max_results or limits.list_vectors_default,
        where=where,
        segment=segment,
        max_bytes=limits.list_vectors_bytes,
        data=bool(request.return_data),
        metadata=bool(request.return_metadata),
    )
    return VectorList(
        vectors=[_vector(record) for record in listing.records],
        next_token=name_token(session, listing.next_after, scope=scope),
    )


def delete_vectors(session: Session, request: DeleteVectors) -> Deleted:
    """Delete by key, absent keys being ignored, or by filter. Raises IndexNotFound, InvalidFilter, InvalidRequest."""
    constraints = Constraints(hints=session.dialect.hints)
    by_filter = request.where is not None
    if by_filter and request.keys is not None:
        raise InvalidRequest("Must specify either keys or filter but not both", path="/filter")
    if not by_filter:
        constraints.required("/keys", request.keys)
    constraints.length("/keys", request.keys, low=1, high=session.dialect.limits.delete_keys)
    constraints.check()
    keys = list(dict.fromkeys(request.keys or ()))
    check_keys(keys, session.dialect, path="/keys/{}")
    spec = index_spec(session, request)
    index = session.engine.index(spec)
    if by_filter:
        return Deleted(deleted_count=index.delete_where(where_of(session, spec, request.where)))
    index.delete(keys)
    return Deleted()


def count_vectors(session: Session, request: CountVectors) -> Count:
    """Count the vectors that satisfy the filter. Raises IndexNotFound, InvalidFilter."""
    spec = index_spec(session, request)
    return Count(count=session.engine.index(spec).count(where_of(session, spec, request.where)))


def query_vectors(session: Session, request: QueryVectors) -> QueryResult:
    """Return a page of the nearest vectors; of the best with `queryTexts`, see `ragvec.api.text_query`. Raises
    IndexNotFound, InvalidRequest (vector, filter, token)."""
    if request.query_texts is not None:
        return query_texts(session, request)
    limits = session.dialect.limits
    constraints = Constraints(hints=session.dialect.hints)
    constraints.between("/topK", request.top_k, low=1, high=limits.top_k)
    constraints.between("/maxResults", request.max_results, low=1, high=limits.query_page_max)
    constraints.required("/queryVector", request.query_vector)
    constraints.check()
    spec = index_spec(session, request)
    assert request.query_vector is not None
    vector = query_vector(session, spec, request.query_vector.float32)
    squared = bool(request.return_distance) and session.dialect.squared_euclidean and spec.metric == "euclidean"
    search = SearchRequest(
        queries=vector.reshape(1, -1),
        k=request.top_k,
        where=where_of(session, spec, request.where, mode=request.query_mode),
        data=squared or bool(request.return_data),
        metadata=bool(request.return_metadata),
    )
    size = request.max_results or limits.query_page
    if request.next_token is None and (size is None or request.top_k <= size):
        # Where everything fits one page, nothing is needed that binds later ones to it.
        (hits,) = execute.search(session.engine.index(spec), search)
        page, digest = SearchPage(hits), b""
    else:
        digest = _query_digest(spec, request, search, vector)
        index, keep = session.engine.index(spec), session.dialect.limits.ranking_seconds
        page = query_page(
            session,
            request,
            digest=digest,
            first=lambda size: first_page(index, search, page_size=size, digest=digest, keep_seconds=keep),
            later=lambda size, cursor, offset: next_page(
                index, search, page_size=size, digest=digest, cursor=cursor, offset=offset
            ),
        )
    return QueryResult(
        vectors=_squared_hits(page, request, vector) if squared else _hits(page, request),
        distance_metric=spec.metric,
        next_token=_page_token(session, page, digest=digest),
    )


def _page_token(session: Session, page: SearchPage, *, digest: bytes) -> str | None:
    if page.next_page is None:
        return None
    return encode_token(page.next_page, digest=digest, key=session.engine.token_key)


def _query_digest(spec: IndexSpec, request: QueryVectors, search: SearchRequest, vector: FloatVector) -> bytes:
    flags = (search.data, search.metadata, bool(request.return_distance))
    return request_digest("query", spec.uid, search.k, vector.tobytes(), repr(search.where), *flags)


def _hits(page: SearchPage, request: QueryVectors) -> list[Vector]:
    records = page.hits.records
    if not request.return_distance:
        return [_vector(record) for record in records]
    return [_vector(record, value) for record, value in zip(records, page.hits.distances.tolist(), strict=True)]


def _squared_hits(page: SearchPage, request: QueryVectors, query: FloatVector) -> list[Vector]:
    """Hits with squares, computed from the rows and in their order: squares differ where the float32 roots tie."""
    records = page.hits.records
    if not records:
        return []
    squares = squared_euclidean(np.stack([record.data for record in records if record.data is not None]), query)
    hits = []
    for at in np.argsort(squares, kind="stable"):
        record = records[at] if request.return_data else msgspec.structs.replace(records[at], data=None)
        hits.append(_vector(record, float(squares[at])))
    return hits


def _vector(record: Record, distance: float | None = None) -> Vector:
    return Vector(
        key=record.key,
        distance=distance,
        data=None if record.data is None else Numbers(float32=record.data.tolist()),
        metadata=record.metadata,
    )


def _segment(request: ListVectors) -> tuple[int, int]:
    count, index = request.segment_count, request.segment_index
    if count is None and index is None:
        return 0, 1
    if count is None or index is None:
        raise InvalidRequest("Must specify both segmentCount and segmentIndex or neither", path="/segmentCount")
    if index >= count:
        raise InvalidRequest(f"segmentIndex must be less than segmentCount {count}, got {index}", path="/segmentIndex")
    return index, count
