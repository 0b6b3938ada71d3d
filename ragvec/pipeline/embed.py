"""Choosing an embedder, and embedding passages with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ragvec.errors import InvalidRequest, ModelError
from ragvec.pipeline.embedders import (
    CallableEmbedder,
    HashingEmbedder,
    LangChainEmbedder,
    MiniLMEmbedder,
    SentenceTransformerEmbedder,
)
from ragvec.pipeline.embedders.loading import FROM_FOLDER
from ragvec.protocols import Embedder, Tokenizer
from ragvec.types import FloatMatrix

__all__ = ["as_embedder", "default_embedder", "embed_texts", "embedder_from_name", "passage_text", "tokenizer_of"]

CONTEXT_TOKENS = 48
"""Title and heading take at most so many tokens of what is embedded for a passage."""

_BATCH = 256
"""Texts that go to an embedder at once: what a run that is killed has to embed again, at most."""


def default_embedder() -> Embedder:
    """all-MiniLM-L6-v2; see `MiniLMEmbedder` for what it needs."""
    return MiniLMEmbedder()


def embedder_from_name(text: str) -> Embedder:
    """The embedder that `text` names: "minilm", "hashing", "hashing:512", a folder or Hub name of a model.

    An embedder's own `name`, as an index remembers it, names it too, unless it was made with other settings than the
    usual ones or from a folder.

    Raises:
        InvalidRequest: what follows "hashing:" is no number, or the name tells too little to make the embedder again.
        ModelError: there is no such model.
    """
    if text in ("minilm", MiniLMEmbedder.name):
        return MiniLMEmbedder()
    kind, _, rest = text.partition(":")
    if kind == "hashing":
        if rest and not rest.isdecimal():
            raise InvalidRequest(f"Expected 'hashing' or 'hashing:<dimension>', got {text!r}", path="embedder")
        return HashingEmbedder(int(rest)) if rest else HashingEmbedder()
    if text.startswith(FROM_FOLDER) or ";" in text:
        raise InvalidRequest(
            f"Expected a name that tells where the model is, got {text!r}: pass the embedder itself", path="embedder"
        )
    model, _, revision = text.partition("@")
    return SentenceTransformerEmbedder(model, revision=revision or None)


def as_embedder(given: Any) -> Embedder:
    """An embedder for whatever was given: None for the default, an embedder, a name, LangChain's, or a function.

    Raises:
        InvalidRequest: it is none of these, or a function without a name of its own.
    """
    if given is None:
        return default_embedder()
    if isinstance(given, str):
        return embedder_from_name(given)
    if isinstance(given, Embedder):
        return given
    if hasattr(given, "embed_documents") and hasattr(given, "embed_query"):
        return LangChainEmbedder(given)
    # Its name stays when its code is changed, so that nothing may be kept under it.
    name = getattr(given, "__qualname__", "")
    if callable(given) and name and "<lambda>" not in name:
        return CallableEmbedder(given, name=f"{given.__module__}.{name}", cacheable=False)
    raise InvalidRequest(
        f"Expected an embedder, its name, LangChain embeddings or a named function, got {type(given).__name__}: wrap "
        "it as CallableEmbedder(function, name=...)",
        path="embedder",
    )


def tokenizer_of(embedder: Embedder) -> Tokenizer | None:
    """The embedder's own tokenizer, None when it has none."""
    tokenizer = getattr(embedder, "tokenizer", None)
    return tokenizer if isinstance(tokenizer, Tokenizer) else None


def passage_text(title: str, heading: str, text: str, *, tokenizer: Tokenizer | None = None) -> str:
    """What is embedded for a passage: the document's title and the heading path, if the passage does not begin with
    them, and its text, on lines of their own.

    Title and heading together are cut after 48 tokens (characters, where there is no tokenizer to count, by eight).
    """
    labels = [title, *heading.split(" > ")] if heading else [title]
    context = "\n".join(label for label in dict.fromkeys(labels) if label and not text.startswith(label))
    if tokenizer is None:
        context = context[: CONTEXT_TOKENS * 8]
    elif len(context) > CONTEXT_TOKENS:
        spans = tokenizer.spans(context)
        context = context[: spans[CONTEXT_TOKENS - 1][1]] if len(spans) > CONTEXT_TOKENS else context
    return f"{context}\n{text}" if context else text


def embed_texts(
    texts: Sequence[str],
    embedder: Embedder,
    *,
    on_batch: Callable[[int], None] | None = None,
    keep: Callable[[list[str], FloatMatrix], None] | None = None,
) -> FloatMatrix:
    """The vectors of `texts`, in their order: float32 (len(texts), dimension).

    Texts go to the embedder from long to short, so that those which share a batch need little padding, and each
    different one goes once. After each batch `keep` is given its texts and vectors, and `on_batch` is told how many
    they are.

    Raises:
        ModelError: the embedder gave something else than that many vectors of its dimension.
    """
    rows: dict[str, list[int]] = {}
    for row, text in enumerate(texts):
        rows.setdefault(text, []).append(row)
    vectors = np.empty((len(texts), embedder.dimension), dtype=np.float32)
    order = sorted(rows, key=len, reverse=True)
    for at in range(0, len(order), _BATCH):
        batch = order[at : at + _BATCH]
        found = np.asarray(embedder.embed_documents(batch), dtype=np.float32)
        if found.shape != (len(batch), embedder.dimension):
            raise ModelError(
                f"Expected vectors of shape ({len(batch)}, {embedder.dimension}) from {embedder.name!r}, "
                f"got {found.shape}"
            )
        for text, vector in zip(batch, found, strict=True):
            vectors[rows[text]] = vector
        if keep is not None:
            keep(batch, found)
        if on_batch is not None:
            on_batch(len(batch))
    return vectors
