"""PDF files: the text of each page, its structure found from the places and sizes of its lines.

A PDF says where glyphs stand, not what they are. Lines are taken in the order in which the file draws them; the largest
letters make headings, closeness makes paragraphs, and pieces side by side make the rows of tables. Lines that stand at
the same height near the edge of most pages, the same but for their digits, are running heads and left out.
"""

from __future__ import annotations

import io
import itertools
import logging
import re
import statistics
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from ragvec.errors import DocumentError
from ragvec.extras import require
from ragvec.limits import FileLimits
from ragvec.pipeline.loaders.builder import Extract, TextBuilder
from ragvec.pipeline.loaders.source import Content, refused, source_bytes

__all__ = ["load_pdf"]

# What writers put there when nobody gave a title.
_NO_TITLE = frozenset({"", "untitled", "(anonymous)", "anonymous", "unspecified", "none"})
_BULLET = "•‣▪◦●■–—*\x7f\uf0b7-"
_ITEM = re.compile(rf"[{_BULLET}]\s+\S|\d{{1,3}}[.)]\s+\S")
_DIVIDED = re.compile(r"[^\W\d_]-$")
_MARKER = re.compile(rf"(?:[{_BULLET}]|\d{{1,3}}[.)])$")


class _Line(msgspec.Struct, frozen=True, gc=False):
    """A line, or a cell's part of it: where it begins, the height of its base line, its letter size; in points."""

    text: str
    left: float
    height: float
    size: float


class _Piece(msgspec.Struct, frozen=True):
    """Lines that belong together: a paragraph, a heading, or a cell."""

    lines: list[_Line]

    @property
    def text(self) -> str:
        parts = [self.lines[0].text]
        for line in self.lines[1:]:
            divided = _DIVIDED.search(parts[-1][-2:]) and line.text[:1].islower()
            parts.append(line.text if divided else f" {line.text}")
        return "".join(parts)

    @property
    def size(self) -> float:
        return self.lines[0].size


def load_pdf(content: Content, limits: FileLimits) -> Extract:
    """A PDF file, its pages kept. Its title is that of its properties, else its first heading.

    Raises:
        DocumentError: the file is damaged, encrypted with a password, or holds no text (a scan), or a limit is passed.
        MissingExtra: pypdf is not installed.
    """
    pypdf = require("pypdf", extra="documents", purpose="Reading pdf files")
    # A damaged file shows itself in whichever way the parser stumbles over it.
    damage = (
        pypdf.errors.PyPdfError,
        zlib.error,
        ArithmeticError,
        AssertionError,
        AttributeError,
        LookupError,
        NotImplementedError,
        OSError,
        RecursionError,
        TypeError,
        ValueError,
    )
    source = io.BytesIO(source_bytes(content, limits))
    with _quiet("pypdf"):
        try:
            reader = pypdf.PdfReader(source)
            if reader.is_encrypted and not reader.decrypt(""):
                raise DocumentError("Expected a PDF that can be read, got one that is encrypted with a password")
            pages = _without_running_heads(list(_pages(reader, limits)))
            title = str((reader.metadata.title if reader.metadata else "") or "").strip()
        except damage as error:
            raise DocumentError(f"Expected a PDF document, got a file that cannot be read as one: {error}") from error
    if not any(pages):
        raise DocumentError(
            "Expected text, got a PDF without any: it is a scan, and needs optical character recognition first"
        )
    builder = TextBuilder(limits)
    headings = _heading_sizes(pages)
    for lines in pages:
        builder.begin_page()
        _add_page(lines, headings, builder)
    return builder.extract(title=builder.first_heading() if title.lower() in _NO_TITLE else title)


def _pages(reader: Any, limits: FileLimits) -> Iterator[tuple[list[_Line], float]]:
    """The lines of each page, and its height."""
    count = len(reader.pages)
    if count > limits.pages:
        raise refused("pages", most=limits.pages, got=f"{count:,}", unit="pages in a PDF")
    characters = 0
    for page in reader.pages:
        lines = _page_lines(page)
        characters += sum(len(line.text) for line in lines)
        if characters > limits.characters:
            raise refused("characters", most=limits.characters, got="more", unit="characters in a document")
        yield lines, float(page.mediabox.height)


def _page_lines(page: Any) -> list[_Line]:
    fragments: list[_Line] = []

    def visit(text: str, matrix: Any, text_matrix: Any, _font: Any, size: float) -> None:
        if text.strip():
            left = text_matrix[4] * matrix[0] + matrix[4]
            height = text_matrix[5] * matrix[3] + matrix[5]
            scale = abs((text_matrix[3] or 1.0) * (matrix[3] or 1.0))
            fragments.append(_Line(text, round(left, 1), round(height, 1), round(size * scale, 1)))

    plain = page.extract_text(visitor_text=visit)
    # The visitor is told of the text in its order, in pieces of a line or of several: the words come from the
    # page's text, their places from the piece in which each line begins.
    lines: list[_Line] = []
    ends: list[int] = []
    for fragment in fragments:
        ends.append((ends[-1] if ends else 0) + _inked(fragment.text))
    position = current = 0
    for text in plain.splitlines():
        if not text.strip():
            continue
        while current + 1 < len(ends) and ends[current] <= position:
            current += 1
        place = fragments[current] if fragments else _Line("", 0.0, 0.0, 0.0)
        lines.append(_Line(" ".join(text.split()), place.left, place.height, place.size))
        position += _inked(text)
    return lines


