"""The file formats that become a document a file, by suffix, and the reading of one file within its limits."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from ragvec.errors import DocumentError
from ragvec.limits import FileLimits
from ragvec.pipeline.loaders.book import load_epub
from ragvec.pipeline.loaders.builder import Extract
from ragvec.pipeline.loaders.code import CODE, code_loader
from ragvec.pipeline.loaders.csv_table import load_csv
from ragvec.pipeline.loaders.markdown import load_markdown
from ragvec.pipeline.loaders.notebook import load_ipynb
from ragvec.pipeline.loaders.pdf import load_pdf
from ragvec.pipeline.loaders.plain import load_text
from ragvec.pipeline.loaders.rich_text import load_rtf
from ragvec.pipeline.loaders.sheets import load_xlsx
from ragvec.pipeline.loaders.slides import load_pptx
from ragvec.pipeline.loaders.source import Content, refused
from ragvec.pipeline.loaders.webpage import load_html
from ragvec.pipeline.loaders.word import load_docx

__all__ = ["SUFFIXES", "file_type", "read_file"]

_LOADERS: dict[str, tuple[str, Callable[[Content, FileLimits], Extract]]] = {
    ".txt": ("txt", load_text),
    ".text": ("txt", load_text),
    ".md": ("md", load_markdown),
    ".markdown": ("md", load_markdown),
    ".html": ("html", load_html),
    ".htm": ("html", load_html),
    ".xhtml": ("html", load_html),
    ".pdf": ("pdf", load_pdf),
    ".docx": ("docx", load_docx),
    ".csv": ("csv", load_csv),
    ".tsv": ("csv", load_csv),
    ".rst": ("rst", load_text),
    ".adoc": ("adoc", load_text),
    ".org": ("org", load_text),
    ".log": ("log", load_text),
    ".tex": ("tex", load_text),
    ".pptx": ("pptx", load_pptx),
    ".xlsx": ("xlsx", load_xlsx),
    ".xlsm": ("xlsx", load_xlsx),
    ".epub": ("epub", load_epub),
    ".ipynb": ("ipynb", load_ipynb),
    ".rtf": ("rtf", load_rtf),
    **{suffix: (suffix[1:], code_loader(suffix)) for suffix in CODE},
}

SUFFIXES = tuple(_LOADERS)
"""The suffixes of these files, in lower case."""

_TITLE = 1_000
"""The most characters of a title: every passage carries it."""


def file_type(suffix: str) -> str:
    """What a file with this suffix is called in `_file_type`."""
    return _LOADERS[suffix][0]


def read_file(content: Content, suffix: str, *, limits: FileLimits) -> Extract:
    """What is read out of a file of one document; a title of more than 1,000 characters is cut off there.

    Raises:
        DocumentError: it cannot be read as what its suffix says, or passes a limit. MissingExtra: a library is missing.
        OSError: the file cannot be opened.
    """
    try:
        extract = _LOADERS[suffix][1](content, limits)
        f"{extract.title}{extract.text}".encode()
    except UnicodeEncodeError as error:
        raise DocumentError(f"Expected valid text, got a lone surrogate at character {error.start}") from error
    if len(extract.blocks) > limits.blocks:
        raise refused("blocks", most=limits.blocks, got=f"{len(extract.blocks):,}", unit="blocks in a document")
    if len(extract.title) > _TITLE:
        return msgspec.structs.replace(extract, title=extract.title[: _TITLE - 1] + "…")
    return extract
