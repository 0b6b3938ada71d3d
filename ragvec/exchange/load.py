"""Importing a file into an index: all of it in one transaction, or nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

import msgspec

from ragvec.api.names import check_keys
from ragvec.api.records import Records, encode_records
from ragvec.errors import DocumentError, InvalidRequest
from ragvec.exchange.distinct import Distinct
from ragvec.exchange.jsonl import JsonlReader, open_jsonl
from ragvec.exchange.model import FileBatch, FileFormat, Header, Progress, format_of
from ragvec.exchange.parquet_reader import Foreign, ParquetReader, open_parquet

if TYPE_CHECKING:
    from ragvec.store import Index, Store
    from ragvec.types import Metric

__all__ = ["Import", "import_index"]

_PLACE = re.compile(r"(?:keys|vectors|metadata)\[(\d+)\]")


class Import(msgspec.Struct, frozen=True):
    """What was imported: `records` into `index` (bucket/name), which was `created` for them or there already."""

    path: str
    format: FileFormat
    index: str
    records: int
    created: bool


def import_index(
    store: Store,
    path: str | Path | BinaryIO,
    *,
    bucket: str,
    index: str,
    merge: bool = False,
    format: str | None = None,  # noqa: A002 - the word people look for
    key: str | None = None,
    vector: str | None = None,
    metadata: Sequence[str] | None = None,
    metric: Metric | None = None,
    non_filterable: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> Import:
    """Import a file of records into an index: one that `export_index` wrote, or any Parquet file with a key and a
    vector column. Everything or nothing: bucket and index are made where they are absent, and are not left behind when
    anything is wrong; with `merge` an index that holds records already takes these in one transaction, replacing those
    with equal keys. Memory is needed for some thousand records, and for eight bytes a key.

    For a Parquet file of another program, `key` and `vector` name its columns, `metadata` those that become metadata
    (by default all others), `metric` is cosine unless given, `non_filterable` is as for a new index.

    Raises:
        DocumentError: the file cannot be read or something in it is wrong; line or row, and column are named.
        InvalidRequest: the index is not empty, or does not go with the file. MissingExtra: Parquet needs pyarrow.
    """
    streamed = not isinstance(path, (str, Path))
    name = "standard input" if streamed else str(path)
    kind = format_of("" if streamed else cast("str | Path", path), format)
    foreign = Foreign(key, vector, metadata, metric, non_filterable)
    if kind == "jsonl" and any(given is not None for given in foreign):
        raise InvalidRequest("Expected columns and what an index is to be named for Parquet only", path="key")
    with ExitStack() as stack:
        reader: JsonlReader | ParquetReader
        if kind == "jsonl":
            reader = stack.enter_context(open_jsonl(path, name=name))
        else:
            reader = stack.enter_context(open_parquet(path, name=name, foreign=foreign))
        made = stack.enter_context(_destination(store, bucket, index, reader.header, merge=merge))
        records = _stored(made.index, reader, source=name, progress=progress)
        _take_properties(made.index, reader.header)
        made.finished = True
    return Import(path=name, format=kind, index=f"{bucket}/{index}", records=records, created=made.created)


def _stored(index: Index, reader: JsonlReader | ParquetReader, *, source: str, progress: Progress | None) -> int:
    session, spec = index.bucket.store._session, index.spec
    distinct = Distinct()

    def encoded() -> Iterator[Records]:
        for batch in reader.batches():
            try:
                check_keys(batch.keys, session.dialect, path="keys[{}]")
                _require_distinct(distinct, batch, unit=reader.unit, source=source)
                yield encode_records(session, spec, keys=batch.keys, vectors=batch.vectors, metadata=batch.metadata)
            except InvalidRequest as error:
                raise _placed(error, batch, unit=reader.unit, source=source) from error
            if progress is not None:
                progress(len(batch.keys))

    return session.engine.index(spec).put_batches(encoded())


def _require_distinct(distinct: Distinct, batch: FileBatch, *, unit: str, source: str) -> None:
    twice = distinct.add(batch.keys, batch.numbers)
    if twice is not None:
        first, second, key = twice
        raise DocumentError(
            f"{unit} {second} of {source}: key {key!r} is that of {unit} {first} too; nothing was imported",
            source=source,
        )


def _placed(error: InvalidRequest, batch: FileBatch, *, unit: str, source: str) -> DocumentError:
    """The error of a batch, with the place in the file."""
    found = _PLACE.match(error.path)
    if found:
        place = f"{unit} {batch.numbers[int(found[1])]}"
    else:
        place = f"{unit}s {batch.numbers[0]} to {batch.numbers[-1]}"
    return DocumentError(f"{place} of {source}: {error.message}; nothing was imported", source=source)


class _Made:
    """The index to fill."""

    def __init__(self, index: Index) -> None:
        self.index = index
        self.created = False
        self.finished = False


@contextmanager
def _destination(store: Store, bucket_name: str, name: str, header: Header, *, merge: bool) -> Iterator[_Made]:
    """The index to fill, made where it is absent; what was made goes again unless the body is finished."""
    with ExitStack() as undo:
        bucket = store.bucket(bucket_name)
        if not bucket.exists():
            store.create_bucket(bucket_name)
            undo.callback(bucket.delete)
        made = _Made(bucket.index(name))
        if not made.index.exists():
            bucket.create_index(
                name,
                dimension=header.dimension,
                metric=header.metric,
                non_filterable=header.non_filterable,
                text=header.text,
            )
            made.created = True
            undo.callback(made.index.delete_index)
        else:
            held = made.index.count()
            if held and not merge:
                raise InvalidRequest(
                    f"index {bucket_name}/{name} holds {held:,} vector{'s' if held > 1 else ''} already; `merge` "
                    "(--merge) adds to them, and replaces those with equal keys",
                    path="merge",
                )
            _check_same(made.index, header, name=f"{bucket_name}/{name}")
        yield made
        if made.finished:
            undo.pop_all()


def _check_same(index: Index, header: Header, *, name: str) -> None:
    """Refuse to mix what does not belong together."""
    from ragvec.pipeline.passages import ATTRIBUTES_PROPERTY, EMBEDDER_PROPERTY

    for what, here, there in (
        ("dimension", index.dimension, header.dimension),
        ("metric", index.metric, header.metric),
        ("non-filterable keys", sorted(index.non_filterable), sorted(header.non_filterable)),
    ):
        if here != there:
            raise InvalidRequest(f"index {name} has {what} {here}, and the file has {there}", path="index")
    embedder, theirs = index.property(EMBEDDER_PROPERTY), header.properties.get(EMBEDDER_PROPERTY)
    if embedder and theirs and embedder != theirs:
        raise InvalidRequest(
            f"index {name} was filled by the embedder {embedder}, and the file by {theirs}", path="index"
        )
    types, types_there = index.property(ATTRIBUTES_PROPERTY) or {}, header.properties.get(ATTRIBUTES_PROPERTY) or {}
    for attribute in sorted(types.keys() & types_there.keys()):
        if types[attribute] != types_there[attribute]:
            raise InvalidRequest(
                f"attribute {attribute!r} is {types[attribute]} in index {name}, {types_there[attribute]} in the file",
                path="index",
            )


def _take_properties(index: Index, header: Header) -> None:
    for name, value in header.properties.items():
        present = index.property(name)
        both = isinstance(present, dict) and isinstance(value, dict)
        index.set_property(name, {**value, **present} if both else value)
