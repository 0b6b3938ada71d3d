"""Typed results of a search, with views for people, pandas and notebooks."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, time
from typing import TYPE_CHECKING, Any, overload

import msgspec

from ragvec.extras import require
from ragvec.kendra.attributes import Schema, plain_value
from ragvec.kendra.facets import FacetCounts
from ragvec.kendra.limits import Limits
from ragvec.kendra.query import Found, Outcome
from ragvec.kendra.relevance import Confidence, Scale
from ragvec.kendra.render import excerpt_of
from ragvec.kendra.request import Request
from ragvec.pipeline.passages import (
    ACL_ALLOW,
    ACL_DENY,
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
from ragvec.text.highlight import Span, highlights
from ragvec.text.words import Terms, query_terms

if TYPE_CHECKING:
    import pandas

__all__ = ["Count", "Item", "PassageItem", "SearchResults", "passage_items", "search_results"]

_NOT_ATTRIBUTES = frozenset(
    {DOCUMENT_ID, PASSAGE, PASSAGES, BEGIN, END, PAGE_NUMBER, HEADING, TEXT, HASH, ACL_ALLOW, ACL_DENY}
)
_LINKED = ("http://", "https://", "file://", "ftp://")


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """A document that was found, shown by its best passage.

    `highlights` are places in `excerpt`, `title_highlights` in `title`. `score` is the cosine similarity of the best
    passage, None when browsing. `attributes` are the document's by name, dates as datetime in UTC. `passage` is the
    whole text of the best passage, `heading` the headings above it, `page_number` its page in a paged document.
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


class Count(msgspec.Struct, frozen=True):
    """How many of the documents found have this value of an attribute."""

    value: Any
    count: int


class SearchResults(Sequence[Item]):
    """One page of documents, and figures on everything found.

    `total` counts the documents found, `pages` how many pages can be asked for. `facets` holds, for each attribute
    asked for, its values by number of documents, most first.
    """

    def __init__(
        self,
        items: Sequence[Item],
        *,
        text: str | None,
        total: int,
        page: int,
        pages: int,
        facets: Mapping[str, tuple[Count, ...]],
    ) -> None:
        self.items = tuple(items)
        self.text = text
        self.total, self.page, self.pages = total, page, pages
        self.facets = dict(facets)

    def __len__(self) -> int:
        return len(self.items)

    @overload
    def __getitem__(self, position: int) -> Item: ...

    @overload
    def __getitem__(self, position: slice) -> tuple[Item, ...]: ...

    def __getitem__(self, position: int | slice) -> Item | tuple[Item, ...]:
        return self.items[position]

    def __iter__(self) -> Iterator[Item]:
        return iter(self.items)

    def __repr__(self) -> str:
        asked = "" if self.text is None else f" for {self.text!r}"
        return f"<SearchResults: {self._found()}{asked}>"

    def _found(self) -> str:
        """In words: "1 document", "12 documents, page 1 of 2"."""
        number = f"{self.total or 'no'} document{'' if self.total == 1 else 's'}"
        single = not self.total or self.pages == self.page == 1
        return number if single else f"{number}, page {self.page} of {self.pages}"

    def to_pandas(self) -> pandas.DataFrame:
        """This page as a DataFrame: document_id, title, score, confidence, excerpt, uri, then a column an attribute.

        Raises:
            MissingExtra: pandas is not installed.
        """
        pandas = require("pandas", extra="notebook", purpose="to_pandas()")
        columns = ["document_id", "title", "score", "confidence", "excerpt", "uri"]
        names = sorted({name for item in self.items for name in item.attributes} - {DOCUMENT_TITLE, SOURCE_URI})
        rows = [
            [getattr(item, column) for column in columns] + [item.attributes.get(name) for name in names]
            for item in self.items
        ]
        return pandas.DataFrame(rows, columns=columns + names)

    def _repr_html_(self) -> str:
        head = self._found()
        if self.text is not None:
            head += f" for <i>{html.escape(self.text)}</i>"
        facets = "".join(
            f"<div><b>{html.escape(name)}</b>: "
            + ", ".join(f"{html.escape(_shown(count.value))} ({count.count})" for count in counts)
            + "</div>"
            for name, counts in self.facets.items()
        )
        return f"<div><div>{head}</div>{facets}<ol>{''.join(map(_html_item, self.items))}</ol></div>"


