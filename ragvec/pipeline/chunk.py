"""Splitting documents into passages: by structure first, by tokens where structure gives too much at once."""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterator
from typing import Protocol, runtime_checkable

import msgspec

from ragvec.errors import DocumentError, InvalidRequest
from ragvec.pipeline.documents import Block, BlockKind, Document
from ragvec.pipeline.outline import heading_label, outline
from ragvec.pipeline.sentences import sentence_starts
from ragvec.pipeline.tokenizers import RegexTokenizer
from ragvec.protocols import Tokenizer

__all__ = ["Chunk", "Chunker", "StructureChunker"]

# A token of more characters than this is no word (a key, a picture in base64): such text is cut by length.
_CHARACTERS_PER_TOKEN = 12
# Texts are handed to the tokenizer in slices of at most this length, which bounds its memory.
_SLICE = 50_000
# Of a heading, in the path that every passage below it carries.
_HEADING = 500


class Chunk(msgspec.Struct, frozen=True):
    """A passage: `text` is `document.text[begin:end]`, `heading` a path such as "Travel > Per diem", `page` from 1."""

    text: str
    begin: int
    end: int
    heading: str = ""
    page: int | None = None


@runtime_checkable
class Chunker(Protocol):
    """Splits a document into chunks. `name` stands for method and settings: when it changes, all are split again."""

    name: str

    def split(self, document: Document) -> list[Chunk]:
        """The chunks in the order of the text; none for a text of white space."""
        ...


class _Piece(msgspec.Struct, frozen=True, gc=False):
    """A sentence, or what is left of one that was too long: never cut further."""

    begin: int
    end: int
    tokens: int
    kind: BlockKind


class _Section(msgspec.Struct, frozen=True):
    """A heading and what stands below it up to the next one: a list of blocks, each a list of pieces."""

    heading: str
    blocks: list[list[_Piece]]
    tokens: int


