# mypy: disable-error-code="import-untyped"
"""The text of each kind of document, as a reader of it gets it, and the files beside the documents."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import docx
from bs4 import BeautifulSoup
from company import Record
from docx.table import Table as DocxTable
from markdown_source import Code, Table, parse_markdown, plain
from pypdf import PdfReader


def collapse(text: str) -> str:
    """Replace every run of white space by one space."""
    return " ".join(text.split())


def text_of_markdown(text: str) -> str:
    """Return Markdown without marks; the cells of a table row are joined by spaces."""
    lines = []
    for block in parse_markdown(text):
        if isinstance(block, Table):
            lines += [" ".join(plain(cell) for cell in row) for row in (block.header, *block.rows)]
        elif isinstance(block, Code):
            lines.append(block.text)
        else:
            lines.append(plain(block.text))
    return "\n".join(lines)


def text_of_docx(data: bytes) -> str:
    """Return paragraphs and tables of a Word document in their order."""
    lines = []
    for item in docx.Document(io.BytesIO(data)).iter_inner_content():
        if isinstance(item, DocxTable):
            lines += [" ".join(cell.text for cell in row.cells) for row in item.rows]
        else:
            lines.append(item.text)
    return "\n".join(lines)


def text_of_pdf(data: bytes) -> str:
    """Return the text of the pages as pypdf sees it."""
    return "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(data)).pages)


_APART = [
    "p", "li", "dt", "dd", "tr", "td", "th", "div", "section", "header", "footer", "nav", "caption", "pre", "br",
    "h1", "h2", "h3", "h4", "h5", "h6",
]  # fmt: skip


def text_of_html(text: str) -> str:
    """Return the text of the body; block elements and table cells are set apart by white space."""
    soup = BeautifulSoup(text, "html.parser")
    for tag in soup(["head", "script", "style"]):
        tag.decompose()
    for tag in soup(_APART):
        tag.insert_before("\n")
        tag.insert_after("\n")
    return str(soup.get_text())


def read_csv(text: str) -> list[list[str]]:
    """Parse RFC 4180 text."""
    return list(csv.reader(io.StringIO(text, newline="")))


def text_of(path: Path) -> str:
    """Return the white-space collapsed plain text of a document of any of the six types."""
    file_type = path.suffix.removeprefix(".")
    if file_type == "docx":
        return collapse(text_of_docx(path.read_bytes()))
    if file_type == "pdf":
        return collapse(text_of_pdf(path.read_bytes()))
    text = path.read_text(encoding="utf-8")
    if file_type == "md":
        text = text_of_markdown(text)
    elif file_type == "html":
        text = text_of_html(text)
    elif file_type == "csv":
        text = "\n".join(" ".join(row) for row in read_csv(text))
    return collapse(text)


def read_jsonl(path: Path) -> list[Record]:
    """Read one JSON object a line."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
