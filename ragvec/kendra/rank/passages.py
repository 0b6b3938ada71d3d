"""Passages in order of relevance: found by words and by meaning, then moved by tuning and feedback.

1. Candidates are the `depth` nearest passages and, of each text field, the `depth` best by BM25, all that satisfy the
   filter (`ragvec.kendra.rank.candidates`).
2. The relevance of each is (1 − words) × cosine + words × coverage, see `ragvec.kendra.relevance`; the cosine alone
   where the index has no text fields, the coverage alone where the embedder makes nothing of the text.
3. Found are those above the floor of the scale, at most `depth`.
4. The words that other found passages of the same document have count in part (`ragvec.kendra.rank.context`), which
   only adds to a relevance.
5. Tuning multiplies the odds of a relevance (`ragvec.kendra.rank.tuning`), then feedback adds to it, up to 1 and down
   to 0. Neither brings a passage in or drops one.

Ties are in byte order of key.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import numpy.typing as npt

from ragvec.arrays import to_vector
from ragvec.engine.protocol import IndexEngine
from ragvec.errors import ExpiredToken, InvalidRequest
from ragvec.kendra.attributes import Schema
from ragvec.kendra.browse import check_filterable
from ragvec.kendra.found import Found
from ragvec.kendra.learn.feedback import boosts
from ragvec.kendra.learn.thesaurus import synonyms
from ragvec.kendra.notes import Notes
from ragvec.kendra.rank.candidates import Candidates, candidates, coverage, sought
from ragvec.kendra.rank.context import beyond
from ragvec.kendra.rank.tuning import Tuning, configured, effective, factors, tuned
from ragvec.kendra.relevance import Scale
from ragvec.kendra.request.asked import Request
from ragvec.kendra.settings import Settings
from ragvec.pipeline.passages import DOCUMENT_ID
from ragvec.types import FloatVector

if TYPE_CHECKING:
    from ragvec.store import Index

__all__ = ["Trail", "ranked_passages", "ranked_with_trail"]

_ATTEMPTS = 5
Floats = npt.NDArray[np.float64]


class Trail(msgspec.Struct, frozen=True, eq=False):
    """How passages came to their places: for each key, its number among the `candidates`.

    `context` is by key, what the words of other passages count for a passage. `factors` and `feedback` are by document
    id. They hold only what they move.
    """

    candidates: Candidates
    places: Mapping[str, int]
    context: Mapping[str, float]
    factors: Mapping[str, Mapping[str, float]]
    feedback: Mapping[str, float]
    synonyms: tuple[str, ...]
    floor: float
    vector: bool


def ranked_passages(
    index: Index,
    request: Request,
    *,
    embed: Callable[[str], FloatVector],
    scale: Scale,
    settings: Settings,
    notes: Notes,
    schema: Schema | None = None,
    now: float | None = None,
) -> list[Found]:
    """The passages found for the text of the request, best first, with their metadata.

    `score` is the relevance in [0, 1], `similarity` the cosine, None where the embedder made nothing of the text, and
    `bm25` the weighted sum over the text fields, None where there are none. `schema` tells how fields are tuned;
    without it only the request's own tuning counts. `now`, in epoch seconds, is what freshness is measured from; the
    present by default.

    Raises:
        InvalidRequest: the metric of the index is not cosine. NonFilterableKey: the filter looks at what cannot be
        searched. MissingExtra: the library of a text field's language is not installed.
    """
    found, _ = ranked_with_trail(
        index, request, embed=embed, scale=scale, settings=settings, notes=notes, schema=schema, now=now
    )
    return found


def ranked_with_trail(
    index: Index,
    request: Request,
    *,
    embed: Callable[[str], FloatVector],
    scale: Scale,
    settings: Settings,
    notes: Notes,
    schema: Schema | None = None,
    now: float | None = None,
) -> tuple[list[Found], Trail | None]:
    """As `ranked_passages`, with how it came about; None where nothing could be sought."""
    if index.metric != "cosine":
        raise InvalidRequest(f"Expected an index with the metric cosine, got {index.metric} - at `{index.name}`")
    check_filterable(index, request.where)
    text = request.text or ""
    vector = _vector(index, embed(text))
    stood_for = synonyms(notes).brought(text)
    added = tuple(dict.fromkeys(term for each in stood_for for term in each.terms))
    queries = sought(tuple(index.text_fields), text, synonyms=" ".join(added))
    if vector is None and not queries:
        return [], None
    for attempt in range(_ATTEMPTS):
        engine = index.bucket.store.engine.index(index.spec)
        among = candidates(
            engine,
            vector=vector,
            queries=queries,
            depth=settings.depth,
            where=request.where,
            scale=scale,
            access=request.access,
            stood_for=stood_for,
        )
        floor = scale.floor(best=float(among.base.max(initial=0.0)))
        chosen = _above(among.base, floor, most=settings.depth)
        try:
            found = _read(engine, among, chosen, vector=vector is not None)
            found, context = _in_context(engine, among, found, text=text, scale=scale, vector=vector is not None)
            break
        except ExpiredToken:
            # The index was compacted between ranking and reading; rank again in the new generation.
            if attempt == _ATTEMPTS - 1:
                raise
    places = {passage.key: place for passage, place in found}
    moved = [passage for passage, _ in found]
    by_field = _factors(moved, _tunings(schema, request, settings), text=text, now=now)
    feedback = boosts(notes, text)
    moved = [_moved(passage, by_field, feedback) for passage in moved]
    moved.sort(key=lambda passage: (-(passage.score or 0.0), passage.key.encode()))
    trail = Trail(
        among,
        places,
        context,
        by_field,
        feedback,
        added,
        floor,
        vector is not None,
    )
    return moved, trail


def _vector(index: Index, vector: Any) -> FloatVector | None:
    """The question's vector; None when an embedder that counts words makes nothing of a text without any."""
    return to_vector(vector, dimension=index.dimension, metric=index.metric) if np.any(vector) else None


