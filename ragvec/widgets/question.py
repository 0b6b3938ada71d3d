"""What a person asks, and the same question put to the index in one of four ways."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast, get_args

import msgspec

from ragvec.errors import InvalidRequest
from ragvec.kendra.facets import count_facet
from ragvec.kendra.found import Found, Outcome
from ragvec.kendra.itemize import search_results
from ragvec.kendra.rank.documents import best_documents
from ragvec.kendra.request.native import Facet, facets_of, sorting_of
from ragvec.kendra.results import SearchResults
from ragvec.kendra.sorting import in_order
from ragvec.pipeline.passages import DOCUMENT_ID
from ragvec.search.text_results import TextResults

if TYPE_CHECKING:
    from ragvec.kendra.index import QueryIndex

__all__ = ["DEPTH", "MODES", "Mode", "Question", "ask", "modes_of"]

Mode: TypeAlias = Literal["query", "hybrid", "dense", "text"]

MODES: Mapping[Mode, str] = {
    "query": "Query layer",
    "hybrid": "Hybrid: words and vectors",
    "dense": "Dense: vectors alone",
    "text": "Text: words alone",
}
"""The ways to ask, with their names for people."""

DEPTH = 200
"""Passages that the modes other than "query" look at: counts and pages are over their documents."""


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that decides what is found. `where` is the whole filter; `without` is it less one facet's own values,
    by the facet's name, for those with values chosen: what the counts beside a chosen value are made of."""

    text: str
    mode: Mode = "query"
    where: dict[str, Any] | None = None
    facets: tuple[Facet, ...] = ()
    without: dict[str, dict[str, Any] | None] = {}
    sort: str = ""
    page: int = 1
    page_size: int = 10
    user: str | None = None
    groups: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.mode not in get_args(Mode):
            raise InvalidRequest(f"Expected one of {', '.join(MODES)} as mode, got {self.mode!r}", path="mode")
        for name, number in (("page", self.page), ("page_size", self.page_size)):
            if number < 1:
                raise InvalidRequest(f"Expected at least 1, got {number} - at `{name}`", path=name)


def modes_of(query_index: QueryIndex) -> tuple[Mode, ...]:
    """The modes that the index can do: those with words need text fields."""
    modes = cast("tuple[Mode, ...]", tuple(MODES))
    return modes if query_index.index.text_fields else ("query", "dense")


def ask(query_index: QueryIndex, question: Question) -> SearchResults:
    """What is found, a page of documents. Without a text, all documents that satisfy the filter, whatever the mode.

    In the modes other than "query" a document is there by the best of the 200 best passages; its score is that of the
    mode: the fused one, BM25, or the distance below zero; nothing is said of its confidence.

    Raises:
        InvalidRequest: as `QueryIndex.search` and `Index.query`.
    """
    if question.mode == "query" or not question.text.strip():
        return query_index.search(
            question.text or None,
            where=question.where,
            facets=question.facets,
            sort=question.sort or None,
            page=question.page,
            page_size=question.page_size,
            user=question.user,
            groups=question.groups,
            spelling=True,
        )
    opened = query_index.opened()
    documents = in_order(
        _documents(query_index, question, question.where), sorting_of(question.sort or None, opened.schema)
    )
    counts = []
    for facet, request in zip(
        question.facets, facets_of(question.facets, opened.schema, query_index.settings), strict=True
    ):
        counted = documents
        if facet.name in question.without:
            counted = _documents(query_index, question, question.without[facet.name])
        counts.append(count_facet([found.metadata for found in counted], request))
    first = (question.page - 1) * question.page_size
    outcome = Outcome(
        items=tuple(documents[first : first + question.page_size]),
        total=len(documents),
        reachable=len(documents),
        page=question.page,
        page_size=question.page_size,
        facets=tuple(counts),
        words=question.text,
    )
    results = search_results(
        outcome,
        question.text,
        schema=opened.schema,
        scale=opened.scale,
        limits=query_index.settings.limits,
        query_id="",
    )
    # How sure a score of one of these modes is has not been calibrated.
    results.items = tuple(msgspec.structs.replace(item, confidence="NOT_AVAILABLE") for item in results.items)
    return results


def _documents(query_index: QueryIndex, question: Question, where: dict[str, Any] | None) -> list[Found]:
    """The documents of the best passages, each by its best one."""
    condition = query_index.condition(where, user=question.user, groups=question.groups)
    vector = None if question.mode == "text" else query_index.embedder.embed_query(question.text)
    arguments: dict[str, Any] = {"k": DEPTH, "where": condition}
    if question.mode != "dense":
        arguments["text"] = question.text
    hits = query_index.index.query(vector, **arguments)
    scores = hits.score if isinstance(hits, TextResults) else -hits.distances
    return best_documents(
        Found(hit.key, hit.metadata[DOCUMENT_ID], hit.metadata, float(score))
        for hit, score in zip(hits, scores, strict=True)
        if hit.metadata and DOCUMENT_ID in hit.metadata
    )
