"""The services that a server can be, by name."""

from __future__ import annotations

import importlib
from collections.abc import Iterable

from ragvec.errors import InvalidRequest
from ragvec.server.dialects.face import Face, Service
from ragvec.store import Store

__all__ = ["FACES", "faces"]

FACES = {
    "cos": "CosFace",
    "tos": "TosFace",
    "s3vectors": "S3VectorsFace",
    "kendra": "KendraFace",
    "oss": "OssFace",
}
"""In the order in which they are asked whether a request is theirs: S3 Vectors takes what is not signed, and so comes
after those whose paths are the same and who are sure of theirs."""


def faces(names: Iterable[str], service: Service, *, store: Store, folders: dict[str, str]) -> tuple[Face, ...]:
    """The services of these names over one store; `folders` are Kendra's, by the name of the bucket they stand for.

    Raises:
        InvalidRequest: there is no service of a name.
    """
    wanted = list(names)
    for name in wanted:
        if name not in FACES:
            raise InvalidRequest(f"Expected dialects among {', '.join(FACES)}; got {name!r}", path="dialects")
    return tuple(_face(name, service, store, folders) for name in FACES if name in wanted)


def _face(name: str, service: Service, store: Store, folders: dict[str, str]) -> Face:
    kind = getattr(importlib.import_module(f"ragvec.server.dialects.{name}"), FACES[name])
    face: Face = kind(service, store, folders=folders) if name == "kendra" else kind(service)
    return face
