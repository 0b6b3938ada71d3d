"""Parquet files: a document a row."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

from ragvec.errors import DocumentError
from ragvec.extras import require
from ragvec.pipeline.documents import Document, Failure
from ragvec.pipeline.loaders.place import Opener, Place
from ragvec.pipeline.loaders.records import TEXT_FIELDS, from_mapping, record_id
from ragvec.pipeline.loaders.source import Content, refused, regular_file

__all__ = ["load_parquet"]

_ROWS = 256
"""Rows that are unpacked together."""


def load_parquet(content: Content, place: Place, opener: Opener) -> Iterator[Document | Failure]:
    """A document a row: a column `text` (or `page_content`, `content`), `title` and `id` (or `_id`), else the number of
    the row; the others are attributes, as in a DataFrame. Rows are unpacked some hundreds at a time.

    Raises:
        DocumentError: it is no Parquet file, or has no column of text. MissingExtra: pyarrow is not installed.
    """
    arrow = require("pyarrow", extra="parquet", purpose="Reading Parquet files")
    parquet = require("pyarrow.parquet", extra="parquet", purpose="Reading Parquet files", package="pyarrow")
    damage = (arrow.ArrowException, OSError, ValueError, OverflowError)
    if isinstance(content, bytes):
        source: Any = io.BytesIO(content)
    else:
        source = open(regular_file(content), "rb")  # noqa: SIM115, PTH123 - a descriptor; closed below
    with source:
        number = 0
        try:
            file = parquet.ParquetFile(source, pre_buffer=False)
            names = [str(name) for name in file.schema_arrow.names]
            _check(names, opener)
            for batch in file.iter_batches(batch_size=_ROWS, use_threads=False):
                for record in batch.to_pylist():
                    number += 1
                    default = f"{place.id}:{number}"
                    try:
                        yield from_mapping(record, default_id=default, file_type="parquet", uri=place.uri)
                    except DocumentError as error:
                        yield Failure(default, error.message, record_id(record, default))
        except MemoryError:  # Arrow's own is one of its errors too
            raise
        except damage as error:
            raise DocumentError(
                f"Expected a Parquet file, got one that cannot be read as one: {error!s:.300}"
            ) from error


def _check(names: list[str], opener: Opener) -> None:
    if len(names) > opener.limits.columns:
        raise refused("columns", most=opener.limits.columns, got=f"{len(names):,}", unit="columns in a table")
    if not set(names) & set(TEXT_FIELDS):
        shown = ", ".join(name[:60] for name in names[:20]) + (" …" if len(names) > 20 else "")
        raise DocumentError(f"Expected a Parquet file with a column {' or '.join(TEXT_FIELDS)}, got {shown or 'none'}")
