"""The write path: documents are loaded, split, embedded and put into an index."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ragvec.pipeline.chunk import Chunk, Chunker, StructureChunker
    from ragvec.pipeline.documents import Document, Failure
    from ragvec.pipeline.embedders import (
        CallableEmbedder,
        HashingEmbedder,
        LangChainEmbedder,
        MiniLMEmbedder,
        SentenceTransformerEmbedder,
    )
    from ragvec.pipeline.report import Report
    from ragvec.pipeline.run import Pipeline

__all__ = [
    "CallableEmbedder",
    "Chunk",
    "Chunker",
    "Document",
    "Failure",
    "HashingEmbedder",
    "LangChainEmbedder",
    "MiniLMEmbedder",
    "Pipeline",
    "Report",
    "SentenceTransformerEmbedder",
    "StructureChunker",
]

_HOMES = {
    **dict.fromkeys(("Chunk", "Chunker", "StructureChunker"), "chunk"),
    **dict.fromkeys(("Document", "Failure"), "documents"),
    **dict.fromkeys((name for name in __all__ if name.endswith("Embedder")), "embedders"),
    "Report": "report",
    "Pipeline": "run",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'ragvec.pipeline' has no attribute {name!r}")
    return getattr(importlib.import_module(f"ragvec.pipeline.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
