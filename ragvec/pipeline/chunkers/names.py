"""Chunkers by name, and whatever else stands for one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ragvec.errors import InvalidRequest
from ragvec.pipeline.chunk import Chunker, StructureChunker
from ragvec.pipeline.chunkers.parents import ParentChunker
from ragvec.pipeline.chunkers.semantic import SemanticChunker
from ragvec.pipeline.chunkers.sentences import SentenceChunker
from ragvec.pipeline.chunkers.splitters import Splitter, SplitterChunker
from ragvec.pipeline.chunkers.tokens import TokenChunker
from ragvec.pipeline.embed import CONTEXT_TOKENS, tokenizer_of
from ragvec.protocols import Embedder, Tokenizer

__all__ = ["CHUNKERS", "as_chunker", "chunker_from_name", "default_chunker"]

_DEFAULT = 200
"""Tokens of a chunk, unless the model reads less."""

CHUNKERS = {
    "structure": "structure[:TOKENS[:OVERLAP[:LEAST]]], cut where the document has joints",
    "tokens": "tokens[:TOKENS[:OVERLAP]], wherever these fall",
    "sentences": "sentences[:COUNT[:OVERLAP[:TOKENS]]]",
    "semantic": "semantic[:TOKENS[:DRIFT]], cut where the meaning drifts",
    "parents": "parents[:TOKENS[:CHILD_TOKENS]], small ones to search that know the large one to return",
}
"""The names of chunkers, with their numbers."""


def default_chunker(embedder: Embedder) -> StructureChunker:
    """A chunker by structure that measures with the embedder's tokenizer, and leaves room for title and headings in
    what the model reads."""
    return StructureChunker(tokenizer_of(embedder), max_tokens=_most(embedder))


def chunker_from_name(text: str, embedder: Embedder) -> Chunker:
    """The chunker that `text` names, measured with the embedder's tokenizer: "structure:200", "tokens:256:32",
    "sentences:5:1", "semantic:200:1.0", "parents:800:150". Numbers may be left out from the end.

    Raises:
        InvalidRequest: there is none of this name, or a number makes no sense.
    """
    kind, *numbers = text.split(":")
    if kind not in _MAKERS:
        raise InvalidRequest(f"Expected a chunker named {', '.join(CHUNKERS)}, got {text!r}", path="chunker")
    make, most = _MAKERS[kind]
    if len(numbers) > most:
        raise InvalidRequest(f"Expected {CHUNKERS[kind].partition(',')[0]}, got {text!r}", path="chunker")
    try:
        values = [float(number) if "." in number else int(number) for number in numbers]
    except ValueError as error:
        raise InvalidRequest(f"Expected {CHUNKERS[kind].partition(',')[0]}, got {text!r}", path="chunker") from error
    if any(isinstance(value, float) for value in (values if kind != "semantic" else values[:1])):
        raise InvalidRequest(f"Expected whole numbers in the chunker's name, got {text!r}", path="chunker")
    return make(embedder, tokenizer_of(embedder), *values)


def as_chunker(given: Any, embedder: Embedder) -> Chunker:
    """A chunker for whatever was given: None for the default, a chunker, a name, or a text splitter of LangChain.

    Raises:
        InvalidRequest: it is none of these.
    """
    if given is None:
        return default_chunker(embedder)
    if isinstance(given, str):
        return chunker_from_name(given, embedder)
    if isinstance(given, Chunker):
        return given
    if isinstance(given, Splitter):
        return SplitterChunker(given)
    raise InvalidRequest(
        f"Expected a chunker, with `split` and `name`, the name of one ({', '.join(CHUNKERS)}), or a text splitter, "
        f"got {given!r:.200}",
        path="chunker",
    )


def _most(embedder: Embedder, usual: int = _DEFAULT) -> int:
    limit = getattr(embedder, "max_tokens", None)
    return usual if limit is None else max(16, min(usual, limit - CONTEXT_TOKENS))


def _structure(
    embedder: Embedder, tokenizer: Tokenizer | None, most: int | None = None, overlap: int = 0, least: int | None = None
) -> Chunker:
    return StructureChunker(
        tokenizer, max_tokens=_most(embedder) if most is None else most, overlap=overlap, min_tokens=least
    )


def _tokens(
    embedder: Embedder, tokenizer: Tokenizer | None, most: int | None = None, overlap: int | None = None
) -> Chunker:
    size = _most(embedder, 256) if most is None else most
    return TokenChunker(tokenizer, max_tokens=size, overlap=size // 8 if overlap is None else overlap)


def _sentences(
    embedder: Embedder,
    tokenizer: Tokenizer | None,
    count: int = 5,
    overlap: int | None = None,
    most: int | None = None,
) -> Chunker:
    return SentenceChunker(
        tokenizer,
        sentences=count,
        overlap=min(1, count - 1) if overlap is None else overlap,
        max_tokens=_most(embedder) if most is None else most,
    )


def _semantic(embedder: Embedder, tokenizer: Tokenizer | None, most: int | None = None, drift: float = 1.0) -> Chunker:
    return SemanticChunker(embedder, tokenizer, max_tokens=_most(embedder) if most is None else most, drift=drift)


def _parents(embedder: Embedder, tokenizer: Tokenizer | None, most: int = 800, child: int | None = None) -> Chunker:
    small = min(_most(embedder, 150), most) if child is None else child
    if small > most:
        raise InvalidRequest(
            f"Expected children of at most {most} tokens, as their parents, got {small}", path="chunker"
        )
    return ParentChunker(
        StructureChunker(tokenizer, max_tokens=most), StructureChunker(tokenizer, max_tokens=small, min_tokens=0)
    )


_MAKERS: dict[str, tuple[Callable[..., Chunker], int]] = {
    "structure": (_structure, 3),
    "tokens": (_tokens, 2),
    "sentences": (_sentences, 3),
    "semantic": (_semantic, 2),
    "parents": (_parents, 2),
}
