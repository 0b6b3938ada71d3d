"""Every number of the contract, once: what a request may hold, how long names are, how large a page is.

`S3`, `OSS`, `COS` and `TOS` are the published limits of the four vector-bucket services; `NATIVE` is ragvec's own
contract, which lifts what is commercial in them. `FileLimits` is what one document may cost while it is loaded. Checks,
messages, schemas and documentation read the numbers here.
"""

from __future__ import annotations

import msgspec

__all__ = ["COS", "NATIVE", "OSS", "S3", "TOS", "FileLimits", "Limits"]


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of one dialect. Lengths are in characters where the name says nothing else; None means no limit.

    Both ends of a range are allowed values. Defaults are those of Amazon S3 Vectors.
    """

    bucket_name_min: int = 3
    bucket_name_max: int = 63
    index_name_min: int = 3
    index_name_max: int = 63
    key_max: int = 1024
    key_max_bytes: int = 1024
    arn_max: int = 1011
    prefix_max: int = 63

    buckets: int | None = 10_000
    indexes: int | None = 10_000
    dimension_max: int = 4096
    non_filterable_keys: int | None = 10
    non_filterable_key_max: int | None = 63
    metadata_bytes: int | None = 40_960
    metadata_keys: int | None = 50
    filterable_bytes: int | None = 2_048

    text_fields: int | None = 10
    text_key_max: int | None = 63
    query_texts: int | None = 10
    query_text_max: int | None = 1024

    put_vectors: int | None = 500
    get_keys: int | None = 100
    delete_keys: int | None = 500
    request_bytes: int | None = 20_971_520
    top_k: int | None = 10_000

    query_page: int | None = 100
    """Results in one answer of a query when the request does not say; None: always all of them."""
    query_page_max: int | None = 100
    list_buckets_default: int = 500
    list_buckets_max: int = 500
    list_indexes_default: int = 500
    list_indexes_max: int = 500
    list_vectors_default: int = 500
    list_vectors_max: int = 1000
    list_vectors_bytes: int = 1_048_576
    """A page of vectors ends early once it holds more than this."""
    segments: int = 16

    name_token_max: int = 512
    vector_token_max: int = 2048
    query_token_max: int = 4096
    ranking_seconds: float = 3600.0
    """How long the result list of a query is kept for its later pages."""

    tags: int = 50
    tag_key_max: int = 128
    tag_value_max: int = 256
    kms_arn_max: int = 2048

    filter_depth: int | None = 64
    filter_conditions: int | None = 1024
    filter_bytes: int | None = None
    enhanced_filter_conditions: int | None = 100
    """S3 only: the number of conditions on an index of mode ENHANCED."""


class FileLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What a document may cost while it is loaded, so that no file that somebody sends stops a run or the machine.

    A document beyond a limit is a failure in the report, which names the limit; the others go on. With `isolate` files
    are read by a process of its own, which is ended when it needs more than `seconds` of a processor (or ten times as
    long by the clock) for one of them; on Linux it can have `memory_bytes` of memory. Without, both are not looked at.
    """

    file_bytes: int = 256 << 20
    """Of a file; of one in lines (jsonl) only where it is not UTF-8, which it is known to be without reading it all."""
    line_bytes: int = 32 << 20
    """Of a line of jsonl, a document each."""
    unpacked_bytes: int = 256 << 20
    """Of all that a zip archive (docx, xlsx, pptx, epub too) says it holds, with those in it; of attachments."""
    parts: int = 10_000
    """Files in a zip archive."""
    depth: int = 4
    """Archives and letters in each other."""
    pages: int = 20_000
    """Of a PDF."""
    columns: int = 16_384
    """Of a table in docx, xlsx, pptx or Parquet, cells that span several counted as so many."""
    characters: int = 64_000_000
    """Of the text of a document."""
    blocks: int = 2_000_000
    """Paragraphs, items and table rows of a document."""
    attribute_bytes: int = 256 << 10
    """Of id, title, URI and attributes of a document as JSON: every passage of it carries them."""
    isolate: bool = True
    seconds: float = 120.0
    memory_bytes: int = 2 << 30


S3 = Limits()

OSS = Limits(
    bucket_name_max=32,
    index_name_min=1,
    buckets=100,
    indexes=100,
    top_k=500,
    query_page=None,
    query_page_max=None,
    metadata_keys=10,
    list_buckets_default=100,
    list_buckets_max=1000,
    list_indexes_default=100,
    filter_depth=8,
    filter_conditions=1024,
    filter_bytes=65_536,
)

COS = Limits(
    buckets=100,
    indexes=100,
    top_k=30,
    query_page=None,
    query_page_max=None,
    metadata_keys=10,
    list_buckets_default=100,
    list_indexes_default=100,
)

TOS = Limits(
    bucket_name_max=32,
    buckets=100,
    indexes=None,
    delete_keys=100,
    top_k=1000,
    query_page=None,
    query_page_max=None,
    metadata_keys=None,
    list_buckets_default=100,
    list_indexes_default=100,
)

NATIVE = Limits(
    bucket_name_min=1,
    index_name_min=1,
    buckets=None,
    indexes=None,
    dimension_max=65_536,
    non_filterable_keys=None,
    non_filterable_key_max=None,
    text_fields=None,
    text_key_max=None,
    query_texts=None,
    query_text_max=None,
    metadata_bytes=None,
    metadata_keys=None,
    filterable_bytes=None,
    put_vectors=None,
    get_keys=None,
    delete_keys=None,
    request_bytes=None,
    top_k=None,
    query_page=1000,
    query_page_max=10_000,
    filter_conditions=None,
    enhanced_filter_conditions=None,
)
