"""Embedders of other libraries, and plain functions, behind this one's protocol."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ragvec.errors import ModelError
from ragvec.protocols import Tokenizer
from ragvec.types import FloatMatrix, FloatVector

__all__ = ["CallableEmbedder", "LangChainEmbedder"]


class CallableEmbedder:
    """A function from a list of texts to as many vectors.

    `query` is another function for queries, likewise from a list; None uses the first for both. `name` identifies model
    and settings: change it whenever the vectors change, for they are kept under it, unless `cacheable` is False.
    `dimension` None is found by embedding one word. `max_tokens` and `tokenizer` tell what the model reads, where that
    is known.
    """

    def __init__(
        self,
        function: Callable[[list[str]], Any],
        *,
        name: str,
        dimension: int | None = None,
        query: Callable[[list[str]], Any] | None = None,
        normalize: bool = True,
        batch_size: int = 64,
        tokenizer: Tokenizer | None = None,
        max_tokens: int | None = None,
        cacheable: bool = True,
    ) -> None:
        self._documents, self._queries = function, query or function
        self._normalize = normalize
        self.name = name
        self.cacheable = cacheable
        self.batch_size = batch_size
        self.tokenizer = tokenizer
        self.max_tokens = max_tokens
        self.dimension = dimension if dimension is not None else self._embed(self._documents, ["word"]).shape[1]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    def embed_documents(self, texts: Sequence[str]) -> FloatMatrix:
        """float32 (len(texts), dimension), in the order of `texts`. Raises ModelError for any other shape."""
        parts = [
            self._embed(self._documents, list(texts[at : at + self.batch_size]))
            for at in range(0, len(texts), self.batch_size)
        ]
        return np.concatenate(parts) if parts else np.empty((0, self.dimension), dtype=np.float32)

    def embed_query(self, text: str) -> FloatVector:
        """float32 (dimension,)."""
        vector: FloatVector = self._embed(self._queries, [text])[0]
        return vector

    def _embed(self, function: Callable[[list[str]], Any], texts: list[str]) -> FloatMatrix:
        vectors = np.asarray(function(texts), dtype=np.float32)
        width = getattr(self, "dimension", vectors.shape[-1] if vectors.ndim == 2 else -1)
        if vectors.shape != (len(texts), width):
            raise ModelError(
                f"Expected vectors of shape ({len(texts)}, {max(width, 1)}) from {self.name!r}, got {vectors.shape}"
            )
        if self._normalize:
            vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.finfo(np.float32).tiny)
        return vectors


class LangChainEmbedder(CallableEmbedder):
    """LangChain's `Embeddings`. `name` None is made of the class and the model that it names; vectors are kept for
    later runs only where there is such a model, or a `name`."""

    def __init__(
        self, embeddings: Any, *, name: str | None = None, dimension: int | None = None, normalize: bool = True
    ) -> None:
        model = next(
            (getattr(embeddings, at) for at in ("model", "model_name", "model_id") if _has(embeddings, at)), ""
        )
        super().__init__(
            embeddings.embed_documents,
            name=name or ":".join(filter(None, (type(embeddings).__name__, str(model)))),
            dimension=dimension,
            query=lambda texts: [embeddings.embed_query(text) for text in texts],
            normalize=normalize,
            cacheable=bool(name or model),
        )


def _has(embeddings: Any, attribute: str) -> bool:
    return isinstance(getattr(embeddings, attribute, None), str)
