"""Loading a model of sentence-transformers without a word on the terminal, and telling it from others of its name."""

from __future__ import annotations

import hashlib
import importlib
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ragvec.errors import ModelError
from ragvec.extras import require
from ragvec.pipeline.tokenizers import ModelTokenizer

__all__ = [
    "FROM_FOLDER",
    "base_name",
    "dimension_of",
    "file_sha256",
    "identity",
    "limit_of",
    "load_model",
    "model_tokenizer",
    "pooling_of",
]

FROM_FOLDER = "folder:"
"""What the name of an embedder begins with whose model came from a folder: the name does not say which."""

_NO_LIMIT = 1_000_000
"""Static models read texts of any length, and say so with an infinite or absurd number of tokens."""


def load_model(
    model: str,
    *,
    revision: str | None,
    device: str | None,
    local_files_only: bool,
    backend: str = "torch",
    model_options: Mapping[str, Any] | None = None,
) -> Any:
    """The `SentenceTransformer`. Raises MissingExtra, or ModelError: no such model, or not for this backend."""
    with _silence():
        library = require(
            "sentence_transformers",
            extra="embed",
            purpose="Embedding with this model",
            package="sentence-transformers",
        )
        given: dict[str, Any] = {} if backend == "torch" else {"backend": backend}
        if model_options:
            given["model_kwargs"] = dict(model_options)
        try:
            return library.SentenceTransformer(
                model, revision=revision, device=device, local_files_only=local_files_only, **given
            )
        except ImportError as error:
            raise ModelError(
                f"Expected the packages of the backend {backend!r}, which are not installed: {error}. "
                f"pip install 'sentence-transformers[{backend}]'"
            ) from error
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


def dimension_of(model: Any) -> int:
    """The number of coordinates that the model gives."""
    # The method was renamed in version 5 of the library.
    method = getattr(model, "get_embedding_dimension", None) or model.get_sentence_embedding_dimension
    dimension = method()
    if dimension is None:
        dimension = model.encode(["dimension"], show_progress_bar=False).shape[1]
    return int(dimension)


def limit_of(model: Any) -> int | None:
    """The number of tokens that the model reads, special ones counted; None when it has no limit."""
    limit = model.max_seq_length
    return None if limit is None or limit > _NO_LIMIT else int(limit)


def pooling_of(model: Any) -> str | None:
    """ "mean" or "cls", when the model is a transformer, one of these poolings, and scaling to length 1 at most."""
    kinds = [type(module).__name__ for module in model]
    if kinds not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        return None
    pooling = model[1]
    mode = getattr(pooling, "pooling_mode", None)
    if mode is None:
        # Before version 5 of the library each mode was a flag.
        flags = [name for name, value in vars(pooling).items() if name.startswith("pooling_mode_") and value is True]
        names = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls"}
        mode = names.get(flags[0]) if len(flags) == 1 else None
    return mode if mode in ("mean", "cls") and getattr(pooling, "include_prompt", True) else None


def model_tokenizer(model: Any) -> ModelTokenizer | None:
    """The model's tokenizer, None when it is not one of the package `tokenizers`."""
    given = getattr(model, "tokenizer", None)
    # A static model holds the bare tokenizer.
    backend = getattr(given, "backend_tokenizer", None) or (given if hasattr(given, "to_str") else None)
    return ModelTokenizer(backend.to_str()) if backend is not None else None


def base_name(model: str | os.PathLike[str]) -> str:
    """What the model is called: its name on the Hub, or "folder:" and the name of its folder."""
    path = Path(model)
    return FROM_FOLDER + path.resolve().name if path.is_dir() else str(model)


def identity(model: str | os.PathLike[str], loaded: Any, revision: str | None) -> str:
    """What tells this model from another of its name: the hash of its weights, or the Hub's commit."""
    folder = Path(model)
    if folder.is_dir():
        weights = sorted(folder.glob("**/*.safetensors")) or sorted(folder.glob("**/pytorch_model*.bin"))
        digests = [file_sha256(path) for path in weights]
        joined = digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
        return joined[:12]
    config = getattr(getattr(loaded[0], "auto_model", None), "config", None)
    return str(getattr(config, "_commit_hash", None) or revision or "main")


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
