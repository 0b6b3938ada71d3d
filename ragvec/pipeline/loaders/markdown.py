"""Markdown (CommonMark and tables), rendered to the text that a reader sees."""

from __future__ import annotations

from typing import Any

from ragvec.extras import require
from ragvec.limits import FileLimits
from ragvec.pipeline.documents import BlockKind
from ragvec.pipeline.encodings import decode
from ragvec.pipeline.loaders.builder import Extract, TextBuilder
from ragvec.pipeline.loaders.front_matter import front_matter
from ragvec.pipeline.loaders.source import Content, source_bytes
from ragvec.pipeline.loaders.webpage import html_text

__all__ = ["add_markdown", "load_markdown"]


def load_markdown(content: Content, limits: FileLimits) -> Extract:
    """A Markdown file without its marks: links keep their words, tables become "column: value" rows.

    Front matter gives title and attributes; else the first heading is the title.

    Raises:
        DocumentError: it is no text, or a limit is passed. MissingExtra: markdown-it-py is not installed.
    """
    text, note = decode(source_bytes(content, limits))
    attributes, body, left_out = front_matter(text)
    builder = TextBuilder(limits)
    add_markdown(body, builder, limits)
    title = attributes.pop("title", "") or builder.first_heading()
    return builder.extract(title=str(title), attributes=attributes, notes=[*([note] if note else []), *left_out])


def add_markdown(text: str, builder: TextBuilder, limits: FileLimits) -> None:
    """Add Markdown to a text, as it looks. Raises DocumentError when a limit is passed, or MissingExtra."""
    markdown_it = require("markdown_it", extra="documents", purpose="Reading Markdown", package="markdown-it-py")
    tokens = markdown_it.MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text)
    numbers: list[int | None] = []
    marker, level = "", 0
    rows: list[list[str]] = []
    for token in tokens:
        kind = token.type
        if kind in ("bullet_list_open", "ordered_list_open"):
            numbers.append(int(token.attrGet("start") or 1) if kind[0] == "o" else None)
        elif kind in ("bullet_list_close", "ordered_list_close"):
            numbers.pop()
        elif kind == "list_item_open":
            number = numbers[-1]
            marker = "- " if number is None else f"{number}. "
            numbers[-1] = None if number is None else number + 1
        elif kind == "heading_open":
            level = int(token.tag[1])
        elif kind == "heading_close":
            level = 0
        elif kind == "table_open":
            rows = []
        elif kind == "tr_open":
            rows.append([])
        elif kind == "table_close":
            builder.add_table(rows, header=any(rows[0]))
            rows = []
        elif kind in ("fence", "code_block"):
            builder.add(token.content, "code")
        elif kind == "html_block":
            builder.add(html_text(token.content, limits))
        elif kind == "inline":
            words = _inline(token)
            if rows:
                rows[-1].append(words)
                continue
            block: BlockKind = "heading" if level else "item" if numbers else "paragraph"
            builder.add(marker + words if words else "", block, level)
            marker = ""


def _inline(token: Any) -> str:
    parts: list[str] = []
    for child in token.children or ():
        if child.type in ("text", "code_inline"):
            parts.append(child.content)
        elif child.type == "softbreak":
            parts.append(" ")
        elif child.type == "hardbreak":
            parts.append("\n")
        elif child.type == "image":
            parts.append(_inline(child))
        elif child.type == "html_inline" and child.content.lower().startswith("<br"):
            parts.append("\n")
    return "".join(parts)
