"""How passages lie in an index: the keys and metadata that the pipeline writes and the query layer reads.

One vector is one passage (chunk) of one document. The index is its own manifest: what is ingested is what these records
say.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import msgspec

__all__ = [
    "ACL_ALLOW",
    "ACL_DENY",
    "ATTRIBUTES_PROPERTY",
    "AUTHORS",
    "BEGIN",
    "BUILT_IN_TYPES",
    "CATEGORY",
    "CREATED_AT",
    "DATA_SOURCE_ID",
    "DEFAULT_LANGUAGE",
    "DOCUMENT_ID",
    "DOCUMENT_TITLE",
    "EMBEDDER_PROPERTY",
    "END",
    "FILE_TYPE",
    "HASH",
    "HEADING",
    "LANGUAGE_CODE",
    "LAST_UPDATED_AT",
    "NON_FILTERABLE",
    "PAGE_NUMBER",
    "PASSAGE",
    "PASSAGES",
    "SOURCE_URI",
    "TENANT_ID",
    "TEXT",
    "TEXT_FIELDS",
    "VERSION",
    "VIEW_COUNT",
    "AttributeType",
    "Passage",
    "key_prefix",
    "passage_key",
]

DOCUMENT_ID = "_document_id"
DOCUMENT_TITLE = "_document_title"
SOURCE_URI = "_source_uri"
FILE_TYPE = "_file_type"
CREATED_AT = "_created_at"
LAST_UPDATED_AT = "_last_updated_at"
LANGUAGE_CODE = "_language_code"
CATEGORY = "_category"
VERSION = "_version"
AUTHORS = "_authors"
VIEW_COUNT = "_view_count"
DATA_SOURCE_ID = "_data_source_id"
TENANT_ID = "_tenant_id"
PASSAGE = "_passage"
PASSAGES = "_passages"
BEGIN = "_begin"
END = "_end"
PAGE_NUMBER = "_excerpt_page_number"
HEADING = "_heading"
TEXT = "_text"
HASH = "_hash"
ACL_ALLOW = "_acl_allow"
ACL_DENY = "_acl_deny"

DEFAULT_LANGUAGE = "en"
NON_FILTERABLE = (TEXT, HEADING, HASH)
"""What an index made by the pipeline declares non-filterable."""

TEXT_FIELDS = (TEXT, DOCUMENT_TITLE, HEADING)
"""Where the words of passages are searched."""

EMBEDDER_PROPERTY = "embedder"
"""Index property {"name": str, "dimension": int}: who filled the index."""

ATTRIBUTES_PROPERTY = "attributes"
"""Index property {attribute name: AttributeType}: every attribute seen, built-in ones included."""

AttributeType: TypeAlias = Literal["STRING_VALUE", "STRING_LIST_VALUE", "LONG_VALUE", "DATE_VALUE", "DOUBLE", "BOOLEAN"]

BUILT_IN_TYPES: Mapping[str, AttributeType] = {
    DOCUMENT_ID: "STRING_VALUE",
    DOCUMENT_TITLE: "STRING_VALUE",
    SOURCE_URI: "STRING_VALUE",
    FILE_TYPE: "STRING_VALUE",
    CREATED_AT: "DATE_VALUE",
    LAST_UPDATED_AT: "DATE_VALUE",
    LANGUAGE_CODE: "STRING_VALUE",
    CATEGORY: "STRING_VALUE",
    VERSION: "STRING_VALUE",
    AUTHORS: "STRING_LIST_VALUE",
    VIEW_COUNT: "LONG_VALUE",
    DATA_SOURCE_ID: "STRING_VALUE",
    TENANT_ID: "STRING_VALUE",
    PAGE_NUMBER: "LONG_VALUE",
}

# A key has at most 1024 bytes; the rest holds "#" and a passage number of up to fifteen digits.
_ID_BYTES = 1008
_BOOKKEEPING = frozenset({PASSAGE, PASSAGES, BEGIN, END, PAGE_NUMBER, HEADING, TEXT, HASH})


def key_prefix(document_id: str) -> str:
    """What the keys of a document's passages begin with, `#` included; a very long id is replaced by its SHA-256."""
    raw = document_id.encode()
    return f"{document_id}#" if len(raw) <= _ID_BYTES else f"sha256:{hashlib.sha256(raw).hexdigest()}#"


def passage_key(document_id: str, number: int) -> str:
    """The key of passage `number`, counted from 0."""
    return f"{key_prefix(document_id)}{number:05d}"


class Passage(msgspec.Struct, frozen=True, kw_only=True):
    """The metadata of one passage, typed. `attributes` are the document's: built-in names and the caller's own, as
    stored.
    """

    document_id: str
    number: int
    count: int
    begin: int
    end: int
    text: str
    hash: str
    heading: str = ""
    page: int | None = None
    attributes: dict[str, Any] = {}

    @property
    def key(self) -> str:
        """The key of the vector."""
        return passage_key(self.document_id, self.number)

    @property
    def title(self) -> str:
        """The document's title, empty when it has none."""
        return str(self.attributes.get(DOCUMENT_TITLE, ""))

    def to_metadata(self) -> dict[str, Any]:
        """The metadata as stored; `from_metadata` gives the passage back."""
        metadata: dict[str, Any] = {
            DOCUMENT_ID: self.document_id,
            **self.attributes,
            PASSAGE: self.number,
            PASSAGES: self.count,
            BEGIN: self.begin,
            END: self.end,
        }
        if self.page is not None:
            metadata[PAGE_NUMBER] = self.page
        if self.heading:
            metadata[HEADING] = self.heading
        metadata[TEXT] = self.text
        metadata[HASH] = self.hash
        return metadata

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> Passage | None:
        """The passage that this metadata describes, None when the pipeline did not write it."""
        if DOCUMENT_ID not in metadata or HASH not in metadata or PASSAGES not in metadata:
            return None
        return cls(
            document_id=metadata[DOCUMENT_ID],
            number=metadata[PASSAGE],
            count=metadata[PASSAGES],
            begin=metadata[BEGIN],
            end=metadata[END],
            text=metadata[TEXT],
            hash=metadata[HASH],
            heading=metadata.get(HEADING, ""),
            page=metadata.get(PAGE_NUMBER),
            attributes={
                name: value for name, value in metadata.items() if name != DOCUMENT_ID and name not in _BOOKKEEPING
            },
        )
