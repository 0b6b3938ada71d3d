"""Tokenizers that measure chunks: a regular expression for any embedder, and a model's own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ragvec.extras import require

__all__ = ["ModelTokenizer", "RegexTokenizer"]

_WORD = re.compile(r"\w+|[^\w\s]")


class RegexTokenizer:
    """Words and single punctuation marks; needs nothing and never merges or changes a character."""

    def spans(self, text: str) -> list[tuple[int, int]]:
        """The [start, end) character span of each word or mark."""
        return [match.span() for match in _WORD.finditer(text)]


class ModelTokenizer:
    """The tokenizer of a model, from its `tokenizer.json`; needs the package `tokenizers`, not torch.

    Truncation and padding are switched off in a private copy: they are settings of a tokenizer object, and the model
    changes them in its own at every call.
    """

    def __init__(self, description: str) -> None:
        tokenizers = require("tokenizers", extra="embed", purpose="Counting a model's tokens")
        self._description = description
        self._tokenizer: Any = tokenizers.Tokenizer.from_str(description)
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._cutting: dict[int, Any] = {}

    @classmethod
    def from_file(cls, path: Path) -> ModelTokenizer:
        """Read a `tokenizer.json`."""
        return cls(path.read_text(encoding="utf-8"))

    def spans(self, text: str) -> list[tuple[int, int]]:
        """The [start, end) character span of each token, special tokens and those of no width left out."""
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        return [(begin, end) for begin, end in encoding.offsets if end > begin]

    def ids(self, texts: Sequence[str], *, limit: int | None = None) -> list[list[int]]:
        """The numbers of each text's tokens, special ones added, cut after `limit` (None: not cut)."""
        tokenizer = self._tokenizer if limit is None else self._cutting.get(limit)
        if tokenizer is None:
            # A copy for each limit, never changed once others may use it.
            tokenizer = type(self._tokenizer).from_str(self._description)
            tokenizer.no_padding()
            tokenizer.enable_truncation(limit)
            tokenizer = self._cutting.setdefault(limit or 0, tokenizer)
        # Newer versions skip the places of tokens, which nobody needs here.
        encode = getattr(tokenizer, "encode_batch_fast", tokenizer.encode_batch)
        return [encoding.ids for encoding in encode(list(texts))]
