"""Splitters of LangChain, and whatever splits texts as they do, as chunkers."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from ragvec.errors import DocumentError
from ragvec.pipeline.chunk import Chunk
from ragvec.pipeline.documents import Document
from ragvec.pipeline.sections import Headings

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
        pieces = [_words(piece) for piece in self.splitter.split_text(text)]
        # Where a text repeats itself, a piece stands in several places: as near behind the one before as it may, so
        # that nothing seems left out; and where that does not come out even, as early as it may.
        places = _places(text, pieces, self._overlap()) or _places(text, pieces, len(text))
        if places is None:
            lost = _lost(text, pieces)
            raise DocumentError(
                f"Expected pieces that stand in the text, in its order, got piece {lost + 1} of "
                f"{type(self.splitter).__name__}, which does not: {pieces[lost][:60]!r}",
                source=document.id,
            )
        return [
            Chunk(text[begin:end], begin, end, headings.at(begin), document.page_at(begin))
            for begin, end in places
            if begin < end
        ]

    def _overlap(self) -> int:
        """The most characters that a piece repeats, as LangChain's splitters know it; 0 where that is not known."""
        overlap = getattr(self.splitter, "_chunk_overlap", 0)
        counts = getattr(self.splitter, "_length_function", len) is len
        return overlap if isinstance(overlap, int) and counts else 0


def _words(piece: Any) -> str:
    """The text of a piece, which may be a document of LangChain."""
    return (piece if isinstance(piece, str) else str(getattr(piece, "page_content", None) or "")).strip()


def _places(text: str, pieces: list[str], overlap: int) -> list[tuple[int, int]] | None:
    """Where each piece stands, none repeating more than `overlap` characters if that can be; None where one does not
    stand at all."""
    places: list[tuple[int, int]] = []
    begin, end = -1, 0
    for piece in pieces:
        if not piece:
            places.append((end, end))
            continue
        at = text.find(piece, max(begin + 1, end - overlap))
        if at < 0:
            return None
        begin, end = at, at + len(piece)
        places.append((begin, end))
    return places


def _lost(text: str, pieces: list[str]) -> int:
    """Which piece is the first that does not stand in the text behind the beginning of the one before."""
    after = 0
    for number, piece in enumerate(pieces):
        at = text.find(piece, after)
        if at < 0:
            return number
        after = at + bool(piece)
    return len(pieces) - 1


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
