"""Excel workbooks (xlsx, xlsm): each sheet a heading with its rows, each sheet a page."""

from __future__ import annotations

import io
import struct
import warnings
import zipfile
import zlib
from collections.abc import Sequence
from datetime import date, datetime, time
from typing import Any

from ragvec.errors import DocumentError
from ragvec.extras import require
from ragvec.limits import FileLimits
from ragvec.pipeline.loaders.archive import check_archive
from ragvec.pipeline.loaders.builder import Extract, TextBuilder
from ragvec.pipeline.loaders.source import Content, refused, source_bytes

__all__ = ["load_xlsx"]

_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
)
"""How a damaged workbook shows itself, in the zip, in the XML or in what that says."""


def load_xlsx(content: Content, limits: FileLimits) -> Extract:
    """A workbook: its sheets in order, hidden ones left out, each a page that begins with the sheet's name as heading.

    A row is a line "column: value; column: value" where the first row of the sheet is text in every cell, else its
    values. Formulas are the values that Excel saved with them; one that it never computed is empty.

    Raises:
        DocumentError: the file is no workbook, or a limit is passed. MissingExtra: openpyxl is not installed.
    """
    openpyxl = require("openpyxl", extra="documents", purpose="Reading xlsx files")
    source = io.BytesIO(source_bytes(content, limits))
    builder = TextBuilder(limits)
    try:
        check_archive(source, limits)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of styles and extensions, which do not matter to the text
            book = openpyxl.load_workbook(source, read_only=True, data_only=True, keep_links=False)
            title = str(book.properties.title or "") if book.properties is not None else ""
            for sheet in book.worksheets:
                if sheet.sheet_state == "visible":
                    _add(sheet, builder, limits)
    except _DAMAGE as error:
        raise DocumentError(
            f"Expected an xlsx workbook, got a file that cannot be read as one: {error!s:.300}"
        ) from error
    return builder.extract(title=title)


def _add(sheet: Any, builder: TextBuilder, limits: FileLimits) -> None:
    # What a sheet says of its size need not be so.
    sheet.reset_dimensions()
    rows: list[list[str]] = []
    held = 0
    for row in sheet.iter_rows(values_only=True):
        if len(row) > limits.columns:
            raise refused("columns", most=limits.columns, got=f"{len(row):,}", unit="columns in a table")
        cells = [_words(value) for value in row]
        if any(cells):
            rows.append(cells)
            held += sum(len(cell) for cell in cells)
            if held > limits.characters:
                raise refused("characters", most=limits.characters, got="more", unit="characters in a document")
            if len(rows) > limits.blocks:
                raise refused("blocks", most=limits.blocks, got="more", unit="blocks in a document")
    builder.begin_page()
    if not rows:
        return
    builder.add(str(sheet.title), "heading", 1)
    first = _table_start(rows)
    for row in rows[:first]:
        builder.add("; ".join(cell for cell in row if cell))
    builder.add_table(rows[first:], header=_is_header(rows[first:]))


def _table_start(rows: Sequence[Sequence[str]]) -> int:
    """How many rows of one cell stand above a table: its title and remarks."""
    wide = next((at for at, row in enumerate(rows) if sum(map(bool, row)) > 1), 0)
    return wide if wide <= 5 else 0


def _is_header(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first row names the columns: words in each cell that has any below, and none a number."""
    if len(rows) < 2 or sum(map(bool, rows[0])) < 2:
        return False
    return all(not cell or not _is_number(cell) for cell in rows[0])


def _is_number(cell: str) -> bool:
    return cell.replace(".", "", 1).replace("-", "", 1).replace(":", "").replace("%", "").isdecimal()


def _words(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if isinstance(value, datetime):
        return value.isoformat(sep=" ") if value.time() != time() else value.date().isoformat()
    if isinstance(value, (date, time)):
        return value.isoformat()
    return " ".join(str(value).split())
