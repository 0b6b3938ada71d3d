"""The three files of a collection in BEIR's layout: documents, queries and judgements.

Every error names the file and, counted from 1, the line. Ids are text: a number becomes its digits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ragvec.errors import DocumentError
from ragvec.evaluation.text_lines import json_objects, lines
from ragvec.pipeline.documents import Document

__all__ = ["read_corpus", "read_qrels", "read_queries"]


def read_corpus(path: Path) -> Iterator[Document]:
    """The documents of a `corpus.jsonl`, a line at a time; attributes are what `metadata` holds, nulls left out."""
    for source, row in json_objects(path):
        metadata = row.get("metadata") or {}
        if not isinstance(metadata, dict):
            raise DocumentError(f"Expected an object as metadata, got {metadata!r} - at {source}", source=source)
        yield Document(
            id=_id(row, source=source),
            title=_text(row, "title", source=source) if row.get("title") is not None else "",
            text=_text(row, "text", source=source),
            attributes={name: value for name, value in metadata.items() if value is not None},
        )


def read_queries(path: Path) -> dict[str, str]:
    """{query id: text} of a `queries.jsonl`, in its order."""
    queries: dict[str, str] = {}
    for source, row in json_objects(path):
        query, text = _id(row, source=source), _text(row, "text", source=source)
        if queries.setdefault(query, text) != text:
            raise DocumentError(f"The query {query!r} was there before with another text - at {source}", source=source)
    return queries


def read_qrels(path: Path) -> dict[str, dict[str, int]]:
    """{query id: {document id: grade}} of a file with these three columns, parted by tabs, below a header or none."""
    qrels: dict[str, dict[str, int]] = {}
    for number, line in lines(path):
        source = f"{path}:{number}"
        columns = [column.strip() for column in line.split("\t")]
        if len(columns) != 3:
            raise DocumentError(
                f"Expected query id, document id and grade, parted by tabs; got {len(columns)} columns - at {source}",
                source=source,
            )
        query, document, text = columns
        try:
            grade = int(text)
        except ValueError:
            if number == 1:
                continue  # the header
            raise DocumentError(
                f"Expected a whole number as grade, got {text!r} - at {source}", source=source
            ) from None
        if qrels.setdefault(query, {}).setdefault(document, grade) != grade:
            raise DocumentError(
                f"Document {document!r} was judged before for query {query!r}, with another grade - at {source}",
                source=source,
            )
    return qrels


def _id(row: Mapping[str, Any], *, source: str) -> str:
    value = row.get("_id")
    if isinstance(value, bool) or not isinstance(value, (str, int)) or value == "":
        raise DocumentError(f"Expected text or a whole number as `_id`, got {value!r} - at {source}", source=source)
    return str(value)


def _text(row: Mapping[str, Any], name: str, *, source: str) -> str:
    value = row.get(name)
    if not isinstance(value, str):
        raise DocumentError(f"Expected text as `{name}`, got {value!r} - at {source}", source=source)
    return value
