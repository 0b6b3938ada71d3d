"""Embedders: texts into vectors. One provider a file; making one is light, its library is loaded on use."""

from __future__ import annotations

from ragvec.pipeline.embedders.hashing import HashingEmbedder
from ragvec.pipeline.embedders.minilm import MiniLMEmbedder
from ragvec.pipeline.embedders.remote import Pace, RemoteEmbedder
from ragvec.pipeline.embedders.sentence_transformers import SentenceTransformerEmbedder
from ragvec.pipeline.embedders.wrappers import CallableEmbedder, LangChainEmbedder

__all__ = [
    "CallableEmbedder",
    "HashingEmbedder",
    "LangChainEmbedder",
    "MiniLMEmbedder",
    "Pace",
    "RemoteEmbedder",
    "SentenceTransformerEmbedder",
]
