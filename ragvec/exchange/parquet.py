"""An index as a Parquet file.

    key       string                              in byte order
    vector    fixed_size_list<float>[dimension]
    metadata  string                              a JSON object; null for an empty one

With typed columns, every metadata key whose values are all texts, all booleans, all integers of 64 bits, all floats, or
all lists of one of these is a column of its own, null where a record has none; what is left of a record is in
`metadata`, where anything is. The file's own metadata tells under `ragvec`, as JSON, what the first line of JSON lines
tells, and `columns`, the typed ones. Integers and floats never share a column, so that reading gives back what was
written, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any

import msgspec
import numpy as np

from ragvec.engine.local.as_of import AsOfPage
from ragvec.exchange.model import FORMAT, Header
from ragvec.extras import require

__all__ = ["EXTRA", "HEADER", "PURPOSE", "write_parquet"]

EXTRA = "parquet"
PURPOSE = "Parquet"
HEADER = b"ragvec"
_TAKEN = frozenset({"key", "vector", "metadata"})
_GROUP_ROWS = 16_384
_GROUP_NUMBERS = 1 << 24
_INT64 = (-(2**63), 2**63 - 1)
_KINDS = {str: "text", bool: "boolean", int: "integer", float: "float"}

_decode = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.encode


def write_parquet(
    sink: IO[bytes],
    header: Header,
    pages: Iterable[AsOfPage],
    *,
    survey: Callable[[], Iterable[AsOfPage]] | None = None,
) -> int:
    """Write all records and return how many there were; with `survey`, which gives them once before, in typed columns.

    Raises MissingExtra, OSError.
    """
    arrow = require("pyarrow", extra=EXTRA, purpose=PURPOSE)
    parquet = require("pyarrow.parquet", extra=EXTRA, purpose=PURPOSE)
    kinds, with_rest = ({}, True) if survey is None else _surveyed(survey())
    schema = _schema(arrow, header, kinds, with_rest=with_rest)
    rows = max(1, min(_GROUP_ROWS, _GROUP_NUMBERS // header.dimension))
    packed = dict.fromkeys(schema.names, "zstd")
    packed["vector.list.element"] = packed["vector"] = "none"
    written = 0
    with parquet.ParquetWriter(
        sink, schema, compression=packed, use_dictionary=[*kinds, "metadata"], write_statistics=["key", *kinds]
    ) as writer:
        for group in _groups(pages, rows):
            writer.write_batch(_batch(arrow, schema, group, kinds), row_group_size=rows)
            written += len(group.keys)
    return written


def _groups(pages: Iterable[AsOfPage], rows: int) -> Iterator[AsOfPage]:
    """The records, so many at a time, the last ones fewer."""
    waiting: list[AsOfPage] = []
    count = 0
    for page in pages:
        waiting.append(page)
        count += len(page.keys)
        while count >= rows:
            whole = _joined(waiting)
            yield _part(whole, 0, rows)
            waiting, count = [_part(whole, rows, count)], count - rows
    if count:
        yield _joined(waiting)


def _joined(pages: list[AsOfPage]) -> AsOfPage:
    return AsOfPage(
        [key for page in pages for key in page.keys],
        np.concatenate([page.vectors for page in pages]),
        [blob for page in pages for blob in page.metadata],
        [],
    )


def _part(page: AsOfPage, first: int, last: int) -> AsOfPage:
    return AsOfPage(page.keys[first:last], page.vectors[first:last], page.metadata[first:last], [])


def _surveyed(pages: Iterable[AsOfPage]) -> tuple[dict[str, str], bool]:
    """The kind of every metadata key that can be a column, by name, and whether anything else is left."""
    found: dict[str, str | None] = {}
    for page in pages:
        for blob in page.metadata:
            for name, value in _decode(blob).items() if blob else ():
                kind = _kind(value)
                if found.setdefault(name, kind) != kind:
                    found[name] = None
    typed = {name: kind for name, kind in sorted(found.items()) if kind is not None and name not in _TAKEN}
    return typed, len(typed) < len(found)


def _kind(value: Any) -> str | None:
    if isinstance(value, list):
        kinds = set(map(_kind, value))
        return f"list of {kinds.pop()}" if len(kinds) == 1 and None not in kinds else None
    if type(value) is int and not _INT64[0] <= value <= _INT64[1]:
        return None
    return _KINDS.get(type(value))


def _schema(arrow: Any, header: Header, kinds: dict[str, str], *, with_rest: bool) -> Any:
    scalars = {
        "text": arrow.string(),
        "boolean": arrow.bool_(),
        "integer": arrow.int64(),
        "float": arrow.float64(),
    }
    types = scalars | {f"list of {name}": arrow.list_(kind) for name, kind in scalars.items()}
    fields = [
        arrow.field("key", arrow.string(), nullable=False),
        arrow.field("vector", arrow.list_(arrow.field("element", arrow.float32(), nullable=False), header.dimension)),
    ]
    if with_rest:
        fields.append(arrow.field("metadata", arrow.string()))
    fields += [arrow.field(name, types[kind]) for name, kind in kinds.items()]
    told = {"format": FORMAT, **header.document(), "columns": list(kinds)}
    return arrow.schema(fields, metadata={HEADER: _encode(told)})


def _batch(arrow: Any, schema: Any, group: AsOfPage, kinds: dict[str, str]) -> Any:
    dimension = group.vectors.shape[1]
    numbers = arrow.array(np.ascontiguousarray(group.vectors).reshape(-1))
    made = {
        "key": arrow.array(group.keys, type=arrow.string()),
        "vector": arrow.FixedSizeListArray.from_arrays(numbers, type=schema.field("vector").type),
    }
    assert len(made["vector"]) == len(group.keys), f"vectors of {dimension} numbers"
    if kinds:
        rest = []
        columns: dict[str, list[Any]] = {name: [] for name in kinds}
        for blob in group.metadata:
            entries = _decode(blob) if blob else {}
            for name, values in columns.items():
                values.append(entries.pop(name, None))
            rest.append(_encode(entries).decode() if entries else None)
        made |= {name: arrow.array(values, type=schema.field(name).type) for name, values in columns.items()}
    else:
        rest = [blob.decode() if blob and blob != b"{}" else None for blob in group.metadata]
    if "metadata" in schema.names:
        made["metadata"] = arrow.array(rest, type=arrow.string())
    return arrow.record_batch([made[name] for name in schema.names], schema=schema)
