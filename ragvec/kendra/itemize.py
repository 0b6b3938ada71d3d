"""From what a search found to typed results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from ragvec.kendra.access.lists import is_access_field
from ragvec.kendra.attributes import Schema, plain_value
from ragvec.kendra.excerpts import Sought, answer_text, excerpt_of, text_of
from ragvec.kendra.found import Answer, FacetCounts, FaqHit, Found, Outcome
from ragvec.kendra.hits import AnswerItem, Count, FaqItem, Item, PassageItem
from ragvec.kendra.items import item_id
from ragvec.kendra.limits import Limits
from ragvec.kendra.relevance import Scale
from ragvec.kendra.results import Passages, SearchResults
from ragvec.pipeline.parents import GAP, PARENT, Parent
from ragvec.pipeline.passages import (
    BEGIN,
    DOCUMENT_ID,
    DOCUMENT_TITLE,
    END,
    HASH,
    HEADING,
    PAGE_NUMBER,
    PASSAGE,
    PASSAGES,
    SOURCE_URI,
    TEXT,
)

__all__ = ["passage_items", "search_results", "with_parents"]

_NOT_ATTRIBUTES = frozenset({DOCUMENT_ID, PASSAGE, PASSAGES, BEGIN, END, PAGE_NUMBER, HEADING, TEXT, HASH, PARENT, GAP})


def search_results(
    outcome: Outcome, text: str | None, *, schema: Schema, scale: Scale, limits: Limits, query_id: str
) -> SearchResults:
    """The typed form of what was found for `text`."""
    maker = _Maker(sought=Sought.of(outcome), schema=schema, scale=scale, limits=limits, query_id=query_id)
    return SearchResults(
        [maker.document(found) for found in outcome.items],
        text=text,
        total=outcome.total,
        page=outcome.page,
        pages=outcome.pages,
        page_size=outcome.page_size,
        facets={facet.field.name: _counts(facet) for facet in outcome.facets},
        answers=[maker.answer(answer) for answer in outcome.answers],
        faqs=[maker.faq(hit) for hit in outcome.faqs],
        featured=[maker.document(found) for found in outcome.featured],
        correction=outcome.correction,
        warnings=outcome.warnings,
        query_id=query_id,
    )


def passage_items(outcome: Outcome, *, schema: Schema, scale: Scale) -> Passages:
    """The typed form of a page of passages."""
    return Passages(
        PassageItem(
            document_id=found.document_id,
            title=text_of(found, DOCUMENT_TITLE),
            text=text_of(found),
            uri=text_of(found, SOURCE_URI),
            score=found.score or 0.0,
            confidence=scale.confidence(found.score),
            attributes=_attributes(found.metadata, schema),
            begin=found.metadata.get(BEGIN, 0),
            end=found.metadata.get(END, 0),
            heading=text_of(found, HEADING),
            page_number=found.metadata.get(PAGE_NUMBER),
        )
        for found in outcome.items
    )


def with_parents(items: Passages, parents: Sequence[Parent | None]) -> Passages:
    """The same with the text and place of each one's parent, each parent once."""
    taken: dict[Any, PassageItem] = {}
    for item, parent in zip(items, parents, strict=True):
        if parent is None:
            taken.setdefault((item.document_id, item.begin, item.end), item)
            continue
        larger = msgspec.structs.replace(item, text=parent.text, begin=parent.begin, end=parent.end)
        taken.setdefault((parent.document_id, parent.begin, parent.end), larger)
    return Passages(taken.values())


class _Maker(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    sought: Sought
    schema: Schema
    scale: Scale
    limits: Limits
    query_id: str

    def id_of(self, kind: str, document_id: str) -> str:
        return item_id(self.query_id, kind, document_id) if self.query_id else ""

    def document(self, found: Found) -> Item:
        title = text_of(found, DOCUMENT_TITLE)
        shown = excerpt_of(found, self.sought, limits=self.limits)
        return Item(
            document_id=found.document_id,
            title=title,
            excerpt=shown.text,
            highlights=shown.highlights,
            title_highlights=self.sought.spans(title),
            uri=text_of(found, SOURCE_URI),
            score=found.score,
            confidence=self.scale.confidence(found.score),
            attributes=_attributes(found.metadata, self.schema),
            passage=text_of(found),
            heading=text_of(found, HEADING),
            page_number=found.metadata.get(PAGE_NUMBER),
            group=tuple(self.document(member) for member in found.group or ()),
            group_size=found.group_size,
            id=self.id_of("DOCUMENT", found.document_id),
        )

    def answer(self, answer: Answer) -> AnswerItem:
        found = answer.passage
        around = answer_text(answer, limits=self.limits)
        begin = found.metadata.get(BEGIN, 0)
        return AnswerItem(
            answer=text_of(found)[answer.begin : answer.end],
            text=around.text,
            span=around.answer,
            highlights=self.sought.spans(around.text),
            document_id=found.document_id,
            title=text_of(found, DOCUMENT_TITLE),
            uri=text_of(found, SOURCE_URI),
            score=answer.score,
            confidence=answer.confidence,
            attributes=_attributes(found.metadata, self.schema),
            passage=text_of(found),
            begin=begin + answer.begin,
            end=begin + answer.end,
            heading=text_of(found, HEADING),
            page_number=found.metadata.get(PAGE_NUMBER),
            table=answer.table,
            id=self.id_of("ANSWER", found.document_id),
        )

    def faq(self, hit: FaqHit) -> FaqItem:
        return FaqItem(
            question=hit.question,
            answer=hit.answer,
            highlights=self.sought.spans(hit.question),
            document_id=hit.document_id,
            faq_id=hit.faq_id,
            uri=hit.uri,
            score=hit.score,
            confidence=hit.confidence,
            attributes=_attributes(hit.metadata, self.schema),
            id=self.id_of("QUESTION_ANSWER", hit.document_id),
        )


def _attributes(metadata: Mapping[str, Any], schema: Schema) -> dict[str, Any]:
    return {
        name: plain_value(schema.fields[name], value) if name in schema.fields else value
        for name, value in sorted(metadata.items())
        if name not in _NOT_ATTRIBUTES and not is_access_field(name)
    }


def _counts(facet: FacetCounts) -> tuple[Count, ...]:
    return tuple(
        Count(
            plain_value(facet.field, value.value),
            value.count,
            None if value.nested is None else _counts(value.nested),
        )
        for value in facet.values
    )
