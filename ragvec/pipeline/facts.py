"""What the file system knows of a document, as attributes, for those who ask for it."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from ragvec.pipeline.documents import Document

__all__ = ["file_facts"]


def file_facts(document: Document) -> dict[str, Any]:
    """Attributes of the file that a document comes from, for `attributes=`:

    `file_name` ("rates.xlsx") and `file_folders` (["travel", "2024"]) of its id, `file_size` in bytes, and
    `file_changed_at`, the time of its last change, in seconds. What is in an archive or a letter has the size and time
    of that. A document that comes from no file has no facts.

    The time is an attribute like any other: a document whose file was touched is written again.
    """
    parts = urlsplit(document.uri)
    if parts.scheme != "file":
        return {}
    inner = PurePosixPath(unquote(parts.fragment))
    path = Path(url2pathname(parts.path))
    facts: dict[str, Any] = {"file_name": inner.name or path.name}
    # The id is the path below what is loaded, unless it was given another.
    place = PurePosixPath(document.id)
    if place.name == facts["file_name"] and len(place.parts) > 1:
        facts["file_folders"] = list(place.parts[:-1])
    try:
        status = path.stat()
    except OSError:
        return facts  # gone meanwhile; what was read of it is still true
    changed = datetime.fromtimestamp(int(status.st_mtime), timezone.utc)
    return {**facts, "file_size": status.st_size, "file_changed_at": changed}
