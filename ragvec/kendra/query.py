"""The search behind Query, stage by stage.

1. The text is read: operators become conditions, the other words rank.
2. Passages are ranked among all that the request lets be found, and make documents; without words, all documents are
   there, in order of key. Answers are read from the passages, FAQ rows found beside them.
3. Facets and totals count everything found.
4. Documents are sorted, then collapsed; answers, FAQ rows and documents, in this order, are cut to what can be reached
   and paged together.
5. For the page alone, texts are read. Featured documents, a corrected spelling and warnings are added.

Access control is part of the filter of every stage.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from ragvec.filters.nodes import Filter
from ragvec.kendra import stages
from ragvec.kendra.attributes import Schema
from ragvec.kendra.browse import browsed, named, with_text
from ragvec.kendra.collapse import collapsed
from ragvec.kendra.facets import count_facet
from ragvec.kendra.filters import leaves
from ragvec.kendra.found import Answer, FacetCounts, FaqHit, Found, Outcome
from ragvec.kendra.notes import Notes
from ragvec.kendra.relevance import Scale
from ragvec.kendra.request.asked import Request, conjunction, conjuncts
from ragvec.kendra.settings import Settings
from ragvec.kendra.sorting import in_order
from ragvec.protocols import Embedder
from ragvec.types import FloatVector

if TYPE_CHECKING:
    from ragvec.store import Index

__all__ = ["Search", "find_documents", "page_of", "paged"]

_READ_FOR_ANSWERS = 20
"""Passages that answers are looked for in."""


class Search(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What a search works with. `embedder` gives the embedder when it is needed, and may raise then."""

    index: Index
    schema: Schema
    scale: Scale
    settings: Settings
    notes: Notes
    embedder: Callable[[], Embedder]
    vectors: dict[str, FloatVector] = {}

    def vector(self, text: str) -> FloatVector:
        """The text's vector, made once for all stages."""
        if text not in self.vectors:
            self.vectors[text] = self.embedder().embed_query(text)
        return self.vectors[text]


def find_documents(search: Search, request: Request) -> Outcome:
    """The page of results that the request asks for; the embedder is used only when there is text."""
    read = stages.understood(search, request)
    passages, documents = _found(search, read.request, read.scale)
    answers = _answers(search, read.request, passages)
    faqs = stages.faqs(search, read.request) if _wanted(request, faqs=True) else ()
    featured = _featured(search, request, documents)
    if request.kind not in (None, "DOCUMENT"):
        documents = []
    facets = _facets(search, read, documents, answers, faqs)
    apart = {found.document_id for found in featured}
    ordinary = [found for found in documents if found.document_id not in apart]
    if request.collapse is not None:
        shown = collapsed(ordinary, request.collapse, sort=request.sort)
    else:
        shown = in_order(ordinary, request.sort)
    outcome = paged(shown, answers, faqs, read.request, most=search.settings.limits.results)
    where = read.request.where
    return msgspec.structs.replace(
        outcome,
        items=tuple(with_text(search.index, outcome.items, where=where)),
        total=outcome.total + len(ordinary) - len(shown),
        facets=facets,
        featured=tuple(with_text(search.index, featured, where=request.access)),
        warnings=read.warnings,
        correction=stages.correction(search, request) if request.spelling and request.text else None,
        words=read.request.text or "",
        synonyms=stages.synonyms(search, read.request.text) if read.request.text else (),
    )


def page_of(found: Sequence[Found], request: Request, *, most: int | None) -> Outcome:
    """The requested page of a list, of which only the first `most` can be reached; beyond them pages are empty."""
    return paged(found, (), (), request, most=most)


