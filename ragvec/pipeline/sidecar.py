"""Attributes that stand beside documents: in a jsonl file, in a mapping, or computed by a function."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from ragvec.errors import DocumentError
from ragvec.limits import FileLimits
from ragvec.pipeline.documents import Document
from ragvec.pipeline.loaders.lines import json_lines, json_object

__all__ = ["AttributeSource", "Sidecar"]

AttributeSource: TypeAlias = (
    "str | os.PathLike[str] | Mapping[str, Mapping[str, Any]] | Callable[[Document], Mapping[str, Any] | None] "
    "| Sequence[AttributeSource]"
)
"""A jsonl file with `id` or `path` in each line, a mapping by document id, a function, or several of these: the later
win."""


class Sidecar:
    """What is said of documents elsewhere than in them.

    Raises:
        DocumentError: the file does not exist, or a line of it is no object with `id` or `path`.
    """

    def __init__(self, source: AttributeSource | None, limits: FileLimits) -> None:
        self.file: Path | None = None
        self._by_id: dict[str, Mapping[str, Any]] = {}
        self._by_path: dict[Path, tuple[str, Mapping[str, Any]]] = {}
        self._several: list[Sidecar] = []
        self._function: Callable[[Document], Mapping[str, Any] | None] | None = None
        if isinstance(source, (str, os.PathLike)):
            self._read(Path(source), limits)
        elif isinstance(source, Mapping):
            self._by_id = {str(key): value for key, value in source.items()}
        elif isinstance(source, Sequence):
            self._several = [Sidecar(each, limits) for each in source]
            files = [each.file for each in self._several if each.file is not None]
            if len(files) > 1:
                raise DocumentError(f"Expected at most one file of attributes, got {len(files)}")
            self.file = files[0] if files else None
        elif callable(source):
            self._function = source
        elif source is not None:
            raise DocumentError(
                f"Expected a jsonl file, a mapping by document id, or a function as attributes, got {source!r:.100}"
            )

    def name(self, path: Path, *, default: str) -> str:
        """The id of the document in this file: the one given here, else `default`."""
        for each in self._several:
            default = each.name(path, default=default)
        given, record = self._by_path.get(path.resolve(), ("", None))
        document_id = given or default
        if record is not None:
            self._by_id[document_id] = record
        return document_id

    def of(self, document: Document) -> Mapping[str, Any]:
        """What is said of this document."""
        if self._function is not None:
            return self._function(document) or {}
        if self._several:
            return {name: value for each in self._several for name, value in each.of(document).items()}
        return self._by_id.get(document.id, {})

    def _read(self, path: Path, limits: FileLimits) -> None:
        if not path.is_file():
            raise DocumentError(
                f"Expected a jsonl file of attributes, got a path where there is none: {path}", source=str(path)
            )
        self.file = path.resolve()
        for number, line, _ in json_lines(path, limits):
            place = f"line {number} of {path}"
            try:
                if isinstance(line, DocumentError):
                    raise line
                record = json_object(line)
            except DocumentError as error:
                raise DocumentError(f"{error.message} - at {place}", source=place) from error
            self._add(record, self.file.parent, place)

    def _add(self, record: dict[str, Any], folder: Path, place: str) -> None:
        below, identity = record.pop("path", None), record.pop("id", None)
        if below is None and identity is None:
            raise DocumentError(f"Expected `id` or `path` - at {place}", source=place)
        given = "" if identity is None else str(identity)
        if given:
            self._by_id[given] = record
        if below is not None:
            try:
                self._by_path[(folder / str(below)).resolve()] = given, record
            except (OSError, RuntimeError, ValueError) as error:  # a NUL, a name too long, links in a circle
                raise DocumentError(f"Expected a path of a file: {error!s:.200} - at {place}", source=place) from error
