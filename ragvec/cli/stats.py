"""`ragvec stats`: figures of a store, or of one index."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from ragvec.cli.arguments import Commands, command, target
from ragvec.cli.opening import embedder_name, existing_store, open_index
from ragvec.cli.output import Output, bytes_text, clean, number_text, table

if TYPE_CHECKING:
    from rich.console import Console

    from ragvec.store import Store

__all__ = ["add", "draw_stats", "store_stats"]


def add(commands: Commands[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    """Add the command."""
    parser = command(
        commands,
        "stats",
        run=_run,
        summary="figures of the store or of one index",
        description=(
            "Show how many vectors there are, how they are searched, and what they take on disk; for one index "
            "also its segments, with the recall measured when each was built."
        ),
        examples="ragvec stats\nragvec stats work/notes --json",
        parents=(common,),
    )
    parser.add_argument("index", metavar="BUCKET/INDEX", type=target, nargs="?", help="only this index")


def store_stats(store: Store) -> list[dict[str, Any]]:
    """The figures of every index, in order of name."""
    return [_figures(index) for bucket in store.buckets() for index in bucket.indexes()]


def draw_stats(console: Console, figures: list[dict[str, Any]]) -> None:
    """A table of figures, with a line of totals below more than one index."""
    rows = [
        (
            f"{row['bucket']}/{row['index']}",
            number_text(row["vectors"]),
            str(row["dimension"]),
            row["metric"],
            _searched(row),
            bytes_text(row["disk_bytes"]),
        )
        for row in figures
    ]
    if len(rows) > 1:
        vectors, size = sum(row["vectors"] for row in figures), sum(row["disk_bytes"] for row in figures)
        rows.append(("total", number_text(vectors), "", "", "", bytes_text(size)))
    table(
        console,
        ("index", "vectors", "dimension", "metric", "search", "on disk"),
        rows,
        right=("vectors", "dimension", "on disk"),
        empty="No indexes yet.",
    )


def _figures(index: Any) -> dict[str, Any]:
    import msgspec

    return {
        "bucket": index.bucket.name,
        "index": index.name,
        **msgspec.to_builtins(index.stats()),
        "embedder": embedder_name(index),
    }


def _searched(row: dict[str, Any]) -> str:
    """How a search goes through the rows: by segments, one by one, or both."""
    covered = row["rows"] - row["exact_rows"]
    if not row["segments"]:
        return "exact"
    return row["backend"] if not row["exact_rows"] else f"{row['backend']} {covered / row['rows']:.0%}, rest exact"


def _run(arguments: argparse.Namespace, output: Output) -> int:
    with existing_store(arguments.store) as store:
        figures = store_stats(store) if arguments.index is None else [_figures(open_index(store, arguments.index))]
    if arguments.index is None:
        output.show({"store": arguments.store, "indexes": figures}, lambda console: draw_stats(console, figures))
    else:
        output.show(figures[0], lambda console: _draw_one(console, figures[0]))
    return 0


def _draw_one(console: Console, row: dict[str, Any]) -> None:
    lines = {
        "index": f"{row['bucket']}/{row['index']}",
        "vectors": number_text(row["vectors"]),
        "deleted rows": f"{row['tombstones']:,} not yet reclaimed",
        "dimension": str(row["dimension"]),
        "metric": row["metric"],
        "embedder": row["embedder"] or "-",
        "search": _searched(row),
        "recall target": f"{row['recall_target']:.2f} at 10",
        "changes": number_text(row["sequence"]),
        "on disk": bytes_text(row["disk_bytes"]),
    }
    for name, value in lines.items():
        console.print(f"{name:<16}{clean(value)}")
    if row["segments"]:
        table(
            console,
            ("segment rows", "backend", "recall at 10", "size", "built in"),
            (
                (
                    f"{part['first']:,} to {part['last'] - 1:,}",
                    part["backend"],
                    f"{part['recall_at_10']:.3f}",
                    bytes_text(part["bytes"]),
                    f"{part['build_seconds']:.1f} s",
                )
                for part in row["segments"]
            ),
            right=("recall at 10", "size", "built in"),
            empty="",
        )
