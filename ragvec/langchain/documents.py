"""Documents of LangChain as records, and back.

A record's metadata are those of the document, as far as the vector API has such values (strings, finite numbers,
booleans, lists of strings or of numbers); filters can use them. What it has not (None, objects, empty or mixed lists)
is kept as JSON under `OTHER`, which is not filterable. The text is under a key of its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec
from langchain_core.documents import Document

from ragvec.errors import Corrupted, InvalidMetadata
from ragvec.langchain.tables import Row

__all__ = ["OTHER", "document_of", "metadata_of"]

OTHER = "_other"
"""The metadata key of what the vector API has no form for."""

_INT64 = (-(2**63), 2**64 - 1)


def metadata_of(document: Document, *, text_key: str) -> dict[str, Any]:
    """The metadata of the record of a document.

    Raises:
        InvalidMetadata: a key is one that records use themselves, or a value has no form in JSON.
    """
    plain: dict[str, Any] = {text_key: document.page_content}
    other: dict[str, Any] = {}
    for key, value in document.metadata.items():
        if key in (text_key, OTHER):
            raise InvalidMetadata(
                f"Expected metadata without the key {key!r}, under which records keep their own", path=f"metadata.{key}"
            )
        (plain if _is_plain(value) else other)[key] = value
    if other:
        try:
            plain[OTHER] = msgspec.json.encode(other).decode()
        except (TypeError, UnicodeEncodeError) as error:
            raise InvalidMetadata(
                f"Expected metadata that JSON has a form for, got {sorted(other)}: {error}", path="metadata"
            ) from error
        _require_finite(other, "metadata")
    return plain


def document_of(row: Row, *, text_key: str) -> Document:
    """The document that a record holds; its text is empty where it holds none.

    Raises:
        Corrupted: what is kept under `OTHER` is no JSON object.
    """
    metadata = dict(row.metadata)
    text, other = metadata.pop(text_key, ""), metadata.pop(OTHER, None)
    if other is not None:
        try:
            metadata.update(msgspec.json.decode(other, type=dict[str, Any]))
        except (msgspec.DecodeError, TypeError) as error:
            raise Corrupted(f"The metadata {OTHER!r} of {row.key!r} is not a JSON object: {error}") from error
    return Document(id=row.key, page_content=text if isinstance(text, str) else str(text), metadata=metadata)


def _is_plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        kinds = set(map(type, value))
        return kinds == {str} or (bool(kinds) and kinds <= {int, float} and all(map(_is_plain, value)))
    if isinstance(value, (bool, str)):
        return True
    if isinstance(value, int):
        return _INT64[0] <= value <= _INT64[1]
    return isinstance(value, float) and math.isfinite(value)


def _require_finite(value: Any, path: str) -> None:
    """JSON writes a float that is not finite as null, which would come back as None."""
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidMetadata(f"Expected a finite number, got {value} - at `{path}`", path=path)
    if isinstance(value, Mapping):
        for key, inner in value.items():
            _require_finite(inner, f"{path}.{key}")
    elif isinstance(value, (list, tuple)):
        for at, inner in enumerate(value):
            _require_finite(inner, f"{path}[{at}]")
