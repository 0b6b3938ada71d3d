"""Chunks that end where the text turns to something else, as an embedder sees it."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np

from ragvec.errors import InvalidRequest
from ragvec.pipeline.chunk import Chunk
from ragvec.pipeline.documents import Document
from ragvec.pipeline.pieces import Piece, PieceMaker
from ragvec.pipeline.tokenizers import RegexTokenizer
from ragvec.protocols import Embedder, Tokenizer

__all__ = ["SemanticChunker"]

_BATCH = 256


class SemanticChunker:
    """Chunks that are cut where the meaning drifts most.

    Between two sentences the drift is the cosine distance of the two before and the two after. A chunk ends where it is
    `drift` standard deviations above the mean of the document and greater than beside it, once the chunk has
    `min_tokens` (a quarter of `max_tokens` unless given); at a heading, then too; and in any case before it has more
    than `max_tokens`, at the greatest drift in its second half. Nothing is repeated, and nothing but white space is
    left out.

    It embeds everything once more than the ingest itself does.
    """

    def __init__(
        self,
        embedder: Embedder,
        tokenizer: Tokenizer | None = None,
        *,
        max_tokens: int = 200,
        min_tokens: int | None = None,
        drift: float = 1.0,
    ) -> None:
        least = max_tokens // 4 if min_tokens is None else min_tokens
        if max_tokens < 1 or not 0 <= least <= max_tokens:
            raise InvalidRequest(
                f"Expected max_tokens from 1 and min_tokens from 0 to that, got {max_tokens} and {least}",
                path="max_tokens" if max_tokens < 1 else "min_tokens",
            )
        if not math.isfinite(drift):
            raise InvalidRequest(f"Expected a finite number of standard deviations as drift, got {drift}", path="drift")
        self.embedder = embedder
        self.tokenizer: Tokenizer = tokenizer or RegexTokenizer()
        self.max_tokens, self.min_tokens, self.drift = max_tokens, least, drift
        self._maker = PieceMaker(self.tokenizer, max_tokens=max_tokens)
        self.name = f"semantic-1:{max_tokens}:{least}:{drift:g}:{embedder.name}"

    def split(self, document: Document) -> list[Chunk]:
        """The chunks of the document, in order.

        Raises:
            DocumentError: its blocks are out of order or beyond its text. ModelError: the embedder cannot embed.
        """
        pieces: list[Piece] = []
        headings: list[str] = []
        for section in self._maker.sections(document):
            for block in section.blocks:
                pieces.extend(block)
                headings.extend([section.heading] * len(block))
        distances = self._distances(document.text, pieces)
        chunks: list[Chunk] = []
        for first, after in self._spans(pieces, distances):
            begin, end = pieces[first].begin, pieces[after - 1].end
            chunks.append(Chunk(document.text[begin:end], begin, end, headings[first], document.page_at(begin)))
        return chunks

    def _distances(self, text: str, pieces: list[Piece]) -> list[float]:
        """The drift between each piece and the next."""
        last = len(pieces) - 1
        if last < 1:
            return []
        pairs = [text[pieces[max(0, at)].begin : pieces[min(last, at + 1)].end] for at in range(-1, len(pieces))]
        found: list[float] = []
        kept: Any = None
        for at in range(0, len(pairs), _BATCH):
            vectors = np.asarray(self.embedder.embed_documents(pairs[at : at + _BATCH]), dtype=np.float64)
            vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.finfo(np.float64).tiny)
            rows = vectors if kept is None else np.concatenate([kept, vectors])
            found.extend((1.0 - np.sum(rows[:-2] * rows[2:], axis=1)).tolist())
            kept = rows[-2:]
        return found

    def _spans(self, pieces: list[Piece], distances: list[float]) -> list[tuple[int, int]]:
        """Which pieces each chunk has: [first, after)."""
        if not pieces:
            return []
        far = float(np.mean(distances) + self.drift * np.std(distances)) if distances else math.inf
        cuts = [0]
        tokens = pieces[0].tokens
        for at in range(1, len(pieces)):
            piece, before = pieces[at], pieces[at - 1]
            here, beside = distances[at - 1], distances[max(0, at - 2) : at + 1]
            turns = (here > far and here == max(beside)) or piece.kind == "heading"
            alone = all(each.kind == "heading" for each in pieces[cuts[-1] : at])
            if turns and tokens >= self.min_tokens and not alone and before.kind != "heading":
                cuts.append(at)
                tokens = 0
            elif not self._fits(pieces, cuts[-1], at, tokens):
                cuts.append(self._farthest(pieces, distances, cuts[-1], at))
                tokens = sum(each.tokens for each in pieces[cuts[-1] : at])
            tokens += piece.tokens
        return list(pairwise([*cuts, len(pieces)]))

    def _fits(self, pieces: list[Piece], first: int, at: int, tokens: int) -> bool:
        length = pieces[at].end - pieces[first].begin
        return tokens + pieces[at].tokens <= self.max_tokens and length <= self._maker.max_characters

    def _farthest(self, pieces: list[Piece], distances: list[float], first: int, after: int) -> int:
        """Where to cut [first, after], which is too long as a whole and not without its last piece; so that what is
        left with that piece fits."""
        candidates = range(first + 1 + (after - first) // 2, after + 1)
        fitting = [
            at
            for at in candidates
            if sum(each.tokens for each in pieces[at : after + 1]) <= self.max_tokens
            and pieces[after].end - pieces[at].begin <= self._maker.max_characters
        ]
        return max(fitting, key=lambda at: distances[at - 1], default=after)
