"""Documents as sections: every character in a block, and every block below its headings."""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Sequence

from ragvec.errors import DocumentError
from ragvec.pipeline.documents import Block, BlockKind, Document
from ragvec.pipeline.outline import heading_label, outline

__all__ = ["Headings", "complete_blocks", "heading_paths", "trimmed"]

# Of a heading, in the path that every passage below it carries.
_HEADING = 500


class Headings:
    """Under which headings the places of a document stand."""

    def __init__(self, document: Document) -> None:
        blocks = list(complete_blocks(document))
        self._begins = [block.begin for block in blocks]
        self._paths = heading_paths(document, blocks)

    def at(self, offset: int) -> str:
        """The path at the character `offset`, such as "Travel > Per diem"; empty where there is none."""
        number = bisect.bisect_right(self._begins, offset) - 1
        return self._paths[number] if number >= 0 else ""


def heading_paths(document: Document, blocks: Sequence[Block]) -> list[str]:
    """For each block the headings above it, itself included where it is one, from the top: "Travel > Per diem".

    A heading that opens the document and has none beside or above it is the title; it leads every path, and so it is
    left out, as is one at the top that is called what the document is.
    """
    levels = [block.level for block in blocks if block.kind == "heading"]
    titled = bool(levels) and blocks[0].kind == "heading" and min(levels[1:], default=levels[0] + 1) > levels[0]
    paths: list[str] = []
    above: list[tuple[int, str]] = []
    path = ""
    for block in blocks:
        if block.kind == "heading":
            while above and above[-1][0] >= block.level:
                above.pop()
            above.append((block.level, heading_label(document.text, block)[:_HEADING]))
            labels = [label for _, label in above]
            path = " > ".join(labels[1:] if titled or labels[0] == document.title else labels)
        paths.append(path)
    return paths


def complete_blocks(document: Document) -> Iterator[Block]:
    """The document's blocks without white space around them, and a paragraph for any text that belongs to none.

    Raises:
        DocumentError: its blocks are out of order or beyond its text.
    """
    text, position = document.text, 0
    for block in document.blocks or outline(text):
        if not position <= block.begin <= block.end <= len(text):
            raise DocumentError(
                f"Expected blocks in order within {len(text)} characters, got [{block.begin}, {block.end}) "
                f"after {position}",
                source=document.id,
            )
        if block.begin > position:
            yield from _trim(text, Block(position, block.begin, "paragraph"))
        yield from _trim(text, block)
        position = block.end
    yield from _trim(text, Block(position, len(text), "paragraph"))


def trimmed(text: str, begin: int, end: int) -> int:
    """`end` moved back over white space."""
    while end > begin and text[end - 1].isspace():
        end -= 1
    return end


def _trim(text: str, block: Block) -> Iterator[Block]:
    begin, end = block.begin, block.end
    if begin < end and not text[begin].isspace() and not text[end - 1].isspace():
        yield block
        return
    while begin < end and text[begin].isspace():
        begin += 1
    if begin < end:
        kind: BlockKind = block.kind
        yield Block(begin, trimmed(text, begin, end), kind, block.level, block.label)
