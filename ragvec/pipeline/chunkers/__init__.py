"""Ways of splitting documents into chunks beside that by structure, which is the usual one; and all of them by name."""

from ragvec.pipeline.chunkers.names import CHUNKERS, as_chunker, chunker_from_name, default_chunker
from ragvec.pipeline.chunkers.parents import ParentChunker
from ragvec.pipeline.chunkers.semantic import SemanticChunker
from ragvec.pipeline.chunkers.sentences import SentenceChunker
from ragvec.pipeline.chunkers.splitters import Splitter, SplitterChunker
from ragvec.pipeline.chunkers.tokens import TokenChunker

__all__ = [
    "CHUNKERS",
    "ParentChunker",
    "SemanticChunker",
    "SentenceChunker",
    "Splitter",
    "SplitterChunker",
    "TokenChunker",
    "as_chunker",
    "chunker_from_name",
    "default_chunker",
]
