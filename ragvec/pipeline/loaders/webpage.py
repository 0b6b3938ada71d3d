"""HTML files: the words of the page with its headings, lists and tables, without scripts, styles and navigation."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

from ragvec.limits import FileLimits
from ragvec.pipeline.documents import BlockKind
from ragvec.pipeline.encodings import decode
from ragvec.pipeline.loaders.builder import Extract, TextBuilder
from ragvec.pipeline.loaders.source import Content, source_bytes

__all__ = ["add_html", "html_text", "load_html"]

_CHARSET = re.compile(rb"<meta[^>]{1,200}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:-]+)", re.IGNORECASE)
_NOT_READ = """
audio button canvas datalist iframe nav noscript object script select style svg template video
"""
_BREAKING = """
address article aside blockquote body caption dd details dialog div dl dt fieldset figcaption figure footer form h1 h2
h3 h4 h5 h6 header hgroup hr html legend li main menu ol p pre section summary table tbody td tfoot th thead tr ul
"""
_SKIPPED = frozenset(_NOT_READ.split())
_BLOCKS = frozenset(_BREAKING.split())
_HEADING = re.compile(r"h[1-6]$")


def load_html(content: Content, limits: FileLimits) -> Extract:
    """An HTML page. Its title is the first `h1`, else what `<title>` says, else its first heading.

    Raises:
        DocumentError: it is no text, or a limit is passed.
    """
    raw = source_bytes(content, limits)
    declared = _CHARSET.search(raw[:4096])
    text, note = decode(raw, declared=declared[1].decode("ascii") if declared else "")
    page = _parse(text, limits)
    attributes: dict[str, Any] = {"language": page.language} if page.language else {}
    title = page.first_h1 or page.title or page.builder.first_heading()
    return page.builder.extract(title=title, attributes=attributes, notes=[note] if note else [])


def add_html(raw: bytes, builder: TextBuilder, limits: FileLimits) -> tuple[str, str]:
    """Add what stands on a page to a text; return its title and a note on how it was decoded, both perhaps empty.

    Raises:
        DocumentError: it is no text, or a limit is passed.
    """
    declared = _CHARSET.search(raw[:4096])
    text, note = decode(raw, declared=declared[1].decode("ascii") if declared else "")
    page = _parse(text, limits, builder)
    return page.first_h1 or page.title, note


def html_text(fragment: str, limits: FileLimits) -> str:
    """The words of an HTML fragment. Raises DocumentError when a limit is passed."""
    return _parse(fragment, limits).builder.text


def _parse(text: str, limits: FileLimits, builder: TextBuilder | None = None) -> _Page:
    page = _Page(builder or TextBuilder(limits))
    page.feed(text)
    page.close()
    page.finish()
    return page


class _Table:
    """A table being read; cells of nested tables go into the cell that holds them."""

    def __init__(self) -> None:
        self.rows: list[list[str]] = []
        self.header = False
        self.heads: list[bool] = []


class _Page(HTMLParser):
    """Collects blocks from the stream of tags, whether or not these are closed as they should be."""

    def __init__(self, builder: TextBuilder) -> None:
        super().__init__(convert_charrefs=True)
        self.builder = builder
        self.title = self.language = self.first_h1 = ""
        self._title_words: list[str] = []
        self._words: list[str] = []
        self._skipping: list[str] = []
        self._in_title = False
        self._heading = 0
        self._pre = 0
        self._lists: list[int | None] = []
        self._marker = ""
        self._table: _Table | None = None
        self._depth = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._skipping:
            if tag == self._skipping[-1]:
                self._skipping.append(tag)
            return
        if tag in _SKIPPED:
            self._skipping.append(tag)
        elif tag == "title" and not self._title_words:
            self._in_title = True
        elif tag == "html":
            self.language = (dict(attrs).get("lang") or "").partition("-")[0].lower()
        elif tag == "br":
            self._words.append("\n")
        elif tag == "img":
            self._words.append(f" {dict(attrs).get('alt') or ''} ")
        elif tag in _BLOCKS:
            self._open(tag, dict(attrs))

    def handle_endtag(self, tag: str) -> None:
        if self._skipping:
            if tag == self._skipping[-1]:
                self._skipping.pop()
        elif tag == "title":
            self._in_title = False
        elif tag in _BLOCKS:
            self._close(tag)

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self._title_words.append(data)
        elif not self._skipping:
            self._words.append(data if self._pre else re.sub(r"\s+", " ", data))

    def finish(self) -> None:
        """End what the page left open."""
        while self._table is not None:
            self._close("table")
        self._flush()
        self.title = " ".join("".join(self._title_words).split())

    def _open(self, tag: str, attributes: dict[str, str | None]) -> None:
        if self._table is not None:
            self._open_in_table(tag)
            return
        self._flush()
        if tag == "table":
            self._table, self._depth = _Table(), 1
        elif _HEADING.match(tag):
            self._heading = int(tag[1])
        elif tag == "pre":
            self._pre += 1
        elif tag in ("ul", "menu"):
            self._lists.append(None)
        elif tag == "ol":
            start = attributes.get("start") or ""
            # More digits are no number of an item, and thousands of them no number to Python either.
            self._lists.append(int(start) if start.isdecimal() and len(start) <= 9 else 1)
        elif tag == "li":
            number = self._lists[-1] if self._lists else None
            self._marker = "- " if number is None else f"{number}. "
            if self._lists and number is not None:
                self._lists[-1] = number + 1

    def _close(self, tag: str) -> None:
        if self._table is not None:
            self._close_in_table(tag)
            return
        self._flush()
        if _HEADING.match(tag):
            self._heading = 0
        elif tag == "pre" and self._pre:
            self._pre -= 1
        elif tag in ("ul", "ol", "menu") and self._lists:
            self._lists.pop()
        elif tag == "li":
            self._marker = ""

    def _open_in_table(self, tag: str) -> None:
        table = self._table
        assert table is not None
        if tag == "table":
            self._depth += 1
        if self._depth > 1:
            self._words.append(" ")
        elif tag == "tr":
            self._end_cell()
            table.rows.append([])
            table.heads.append(True)
        elif tag in ("td", "th"):
            self._end_cell()
            if not table.rows:
                table.rows.append([])
                table.heads.append(True)
            table.rows[-1].append("")
            table.heads[-1] = table.heads[-1] and tag == "th"
        else:
            self._words.append(" ")

    def _close_in_table(self, tag: str) -> None:
        table = self._table
        assert table is not None
        if tag == "caption" and self._depth == 1:
            self.builder.add("".join(self._words))
            self._words = []
        elif tag != "table":
            self._words.append(" ")
            if self._depth == 1 and tag in ("td", "th", "tr"):
                self._end_cell()
        else:
            self._depth -= 1
            if self._depth == 0:
                self._end_cell()
                self._table = None
                kept = [(row, head) for row, head in zip(table.rows, table.heads, strict=True) if any(row)]
                if kept:
                    self.builder.add_table(
                        [row for row, _ in kept], header=kept[0][1] or _looks_like_header(kept[0][0])
                    )

    def _end_cell(self) -> None:
        words = " ".join("".join(self._words).split())
        self._words = []
        table = self._table
        if words and table is not None:
            if table.rows and table.rows[-1] and not table.rows[-1][-1]:
                table.rows[-1][-1] = words
            else:
                self.builder.add(words)

    def _flush(self) -> None:
        words = "".join(self._words)
        self._words = []
        if not words.strip():
            return
        kind: BlockKind = (
            "heading" if self._heading else "code" if self._pre else "item" if self._lists else "paragraph"
        )
        if self._heading == 1 and not self.first_h1:
            self.first_h1 = " ".join(words.split())
        self.builder.add(words if kind == "code" else self._marker + words.strip(), kind, self._heading)
        self._marker = ""


def _looks_like_header(row: list[str]) -> bool:
    """A first row without `th`: all cells filled, none with a digit."""
    return len(row) > 1 and all(cell and not any(character.isdigit() for character in cell) for cell in row)
