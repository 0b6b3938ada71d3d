"""Rich text (rtf): its words, structure found in them as in plain text."""

from __future__ import annotations

from ragvec.errors import DocumentError
from ragvec.extras import require
from ragvec.limits import FileLimits
from ragvec.pipeline.loaders.builder import Extract
from ragvec.pipeline.loaders.source import Content, refused, source_bytes
from ragvec.pipeline.outline import heading_label, outline

__all__ = ["load_rtf"]


def load_rtf(content: Content, limits: FileLimits) -> Extract:
    """A rich text file without its formatting; its title is its first heading, if that opens it.

    Raises:
        DocumentError: it is no rich text, or a limit is passed. MissingExtra: striprtf is not installed.
    """
    striprtf = require("striprtf.striprtf", extra="documents", purpose="Reading rtf files", package="striprtf")
    raw = source_bytes(content, limits)
    if not raw.lstrip().startswith(b"{\\rtf"):
        raise DocumentError("Expected rich text, which begins with {\\rtf, got another file")
    try:
        text: str = striprtf.rtf_to_text(raw.decode("cp1252", "replace"), errors="replace")
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, RecursionError) as error:
        raise DocumentError(f"Expected rich text, got a file that cannot be read as such: {error!r:.200}") from error
    text = (
        text.replace("\r\n", "\n")
        .replace("\r", "\n")
        .replace("\0", "")
        .encode("utf-16", "surrogatepass")
        .decode("utf-16", "replace")
    )
    if len(text) > limits.characters:
        raise refused("characters", most=limits.characters, got=f"{len(text):,}", unit="characters in a document")
    # A paragraph of rich text is one line; blank lines part paragraphs of plain text.
    text = "\n\n".join(line.strip() for line in text.split("\n") if line.strip())
    blocks = outline(text)
    opening = blocks[0] if blocks and blocks[0].kind == "heading" else None
    return Extract(text=text, title=heading_label(text, opening) if opening else "", blocks=blocks)
