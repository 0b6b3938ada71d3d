"""The arguments of `ragvec`: the options every command has, before or after its name, and the list of commands."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from ragvec.cli import (
    backup,
    buckets,
    cache,
    compact,
    demo,
    evaluate,
    exchange,
    indexes,
    ingest,
    migrate,
    query,
    repair,
    serve,
    stats,
    vectors,
    verify,
    version,
)
from ragvec.cli.output import Output

__all__ = ["DEFAULT_STORE", "build", "parse"]

DEFAULT_STORE = "ragvec-store"

_DASHED = frozenset({"--sort", "--text", "--key", "--token", "--group", "--user"})

DESCRIPTION = """\
Documents in, trusted answers out: a durable vector store, search and query
layer for RAG, on your own machine.

A store is a folder. It holds buckets, a bucket holds indexes, an index holds
vectors with metadata; an index is written BUCKET/INDEX."""

EXAMPLES = """\
examples:
  ragvec ingest documents/ --into work/notes
  ragvec query work/notes "how much leave do I get?"
  ragvec stats
  ragvec COMMAND --help

exit codes:
  0 done   1 an error, named on standard error   2 wrong usage   130 interrupted"""


def parse(argv: Sequence[str] | None = None) -> tuple[argparse.Namespace, Output]:
    """The arguments, with `store` and `run` set, and where the answer goes.

    Raises:
        SystemExit: help was asked for, or the usage is wrong.
    """
    parser = build()
    arguments, rest = parser.parse_known_args(_joined(sys.argv[1:] if argv is None else argv))
    # argparse gives a list that may be empty its items only where it meets them first: take up those after an option.
    items = getattr(arguments, getattr(arguments, "list_argument", ""), None)
    if rest and items is not None and not any(word.startswith("-") for word in rest):
        items += rest
    elif rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if not hasattr(arguments, "run"):
        parser.print_help(sys.stderr)
        raise SystemExit(2)
    arguments.store = getattr(arguments, "store", None) or os.environ.get("RAGVEC_STORE") or DEFAULT_STORE
    return arguments, Output(json=getattr(arguments, "json", False), quiet=getattr(arguments, "quiet", False))


def _joined(words: Sequence[str]) -> list[str]:
    """`words` with options joined to values that may begin with a dash, as argparse wants it: `--sort=-year`."""
    joined: list[str] = []
    rest = iter(words)
    for word in rest:
        if word == "--":
            return [*joined, word, *rest]
        value = next(rest, None) if word in _DASHED else None
        joined.append(word if value is None else f"{word}={value}")
    return joined


def build() -> argparse.ArgumentParser:
    """The parser of all commands."""
    common = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    _add_common(common)
    parser = argparse.ArgumentParser(
        prog="ragvec",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for group in (
        ingest,
        query,
        buckets,
        indexes,
        vectors,
        stats,
        evaluate,
        exchange,
        backup,
        verify,
        repair,
        compact,
        cache,
        migrate,
        serve,
        version,
        demo,
    ):
        group.add(commands, common)
    _add_common(parser)
    return parser


def _add_common(parser: argparse.ArgumentParser) -> None:
    """Add the options of every command; absent ones set nothing, so that one before the command is not lost."""
    group = parser.add_argument_group("options of every command")
    absent = argparse.SUPPRESS
    store_help = f"store folder; default: $RAGVEC_STORE, else {DEFAULT_STORE}"
    group.add_argument("--store", metavar="DIR", default=absent, help=store_help)
    group.add_argument("--json", action="store_true", default=absent, help="print one JSON document instead of text")
    group.add_argument("--quiet", action="store_true", default=absent, help="no progress bars")
