"""Results as HTML for notebooks: readable in light and dark themes, wrapped, and with nothing in them that runs.

Every text is escaped; styles stand inline, as notebooks and the pages made from them drop style sheets; nothing sets a
colour, so that each theme keeps its own.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from datetime import datetime, time
from typing import TYPE_CHECKING, Any

from ragvec.pipeline.passages import DOCUMENT_TITLE, LANGUAGE_CODE, SOURCE_URI
from ragvec.text.highlight import Span

if TYPE_CHECKING:
    from ragvec.kendra.results import Item, PassageItem

__all__ = ["html_item", "html_items", "html_passage"]

_LINKED = ("http://", "https://")
"""Links to anything else either run code when they are clicked, or, to a file, do nothing in a page from a server."""
_HIDDEN = frozenset({DOCUMENT_TITLE, SOURCE_URI, LANGUAGE_CODE})
_VALUE = 80
_ATTRIBUTES = 12


def html_items(
    items: Sequence[str],
    *,
    head: str = "",
    text: str | None = None,
    facets: Mapping[str, Sequence[tuple[Any, int]]] | None = None,
    first: int = 1,
) -> str:
    """Items in a list numbered from `first`, below what was found, for which `text`, and the counts of `facets`.

    A single item without a head has no number.
    """
    parts = []
    if head:
        asked = "" if text is None else f" for <i><bdi>{html.escape(text)}</bdi></i>"
        parts.append(f"<div>{head}{asked}</div>")
    for name, counts in (facets or {}).items():
        values = " · ".join(f"<bdi>{_value(value)}</bdi> {count:,}" for value, count in counts) or "no values"
        parts.append(f"<div><b>{html.escape(name)}</b>: {values}</div>")
    if head:
        listed = "".join(f'<li style="margin:0.7em 0">{item}</li>' for item in items)
        parts.append(f'<ol start="{first}">{listed}</ol>')
    else:
        parts += items
    return f'<div style="max-width:60em;line-height:1.4;overflow-wrap:anywhere">{"".join(parts)}</div>'


def html_item(item: Item) -> str:
    """A document: title, score, excerpt with highlights, where it is, attributes."""
    title = _marked(item.title or item.document_id, item.title_highlights if item.title else ())
    return _title(item, title) + f'<div dir="auto">{_marked(item.excerpt, item.highlights)}</div>' + _about(item)


def html_passage(item: PassageItem) -> str:
    """A passage: as a document, with its whole text, line ends kept, and the characters that it is."""
    text = f'<div dir="auto" style="white-space:pre-wrap">{html.escape(item.text)}</div>'
    place = f"characters {item.begin:,} to {item.end:,}"
    return _title(item, html.escape(item.title or item.document_id)) + text + _about(item, place)


def _title(item: Item | PassageItem, title: str) -> str:
    if item.uri.lower().startswith(_LINKED):
        title = f'<a href="{html.escape(item.uri, quote=True)}" rel="noopener noreferrer">{title}</a>'
    score = "" if item.score is None else f" · {item.confidence.replace('_', ' ').lower()} {item.score:.2f}"
    return f"<div><b><bdi>{title}</bdi></b>{score}</div>"


def _about(item: Item | PassageItem, *places: str) -> str:
    """What stands below a text, in small letters: id, heading, page and place, then attributes."""
    where = [f"<bdi>{html.escape(text)}</bdi>" for text in (item.document_id, item.heading) if text]
    where += [f"page {item.page_number}"] if item.page_number else []
    shown = [
        f"<i>{html.escape(name)}</i>: <bdi>{_value(value)}</bdi>"
        for name, value in item.attributes.items()
        if name not in _HIDDEN
    ]
    if len(shown) > _ATTRIBUTES:
        shown[_ATTRIBUTES:] = [f"and {len(shown) - _ATTRIBUTES} more"]
    lines = [*where, *places], shown
    return "".join(f'<div style="opacity:0.75"><small>{" · ".join(line)}</small></div>' for line in lines if line)


def _marked(text: str, spans: Sequence[Span]) -> str:
    """`text` escaped for HTML, its spans in <mark>."""
    parts, position = [], 0
    for span in spans:
        parts.append(html.escape(text[position : span.begin]))
        parts.append(f"<mark>{html.escape(text[span.begin : span.end])}</mark>")
        position = span.end
    return "".join(parts) + html.escape(text[position:])


def _value(value: object) -> str:
    """A value for people, escaped, its beginning where it is long."""
    if isinstance(value, datetime):
        text = f"{value:%Y-%m-%d}" if value.time() == time() else f"{value:%Y-%m-%d %H:%M}"
    elif isinstance(value, bool):
        text = "yes" if value else "no"
    else:
        text = ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
    return html.escape(text if len(text) <= _VALUE else text[: _VALUE - 1] + "…")
