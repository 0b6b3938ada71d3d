"""Making an index ready for a pipeline: that it is there, whose it is, and which of its words are searched."""

from __future__ import annotations

from contextlib import suppress

from ragvec.errors import EmbedderMismatch, IndexExists, InvalidRequest, TextFieldExists
from ragvec.pipeline.passages import DEFAULT_LANGUAGE, EMBEDDER_PROPERTY, NON_FILTERABLE, TEXT, TEXT_FIELDS
from ragvec.protocols import Embedder
from ragvec.store import Index

__all__ = ["AUTO", "check_owner", "prepare"]

AUTO = "auto"
"""Search the words of passages in English, in an index that nobody has filled or prepared yet."""


def prepare(index: Index, embedder: Embedder, *, text: str | None) -> None:
    """Make the index if need be, and see that it is this embedder's and that words are searched as `text` says.

    Raises:
        EmbedderMismatch: it is another embedder's. InvalidRequest, MissingExtra: there is no text search in that
        language, or the index has it in another.
    """
    bucket = index.bucket
    if not bucket.exists():
        bucket.store.create_bucket(bucket.name, exist_ok=True)
    if not index.exists():
        with suppress(IndexExists):  # by another process, just now, perhaps with text fields
            bucket.create_index(index.name, dimension=embedder.dimension, non_filterable=NON_FILTERABLE)
    if text == AUTO:
        fresh = index.property(EMBEDDER_PROPERTY) is None and not index.text_fields and not index.count()
        text = DEFAULT_LANGUAGE if fresh else None
    _own(index, embedder)
    if text is not None:
        _prepare_text(index, text)


def check_owner(index: Index, embedder: Embedder) -> None:
    """See that an index that exists is this embedder's, or nobody's yet. Raises EmbedderMismatch."""
    bucket = index.bucket
    ours = {"name": embedder.name, "dimension": embedder.dimension}
    theirs = index.property(EMBEDDER_PROPERTY)
    place = f"index {index.name!r} of bucket {bucket.name!r}"
    got = f"got {embedder.name!r} of dimension {embedder.dimension}"
    if theirs is None and index.dimension != embedder.dimension:
        raise EmbedderMismatch(
            f"Expected an embedder of dimension {index.dimension}, which that of {place} is, {got}: use an embedder of "
            "that dimension, or another index",
            path="embedder",
        )
    if theirs is not None and theirs != ours:
        raise EmbedderMismatch(
            f"Expected the embedder {theirs['name']!r} of dimension {theirs['dimension']}, which fills {place}, {got}: "
            "use that embedder, or another index",
            path="embedder",
        )


def _own(index: Index, embedder: Embedder) -> None:
    """Write the embedder's name on an index without one, and see that it is its own."""
    if index.property(EMBEDDER_PROPERTY) is None and index.dimension == embedder.dimension:
        ours = {"name": embedder.name, "dimension": embedder.dimension}
        index.set_property(EMBEDDER_PROPERTY, ours, expected=None)
    check_owner(index, embedder)


def _prepare_text(index: Index, text: str) -> None:
    """See that the words of passages, titles and headings are searched, in the language `text`."""
    language = None if text == "any" else text
    for field in TEXT_FIELDS:
        if field not in index.text_fields:
            with suppress(TextFieldExists):  # by another process, just now
                index.add_text(field, language=language)
    there = index.text_fields.get(TEXT)
    if there != language:
        raise InvalidRequest(
            f"Expected the language {there or 'any'!r}, in which the text of index {index.name!r} is searched, got "
            f"{text!r}: use that one, or drop_text({TEXT!r}) first",
            path="text",
        )