def paged(
    documents: Sequence[Found],
    answers: Sequence[Answer],
    faqs: Sequence[FaqHit],
    request: Request,
    *,
    most: int | None,
) -> Outcome:
    """The page of everything in its order; or of the documents, with the rest beside the first page."""
    in_pages: list[Answer | FaqHit | Found] = [*documents] if request.beside else [*answers, *faqs, *documents]
    reachable = len(in_pages) if most is None else min(len(in_pages), most)
    first = (request.page - 1) * request.page_size
    page = in_pages[first : min(first + request.page_size, reachable)]
    beside = request.beside and request.page == 1
    return Outcome(
        items=tuple(each for each in page if isinstance(each, Found)),
        answers=tuple(answers) if beside else tuple(each for each in page if isinstance(each, Answer)),
        faqs=tuple(faqs) if beside else tuple(each for each in page if isinstance(each, FaqHit)),
        total=len(in_pages),
        reachable=reachable,
        page=request.page,
        page_size=request.page_size,
    )


def _found(search: Search, request: Request, scale: Scale) -> tuple[Sequence[Found], Sequence[Found]]:
    """The passages found for the words of the request, and the documents that they make, best first."""
    if request.text is None:
        return (), browsed(search.index, request.where)
    return stages.ranked(search, request, scale=scale)


def _wanted(request: Request, *, answers: bool = False, faqs: bool = False) -> bool:
    """Whether these are asked for and can be shown: beside documents they stand on the first page alone."""
    asked = (answers and request.answers) or (faqs and request.faqs)
    return asked and request.text is not None and not (request.beside and request.page > 1)


def _answers(search: Search, request: Request, passages: Sequence[Found]) -> Sequence[Answer]:
    if not passages or not _wanted(request, answers=True):
        return ()
    return stages.answers(search, request, with_text(search.index, passages[:_READ_FOR_ANSWERS], where=request.where))


def _featured(search: Search, request: Request, documents: Sequence[Found]) -> list[Found]:
    """The documents featured for the text that may be seen, by their best passage where it was found."""
    if not request.featured or request.text is None:
        return []
    ids = stages.featured_ids(search, request.text)
    if not ids:
        return []
    there = named(search.index, ids, access=request.access)
    best = {found.document_id: found for found in documents if found.document_id in there}
    return [best.get(i, there[i]) for i in ids if i in there]


def _facets(
    search: Search,
    read: stages.Understood,
    documents: Sequence[Found],
    answers: Sequence[Answer],
    faqs: Sequence[FaqHit],
) -> tuple[FacetCounts, ...]:
    """The counts over all that is found and can be returned: documents and FAQ rows, or documents with an answer."""
    request = read.request
    if not request.facets:
        return ()
    found = _counted(request, documents, answers, faqs)
    relaxed: dict[Filter, list[dict[str, Any]]] = {}
    counts = []
    for facet in request.facets:
        where = _without(request.where, facet.field.name) if facet.disjunctive else request.where
        if where == request.where:
            counts.append(count_facet(found, facet))
            continue
        if where not in relaxed:
            wider = msgspec.structs.replace(request, where=where)
            passages, others = _found(search, wider, read.scale)
            relaxed[where] = _counted(
                wider,
                others if request.kind in (None, "DOCUMENT") else (),
                _answers(search, wider, passages) if request.kind == "ANSWER" else (),
                stages.faqs(search, wider) if _wanted(wider, faqs=True) else (),
            )
        counts.append(count_facet(relaxed[where], facet))
    return tuple(counts)


def _counted(
    request: Request, documents: Sequence[Found], answers: Sequence[Answer], faqs: Sequence[FaqHit]
) -> list[dict[str, Any]]:
    counted = [found.metadata for found in documents]
    if request.kind == "ANSWER":
        counted += [answer.passage.metadata for answer in answers]
    if not request.beside:
        counted += [faq.metadata for faq in faqs]
    return counted


def _without(where: Filter, field: str) -> Filter:
    """`where` less those of its conditions that look at this field alone."""
    parts = conjuncts(where)
    return conjunction(*(part for part in parts if {getattr(leaf, "field", "") for leaf in leaves(part)} != {field}))
