"""Jupyter notebooks (ipynb): words as Markdown, code as code."""

from __future__ import annotations

from typing import Any

import msgspec

from ragvec.errors import DocumentError
from ragvec.limits import FileLimits
from ragvec.pipeline.encodings import decode
from ragvec.pipeline.loaders.builder import Extract, TextBuilder
from ragvec.pipeline.loaders.markdown import add_markdown
from ragvec.pipeline.loaders.source import Content, source_bytes

__all__ = ["load_ipynb"]


def load_ipynb(content: Content, limits: FileLimits) -> Extract:
    """A notebook: its cells in order, what they put out left out. Its title is that of its metadata, else its first
    heading; `programming_language` is an attribute.

    Raises:
        DocumentError: it is no notebook of version 3 or later, or a limit is passed. MissingExtra: markdown-it-py is
            not installed.
    """
    text, note = decode(source_bytes(content, limits))
    try:
        book = msgspec.json.decode(text.encode("utf-8", "surrogatepass"), type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DocumentError(f"Expected a notebook in JSON: {error!s:.300}") from error
    except RecursionError as error:
        raise DocumentError("Expected a notebook in JSON, got one that is nested too deep") from error
    builder = TextBuilder(limits)
    for number, cell in enumerate(_cells(book), start=1):
        if not isinstance(cell, dict):
            raise DocumentError(f"Expected an object as cell {number} of the notebook, got {type(cell).__name__}")
        # Version 3 calls the source of a code cell its input.
        source = _source(cell.get("source", cell.get("input", "")), number)
        if cell.get("cell_type") == "markdown":
            add_markdown(source, builder, limits)
        elif cell.get("cell_type") == "heading":
            level = cell.get("level")
            builder.add(source, "heading", level if isinstance(level, int) and 0 < level < 7 else 1)
        else:
            builder.add(source, "code" if cell.get("cell_type") == "code" else "paragraph")
    about = book.get("metadata")
    title = about.get("title") if isinstance(about, dict) else None
    return builder.extract(
        title=title if isinstance(title, str) else builder.first_heading(),
        attributes=_attributes(about),
        notes=[note] if note else [],
    )


def _cells(book: dict[str, Any]) -> list[Any]:
    cells = book.get("cells")
    if cells is None and isinstance(book.get("worksheets"), list):
        cells = [cell for sheet in book["worksheets"] if isinstance(sheet, dict) for cell in sheet.get("cells") or []]
    if not isinstance(cells, list):
        raise DocumentError("Expected a notebook with `cells`, got none")
    return cells


def _source(source: Any, number: int) -> str:
    if isinstance(source, str):
        return source
    if isinstance(source, list) and all(isinstance(line, str) for line in source):
        return "".join(source)
    raise DocumentError(f"Expected text as the source of cell {number} of the notebook, got {type(source).__name__}")


def _attributes(about: Any) -> dict[str, Any]:
    kernel = about.get("kernelspec") if isinstance(about, dict) else None
    language = kernel.get("language") if isinstance(kernel, dict) else None
    return {"programming_language": language[:60]} if isinstance(language, str) and language else {}
