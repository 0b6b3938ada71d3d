"""Small chunks to search, large ones to return: each knows the part of the document that it was cut from."""

from __future__ import annotations

from typing import Any

import msgspec

from ragvec.pipeline.chunk import Chunk, Chunker
from ragvec.pipeline.documents import Block, Document
from ragvec.pipeline.parents import GAP, PARENT
from ragvec.pipeline.sections import Headings, complete_blocks

__all__ = ["ParentChunker"]


class ParentChunker:
    """The chunks that `children` makes of each chunk of `parents`.

    A child carries where its parent stands and which passages make it up, so that the text of the parent is found
    again from what is stored: `ragvec.pipeline.parents.parent_texts`. Nothing is stored twice. What `parents` repeats
    (its overlap) is repeated among the children too. A parent of which `children` leaves out more than white space is
    refused.
    """

    def __init__(self, parents: Chunker, children: Chunker) -> None:
        self.parents, self.children = parents, children
        self.name = f"parents-1({parents.name})({children.name})"

    def split(self, document: Document) -> list[Chunk]:
        """The children of all parents, in order.

        Raises:
            DocumentError: its blocks are out of order or beyond its text.
        """
        headings = Headings(document)
        blocks = list(complete_blocks(document))
        found: list[Chunk] = []
        for parent in self.parents.split(document):
            part = msgspec.structs.replace(
                document, text=parent.text, blocks=_within(blocks, parent.begin, parent.end), pages=(), title=""
            )
            children = self.children.split(part)
            first, reached = len(found), 0
            for child in children:
                gap = parent.text[reached : child.begin] if child.begin > reached else ""
                stored: dict[str, Any] = {PARENT: [parent.begin, parent.end, first, first + len(children)]}
                if gap:
                    stored[GAP] = gap
                begin, end = parent.begin + child.begin, parent.begin + child.end
                found.append(Chunk(child.text, begin, end, headings.at(begin), document.page_at(begin), stored))
                reached = max(reached, child.end)
        return found


def _within(blocks: list[Block], begin: int, end: int) -> tuple[Block, ...]:
    """The blocks of a part of a document, counted from its beginning."""
    return tuple(
        Block(max(block.begin, begin) - begin, min(block.end, end) - begin, block.kind, block.level, block.label)
        for block in blocks
        if block.end > begin and block.begin < end
    )
