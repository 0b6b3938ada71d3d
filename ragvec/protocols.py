"""Protocols for what users plug in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from ragvec.types import FloatMatrix

__all__ = ["Embedder", "Tokenizer"]


@runtime_checkable
class Embedder(Protocol):
    """Turns texts into vectors. `name` identifies model and settings: equal names promise equal vectors for equal
    texts."""

    name: str
    dimension: int

    def embed_documents(self, texts: Sequence[str]) -> FloatMatrix:
        """float32 (len(texts), dimension), in the order of `texts`."""
        ...

    def embed_query(self, text: str) -> Any:
        """float32 (dimension,)."""
        ...


@runtime_checkable
class Tokenizer(Protocol):
    """Counts and places the tokens of a text, so that chunks fit a model."""

    def spans(self, text: str) -> list[tuple[int, int]]:
        """The [start, end) character span of each token, in order, special tokens left out."""
        ...
