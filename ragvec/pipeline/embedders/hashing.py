"""An embedder without a model: hashed words and letter groups. For tests, and for a first look without torch."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from ragvec.errors import InvalidRequest
from ragvec.pipeline.tokenizers import RegexTokenizer
from ragvec.types import FloatMatrix, FloatVector

__all__ = ["HashingEmbedder"]

_WORD = re.compile(r"\w+")
_NGRAM = 4
_NGRAM_WEIGHT = 0.5


class HashingEmbedder:
    """Texts that share words and parts of words are near each other; meaning is not seen.

    A word, and with half its weight each group of four letters in it, adds to one of `dimension` places, with a sign;
    place and sign come from BLAKE2b, so that vectors are the same on every machine and every version of Python. Words
    count by the root of their number. float32, of length 1.
    """

    cacheable = False
    """Computing a vector again is quicker than looking it up."""

    def __init__(self, dimension: int = 256) -> None:
        if dimension < 1:
            raise InvalidRequest(f"Expected a dimension of at least 1, got {dimension}", path="dimension")
        self.dimension = dimension
        self.name = f"hashing:{dimension}"
        self.tokenizer = RegexTokenizer()

    def __repr__(self) -> str:
        return f"HashingEmbedder({self.dimension})"

    def embed_documents(self, texts: Sequence[str]) -> FloatMatrix:
        """float32 (len(texts), dimension), in the order of `texts`."""
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for row, text in enumerate(texts):
            vectors[row] = self.embed_query(text)
        return vectors

    def embed_query(self, text: str) -> FloatVector:
        """float32 (dimension,)."""
        counts: dict[str, int] = {}
        for word in _WORD.findall(text.lower()) or [text.strip()]:
            counts[word] = counts.get(word, 0) + 1
        sums: dict[int, float] = {}
        for word, count in counts.items():
            weight = math.sqrt(count)
            for hashed, share in _features(word):
                place = (hashed >> 1) % self.dimension
                sums[place] = sums.get(place, 0.0) + (weight if hashed & 1 else -weight) * share
        # Exact sums and roots of Python's floats, not of a linear algebra library, whose last bit differs by machine.
        length = math.sqrt(math.fsum(value * value for value in sums.values()))
        vector = np.zeros(self.dimension, dtype=np.float32)
        if length:
            for place, value in sums.items():
                vector[place] = value / length
        else:
            vector[0] = 1.0
        return vector


@lru_cache(maxsize=65_536)
def _features(word: str) -> tuple[tuple[int, float], ...]:
    bounded = f"<{word}>"
    grams = {bounded[at : at + _NGRAM] for at in range(len(bounded) - _NGRAM + 1)} - {bounded}
    share = _NGRAM_WEIGHT / math.sqrt(len(grams)) if grams else 0.0
    return ((_hash(f"word {word}"), 1.0), *((_hash(f"gram {gram}"), share) for gram in sorted(grams)))


def _hash(feature: str) -> int:
    digest = hashlib.blake2b(feature.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")
