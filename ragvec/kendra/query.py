"""The search behind Query: text to passages, passages to documents, documents to an ordered, paged result.

Found are the passages among the nearest `depth` whose similarity is at least what the scale of the embedder calls
related. A document stands where its best passage stands, once. Totals, facets and sorting are over all documents found,
never over a page. Without text, found are all documents that satisfy the filter, in order of their keys.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from ragvec.errors import InvalidRequest, NonFilterableKey
from ragvec.filters.interpret import matches
from ragvec.filters.nodes import Eq, Filter
from ragvec.kendra.facets import count_facets
from ragvec.kendra.filters import leaves
from ragvec.kendra.found import FacetCounts, Found, Outcome
from ragvec.kendra.relevance import Scale
from ragvec.kendra.request import Request, conjunction
from ragvec.kendra.settings import Settings
from ragvec.kendra.sorting import in_order
from ragvec.pipeline.passages import BEGIN, DOCUMENT_ID, END, PAGE_NUMBER, PASSAGE, TEXT
from ragvec.types import FloatVector

if TYPE_CHECKING:
    from ragvec.store import Index

__all__ = ["find_documents", "nearest_passages", "page_of"]

_OF_PASSAGES = frozenset({PAGE_NUMBER, PASSAGE, BEGIN, END})
"""What differs between the passages of one document."""


def find_documents(
    index: Index, request: Request, *, embed: Callable[[str], FloatVector], scale: Scale, settings: Settings
) -> Outcome:
    """The page of documents that the request asks for; `embed` is called once, and only when there is text."""
    if request.text is None:
        documents = _browse(index, request)
    else:
        documents = _best_per_document(nearest_passages(index, request, embed=embed, scale=scale, settings=settings))
    facets = count_facets([found.metadata for found in documents], request.facets)
    ordered = in_order(documents, request.sort)
    outcome = page_of(ordered, request, most=settings.limits.results, facets=facets)
    return outcome if request.text is not None else _with_text(index, outcome, request.where)


def page_of(
    found: Sequence[Found], request: Request, *, most: int | None, facets: tuple[FacetCounts, ...] = ()
) -> Outcome:
    """The requested page of a list, of which only the first `most` can be reached; beyond them pages are empty."""
    reachable = len(found) if most is None else min(len(found), most)
    first = (request.page - 1) * request.page_size
    return Outcome(
        items=tuple(found[first : min(first + request.page_size, reachable)]),
        total=len(found),
        reachable=reachable,
        page=request.page,
        page_size=request.page_size,
        facets=facets,
    )


def nearest_passages(
    index: Index, request: Request, *, embed: Callable[[str], FloatVector], scale: Scale, settings: Settings
) -> list[Found]:
    """The related passages, nearest first, ties in order of key."""
    if index.metric != "cosine":
        raise InvalidRequest(f"Expected an index with the metric cosine, got {index.metric} - at `{index.name}`")
    _check_filterable(index, request.where)
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


def _check_filterable(index: Index, where: Filter) -> None:
    """Raise NonFilterableKey if the filter looks at what the index keeps but cannot search."""
    fixed = index.non_filterable
    for leaf in leaves(where):
        name = getattr(leaf, "field", "")
        if name in fixed:
            raise NonFilterableKey(f"The index {index.name!r} has {name!r} declared non-filterable", path=name)


def _browse(index: Index, request: Request) -> list[Found]:
    """Every document that satisfies the filter, in order of key, its text left out.

    The first passage stands for its document, unless the filter looks at what differs between passages.
    """
    _check_filterable(index, request.where)
    by_passage = any(getattr(leaf, "field", "") in _OF_PASSAGES for leaf in leaves(request.where))
    where = request.where if by_passage else conjunction(request.where, Eq(PASSAGE, 0))
    found = []
    for record in index.iter(where=where):
        metadata = record.metadata or {}
        if DOCUMENT_ID in metadata:
            metadata.pop(TEXT, None)
            found.append(Found(record.key, metadata[DOCUMENT_ID], metadata, None))
    return _best_per_document(found)


def _best_per_document(passages: Iterable[Found]) -> list[Found]:
    best: dict[str, Found] = {}
    for passage in passages:
        best.setdefault(passage.document_id, passage)
    return list(best.values())


def _with_text(index: Index, outcome: Outcome, where: Filter) -> Outcome:
    """The page with its passages' text read.

    What was replaced meanwhile is read as it is now, if it still satisfies the filter, which may say who may see it;
    what does not, or is gone, stays without text.
    """
    records = index.get([found.key for found in outcome.items], data=False)
    now = {record.key: record.metadata for record in records if record.metadata and matches(where, record.metadata)}
    items = tuple(
        msgspec.structs.replace(found, metadata=now.get(found.key, found.metadata)) for found in outcome.items
    )
    return msgspec.structs.replace(outcome, items=items)
