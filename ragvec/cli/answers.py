"""How the answer to a question looks in a terminal, from 60 columns on; without colour it says the same."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ragvec.cli.output import clean

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from ragvec.kendra.results import Count, Item, PassageItem, SearchResults
    from ragvec.text.highlight import Span

__all__ = ["WIDEST", "attributes_text", "draw_facets", "draw_passages", "draw_results", "page_text"]

WIDEST = 100
"""Columns that running text takes at most: longer lines are hard to read."""

_INDENT = 3
_HIDDEN = frozenset({"_document_title", "_source_uri", "_language_code"})
_LONGEST_VALUE = 60
_SPACES = re.compile(r"\s+")


def draw_results(console: Console, results: SearchResults, *, first: int = 1, hide: Sequence[str] = ()) -> None:
    """Each document with title, excerpt, attributes, confidence and score; then the facets, then the page."""
    for number, item in enumerate(results.items, start=first):
        _draw_item(console, item, item.excerpt, item.highlights, number=number, hide=hide)
    if not results.items:
        console.print("No documents found." if results.total == 0 else "No documents on this page.")
    draw_facets(console, results.facets)
    console.print(page_text(results), style="dim")


def draw_passages(console: Console, passages: Sequence[PassageItem], *, first: int = 1) -> None:
    """Each passage in full, with where it stands in its document."""
    for number, item in enumerate(passages, start=first):
        _draw_item(console, item, item.text, (), number=number)
    if not passages:
        console.print("No passages found.")


def draw_facets(console: Console, facets: Mapping[str, Sequence[Count]]) -> None:
    """A line for each attribute counted: its values, most documents first."""
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    if not facets:
        return
    grid = Table.grid(padding=(0, 2))
    for name, counts in facets.items():
        line = Text()
        for count in counts:
            line.append(" · " if line else "").append(clean(_value_text(count.value))).append(f" {count.count}", "bold")
        grid.add_row(Text(_label(name), "italic"), line if counts else Text("no values"))
    console.print(Padding(grid, (0, 0, 1, 0)), width=min(console.width, WIDEST))


def page_text(results: SearchResults) -> str:
    """Where a page stands among all."""
    documents = f"{results.total:,} document{'' if results.total == 1 else 's'}"
    return f"page {results.page} of {results.pages} · {documents}"


def attributes_text(attributes: Mapping[str, Any], *, hide: Sequence[str] = ()) -> Text:
    """Attributes on one line: built-in ones first, names without underscores, dates without a time of midnight."""
    from rich.text import Text

    line = Text()
    names = sorted(attributes.keys() - _HIDDEN - set(hide), key=lambda name: (not name.startswith("_"), name))
    for name in names:
        value = clean(_value_text(attributes[name]))
        if value:
            short = value if len(value) <= _LONGEST_VALUE else value[: _LONGEST_VALUE - 1] + "…"
            line.append(" · " if line else "").append(f"{_label(name)} ", "dim").append(short)
    return line


def _draw_item(
    console: Console,
    item: Item | PassageItem,
    text: str,
    spans: Sequence[Span],
    *,
    number: int,
    hide: Sequence[str] = (),
) -> None:
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    width = min(console.width, WIDEST)
    head = Table.grid(expand=True, padding=(0, 2, 0, 0))
    head.add_column(width=_INDENT - 2, no_wrap=True, justify="right")
    head.add_column(ratio=1, overflow="fold")
    head.add_column(justify="right", no_wrap=True)
    head.add_row(str(number), Text(clean(item.title or item.document_id), "bold cyan"), _judgement(item))
    console.print(head, width=width)
    body = [_highlighted(text, spans)]
    where = " · ".join(
        part for part in (clean(item.heading), f"page {item.page_number}" if item.page_number else "") if part
    )
    if where:
        body.insert(0, Text(where, "italic"))
    attributes = attributes_text(item.attributes, hide=hide)
    if attributes:
        body.append(attributes)
    body.append(Text(clean(item.document_id), "dim"))
    for part in body:
        part.overflow = "fold"
        console.print(Padding(part, (0, 0, 0, _INDENT)), width=width)
    console.print()


def _judgement(item: Item | PassageItem) -> Text:
    from rich.text import Text

    if item.score is None:
        return Text("")
    style = {"VERY_HIGH": "green", "HIGH": "green", "MEDIUM": "yellow"}.get(item.confidence, "dim")
    return Text(item.confidence.replace("_", " ").lower(), style).append(f"  {item.score:.3f}", "default")


def _highlighted(text: str, spans: Sequence[Span]) -> Text:
    """`text` with runs of white space as one space, and its spans in bold."""
    from rich.text import Text

    shown = Text()
    position = 0
    for span in spans:
        shown.append(_visible(text[position : span.begin]))
        shown.append(_visible(text[span.begin : span.end]), "bold")
        position = span.end
    return shown.append(_visible(text[position:]))


def _visible(text: str) -> str:
    inner = clean(text)
    if not inner:
        return " " if text else ""
    return f"{' ' if text[0].isspace() else ''}{inner}{' ' if text[-1].isspace() else ''}"


def _label(name: str) -> str:
    return _SPACES.sub(" ", clean(name).replace("_", " ")).strip() or name


def _value_text(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    if isinstance(value, datetime.datetime):
        midnight = not (value.hour or value.minute or value.second)
        return f"{value:%Y-%m-%d}" if midnight else f"{value:%Y-%m-%d %H:%M}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)
