"""Typed results: documents, passages, answers, FAQ rows and counts, each with a view for people."""

from __future__ import annotations

from typing import Any

import msgspec

from ragvec.kendra.found import Confidence, Table
from ragvec.kendra.markup import html_answer, html_faq, html_item, html_items, html_passage
from ragvec.text.highlight import Span

__all__ = ["AnswerItem", "Count", "FaqItem", "Item", "PassageItem"]

_SHOWN = 60


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """A document that was found, shown by its best passage.

    `highlights` are places in `excerpt`, `title_highlights` in `title`. `score` is its relevance, None when browsing.
    `attributes` are the document's by name, dates as datetime in UTC. `passage` is the whole text of the best passage,
    `heading` the headings above it, `page_number` its page in a paged document. In a collapsed result `group` are
    others of its group, and `group_size` counts all of them. `id` names this result of this query,
    where a journal is kept.
    """

    document_id: str
    title: str
    excerpt: str
    highlights: tuple[Span, ...]
    title_highlights: tuple[Span, ...]
    uri: str
    score: float | None
    confidence: Confidence
    attributes: dict[str, Any]
    passage: str
    heading: str = ""
    page_number: int | None = None
    group: tuple[Item, ...] = ()
    group_size: int | None = None
    id: str = ""

    def __repr__(self) -> str:
        return f"<Item {self.document_id!r}: {_short(self)}>"

    def _repr_html_(self) -> str:
        return html_items([html_item(self)])


class PassageItem(msgspec.Struct, frozen=True, kw_only=True):
    """A passage that was found: its text, and the characters `[begin, end)` of its document that it is."""

    document_id: str
    title: str
    text: str
    uri: str
    score: float
    confidence: Confidence
    attributes: dict[str, Any]
    begin: int
    end: int
    heading: str = ""
    page_number: int | None = None

    def __repr__(self) -> str:
        return f"<PassageItem {self.document_id!r}[{self.begin}:{self.end}]: {_short(self)}>"

    def _repr_html_(self) -> str:
        return html_items([html_passage(self)])


class AnswerItem(msgspec.Struct, frozen=True, kw_only=True):
    """An answer read from a document: `answer`, which is the place `span` of `text`, a piece of the passage.

    `highlights` are where words of the question stand in `text`. `begin` and `end` are the answer's characters in its
    document. An answer from a table has the part of it that answers as `table`.
    """

    answer: str
    text: str
    span: Span
    highlights: tuple[Span, ...]
    document_id: str
    title: str
    uri: str
    score: float
    confidence: Confidence
    attributes: dict[str, Any]
    passage: str
    begin: int
    end: int
    heading: str = ""
    page_number: int | None = None
    table: Table | None = None
    id: str = ""

    def __repr__(self) -> str:
        return f"<AnswerItem {_cut(self.answer)!r} from {self.document_id!r}, {self.confidence} {self.score:.2f}>"

    def _repr_html_(self) -> str:
        return html_items([html_answer(self)])


class FaqItem(msgspec.Struct, frozen=True, kw_only=True):
    """A row of a FAQ. `highlights` are where words of the text searched for stand in `question`."""

    question: str
    answer: str
    highlights: tuple[Span, ...]
    document_id: str
    faq_id: str
    uri: str
    score: float
    confidence: Confidence
    attributes: dict[str, Any]
    id: str = ""

    def __repr__(self) -> str:
        return f"<FaqItem {_cut(self.question)!r}, {self.confidence} {self.score:.2f}>"

    def _repr_html_(self) -> str:
        return html_items([html_faq(self)])


class Count(msgspec.Struct, frozen=True, omit_defaults=True):
    """How many of the documents found have this value of an attribute; `nested` counts another one among these."""

    value: Any
    count: int
    nested: tuple[Count, ...] | None = None

    def __repr__(self) -> str:
        return f"Count({self.value!r}, {self.count})"


def _short(item: Item | PassageItem) -> str:
    title = _cut(item.title)
    return repr(title) if item.score is None else f"{title!r}, {item.confidence} {item.score:.2f}"


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
