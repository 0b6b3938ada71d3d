"""Splitting documents into passages: by structure first, by tokens where structure gives too much at once."""

from __future__ import annotations

import math
from typing import Any, Protocol, runtime_checkable

import msgspec

from ragvec.errors import InvalidRequest
from ragvec.pipeline.documents import Document
from ragvec.pipeline.pieces import CHARACTERS_PER_TOKEN, Piece, PieceMaker, Section
from ragvec.pipeline.tokenizers import RegexTokenizer
from ragvec.protocols import Tokenizer

__all__ = ["Chunk", "Chunker", "StructureChunker"]


class Chunk(msgspec.Struct, frozen=True):
    """A passage: `text` is `document.text[begin:end]`, `heading` a path such as "Travel > Per diem", `page` from 1.

    `stored` are metadata of this passage alone, in addition to those of its document.
    """

    text: str
    begin: int
    end: int
    heading: str = ""
    page: int | None = None
    stored: dict[str, Any] | None = None


@runtime_checkable
class Chunker(Protocol):
    """Splits a document into chunks. `name` stands for method and settings: when it changes, all are split again."""

    name: str

    def split(self, document: Document) -> list[Chunk]:
        """The chunks in the order of the text; none for a text of white space."""
        ...


class StructureChunker:
    """Chunks of at most `max_tokens` (white space between blocks not counted), cut where the document itself has a
    joint: heading, paragraph, list item, table row, sentence, line of code.

    A section that fits is one chunk; sections below `min_tokens` (a quarter of `max_tokens` unless given) are joined
    with the next. A longer one is divided into parts of about equal length. Rows and items stay whole unless one alone
    is too long. `overlap` tokens, in whole sentences, are repeated at the start of a chunk that goes on within a
    section; nothing else is repeated, and nothing but white space is left out. A chunk has at most `max_tokens` × 12
    characters, so that text without words is cut too.
    """

    def __init__(
        self,
        tokenizer: Tokenizer | None = None,
        *,
        max_tokens: int = 200,
        overlap: int = 0,
        min_tokens: int | None = None,
    ) -> None:
        if max_tokens < 1 or not 0 <= overlap <= max_tokens // 2:
            raise InvalidRequest(
                f"Expected max_tokens from 1 and an overlap from 0 to half of it, got {max_tokens} and {overlap}",
                path="max_tokens" if max_tokens < 1 else "overlap",
            )
        self.tokenizer: Tokenizer = tokenizer or RegexTokenizer()
        self.max_tokens = max_tokens
        self.overlap = overlap
        self.min_tokens = max_tokens // 4 if min_tokens is None else min_tokens
        self.max_characters = max_tokens * CHARACTERS_PER_TOKEN
        # What repeats is put together from pieces, so that none may be longer than that.
        self._maker = PieceMaker(self.tokenizer, max_tokens=max_tokens, window=overlap or None)
        self.name = f"structure-2:{max_tokens}:{self.overlap}:{self.min_tokens}"

    def split(self, document: Document) -> list[Chunk]:
        """The chunks of the document, in order.

        Raises:
            DocumentError: its blocks are out of order or beyond its text.
        """
        packer = _Packer(document, self)
        for section in self._maker.sections(document):
            packer.add(section)
        return packer.finish()


class _Packer:
    """Fills chunks with sections, in order."""

    def __init__(self, document: Document, chunker: StructureChunker) -> None:
        self._document, self._settings = document, chunker
        self._done: list[tuple[list[Piece], str]] = []
        self._pieces: list[Piece] = []
        self._tokens = 0
        self._heading = ""
        self._repeated = 0

    def add(self, section: Section) -> None:
        if self._pieces and self._tokens >= self._settings.min_tokens and not self._only_heading():
            self._close()
        if not self._pieces or self._only_heading():
            self._heading = section.heading
        parts = math.ceil((self._tokens + section.tokens) / self._settings.max_tokens) or 1
        target = math.ceil((self._tokens + section.tokens) / parts)
        for block in section.blocks:
            self._add_block(block, target, section.heading)

    def finish(self) -> list[Chunk]:
        if self._pieces:
            self._close()
        self._join_last()
        return [self._chunk(pieces, heading) for pieces, heading in self._done]

    def _add_block(self, block: list[Piece], target: int, heading: str) -> None:
        tokens = sum(piece.tokens for piece in block)
        whole = tokens <= self._settings.max_tokens
        full = self._tokens >= target or not self._fits(block[-1].end, tokens)
        if whole and full and self._pieces and not self._only_heading():
            enough = self._tokens * 2 >= target or block[0].kind in ("row", "item")
            if enough:
                self._go_on(heading, block[-1].end, tokens)
        for piece in block:
            full = not self._fits(piece.end, piece.tokens) or (self._tokens >= target and not whole)
            if full and len(self._pieces) > self._repeated:
                self._go_on(heading, piece.end, piece.tokens)
            self._pieces.append(piece)
            self._tokens += piece.tokens

    def _fits(self, end: int, tokens: int) -> bool:
        if not self._pieces:
            return True
        length = end - self._pieces[0].begin
        return self._tokens + tokens <= self._settings.max_tokens and length <= self._settings.max_characters

    def _only_heading(self) -> bool:
        return all(piece.kind == "heading" for piece in self._pieces)

    def _go_on(self, heading: str, end: int, tokens: int) -> None:
        """Close the chunk and begin the next one of the same section, with the overlap for which there is room."""
        previous = self._pieces
        self._close()
        self._heading = heading
        room = min(self._settings.overlap, self._settings.max_tokens - tokens)
        repeated: list[Piece] = []
        for piece in reversed(previous):
            room -= piece.tokens
            if room < 0 or piece.kind == "heading" or end - piece.begin > self._settings.max_characters:
                break
            repeated.append(piece)
        if len(repeated) == len(previous):
            repeated.pop()
        self._pieces = repeated[::-1]
        self._repeated = len(repeated)
        self._tokens = sum(piece.tokens for piece in repeated)

    def _close(self) -> None:
        self._done.append((self._pieces, self._heading))
        self._pieces, self._tokens, self._repeated = [], 0, 0

    def _join_last(self) -> None:
        """Join a last chunk that is very short to the one before it."""
        if len(self._done) < 2 or self._settings.overlap:
            return
        (pieces, heading), (rest, _) = self._done[-2:]
        short = sum(piece.tokens for piece in rest)
        tokens = short + sum(piece.tokens for piece in pieces)
        fits = tokens <= self._settings.max_tokens and rest[-1].end - pieces[0].begin <= self._settings.max_characters
        if short < self._settings.min_tokens and fits:
            self._done[-2:] = [([*pieces, *rest], heading)]

    def _chunk(self, pieces: list[Piece], heading: str) -> Chunk:
        begin, end = pieces[0].begin, pieces[-1].end
        return Chunk(self._document.text[begin:end], begin, end, heading, self._document.page_at(begin))