def search_results(
    outcome: Outcome, request: Request, *, schema: Schema, scale: Scale, limits: Limits
) -> SearchResults:
    """The typed form of a page of documents."""
    terms = query_terms(request.text or "")
    return SearchResults(
        [_item(found, terms, schema=schema, scale=scale, limits=limits) for found in outcome.items],
        text=request.text,
        total=outcome.total,
        page=outcome.page,
        pages=outcome.pages,
        facets={facet.field.name: _counts(facet) for facet in outcome.facets},
    )


def passage_items(outcome: Outcome, *, schema: Schema, scale: Scale) -> tuple[PassageItem, ...]:
    """The typed form of a page of passages."""
    return tuple(
        PassageItem(
            document_id=found.document_id,
            title=found.metadata.get(DOCUMENT_TITLE, ""),
            text=found.metadata.get(TEXT, ""),
            uri=found.metadata.get(SOURCE_URI, ""),
            score=found.score or 0.0,
            confidence=scale.confidence(found.score),
            attributes=_attributes(found, schema),
            begin=found.metadata.get(BEGIN, 0),
            end=found.metadata.get(END, 0),
            heading=found.metadata.get(HEADING, ""),
            page_number=found.metadata.get(PAGE_NUMBER),
        )
        for found in outcome.items
    )


def _item(found: Found, terms: Terms, *, schema: Schema, scale: Scale, limits: Limits) -> Item:
    title = found.metadata.get(DOCUMENT_TITLE, "")
    shown = excerpt_of(found, terms, limits=limits)
    return Item(
        document_id=found.document_id,
        title=title,
        excerpt=shown.text,
        highlights=shown.highlights,
        title_highlights=highlights(title, terms),
        uri=found.metadata.get(SOURCE_URI, ""),
        score=found.score,
        confidence=scale.confidence(found.score),
        attributes=_attributes(found, schema),
        passage=found.metadata.get(TEXT, ""),
        heading=found.metadata.get(HEADING, ""),
        page_number=found.metadata.get(PAGE_NUMBER),
    )


def _attributes(found: Found, schema: Schema) -> dict[str, Any]:
    return {
        name: plain_value(schema.fields[name], value) if name in schema.fields else value
        for name, value in sorted(found.metadata.items())
        if name not in _NOT_ATTRIBUTES
    }


def _counts(facet: FacetCounts) -> tuple[Count, ...]:
    return tuple(Count(plain_value(facet.field, value.value), value.count) for value in facet.values)


def _html_item(item: Item) -> str:
    title = _marked(item.title or item.document_id, item.title_highlights if item.title else ())
    if item.uri.lower().startswith(_LINKED):  # any other scheme could run code when it is clicked
        title = f'<a href="{html.escape(item.uri, quote=True)}" rel="noopener noreferrer">{title}</a>'
    score = "" if item.score is None else f" · {item.confidence} {item.score:.2f}"
    shown = [
        f"{name}: {_shown(value)}"
        for name, value in item.attributes.items()
        if name not in (DOCUMENT_TITLE, SOURCE_URI)
    ]
    return (
        f"<li><div><b>{title}</b>{score}</div><div>{_marked(item.excerpt, item.highlights)}</div>"
        f"<small>{html.escape(' · '.join(shown))}</small></li>"
    )


def _marked(text: str, spans: Sequence[Span]) -> str:
    """`text` escaped for HTML, its spans in <mark>."""
    parts, position = [], 0
    for span in spans:
        parts.append(html.escape(text[position : span.begin]))
        parts.append(f"<mark>{html.escape(text[span.begin : span.end])}</mark>")
        position = span.end
    return "".join(parts) + html.escape(text[position:])


def _shown(value: object) -> str:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d}" if value.time() == time() else f"{value:%Y-%m-%d %H:%M}"
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
