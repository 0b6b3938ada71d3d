"""Chunks of so many tokens, wherever these fall."""

from __future__ import annotations

import bisect

from ragvec.errors import InvalidRequest
from ragvec.pipeline.chunk import Chunk
from ragvec.pipeline.documents import Document
from ragvec.pipeline.pieces import CHARACTERS_PER_TOKEN, text_starts
from ragvec.pipeline.sections import Headings, trimmed
from ragvec.pipeline.tokenizers import RegexTokenizer
from ragvec.protocols import Tokenizer

__all__ = ["TokenChunker"]


class TokenChunker:
    """Chunks of `max_tokens` tokens, `overlap` of which are those at the end of the chunk before.

    A word is not divided where there is white space among the last quarter of a chunk's tokens; such a chunk is a
    little shorter, and so is an overlap. Nothing but white space is left out. A chunk has at most `max_tokens` × 12
    characters, so that text without words is cut too.
    """

    def __init__(self, tokenizer: Tokenizer | None = None, *, max_tokens: int = 256, overlap: int = 32) -> None:
        if max_tokens < 1 or not 0 <= overlap <= max_tokens // 2:
            raise InvalidRequest(
                f"Expected max_tokens from 1 and an overlap from 0 to half of it, got {max_tokens} and {overlap}",
                path="max_tokens" if max_tokens < 1 else "overlap",
            )
        self.tokenizer: Tokenizer = tokenizer or RegexTokenizer()
        self.max_tokens, self.overlap = max_tokens, overlap
        self.max_characters = max_tokens * CHARACTERS_PER_TOKEN
        self.name = f"tokens-1:{max_tokens}:{overlap}"

    def split(self, document: Document) -> list[Chunk]:
        """The chunks of the document, in order.

        Raises:
            DocumentError: its blocks are out of order or beyond its text.
        """
        text = document.text
        headings = Headings(document)
        starts = text_starts(self.tokenizer, text)
        begin, stop = _after_space(text, 0), trimmed(text, 0, len(text))
        chunks: list[Chunk] = []
        while begin < stop:
            cut = self._cut(text, starts, begin, stop)
            end = trimmed(text, begin, cut)
            chunks.append(Chunk(text[begin:end], begin, end, headings.at(begin), document.page_at(begin)))
            if cut >= stop:
                break
            begin = self._again(text, starts, begin, _after_space(text, cut))
        return chunks

    def _cut(self, text: str, starts: list[int], begin: int, stop: int) -> int:
        """Where the chunk that begins at `begin` ends."""
        first = bisect.bisect_left(starts, begin)
        # The rest of a token that was cut is one too.
        last = first + self.max_tokens - (first == len(starts) or starts[first] != begin)
        cut = starts[last] if 0 <= last < len(starts) else stop
        if cut - begin > self.max_characters:
            cut = begin + self.max_characters
            space = next((at for at in range(cut, cut - self.max_characters // 4, -1) if text[at - 1].isspace()), cut)
            return max(space, begin + 1)
        if cut >= stop:
            return stop
        for at in range(last, max(first, last - max(1, self.max_tokens // 4)), -1):
            if text[starts[at] - 1].isspace():
                return starts[at]
        return max(cut, begin + 1)

    def _again(self, text: str, starts: list[int], begin: int, cut: int) -> int:
        """Where the next chunk begins: before `cut` by the overlap, at a word if there is one."""
        after = bisect.bisect_left(starts, cut)
        for at in range(max(0, after - self.overlap), after):
            if starts[at] > begin and cut - starts[at] < self.max_characters // 2 and text[starts[at] - 1].isspace():
                return starts[at]
        return cut


def _after_space(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at
