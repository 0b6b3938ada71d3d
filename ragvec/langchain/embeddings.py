"""Our embedders as LangChain's embeddings, and the other way round."""

from __future__ import annotations

from typing import Any

import numpy as np
from langchain_core.embeddings import Embeddings

from ragvec.errors import ModelError
from ragvec.pipeline.embed import as_embedder
from ragvec.protocols import Embedder
from ragvec.types import FloatMatrix, FloatVector

__all__ = ["RagvecEmbeddings", "as_embeddings", "matrix_of", "vector_of"]


class RagvecEmbeddings(Embeddings):
    """LangChain's embeddings by an embedder of ragvec.

    `embedder` is one, or what the pipeline takes for one: a name such as "minilm" or "hashing:256", a folder, a model's
    name; None is all-MiniLM-L6-v2.

    Raises:
        MissingExtra, ModelError: it cannot be made. InvalidRequest: it names none.
    """

    def __init__(self, embedder: Any = None) -> None:
        self.embedder: Embedder = as_embedder(embedder)

    def __repr__(self) -> str:
        return f"RagvecEmbeddings({self.embedder.name!r})"

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """A vector a text."""
        rows: list[list[float]] = self.embedder.embed_documents(texts).tolist()
        return rows

    def embed_query(self, text: str) -> list[float]:
        """The vector of a question."""
        row: list[float] = np.asarray(self.embedder.embed_query(text), dtype=np.float32).tolist()
        return row


def as_embeddings(given: Any) -> Embeddings:
    """`given` if it is LangChain's, else an embedder of ours behind their interface."""
    return given if isinstance(given, Embeddings) else RagvecEmbeddings(given)


def matrix_of(embeddings: Embeddings, texts: list[str]) -> FloatMatrix:
    """The vectors of `texts`, float32 (n, dimension). Raises ModelError: they are of another form."""
    if isinstance(embeddings, RagvecEmbeddings):
        return embeddings.embedder.embed_documents(texts)
    matrix = np.asarray(embeddings.embed_documents(texts), dtype=np.float32)
    if matrix.ndim != 2 or len(matrix) != len(texts):
        raise ModelError(
            f"Expected {len(texts)} vectors of equal length from {type(embeddings).__name__}, got {matrix.shape}"
        )
    return matrix


def vector_of(embeddings: Embeddings, text: str) -> FloatVector:
    """The vector of a question, float32 (dimension,)."""
    if isinstance(embeddings, RagvecEmbeddings):
        return np.asarray(embeddings.embedder.embed_query(text), dtype=np.float32)
    return np.asarray(embeddings.embed_query(text), dtype=np.float32)
