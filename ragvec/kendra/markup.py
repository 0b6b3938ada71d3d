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
    from ragvec.kendra.found import Table
    from ragvec.kendra.hits import AnswerItem, FaqItem, Item, PassageItem

__all__ = [
    "html_answer",
    "html_block",
    "html_faq",
    "html_item",
    "html_items",
    "html_passage",
    "html_said",
    "value_text",
]

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
    above: Sequence[str] = (),
    first: int = 1,
) -> str:
    """Items in a list numbered from `first`, below what was found, for which `text`, the counts of `facets`, and the
    blocks `above`.

    A single item without a head has no number.
    """
    parts = []
    if head:
        asked = "" if text is None else f" for <i><bdi>{html.escape(text)}</bdi></i>"
        parts.append(f"<div>{head}{asked}</div>")
    for name, counts in (facets or {}).items():
        values = " · ".join(f"<bdi>{_value(value)}</bdi> {count:,}" for value, count in counts) or "no values"
        parts.append(f"<div><b>{html.escape(name)}</b>: {values}</div>")
    parts += above
    if head:
        listed = "".join(f'<li style="margin:0.7em 0">{item}</li>' for item in items)
        parts.append(f'<ol start="{first}">{listed}</ol>')
    else:
        parts += items
    return f'<div style="max-width:60em;line-height:1.4;overflow-wrap:anywhere">{"".join(parts)}</div>'


def html_item(item: Item) -> str:
    """A document: title, score, excerpt with highlights, where it is, attributes."""
    title = _marked(item.title or item.document_id, item.title_highlights if item.title else ())
    shown = f'<div dir="auto">{_marked(item.excerpt, item.highlights)}</div>'
    others = (item.group_size or 1) - 1
    places = (f"and {others:,} more of its group",) if others else ()
    return _title(item, title) + shown + _about(item, *places)


def html_answer(item: AnswerItem) -> str:
    """An answer: what it stands in, the answer itself in bold letters, or the table, and where it is from."""
    if item.table is not None:
        text = _table(item.table)
    else:
        answer, before, after = item.text[item.span.begin : item.span.end], item.span.begin, item.span.end
        shown = f"{html.escape(item.text[:before])}<b>{html.escape(answer)}</b>{html.escape(item.text[after:])}"
        text = f'<div dir="auto">{shown}</div>'
    return text + _title(item, html.escape(item.title or item.document_id)) + _about(item)


def html_faq(item: FaqItem) -> str:
    """A row of a FAQ: question, score and answer."""
    question = f"<b><bdi>{_marked(item.question, item.highlights)}</bdi></b>{_judged(item)}"
    return f'<div>{question}</div><div dir="auto">{html.escape(item.answer)}</div>'


def html_block(name: str, items: Sequence[str]) -> str:
    """Items under a name, not numbered."""
    listed = "".join(f'<div style="margin:0.7em 0 0.7em 1em">{item}</div>' for item in items)
    return f"<div><b>{html.escape(name)}</b>{listed}</div>"


def html_said(text: str) -> str:
    """A remark."""
    return f"<div><i><bdi>{html.escape(text)}</bdi></i></div>"


def html_passage(item: PassageItem) -> str:
    """A passage: as a document, with its whole text, line ends kept, and the characters that it is."""
    text = f'<div dir="auto" style="white-space:pre-wrap">{html.escape(item.text)}</div>'
    place = f"characters {item.begin:,} to {item.end:,}"
    return _title(item, html.escape(item.title or item.document_id)) + text + _about(item, place)


def _title(item: Item | PassageItem | AnswerItem, title: str) -> str:
    if item.uri.lower().startswith(_LINKED):
        title = f'<a href="{html.escape(item.uri, quote=True)}" rel="noopener noreferrer">{title}</a>'
    return f"<div><b><bdi>{title}</bdi></b>{_judged(item)}</div>"


def _judged(item: Item | PassageItem | AnswerItem | FaqItem) -> str:
    return "" if item.score is None else f" · {item.confidence.replace('_', ' ').lower()} {item.score:.2f}"


def _table(table: Table) -> str:
    rows = []
    for row in table.rows:
        cells = []
        for cell in row:
            name, value = "th" if cell.header else "td", html.escape(cell.value)
            cells.append(f"<{name}>{f'<b>{value}</b>' if cell.top_answer else value}</{name}>")
        rows.append(f"<tr>{''.join(cells)}</tr>")
    return f"<table>{''.join(rows)}</table>"


def _about(item: Item | PassageItem | AnswerItem, *places: str) -> str:
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
    return html.escape(value_text(value))


def value_text(value: object) -> str:
    """A value for people, not escaped, its beginning where it is long."""
    if isinstance(value, datetime):
        text = f"{value:%Y-%m-%d}" if value.time() == time() else f"{value:%Y-%m-%d %H:%M}"
    elif isinstance(value, bool):
        text = "yes" if value else "no"
    else:
        text = ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
    return text if len(text) <= _VALUE else text[: _VALUE - 1] + "…"
