"""Putting extracted text together while its structure is noted."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from ragvec.limits import FileLimits
from ragvec.pipeline.documents import Block, BlockKind
from ragvec.pipeline.loaders.source import refused

__all__ = ["Extract", "TextBuilder", "row_text"]

_SPACE = re.compile(r"[^\S\n]+")
_DEEPEST = 99
"""The level of headings below all others; what says that it is deeper is counted as this."""
_CLOSE: frozenset[tuple[str, str]] = frozenset({("item", "item"), ("row", "row")})


class Extract(msgspec.Struct, frozen=True, kw_only=True):
    """What a loader got out of a file: `title` and `attributes` are what the file says of itself."""

    text: str
    title: str = ""
    blocks: tuple[Block, ...] = ()
    pages: tuple[int, ...] = ()
    attributes: dict[str, Any] = {}
    notes: tuple[str, ...] = ()


class TextBuilder:
    """Text in blocks: items of a list and rows of a table stand on lines of their own, blank lines part all else.

    Adding raises DocumentError as soon as there is more than `limits` allow.
    """

    def __init__(self, limits: FileLimits) -> None:
        self._limits = limits
        self._parts: list[str] = []
        self._length = 0
        self.blocks: list[Block] = []
        self.pages: list[int] = []

    def add(self, text: str, kind: BlockKind = "paragraph", level: int = 0) -> None:
        """Add a block; its runs of blanks become one, unless it is code, and a text of white space is left out."""
        text = text.strip("\n").rstrip() if kind == "code" else "\n".join(_lines(text))
        if not text:
            return
        if self.blocks:
            self._write("\n" if (self.blocks[-1].kind, kind) in _CLOSE else "\n\n")
        begin = self._length
        self._write(text)
        self.blocks.append(Block(begin, self._length, kind, min(level, _DEEPEST)))
        if len(self.blocks) > self._limits.blocks:
            raise refused("blocks", most=self._limits.blocks, got="more", unit="blocks in a document")

    def add_table(self, rows: Sequence[Sequence[str]], *, header: bool = True) -> None:
        """Add a table, a row a block; with `header` every row names its columns, so that it can be understood alone."""
        cells = [[" ".join(cell.split()) for cell in row] for row in rows]
        names = cells[0] if header and len(cells) > 1 else []
        for row in cells[1:] if names else cells:
            self.add(row_text(names, row), "row")
        if names and all(not any(row) for row in cells[1:]):
            self.add(row_text([], names), "row")

    def begin_page(self) -> None:
        """What is added from now on stands on a new page."""
        self.pages.append(self._length)

    @property
    def text(self) -> str:
        """Everything added so far."""
        return "".join(self._parts)

    def first_heading(self) -> str:
        """The text of the first heading, empty without one."""
        text = self.text
        return next((text[block.begin : block.end] for block in self.blocks if block.kind == "heading"), "")

    def extract(
        self, *, title: str = "", attributes: dict[str, Any] | None = None, notes: Sequence[str] = ()
    ) -> Extract:
        """The finished extract."""
        return Extract(
            text=self.text,
            title=" ".join(title.split()),
            blocks=tuple(self.blocks),
            pages=tuple(self.pages),
            attributes=attributes or {},
            notes=tuple(notes),
        )

    def _write(self, text: str) -> None:
        self._parts.append(text)
        self._length += len(text)
        if self._length > self._limits.characters:
            raise refused("characters", most=self._limits.characters, got="more", unit="characters in a document")


def row_text(names: Sequence[str], row: Sequence[str]) -> str:
    """A table row as a line of text: "column: value; column: value", empty cells left out.

    Without names a row of two cells reads "first: second", any other "first; second; third".
    """
    if not names and len(row) == 2 and all(row):
        return f"{row[0].rstrip(':')}: {row[1]}"
    cells = []
    for position, cell in enumerate(row):
        name = names[position] if position < len(names) else ""
        if cell:
            cells.append(f"{name}: {cell}" if name else cell)
    return "; ".join(cells)


def _lines(text: str) -> list[str]:
    return [line for line in (_SPACE.sub(" ", line).strip() for line in text.splitlines()) if line]
