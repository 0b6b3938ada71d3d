"""From passages that were found to the larger parts that they were cut from, as documents of LangChain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from langchain_core.documents import Document

from ragvec.langchain.tables import Table
from ragvec.pipeline.parents import GAP, PARENT, parent_of_each
from ragvec.pipeline.passages import BEGIN, END, PASSAGE, PASSAGES, TEXT
from ragvec.types import Record

__all__ = ["parent_documents"]

_OF_PASSAGES = frozenset({BEGIN, END, PASSAGE, PASSAGES, PARENT, GAP})


class _Found(NamedTuple):
    metadata: dict[str, Any]


class _Records:
    """A table as what parents are read from."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def get(self, keys: Sequence[str], *, data: bool = True) -> list[Record]:
        return [Record(row.key, row.data, row.metadata) for row in self._table.get(keys, data=data)]


def parent_documents(
    table: Table, found: Sequence[tuple[Document, float]], *, most: int
) -> list[tuple[Document, float]]:
    """The first `most` parents of passages that the pipeline wrote, each once, with the score of its best passage; a
    passage without a larger part, or of somebody else, stands for itself."""
    passages = [_Found({**document.metadata, TEXT: document.page_content}) for document, _ in found]
    parents: dict[Any, tuple[Document, float]] = {}
    for (document, score), parent in zip(found, parent_of_each(_Records(table), passages), strict=True):
        if parent is None:
            parents.setdefault(document.id, (document, score))
            continue
        place = (parent.document_id, parent.begin, parent.end)
        kept = {key: value for key, value in document.metadata.items() if key not in _OF_PASSAGES}
        whole = Document(
            id=f"{parent.document_id}#{parent.begin}-{parent.end}",
            page_content=parent.text,
            metadata={**kept, BEGIN: parent.begin, END: parent.end},
        )
        parents.setdefault(place, (whole, score))
    return list(parents.values())[:most]
