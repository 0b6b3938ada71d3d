"""What chunks are put together from: sections of blocks of pieces, none of which is cut further."""

from __future__ import annotations

import bisect
from collections.abc import Iterator

import msgspec

from ragvec.pipeline.documents import Block, BlockKind, Document
from ragvec.pipeline.sections import complete_blocks, heading_paths, trimmed
from ragvec.pipeline.sentences import sentence_starts
from ragvec.protocols import Tokenizer

__all__ = ["CHARACTERS_PER_TOKEN", "Piece", "PieceMaker", "Section", "text_starts", "token_starts"]

CHARACTERS_PER_TOKEN = 12
"""A token of more characters than this is no word (a key, a picture in base64): such text is cut by length."""

_SLICE = 50_000
"""Texts are handed to the tokenizer in slices of at most this length, which bounds its memory."""


class Piece(msgspec.Struct, frozen=True, gc=False):
    """A sentence, a row, an item, a line of code, or what is left of one that was too long."""

    begin: int
    end: int
    tokens: int
    kind: BlockKind


class Section(msgspec.Struct, frozen=True):
    """A heading and what stands below it up to the next one: a list of blocks, each a list of pieces."""

    heading: str
    blocks: list[list[Piece]]

    @property
    def tokens(self) -> int:
        """The tokens of all pieces."""
        return sum(piece.tokens for block in self.blocks for piece in block)


class PieceMaker:
    """Divides documents into pieces of at most `max_tokens` and `max_tokens` × 12 characters.

    What is longer than that is cut into windows of `window` tokens (None: of as many as a piece may have).
    """

    def __init__(self, tokenizer: Tokenizer, *, max_tokens: int, window: int | None = None) -> None:
        self.tokenizer, self.max_tokens = tokenizer, max_tokens
        self.window = window or max_tokens
        self.max_characters = max_tokens * CHARACTERS_PER_TOKEN

    def sections(self, document: Document) -> Iterator[Section]:
        """The sections of the document, in order; none for a text of white space.

        Raises:
            DocumentError: its blocks are out of order or beyond its text.
        """
        blocks = list(complete_blocks(document))
        heading, found = "", list[list[Piece]]()
        paths = iter(heading_paths(document, blocks))
        for block, pieces in self._divided(document.text, blocks):
            path = next(paths)
            if block.kind == "heading":
                if found:
                    yield Section(heading, found)
                    found = []
                heading = path
            found.append(pieces)
        if found:
            yield Section(heading, found)

    def _divided(self, text: str, blocks: list[Block]) -> Iterator[tuple[Block, list[Piece]]]:
        """Each block with its pieces. Blocks that stand together are given to the tokenizer together, as far as they
        fit into a slice: it takes long to begin, and tokens do not reach over the white space between blocks."""
        first = 0
        while first < len(blocks):
            after, begin = first + 1, blocks[first].begin
            while after < len(blocks) and blocks[after].end - begin <= _SLICE:
                after += 1
            end = blocks[after - 1].end
            starts = token_starts(self.tokenizer, text, begin, end) if end - begin <= _SLICE else None
            for block in blocks[first:after]:
                yield block, self._pieces(text, block, starts)
            first = after

    def _pieces(self, text: str, block: Block, starts: list[int] | None) -> list[Piece]:
        pieces: list[Piece] = []
        for begin, end in _slices(text, block.begin, block.end):
            known = token_starts(self.tokenizer, text, begin, end) if starts is None else starts
            tokens = bisect.bisect_left(known, end) - bisect.bisect_left(known, begin)
            if tokens <= self.max_tokens and end - begin <= self.max_characters and block.kind in ("row", "item"):
                pieces.append(Piece(begin, end, tokens, block.kind))
                continue
            joints = _lines(text, begin, end) if block.kind == "code" else sentence_starts(text, begin, end)
            for first, after in zip(joints, [*joints[1:], end], strict=True):
                pieces.extend(self._windows(text, first, after, known, block.kind))
        return pieces

    def _windows(self, text: str, begin: int, end: int, starts: list[int], kind: BlockKind) -> Iterator[Piece]:
        """The sentence [begin, end) whole if it fits, else cut between tokens, near white space where there is some."""
        first, last = bisect.bisect_left(starts, begin), bisect.bisect_left(starts, end)
        stop = trimmed(text, begin, end)
        if last - first <= self.max_tokens and stop - begin <= self.max_characters:
            yield Piece(begin, stop, last - first, kind)
            return
        most = self.window
        rest = 0  # 1 where the piece begins with the rest of a token that was cut
        while begin < stop:
            most_here = first + most - rest
            cut = min(starts[most_here] if most_here < last else stop, begin + self.max_characters)
            if cut < stop:
                space = next((at for at in range(cut, max(begin, cut - 40), -1) if text[at - 1].isspace()), cut)
                cut = max(space, begin + 1)
            after = bisect.bisect_left(starts, cut)
            yield Piece(begin, trimmed(text, begin, cut), after - first + rest, kind)
            at_token = (after < last and starts[after] == cut) or text[cut - 1].isspace()
            while cut < stop and text[cut].isspace():
                cut, at_token = cut + 1, True
            begin, first, rest = cut, after, 0 if at_token else 1


def token_starts(tokenizer: Tokenizer, text: str, begin: int, end: int) -> list[int]:
    """Where the tokens in [begin, end) begin, as offsets into `text`; those that begin with white space after it."""
    starts = [begin + start for start, _ in tokenizer.spans(text[begin:end])]
    for at, start in enumerate(starts):
        if text[start].isspace():
            while start + 1 < end and text[start].isspace():
                start += 1
            starts[at] = start
    return starts


def text_starts(tokenizer: Tokenizer, text: str) -> list[int]:
    """Where the tokens of a whole text begin."""
    starts: list[int] = []
    for begin, end in _slices(text, 0, len(text)):
        starts.extend(token_starts(tokenizer, text, begin, end))
    return starts


def _lines(text: str, begin: int, end: int) -> list[int]:
    """Where the lines of code begin, their indentation with the line before; those without words are no lines."""
    starts = [begin]
    at = text.find("\n", begin, end)
    while at >= 0:
        first = at + 1
        while first < end and text[first].isspace():
            first += 1
        if first < end:
            starts.append(first)
        at = text.find("\n", first, end)
    return starts


def _slices(text: str, begin: int, end: int) -> Iterator[tuple[int, int]]:
    """[begin, end) in parts of bounded length without white space at their ends, cut at white space if possible."""
    while end - begin > _SLICE:
        cut = begin + _SLICE
        cut = next((at for at in range(cut, cut - 1000, -1) if text[at - 1].isspace()), cut)
        yield begin, trimmed(text, begin, cut)
        while cut < end and text[cut].isspace():
            cut += 1
        begin = cut
    if begin < end:
        yield begin, end
