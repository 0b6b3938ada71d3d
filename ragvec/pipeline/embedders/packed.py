"""A BERT that computes no padding: the tokens of a batch stand one behind the other.

Most embedding models are BERTs (MiniLM, BGE, E5, GTE). The library's own code pads the texts of a batch to the longest
of them and takes a dozen small steps a layer through Python; this one sorts texts by length, keeps each matrix product
over all tokens of some texts, and attends among texts of one length at a time, without a mask. Same weights, same
vectors up to rounding.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ragvec.pipeline.embedders.int8 import Affine, quantized
from ragvec.types import FloatMatrix

__all__ = ["BATCH_TOKENS", "Group", "PackedBert", "cosines", "groups"]

# Measured with all-MiniLM-L6-v2 on two cores: batches of 256 to 1,024 tokens are within a tenth of each other; larger
# ones fall out of the caches.
BATCH_TOKENS = 512


class Group(NamedTuple):
    """Texts of one length: their row numbers, and their tokens, each a list of the same length."""

    rows: list[int]
    tokens: list[list[int]]


def groups(
    tokens: Sequence[list[int]], *, budget: int = BATCH_TOKENS, most: int | None = None
) -> Iterator[list[Group]]:
    """The rows of `tokens` in batches of at most `budget` tokens (or one text), longest texts first.

    With `most`, batches go by the number of texts instead, at most so many.
    """
    by_length: dict[int, list[int]] = {}
    for row, ids in enumerate(tokens):
        by_length.setdefault(len(ids), []).append(row)
    batch: list[Group] = []
    used = 0
    for length in sorted(by_length, reverse=True):
        rows = by_length[length]
        while rows:
            room = (budget - used) // max(length, 1) if most is None else most - used
            if not room and batch:
                yield batch
                batch, used = [], 0
                continue
            taken, rows = rows[: max(room, 1)], rows[max(room, 1) :]
            batch.append(Group(taken, [tokens[row] for row in taken]))
            used += len(taken) * (length if most is None else 1)
    if batch:
        yield batch


class _Layer(NamedTuple):
    inward: Affine
    outward: Affine
    attention_norm: Any
    widen: Affine
    narrow: Affine
    norm: Any


class PackedBert:
    """The encoder of `transformers.BertModel`, and the pooling ("mean" or "cls") of its last layer.

    The weights are those of `bert`, shared with it; with `int8` its matrix products are `quantized`. `fits` tells
    beforehand whether a model is one that this computes.
    """

    def __init__(self, bert: Any, *, pooling: str, int8: bool = False) -> None:
        self._torch: Any = importlib.import_module("torch")
        self._pooling = pooling
        self.width = int(bert.config.hidden_size)
        self._heads = int(bert.config.num_attention_heads)
        embeddings = bert.embeddings
        self._words = embeddings.word_embeddings.weight.detach()
        # Every text is of the first type, so that its vector goes with the place.
        self._places = (embeddings.position_embeddings.weight + embeddings.token_type_embeddings.weight[0]).detach()
        self._norm = embeddings.LayerNorm
        self._layers = [self._layer(layer, int8=int8) for layer in bert.encoder.layer]

    @staticmethod
    def fits(bert: Any) -> bool:
        """Whether `bert` is a plain BERT in float32: absolute positions, exact GELU, no decoder."""
        config = getattr(bert, "config", None)
        return (
            type(bert).__name__ == "BertModel"
            and getattr(config, "position_embedding_type", "absolute") in ("absolute", None)
            and getattr(config, "hidden_act", "") == "gelu"
            and not getattr(config, "is_decoder", False)
            and not getattr(config, "add_cross_attention", False)
            and str(next(bert.parameters()).dtype) == "torch.float32"
        )

    def _layer(self, layer: Any, *, int8: bool) -> _Layer:
        attention = layer.attention.self
        parts = (attention.query, attention.key, attention.value)
        weight = self._torch.cat([part.weight for part in parts])
        bias = self._torch.cat([part.bias for part in parts])
        return _Layer(
            self._affine(weight, bias, int8=int8),
            self._affine(layer.attention.output.dense.weight, layer.attention.output.dense.bias, int8=int8),
            layer.attention.output.LayerNorm,
            self._affine(layer.intermediate.dense.weight, layer.intermediate.dense.bias, int8=int8),
            self._affine(layer.output.dense.weight, layer.output.dense.bias, int8=int8),
            layer.output.LayerNorm,
        )

    def _affine(self, weight: Any, bias: Any, *, int8: bool) -> Affine:
        if int8:
            return quantized(weight, bias)
        weight, bias = weight.detach(), bias.detach()
        linear = self._torch.nn.functional.linear

        def apply(x: Any) -> Any:
            return linear(x, weight, bias)

        return apply

    def embed(self, batch: list[Group], into: FloatMatrix) -> None:
        """Write the pooled vectors of the batch's texts to their rows of `into`, float32 (any, width)."""
        torch = self._torch
        with torch.inference_mode():
            ids = [torch.tensor(group.tokens) for group in batch]
            places = torch.cat([torch.arange(group.shape[1]).repeat(group.shape[0]) for group in ids])
            x = self._words[torch.cat([group.reshape(-1) for group in ids])].add_(self._places[places])
            x = self._normed(x, self._norm)
            for layer in self._layers:
                x = self._normed(layer.outward(self._attend(layer.inward(x), ids)).add_(x), layer.attention_norm)
                wide = torch.nn.functional.gelu(layer.widen(x))
                x = self._normed(layer.narrow(wide).add_(x), layer.norm)
            at = 0
            for group, tokens in zip(batch, ids, strict=True):
                count, length = tokens.shape
                part = x[at : at + count * length].view(count, length, self.width)
                into[group.rows] = (part.mean(1) if self._pooling == "mean" else part[:, 0]).numpy()
                at += count * length

    def _normed(self, x: Any, norm: Any) -> Any:
        return self._torch.nn.functional.layer_norm(x, (self.width,), norm.weight, norm.bias, norm.eps)

    def _attend(self, joined: Any, ids: list[Any]) -> Any:
        """Attention within each text; `joined` holds query, key and value of each token, side by side."""
        parts = []
        at = 0
        for tokens in ids:
            count, length = tokens.shape
            heads = joined[at : at + count * length].view(count, length, 3, self._heads, -1).permute(2, 0, 3, 1, 4)
            attended = self._torch.nn.functional.scaled_dot_product_attention(heads[0], heads[1], heads[2])
            parts.append(attended.transpose(1, 2).reshape(count * length, self.width))
            at += count * length
        return parts[0] if len(parts) == 1 else self._torch.cat(parts)


def cosines(one: FloatMatrix, other: FloatMatrix) -> FloatMatrix:
    """The cosine of each row of one with the same row of the other."""
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    found: FloatMatrix = (one * other).sum(1) / np.maximum(lengths, np.finfo(np.float32).tiny)
    return found
