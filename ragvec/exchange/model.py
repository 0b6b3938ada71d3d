"""What every file format of exchange carries: a description of the index, and records in batches."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias, cast, get_args

import msgspec

from ragvec.errors import DocumentError, InvalidRequest
from ragvec.types import Metric

if TYPE_CHECKING:
    from ragvec.store import Index

__all__ = ["FORMAT", "FileBatch", "FileFormat", "Header", "Progress", "format_of"]

FORMAT = 1
"""Of the header, in either file format."""

FileFormat: TypeAlias = Literal["jsonl", "parquet"]

Progress: TypeAlias = Callable[[int], object]
"""Told how many more records are done."""


class Header(msgspec.Struct, frozen=True):
    """What an index is, and the `properties` that the pipeline keeps with it. `text` are its text fields: languages by
    metadata key; a file without says nothing of them."""

    dimension: int
    metric: Metric
    non_filterable: list[str]
    properties: dict[str, Any]
    text: dict[str, str | None] = {}

    def document(self) -> dict[str, Any]:
        """By name, as a file has it."""
        told = msgspec.structs.asdict(self)
        return told if self.text else {name: value for name, value in told.items() if name != "text"}

    @classmethod
    def of(cls, index: Index) -> Header:
        """That of an index."""
        from ragvec.pipeline.passages import ATTRIBUTES_PROPERTY, EMBEDDER_PROPERTY

        spec = index.spec
        names = (ATTRIBUTES_PROPERTY, EMBEDDER_PROPERTY)
        return cls(
            dimension=spec.dimension,
            metric=spec.metric,
            non_filterable=sorted(spec.non_filterable),
            properties={name: value for name in names if (value := index.property(name)) is not None},
            text=index.text_fields,
        )

    @classmethod
    def read(cls, header: dict[str, Any], *, source: str, place: str) -> Header:
        """From JSON; `place` says where in the file `source` it stands. Raises DocumentError."""
        version = header.get("format")
        if not isinstance(version, int) or version > FORMAT:
            raise DocumentError(
                f"{source} has format {version!r}; this ragvec reads up to {FORMAT}: upgrade ragvec", source=source
            )
        kinds = {"dimension": int, "metric": str, "non_filterable": list, "properties": dict}
        for name, kind in kinds.items():
            if not isinstance(header.get(name), kind):
                raise DocumentError(
                    f"{place} of {source}: expected {name} of type {kind.__name__}, got {header.get(name)!r}",
                    source=source,
                )
        if header["metric"] not in get_args(Metric):
            raise DocumentError(
                f"{place} of {source}: expected metric cosine or euclidean, got {header['metric']!r}", source=source
            )
        text = header.get("text", {})
        if not isinstance(text, dict) or not all(isinstance(value, (str, type(None))) for value in text.values()):
            raise DocumentError(f"{place} of {source}: expected languages by key as text, got {text!r}", source=source)
        return cls(header["dimension"], header["metric"], header["non_filterable"], header["properties"], text)


class FileBatch(NamedTuple):
    """Records as a file has them: `vectors` is what `ragvec.arrays.to_matrix` takes, `numbers` are those of the lines
    or rows."""

    keys: list[str]
    vectors: Any
    metadata: list[dict[str, Any] | None]
    numbers: list[int]


def format_of(path: str | Path, given: str | None) -> FileFormat:
    """The format of a file: the one given, else by its name. Raises InvalidRequest."""
    if given is not None:
        if given not in get_args(FileFormat):
            raise InvalidRequest(f"Expected format jsonl or parquet, got {given!r}", path="format")
        return cast(FileFormat, given)
    name = str(path).lower()
    return "parquet" if name.endswith((".parquet", ".pq")) else "jsonl"
