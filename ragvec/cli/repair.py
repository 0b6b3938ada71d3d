"""`ragvec repair`: save what can be saved of a damaged store."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ragvec.cli.arguments import Commands, command
from ragvec.cli.output import Output, number_text, table
from ragvec.cli.progress import bytes_done
from ragvec.cli.verify import draw_problems

if TYPE_CHECKING:
    from rich.console import Console

    from ragvec.care import Repair

__all__ = ["add"]

LEFT = 1
"""Exit code when there is something to repair: without --yes, or still there afterwards."""

_SHOWN = 50


def add(commands: Commands[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    """Add the command."""
    parser = command(
        commands,
        "repair",
        run=_run,
        summary="save what can be saved of a damaged store",
        description=(
            "Repair what `ragvec verify --deep` finds; without --yes, only say what would be done. Records that match "
            "their checksums are saved, also around broken pages; those that do not are named, taken out of their "
            "index and kept in lost+found, as are all files that are replaced. What is derived is made again.\n\n"
            "Other processes should close the store first: where one is writing, repair says so and stops. The exit "
            "code is 1 when problems are left, or, without --yes, when there are any."
        ),
        examples="ragvec repair\nragvec repair my-store --yes --json",
        parents=(common,),
    )
    parser.add_argument("place", metavar="STORE", nargs="?", help="store folder; default: that of --store")
    parser.add_argument("--yes", action="store_true", help="do it")


def _run(arguments: argparse.Namespace, output: Output) -> int:
    import msgspec

    from ragvec.care import repair, verify

    place = arguments.place or arguments.store
    with bytes_done(output, label="repairing" if arguments.yes else "verifying") as progress:
        if arguments.yes:
            done = repair(place, progress=progress)
            output.show(msgspec.to_builtins(done), lambda console: _draw(console, done))
            return 0 if done.left.clean else LEFT
        found = verify(place, deep=True, progress=progress)
    if found.clean:
        output.tell({"path": found.path, "problems": []}, f"{found.path}: nothing to repair.")
        return 0

    def draw(console: Console) -> None:
        console.print(
            f"{found.path}: {number_text(len(found.problems), 'problem')}. Nothing was changed; `ragvec repair --yes` "
            "does what is said here.",
            soft_wrap=True,
        )
        draw_problems(console, found.problems)

    output.show({"path": found.path, "problems": found.rows()}, draw)
    return LEFT


def _draw(console: Console, done: Repair) -> None:
    if done.found.clean:
        console.print(f"{done.path}: nothing to repair.", soft_wrap=True)
        return
    left = "none is left" if done.left.clean else f"{number_text(len(done.left.problems), 'problem')} left"
    console.print(f"{done.path}: {number_text(len(done.found.problems), 'problem')} found, {left}.", soft_wrap=True)
    for action in done.done:
        console.print(f"- {action}", soft_wrap=True)
    if done.lost:
        table(
            console,
            ("lost of", "row", "key", "why"),
            ((f"{row.bucket}/{row.index}", str(row.row), row.key or "-", row.reason) for row in done.lost[:_SHOWN]),
            right=("row",),
            empty="",
        )
        if len(done.lost) > _SHOWN:
            console.print(f"and {number_text(len(done.lost) - _SHOWN, 'more row')}; --json lists all")
    for rows, what in ((done.unchecked, "no checksum confirms"), (done.unsure, "may have been deleted before")):
        for index, key in rows[:_SHOWN]:
            console.print(f"- saved, {what}: {index}, key {key!r}", soft_wrap=True)
        if len(rows) > _SHOWN:
            console.print(f"- saved, {what}: {number_text(len(rows) - _SHOWN, 'more row')}; --json lists all")
    if done.kept is not None:
        console.print(f"What was taken away is in {done.kept}.", soft_wrap=True)
    if not done.left.clean:
        draw_problems(console, done.left.problems)
