"""Any model of the sentence-transformers library, by name or from a folder."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ragvec.errors import InvalidRequest, ModelError
from ragvec.pipeline.embedders.int8 import quantized
from ragvec.pipeline.embedders.loading import (
    base_name,
    dimension_of,
    identity,
    limit_of,
    load_model,
    model_tokenizer,
    pooling_of,
)
from ragvec.pipeline.embedders.packed import Group, PackedBert, cosines, groups
from ragvec.pipeline.embedders.threads import each
from ragvec.types import FloatMatrix, FloatVector

__all__ = ["PRECISIONS", "SentenceTransformerEmbedder"]

PRECISIONS = ("auto", "float32", "float16", "bfloat16", "int8")

# Measured with all-MiniLM-L6-v2 on an AMD EPYC core, tokens a second: batches of 512 to 2,048 tokens 3,300 to 3,490,
# of 4,096 3,070, of 8,192 2,360 (the activations no longer fit the caches, and the padding grows).
_BATCH_TOKENS = 1_024
_BATCH = 128

_SAME = 0.9999
"""Cosine of vectors that are the same up to rounding."""

_NEAR = 0.99
"""Mean cosine from which vectors in eight bits may stand beside those in float32 in one index."""

_PROBES = (
    "tea",
    "How long is the notice period?",
    "Refunds are paid within 30 days of the journey, on presentation of the ticket (form R-7).",
    "def area(radius: float) -> float:\n    return math.pi * radius**2",
    "The committee met on 3 March 2024 and approved the minutes. " * 8,
    "El tren sale a las 9:45; Ankunft 12:30 Uhr.",
)


class SentenceTransformerEmbedder:
    """A sentence-transformers model.

    `model` is a folder or the name of a model on the Hub (`revision` pins it); with `local_files_only` nothing is
    fetched. Prompts are put before queries and documents; None takes those that the model declares. Texts beyond
    `max_seq_length` tokens (None: the model's own limit) are cut by the model. `truncate_dim` keeps the first
    coordinates only, for models trained so that these say most (Matryoshka). `normalize` scales vectors to length 1.
    `device` None takes a GPU where there is one. `batch_size` None goes by tokens on a CPU: texts of like length that
    stay within its caches; on a CPU as many batches are computed at once as torch has threads. `backend` is "torch",
    "onnx" or "openvino", and `model_options` are what the library hands to it (`model_kwargs`).

    `precision` is how documents are computed; queries, of which there is one at a time, are in float32 wherever the
    model is. "int8" rounds what is multiplied to eight bits, the same on every processor, and several times as fast
    on those with VNNI instructions; "float16" and "bfloat16" are for GPUs. "auto" is "int8" on a CPU for BERT models
    whose vectors prove near to those in float32 (mean cosine of at least 0.99 on a few texts; all-MiniLM-L6-v2 has
    0.9975), and "float32" everywhere else. Vectors that near may stand in one index, so the name does not tell them
    apart; others have the precision in their name.

    `name` holds the model's name, the hash of its weights or its revision, and what differs from the model's own
    settings. `max_tokens` is how many tokens of text it reads, `tokenizer` its own one, None when that is not a fast
    one. Safe to use from several threads.

    Raises:
        MissingExtra: sentence-transformers is not installed.
        ModelError: there is no such model, it cannot be loaded, or not with this backend or precision.
        InvalidRequest: there is no such precision, or `truncate_dim` is more than the model has.
    """

    def __init__(
        self,
        model: str | os.PathLike[str],
        *,
        revision: str | None = None,
        query_prompt: str | None = None,
        document_prompt: str | None = None,
        device: str | None = None,
        normalize: bool = True,
        batch_size: int | None = None,
        max_seq_length: int | None = None,
        truncate_dim: int | None = None,
        precision: str = "auto",
        backend: str = "torch",
        model_options: Mapping[str, Any] | None = None,
        local_files_only: bool = False,
    ) -> None:
        if precision not in PRECISIONS:
            raise InvalidRequest(f"Expected one of {', '.join(PRECISIONS)}, got {precision!r}", path="precision")
        self._model = load_model(
            str(model),
            revision=revision,
            device=device,
            local_files_only=local_files_only,
            backend=backend,
            model_options=model_options,
        )
        if max_seq_length is not None:
            self._model.max_seq_length = max_seq_length
        prompts: dict[str, str] = dict(getattr(self._model, "prompts", None) or {})
        default = prompts.get(getattr(self._model, "default_prompt_name", None) or "", "")
        own_query = prompts.get("query") or default
        own_document = prompts.get("document") or prompts.get("passage") or default
        self._query_prompt = own_query if query_prompt is None else query_prompt
        self._document_prompt = own_document if document_prompt is None else document_prompt
        self._normalize = normalize
        self._on_cpu = self._model.device.type == "cpu"
        self._width = dimension_of(self._model)
        # The first call sets up the tokenizer, which later calls then share without changing it.
        self._model.encode(["first"], show_progress_bar=False)
        self.batch_size = batch_size
        if truncate_dim is not None and not 1 <= truncate_dim <= self._width:
            raise InvalidRequest(
                f"Expected 1 to {self._width}, the dimension of {str(model)!r}, got {truncate_dim}",
                path="truncate_dim",
            )
        self.dimension = truncate_dim or self._width
        self.tokenizer = model_tokenizer(self._model)
        self._limit = limit_of(self._model)
        self.max_tokens: int | None = None if self._limit is None else self._limit - 2
        self._plain: PackedBert | None = None
        self._quick: PackedBert | None = None
        self.precision, telling = self._settle(precision, backend)
        settings = [
            f"{label}={value!r}"
            for label, value, usual in (
                ("query", self._query_prompt, own_query),
                ("document", self._document_prompt, own_document),
                ("max", max_seq_length, None),
                ("dim", self.dimension, self._width),
                ("normalize", normalize, True),
                ("backend", backend, "torch"),
                ("options", dict(model_options or {}), {}),
                ("precision", telling, None),
            )
            if value != usual
        ]
        self.name = ";".join([f"{base_name(model)}@{identity(model, self._model, revision)}", *settings])
        self.cache_name = f"{self.name}|{self.precision}"

    def __repr__(self) -> str:
        return f"SentenceTransformerEmbedder({self.name!r})"

    def embed_documents(self, texts: Sequence[str]) -> FloatMatrix:
        """float32 (len(texts), dimension), in the order of `texts`."""
        return self._finish(self._encode(texts, self._document_prompt, self._quick or self._plain))

    def embed_query(self, text: str) -> FloatVector:
        """float32 (dimension,)."""
        vector: FloatVector = self._finish(self._encode([text], self._query_prompt, self._plain))[0]
        return vector

    def _settle(self, precision: str, backend: str) -> tuple[str, str | None]:
        """Make the model ready for `precision`; which it is in the end, and what of it the name has to tell."""
        if precision in ("float16", "bfloat16"):
            if backend != "torch":
                raise ModelError(f"Expected the backend 'torch' for the precision {precision!r}, got {backend!r}")
            self._model.to(getattr(importlib.import_module("torch"), precision))
            return precision, None
        pooling = pooling_of(self._model) if backend == "torch" and self._on_cpu and self.tokenizer else None
        bert = getattr(self._model[0], "auto_model", None) if pooling else None
        if pooling and bert is not None and PackedBert.fits(bert):
            self._plain = PackedBert(bert, pooling=pooling)
            reference = self._encode(_PROBES, "", None)
            exact = self._encode(_PROBES, "", self._plain)
            if cosines(exact, reference).min() < _SAME:
                self._plain = None
            elif precision in ("auto", "int8"):
                quick = PackedBert(bert, pooling=pooling, int8=True)
                near = cosines(self._encode(_PROBES, "", quick), reference).mean() >= _NEAR
                if near or precision == "int8":
                    self._quick = quick
                    return "int8", None if near else "int8"
        if precision == "int8":
            if backend != "torch" or not self._on_cpu:
                raise ModelError(
                    "Expected the backend 'torch' and the device 'cpu' for the precision 'int8', got "
                    f"{backend!r} and {self._model.device.type!r}"
                )
            _quantize(self._model)
            return "int8", "int8"
        return "float32", None

    def _encode(self, texts: Sequence[str], prompt: str, packed: PackedBert | None) -> FloatMatrix:
        """float32 (len(texts), width), as the model gives them."""
        vectors: FloatMatrix = np.empty((len(texts), self._width), dtype=np.float32)
        if packed is not None and self.tokenizer is not None:
            bert = packed
            tokens = self.tokenizer.ids([prompt + text for text in texts], limit=self._limit)

            def embed(batch: list[Group]) -> None:
                bert.embed(batch, vectors)

            each(embed, groups(tokens, most=self.batch_size), on_cpu=True)
            return vectors

        def encode(batch: list[int]) -> None:
            vectors[batch] = self._model.encode(
                [texts[row] for row in batch],
                batch_size=len(batch),
                prompt=prompt,
                show_progress_bar=False,
                convert_to_numpy=True,
            )

        each(encode, self._batches(texts), on_cpu=self._on_cpu)
        return vectors

    def _finish(self, vectors: FloatMatrix) -> FloatMatrix:
        """The first coordinates, and length 1, where these are wanted."""
        if self.dimension < self._width:
            vectors = np.ascontiguousarray(vectors[:, : self.dimension])
        if self._normalize:
            lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
            vectors = vectors / np.maximum(lengths, np.finfo(np.float32).tiny)
        return vectors

    def _batches(self, texts: Sequence[str]) -> Iterator[list[int]]:
        """The rows of `texts` in batches, longest texts first."""
        if self.batch_size is not None or self.tokenizer is None or not self._on_cpu:
            lengths, budget = [1] * len(texts), self.batch_size or _BATCH
        else:
            lengths, budget = [len(self.tokenizer.spans(text)) + 2 for text in texts], _BATCH_TOKENS
        if self.max_tokens is not None:
            lengths = [min(length, self.max_tokens + 2) for length in lengths]
        batch: list[int] = []
        for row in sorted(range(len(texts)), key=lambda row: (lengths[row], len(texts[row])), reverse=True):
            if batch and (len(batch) + 1) * lengths[batch[0]] > budget:
                yield batch
                batch = []
            batch.append(row)
        if batch:
            yield batch


def _quantize(model: Any) -> None:
    """Compute every linear layer of the model in eight bits. Raises ModelError: this torch cannot."""
    linear = importlib.import_module("torch").nn.Linear
    try:
        for layer in [module for module in model.modules() if type(module) is linear]:
            layer.forward = _rows_first(quantized(layer.weight, layer.bias))
    except (RuntimeError, AttributeError, NotImplementedError) as error:
        raise ModelError(f"Expected a build of torch with eight-bit products, which this one lacks: {error}") from error


def _rows_first(affine: Any) -> Any:
    """`affine`, which takes a matrix, for tensors of any number of axes."""

    def forward(x: Any) -> Any:
        return affine(x.reshape(-1, x.shape[-1])).view(*x.shape[:-1], -1)

    return forward
