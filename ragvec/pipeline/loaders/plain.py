"""Plain text files."""

from __future__ import annotations

from ragvec.limits import FileLimits
from ragvec.pipeline.encodings import decode
from ragvec.pipeline.loaders.builder import Extract
from ragvec.pipeline.loaders.source import Content, refused, source_bytes
from ragvec.pipeline.outline import heading_label, outline

__all__ = ["load_text"]


def load_text(content: Content, limits: FileLimits) -> Extract:
    """A text file as it is, line ends aside; its title is its first heading, if that opens it.

    Raises:
        DocumentError: it is no text, or a limit is passed.
    """
    text, note = decode(source_bytes(content, limits))
    if len(text) > limits.characters:
        raise refused("characters", most=limits.characters, got=f"{len(text):,}", unit="characters in a document")
    blocks = outline(text)
    opening = blocks[0] if blocks and blocks[0].kind == "heading" else None
    return Extract(
        text=text,
        title=heading_label(text, opening) if opening else "",
        blocks=blocks,
        notes=(note,) if note else (),
    )
