"""`ragvec ingest`: documents into an index."""

from __future__ import annotations

import argparse
import sys
import tempfile
import textwrap
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from difflib import get_close_matches
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragvec.cli.arguments import Commands, command, count, target
from ragvec.cli.opening import embedder_name, writable_store
from ragvec.cli.output import Output, visible
from ragvec.cli.problems import UsageError
from ragvec.errors import DocumentError

if TYPE_CHECKING:
    from rich.console import Console

    from ragvec.pipeline.chunk import Chunker
    from ragvec.pipeline.report import Report
    from ragvec.pipeline.run import Pipeline
    from ragvec.store import Index, Store

__all__ = ["add"]

PYTHON_DOCS = "python-docs"
EMBEDDERS = ("minilm", "hashing")


def add(commands: Commands[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    """Add the command."""
    parser = command(
        commands,
        "ingest",
        run=_run,
        summary="bring documents into an index",
        description=(
            "Bring documents into an index, which is made when it is missing, and keep it up to date with them: what "
            "is unchanged is skipped, what has changed is replaced, and after an interruption the next run goes on.\n\n"
            "SOURCE is a file (md, html, pdf, docx, pptx, xlsx, csv, json, epub, eml, zip, code and more), a folder of "
            "such files, a folder in BEIR format, "
            f"or `{PYTHON_DOCS}`, the documentation of the running Python's standard library. Documents that cannot be "
            "read are reported and skipped; the exit code is 1 only when that leaves none."
        ),
        examples=(
            "ragvec ingest documents/ --into work/notes\n"
            "ragvec ingest documents/ --into work/notes --attributes attributes.jsonl --remove-missing\n"
            "ragvec ingest manual/ --into work/manual --glob '**/*.md' --chunk-tokens 120 --overlap 20\n"
            "ragvec ingest scifact/ --into bench/scifact --embedder hashing:512\n"
            f"ragvec ingest {PYTHON_DOCS} --into work/python --text en"
        ),
        parents=(common,),
    )
    parser.add_argument("sources", metavar="SOURCE", nargs="+", help="a file, a folder, or python-docs")
    parser.add_argument("--into", metavar="BUCKET/INDEX", type=target, required=True, help="the index to fill")
    parser.add_argument(
        "--attributes",
        metavar="FILE",
        help="JSON lines with the id or path of a document and its attributes, such as title, category, created_at",
    )
    parser.add_argument(
        "--embedder",
        metavar="NAME",
        help="minilm, hashing, hashing:512, a folder or a Hub name (default: what filled the index, else minilm)",
    )
    parser.add_argument(
        "--text",
        metavar="LANG",
        default="auto",
        help="search the words of passages, titles and headings in a language: en fr es pt it de nl zh ja ko, or any; "
        "none does not (default: %(default)s, which is en for a new index, and leaves one that has documents as it is)",
    )
    parser.add_argument(
        "--chunker",
        metavar="NAME",
        help="how documents are split: structure:200, tokens:256:32, sentences:5:1, semantic:200, parents:800:150; "
        "numbers may be left out (default: structure)",
    )
    parser.add_argument("--chunk-tokens", metavar="N", type=count, help="longest passage, in tokens of the embedder")
    parser.add_argument("--overlap", metavar="N", type=count, help="tokens that a passage repeats of the one before it")
    parser.add_argument(
        "--remove-missing", action="store_true", help="remove documents of the index that the sources no longer have"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="tell what would be done; nothing is embedded or written"
    )
    parser.add_argument(
        "--rebuild",
        action="store_true",
        help="for another --embedder or --chunker: fill a new index beside the old one, which is searched until the "
        "new one is complete and takes its place",
    )
    parser.add_argument("--no-cache", action="store_true", help="embed everything again, and keep no vectors")
    parser.add_argument("--urls", action="store_true", help="fetch SOURCEs of http and https, each a page of the web")
    parser.add_argument(
        "--glob", metavar="PATTERN", default="**/*", help="which files of a folder (default: %(default)s)"
    )


def _run(arguments: argparse.Namespace, output: Output) -> int:
    if arguments.embedder is not None:
        _check_embedder(arguments.embedder)
    if arguments.rebuild and arguments.dry_run:
        raise UsageError("--dry-run: not with --rebuild; without that it tells what would be changed in the index")
    if arguments.chunker is not None and (arguments.chunk_tokens, arguments.overlap) != (None, None):
        raise UsageError(
            "--chunker: its numbers are in its name, as in tokens:256:32; without --chunk-tokens, --overlap"
        )
    documents = _documents(arguments.sources, attributes=arguments.attributes, glob=arguments.glob, urls=arguments.urls)
    # Where there is no bar, the report for people says what the lines for a log would.
    progress = not output.quiet and (output.json or sys.stderr.isatty())
    with _store(arguments) as store:
        index = store.bucket(arguments.into.bucket).index(arguments.into.name)
        pipeline = _pipeline(index, arguments)
        if arguments.rebuild:
            report = pipeline.rebuild(documents, remove_missing=arguments.remove_missing, progress=progress)
        else:
            report = pipeline.run(
                documents,
                remove_missing=arguments.remove_missing,
                progress=progress,
                dry_run=arguments.dry_run,
            )
    output.show(
        {"index": str(arguments.into), "report": report},
        lambda console: _draw(console, report),
    )
    return 1 if report.failed and not report.documents else 0


@contextmanager
def _store(arguments: argparse.Namespace) -> Iterator[Store]:
    """The store; for a dry run where there is none yet, an empty one that goes again."""
    with ExitStack() as stack:
        folder = arguments.store
        if arguments.dry_run and not Path(folder).exists():
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="ragvec-"))
        yield stack.enter_context(writable_store(folder))


