"""How the answer to a question looks in a terminal, from 60 columns on; without colour it says the same."""

from __future__ import annotations

import datetime
import re
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ragvec.cli.output import beginning, clean, number_text

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from ragvec.kendra.results import AnswerItem, Count, FaqItem, Item, PassageItem, SearchResults
    from ragvec.text.highlight import Span

__all__ = ["WIDEST", "attribute_texts", "draw_facets", "draw_passages", "draw_results", "page_text"]

WIDEST = 100
"""Columns that running text takes at most: longer lines are hard to read."""

_INDENT = 3
_HIDDEN = frozenset({"_document_title", "_source_uri", "_language_code"})
_LONGEST_VALUE = 60
_LONGEST_ANSWER = 300
_SPACES = re.compile(r"\s+")


def draw_results(console: Console, results: SearchResults, *, first: int = 1, hide: Collection[str] = ()) -> None:
    """Answers and FAQ rows; each document with title, excerpt, attributes, confidence and score; then the facets, then
    the page."""
    for warning in results.warnings:
        console.print(clean(warning), style="yellow", markup=False)
    for answer in results.answers:
        _draw_answer(console, answer)
    for row in results.faqs:
        _draw_row(console, row)
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
    """Under each attribute counted its values, most documents first."""
    from rich.text import Text

    if not facets:
        return
    widest = max(len(_label(name)) for name in facets)
    for name, counts in facets.items():
        pieces = [Text(clean(_value_text(count.value))).append(f" {count.count:,}", "bold") for count in counts]
        lines = _flow(pieces or [Text("no values")], _width(console) - widest - 2)
        for number, line in enumerate(lines):
            label = Text().append("" if number else _label(name), "italic")
            label.pad_right(widest + 2 - len(label))
            _print(console, label.append_text(line))
    console.print()


def page_text(results: SearchResults) -> str:
    """Where a page stands among all."""
    if not results.total:
        return "no documents"
    return f"page {results.page} of {results.pages} · {number_text(results.total, 'document')}"


def attribute_texts(attributes: Mapping[str, Any], *, hide: Collection[str] = ()) -> list[Text]:
    """Attributes by name: built-in ones first, names without underscores, dates without a time of midnight."""
    from rich.text import Text

    texts = []
    names = sorted(attributes.keys() - _HIDDEN - set(hide), key=lambda name: (not name.startswith("_"), name))
    for name in names:
        value = clean(_value_text(attributes[name]))
        if value:
            short = beginning(value, _LONGEST_VALUE)
            texts.append(Text().append(f"{_label(name)} ", "dim").append(short))
    return texts


def _draw_answer(console: Console, item: AnswerItem) -> None:
    """What answers, in bold letters, or the rows of the table, and where it is from."""
    from rich.text import Text

    if item.table is None:
        said = [Text(_visible(beginning(item.answer, _LONGEST_ANSWER)), "bold")]
    else:
        rows = [" · ".join(clean(cell.value) for cell in row) for row in item.table.rows]
        said = [
            Text(row, "bold" if row_of[0].header else "") for row, row_of in zip(rows, item.table.rows, strict=True)
        ]
    source = Text(clean(item.title or item.document_id), "cyan")
    if item.page_number:
        source.append(f", page {item.page_number}", "dim")
    _draw_said(console, said, source.append("  ").append_text(_judgement(item)))


def _draw_row(console: Console, item: FaqItem) -> None:
    """The question of a FAQ and its answer."""
    from rich.text import Text

    question = Text(clean(item.question), "cyan").append("  ").append_text(_judgement(item))
    _draw_said(console, [Text(clean(item.answer), "bold")], question)


def _draw_said(console: Console, said: Sequence[Text], source: Text) -> None:
    from rich.text import Text

    room = _width(console) - _INDENT
    lines = [line for text in said for line in _wrapped(console, text, room)] + _wrapped(console, source, room)
    for number, line in enumerate(lines):
        _print(console, Text(" " * _INDENT if number else "»".ljust(_INDENT)).append_text(line))
    console.print()


def _draw_item(
    console: Console,
    item: Item | PassageItem,
    text: str,
    spans: Sequence[Span],
    *,
    number: int,
    hide: Collection[str] = (),
) -> None:
    from rich.text import Text

    lead = f"{number}.".ljust(_INDENT)
    room = _width(console) - len(lead)
    score = _judgement(item)
    title = Text(clean(item.title or item.document_id), "bold cyan")
    first, *rest = _wrapped(console, title, room - len(score) - 2)
    first.pad_right(room - len(score) - len(first))
    _print(console, Text(lead).append_text(first).append_text(score))
    excerpt = _highlighted(text, spans)
    body = [*rest, *_place(console, item, excerpt.plain, room), *_wrapped(console, excerpt, room)]
    body += _flow(attribute_texts(item.attributes, hide=hide), room)
    body += _wrapped(console, Text(clean(item.document_id), "dim"), room)
    for line in body:
        _print(console, Text(" " * len(lead)).append_text(line))
    console.print()


def _place(console: Console, item: Item | PassageItem, excerpt: str, room: int) -> list[Text]:
    """Heading and page of a passage; no heading where the excerpt itself begins with it."""
    from rich.text import Text

    heading = clean(item.heading)
    if excerpt.lstrip(". ").startswith(heading.rpartition(" > ")[2]):
        heading = ""
    page = f"page {item.page_number}" if item.page_number else ""
    parts = [part for part in (heading, page) if part]
    return _wrapped(console, Text(" · ".join(parts), "italic"), room) if parts else []


def _width(console: Console) -> int:
    return min(console.width, WIDEST)


def _print(console: Console, line: Text) -> None:
    """Print a line that is wrapped already."""
    line.rstrip()
    console.print(line, soft_wrap=True)


def _wrapped(console: Console, text: Text, width: int) -> list[Text]:
    return list(text.wrap(console, max(width, 10), overflow="fold"))


def _flow(pieces: Sequence[Text], width: int) -> list[Text]:
    """Pieces one after the other, parted by dots, in lines of `width` where they fit."""
    lines: list[Text] = []
    for piece in pieces:
        if lines and len(lines[-1]) + 3 + len(piece) <= width:
            lines[-1].append(" · ", "dim").append_text(piece)
        else:
            lines.append(piece.copy())
    return lines


def _judgement(item: Item | PassageItem | AnswerItem | FaqItem) -> Text:
    from rich.text import Text

    if item.score is None:
        return Text("")
    style = {"VERY_HIGH": "green", "HIGH": "green", "MEDIUM": "yellow"}.get(item.confidence, "dim")
    return Text().append(item.confidence.replace("_", " ").lower(), style).append(f"  {item.score:.3f}")


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
