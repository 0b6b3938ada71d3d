"""Models that read question and passage together, to order the best candidates again."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from ragvec.errors import ModelError
from ragvec.extras import require
from ragvec.types import FloatVector

__all__ = ["CrossEncoderReranker", "Reranker"]


@runtime_checkable
class Reranker(Protocol):
    """Scores passages for a question; `name` stands for model and settings."""

    name: str

    def score(self, question: str, passages: Sequence[str]) -> FloatVector:
        """float32 (len(passages),), higher is better."""
        ...


class CrossEncoderReranker:
    """A cross-encoder of sentence-transformers, by name or folder, such as "cross-encoder/ms-marco-MiniLM-L6-v2".

    Raises:
        On first use, MissingExtra: sentence-transformers is not installed; ModelError: there is no such model, or it
        gives several scores for a pair.
    """

    def __init__(self, model: str | os.PathLike[str], *, batch_size: int = 32, device: str | None = None) -> None:
        self.name = f"cross-encoder:{os.fspath(model)}"
        self._model, self._batch_size, self._device = os.fspath(model), batch_size, device
        self._lock = threading.Lock()
        self._loaded: Any = None

    def __repr__(self) -> str:
        return f"CrossEncoderReranker({self._model!r})"

    def score(self, question: str, passages: Sequence[str]) -> FloatVector:
        """See `Reranker`."""
        if not passages:
            return np.empty(0, dtype=np.float32)
        pairs = [(question, passage) for passage in passages]
        scores = np.asarray(self._encoder().predict(pairs, batch_size=self._batch_size, show_progress_bar=False))
        if scores.shape != (len(passages),):
            raise ModelError(f"Expected a score a pair from {self._model!r}, got {scores.shape}")
        return scores.astype(np.float32)

    def _encoder(self) -> Any:
        with self._lock:
            if self._loaded is None:
                library = require("sentence_transformers", extra="embed", purpose="A cross-encoder")
                try:
                    self._loaded = library.CrossEncoder(self._model, device=self._device)
                except (OSError, ValueError) as error:
                    raise ModelError(f"There is no cross-encoder {self._model!r}: {error}") from error
            return self._loaded
