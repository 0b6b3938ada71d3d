"""Documents that come as records: lines of jsonl (BEIR's too), mappings, LangChain documents, rows of a DataFrame."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ragvec.errors import DocumentError
from ragvec.limits import FileLimits
from ragvec.pipeline.attributes import is_missing, named
from ragvec.pipeline.documents import Document, Failure
from ragvec.pipeline.loaders.lines import json_lines, json_object
from ragvec.pipeline.loaders.source import Content

__all__ = [
    "TEXT_FIELDS",
    "from_frame",
    "from_langchain",
    "from_mapping",
    "is_frame",
    "is_langchain",
    "load_jsonl",
    "record_id",
]

_IDS = ("id", "_id")
TEXT_FIELDS = ("text", "page_content", "content")
"""The names under which a record has its text, the first of them that it has."""
_NAMED, _LONG = 20, 60
_NESTED = ("metadata", "attributes")


def load_jsonl(content: Content, *, source: str, uri: str, limits: FileLimits) -> Iterator[Document | Failure]:
    """A document a line: `id` or `_id`, `text`, `title`; other scalars and lists of texts are attributes, and so is
    what an object `metadata` or `attributes` holds, as BEIR and LangChain write it.

    A line without an id is known by the file and its number. `source` is what the file is called in failures and such
    ids. Memory is needed for one line at a time.

    Raises:
        DocumentError: the file is not text. OSError: it cannot be read.
    """
    for number, line, note in json_lines(content, limits):
        place = f"{source}:{number}"
        record: dict[str, Any] | None = None
        try:
            if isinstance(line, DocumentError):
                raise line
            record = json_object(line)
            yield from_mapping(record, default_id=place, file_type="jsonl", uri=uri, notes=(note,) if note else ())
        except DocumentError as error:
            yield Failure(place, error.message, "" if record is None else record_id(record, place))


def from_mapping(
    record: Mapping[str, Any], *, default_id: str, file_type: str, uri: str = "", notes: tuple[str, ...] = ()
) -> Document:
    """The document that a record describes.

    Raises:
        DocumentError: it has no text field, or an attribute that is not allowed.
    """
    field = next((name for name in TEXT_FIELDS if name in record), None)
    if field is None or not isinstance(record[field], str):
        raise DocumentError(
            f"Expected a field {' or '.join(TEXT_FIELDS)} holding text, got the fields {_listed(record)}"
        )
    rest: dict[str, Any] = {}
    for name, value in record.items():
        if name in _NESTED and isinstance(value, Mapping):
            rest = {**value, **rest}
        elif name not in (*_IDS, field, "title"):
            rest[name] = value
    attributes, left_out = named(rest)
    return Document(
        id=record_id(record, default_id),
        text=record[field],
        title=_words(record, "title"),
        uri=uri,
        file_type=file_type,
        attributes=attributes,
        notes=(*notes, *left_out),
    )


def is_langchain(item: object) -> bool:
    """Whether this is a LangChain document, by its shape."""
    return isinstance(getattr(item, "page_content", None), str) and isinstance(getattr(item, "metadata", None), Mapping)


def from_langchain(item: Any) -> tuple[Document, bool]:
    """A LangChain document, and whether its id is its own or in its metadata; else it is made of its source and place,
    or of the hash of its text.

    Raises:
        DocumentError: an attribute is not allowed.
    """
    metadata = dict(item.metadata)
    identity = getattr(item, "id", None) or record_id(metadata, "")
    own = bool(identity)
    source = str(metadata.pop("source", "") or "")
    if not own:
        places = [f"{name}={metadata[name]}" for name in ("page", "start_index") if name in metadata]
        digest = hashlib.sha256(item.page_content.encode("utf-8", "replace")).hexdigest()
        identity = "#".join([source, *places]) if source else f"sha256:{digest[:32]}"
    rest = {name: value for name, value in metadata.items() if name not in _IDS}
    record = {**rest, "id": str(identity), "text": item.page_content}
    return from_mapping(record, default_id="", file_type=_suffix(source), uri=source), own


def is_frame(source: object) -> bool:
    """Whether this is a pandas DataFrame, without importing pandas."""
    return (
        type(source).__module__.partition(".")[0] == "pandas" and hasattr(source, "columns") and hasattr(source, "iloc")
    )


def from_frame(frame: Any) -> Iterator[Document | Failure]:
    """A document a row: columns `text`, `title` and `id` (else the row's label); the others are attributes."""
    names = [str(name) for name in frame.columns]
    if not set(names) & set(TEXT_FIELDS):
        raise DocumentError(
            f"Expected a DataFrame with a column {' or '.join(TEXT_FIELDS)}, got {_listed(dict.fromkeys(names))}"
        )
    columns = [frame.iloc[:, position].tolist() for position in range(len(names))]
    for label, *values in zip(frame.index.tolist(), *columns, strict=True):
        record = dict(zip(names, values, strict=True))
        try:
            yield from_mapping(record, default_id=str(label), file_type="txt")
        except DocumentError as error:
            yield Failure(f"row {label}", error.message, record_id(record, str(label)))


def record_id(record: Mapping[str, Any], default: str) -> str:
    """The id that a record has of its own, else `default`."""
    return next((_words(record, name) for name in _IDS if _words(record, name)), default)


def _listed(record: Mapping[str, Any]) -> str:
    """The names of fields: the first of them, cut short, where there are many or they are long."""
    names = [str(name) for name in itertools.islice(record, _NAMED + 1)]
    shown = [name if len(name) <= _LONG else f"{name[:_LONG]}…" for name in names[:_NAMED]]
    return ", ".join(shown) + (f" and {len(record) - _NAMED:,} more" if len(names) > _NAMED else "")


def _words(record: Mapping[str, Any], name: str) -> str:
    value = record.get(name)
    return "" if is_missing(value) else str(value)


def _suffix(source: str) -> str:
    suffix = Path(source).suffix[1:].lower()
    return suffix if suffix.isalnum() and len(suffix) <= 5 else "txt"
