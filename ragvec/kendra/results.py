"""Typed results of a search, with views for people, pandas and notebooks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, overload

import msgspec

from ragvec.extras import require
from ragvec.kendra.attributes import Schema, plain_value
from ragvec.kendra.found import Confidence, FacetCounts, Found, Outcome
from ragvec.kendra.limits import Limits
from ragvec.kendra.markup import html_item, html_items, html_passage
from ragvec.kendra.relevance import Scale
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

__all__ = ["Count", "Item", "PassageItem", "Passages", "SearchResults", "passage_items", "search_results"]

_NOT_ATTRIBUTES = frozenset(
    {DOCUMENT_ID, PASSAGE, PASSAGES, BEGIN, END, PAGE_NUMBER, HEADING, TEXT, HASH, ACL_ALLOW, ACL_DENY}
)
_SHOWN = 60


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


class Passages(tuple[PassageItem, ...]):
    """A page of passages, best first."""

    __slots__ = ()

    def to_pandas(self) -> pandas.DataFrame:
        """This page as a DataFrame: document_id, title, score, confidence, text, begin, end, heading, page_number, uri,
        then a column an attribute.

        Raises:
            MissingExtra: pandas is not installed.
        """
        own = ["document_id", "title", "score", "confidence", "text", "begin", "end", "heading", "page_number", "uri"]
        return _frame(self, own)

    def _repr_html_(self) -> str:
        head = "no passages" if not self else f"{len(self):,} passage{'' if len(self) == 1 else 's'}"
        return html_items([html_passage(item) for item in self], head=head)


class Count(msgspec.Struct, frozen=True):
    """How many of the documents found have this value of an attribute."""

    value: Any
    count: int

    def __repr__(self) -> str:
        return f"Count({self.value!r}, {self.count})"


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
        return _frame(self.items, ["document_id", "title", "score", "confidence", "excerpt", "uri"])

    @property
    def _first(self) -> int:
        """The place, from 1, of the first of these among all: only the last page may be a short one."""
        return self.total - len(self) + 1 if self.page == self.pages else (self.page - 1) * len(self) + 1

    def _repr_html_(self) -> str:
        return html_items(
            [html_item(item) for item in self.items],
            head=self._found(),
            text=self.text,
            facets={name: [(count.value, count.count) for count in counts] for name, counts in self.facets.items()},
            first=self._first,
        )


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


def passage_items(outcome: Outcome, *, schema: Schema, scale: Scale) -> Passages:
    """The typed form of a page of passages."""
    return Passages(
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


def _frame(items: Sequence[Item | PassageItem], columns: list[str]) -> pandas.DataFrame:
    """A row for each item: its own columns, then its attributes by name; title and URI stand among its own."""
    pandas = require("pandas", extra="notebook", purpose="to_pandas()")
    names = sorted({name for item in items for name in item.attributes} - {DOCUMENT_TITLE, SOURCE_URI})
    rows = [
        [getattr(item, column) for column in columns] + [item.attributes.get(name) for name in names] for item in items
    ]
    return pandas.DataFrame(rows, columns=columns + names)


def _short(item: Item | PassageItem) -> str:
    title = item.title if len(item.title) <= _SHOWN else item.title[: _SHOWN - 1] + "…"
    return repr(title) if item.score is None else f"{title!r}, {item.confidence} {item.score:.2f}"
