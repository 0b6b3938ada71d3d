"""Chunks of so many sentences."""

from __future__ import annotations

from ragvec.errors import InvalidRequest
from ragvec.pipeline.chunk import Chunk
from ragvec.pipeline.documents import Document
from ragvec.pipeline.pieces import Piece, PieceMaker
from ragvec.pipeline.tokenizers import RegexTokenizer
from ragvec.protocols import Tokenizer

__all__ = ["SentenceChunker"]


class SentenceChunker:
    """Chunks of `sentences` sentences at most, which begin with the last `overlap` of the chunk before.

    A row of a table, an item of a list and a line of code count as one. A heading stands before the first sentence
    below it and does not count; no chunk reaches over one. A chunk has at most `max_tokens` tokens, and a sentence that
    is longer is divided. Nothing but white space is left out.
    """

    def __init__(
        self, tokenizer: Tokenizer | None = None, *, sentences: int = 5, overlap: int = 1, max_tokens: int = 200
    ) -> None:
        if sentences < 1 or not 0 <= overlap < sentences:
            raise InvalidRequest(
                f"Expected sentences from 1 and an overlap of fewer, got {sentences} and {overlap}",
                path="sentences" if sentences < 1 else "overlap",
            )
        if max_tokens < 1:
            raise InvalidRequest(f"Expected max_tokens from 1, got {max_tokens}", path="max_tokens")
        self.tokenizer: Tokenizer = tokenizer or RegexTokenizer()
        self.sentences, self.overlap, self.max_tokens = sentences, overlap, max_tokens
        self._maker = PieceMaker(self.tokenizer, max_tokens=max_tokens)
        self.name = f"sentences-1:{sentences}:{overlap}:{max_tokens}"

    def split(self, document: Document) -> list[Chunk]:
        """The chunks of the document, in order.

        Raises:
            DocumentError: its blocks are out of order or beyond its text.
        """
        chunks: list[Chunk] = []
        for section in self._maker.sections(document):
            pieces = [piece for block in section.blocks for piece in block]
            for taken in self._runs(pieces):
                begin, end = taken[0].begin, taken[-1].end
                chunks.append(Chunk(document.text[begin:end], begin, end, section.heading, document.page_at(begin)))
        return chunks

    def _runs(self, pieces: list[Piece]) -> list[list[Piece]]:
        runs: list[list[Piece]] = []
        run: list[Piece] = []
        for piece in pieces:
            if run and not self._fits([*run, piece]):
                runs.append(run)
                repeated = run[len(run) - self.overlap :] if self.overlap else []
                while repeated and (repeated[0].kind == "heading" or not self._fits([*repeated, piece])):
                    repeated = repeated[1:]
                run = repeated if len(repeated) < len(run) else repeated[1:]
            run = [*run, piece]
        return [*runs, run] if run else runs

    def _fits(self, run: list[Piece]) -> bool:
        count = sum(piece.kind != "heading" for piece in run)
        tokens = sum(piece.tokens for piece in run)
        length = run[-1].end - run[0].begin
        return count <= self.sentences and tokens <= self.max_tokens and length <= self._maker.max_characters