_MANY_PAGES = 3
"""From here on a line that differs from page to page only in its numbers is a running head; on fewer pages it may as
well be text, which must not be lost, so that there the numbers must be those of the pages."""


def _without_running_heads(pages: list[tuple[list[_Line], float]]) -> list[list[_Line]]:
    many = len(pages) >= _MANY_PAGES

    def mark(line: _Line, page_height: float, number: int) -> tuple[int, str] | None:
        edge = page_height * 0.08
        if edge < line.height < page_height - edge:
            return None
        return round(line.height), re.sub(r"\d+" if many else rf"\b{number}\b", "0", line.text)

    marked = [
        [(line, mark(line, height, number)) for line in lines] for number, (lines, height) in enumerate(pages, start=1)
    ]
    counts = Counter(found for lines in marked for found in {found for _, found in lines} if found)
    least = max(_MANY_PAGES if many else 2, len(pages) // 2 + 1)
    return [[line for line, found in lines if not found or counts[found] < least] for lines in marked]


def _inked(text: str) -> int:
    return sum(len(word) for word in text.split())


def _heading_sizes(pages: list[list[_Line]]) -> list[float]:
    """The letter sizes of headings, largest first: those well above the size in which most characters are set."""
    sizes = [line.size for lines in pages for line in lines for _ in range(0, len(line.text), 10)]
    body = statistics.median_low(sizes) if sizes else 0.0
    return sorted({line.size for lines in pages for line in lines if body and line.size > body * 1.12}, reverse=True)


def _add_page(lines: list[_Line], headings: list[float], builder: TextBuilder) -> None:
    table: list[list[_Piece]] = []
    for row in _rows(_pieces(lines)):
        if len(row) > 1 and _MARKER.match(row[0].text):
            words = " ".join(piece.text for piece in row[1:])
            marker = row[0].text if row[0].text[0].isdecimal() else "-"
            row = [_Piece([_Line(f"{marker} {words}", row[0].lines[0].left, row[0].lines[0].height, row[1].size)])]
        if len(row) > 1:
            table.append(row)
            continue
        _add_table(table, builder)
        table = []
        _add(row[0], headings, builder)
    _add_table(table, builder)


def _pieces(lines: list[_Line]) -> Iterator[_Piece]:
    gap = _usual_gap(lines)
    piece: list[_Line] = []
    for line in lines:
        if piece and not _continues(piece[-1], line, gap):
            yield _Piece(piece)
            piece = []
        piece.append(line)
    if piece:
        yield _Piece(piece)


def _continues(last: _Line, line: _Line, gap: float) -> bool:
    if (
        abs(line.size - last.size) > 0.1 * last.size
        or _ITEM.match(line.text)
        or _MARKER.match(line.text)
        or _MARKER.match(last.text)
    ):
        return False
    if not gap or (line.height, line.left) == (last.height, last.left):
        return not last.text.endswith((".", "!", "?", ":"))
    return 1 < last.height - line.height <= gap * last.size and abs(line.left - last.left) < 40


def _rows(pieces: Iterator[_Piece]) -> Iterator[list[_Piece]]:
    """Pieces side by side, left to right; most stand alone."""
    row: list[_Piece] = []
    for piece in pieces:
        beside = row and piece.lines[0].left > row[-1].lines[0].left + 3
        if row and not (beside and piece.lines[0].height > row[-1].lines[-1].height - 3):
            yield row
            row = []
        row.append(piece)
    if row:
        yield row


def _add_table(rows: list[list[_Piece]], builder: TextBuilder) -> None:
    """The first row names the columns if no row has more cells; those of a row with fewer go to the nearest column."""
    if not rows:
        return
    lefts = [cell.lines[0].left for cell in rows[0]]
    header = len(rows) > 1 and all(len(row) <= len(lefts) for row in rows)
    texts = []
    for row in rows:
        if not header or len(row) == len(lefts):
            texts.append([cell.text for cell in row])
            continue
        cells = [""] * len(lefts)
        for cell in row:
            distances = [abs(left - cell.lines[0].left) for left in lefts]
            column = distances.index(min(distances))
            cells[column] = f"{cells[column]} {cell.text}".strip()
        texts.append(cells)
    builder.add_table(texts, header=header)


def _add(piece: _Piece, headings: list[float], builder: TextBuilder) -> None:
    text = piece.text
    if piece.size in headings and len(text) <= 200 and not _ITEM.match(text):
        builder.add(text, "heading", min(headings.index(piece.size) + 1, 6))
    else:
        builder.add(text, "item" if _ITEM.match(text) else "paragraph")


def _usual_gap(lines: list[_Line]) -> float:
    """The largest distance between base lines of one paragraph, in letter sizes; 0 when the places tell nothing."""
    gaps = [
        round((above.height - below.height) / below.size, 2)
        for above, below in itertools.pairwise(lines)
        if below.size and 0.8 < (above.height - below.height) / below.size < 4
    ]
    if not gaps:
        return 0.0
    # Ordinary setting has lines 1.1 to 1.5 letter sizes apart; where none are, the text is widely spaced.
    return 1.55 if min(gaps) <= 1.55 else statistics.mode(gaps) * 1.25


@contextmanager
def _quiet(name: str) -> Iterator[None]:
    """Keep a library's log messages from the terminal; what matters in them is in the text or the error."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)  # unlike `disabled`, this holds for the loggers below it too
    try:
        yield
    finally:
        logger.setLevel(before)
