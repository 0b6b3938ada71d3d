"""Writing the documents of an index in Amazon Kendra's form: the text as it was extracted, and a metadata file each."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from ragvec.errors import InvalidRequest
from ragvec.filters.nodes import Eq
from ragvec.kendra.access import is_access_field
from ragvec.kendra.access.lists import ACL_CONFIGURATION, ACL_LEVELS
from ragvec.kendra.attributes import Schema, plain_value
from ragvec.kendra.index import QueryIndex
from ragvec.kendra.transfer.forms import METADATA_SUFFIX, StrPath
from ragvec.pipeline.parents import GAP, PARENT
from ragvec.pipeline.passages import (
    ACL_ALLOW,
    ACL_DENY,
    BEGIN,
    DOCUMENT_ID,
    DOCUMENT_TITLE,
    END,
    FILE_TYPE,
    HASH,
    HEADING,
    PAGE_NUMBER,
    PASSAGE,
    PASSAGES,
    TEXT,
    passage_key,
)
from ragvec.store import Index

__all__ = ["write_documents"]

_NOT_ATTRIBUTES = frozenset(
    {
        DOCUMENT_ID,
        DOCUMENT_TITLE,
        FILE_TYPE,
        PASSAGE,
        PASSAGES,
        BEGIN,
        END,
        PAGE_NUMBER,
        HEADING,
        TEXT,
        HASH,
        PARENT,
        GAP,
    }
)
_LONGEST_PART = 200


def write_documents(query_index: QueryIndex, folder: StrPath) -> int:
    """Write every document into a new folder, and return how many there were.

    A document is a text file of what was extracted from it, passage by passage; beside it `….metadata.json` has its id,
    title, attributes (dates in ISO 8601) and access list. The files of a second `bring_documents` are these.

    Raises:
        InvalidRequest: the folder is there and not empty, or a document has access lists of several levels, or an
            access control configuration, which this form cannot tell. OSError: a file cannot be written.
    """
    target = Path(folder)
    if target.exists() and any(target.iterdir()):
        raise InvalidRequest(f"Expected an empty folder, or none, got `{target}` - at `folder`", path="folder")
    schema = query_index.schema
    count = 0
    for document_id, parts in _documents(query_index.index):
        about = _about(document_id, parts[0], schema)
        file = target / _name(document_id)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(_text(parts), encoding="utf-8")
        described = msgspec.json.format(msgspec.json.encode(about), indent=2)
        file.with_name(file.name + METADATA_SUFFIX).write_bytes(described)
        count += 1
    return count


def _documents(index: Index) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Each document's id, and the metadata of its passages in order."""
    for first in index.iter(where=Eq(PASSAGE, 0)):
        metadata = first.metadata or {}
        if DOCUMENT_ID not in metadata:
            continue
        document_id = metadata[DOCUMENT_ID]
        rest = [passage_key(document_id, number) for number in range(1, metadata.get(PASSAGES, 1))]
        others = index.get(rest, data=False) if rest else []
        yield document_id, [metadata, *(record.metadata for record in others if record.metadata)]


def _name(document_id: str) -> str:
    """A path for the id that leads nowhere else and is not that of another id."""
    parts = [quote(part, safe=" !()+,;=@~-._") for part in document_id.split("/")]
    if all(part.strip(".") and len(part) <= _LONGEST_PART for part in parts):
        return "/".join(parts) + ".txt"
    return f"%{msgspec.json.encode(document_id).hex()[:_LONGEST_PART]}.txt"


def _text(parts: list[dict[str, Any]]) -> str:
    """The passages in a row, what they share once."""
    text, end = "", 0
    for part in parts:
        begin, own = part.get(BEGIN, end), str(part.get(TEXT, ""))
        if begin >= end:
            text += "\n" * min(begin - end, 2) + own
        elif part.get(END, end) > end:
            text += own[end - begin :]
        end = max(end, part.get(END, end))
    return text


def _about(document_id: str, metadata: dict[str, Any], schema: Schema) -> dict[str, Any]:
    several = metadata.get(ACL_LEVELS, 1) > 1 or ACL_CONFIGURATION in metadata
    if several:
        raise InvalidRequest(
            f"The document {document_id!r} has access lists of several levels, or an access control configuration, "
            "which the form of the S3 connector cannot tell",
            path=document_id,
        )
    about: dict[str, Any] = {"DocumentId": document_id}
    if metadata.get(DOCUMENT_TITLE):
        about["Title"] = metadata[DOCUMENT_TITLE]
    attributes = {}
    for name, value in sorted(metadata.items()):
        if name not in _NOT_ATTRIBUTES and not is_access_field(name):
            plain = plain_value(schema.fields[name], value) if name in schema.fields else value
            attributes[name] = plain.isoformat().replace("+00:00", "Z") if isinstance(plain, datetime) else plain
    if attributes:
        about["Attributes"] = attributes
    access = [
        {"Name": name, "Type": "USER" if kind == "user" else "GROUP", "Access": allowance}
        | ({"DataSourceId": kind.partition("/")[2]} if "/" in kind else {})
        for field, allowance in ((ACL_ALLOW, "ALLOW"), (ACL_DENY, "DENY"))
        for kind, _, name in (entry.partition(":") for entry in metadata.get(field, ()))
    ]
    if access:
        about["AccessControlList"] = access
    about["ContentType"] = "PLAIN_TEXT"
    return about
