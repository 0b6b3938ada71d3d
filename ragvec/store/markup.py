"""Buckets and indexes as HTML for notebooks; every text is escaped."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from ragvec.errors import NotFound

if TYPE_CHECKING:
    from ragvec.store.bucket import Bucket
    from ragvec.store.index import Index

__all__ = ["html_bucket", "html_index"]


def html_index(index: Index) -> str:
    """What an index is: name, records, dimension, metric, text fields; or that there is none of this name."""
    try:
        spec, records, text = index.spec, index.count(), index.text_fields
    except NotFound:
        return _said(f"{index!r}: does not exist")
    facts = f"{records:,} records of {spec.dimension} dimensions, {spec.metric}"
    searched = f"; text of {', '.join(text)}" if text else ""
    return _said(f"{index!r}: {facts}{searched}")


def html_bucket(bucket: Bucket) -> str:
    """The indexes of a bucket, or that there is none of this name."""
    try:
        indexes = bucket.indexes()
    except NotFound:
        return _said(f"{bucket!r}: does not exist")
    return _said(f"{bucket!r}: {len(indexes) or 'no'} {'index' if len(indexes) == 1 else 'indexes'}") + "".join(
        map(html_index, indexes)
    )


def _said(text: str) -> str:
    return f'<div style="overflow-wrap:anywhere">{html.escape(text)}</div>'
