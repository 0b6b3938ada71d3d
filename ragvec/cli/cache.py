"""`ragvec cache`: the vectors that a store keeps by model and text."""

from __future__ import annotations

import argparse

from ragvec.cli.arguments import Commands, command
from ragvec.cli.opening import existing_store
from ragvec.cli.output import Output, bytes_text, number_text
from ragvec.errors import StoreReadOnly

__all__ = ["add"]


def add(commands: Commands[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    """Add the command."""
    parser = command(
        commands,
        "cache",
        run=_run,
        summary="show or clear the vectors kept for later runs of ingest",
        description=(
            "`ragvec ingest` keeps the vector of each text that a model embedded in the store, up to 2 GiB, so that "
            "nothing is embedded twice. Clearing it loses nothing but time: indexes have their own vectors."
        ),
        examples="ragvec cache\nragvec cache --clear",
        parents=(common,),
    )
    parser.add_argument("--clear", action="store_true", help="forget them all")


def _run(arguments: argparse.Namespace, output: Output) -> int:
    from ragvec.pipeline.cache import VectorCache

    with existing_store(arguments.store) as store:
        cache = VectorCache.of(store)
        if cache is None:
            raise StoreReadOnly(f"`{arguments.store}` is only read, and keeps no vectors", store=arguments.store)
        was = cache.clear() if arguments.clear else cache.stats()
        cache.close()
    told = "cleared" if arguments.clear else "kept"
    output.show(
        {"store": arguments.store, "vectors": was.vectors, "bytes": was.bytes, "cleared": arguments.clear},
        lambda console: console.print(f"{number_text(was.vectors)} vectors, {bytes_text(was.bytes)}, {told}"),
    )
    return 0
