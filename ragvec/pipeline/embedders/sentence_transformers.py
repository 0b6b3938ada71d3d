"""Any model of the sentence-transformers library, by name or from a folder."""

from __future__ import annotations

import hashlib
import importlib
import os
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ragvec.errors import ModelError
from ragvec.extras import require
from ragvec.pipeline.tokenizers import ModelTokenizer
from ragvec.types import FloatMatrix, FloatVector

__all__ = ["FROM_FOLDER", "SentenceTransformerEmbedder", "file_sha256"]

# Measured with all-MiniLM-L6-v2 on an AMD EPYC core, tokens a second: batches of 512 to 2,048 tokens 3,300 to 3,490,
# of 4,096 3,070, of 8,192 2,360 (the activations no longer fit the caches, and the padding grows).
_BATCH_TOKENS = 1_024
_BATCH = 128

FROM_FOLDER = "folder:"
"""What the name of an embedder begins with whose model came from a folder: the name does not say which."""


class SentenceTransformerEmbedder:
    """A sentence-transformers model.

    `model` is a folder or the name of a model on the Hub (`revision` pins it); with `local_files_only` nothing is
    fetched. Prompts are put before queries and documents; None takes those that the model declares. Texts beyond
    `max_seq_length` tokens (None: the model's own limit) are cut by the model. `normalize` scales vectors to length 1.
    `device` None takes a GPU where there is one. `batch_size` None goes by tokens on a CPU: batches of texts of like
    length that stay within its caches, up to three times as fast as batches of 32 as they come. On a CPU as many
    batches are computed at once as torch has threads.

    `name` holds the model's name, the hash of its weights or its revision, and what differs from the model's own
    settings. `max_tokens` is how many tokens of text it reads, `tokenizer` its own one, None when that is not a fast
    one. Safe to use from several threads.

    Raises:
        MissingExtra: sentence-transformers is not installed.
        ModelError: there is no such model, or it cannot be loaded.
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
        local_files_only: bool = False,
    ) -> None:
        self._model = _load(str(model), revision=revision, device=device, local_files_only=local_files_only)
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
        # The first call sets up the tokenizer, which later calls then share without changing it.
        self._model.encode(["first"], show_progress_bar=False)
        self.batch_size = batch_size
        self.dimension = _dimension(self._model)
        self.tokenizer = _tokenizer(self._model)
        limit = self._model.max_seq_length
        self.max_tokens: int | None = None if limit is None else int(limit) - 2
        settings = [
            f"{label}={value!r}"
            for label, value, usual in (
                ("query", self._query_prompt, own_query),
                ("document", self._document_prompt, own_document),
                ("max", max_seq_length, None),
                ("normalize", normalize, True),
            )
            if value != usual
        ]
        self.name = ";".join([f"{_base_name(model)}@{_identity(model, self._model, revision)}", *settings])

    def __repr__(self) -> str:
        return f"SentenceTransformerEmbedder({self.name!r})"

    def embed_documents(self, texts: Sequence[str]) -> FloatMatrix:
        """float32 (len(texts), dimension), in the order of `texts`."""
        return self._encode(texts, self._document_prompt)

    def embed_query(self, text: str) -> FloatVector:
        """float32 (dimension,)."""
        vector: FloatVector = self._encode([text], self._query_prompt)[0]
        return vector

    def _encode(self, texts: Sequence[str], prompt: str) -> FloatMatrix:
        vectors: FloatMatrix = np.empty((len(texts), self.dimension), dtype=np.float32)

        def encode(batch: list[int]) -> None:
            vectors[batch] = self._model.encode(
                [texts[row] for row in batch],
                batch_size=len(batch),
                prompt=prompt,
                show_progress_bar=False,
                convert_to_numpy=True,
            )

        _each(encode, self._batches(texts), on_cpu=self._on_cpu)
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


def _each(encode: Callable[[list[int]], None], batches: Iterator[list[int]], *, on_cpu: bool) -> None:
    """Encode every batch; on a CPU several at once, each in a thread of its own.

    Threads that share one batch wait for each other dozens of times in it. Measured with all-MiniLM-L6-v2 on two cores,
    tokens a second: 6,200 with batches of their own, 4,500 sharing each batch, 3,600 in one thread; with other work on
    the cores 3,400, 780 and 3,200.
    """
    if not on_cpu:
        for batch in batches:
            encode(batch)
        return
    with _SINGLE as threads, ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(encode, batches):
            pass


class _SingleThreaded:
    """While anybody is inside, torch computes each operation in one thread; gives how many it uses otherwise.

    The number is a setting of the whole process, so the first one in changes it and the last one out puts it back.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._threads = 1

    def __enter__(self) -> int:
        torch = importlib.import_module("torch")
        with self._lock:
            if not self._inside:
                self._threads = torch.get_num_threads()
                torch.set_num_threads(1)
            self._inside += 1
            return self._threads

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                importlib.import_module("torch").set_num_threads(self._threads)


_SINGLE = _SingleThreaded()


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _load(model: str, *, revision: str | None, device: str | None, local_files_only: bool) -> Any:
    with _silence():
        library = require(
            "sentence_transformers",
            extra="embed",
            purpose="Embedding with this model",
            package="sentence-transformers",
        )
        try:
            return library.SentenceTransformer(
                model, revision=revision, device=device, local_files_only=local_files_only
            )
        except (OSError, ValueError, RuntimeError, KeyError) as error:
            raise ModelError(
                f"Expected a sentence-transformers model, got {model!r}, which cannot be loaded: {error}. Give a "
                "folder that holds one, or a name on the Hub that this machine can reach"
            ) from error


@contextmanager
def _silence() -> Iterator[None]:
    """Keep progress bars, notices and warnings of the libraries from the terminal while a model is loaded."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging = importlib.import_module("transformers.utils.logging") if _installed() else None
        if logging is None:
            yield
            return
        verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
        logging.set_verbosity_error()
        logging.disable_progress_bar()
        try:
            yield
        finally:
            logging.set_verbosity(verbosity)
            if bars:
                logging.enable_progress_bar()


def _installed() -> bool:
    return importlib.util.find_spec("transformers") is not None


def _dimension(model: Any) -> int:
    # The method was renamed in version 5 of the library.
    method = getattr(model, "get_embedding_dimension", None) or model.get_sentence_embedding_dimension
    dimension = method()
    if dimension is None:
        dimension = model.encode(["dimension"], show_progress_bar=False).shape[1]
    return int(dimension)


def _tokenizer(model: Any) -> ModelTokenizer | None:
    backend = getattr(getattr(model, "tokenizer", None), "backend_tokenizer", None)
    return ModelTokenizer(backend.to_str()) if backend is not None else None


def _base_name(model: str | os.PathLike[str]) -> str:
    path = Path(model)
    return FROM_FOLDER + path.resolve().name if path.is_dir() else str(model)


def _identity(model: str | os.PathLike[str], loaded: Any, revision: str | None) -> str:
    """What tells this model from another of its name: the hash of its weights, or the Hub's commit."""
    folder = Path(model)
    if folder.is_dir():
        weights = sorted(folder.glob("**/*.safetensors")) or sorted(folder.glob("**/pytorch_model*.bin"))
        digests = [file_sha256(path) for path in weights]
        joined = digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
        return joined[:12]
    config = getattr(getattr(loaded[0], "auto_model", None), "config", None)
    return str(getattr(config, "_commit_hash", None) or revision or "main")
