"""`ragvec export` and `ragvec import`: an index as a file of JSON lines, plain or gzip, or as a Parquet file."""

from __future__ import annotations

import argparse
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ragvec.cli.arguments import Commands, command, target
from ragvec.cli.opening import existing_store, open_index, writable_store
from ragvec.cli.output import Output, number_text
from ragvec.cli.problems import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["add"]

_FORMATS = ("jsonl", "parquet")


def add(commands: Commands[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    """Add the commands."""
    export = command(
        commands,
        "export",
        run=_export,
        summary="write an index to a file of JSON lines or Parquet",
        description=(
            "Write an index, as it is at this moment, to a file: as JSON lines, compressed when its name ends in .gz, "
            "or as Parquet when it ends in .parquet. `-` is standard output.\n\n"
            "JSON lines begin with a line that tells dimension, metric, non-filterable keys and properties, then comes "
            "one record a line, then a line that counts them. Parquet has the columns key, vector and metadata, the "
            "last as JSON text; with --columns every metadata key of one type has its own."
        ),
        examples=(
            "ragvec export work/notes notes.jsonl.gz\nragvec export work/notes notes.parquet --columns\n"
            "ragvec export work/notes - | head -2"
        ),
        parents=(common,),
    )
    export.add_argument("index", metavar="BUCKET/INDEX", type=target)
    export.add_argument("file", metavar="FILE")
    export.add_argument("--columns", action="store_true", help="Parquet: a column for each metadata key of one type")
    export.add_argument(
        "--skip-damaged", action="store_true", help="leave out records that do not match their checksum"
    )
    load = command(
        commands,
        "import",
        run=_import,
        summary="read an index from such a file, or from any Parquet file",
        description=(
            "Read an index from a file that `ragvec export` wrote, or from a Parquet file of another program that has "
            "a column of keys and one of vectors; `-` is standard input. The bucket and the index are made; when "
            "anything is wrong with the file, nothing is left behind.\n\n"
            "With --merge the records are added to an index that holds some already, replacing those with equal keys."
        ),
        examples=(
            "ragvec import notes.jsonl.gz work/notes\nragvec import more.jsonl work/notes --merge\n"
            "ragvec import chroma.parquet work/notes --key-column id --vector-column embedding"
        ),
        parents=(common,),
    )
    load.add_argument("file", metavar="FILE")
    load.add_argument("index", metavar="BUCKET/INDEX", type=target)
    load.add_argument("--merge", action="store_true", help="into an index that is not empty")
    load.add_argument("--key-column", metavar="NAME", help="Parquet of another program: the column of the keys")
    load.add_argument("--vector-column", metavar="NAME", help="the column of the vectors")
    load.add_argument(
        "--metadata-column",
        metavar="NAME",
        action="append",
        help="a column that becomes metadata; may be repeated (default: all others)",
    )
    load.add_argument("--metric", choices=("cosine", "euclidean"), help="of the new index (default: cosine)")
    load.add_argument("--non-filterable", metavar="KEY", action="append", help="of the new index; may be repeated")
    for parser in (export, load):
        parser.add_argument("--format", choices=_FORMATS, help="instead of what the name of the file says")


@contextmanager
def _counted(output: Output, *, label: str, total: int | None = None) -> Iterator[Callable[[int], object]]:
    """What to tell how many more vectors are done: a progress bar on standard error when that is a terminal."""
    bar: Any = output.progress((), label=label, total=total)
    with bar:
        yield bar.update


def _export(arguments: argparse.Namespace, output: Output) -> int:
    from ragvec.exchange import export_index

    streamed = arguments.file == "-"
    if streamed and output.json:
        raise UsageError("records and --json would both go to standard output; name a file or leave out --json")
    with existing_store(arguments.store) as store:
        index = open_index(store, arguments.index)
        with _counted(output, label="exporting", total=index.count()) as progress:
            done = export_index(
                index,
                sys.stdout.buffer if streamed else arguments.file,
                format=arguments.format,
                columns=arguments.columns,
                damaged="skip" if arguments.skip_damaged else "raise",
                progress=progress,
            )
    if streamed:
        sys.stdout.buffer.flush()
    else:
        told: dict[str, Any] = {"exported": done.records, "file": arguments.file}
        if done.damaged:
            told["damaged"] = list(done.damaged)
        output.tell(told, f"Exported {number_text(done.records, 'record')} of {arguments.index} to {arguments.file}.")
    if done.damaged:
        output.note(f"{number_text(len(done.damaged), 'damaged record')} left out: {', '.join(done.damaged[:20])}")
    return 0


def _import(arguments: argparse.Namespace, output: Output) -> int:
    from ragvec.exchange import import_index

    streamed = arguments.file == "-"
    if streamed and arguments.format == "parquet":
        raise UsageError("Parquet cannot be read from standard input, since its table of contents is at the end")
    with writable_store(arguments.store) as store, _counted(output, label="importing") as progress:
        done = import_index(
            store,
            sys.stdin.buffer if streamed else arguments.file,
            bucket=arguments.index.bucket,
            index=arguments.index.name,
            merge=arguments.merge,
            format=arguments.format,
            key=arguments.key_column,
            vector=arguments.vector_column,
            metadata=arguments.metadata_column,
            metric=arguments.metric,
            non_filterable=arguments.non_filterable,
            progress=progress,
        )
    output.tell(
        {"imported": done.records, "index": str(arguments.index)},
        f"Imported {number_text(done.records, 'record')} into {arguments.index}.",
    )
    return 0
