"""The embedder of an index: the one given, or the one that its name says."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ragvec.errors import EmbedderMismatch, InvalidRequest
from ragvec.pipeline.embed import as_embedder, embedder_from_name
from ragvec.pipeline.passages import EMBEDDER_PROPERTY
from ragvec.protocols import Embedder

if TYPE_CHECKING:
    from ragvec.store import Index

__all__ = ["embedder_for"]


@lru_cache(maxsize=8)
def _recorded(name: str) -> Embedder:
    """One object for all who ask in this process, so that a model is loaded once."""
    return embedder_from_name(name)


def embedder_for(index: Index, given: Any = None) -> Embedder:
    """The embedder that filled the index; `given` as for the pipeline, None for the one that the index recorded.

    Raises:
        EmbedderMismatch: the one given is another, or does not fit the index's dimension.
        InvalidRequest: none was given, and the index does not say which one filled it, or not in full.
        ModelError, MissingExtra: it cannot be loaded.
    """
    recorded = index.property(EMBEDDER_PROPERTY)
    if given is None and recorded is None:
        raise InvalidRequest(
            f"The index {index.name!r} does not say which embedder filled it: pass `embedder`", path="embedder"
        )
    embedder = as_embedder(given) if given is not None else _recorded(recorded["name"])
    if recorded is not None and embedder.name != recorded["name"]:
        raise EmbedderMismatch(
            f"The index {index.name!r} was filled by the embedder {recorded['name']!r}, got {embedder.name!r}",
            path="embedder",
        )
    if embedder.dimension != index.dimension:
        raise EmbedderMismatch(
            f"The index {index.name!r} holds vectors of dimension {index.dimension}, the embedder {embedder.name!r} "
            f"gives {embedder.dimension}",
            path="embedder",
        )
    return embedder
