"""Explaining a ranking: the search done once more, with every number kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from ragvec.filters.nodes import Eq, Filter
from ragvec.kendra.attributes import Schema
from ragvec.kendra.found import Found
from ragvec.kendra.notes import Notes
from ragvec.kendra.rank.candidates import coverage
from ragvec.kendra.rank.documents import best_documents
from ragvec.kendra.rank.passages import Trail, ranked_with_trail
from ragvec.kendra.rank.reasons import DocumentReasons, FieldReasons, PassageReasons, RankingExplanation, cut
from ragvec.kendra.relevance import Scale
from ragvec.kendra.request.asked import Request, conjunction
from ragvec.kendra.settings import Settings
from ragvec.pipeline.passages import DOCUMENT_ID, DOCUMENT_TITLE, TEXT
from ragvec.types import FloatVector, RowArray

if TYPE_CHECKING:
    from ragvec.store import Index

__all__ = ["explain"]

_SHOWN = 10
_PASSAGES = 3


def explain(
    index: Index,
    request: Request,
    *,
    embed: Callable[[str], FloatVector],
    scale: Scale,
    settings: Settings,
    notes: Notes,
    schema: Schema | None = None,
    now: float | None = None,
    document_id: str | None = None,
    most: int = _SHOWN,
) -> RankingExplanation:
    """Why the first `most` documents found for the text of the request rank as they do, or the one of this id.

    Of each the best three passages are told. A document that was not found is told too, and why: its passages lie
    below the floor, or beyond the depth, or the filter leaves it out. One that the request's access lets nobody see is
    as one that is not there. The other parameters and errors are those of `ragvec.kendra.rank.passages`.
    """

    def ranked(where: Filter, scale: Scale) -> tuple[list[Found], Trail | None]:
        asked = msgspec.structs.replace(request, where=where)
        return ranked_with_trail(
            index, asked, embed=embed, scale=scale, settings=settings, notes=notes, schema=schema, now=now
        )

    passages, trail = ranked(request.where, scale)
    documents = best_documents(passages, more=scale.more, versions=settings.versions)
    by_document = _by_document(passages)
    ranks = _ranks(trail)
    items = [
        _document(found, place, by_document[found.document_id], trail, ranks, scale)
        for place, found in enumerate(documents, 1)
        if trail is not None and (place <= most if document_id is None else found.document_id == document_id)
    ]
    if document_id is not None and not items:
        open_scale = msgspec.structs.replace(scale, least=0.0, of_best=0.0)
        floor = 0.0 if trail is None else trail.floor
        only = Eq(DOCUMENT_ID, document_id)
        there = ranked(conjunction(request.where, only), open_scale)
        outside = there if there[0] else ranked(conjunction(request.access, only), open_scale)
        replaced = document_id in by_document
        items.append(_missing(document_id, floor, here=bool(there[0]), replaced=replaced, found=outside, scale=scale))
    return RankingExplanation(
        text=request.text or "",
        words=_share(trail, scale),
        floor=0.0 if trail is None else trail.floor,
        candidates=0 if trail is None else len(trail.candidates.rows),
        found=len(passages),
        documents=len(documents),
        synonyms=() if trail is None else trail.synonyms,
        items=tuple(items),
    )


def _share(trail: Trail | None, scale: Scale) -> float:
    if trail is None or not trail.candidates.queries:
        return 0.0
    return scale.words if trail.vector else 1.0


def _by_document(passages: Sequence[Found]) -> dict[str, list[Found]]:
    found: dict[str, list[Found]] = {}
    for passage in passages:
        found.setdefault(passage.document_id, []).append(passage)
    return found


def _document(
    found: Found,
    place: int,
    passages: Sequence[Found],
    trail: Trail,
    ranks: Sequence[Mapping[int, int]],
    scale: Scale,
) -> DocumentReasons:
    return DocumentReasons(
        document_id=found.document_id,
        title=str(found.metadata.get(DOCUMENT_TITLE, "")),
        place=place,
        score=found.score,
        confidence=scale.confidence(found.score),
        added=(found.score or 0.0) - (passages[0].score or 0.0),
        passages=tuple(_passage(passage, trail, ranks, words=scale.words) for passage in passages[:_PASSAGES]),
    )


def _missing(
    document_id: str, floor: float, *, here: bool, replaced: bool, found: tuple[list[Found], Trail | None], scale: Scale
) -> DocumentReasons:
    passages, trail = found
    best = (
        0.0 if trail is None else max((trail.candidates.base[trail.places[each.key]] for each in passages), default=0.0)
    )
    if not passages:
        why = "there is no such document, or nothing in it that the text could be compared with"
    elif not here:
        why = "the filter leaves it out"
    elif replaced:
        why = "another document found is in its place"
    elif best < floor:
        why = f"its best passage has {best:.3f}, below the floor of {floor:.3f}"
    else:
        why = "its passages lie beyond the depth of the search"
    return DocumentReasons(
        document_id=document_id,
        title=str(passages[0].metadata.get(DOCUMENT_TITLE, "")) if passages else "",
        place=None,
        score=None,
        confidence=scale.confidence(None),
        added=0.0,
        # Its places in a search of its own say nothing.
        passages=tuple(
            _passage(passage, trail, (), words=scale.words) for passage in passages[:_PASSAGES] if trail is not None
        ),
        missing=why,
    )


def _passage(found: Found, trail: Trail, ranks: Sequence[Mapping[int, int]], *, words: float) -> PassageReasons:
    among = trail.candidates
    place = trail.places[found.key]
    row = int(among.rows[place])
    own = len({query.key for query in among.queries})
    fields = tuple(
        FieldReasons(
            field=query.key,
            weight=query.weight,
            bm25=float(among.words[number, place]) / query.weight,
            rank=ranks[number].get(row) if ranks else None,
            synonyms=number >= own,
        )
        for number, query in enumerate(among.queries)
    )
    context = trail.context.get(found.key, 0.0)
    alone, covered = coverage(among.bm25[place] + np.array([0.0, context]), among.once).tolist()
    share = words if trail.vector else 1.0
    relevance = float(among.base[place]) + share * (covered - alone)
    return PassageReasons(
        key=found.key,
        excerpt=cut(str(found.metadata.get(TEXT, ""))),
        similarity=found.similarity,
        similarity_rank=ranks[-1].get(row) if ranks and trail.vector else None,
        fields=fields,
        context=context,
        coverage=covered if among.queries else None,
        relevance=relevance,
        factors=dict(trail.factors.get(found.document_id, {})),
        feedback=trail.feedback.get(found.document_id, 0.0),
        score=found.score or 0.0,
    )


def _ranks(trail: Trail | None) -> list[dict[int, int]]:
    """The place of each row in each ranking, from 1; the texts in their order, then the vector."""
    if trail is None:
        return []
    ranked = trail.candidates.ranked
    lists: list[RowArray] = [ranking.rows for ranking in ranked.texts]
    if ranked.vector is not None:
        lists.append(ranked.vector.rows)
    return [dict(zip(rows.tolist(), range(1, len(rows) + 1), strict=True)) for rows in lists]
