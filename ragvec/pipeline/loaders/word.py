"""Word documents (docx): paragraphs, headings by style, lists and tables, in the order of the body."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from typing import Any

from ragvec.errors import DocumentError
from ragvec.extras import require
from ragvec.limits import FileLimits
from ragvec.pipeline.documents import BlockKind
from ragvec.pipeline.loaders.archive import check_archive
from ragvec.pipeline.loaders.builder import Extract, TextBuilder
from ragvec.pipeline.loaders.source import Content, refused, source_bytes

__all__ = ["load_docx"]


def load_docx(content: Content, limits: FileLimits) -> Extract:
    """A docx file. Its title is the paragraph in style Title, else the first heading, else that of its core properties.

    Raises:
        DocumentError: the file is not a docx document, or a limit is passed.
        MissingExtra: python-docx is not installed.
    """
    docx = require("docx", extra="documents", purpose="Reading docx files", package="python-docx")
    # A damaged file shows itself in whichever part of the zip, the XML or the styles it is damaged.
    damage = (
        docx.exceptions.PythonDocxError,
        docx.opc.exceptions.OpcError,
        docx.oxml.exceptions.XmlchemyError,
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
    builder = TextBuilder(limits)
    source = io.BytesIO(source_bytes(content, limits))
    try:
        check_archive(source, limits)
        document = docx.Document(source)
        title = (
            _Body(builder, limits).add(document) or builder.first_heading() or str(document.core_properties.title or "")
        )
    except damage as error:
        raise DocumentError(f"Expected a docx document, got a file that cannot be read as one: {error}") from error
    return builder.extract(title=title)


class _Body:
    """Adds what stands in a document to a text."""

    def __init__(self, builder: TextBuilder, limits: FileLimits) -> None:
        self._builder, self._limits = builder, limits

    def add(self, document: Any) -> str:
        """Add everything, and return the paragraph in style Title, empty without one."""
        title = ""
        for block in document.iter_inner_content():
            if hasattr(block, "rows"):
                self._table(block)
                continue
            style = str(block.style.name or "") if block.style is not None else ""
            text = block.text
            kind, level = _kind(style, listed=_is_listed(block))
            if style == "Title" and text.strip() and not title:
                title = text
            self._builder.add(f"- {text.strip()}" if kind == "item" and text.strip() else text, kind, level)
        return title

    def _table(self, table: Any) -> None:
        rows = [self._cells(row) for row in table.rows]
        rows = [row for row in rows if any(row)]
        if rows:
            # Word marks header rows rarely; a first row in which every cell is filled is taken for one.
            self._builder.add_table(rows, header=len(rows[0]) > 1 and all(rows[0]))

    def _cells(self, row: Any) -> list[str]:
        """The texts of a row's cells; a cell that spans columns stands in the first of them."""
        columns = sum(max(1, cell.grid_span) for cell in row._tr.tc_lst)
        if columns > self._limits.columns:
            raise refused("columns", most=self._limits.columns, got=f"{columns:,}", unit="columns in a table")
        texts: list[str] = []
        previous = None
        for cell in row.cells:
            texts.append("" if cell._tc is previous else self._text(cell))
            previous = cell._tc
        return texts

    def _text(self, cell: Any) -> str:
        parts = [
            "; ".join(" ".join(self._cells(row)) for row in block.rows) if hasattr(block, "rows") else block.text
            for block in cell.iter_inner_content()
        ]
        return " ".join(part for part in parts if part)


def _kind(style: str, *, listed: bool) -> tuple[BlockKind, int]:
    words = style.lower().split()
    if words == ["title"]:
        return "heading", 1
    if len(words) == 2 and words[0] == "heading" and words[1].isdecimal() and len(words[1]) <= 2:
        return "heading", int(words[1])
    return ("item" if listed or words[:1] == ["list"] else "paragraph"), 0


def _is_listed(paragraph: Any) -> bool:
    properties = paragraph._p.pPr
    return properties is not None and properties.numPr is not None
