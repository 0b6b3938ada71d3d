"""`ragvec compact`: give back the space of deleted and replaced records."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from ragvec.cli.arguments import Commands, command, target
from ragvec.cli.opening import existing_store, open_index
from ragvec.cli.output import Output, bytes_text, number_text, table

if TYPE_CHECKING:
    from rich.console import Console

    from ragvec.store import Index

__all__ = ["add"]


def add(commands: Commands[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    """Add the command."""
    parser = command(
        commands,
        "compact",
        run=_run,
        summary="give back the space of deleted and replaced records",
        description=(
            "Rewrite indexes without their deleted and replaced records, beside readers and writers. (This happens by "
            "itself once they are a quarter.) The former files stay for five minutes for whoever is reading them, "
            "longer for kept pages; the sizes printed are those of the current files."
        ),
        examples="ragvec compact\nragvec compact work/notes work/images --json",
        parents=(common,),
    )
    parser.add_argument("indexes", metavar="BUCKET/INDEX", type=target, nargs="*", help="only these (default: all)")


def _run(arguments: argparse.Namespace, output: Output) -> int:
    with existing_store(arguments.store) as store:
        if arguments.indexes:
            chosen = [open_index(store, one) for one in arguments.indexes]
        else:
            chosen = [index for bucket in store.buckets() for index in bucket.indexes()]
        done = [_compacted(index) for index in output.progress(chosen, label="compacting", unit="job")]
    output.show({"store": arguments.store, "indexes": done}, lambda console: _draw(console, done))
    return 0


def _compacted(index: Index) -> dict[str, Any]:
    before = index.stats()
    if before.tombstones:
        index.compact()
    after = index.stats() if before.tombstones else before
    return {
        "bucket": index.bucket.name,
        "index": index.name,
        "vectors": after.vectors,
        "rows_before": before.rows,
        "rows_after": after.rows,
        "bytes_before": before.disk_bytes,
        "bytes_after": after.disk_bytes,
    }


def _draw(console: Console, done: list[dict[str, Any]]) -> None:
    table(
        console,
        ("index", "vectors", "rows given back", "before", "after"),
        (
            (
                f"{row['bucket']}/{row['index']}",
                number_text(row["vectors"]),
                number_text(row["rows_before"] - row["rows_after"]),
                bytes_text(row["bytes_before"]),
                bytes_text(row["bytes_after"]),
            )
            for row in done
        ),
        right=("vectors", "rows given back", "before", "after"),
        empty="No indexes yet.",
    )
