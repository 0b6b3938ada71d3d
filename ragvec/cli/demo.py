"""`ragvec demo`: the whole way on real data, from documents to answers, in a few screens."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ragvec.cli.answers import WIDEST, draw_results, page_text
from ragvec.cli.arguments import Commands, Target, command
from ragvec.cli.opening import writable_store
from ragvec.cli.output import Output, beginning, table, visible
from ragvec.cli.problems import CommandError
from ragvec.cli.query import read_dates
from ragvec.cli.stats import draw_stats, store_stats

if TYPE_CHECKING:
    from rich.console import Console

    from ragvec.kendra.results import SearchResults
    from ragvec.pipeline.report import Report
    from ragvec.store import Index, Store

__all__ = ["add"]

HANDBOOK = Target("demo", "handbook")
PYTHON = Target("demo", "python-docs")
SMALL = 600
"""Entries of the Python documentation with `--small`."""

_HIDDEN = ("_created_at", "_authors", "_version", "superseded_by", "near_duplicate_of", "version", "length")
_PAGE = 4
_SHOWN = 28


class Question(NamedTuple):
    """A search, and what it shows."""

    title: str
    at: Target
    text: str
    options: dict[str, Any]
    brief: bool = False


QUESTIONS = (
    Question("Ask in your own words", HANDBOOK, "Can I still get my sign-in code by SMS?", {"page_size": 3}),
    Question("The same in another corpus", PYTHON, "run a function in a separate thread", {"page_size": 3}),
    Question(
        "Only from one department, and only what was updated lately",
        HANDBOOK,
        "How often do I have to change my password?",
        {"where": {"department": "Security", "_last_updated_at": {"$gte": "2026-01-01"}}, "page_size": 2},
    ),
    Question(
        "Count what was found, by department and by file type",
        HANDBOOK,
        "Who approves a purchase?",
        {"facets": ["department", "_file_type"], "page_size": 1},
    ),
    Question(
        "Newest first",
        HANDBOOK,
        "working from home",
        {"sort": "-_last_updated_at", "page_size": 3},
        brief=True,
    ),
    Question(
        "Some pages are not for everybody: as a member of the group managers",
        HANDBOOK,
        "Can a probation period be extended?",
        {"groups": ["managers"], "page_size": 3},
        brief=True,
    ),
    Question(
        "... and the same as a member of no group",
        HANDBOOK,
        "Can a probation period be extended?",
        {"groups": [], "page_size": 3},
        brief=True,
    ),
)


def add(commands: Commands[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    """Add the command."""
    parser = command(
        commands,
        "demo",
        run=_run,
        summary="ingest example documents and ask them questions",
        description=(
            f"Ingest the handbook of a made-up company into {HANDBOOK} and the documentation of Python's standard "
            f"library into {PYTHON}, then ask both a few questions: in plain words, with filters, counts, an order and "
            "access groups, and by vector. A second run finds everything unchanged and takes seconds."
        ),
        examples="ragvec demo\nragvec demo --small --store /tmp/demo-store --datasets datasets",
        parents=(common,),
    )
    parser.add_argument(
        "--datasets", metavar="DIR", default="datasets", help="folder that holds handbook/ (default: ./%(default)s)"
    )
    parser.add_argument("--embedder", metavar="NAME", help="minilm, hashing, a folder or a Hub name (default: minilm)")
    parser.add_argument("--small", action="store_true", help=f"only {SMALL} entries of the Python documentation")


def _run(arguments: argparse.Namespace, output: Output) -> int:
    handbook = Path(arguments.datasets) / "handbook"
    if not (handbook / "documents").is_dir():
        raise CommandError(f"no data set at {handbook}: expected a folder with documents/; name it with --datasets DIR")
    shown: dict[str, Any] = {}
    with writable_store(arguments.store) as store:
        reports = _ingest(store, handbook, arguments, output)
        shown["ingested"] = {str(into): report for into, report in reports.items()}
        answers = []
        if not output.json:
            _draw_names(output.console)
        for question in QUESTIONS:
            results = _ask(store, question)
            answers.append(_document(question, results))
            if not output.json:
                _draw_answer(output.console, question, results)
        shown["questions"] = answers
        pages = _query_vectors(store, arguments.store)
        shown["query_vectors"] = pages
        figures = store_stats(store)
        shown["stats"] = figures
    output.show(shown, lambda console: _draw_rest(console, pages, figures, arguments.store))
    return 0


def _ingest(store: Store, handbook: Path, arguments: argparse.Namespace, output: Output) -> dict[Target, Report]:
    from ragvec.pipeline.embed import as_embedder
    from ragvec.pipeline.python_docs import python_docs
    from ragvec.pipeline.run import Pipeline

    embedder = as_embedder(arguments.embedder)
    sources = (
        (HANDBOOK, "the handbook of a company", handbook / "documents", handbook / "attributes.jsonl"),
        (PYTHON, "the documentation of Python's standard library", None, None),
    )
    reports = {}
    for into, what, folder, attributes in sources:
        if not output.json:
            _draw_title(output.console, f"Ingest {what} into {into}")
        index = store.bucket(into.bucket).index(into.name)
        source: Any = list(python_docs(limit=SMALL if arguments.small else None)) if folder is None else folder
        report = Pipeline(index=index, embedder=embedder).run(
            source, attributes=attributes, progress=not output.quiet and sys.stderr.isatty()
        )
        reports[into] = report
        if not output.json:
            output.console.print(visible(str(report)), soft_wrap=True)
    return reports


def _index(store: Store, at: Target) -> Index:
    return store.bucket(at.bucket).index(at.name)


def _ask(store: Store, question: Question) -> SearchResults:
    from ragvec.kendra.index import QueryIndex

    index = _index(store, question.at)
    options = {**question.options, "where": read_dates(question.options.get("where"), index)}
    return QueryIndex(index).search(question.text, **options)


def _document(question: Question, results: SearchResults) -> dict[str, Any]:
    return {
        "index": str(question.at),
        "text": question.text,
        "options": question.options,
        "total": results.total,
        "page": results.page,
        "pages": results.pages,
        "facets": results.facets,
        "items": results.items,
    }


def _query_vectors(store: Store, path: str) -> list[dict[str, Any]]:
    """Two pages of one QueryVectors through a client in boto3's shape."""
    from ragvec.api.client import connect
    from ragvec.kendra.index import QueryIndex

    vector = QueryIndex(_index(store, HANDBOOK)).embedder.embed_query("calibrating a probe")
    pages: list[dict[str, Any]] = []
    token: dict[str, str] = {}
    with connect(path) as client:
        for _ in range(2):
            page = client.query_vectors(
                vectorBucketName=HANDBOOK.bucket,
                indexName=HANDBOOK.name,
                queryVector={"float32": vector.tolist()},
                topK=12,
                maxResults=_PAGE,
                filter={"_category": "quality"},
                returnDistance=True,
                returnMetadata=True,
                **token,
            )
            pages.append(page)
            if "nextToken" not in page:
                break
            token = {"nextToken": page["nextToken"]}
    return pages


