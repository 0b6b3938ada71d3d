"""`ragvec buckets`: list, create, show and delete vector buckets."""

from __future__ import annotations

import argparse

from ragvec.cli.arguments import Commands, command
from ragvec.cli.indexes import draw_indexes, index_summary
from ragvec.cli.opening import existing_store, open_bucket, writable_store
from ragvec.cli.output import Output, number_text, table
from ragvec.cli.problems import UsageError
from ragvec.errors import BucketNotEmpty

__all__ = ["add"]


def add(commands: Commands[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    """Add the commands."""
    group = command(
        commands,
        "buckets",
        run=_list,
        summary="list, create, show or delete buckets",
        description="List the buckets of a store, or create, show or delete one.",
        examples="ragvec buckets\nragvec buckets create work\nragvec buckets delete work --force --yes",
        parents=(common,),
    )
    actions = group.add_subparsers(title="actions (default: list)", metavar="ACTION")
    command(
        actions, "list", run=_list, summary="list all buckets", examples="ragvec buckets list --json", parents=(common,)
    )
    create = command(
        actions,
        "create",
        run=_create,
        summary="make a bucket",
        description="Make a bucket, and the store if there is none yet.",
        examples="ragvec buckets create work\nragvec --store /data/store buckets create work --exist-ok",
        parents=(common,),
    )
    show = command(
        actions,
        "show",
        run=_show,
        summary="show a bucket and its indexes",
        examples="ragvec buckets show work",
        parents=(common,),
    )
    delete = command(
        actions,
        "delete",
        run=_delete,
        summary="delete a bucket",
        description="Delete an empty bucket; with --force, its indexes and all their vectors too.",
        examples="ragvec buckets delete work --yes\nragvec buckets delete work --force --yes",
        parents=(common,),
    )
    for parser in (create, show, delete):
        parser.add_argument("bucket", metavar="BUCKET")
    create.add_argument("--exist-ok", action="store_true", help="succeed when it exists already")
    delete.add_argument("--force", action="store_true", help="delete its indexes with it")
    delete.add_argument("--yes", action="store_true", help="really delete")


def _list(arguments: argparse.Namespace, output: Output) -> int:
    columns = ("bucket", "indexes", "vectors")
    with existing_store(arguments.store) as store:
        found = []
        for bucket in store.buckets():
            indexes = bucket.indexes()
            vectors = sum(index.count() for index in indexes)
            found.append((bucket.name, len(indexes), vectors))
    output.show(
        {"buckets": [dict(zip(columns, row, strict=True)) for row in found]},
        lambda console: table(
            console,
            columns,
            ((name, number_text(indexes), number_text(vectors)) for name, indexes, vectors in found),
            right=("indexes", "vectors"),
            empty="No buckets yet. Make one: ragvec buckets create NAME",
        ),
    )
    return 0


def _create(arguments: argparse.Namespace, output: Output) -> int:
    with writable_store(arguments.store) as store:
        bucket = store.create_bucket(arguments.bucket, exist_ok=arguments.exist_ok)
    output.tell({"bucket": bucket.name}, f"Bucket {bucket.name} is there.")
    return 0


def _show(arguments: argparse.Namespace, output: Output) -> int:
    with existing_store(arguments.store) as store:
        found = [index_summary(index) for index in open_bucket(store, arguments.bucket).indexes()]
    output.show({"bucket": arguments.bucket, "indexes": found}, lambda console: draw_indexes(console, found))
    return 0


def _delete(arguments: argparse.Namespace, output: Output) -> int:
    with existing_store(arguments.store) as store:
        bucket = open_bucket(store, arguments.bucket)
        indexes = bucket.indexes()
        if indexes and not arguments.force:
            names = ", ".join(index.name for index in indexes[:20])
            raise BucketNotEmpty(
                f"Bucket {bucket.name!r} holds {number_text(len(indexes), 'index')} ({names}); --force deletes them"
            )
        if not arguments.yes:
            vectors = sum(index.count() for index in indexes)
            all_of = (
                f"bucket {bucket.name!r}, {number_text(len(indexes), 'index')} and {number_text(vectors, 'vector')}"
            )
            raise UsageError(f"this deletes {all_of}; repeat with --yes")
        bucket.delete(force=arguments.force)
    output.tell({"deleted": bucket.name}, f"Deleted bucket {bucket.name}.")
    return 0
