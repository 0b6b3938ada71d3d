"""PowerPoint presentations (pptx): each slide a page, its title a heading, with tables and the speaker's notes."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any

from ragvec.errors import DocumentError
from ragvec.extras import require
from ragvec.limits import FileLimits
from ragvec.pipeline.loaders.archive import check_archive
from ragvec.pipeline.loaders.builder import Extract, TextBuilder
from ragvec.pipeline.loaders.source import Content, refused, source_bytes

__all__ = ["load_pptx"]

_DEEPEST = 50
"""Groups in groups of shapes."""


def load_pptx(content: Content, limits: FileLimits) -> Extract:
    """A presentation: a page a slide, hidden ones left out; the title is that of its properties, else the first one.

    Raises:
        DocumentError: the file is no presentation, or a limit is passed. MissingExtra: python-pptx is not installed.
    """
    pptx = require("pptx", extra="documents", purpose="Reading pptx files", package="python-pptx")
    damage = (
        pptx.exc.PythonPptxError,
        zipfile.BadZipFile,
        zlib.error,
        struct.error,
        AssertionError,
        AttributeError,
        EOFError,
        LookupError,
        NotImplementedError,
        RuntimeError,
        SyntaxError,
        TypeError,
        ValueError,
    )
    builder = TextBuilder(limits)
    source = io.BytesIO(source_bytes(content, limits))
    try:
        check_archive(source, limits)
        presentation = pptx.Presentation(source)
        for slide in presentation.slides:
            builder.begin_page()
            if slide.element.get("show") not in ("0", "false"):
                _add(slide, builder, limits)
        title = str(presentation.core_properties.title or "")
    except damage as error:
        raise DocumentError(
            f"Expected a pptx presentation, got a file that cannot be read as one: {error!s:.300}"
        ) from error
    return builder.extract(title=title if title != "PowerPoint Presentation" and title else builder.first_heading())


def _add(slide: Any, builder: TextBuilder, limits: FileLimits) -> None:
    title = slide.shapes.title
    if title is not None:
        builder.add(" ".join(title.text_frame.text.split()), "heading", 1)
    for shape in _shapes(slide.shapes, depth=0):
        if title is not None and shape.shape_id == title.shape_id:
            continue
        if getattr(shape, "has_table", False) and shape.has_table:
            _table(shape.table, builder, limits)
        elif shape.has_text_frame:
            for paragraph in shape.text_frame.paragraphs:
                _paragraph(paragraph, shape, builder)
    if slide.has_notes_slide:
        frame = slide.notes_slide.notes_text_frame
        if frame is not None and frame.text.strip():
            builder.add(f"Notes: {' '.join(frame.text.split())}")


def _shapes(shapes: Any, *, depth: int) -> Iterator[Any]:
    if depth > _DEEPEST:
        raise DocumentError(f"Expected groups of shapes at most {_DEEPEST} deep, got more")
    for shape in shapes:
        if hasattr(shape, "shapes"):
            yield from _shapes(shape.shapes, depth=depth + 1)
        else:
            yield shape


def _paragraph(paragraph: Any, shape: Any, builder: TextBuilder) -> None:
    words = " ".join(paragraph.text.split())
    if not words:
        return
    # The text of a layout's body is a list, unless a paragraph says that it has no bullet.
    properties = paragraph._p.pPr
    plain = properties is not None and any(child.tag.endswith("}buNone") for child in properties)
    marked = properties is not None and any(child.tag.endswith(("}buChar", "}buAutoNum")) for child in properties)
    listed = marked or (not plain and shape.is_placeholder and shape.placeholder_format.idx > 0)
    builder.add(f"- {words}" if listed else words, "item" if listed else "paragraph")


def _table(table: Any, builder: TextBuilder, limits: FileLimits) -> None:
    if len(table.columns) > limits.columns:
        raise refused("columns", most=limits.columns, got=f"{len(table.columns):,}", unit="columns in a table")
    rows = [["" if cell.is_spanned else " ".join(cell.text.split()) for cell in row.cells] for row in table.rows]
    rows = [row for row in rows if any(row)]
    if rows:
        builder.add_table(rows, header=bool(table.first_row) and len(rows[0]) > 1 and all(rows[0]))
