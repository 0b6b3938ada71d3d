"""Splitters of LangChain, and whatever splits texts as they do, as chunkers."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from ragvec.errors import DocumentError
from ragvec.pipeline.chunk import Chunk
from ragvec.pipeline.documents import Document
from ragvec.pipeline.sections import Headings, trimmed

__all__ = ["Splitter", "SplitterChunker"]


@runtime_checkable
class Splitter(Protocol):
    """What splits a text: LangChain's text splitters do."""

    def split_text(self, text: str) -> list[str]:
        """The pieces of the text, in its order."""
        ...


class SplitterChunker:
    """The pieces of a splitter, found again in the text, with headings and pages.

    Pieces must be parts of the text, white space at their ends aside, in order, each beginning no earlier than the one
    before. `name` stands for the splitter and its settings; None is made of its class and its plain settings.
    """

    def __init__(self, splitter: Splitter, *, name: str | None = None) -> None:
        self.splitter = splitter
        self.name = name or _name(splitter)

    def split(self, document: Document) -> list[Chunk]:
        """The pieces as chunks; those of white space are left out.

        Raises:
            DocumentError: a piece is no part of the text.
        """
        text, headings = document.text, Headings(document)
        chunks: list[Chunk] = []
        after = 0
        for number, piece in enumerate(self.splitter.split_text(text), start=1):
            # A header that a splitter puts before each piece, say, stands nowhere.
            words = piece.strip() if isinstance(piece, str) else str(getattr(piece, "page_content", None) or "").strip()
            if not words:
                continue
            begin = text.find(words, after)
            if begin < 0:
                raise DocumentError(
                    f"Expected pieces that stand in the text, in its order, got piece {number} of "
                    f"{type(self.splitter).__name__}, which does not: {words[:60]!r}",
                    source=document.id,
                )
            end = trimmed(text, begin, begin + len(words))
            chunks.append(Chunk(text[begin:end], begin, end, headings.at(begin), document.page_at(begin)))
            after = begin + 1
        return chunks


def _name(splitter: Any) -> str:
    """The class and what is set in it: numbers, texts, lists of texts."""
    settings = []
    for name, value in sorted(vars(splitter).items()):
        plain = isinstance(value, (bool, int, float, str)) or (
            isinstance(value, (list, tuple)) and all(isinstance(each, str) for each in value)
        )
        if plain:
            settings.append(f"{name.lstrip('_')}={value!r}")
        elif callable(value):
            settings.append(f"{name.lstrip('_')}={getattr(value, '__qualname__', type(value).__name__)}")
    return f"{type(splitter).__name__}({', '.join(settings)})"
