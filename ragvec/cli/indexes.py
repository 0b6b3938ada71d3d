"""`ragvec indexes`: list, create, show and delete indexes."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from ragvec.cli.arguments import Commands, command, count, target
from ragvec.cli.opening import embedder_name, existing_store, open_bucket, open_index
from ragvec.cli.output import Output, clean, number_text, table
from ragvec.cli.problems import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from ragvec.store import Index

__all__ = ["add", "draw_indexes", "index_summary"]


def add(commands: Commands[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    """Add the commands."""
    group = command(
        commands,
        "indexes",
        run=_list,
        summary="list, create, show or delete indexes",
        description="List the indexes of a store, or create, show or delete one, or change what text is searched in.",
        examples=(
            "ragvec indexes\nragvec indexes create work/notes --dimension 384\nragvec indexes delete work/notes --yes"
        ),
        parents=(common,),
    )
    group.set_defaults(bucket=None)
    actions = group.add_subparsers(title="actions (default: list)", metavar="ACTION")
    listing = command(
        actions,
        "list",
        run=_list,
        summary="list the indexes of a bucket, or of all",
        examples="ragvec indexes list\nragvec indexes list work --json",
        parents=(common,),
    )
    listing.add_argument("bucket", metavar="BUCKET", nargs="?", help="only this bucket")
    create = command(
        actions,
        "create",
        run=_create,
        summary="make an empty index for vectors of your own",
        description="Make an empty index for vectors of your own. (`ragvec ingest` makes the indexes it fills.)",
        examples=(
            "ragvec indexes create work/images --dimension 512\n"
            "ragvec indexes create work/notes --dimension 384 --metric euclidean --non-filterable text\n"
            "ragvec indexes create work/notes --dimension 384 --text title:en --text body"
        ),
        parents=(common,),
    )
    show = command(
        actions,
        "show",
        run=_show,
        summary="show what an index is",
        description="Show an index: its dimension and metric, who embeds for it, and the attributes of its documents.",
        examples="ragvec indexes show work/notes",
        parents=(common,),
    )
    delete = command(
        actions,
        "delete",
        run=_delete,
        summary="delete an index and all its vectors",
        examples="ragvec indexes delete work/notes --yes",
        parents=(common,),
    )
    text = command(
        actions,
        "text",
        run=_text,
        summary="change the metadata keys whose words are searched",
        description=(
            "Show the metadata keys whose words are searched, or add and drop some. What is stored already is found at "
            "once; its lists are built in the background."
        ),
        examples=(
            "ragvec indexes text work/notes\n"
            "ragvec indexes text work/notes --add title:en --add body\n"
            "ragvec indexes text work/notes --drop title"
        ),
        parents=(common,),
    )
    for parser in (create, show, delete, text):
        parser.add_argument("index", metavar="BUCKET/INDEX", type=target)
    create.add_argument("--dimension", metavar="N", type=count, required=True, help="length of its vectors")
    create.add_argument(
        "--metric", choices=("cosine", "euclidean"), default="cosine", help="distance (default: %(default)s)"
    )
    create.add_argument(
        "--non-filterable",
        metavar="KEY",
        action="append",
        default=[],
        help="a metadata key that is stored and not indexed, such as a long text; may be repeated",
    )
    create.add_argument(
        "--text",
        metavar="KEY[:LANG]",
        action="append",
        default=[],
        type=_text_field,
        help="a metadata key whose words are searched, in a language: en fr es pt it de nl zh ja ko, or any without; "
        "may be repeated",
    )
    text.add_argument(
        "--add", metavar="KEY[:LANG]", action="append", default=[], type=_text_field, help="search this one too"
    )
    text.add_argument("--drop", metavar="KEY", action="append", default=[], help="search this one no more")
    create.add_argument("--exist-ok", action="store_true", help="succeed when the same index exists already")
    delete.add_argument("--yes", action="store_true", help="really delete")


def _text_field(text: str) -> tuple[str, str | None]:
    """A key with its language, from `KEY` or `KEY:LANG`; a colon with anything but a language is part of the key."""
    from ragvec.text.analyzers import LANGUAGES

    key, _, language = text.rpartition(":")
    return (key, language) if key and language in LANGUAGES else (text, None)


def index_summary(index: Index) -> dict[str, Any]:
    """An index on one line."""
    spec = index.spec
    return {
        "bucket": spec.bucket,
        "index": spec.name,
        "vectors": index.count(),
        "dimension": spec.dimension,
        "metric": spec.metric,
        "embedder": embedder_name(index),
    }


def draw_indexes(console: Console, summaries: list[dict[str, Any]]) -> None:
    """A table of index summaries."""
    table(
        console,
        ("index", "vectors", "dimension", "metric", "embedder"),
        (
            (
                f"{row['bucket']}/{row['index']}",
                number_text(row["vectors"]),
                str(row["dimension"]),
                row["metric"],
                row["embedder"] or "-",
            )
            for row in summaries
        ),
        right=("vectors", "dimension"),
        empty="No indexes yet. Make one: ragvec ingest FOLDER --into BUCKET/INDEX",
    )


def _list(arguments: argparse.Namespace, output: Output) -> int:
    with existing_store(arguments.store) as store:
        buckets = store.buckets() if arguments.bucket is None else [open_bucket(store, arguments.bucket)]
        found = [index_summary(index) for bucket in buckets for index in bucket.indexes()]
    output.show({"indexes": found}, lambda console: draw_indexes(console, found))
    return 0


def _create(arguments: argparse.Namespace, output: Output) -> int:
    with existing_store(arguments.store) as store:
        index = open_bucket(store, arguments.index.bucket).create_index(
            arguments.index.name,
            dimension=arguments.dimension,
            metric=arguments.metric,
            non_filterable=arguments.non_filterable,
            text=dict(arguments.text),
            exist_ok=arguments.exist_ok,
        )
        made = index_summary(index)
    output.tell(made, f"Index {arguments.index} is there.")
    return 0


def _text(arguments: argparse.Namespace, output: Output) -> int:
    with existing_store(arguments.store) as store:
        index = open_index(store, arguments.index)
        for key in arguments.drop:  # first: a key may come back in another language
            index.drop_text(key)
        for key, language in arguments.add:
            index.add_text(key, language=language)
        fields = index.text_fields
    output.tell({"index": str(arguments.index), "text": fields}, _fields_text(fields) or "No text is searched.")
    return 0


def _fields_text(fields: dict[str, str | None]) -> str:
    return ", ".join(f"{key} ({language or 'any'})" for key, language in fields.items())


def _show(arguments: argparse.Namespace, output: Output) -> int:
    from ragvec.pipeline.passages import ATTRIBUTES_PROPERTY

    with existing_store(arguments.store) as store:
        index = open_index(store, arguments.index)
        summary = index_summary(index)
        attributes = index.property(ATTRIBUTES_PROPERTY) or {}
        spec = index.spec
        document = summary | {
            "uid": spec.uid,
            "created": spec.created,
            "non_filterable": list(spec.non_filterable),
            "text": index.text_fields,
            "attributes": attributes,
        }
    output.show(document, lambda console: _draw(console, document))
    return 0


def _draw(console: Console, document: dict[str, Any]) -> None:
    import datetime

    created = datetime.datetime.fromtimestamp(document["created"], tz=datetime.timezone.utc)
    lines = {
        "index": f"{document['bucket']}/{document['index']}",
        "uid": document["uid"],
        "created": f"{created:%Y-%m-%d %H:%M:%S} UTC",
        "vectors": number_text(document["vectors"]),
        "dimension": str(document["dimension"]),
        "metric": document["metric"],
        "embedder": document["embedder"] or "-",
        "non-filterable": ", ".join(document["non_filterable"]) or "-",
        "text": _fields_text(document["text"]) or "-",
    }
    for name, value in lines.items():
        console.print(f"{name:<16}{clean(value)}")
    if document["attributes"]:
        table(console, ("attribute", "type"), sorted(document["attributes"].items()), empty="")


def _delete(arguments: argparse.Namespace, output: Output) -> int:
    with existing_store(arguments.store) as store:
        index = open_index(store, arguments.index)
        vectors = index.count()
        if not arguments.yes:
            raise UsageError(
                f"this deletes index {str(arguments.index)!r} with {number_text(vectors, 'vector')}; repeat with --yes"
            )
        index.delete_index()
    output.tell(
        {"deleted": str(arguments.index), "vectors": vectors},
        f"Deleted index {arguments.index} with {number_text(vectors, 'vector')}.",
    )
    return 0
