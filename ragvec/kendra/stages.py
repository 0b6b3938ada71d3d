"""The stages of a query that other packages compute, each called in one place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from ragvec.errors import InvalidRequest
from ragvec.kendra import syntax
from ragvec.kendra.browse import check_filterable
from ragvec.kendra.found import Answer, Correction, FaqHit, Found
from ragvec.kendra.learn import thesaurus
from ragvec.kendra.learn.featured import featured_documents
from ragvec.kendra.rank.documents import best_documents
from ragvec.kendra.rank.passages import ranked_passages
from ragvec.kendra.relevance import Scale
from ragvec.kendra.request.asked import Request, conjunction
from ragvec.kendra.settings import Settings
from ragvec.pipeline.passages import DOCUMENT_ID
from ragvec.types import FloatVector

if TYPE_CHECKING:
    from ragvec.kendra.query import Search
    from ragvec.store import Index

__all__ = ["Understood", "answers", "correction", "faqs", "featured_ids", "nearest_passages", "ranked", "understood"]


class Understood(msgspec.Struct, frozen=True):
    """A request whose text has been read: `request` has the words that rank as its text, None where there are none."""

    request: Request
    warnings: tuple[str, ...] = ()


def understood(search: Search, request: Request) -> Understood:
    """The request with operators in its text made conditions, and its words cut where they cease to count."""
    if request.text is None:
        return Understood(request)
    limits = search.settings.limits
    if not request.syntax:
        return Understood(msgspec.structs.replace(request, text=syntax.cut_words(request.text, limits=limits)))
    parsed = syntax.read(request.text, search.schema, limits=limits)
    where = request.where
    if parsed.restricts:
        where = conjunction(where, syntax.restrict(search.index, parsed))
    plain = parsed.plain if parsed.plain.strip() else None
    return Understood(msgspec.structs.replace(request, text=plain, where=where), parsed.warnings)


def ranked(search: Search, request: Request) -> tuple[Sequence[Found], Sequence[Found]]:
    """The passages found, best first, and the documents that they make, best first."""
    passages = ranked_passages(
        search.index,
        request,
        embed=lambda text: search.embedder().embed_query(text),
        scale=search.scale,
        settings=search.settings,
        notes=search.notes,
        schema=search.schema,
    )
    return passages, best_documents(passages, more=search.scale.more)


def answers(search: Search, request: Request, passages: Sequence[Found]) -> tuple[Answer, ...]:
    """Answers read from the passages, best first."""
    return ()


def faqs(search: Search, request: Request) -> tuple[FaqHit, ...]:
    """Rows of FAQs whose question is the one asked, best first."""
    return ()


def featured_ids(search: Search, text: str) -> tuple[str, ...]:
    """The ids of the documents featured for the text."""
    return featured_documents(search.notes, text)


def correction(search: Search, request: Request) -> Correction | None:
    """The text with its spelling corrected; None where there is nothing to correct."""
    return None


def synonyms(search: Search, text: str) -> tuple[str, ...]:
    """Words that a thesaurus adds to the text."""
    return thesaurus.synonyms(search.notes).expand(text)


def nearest_passages(
    index: Index, request: Request, *, embed: Callable[[str], FloatVector], scale: Scale, settings: Settings
) -> list[Found]:
    """The related passages, nearest first, ties in order of key."""
    if index.metric != "cosine":
        raise InvalidRequest(f"Expected an index with the metric cosine, got {index.metric} - at `{index.name}`")
    check_filterable(index, request.where)
    vector = embed(request.text or "")
    if not np.any(vector):  # an embedder that counts words makes nothing of a text without any
        return []
    hits = index.query(vector, k=settings.depth, where=request.where)
    found = [
        Found(hit.key, hit.metadata[DOCUMENT_ID], hit.metadata, 1.0 - float(hit.distance))
        for hit in hits
        if hit.metadata is not None and DOCUMENT_ID in hit.metadata
    ]
    if not found:
        return []
    floor = scale.floor(best=found[0].score or 0.0)
    return [passage for passage in found if passage.score is not None and passage.score >= floor]
