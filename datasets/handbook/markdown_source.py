# mypy: disable-error-code="import-untyped"
"""The Markdown of the sources, as blocks and spans."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Span:
    """A run of text with one look."""

    text: str
    bold: bool = False
    italic: bool = False
    code: bool = False


@dataclass(frozen=True)
class Heading:
    """A heading; level 1 is the title of the document."""

    level: int
    text: str


@dataclass(frozen=True)
class Paragraph:
    """A paragraph, its lines joined."""

    text: str


@dataclass(frozen=True)
class ListItem:
    """One item of a list; ``number`` is None in a bullet list and ``level`` is 0 on the outside."""

    text: str
    level: int
    number: int | None


@dataclass(frozen=True)
class Table:
    """A pipe table; ``header`` is empty when all of its cells are."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Code:
    """A fenced block."""

    text: str


Block = Heading | Paragraph | ListItem | Table | Code

_INLINE = re.compile(
    r"(?P<code>`[^`]+`)"
    r"|\*\*(?P<bold>\S(?:.*?\S)?)\*\*"
    r"|(?<![\w*])\*(?P<star>[^\s*](?:[^*]*[^\s*])?)\*(?![\w*])"
    r"|(?<!\w)_(?P<line>[^\s_](?:[^_]*[^\s_])?)_(?!\w)"
    r"|\[(?P<link>[^\]]+)\]\([^)\s]+\)"
)
_ITEM = re.compile(r"(?P<indent> *)(?:[-*+]|(?P<number>\d+)[.)]) +(?:\[[ xX]\] +)?(?P<text>.*)")
_RULE = re.compile(r" *(?:-{3,}|\*{3,}|_{3,}) *")
_DELIMITER = re.compile(r"\|?(?: *:?-+:? *\|)+(?: *:?-+:? *)?")


def parse_inline(text: str, bold: bool = False, italic: bool = False) -> Iterator[Span]:
    """Split a line of Markdown into spans; marks are dropped and links keep their words only."""
    end = 0
    for match in _INLINE.finditer(text):
        if match.start() > end:
            yield Span(_unescape(text[end : match.start()]), bold, italic)
        if match["code"]:
            yield Span(match["code"][1:-1], bold, italic, code=True)
        elif match["bold"]:
            yield from parse_inline(match["bold"], True, italic)
        elif match["link"]:
            yield from parse_inline(match["link"], bold, italic)
        else:
            yield from parse_inline(match["star"] or match["line"], bold, True)
        end = match.end()
    if end < len(text):
        yield Span(_unescape(text[end:]), bold, italic)


def _unescape(text: str) -> str:
    return re.sub(r"\\([\\`*_{}\[\]()#+.!|<>-])", r"\1", text)


def plain(text: str) -> str:
    """Return a line of Markdown without its marks."""
    return "".join(span.text for span in parse_inline(text))


def _cells(line: str) -> tuple[str, ...]:
    return tuple(cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().removeprefix("|").removesuffix("|")))


def parse_markdown(text: str) -> list[Block]:
    """Parse headings, paragraphs, lists, pipe tables and fenced blocks; nothing else is used in the handbook."""
    blocks: list[Block] = []
    lines = text.splitlines()
    at = 0
    open_block = False  # the next plain line continues the block before it
    while at < len(lines):
        line = lines[at].rstrip()
        at += 1
        if line.startswith("```"):
            stop = next((i for i in range(at, len(lines)) if lines[i].startswith("```")), len(lines))
            blocks.append(Code("\n".join(lines[at:stop])))
            at, open_block = stop + 1, False
        elif not line or _RULE.fullmatch(line):
            open_block = False
        elif match := re.fullmatch(r"(#{1,6}) +(.*?)(?: +#+)?", line):
            blocks.append(Heading(len(match[1]), match[2]))
            open_block = False
        elif line.startswith("|") and at < len(lines) and _DELIMITER.fullmatch(lines[at].strip()):
            header = _cells(line)
            at += 1
            rows = []
            while at < len(lines) and lines[at].startswith("|"):
                rows.append(_cells(lines[at]))
                at += 1
            blocks.append(Table(header if any(header) else (), tuple(rows)))
            open_block = False
        elif match := _ITEM.fullmatch(line):
            number = int(match["number"]) if match["number"] else None
            blocks.append(ListItem(match["text"], min(len(match["indent"]) // 2, 1), number))
            open_block = True
        else:
            words = line.lstrip().removeprefix("> ").strip()
            last = blocks[-1] if open_block else None
            if isinstance(last, ListItem):
                blocks[-1] = ListItem(f"{last.text} {words}", last.level, last.number)
            elif isinstance(last, Paragraph):
                blocks[-1] = Paragraph(f"{last.text} {words}")
            else:
                blocks.append(Paragraph(words))
            open_block = True
    return blocks
