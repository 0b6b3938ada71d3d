"""`ragvec query`: ask an index a question."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ragvec.cli.answers import draw_passages, draw_results
from ragvec.cli.arguments import Commands, add_where, command, count, target
from ragvec.cli.opening import existing_store, open_index, text_index
from ragvec.cli.output import Output
from ragvec.cli.problems import UsageError

if TYPE_CHECKING:
    from ragvec.store import Index

__all__ = ["add", "read_dates"]


def add(commands: Commands[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    """Add the command."""
    parser = command(
        commands,
        "query",
        run=_run,
        summary="ask an index a question",
        description=(
            "Find the documents that answer a question, best first, each by its best passage. An empty text lists all "
            "documents that satisfy --where.\n\n"
            'A filter is JSON: {"department": "People"}, or with operators: $eq $ne $gt $gte $lt $lte $in $nin $exists '
            "$startsWith $and $or. Several keys are an AND. Dates are written as text in ISO 8601."
        ),
        examples=(
            'ragvec query work/notes "how much leave do I get?"\n'
            'ragvec query work/notes "new laptop" --where \'{"department": "IT"}\' --facet _file_type\n'
            'ragvec query work/notes expenses --where \'{"_last_updated_at": {"$gte": "2026-01-01"}}\'\n'
            "ragvec query work/notes incidents --sort -_last_updated_at --page 2 --json\n"
            'ragvec query work/notes "lost laptop" --user lena --group security\n'
            'ragvec query work/notes "" --facet department'
        ),
        parents=(common,),
    )
    parser.add_argument("index", metavar="BUCKET/INDEX", type=target)
    parser.add_argument("text", metavar="TEXT", nargs="+", help="the question; several words need no quotes")
    add_where(parser, help="only documents whose attributes satisfy this filter")
    parser.add_argument(
        "--facet", metavar="NAME", action="append", default=[], help="count the values of an attribute; may be repeated"
    )
    parser.add_argument(
        "--sort", metavar="[-]NAME", help="order by an attribute, descending with -, instead of by relevance"
    )
    parser.add_argument("--page", metavar="N", type=count, default=1, help="which page (default: %(default)s)")
    parser.add_argument(
        "--page-size", metavar="N", type=count, default=10, help="results on a page (default: %(default)s)"
    )
    parser.add_argument("--passages", action="store_true", help="passages in full instead of documents")
    parser.add_argument("--user", metavar="U", help="only what this user may see")
    parser.add_argument(
        "--group", metavar="G", action="append", help="only what members of this group may see; may be repeated"
    )


def read_dates(where: Mapping[str, Any] | None, index: Index) -> dict[str, Any] | None:
    """`where` with the dates under date attributes of the index as epoch seconds, which is how metadata hold them.

    Raises:
        InvalidRequest: text under a date attribute that is no date.
    """
    from ragvec.kendra.attributes import Schema
    from ragvec.pipeline.passages import ATTRIBUTES_PROPERTY

    if where is None:
        return None
    fields = Schema.of(index.property(ATTRIBUTES_PROPERTY) or {}).fields
    dates = {name for name, field in fields.items() if field.type == "DATE_VALUE"}
    return {name: _dated(name, value, dates, path=f"where.{name}", within=False) for name, value in where.items()}


def _dated(name: str, value: Any, dates: set[str], *, path: str, within: bool) -> Any:
    """`within` tells that an object above belongs to a date attribute."""
    from ragvec.kendra.attributes import epoch_seconds

    within = within or name in dates
    if isinstance(value, dict):
        return {
            inner: _dated(inner, operand, dates, path=f"{path}.{inner}", within=within)
            for inner, operand in value.items()
        }
    if isinstance(value, list):
        return [_dated(name, item, dates, path=f"{path}[{at}]", within=within) for at, item in enumerate(value)]
    return epoch_seconds(value, path=path) if within and isinstance(value, str) else value


def _run(arguments: argparse.Namespace, output: Output) -> int:
    if arguments.passages and (arguments.facet or arguments.sort):
        raise UsageError("--passages come in order of relevance and are not counted: leave out --facet and --sort")
    first = (arguments.page - 1) * arguments.page_size + 1
    text = " ".join(arguments.text)
    with existing_store(arguments.store) as store:
        index = open_index(store, arguments.index)
        query_index = text_index(index)
        options: dict[str, Any] = {
            "where": read_dates(arguments.where, index),
            "page": arguments.page,
            "page_size": arguments.page_size,
            "user": arguments.user,
            "groups": arguments.group,
        }
        if arguments.passages:
            passages = query_index.retrieve(text, **options)
            output.show(
                {"text": text, "page": arguments.page, "items": passages},
                lambda console: draw_passages(console, passages, first=first),
            )
            return 0
        results = query_index.search(text, facets=arguments.facet, sort=arguments.sort, **options)
    document = {
        "text": text,
        "total": results.total,
        "page": results.page,
        "pages": results.pages,
        "facets": results.facets,
        "answers": results.answers,
        "faqs": results.faqs,
        "featured": results.featured,
        "warnings": results.warnings,
        "items": results.items,
    }
    output.show(document, lambda console: draw_results(console, results, first=first))
    return 0
