"""`ragvec export` and `ragvec import`: an index as a file of JSON lines, plain or gzip.

The first line tells what the index is, each further line is one record in byte order of key, and the last line counts
them, so that a file that was cut short is known for it:

    {"ragvec":"export","format":1,"dimension":2,"metric":"cosine","non_filterable":["text"],"properties":{}}
    {"key":"a","data":[0.1,0.2],"metadata":{"year":2024}}
    {"records":1}

The same index gives the same bytes, and so does an index imported from them.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import itertools
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from ragvec.cli.arguments import Commands, Target, command, target
from ragvec.cli.opening import existing_store, open_index, writable_store
from ragvec.cli.output import Output, number_text
from ragvec.cli.problems import CommandError, UsageError
from ragvec.cli.records import Line, parse_line, read_lines, shortest, store_lines

if TYPE_CHECKING:
    from ragvec.store import Index, Store
    from ragvec.types import Record

__all__ = ["add"]

_FORMAT = 1
_FIRST = '{"ragvec":"export",…}'
_BATCH = 500
_HEADER = {"dimension": int, "metric": str, "non_filterable": list, "properties": dict}


def add(commands: Commands[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    """Add the commands."""
    export = command(
        commands,
        "export",
        run=_export,
        summary="write an index to a file of JSON lines",
        description=(
            "Write an index to a file: a line that tells its dimension, metric, non-filterable keys and properties, "
            "then one record a line, then a line that counts them. FILE is compressed when its name ends in .gz; `-` "
            "is standard output."
        ),
        examples="ragvec export work/notes notes.jsonl.gz\nragvec export work/notes - | head -2",
        parents=(common,),
    )
    export.add_argument("index", metavar="BUCKET/INDEX", type=target)
    export.add_argument("file", metavar="FILE")
    load = command(
        commands,
        "import",
        run=_import,
        summary="read an index from such a file",
        description=(
            "Read an index from a file that `ragvec export` wrote, plain or gzip; `-` is standard input. The "
            "bucket and the index are made; when anything is wrong with the file, they are not left behind.\n\n"
            "With --merge the records are added to an index that holds some already, replacing those with equal keys."
        ),
        examples="ragvec import notes.jsonl.gz work/notes\nragvec import more.jsonl work/notes --merge",
        parents=(common,),
    )
    load.add_argument("file", metavar="FILE")
    load.add_argument("index", metavar="BUCKET/INDEX", type=target)
    load.add_argument("--merge", action="store_true", help="into an index that is not empty")


# -- export ------------------------------------------------------------------------------------------------------------


def _export(arguments: argparse.Namespace, output: Output) -> int:
    if arguments.file == "-" and output.json:
        raise UsageError("records and --json would both go to standard output; name a file or leave out --json")
    with existing_store(arguments.store) as store:
        index = open_index(store, arguments.index)
        total = index.count()
        records = output.progress(index.iter(data=True), label="exporting", total=total)
        with _writing(arguments.file) as sink:
            written = _write(index, records, sink)
    if arguments.file != "-":
        output.tell(
            {"exported": written, "file": arguments.file},
            f"Exported {number_text(written, 'record')} of {arguments.index} to {arguments.file}.",
        )
    return 0


def _write(index: Index, records: Iterable[Record], sink: IO[bytes]) -> int:
    import msgspec
    import numpy as np

    from ragvec.pipeline.passages import ATTRIBUTES_PROPERTY, EMBEDDER_PROPERTY

    encode = msgspec.json.encode
    header = {
        "ragvec": "export",
        "format": _FORMAT,
        "dimension": index.dimension,
        "metric": index.metric,
        "non_filterable": sorted(index.non_filterable),
        "properties": {
            name: value
            for name in (ATTRIBUTES_PROPERTY, EMBEDDER_PROPERTY)
            if (value := index.property(name)) is not None
        },
    }
    sink.write(encode(header) + b"\n")
    written = 0
    rest = iter(records)
    while batch := list(itertools.islice(rest, _BATCH)):
        numbers = shortest(np.stack([record.data for record in batch if record.data is not None])).tolist()
        for record, data in zip(batch, numbers, strict=True):
            sink.write(encode({"key": record.key, "data": data, "metadata": record.metadata or {}}) + b"\n")
        written += len(batch)
    sink.write(encode({"records": written}) + b"\n")
    return written


@contextmanager
def _writing(path: str) -> Iterator[IO[bytes]]:
    """A file that gets its name only when it is whole; gzip without date, so that equal records give equal bytes."""
    if path == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    final = Path(path)
    part = final.with_name(final.name + ".part")
    try:
        with contextlib.ExitStack() as undo:
            undo.callback(part.unlink, missing_ok=True)
            with part.open("wb") as raw, contextlib.ExitStack() as packing:
                if final.suffix == ".gz":
                    packer = gzip.GzipFile("", "wb", 6, raw, mtime=0)
                    yield cast("IO[bytes]", packing.enter_context(packer))
                else:
                    yield raw
            part.replace(final)
    except OSError as error:
        raise CommandError(f"cannot write {path}: {error.strerror or error}") from error


# -- import ------------------------------------------------------------------------------------------------------------


def _import(arguments: argparse.Namespace, output: Output) -> int:
    with read_lines(arguments.file) as lines:
        header = _read_header(lines, arguments.file)
        records = output.progress(_records(lines, header, source=arguments.file), label="importing", unit="record")
        with writable_store(arguments.store) as store, _destination(store, arguments, header) as (index, fresh):
            stored = store_lines(index, records, source=arguments.file, dimension=header["dimension"], taken_back=fresh)
            if fresh and (kept := index.count()) != stored:
                raise CommandError(
                    f"{arguments.file} holds {stored:,} records and only {kept:,} distinct keys; nothing was imported"
                )
            for name, value in header["properties"].items():
                present = index.property(name)
                both = isinstance(present, dict) and isinstance(value, dict)
                index.set_property(name, {**value, **present} if both else value)
    output.tell(
        {"imported": stored, "index": str(arguments.index)},
        f"Imported {number_text(stored, 'record')} into {arguments.index}.",
    )
    return 0


def _read_header(lines: Iterator[tuple[int, bytes]], source: str) -> dict[str, Any]:
    import msgspec

    _, line = next(lines, (0, b""))
    try:
        header = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        header = None
    if not isinstance(header, dict) or header.get("ragvec") != "export":
        raise CommandError(
            f"{source} is not an export of ragvec, which begins with {_FIRST}; it begins with {line[:60]!r}"
        )
    version = header.get("format")
    if not isinstance(version, int) or version > _FORMAT:
        raise CommandError(f"{source} has format {version!r}; this ragvec reads up to {_FORMAT}: upgrade ragvec")
    for name, kind in _HEADER.items():
        if not isinstance(header.get(name), kind):
            got = repr(header.get(name))
            raise CommandError(f"line 1 of {source}: expected {name} of type {kind.__name__}, got {got}")
    return header


def _records(lines: Iterator[tuple[int, bytes]], header: dict[str, Any], *, source: str) -> Iterator[Line]:
    """The records, once the last line has confirmed how many there are."""
    seen = 0
    for number, line in lines:
        if line.startswith(b'{"records":'):
            if line.strip() != b'{"records":%d}' % seen:
                end = line.strip().decode(errors="replace")
                raise CommandError(
                    f"line {number} of {source}: {end} after {seen:,} records: some are missing or added"
                )
            if next(lines, None) is not None:
                raise CommandError(f"{source} goes on after line {number}, which should be its last")
            return
        yield parse_line(number, line, source=source, dimension=header["dimension"])
        seen += 1
    raise CommandError(f"{source} is cut short: it ends after {seen:,} records without the line that counts them")


@contextmanager
def _destination(store: Store, arguments: argparse.Namespace, header: dict[str, Any]) -> Iterator[tuple[Index, bool]]:
    """The index to fill, and whether it is new or was empty: then it is as it was before when the body raises."""
    target_: Target = arguments.index
    with contextlib.ExitStack() as undo:
        bucket = store.bucket(target_.bucket)
        if not bucket.exists():
            store.create_bucket(target_.bucket)
            undo.callback(bucket.delete)
        index = bucket.index(target_.name)
        fresh = True
        if not index.exists():
            bucket.create_index(
                target_.name,
                dimension=header["dimension"],
                metric=header["metric"],
                non_filterable=header["non_filterable"],
            )
            undo.callback(index.delete_index)
        else:
            held = index.count()
            if held and not arguments.merge:
                raise CommandError(
                    f"index {target_} holds {number_text(held, 'vector')} already; --merge adds to them, and replaces "
                    "those with equal keys"
                )
            _check_same(index, header, name=str(target_))
            fresh = not held
            if fresh:
                undo.callback(index.delete, where={})
        yield index, fresh
        undo.pop_all()


def _check_same(index: Index, header: dict[str, Any], *, name: str) -> None:
    """Refuse to mix what does not belong together."""
    from ragvec.pipeline.passages import ATTRIBUTES_PROPERTY, EMBEDDER_PROPERTY

    for what, here, there in (
        ("dimension", index.dimension, header["dimension"]),
        ("metric", index.metric, header["metric"]),
        ("non-filterable keys", sorted(index.non_filterable), sorted(header["non_filterable"])),
    ):
        if here != there:
            raise CommandError(f"index {name} has {what} {here}, and the file has {there}")
    embedder, theirs = index.property(EMBEDDER_PROPERTY), header["properties"].get(EMBEDDER_PROPERTY)
    if embedder and theirs and embedder != theirs:
        raise CommandError(f"index {name} was filled by the embedder {embedder}, and the file by {theirs}")
    types, types_there = index.property(ATTRIBUTES_PROPERTY) or {}, header["properties"].get(ATTRIBUTES_PROPERTY) or {}
    for attribute in sorted(types.keys() & types_there.keys()):
        if types[attribute] != types_there[attribute]:
            raise CommandError(
                f"attribute {attribute!r} is {types[attribute]} in index {name}, {types_there[attribute]} in the file"
            )