def _draw(console: Console, report: Report) -> None:
    """All of the report; on a terminal what goes on in the next line is indented, elsewhere no line is broken."""
    for line in report.lines(failures=None):
        if console.is_terminal:
            line = textwrap.fill(visible(line), max(console.width, 40), subsequent_indent=" " * 10)
        console.print(visible(line), soft_wrap=True)


def _pipeline(index: Index, arguments: argparse.Namespace) -> Pipeline:
    from ragvec.pipeline.run import Pipeline

    embedder = arguments.embedder
    if embedder is None and index.exists():
        embedder = embedder_name(index)
    text = None if arguments.text == "none" else arguments.text
    cache = not arguments.no_cache
    pipeline = Pipeline(index=index, chunker=arguments.chunker, embedder=embedder, text=text, cache=cache)
    if arguments.chunk_tokens is None and arguments.overlap is None:
        return pipeline
    chunker = _chunker(pipeline, arguments)
    return Pipeline(index=index, embedder=pipeline.embedder, chunker=chunker, text=text, cache=cache)


def _check_embedder(name: str) -> None:
    """Refuse a likely slip of the pen, which would be looked for on the Hub for a minute."""
    kind = name.partition(":")[0]
    likely = get_close_matches(kind, EMBEDDERS, n=1, cutoff=0.75)
    if likely and kind not in EMBEDDERS and not Path(name).exists():
        raise UsageError(f"--embedder: no model {name!r}; did you mean {likely[0]!r}?")


def _chunker(pipeline: Pipeline, arguments: argparse.Namespace) -> Chunker:
    from ragvec.pipeline.chunk import StructureChunker
    from ragvec.pipeline.embed import tokenizer_of

    usual = pipeline.chunker
    return StructureChunker(
        tokenizer_of(pipeline.embedder),
        max_tokens=arguments.chunk_tokens or getattr(usual, "max_tokens", 200),
        overlap=arguments.overlap or 0,
    )


class _Counted:
    """Documents of which it is known how many there will be, for the progress bar."""

    def __init__(self, items: Iterable[Any], total: int) -> None:
        self._items = items
        self._total = total

    def __iter__(self) -> Iterator[Any]:
        return iter(self._items)

    def __len__(self) -> int:
        return self._total


def _source(source: str, *, urls: bool) -> Any:
    from ragvec.pipeline.urls import Urls

    if not source.lower().startswith(("http://", "https://")):
        return Path(source)
    if not urls:
        raise UsageError(f"{source} is a page of the web: it is fetched with --urls")
    return Urls(source)


def _documents(sources: list[str], *, attributes: str | None, glob: str, urls: bool = False) -> Iterable[Any]:
    """What all sources hold, as one; a source or file of attributes that is not there is refused at once."""
    from ragvec.pipeline.load import expected_documents, load
    from ragvec.pipeline.python_docs import python_docs

    given = [python_docs() if source == PYTHON_DOCS else _source(source, urls=urls) for source in sources]
    totals = [expected_documents(source, glob=glob) for source in given]
    for source, total in zip(given, totals, strict=True):
        if total == 0:
            raise DocumentError(f"No documents: no file below {source} matches {glob!r}", source=str(source))
    items = chain.from_iterable([load(source, attributes=attributes, glob=glob) for source in given])
    known = [total for total in totals if total is not None]
    return _Counted(items, sum(known)) if len(known) == len(totals) else items
