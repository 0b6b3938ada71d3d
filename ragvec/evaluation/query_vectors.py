"""An embedder whose questions are embedded once: their vectors are kept in the cache of the store."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from ragvec.pipeline.cache import VectorCache
from ragvec.protocols import Embedder
from ragvec.types import FloatMatrix, FloatVector

__all__ = ["QuestionEmbedder"]


class QuestionEmbedder:
    """`embedder`, with the vectors of questions kept in `cache`, if there is one; safe to use from several threads."""

    def __init__(self, embedder: Embedder, cache: VectorCache | None) -> None:
        self.name = embedder.name
        self.dimension = embedder.dimension
        self._embedder = embedder
        self._cache = cache
        self._known: dict[str, FloatVector] = {}
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        """What else the embedder has, such as its tokenizer."""
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._embedder, name)

    def prepare(self, questions: Sequence[str]) -> None:
        """Have the vectors of these questions at hand."""
        model = f"question:{self.name}"
        if self._cache is not None:
            self._known.update(self._cache.find(model, self.dimension, questions))
        missing = [text for text in dict.fromkeys(questions) if text not in self._known]
        if missing:
            vectors = np.stack([np.asarray(self._embedder.embed_query(text), dtype=np.float32) for text in missing])
            self._known.update(zip(missing, vectors, strict=True))
            if self._cache is not None:
                self._cache.keep(model, missing, vectors)

    def embed_documents(self, texts: Sequence[str]) -> FloatMatrix:
        """See `Embedder`."""
        return self._embedder.embed_documents(texts)

    def embed_query(self, text: str) -> FloatVector:
        """See `Embedder`."""
        with self._lock:
            if text not in self._known:
                self.prepare([text])
            return self._known[text]
