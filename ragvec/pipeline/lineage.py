"""Where a hit comes from: document, file, page and characters."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

import msgspec

from ragvec.errors import DocumentError, InvalidRequest
from ragvec.pipeline.documents import Document
from ragvec.pipeline.load import load
from ragvec.pipeline.passages import SOURCE_URI, Passage

__all__ = ["Lineage", "lineage_of"]


class Lineage(msgspec.Struct, frozen=True, kw_only=True):
    """Where a passage comes from.

    It is the characters [`begin`, `end`) of the text of document `document_id`, number `number` (from 0) of `count`
    passages; on `page` (from 1) of a paged format, under the `heading` path. `uri` is that of the source, and `path`
    its file where it is one. `text` is the passage as stored, `version` the content hash of the document then.
    """

    document_id: str
    uri: str
    number: int
    count: int
    begin: int
    end: int
    text: str
    version: str
    heading: str = ""
    page: int | None = None

    @property
    def path(self) -> Path | None:
        """The file of the source, None when it is none."""
        parts = urlsplit(self.uri)
        return Path(url2pathname(unquote(parts.path))) if parts.scheme == "file" else None

    def __str__(self) -> str:
        """As in `notes/travel.md, page 3, characters 120 to 480`."""
        page = f", page {self.page}" if self.page is not None else ""
        return f"{self.path or self.uri or self.document_id}{page}, characters {self.begin} to {self.end}"

    def read(self) -> str:
        """The same characters of the source as it is now, extracted again: equal to what was stored as long as the
        file was not changed.

        Raises:
            DocumentError: the source is no file, cannot be read any more, or has no document of this id.
        """
        path = self.path
        if path is None:
            raise DocumentError(f"Expected a file to read again, got {self.uri!r}", source=self.document_id)
        documents = [item for item in load(path) if isinstance(item, Document)]
        same = [one for one in documents if self.document_id == one.id or self.document_id.endswith(f"/{one.id}")]
        found = same or (documents if len(documents) == 1 else [])
        if not found:
            raise DocumentError(f"Expected the document {self.document_id!r} in {path}, got none", source=str(path))
        return found[0].text[self.begin : self.end]


def lineage_of(hit: Any) -> Lineage:
    """Where a hit, a record, or metadata come from.

    Raises:
        InvalidRequest: there are no metadata, or the pipeline did not write them.
    """
    metadata = hit if isinstance(hit, dict) else getattr(hit, "metadata", None)
    passage = Passage.from_metadata(metadata or {})
    if passage is None:
        raise InvalidRequest(
            f"Expected a hit of an index that a pipeline filled, with its metadata, got {hit!r}: ask with "
            "metadata=True",
            path="hit",
        )
    return Lineage(
        document_id=passage.document_id,
        uri=str(passage.attributes.get(SOURCE_URI, "")),
        number=passage.number,
        count=passage.count,
        begin=passage.begin,
        end=passage.end,
        text=passage.text,
        version=passage.hash,
        heading=passage.heading,
        page=passage.page,
    )
