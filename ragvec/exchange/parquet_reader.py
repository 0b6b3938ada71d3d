"""Records from Parquet files: those that `ragvec.exchange.parquet` writes, and those of other programs.

In a file of another program the key is in the column `key`, `id`, `ids` or `_id`, the vector in `vector`, `embedding`,
`embeddings` or `values`, unless they are named. Vectors are lists, or lists of fixed size, of floats of 16, 32 or 64
bits. Metadata is what a column `metadata` holds (a JSON object as text, a struct or a map), or else every other column;
missing values are left out, and dates are texts in ISO 8601.
"""

from __future__ import annotations

import datetime
import decimal
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from ragvec.errors import DocumentError, InvalidRequest
from ragvec.exchange.model import FileBatch, Header
from ragvec.exchange.parquet import EXTRA, HEADER, PURPOSE
from ragvec.extras import require
from ragvec.types import Metric

__all__ = ["Foreign", "ParquetReader", "open_parquet"]

_KEYS = ("key", "id", "ids", "_id")
_VECTORS = ("vector", "embedding", "embeddings", "values")
_NUMBERS = 1 << 21
_MOST_ROWS = 8192

_decode = msgspec.json.Decoder(dict[str, Any]).decode


class Foreign(NamedTuple):
    """How a file of another program is to be read; None where the file or the defaults say."""

    key: str | None = None
    vector: str | None = None
    metadata: Sequence[str] | None = None
    metric: Metric | None = None
    non_filterable: Sequence[str] | None = None


@contextmanager
def open_parquet(source: str | Path | BinaryIO, *, name: str, foreign: Foreign) -> Iterator[ParquetReader]:
    """A reader of such a file.

    Raises:
        MissingExtra. DocumentError: it is no Parquet file, or cannot be read. InvalidRequest: a column named in
        `foreign` is not there.
    """
    arrow = require("pyarrow", extra=EXTRA, purpose=PURPOSE)
    parquet = require("pyarrow.parquet", extra=EXTRA, purpose=PURPOSE)
    try:
        file = parquet.ParquetFile(str(source) if isinstance(source, Path) else source, memory_map=False)
    except (OSError, arrow.ArrowException, UnicodeDecodeError) as error:
        raise DocumentError(f"cannot read {name}: {_first_line(error)}", source=name) from error
    with file:
        try:
            reader = ParquetReader(file, arrow, name=name, foreign=foreign)
        except (OSError, arrow.ArrowException, UnicodeDecodeError) as error:
            raise DocumentError(f"cannot read {name}: {_first_line(error)}", source=name) from error
        yield reader


