"""The stages of a query that other packages compute, each called in one place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from ragvec.kendra import syntax
from ragvec.kendra.answers.find import find_answers
from ragvec.kendra.faqs.find import find_faqs
from ragvec.kendra.found import Answer, Correction, FaqHit, Found
from ragvec.kendra.learn import spelling, thesaurus
from ragvec.kendra.learn.featured import featured_documents
from ragvec.kendra.rank.documents import best_documents
from ragvec.kendra.rank.passages import ranked_passages
from ragvec.kendra.rank.versions import Versions, newest
from ragvec.kendra.relevance import Scale
from ragvec.kendra.request.asked import Request, conjunction

if TYPE_CHECKING:
    from ragvec.kendra.query import Search

__all__ = ["Understood", "answers", "correction", "faqs", "featured_ids", "ranked", "synonyms", "understood"]


class Understood(msgspec.Struct, frozen=True):
    """A request whose text has been read: `request` has the words that rank as its text, None where there are none, and
    `scale` finds everything that has the words, phrases or wildcards that the text demands, however it ranks."""

    request: Request
    scale: Scale
    warnings: tuple[str, ...] = ()


def understood(search: Search, request: Request) -> Understood:
    """The request with operators in its text made conditions, and its words cut where they cease to count."""
    if request.text is None:
        return Understood(request, search.scale)
    limits = search.settings.limits
    if not request.syntax:
        return Understood(
            msgspec.structs.replace(request, text=syntax.cut_words(request.text, limits=limits)), search.scale
        )
    parsed = syntax.read(request.text, search.schema, limits=limits)
    where = request.where
    if parsed.restricts:
        where = conjunction(where, syntax.restrict(search.index, parsed))
    plain = parsed.plain if parsed.plain.strip() else None
    scale = search.scale
    if parsed.terms is not None:
        scale = msgspec.structs.replace(scale, least=0.0, of_best=0.0)
    return Understood(msgspec.structs.replace(request, text=plain, where=where), scale, parsed.warnings)


def ranked(search: Search, request: Request, *, scale: Scale) -> tuple[Sequence[Found], Sequence[Found]]:
    """The passages found, best first, and the documents that they make, best first. Of documents that another one
    replaces there are no passages, so that nothing answers from them."""
    passages = ranked_passages(
        search.index,
        request,
        embed=search.vector,
        scale=scale,
        settings=search.settings,
        notes=search.notes,
        schema=search.schema,
    )
    documents = best_documents(passages, more=scale.more, versions=search.settings.versions)
    # Also where results keep what others replace: an answer from there would be a wrong one.
    current = documents if search.settings.versions is not None else newest(documents, Versions())
    if len(current) < len(documents) or search.settings.versions is not None:
        kept = {found.document_id for found in current}
        passages = [passage for passage in passages if passage.document_id in kept]
    return passages, documents


def answers(search: Search, request: Request, passages: Sequence[Found]) -> tuple[Answer, ...]:
    """Answers read from the passages, best first."""
    return tuple(
        find_answers(
            request.text or "",
            passages,
            embed=search.embedder(),
            reader=search.settings.reader,
            most=search.settings.limits.answers,
            vector=search.vector(request.text or ""),
        )
    )


def faqs(search: Search, request: Request) -> tuple[FaqHit, ...]:
    """Rows of FAQs whose question is the one asked, best first."""
    return tuple(
        find_faqs(
            search.index,
            request.text or "",
            where=request.where,
            embed=search.vector,
            most=search.settings.limits.faqs,
        )
    )


def featured_ids(search: Search, text: str) -> tuple[str, ...]:
    """The ids of the documents featured for the text."""
    return featured_documents(search.notes, text)


def correction(search: Search, request: Request) -> Correction | None:
    """The text with its spelling corrected by what may be seen; None where there is nothing to correct."""
    return spelling.correction(search.index, request.text or "", where=request.access)


def synonyms(search: Search, text: str) -> tuple[str, ...]:
    """Words that a thesaurus adds to the text."""
    return thesaurus.synonyms(search.notes).expand(text)
