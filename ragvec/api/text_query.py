"""QueryVectors with `queryTexts`: searching by text, alone or together with a vector."""

from __future__ import annotations

from ragvec.api.access import Session, index_spec
from ragvec.api.constraints import Constraints
from ragvec.api.filtering import where_of
from ragvec.api.paging import query_page
from ragvec.api.records import query_vector
from ragvec.api.requests import QueryText, QueryVectors
from ragvec.api.responses import Bm25Score, Numbers, ScoredResult, ScoredVector, Scores
from ragvec.api.text_fields import check_text_mode
from ragvec.engine.protocol import IndexSpec, TextQuery
from ragvec.errors import InvalidRequest
from ragvec.search.fuse import ReciprocalRank
from ragvec.search.hybrid import FUSED, first_text_page, next_text_page, score_of
from ragvec.search.page import encode_token, request_digest
from ragvec.search.request import ScoredHits, TextRequest

__all__ = ["query_texts"]

_RRF = ReciprocalRank()


def query_texts(session: Session, request: QueryVectors) -> ScoredResult:
    """Return a page of the best vectors: by BM25 for texts alone, of several the sum, and by reciprocal rank fusion of
    all rankings for texts and a vector. `request.query_texts` is not None.

    Raises:
        BucketNotFound, IndexNotFound. InvalidRequest: a text, the vector, filter or token breaks a rule, or a key is no
        text field of the index. MissingExtra: the library of a language is not installed.
    """
    texts = request.query_texts or []
    _check(session, request, texts)
    spec = index_spec(session, request)
    check_text_mode(session, request.query_mode or spec.index_mode, "queryTexts")
    vector = None if request.query_vector is None else query_vector(session, spec, request.query_vector.float32)
    hybrid = vector is not None
    search = TextRequest(
        texts=tuple(TextQuery(text.metadata_key, text.text) for text in texts),
        k=request.top_k,
        vector=vector,
        fusion=_RRF if hybrid else None,
        where=where_of(session, spec, request.where, mode=request.query_mode),
        data=bool(request.return_data),
        metadata=bool(request.return_metadata),
        scores=bool(request.return_scores) or (hybrid and bool(request.return_distance)),
    )
    _check_fields(session, spec, texts)
    digest = _digest(spec, request, search)
    index = session.engine.index(spec)
    keep = session.dialect.limits.ranking_seconds
    page = query_page(
        session,
        request,
        digest=digest,
        first=lambda size: first_text_page(index, search, page_size=size, digest=digest, keep_seconds=keep),
        later=lambda size, cursor, offset: next_text_page(
            index, search, page_size=size, digest=digest, cursor=cursor, offset=offset
        ),
    )
    assert isinstance(page.hits, ScoredHits)
    token = page.next_page
    return ScoredResult(
        vectors=_vectors(page.hits, request, [text.metadata_key for text in texts]),
        distance_metric=spec.metric,
        next_token=None if token is None else encode_token(token, digest=digest, key=session.engine.token_key),
    )


def _check(session: Session, request: QueryVectors, texts: list[QueryText]) -> None:
    limits = session.dialect.limits
    constraints = Constraints(hints=session.dialect.hints)
    constraints.between("/topK", request.top_k, low=1, high=limits.top_k)
    constraints.between("/maxResults", request.max_results, low=1, high=limits.query_page_max)
    constraints.length("/queryTexts", texts, low=1, high=limits.query_texts)
    for i, text in enumerate(texts):
        place = f"/queryTexts/{i}"
        constraints.length(f"{place}/text", text.text, low=1, high=limits.query_text_max)
        constraints.unicode(f"{place}/text", text.text)
        constraints.length(f"{place}/metadataKey", text.metadata_key, low=1, high=limits.text_key_max)
    constraints.check()
    keys = [text.metadata_key for text in texts]
    for i, key in enumerate(keys):
        if key in keys[:i]:
            raise InvalidRequest(
                f"queryTexts must target distinct metadata keys, got {key!r} twice", path=f"/queryTexts/{i}/metadataKey"
            )


def _check_fields(session: Session, spec: IndexSpec, texts: list[QueryText]) -> None:
    there = [field.key for field in session.engine.catalog.text_fields(spec.uid)]
    for i, text in enumerate(texts):
        if text.metadata_key not in there:
            hint = f"; those of index {spec.name!r} are: {', '.join(map(repr, there)) or 'none'}"
            raise InvalidRequest(
                f"queryTexts must target metadata keys configured for text search, got {text.metadata_key!r}"
                + (hint if session.dialect.hints else ""),
                path=f"/queryTexts/{i}/metadataKey",
            )


def _digest(spec: IndexSpec, request: QueryVectors, search: TextRequest) -> bytes:
    texts = tuple((text.key, text.text) for text in search.texts)
    vector = None if search.vector is None else search.vector.tobytes()
    flags = (search.data, search.metadata, bool(request.return_distance), bool(request.return_scores))
    return request_digest("texts", spec.uid, search.k, texts, vector, repr(search.where), *flags)


def _vectors(hits: ScoredHits, request: QueryVectors, keys: list[str]) -> list[ScoredVector]:
    hybrid = request.query_vector is not None
    distances = hits.distances.tolist()
    fused = hits.scores[FUSED].tolist() if hybrid else []
    by_key = {key: hits.scores[score_of(key)].tolist() for key in keys} if request.return_scores else {}
    found = []
    for at, record in enumerate(hits.records):
        scores = None
        if request.return_scores:
            scores = Scores(
                fused=fused[at] if hybrid else None,
                bm25_scores=[
                    Bm25Score(metadata_key=key, score=values[at]) for key, values in by_key.items() if values[at] > 0
                ],
                vector_distance=distances[at] if hybrid else None,
            )
        found.append(
            ScoredVector(
                key=record.key,
                distance=distances[at] if hybrid and request.return_distance else None,
                data=None if record.data is None else Numbers(float32=record.data.tolist()),
                metadata=record.metadata,
                scores=scores,
            )
        )
    return found
