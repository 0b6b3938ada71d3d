"""Word documents (docx): paragraphs, headings by style, lists and tables, in the order of the body."""

from __future__ import annotations

import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

from ragvec.errors import DocumentError
from ragvec.extras import require
from ragvec.pipeline.documents import BlockKind
from ragvec.pipeline.loaders.builder import Extract, TextBuilder

__all__ = ["load_docx"]


def load_docx(path: Path) -> Extract:
    """A docx file. Its title is the paragraph in style Title, else the first heading, else that of its core properties.

    Raises:
        DocumentError: the file is not a docx document.
        MissingExtra: python-docx is not installed.
    """
    docx = require("docx", extra="embed", purpose="Reading docx files", package="python-docx")
    # A damaged file shows itself in whichever part of the zip, the XML or the styles it is damaged.
    damage = (
        docx.opc.exceptions.OpcError,
        zipfile.BadZipFile,
        zlib.error,
        struct.error,
        AttributeError,
        EOFError,
        LookupError,
        RuntimeError,
        SyntaxError,
        TypeError,
        ValueError,
    )
    builder = TextBuilder()
    try:
        document = docx.Document(str(path))
        title = _body(document, builder) or builder.first_heading() or str(document.core_properties.title or "")
    except damage as error:
        raise DocumentError(f"Expected a docx document, got a file that cannot be read as one: {error}") from error
    return builder.extract(title=title)


def _body(document: Any, builder: TextBuilder) -> str:
    title = ""
    for block in document.iter_inner_content():
        if hasattr(block, "rows"):
            _table(block, builder)
            continue
        style = str(block.style.name or "") if block.style is not None else ""
        text = block.text
        kind, level = _kind(style, listed=_is_listed(block))
        if style == "Title" and text.strip() and not title:
            title = text
        builder.add(f"- {text.strip()}" if kind == "item" and text.strip() else text, kind, level)
    return title


def _kind(style: str, *, listed: bool) -> tuple[BlockKind, int]:
    words = style.lower().split()
    if words == ["title"]:
        return "heading", 1
    if len(words) == 2 and words[0] == "heading" and words[1].isdecimal():
        return "heading", int(words[1])
    return ("item" if listed or words[:1] == ["list"] else "paragraph"), 0


def _is_listed(paragraph: Any) -> bool:
    properties = paragraph._p.pPr
    return properties is not None and properties.numPr is not None


def _table(table: Any, builder: TextBuilder) -> None:
    rows = [_cells(row) for row in table.rows]
    rows = [row for row in rows if any(row)]
    if rows:
        # Word marks header rows rarely; a first row in which every cell is filled is taken for one.
        builder.add_table(rows, header=len(rows[0]) > 1 and all(rows[0]))


def _cells(row: Any) -> list[str]:
    """The texts of a row's cells; a cell that spans columns stands in the first of them."""
    texts: list[str] = []
    previous = None
    for cell in row.cells:
        texts.append("" if cell._tc is previous else _cell_text(cell))
        previous = cell._tc
    return texts


def _cell_text(cell: Any) -> str:
    parts = []
    for block in cell.iter_inner_content():
        parts.append("; ".join(" ".join(_cells(row)) for row in block.rows) if hasattr(block, "rows") else block.text)
    return " ".join(part for part in parts if part)
