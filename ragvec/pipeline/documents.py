"""What loading yields: documents with their structure, and failures."""

from __future__ import annotations

import bisect
from typing import Any, Literal, TypeAlias

import msgspec

__all__ = ["Block", "BlockKind", "Document", "Failure"]

BlockKind: TypeAlias = Literal["heading", "paragraph", "item", "row", "code"]


class Block(msgspec.Struct, frozen=True, gc=False):
    """A piece of a document's structure: the characters `[begin, end)` of its text.

    Blocks are in order and do not overlap; between them is only white space. An `item` is of a list, a `row` of a
    table. `level` is that of a heading, from 1, and 0 for everything else. `label` is what a heading is called in paths
    where that is not its first line: of the lines that begin a function, its name.
    """

    begin: int
    end: int
    kind: BlockKind
    level: int = 0
    # Unset, it is no part of what is hashed: documents without labels are what they were before there were any.
    label: str | msgspec.UnsetType = msgspec.UNSET


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """One document: its extracted text, what is known about it, and where its parts stand.

    `id` is unique within an index. `attributes` are by name; `ragvec.pipeline.attributes` tells which names and types
    mean what. `blocks` is empty when nobody looked for structure (it is then found in the text when the document is
    split). `pages` holds the offset at which each page begins, for paged formats. `notes` are remarks for the report,
    such as a guessed encoding. `stored` are metadata that passages get as they stand here, with no name or value read
    into them, in place of attributes of the same names.
    """

    id: str
    text: str
    title: str = ""
    uri: str = ""
    file_type: str = "txt"
    attributes: dict[str, Any] = {}
    blocks: tuple[Block, ...] = ()
    pages: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()
    stored: dict[str, Any] = {}

    def page_at(self, offset: int) -> int | None:
        """The number, from 1, of the page on which the character at `offset` stands; None without pages."""
        return max(1, bisect.bisect_right(self.pages, offset)) if self.pages else None


class Failure(msgspec.Struct, frozen=True):
    """Something that did not become a document.

    `source` is what a person knows it by (a path, a line of a file, an id), `reason` what was wrong. `document_id` is
    the id that the document would have had, empty when that is not known.
    """

    source: str
    reason: str
    document_id: str = ""

    def __str__(self) -> str:
        return f"{self.source}: {self.reason}"