def _draw_title(console: Console, title: str) -> None:
    console.print()
    console.print(title, style="bold underline")


def _draw_names(console: Console) -> None:
    from rich.text import Text

    _draw_title(console, "Open both for questions")
    for at in (HANDBOOK, PYTHON):
        name = at.name.replace("-", "_")
        call = f"{name} = ragvec.QueryIndex(store.bucket({at.bucket!r}).index({at.name!r}))"
        console.print(Text(call, "magenta"), width=min(console.width, WIDEST))


def _draw_answer(console: Console, question: Question, results: SearchResults) -> None:
    from rich.text import Text

    _draw_title(console, question.title)
    arguments = "".join(f", {name}={value!r}" for name, value in question.options.items())
    call = f"{question.at.name.replace('-', '_')}.search({question.text!r}{arguments})"
    console.print(Text(call, "magenta"), width=min(console.width, WIDEST))
    console.print()
    if question.brief:
        _draw_brief(console, results)
    else:
        draw_results(console, results, hide=_HIDDEN)


def _draw_brief(console: Console, results: SearchResults) -> None:
    """One line a document."""
    table(
        console,
        ("title", "department", "updated", "score"),
        (
            (
                item.title,
                str(item.attributes.get("department", "")),
                f"{item.attributes['_last_updated_at']:%Y-%m-%d}",
                f"{item.score or 0:.3f}",
            )
            for item in results.items
        ),
        right=("score",),
        empty="No documents found.",
    )
    console.print(page_text(results), style="dim")


def _draw_rest(console: Console, pages: list[dict[str, Any]], figures: list[dict[str, Any]], store: str) -> None:
    from rich.text import Text

    _draw_title(console, "By vector, page by page, as boto3's s3vectors client does it")
    call = (
        "ragvec.connect(path).query_vectors(vectorBucketName='demo', indexName='handbook', queryVector=…, topK=12, "
        "maxResults=4, filter={'_category': 'quality'}, returnDistance=True, returnMetadata=True)"
    )
    console.print(Text(call, "magenta"), width=min(console.width, WIDEST))
    for number, page in enumerate(pages, start=1):
        console.print()
        if number > 1:
            console.print(Text("… the same with nextToken", "magenta"))
        table(
            console,
            ("key", "distance", "text"),
            (
                (vector["key"], f"{vector['distance']:.4f}", beginning(vector["metadata"].get("_text", ""), _SHOWN))
                for vector in page["vectors"]
            ),
            right=("distance",),
            empty="No vectors.",
        )
        more = "more: nextToken" if "nextToken" in page else "no more"
        console.print(f"page {number} · {page['distanceMetric']} · {more}", style="dim")
    _draw_title(console, f"The store in {store}")
    draw_stats(console, figures)
