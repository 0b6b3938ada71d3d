"""The write path: documents are loaded, split, embedded and put into an index."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ragvec.limits import FileLimits
    from ragvec.pipeline.cache import VectorCache
    from ragvec.pipeline.chunk import Chunk, Chunker, StructureChunker
    from ragvec.pipeline.chunkers import ParentChunker, SemanticChunker, SentenceChunker, SplitterChunker, TokenChunker
    from ragvec.pipeline.documents import Document, Failure
    from ragvec.pipeline.embedders import (
        CallableEmbedder,
        HashingEmbedder,
        LangChainEmbedder,
        MiniLMEmbedder,
        Pace,
        RemoteEmbedder,
        SentenceTransformerEmbedder,
    )
    from ragvec.pipeline.facts import file_facts
    from ragvec.pipeline.lineage import Lineage, lineage_of
    from ragvec.pipeline.parents import parents_of
    from ragvec.pipeline.report import Report
    from ragvec.pipeline.run import Pipeline
    from ragvec.pipeline.urls import Urls

__all__ = [
    "CallableEmbedder",
    "Chunk",
    "Chunker",
    "Document",
    "Failure",
    "FileLimits",
    "HashingEmbedder",
    "LangChainEmbedder",
    "Lineage",
    "MiniLMEmbedder",
    "Pace",
    "ParentChunker",
    "Pipeline",
    "RemoteEmbedder",
    "Report",
    "SemanticChunker",
    "SentenceChunker",
    "SentenceTransformerEmbedder",
    "SplitterChunker",
    "StructureChunker",
    "TokenChunker",
    "Urls",
    "VectorCache",
    "file_facts",
    "lineage_of",
    "parents_of",
]

_HOMES = {
    **dict.fromkeys((name for name in __all__ if name.endswith("Chunker")), "ragvec.pipeline.chunkers"),
    **dict.fromkeys(("Chunk", "Chunker", "StructureChunker"), "ragvec.pipeline.chunk"),
    **dict.fromkeys(("Document", "Failure"), "ragvec.pipeline.documents"),
    **dict.fromkeys((name for name in __all__ if name.endswith("Embedder")), "ragvec.pipeline.embedders"),
    "FileLimits": "ragvec.limits",
    **dict.fromkeys(("Lineage", "lineage_of"), "ragvec.pipeline.lineage"),
    "Pace": "ragvec.pipeline.embedders",
    "Report": "ragvec.pipeline.report",
    "VectorCache": "ragvec.pipeline.cache",
    "Pipeline": "ragvec.pipeline.run",
    "Urls": "ragvec.pipeline.urls",
    "file_facts": "ragvec.pipeline.facts",
    "parents_of": "ragvec.pipeline.parents",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'ragvec.pipeline' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
