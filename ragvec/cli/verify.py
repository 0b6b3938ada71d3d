"""`ragvec verify`: look for damage in a store."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ragvec.cli.arguments import Commands, command
from ragvec.cli.output import Output, bytes_text, number_text, table
from ragvec.cli.progress import bytes_done

if TYPE_CHECKING:
    from rich.console import Console

    from ragvec.care import Problem, Verification

__all__ = ["add", "draw_problems"]

DAMAGED = 1
"""Exit code when something that was stored is damaged or lost."""

_SHOWN = 50


def add(commands: Commands[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    """Add the command."""
    parser = command(
        commands,
        "verify",
        run=_run,
        summary="look for damage in the store",
        description=(
            "Look for damage, without changing anything and beside whoever is using the store; also in a store that "
            "cannot be opened. Without --deep, whether the files are whole in structure and agree with each other; "
            "with it, every vector, key and metadata against its checksum, and all that is derived against what it "
            "was made of, which takes about as long as reading all files.\n\n"
            "Problems are primary (what was stored is damaged or lost), derived (made again from it) or losable (kept "
            "for a while, or for speed alone). The exit code is 1 when there are primary ones."
        ),
        examples="ragvec verify\nragvec verify my-store --deep --json",
        parents=(common,),
    )
    parser.add_argument("place", metavar="STORE", nargs="?", help="store folder; default: that of --store")
    parser.add_argument("--deep", action="store_true", help="read and compare everything")


def draw_problems(console: Console, problems: Sequence[Problem]) -> None:
    """A table of problems, the first of them where they are many."""
    rows = (
        (one.severity, f"{one.bucket}/{one.index}" if one.bucket else "-", one.file, f"{one.what}; repair {one.remedy}")
        for one in problems[:_SHOWN]
    )
    table(console, ("severity", "index", "file", "problem"), rows, empty="No problems.")
    if len(problems) > _SHOWN:
        console.print(f"and {number_text(len(problems) - _SHOWN, 'more problem')}; --json lists all")


def _run(arguments: argparse.Namespace, output: Output) -> int:
    from ragvec.care import verify

    with bytes_done(output, label="verifying") as progress:
        found = verify(arguments.place or arguments.store, deep=arguments.deep, progress=progress)
    output.show(_document(found), lambda console: _draw(console, found))
    return 0 if found.intact else DAMAGED


def _document(found: Verification) -> dict[str, Any]:
    import msgspec

    document: dict[str, Any] = msgspec.to_builtins(found)
    return {**document, "clean": found.clean, "intact": found.intact}


def _draw(console: Console, found: Verification) -> None:
    indexes, vectors = number_text(len(found.indexes), "index"), sum(index.vectors for index in found.indexes)
    how = f"{bytes_text(found.bytes)} read and compared" if found.deep else "structure only; --deep compares everything"
    said = "no problem found" if found.clean else number_text(len(found.problems), "problem")
    console.print(
        f"{found.path}: {indexes}, {number_text(vectors, 'vector')}, {said} in {found.seconds:.1f} s ({how}).",
        soft_wrap=True,
    )
    if not found.clean:
        draw_problems(console, found.problems)
