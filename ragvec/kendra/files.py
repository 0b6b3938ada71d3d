"""Files that requests name by S3Path: buckets are folders of this machine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

from ragvec.errors import InvalidRequest
from ragvec.kendra.problems import shown, unexpected

__all__ = ["Folders", "read_named_file"]

Folders: TypeAlias = "Mapping[str, str | os.PathLike[str]]"
"""The folder that stands for each bucket."""

_BUCKET = 63
_KEY = 1024


def read_named_file(folders: Folders, named: Mapping[str, Any], *, most: int, path: str = "S3Path") -> bytes:
    """The content of the file that `{"Bucket", "Key"}` names; the folder that stands for the bucket is in `folders`.

    Nothing outside that folder is ever read, also not through links.

    Raises:
        InvalidRequest: no folder stands for the bucket, it has no such file, or one of more than `most` bytes.
    """
    bucket, key = named.get("Bucket"), named.get("Key")
    if not isinstance(bucket, str) or not 3 <= len(bucket) <= _BUCKET:
        raise unexpected(f"a bucket's name of 3 to {_BUCKET} characters", shown(bucket), path=f"{path}.Bucket")
    if not isinstance(key, str) or not 1 <= len(key) <= _KEY or "\0" in key:
        raise unexpected(f"a key of 1 to {_KEY} characters", shown(key), path=f"{path}.Key")
    if bucket not in folders:
        known = ", ".join(map(repr, sorted(folders))) or "none"
        raise InvalidRequest(
            f"No folder stands for the bucket {bucket!r}: pass Client(..., folders={{{bucket!r}: folder}}); known are "
            f"{known} - at `{path}.Bucket`",
            path=f"{path}.Bucket",
        )
    try:
        root = Path(folders[bucket]).resolve()
        file = (root / key).resolve()
        if not file.is_relative_to(root):
            raise InvalidRequest(f"The key {shown(key)} leads out of the bucket - at `{path}.Key`", path=f"{path}.Key")
        if not file.is_file():
            raise InvalidRequest(
                f"The bucket {bucket!r} has no file {shown(key)} - at `{path}.Key`", path=f"{path}.Key"
            )
        with file.open("rb") as stream:
            content = stream.read(most + 1)
    except (OSError, RuntimeError, ValueError) as error:  # links in a circle; half a surrogate pair
        raise InvalidRequest(f"The file {shown(key)} cannot be read: {error} - at `{path}.Key`", path=path) from error
    if len(content) > most:
        raise unexpected(f"a file of at most {most:,} bytes", f"more in {shown(key)}", path=f"{path}.Key")
    return content