class StructureChunker:
    """Chunks of at most `max_tokens` (white space between blocks not counted), cut where the document itself has a
    joint: heading, paragraph, list item, table row, sentence.

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
        self.max_characters = max_tokens * _CHARACTERS_PER_TOKEN
        self.name = f"structure-1:{max_tokens}:{self.overlap}:{self.min_tokens}"

    def split(self, document: Document) -> list[Chunk]:
        """The chunks of the document, in order.

        Raises:
            DocumentError: its blocks are out of order or beyond its text.
        """
        packer = _Packer(document, self)
        for section in self._sections(document):
            packer.add(section)
        return packer.finish()

    def _sections(self, document: Document) -> Iterator[_Section]:
        path: list[tuple[int, str]] = []
        heading, blocks = "", list[list[_Piece]]()
        parts = list(_complete(document))
        levels = [block.level for block in parts if block.kind == "heading"]
        # A heading that opens the document and has none beside or above it is the title, and leads every path.
        titled = bool(levels) and parts[0].kind == "heading" and min(levels[1:], default=levels[0] + 1) > levels[0]
        for block in parts:
            if block.kind == "heading":
                if blocks:
                    yield _section(heading, blocks)
                    blocks = []
                while path and path[-1][0] >= block.level:
                    path.pop()
                path.append((block.level, heading_label(document.text, block)[:_HEADING]))
                labels = [label for _, label in path]
                heading = " > ".join(labels[1:] if titled or labels[0] == document.title else labels)
            blocks.append(self._pieces(document.text, block))
        if blocks:
            yield _section(heading, blocks)

    def _pieces(self, text: str, block: Block) -> list[_Piece]:
        pieces: list[_Piece] = []
        for begin, end in _slices(text, block.begin, block.end):
            starts = [begin + start for start, _ in self.tokenizer.spans(text[begin:end])]
            if len(starts) <= self.max_tokens and end - begin <= self.max_characters and block.kind in ("row", "item"):
                pieces.append(_Piece(begin, end, len(starts), block.kind))
                continue
            sentences = sentence_starts(text, begin, end)
            for first, after in zip(sentences, [*sentences[1:], end], strict=True):
                pieces.extend(self._windows(text, first, after, starts, block.kind))
        return pieces

    def _windows(self, text: str, begin: int, end: int, starts: list[int], kind: BlockKind) -> Iterator[_Piece]:
        """The sentence [begin, end) whole if it fits, else cut between tokens, near white space where there is some."""
        first, last = bisect.bisect_left(starts, begin), bisect.bisect_left(starts, end)
        stop = _trimmed(text, begin, end)
        if last - first <= self.max_tokens and stop - begin <= self.max_characters:
            yield _Piece(begin, stop, last - first, kind)
            return
        most = self.overlap or self.max_tokens
        rest = 0  # 1 where the piece begins with the rest of a token that was cut
        while begin < stop:
            most_here = first + most - rest
            cut = min(starts[most_here] if most_here < last else stop, begin + self.max_characters)
            if cut < stop:
                space = next((at for at in range(cut, max(begin, cut - 40), -1) if text[at - 1].isspace()), cut)
                cut = max(space, begin + 1)
            after = bisect.bisect_left(starts, cut)
            yield _Piece(begin, _trimmed(text, begin, cut), after - first + rest, kind)
            at_token = (after < last and starts[after] == cut) or text[cut - 1].isspace()
            while cut < stop and text[cut].isspace():
                cut, at_token = cut + 1, True
            begin, first, rest = cut, after, 0 if at_token else 1


class _Packer:
    """Fills chunks with sections, in order."""

    def __init__(self, document: Document, chunker: StructureChunker) -> None:
        self._document, self._settings = document, chunker
        self._done: list[tuple[list[_Piece], str]] = []
        self._pieces: list[_Piece] = []
        self._tokens = 0
        self._heading = ""
        self._repeated = 0

    def add(self, section: _Section) -> None:
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

    def _add_block(self, block: list[_Piece], target: int, heading: str) -> None:
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
        repeated: list[_Piece] = []
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

    def _chunk(self, pieces: list[_Piece], heading: str) -> Chunk:
        begin, end = pieces[0].begin, pieces[-1].end
        return Chunk(self._document.text[begin:end], begin, end, heading, self._document.page_at(begin))


def _section(heading: str, blocks: list[list[_Piece]]) -> _Section:
    return _Section(heading, blocks, sum(piece.tokens for block in blocks for piece in block))


def _complete(document: Document) -> Iterator[Block]:
    """The document's blocks without white space around them, and a paragraph for any text that belongs to none."""
    text, position = document.text, 0
    for block in document.blocks or outline(text):
        if not position <= block.begin <= block.end <= len(text):
            raise DocumentError(
                f"Expected blocks in order within {len(text)} characters, got [{block.begin}, {block.end}) "
                f"after {position}",
                source=document.id,
            )
        yield from _trim(text, position, block.begin, "paragraph")
        yield from _trim(text, block.begin, block.end, block.kind, block.level)
        position = block.end
    yield from _trim(text, position, len(text), "paragraph")


def _trim(text: str, begin: int, end: int, kind: BlockKind, level: int = 0) -> Iterator[Block]:
    while begin < end and text[begin].isspace():
        begin += 1
    if begin < end:
        yield Block(begin, _trimmed(text, begin, end), kind, level)


def _trimmed(text: str, begin: int, end: int) -> int:
    """`end` moved back over white space."""
    while end > begin and text[end - 1].isspace():
        end -= 1
    return end


def _slices(text: str, begin: int, end: int) -> Iterator[tuple[int, int]]:
    """[begin, end) in parts of bounded length without white space at their ends, cut at white space if possible."""
    while end - begin > _SLICE:
        cut = begin + _SLICE
        cut = next((at for at in range(cut, cut - 1000, -1) if text[at - 1].isspace()), cut)
        yield begin, _trimmed(text, begin, cut)
        while cut < end and text[cut].isspace():
            cut += 1
        begin = cut
    if begin < end:
        yield begin, end
