"""Structure found in plain text: headings, paragraphs, list items, rows of aligned tables, fenced code."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from ragvec.pipeline.documents import Block, BlockKind

__all__ = ["heading_label", "outline"]

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\n|\r|$)")
_ITEM = re.compile(r"\s*(?:[-*+•‣–]|\(?\d{1,3}[.)]|\(?[a-z][.)])\s+\S")
_ROW = re.compile(r"\||.*(?:\t|\S {3,}\S)")
_ATX = re.compile(r" {0,3}(#{1,6})\s+\S")
_RULE = re.compile(r"\s*(?:={3,}|-{3,}|~{3,})\s*$")
_NUMBERED = re.compile(r"(\d{1,2}(?:\.\d{1,2})*)\.?\s+\S")
_FENCE = re.compile(r"\s*(`{3,}|~{3,})")
_LONGEST_HEADING = 90


class _Line(msgspec.Struct, frozen=True, gc=False):
    begin: int
    end: int
    text: str

    @property
    def indent(self) -> int:
        return len(self.text) - len(self.text.lstrip())


def outline(text: str) -> tuple[Block, ...]:
    """The blocks of a plain text, in order; every character that is not white space is in exactly one of them.

    Paragraphs are separated by blank lines. A heading is a line marked with `#`, one underlined with `===` or `---`, a
    short line that stands alone or first and is written in capitals or numbered like `2.1 Scope`, or a few words alone
    before a paragraph. A list item or table row takes the more deeply indented lines below it.
    """
    blocks: list[Block] = []
    runs = list(_runs(text))
    for number, lines in enumerate(runs):
        if len(lines) > 1 and _FENCE.match(lines[0].text):
            blocks.append(_block(lines, "code"))
        elif number + 1 < len(runs) and _is_caption(lines, runs[number + 1]):
            blocks.append(_block(lines, "heading", 1 if not blocks else 2))
        else:
            blocks.extend(_run_blocks(lines, first=not blocks))
    return tuple(blocks)


def heading_label(text: str, block: Block) -> str:
    """What a heading is called: its label, else its first line without `#` marks and underline."""
    if block.label is not msgspec.UNSET:
        return block.label
    first = text[block.begin : block.end].splitlines()[0]
    return " ".join(first.strip().strip("#").split())


def _lines(text: str) -> Iterator[_Line]:
    for match in _LINE.finditer(text):
        if match.end() > match.start():
            yield _Line(match.start(), match.end(), match[0])


def _runs(text: str) -> Iterator[list[_Line]]:
    """Lines without a blank line between them; a fenced code block is one run, blank lines included."""
    run: list[_Line] = []
    fence = ""
    for line in _lines(text):
        mark = _FENCE.match(line.text)
        if fence:
            run.append(line)
            if mark and mark[1].startswith(fence) and not line.text.strip(" \t\r\n`~"):
                yield run
                run, fence = [], ""
        elif mark:
            if run:
                yield run
            run, fence = [line], mark[1]
        elif line.text.strip():
            run.append(line)
        elif run:
            yield run
            run = []
    if run:
        yield run


def _run_blocks(lines: list[_Line], *, first: bool) -> Iterator[Block]:
    position = 0
    while position < len(lines):
        size, level = _heading(lines, position, first=first and position == 0)
        if size:
            yield _block(lines[position : position + size], "heading", level)
        else:
            size, kind = _body(lines, position)
            yield _block(lines[position : position + size], kind)
        position += size


def _heading(lines: list[_Line], position: int, *, first: bool) -> tuple[int, int]:
    """(lines, level) of the heading at `position`; (0, 0) when none stands there."""
    line = lines[position].text
    if mark := _ATX.match(line):
        return 1, len(mark[1])
    words = line.strip()
    if len(words) > _LONGEST_HEADING or _RULE.match(line):
        return 0, 0
    if position == 0 and len(lines) > 1 and _RULE.match(lines[1].text):
        return 2, 1 if "=" in lines[1].text else 2
    if position > 0 or words[-1] in ".,;:?!" or words[0] in "-*+•‣–" or _ROW.match(words):
        return 0, 0
    letters = [character for character in words if character.isalpha()]
    if len(letters) >= 4 and not any(letter.islower() for letter in letters) and any(c.isupper() for c in letters):
        return 1, 1 if first else 2
    number = _NUMBERED.match(words)
    if number and len(lines) == 1 and words[number.end() - 1].isupper():
        return 1, 2 + number[1].count(".")
    return 0, 0


def _is_caption(lines: list[_Line], following: list[_Line]) -> bool:
    """A few words alone on a line, not a sentence, with a real paragraph below."""
    words = lines[0].text.strip()
    return (
        len(lines) == 1
        and len(words) <= 50
        and words[0].isupper()
        and (words[-1].isalnum() or words[-1] in ")\"'?")
        and not _ROW.match(words)
        and (len(following) > 1 or len(following[0].text.strip()) > _LONGEST_HEADING)
    )


def _body(lines: list[_Line], position: int) -> tuple[int, BlockKind]:
    """(lines, kind) of the paragraph, item or row that begins at `position`."""
    kind = _kind(lines[position])
    end = position + 1
    while end < len(lines):
        line = lines[end]
        if _ATX.match(line.text) or _kind(line) != "paragraph":
            break
        if kind == "row" and line.indent <= lines[position].indent:
            break
        end += 1
    return end - position, kind


def _kind(line: _Line) -> BlockKind:
    if _ITEM.match(line.text):
        return "item"
    return "row" if _ROW.match(line.text.strip()) else "paragraph"


def _block(lines: list[_Line], kind: BlockKind, level: int = 0) -> Block:
    begin = lines[0].begin + lines[0].indent
    end = lines[-1].begin + len(lines[-1].text.rstrip())
    return Block(begin, end, kind, level)