class ParquetReader:
    """`header`, and the records once."""

    unit = "row"

    def __init__(self, file: Any, arrow: Any, *, name: str, foreign: Foreign) -> None:
        self._file = file
        self._arrow = arrow
        self._name = name
        schema = file.schema_arrow
        told = (schema.metadata or {}).get(HEADER)
        if told is None:
            self._key = _chosen(schema, foreign.key, _KEYS, what="key", source=name)
            self._vector = _chosen(schema, foreign.vector, _VECTORS, what="vector", source=name)
            self._typed = self._metadata_columns(schema, foreign.metadata)
            self.header = Header(
                dimension=self._dimension(schema),
                metric=foreign.metric or "cosine",
                non_filterable=sorted(foreign.non_filterable or ()),
                properties={},
            )
        else:
            if any(given is not None for given in foreign):
                raise InvalidRequest(
                    f"Expected no columns, metric or non-filterable keys to be named: {name} is an export of ragvec, "
                    "which tells them",
                    path="key",
                )
            header = self._own_header(told)
            self.header = Header.read(header, source=name, place="the header")
            self._key, self._vector = "key", "vector"
            self._typed = [column for column in header["columns"] if column in schema.names]
            self._dimension(schema)
        self._rest = "metadata" if "metadata" in schema.names and "metadata" not in self._typed else None
        if told is None and foreign.metadata is not None:
            self._rest = None

    def batches(self) -> Iterator[FileBatch]:
        """The records, with the numbers of their rows from 0. Raises DocumentError."""
        columns = list(dict.fromkeys([self._key, self._vector, *self._typed, *([self._rest] if self._rest else [])]))
        size = max(1, min(_MOST_ROWS, _NUMBERS // max(1, self.header.dimension)))
        first = 0
        try:
            for batch in self._file.iter_batches(batch_size=size, columns=columns):
                yield self._converted(batch, first)
                first += batch.num_rows
        except (OSError, self._arrow.ArrowException, UnicodeDecodeError) as error:
            raise DocumentError(f"cannot read {self._name}: {_first_line(error)}", source=self._name) from error
        if first != self._file.metadata.num_rows:
            raise DocumentError(f"{self._name} ends after {first:,} rows", source=self._name)

    def _converted(self, batch: Any, first: int) -> FileBatch:
        keys = self._keys(batch.column(self._key), first)
        vectors = self._vectors(batch.column(self._vector), first)
        typed = {name: self._plain(batch.column(name), name, first) for name in self._typed}
        rest = self._objects(batch.column(self._rest), first) if self._rest else [{} for _ in keys]
        for name, values in typed.items():
            for entries, value in zip(rest, values, strict=True):
                if value is not None:
                    entries[name] = value
        metadata: list[dict[str, Any] | None] = list(rest)
        return FileBatch(keys, vectors, metadata, list(range(first, first + len(keys))))

    def _keys(self, column: Any, first: int) -> list[str]:
        keys = column.to_pylist()
        for at, key in enumerate(keys):
            if isinstance(key, int) and not isinstance(key, bool):
                keys[at] = str(key)
            elif not isinstance(key, str):
                raise self._wrong(first + at, self._key, f"expected a text or an integer as key, got {key!r}")
        return list(keys)

    def _vectors(self, column: Any, first: int) -> npt.NDArray[Any]:
        dimension = self.header.dimension
        if column.null_count:
            at = column.is_null().to_pylist().index(True)
            raise self._wrong(first + at, self._vector, "expected a vector, got null")
        kinds = self._arrow.types
        if not kinds.is_fixed_size_list(column.type):
            lengths = column.value_lengths().to_numpy(zero_copy_only=False)
            if (lengths != dimension).any():
                at = int(np.flatnonzero(lengths != dimension)[0])
                raise self._wrong(first + at, self._vector, f"expected {dimension} numbers, got {lengths[at]}")
        numbers = column.flatten()
        if numbers.null_count:
            at = numbers.is_null().to_pylist().index(True)
            raise self._wrong(first + at // dimension, self._vector, f"expected a number, got null at {at % dimension}")
        found: npt.NDArray[Any] = numbers.to_numpy(zero_copy_only=False).reshape(len(column), dimension)
        return found

    def _plain(self, column: Any, name: str, first: int) -> list[Any]:
        try:
            return [_value(value) for value in column.to_pylist()]
        except TypeError:
            for at, value in enumerate(column.to_pylist()):
                try:
                    _value(value)
                except TypeError as error:
                    raise self._wrong(first + at, name, str(error)) from None
            raise

    def _objects(self, column: Any, first: int) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for at, value in enumerate(column.to_pylist()):
            try:
                if isinstance(value, (str, bytes)):
                    found.append(_decode(value))
                elif value is None:
                    found.append({})
                else:
                    entries = dict(value)  # a struct, or the pairs of a map
                    found.append({name: plain for name, one in entries.items() if (plain := _value(one)) is not None})
            except (msgspec.MsgspecError, UnicodeDecodeError, TypeError, ValueError, RecursionError) as error:
                raise self._wrong(first + at, "metadata", f"expected a JSON object or a struct: {error}") from None
        return found

    def _dimension(self, schema: Any) -> int:
        """The length of the vectors; of lists without a fixed size that of the first one."""
        kinds, kind = self._arrow.types, schema.field(self._vector).type
        listed = kinds.is_list(kind) or kinds.is_large_list(kind) or kinds.is_fixed_size_list(kind)
        if not listed or not (kinds.is_floating(kind.value_type) or kinds.is_integer(kind.value_type)):
            raise DocumentError(
                f"column {self._vector!r} of {self._name}: expected lists of numbers, got {kind}", source=self._name
            )
        if kinds.is_fixed_size_list(kind):
            return int(kind.list_size)
        for batch in self._file.iter_batches(batch_size=1, columns=[self._vector]):
            first = batch.column(0)[0].as_py()
            return len(first or ())
        raise DocumentError(f"{self._name} has no rows, so nobody can tell how long its vectors are", source=self._name)

    def _metadata_columns(self, schema: Any, given: Sequence[str] | None) -> list[str]:
        if given is not None:
            for name in given:
                _chosen(schema, name, (), what="metadata", source=self._name)
            return list(given)
        if "metadata" in schema.names and self._is_object(schema.field("metadata").type):
            return []
        return [
            name
            for name in schema.names
            if name not in (self._key, self._vector) and not name.startswith("__index_level_")
        ]

    def _is_object(self, kind: Any) -> bool:
        kinds = self._arrow.types
        tests = (kinds.is_string, kinds.is_large_string, kinds.is_struct, kinds.is_map)
        return any(test(kind) for test in tests)

    def _own_header(self, told: bytes) -> dict[str, Any]:
        try:
            header = _decode(told)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise DocumentError(f"the header of {self._name} is damaged: {error}", source=self._name) from error
        if not isinstance(header.get("columns"), list):
            raise DocumentError(f"the header of {self._name} names no columns", source=self._name)
        missing = [name for name in ("key", "vector", *header["columns"]) if name not in self._file.schema_arrow.names]
        if missing:
            raise DocumentError(f"{self._name} lacks the column {missing[0]!r}", source=self._name)
        return header

    def _wrong(self, row: int, column: str, what: str) -> DocumentError:
        return DocumentError(f"row {row} (from 0), column {column!r} of {self._name}: {what}", source=self._name)


def _chosen(schema: Any, given: str | None, usual: Sequence[str], *, what: str, source: str) -> str:
    listed = ", ".join(schema.names)
    if given is not None:
        if given not in schema.names:
            raise InvalidRequest(f"{source} has no column {given!r} for {what}; it has {listed}", path=what)
        return given
    for name in usual:
        if name in schema.names:
            return name
    raise InvalidRequest(
        f"{source} has no column {' or '.join(usual)}: name the one of the {what}; it has {listed}", path=what
    )


def _value(value: Any) -> Any:
    """A metadata value, None for a missing one. Raises TypeError for what metadata cannot hold."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, (str, bool, int, float)):
        return value
    if isinstance(value, list):
        return [plain for one in value if (plain := _value(one)) is not None] or None
    if isinstance(value, (datetime.date, datetime.time)):  # datetimes are dates
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    raise TypeError(f"expected a text, a number, a boolean, or a list of these, got {type(value).__name__}")


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__).rstrip(".")
