"""Results as plain data for the front end, which makes text of all of it: nothing here is HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ragvec.kendra.hits import AnswerItem, Count, FaqItem, Item
from ragvec.kendra.markup import value_text
from ragvec.kendra.results import SearchResults
from ragvec.pipeline.passages import DOCUMENT_TITLE, LANGUAGE_CODE, SOURCE_URI
from ragvec.text.highlight import Span
from ragvec.widgets.fields import label_of
from ragvec.widgets.question import Mode
from ragvec.widgets.source import Source

__all__ = ["facets_view", "results_view", "source_view"]

_LINKED = ("http://", "https://")
_HIDDEN = frozenset({DOCUMENT_TITLE, SOURCE_URI, LANGUAGE_CODE})
_SCORES: Mapping[Mode, str] = {"hybrid": "fused", "dense": "distance", "text": "BM25"}

Pieces = list[list[Any]]
"""A text in pieces, each with whether it is marked."""


def results_view(results: SearchResults, *, mode: Mode, judged: Mapping[str, int]) -> dict[str, Any]:
    """What the front end shows of a page; results are known by kind and place: "items" 0, "answers" 2."""
    return {
        "items": [_item(item, mode=mode, judged=judged) for item in results.items],
        "featured": [_item(item, mode=mode, judged=judged) for item in results.featured],
        "answers": [_answer(item, judged=judged) for item in results.answers],
        "faqs": [_faq(item, judged=judged) for item in results.faqs],
        "correction": "" if results.correction is None else results.correction.text,
        "warnings": list(results.warnings),
        "total": results.total,
        "page": results.page,
        "pages": results.pages,
        "first": (results.page - 1) * results.page_size + 1,
    }


def facets_view(results: SearchResults, chosen: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """The counts, in which values are known by their place; chosen values that no document has stand at the end."""
    shown = []
    for name, counts in results.facets.items():
        missing = [Count(value, 0) for value in chosen.get(name, ()) if value not in {count.value for count in counts}]
        values = [
            {"text": _facet_text(count.value), "count": count.count, "on": count.value in chosen.get(name, ())}
            for count in (*counts, *missing)
        ]
        if values:
            shown.append({"name": name, "label": label_of(name), "values": values})
    return shown


def source_view(source: Source) -> dict[str, Any]:
    """A passage in its document."""
    return {
        "document": source.document_id,
        "before": source.before,
        "after": source.after,
        "parts": [
            {"text": part.text, "found": part.found, "heading": part.heading, "page": part.page_number}
            for part in source.parts
        ],
    }


def _item(item: Item, *, mode: Mode, judged: Mapping[str, int]) -> dict[str, Any]:
    return {
        **_common(item, judged=judged),
        "title": _pieces(item.title or item.document_id, item.title_highlights if item.title else ()),
        "text": _pieces(item.excerpt, item.highlights),
        "score": _score(item, mode),
        "more": (item.group_size or 1) - 1,
    }


def _answer(item: AnswerItem, *, judged: Mapping[str, int]) -> dict[str, Any]:
    rows = [] if item.table is None else item.table.rows
    return {
        **_common(item, judged=judged),
        "title": _pieces(item.title or item.document_id, ()),
        "text": _pieces(item.text, (item.span,)),
        "score": _score(item, "query"),
        "table": [[[cell.value, cell.header, cell.top_answer] for cell in row] for row in rows],
    }


def _faq(item: FaqItem, *, judged: Mapping[str, int]) -> dict[str, Any]:
    return {
        "id": item.document_id,
        "uri": _link(item.uri),
        "title": _pieces(item.question, item.highlights),
        "text": _pieces(item.answer, ()),
        "score": _score(item, "query"),
        "confidence": item.confidence,
        "attributes": [],
        "where": "",
        "judged": judged.get(item.document_id),
    }


def _common(item: Item | AnswerItem, *, judged: Mapping[str, int]) -> dict[str, Any]:
    where = [item.document_id, item.heading, f"page {item.page_number}" if item.page_number else ""]
    return {
        "id": item.document_id,
        "uri": _link(item.uri),
        "confidence": item.confidence,
        "where": " · ".join(text for text in where if text),
        "attributes": [
            [label_of(name), value_text(value)] for name, value in item.attributes.items() if name not in _HIDDEN
        ],
        "judged": judged.get(item.document_id),
    }


def _score(item: Item | AnswerItem | FaqItem, mode: Mode) -> str:
    """What the front end says of relevance: in words where it is calibrated, else the number by its name."""
    if item.score is None:
        return ""
    if mode == "query":
        return f"{item.confidence.replace('_', ' ').lower()} {item.score:.2f}"
    return f"{_SCORES[mode]} {abs(item.score):.3f}"


def _link(uri: str) -> str:
    """The address if following it can only open a page."""
    return uri if uri.lower().startswith(_LINKED) else ""


def _pieces(text: str, spans: Sequence[Span]) -> Pieces:
    pieces: Pieces = []
    position = 0
    for span in spans:
        pieces += [[text[position : span.begin], False], [text[span.begin : span.end], True]]
        position = span.end
    pieces.append([text[position:], False])
    return [piece for piece in pieces if piece[0]]


def _facet_text(value: Any) -> str:
    return str(value.year) if hasattr(value, "year") else value_text(value)