def _above(base: Floats, floor: float, *, most: int) -> npt.NDArray[np.intp]:
    """Which candidates are at or above the floor, best first, at most so many; ties in order of row."""
    order = np.lexsort((np.arange(len(base)), -base))
    return order[: min(most, int(np.count_nonzero(base >= floor)))]


def _read(
    engine: IndexEngine, among: Candidates, chosen: npt.NDArray[np.intp], *, vector: bool
) -> list[tuple[Found, int]]:
    """The chosen candidates with their metadata, and which they are; records that are no passages are left out."""
    records = engine.fetch(among.rows[chosen], generation=among.ranked.generation, data=False, metadata=True)
    bm25 = among.bm25
    found = []
    for place, record in zip(chosen.tolist(), records, strict=True):
        if record is None or not record.metadata or DOCUMENT_ID not in record.metadata:
            continue
        passage = Found(
            record.key,
            record.metadata[DOCUMENT_ID],
            record.metadata,
            float(among.base[place]),
            similarity=float(among.similarity[place]) if vector else None,
            bm25=float(bm25[place]) if among.queries else None,
        )
        found.append((passage, place))
    return found


def _in_context(
    engine: IndexEngine, among: Candidates, found: list[tuple[Found, int]], *, text: str, scale: Scale, vector: bool
) -> tuple[list[tuple[Found, int]], dict[str, float]]:
    """The passages with what their documents have beyond them counted in part, and that part by key."""
    if not scale.context:
        return found, {}
    places = [place for _, place in found]
    more = scale.context * beyond(engine, among, places, [passage.document_id for passage, _ in found], text=text)
    own = among.bm25[places]
    gained = coverage(own + more, among.once) - coverage(own, among.once)
    if vector:
        gained *= scale.words
    lifted = [
        (msgspec.structs.replace(passage, score=(passage.score or 0.0) + gain), place) if gain else (passage, place)
        for (passage, place), gain in zip(found, gained.tolist(), strict=True)
    ]
    return lifted, {passage.key: part for (passage, _), part in zip(found, more.tolist(), strict=True) if part}


def _tunings(schema: Schema | None, request: Request, settings: Settings) -> tuple[Tuning, ...]:
    of_index = () if schema is None else configured(schema)
    return effective(of_index, request.overrides, as_kendra=settings.strict_overrides)


def _factors(
    found: Sequence[Found], tunings: Sequence[Tuning], *, text: str, now: float | None
) -> dict[str, dict[str, float]]:
    """By document id, the factors of the tuned fields; nothing for a query that tunes nothing."""
    if not tunings:
        return {}
    metadata: dict[str, Mapping[str, Any]] = {}
    for passage in found:
        metadata.setdefault(passage.document_id, passage.metadata)
    moment = time.time() if now is None else now
    return dict(zip(metadata, factors(list(metadata.values()), tunings, text=text, now=moment), strict=True))


def _moved(passage: Found, by_field: Mapping[str, Mapping[str, float]], feedback: Mapping[str, float]) -> Found:
    score = passage.score or 0.0
    if passage.document_id in by_field:
        score = tuned(score, by_field[passage.document_id])
    if passage.document_id in feedback:
        score = min(max(score + feedback[passage.document_id], 0.0), 1.0)
    return passage if score == passage.score else msgspec.structs.replace(passage, score=score)
