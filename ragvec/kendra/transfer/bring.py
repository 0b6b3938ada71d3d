"""Bringing a folder in Amazon Kendra's form into an index, by the client's own operations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

import msgspec

from ragvec.errors import InvalidRequest
from ragvec.kendra.attributes import epoch_seconds
from ragvec.kendra.client import Client
from ragvec.kendra.transfer.forms import Described, StrPath, described_documents
from ragvec.pipeline.documents import Failure

__all__ = ["Brought", "bring_documents"]

_BATCH = 10
_CONTENT_TYPES = {
    ".csv": "CSV",
    ".docx": "MS_WORD",
    ".htm": "HTML",
    ".html": "HTML",
    ".json": "JSON",
    ".md": "MD",
    ".pdf": "PDF",
    ".pptx": "PPT",
    ".rtf": "RTF",
    ".txt": "PLAIN_TEXT",
    ".xlsx": "MS_EXCEL",
    ".xml": "XML",
}


class Brought(msgspec.Struct, frozen=True):
    """How many documents were brought in, the fields that were made for them, and what failed."""

    documents: int
    fields: tuple[str, ...]
    failed: tuple[Failure, ...]


def bring_documents(
    client: Client,
    index_id: str,
    folder: StrPath,
    *,
    prefix: str = "",
    metadata: StrPath | None = None,
    access: StrPath | None = None,
    make_fields: bool = True,
) -> Brought:
    """Put the documents of a folder, which is as `described_documents` reads it, into an index.

    With `make_fields`, attributes of which the index has no field become fields: numbers LONG_VALUE, lists
    STRING_LIST_VALUE, dates in ISO 8601 with a time DATE_VALUE, everything else STRING_VALUE. A document that is
    refused is a failure; the others go on.

    Raises:
        DocumentError: as `described_documents`. ClientError: there is no such index.
    """
    documents = list(described_documents(folder, prefix=prefix, metadata=metadata, access=access))
    described = client.describe_index(Id=index_id)
    types = {field["Name"]: field["Type"] for field in described["DocumentMetadataConfigurations"]}
    made: dict[str, str] = {}
    if make_fields:
        made = _missing(documents, types)
        if made:
            updates = [{"Name": name, "Type": kind} for name, kind in made.items()]
            client.update_index(Id=index_id, DocumentMetadataConfigurationUpdates=updates)
    done, failed = 0, []
    waiting = iter(documents)
    while batch := list(islice(waiting, _BATCH)):
        requests = []
        for one in batch:
            try:
                requests.append(_request(one, {**types, **made}))
            except (OSError, InvalidRequest) as error:
                failed.append(Failure(one.key, str(error), one.document_id))
        if not requests:
            continue
        refused = client.batch_put_document(IndexId=index_id, Documents=requests)["FailedDocuments"]
        keys = {one.document_id: one.key for one in batch}
        failed += [Failure(keys.get(one["Id"], one["Id"]), one["ErrorMessage"], one["Id"]) for one in refused]
        done += len(requests) - len(refused)
    return Brought(done, tuple(sorted(made)), tuple(failed))


def _missing(documents: Iterable[Described], types: Mapping[str, str]) -> dict[str, str]:
    """The types of attributes without a field; one that is not the same everywhere is text."""
    found: dict[str, str] = {}
    for document in documents:
        for name, value in document.attributes.items():
            if name not in types and value is not None:
                kind = _type_of(value)
                found[name] = kind if found.get(name, kind) == kind else "STRING_VALUE"
    return found


def _type_of(value: object) -> str:
    if isinstance(value, bool):
        return "STRING_VALUE"
    if isinstance(value, int):
        return "LONG_VALUE"
    if isinstance(value, list):
        return "STRING_LIST_VALUE"
    if isinstance(value, str) and "T" in value:
        try:
            epoch_seconds(value, path="")
        except InvalidRequest:
            return "STRING_VALUE"
        return "DATE_VALUE"
    return "STRING_VALUE"


def _request(document: Described, types: Mapping[str, str]) -> dict[str, Any]:
    """The document as BatchPutDocument takes it. Raises OSError, InvalidRequest."""
    request: dict[str, Any] = {"Id": document.document_id, "Blob": document.file.read_bytes()}
    kind = document.content_type or _CONTENT_TYPES.get(document.file.suffix.lower())
    if kind is None:
        raise InvalidRequest(
            "Expected a ContentType in the metadata, or one of the file types "
            f"{', '.join(sorted(_CONTENT_TYPES))}, got {document.file.suffix or 'none'}",
            path="ContentType",
        )
    request["ContentType"] = kind
    if document.title:
        request["Title"] = document.title
    attributes = [
        {"Key": name, "Value": _value(name, value, types)}
        for name, value in document.attributes.items()
        if value is not None
    ]
    if attributes:
        request["Attributes"] = attributes
    if document.access is not None:
        request["AccessControlList"] = list(document.access)
    return request


def _value(name: str, value: object, types: Mapping[str, str]) -> dict[str, Any]:
    kind = types.get(name, _type_of(value))
    if kind == "DATE_VALUE":
        return {"DateValue": epoch_seconds(value, path=name)}
    if kind == "STRING_LIST_VALUE":
        return {"StringListValue": value if isinstance(value, list) else [str(value)]}
    if kind == "LONG_VALUE":
        return {"LongValue": value}
    return {"StringValue": value if isinstance(value, str) else msgspec.json.encode(value).decode()}
