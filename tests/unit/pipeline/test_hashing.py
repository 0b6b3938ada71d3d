"""The embedder without a model."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragvec.errors import InvalidRequest
from ragvec.pipeline.embedders import HashingEmbedder
from ragvec.protocols import Embedder, Tokenizer

TEXTS = ["", " ", "!?", "parental leave in Bristol", "leave for parents", "the printer is broken", "漢字 é 😀"]


def test_it_is_an_embedder() -> None:
    embedder = HashingEmbedder(64)
    assert isinstance(embedder, Embedder)
    assert isinstance(embedder.tokenizer, Tokenizer)
    assert (embedder.name, embedder.dimension, repr(embedder)) == ("hashing:64", 64, "HashingEmbedder(64)")
    with pytest.raises(InvalidRequest, match="Expected a dimension of at least 1, got 0"):
        HashingEmbedder(0)


@given(st.lists(st.text(max_size=40), max_size=5), st.sampled_from([1, 7, 256]))
def test_vectors_have_length_one_whatever_the_text(texts: list[str], dimension: int) -> None:
    embedder = HashingEmbedder(dimension)
    vectors = embedder.embed_documents(texts)
    assert vectors.shape == (len(texts), dimension)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-6)
    for text, vector in zip(texts, vectors, strict=True):
        assert np.array_equal(embedder.embed_query(text), vector)


def test_shared_words_make_texts_near() -> None:
    embedder = HashingEmbedder()
    query = embedder.embed_query("How much parental leave?")
    near, far = embedder.embed_documents(["Parental leave is 16 weeks.", "The printer on floor two is broken."])
    assert query @ near > query @ far + 0.2


def test_vectors_are_the_same_in_every_process() -> None:
    """Also on other machines and versions: the digest was taken on Linux with Python 3.11."""
    code = (
        "import hashlib; from ragvec.pipeline.embedders import HashingEmbedder; "
        f"print(hashlib.sha256(HashingEmbedder().embed_documents({TEXTS!r}).astype('<f4').tobytes()).hexdigest())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    here = hashlib.sha256(HashingEmbedder().embed_documents(TEXTS).astype("<f4").tobytes()).hexdigest()
    assert done.stdout.strip() == here == DIGEST


DIGEST = "4189632edfd9857e7522044b1572acd38ef0985cb94b00b1e6151d3319da5d95"
