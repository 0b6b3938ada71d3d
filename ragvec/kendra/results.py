"""Results of a search: a page of typed items, and figures on everything found, with tables and notebook views."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, overload

from ragvec.extras import require
from ragvec.kendra.found import Correction
from ragvec.kendra.hits import AnswerItem, Count, FaqItem, Item, PassageItem
from ragvec.kendra.markup import html_answer, html_block, html_faq, html_item, html_items, html_passage, html_said
from ragvec.pipeline.passages import DOCUMENT_TITLE, SOURCE_URI

if TYPE_CHECKING:
    import pandas

__all__ = ["AnswerItem", "Count", "FaqItem", "Item", "PassageItem", "Passages", "RankedDocument", "SearchResults"]


class RankedDocument(NamedTuple):
    """A document's place in a ranking: its relevance, and the text of its best passage."""

    document_id: str
    score: float
    passage: str


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


class SearchResults(Sequence[Item]):
    """One page of documents, and what was found beside them.

    `total` counts the documents found, `pages` how many pages can be asked for. `facets` holds, for each attribute
    asked for, its values by number of documents, most first. On the first page, `answers` are read from the documents
    and `faqs` are rows of FAQs; `featured` are documents that somebody has set above these results, and that do not
    come again in them. `correction` is the text with its spelling corrected, if that was asked for and differs.
    `warnings` tell what in the text was not understood. `query_id` names this search where
    the settings keep a journal, and is empty elsewhere.
    """

    def __init__(
        self,
        items: Sequence[Item],
        *,
        text: str | None,
        total: int,
        page: int,
        pages: int,
        page_size: int,
        facets: Mapping[str, tuple[Count, ...]],
        answers: Sequence[AnswerItem] = (),
        faqs: Sequence[FaqItem] = (),
        featured: Sequence[Item] = (),
        correction: Correction | None = None,
        warnings: Sequence[str] = (),
        query_id: str = "",
    ) -> None:
        self.items = tuple(items)
        self.text = text
        self.total, self.page, self.pages, self.page_size = total, page, pages, page_size
        self.facets = dict(facets)
        self.answers, self.faqs, self.featured = tuple(answers), tuple(faqs), tuple(featured)
        self.correction, self.warnings = correction, tuple(warnings)
        self.query_id = query_id

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
        """In words: "1 document", "12 documents, page 1 of 2", "1 answer, 2 FAQ rows, 3 documents"."""
        number = f"{self.total or 'no'} document{'' if self.total == 1 else 's'}"
        parts = [f"{len(self.answers)} answer{'' if len(self.answers) == 1 else 's'}"] if self.answers else []
        parts += [f"{len(self.faqs)} FAQ row{'' if len(self.faqs) == 1 else 's'}"] if self.faqs else []
        parts.append(number)
        if self.total and not self.pages == self.page == 1:
            parts.append(f"page {self.page} of {self.pages}")
        return ", ".join(parts)

    def to_pandas(self) -> pandas.DataFrame:
        """This page as a DataFrame: document_id, title, score, confidence, excerpt, uri, then a column an attribute.

        Raises:
            MissingExtra: pandas is not installed.
        """
        return _frame(self.items, ["document_id", "title", "score", "confidence", "excerpt", "uri"])

    def facets_to_pandas(self) -> pandas.DataFrame:
        """The facets as a DataFrame: facet, value, count; nested counts as rows with their parent's value in `within`.

        Raises:
            MissingExtra: pandas is not installed.
        """
        pandas = require("pandas", extra="notebook", purpose="facets_to_pandas()")
        rows: list[tuple[str, Any, int, Any]] = []
        for name, counts in self.facets.items():
            for count in counts:
                rows.append((name, count.value, count.count, None))
                rows += [(name, inner.value, inner.count, count.value) for inner in count.nested or ()]
        return pandas.DataFrame(rows, columns=["facet", "value", "count", "within"])

    def _repr_html_(self) -> str:
        notes = [html_said(f"did you mean “{self.correction.text}”?")] if self.correction is not None else []
        notes += [html_said(warning) for warning in self.warnings]
        notes += [html_block("Featured", [html_item(item) for item in self.featured])] if self.featured else []
        notes += [html_block("Answers", [html_answer(item) for item in self.answers])] if self.answers else []
        notes += [html_block("Questions and answers", [html_faq(item) for item in self.faqs])] if self.faqs else []
        return html_items(
            [html_item(item) for item in self.items],
            head=self._found(),
            text=self.text,
            facets={name: [(count.value, count.count) for count in counts] for name, counts in self.facets.items()},
            above=notes,
            first=(self.page - 1) * self.page_size + 1,
        )


def _frame(items: Sequence[Item | PassageItem], columns: list[str]) -> pandas.DataFrame:
    """A row for each item: its own columns, then its attributes by name; title and URI stand among its own."""
    pandas = require("pandas", extra="notebook", purpose="to_pandas()")
    names = sorted({name for item in items for name in item.attributes} - {DOCUMENT_TITLE, SOURCE_URI})
    rows = [
        [getattr(item, column) for column in columns] + [item.attributes.get(name) for name in names] for item in items
    ]
    return pandas.DataFrame(rows, columns=columns + names)
