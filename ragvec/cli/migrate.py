"""`ragvec migrate`: bring a store to the format of this version."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ragvec.cli.arguments import Commands, command
from ragvec.cli.output import Output, number_text

if TYPE_CHECKING:
    from ragvec.care import Migration

__all__ = ["add"]

DUE = 1
"""Exit code of `--check` when there is something to do."""


def add(commands: Commands[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    """Add the command."""
    parser = command(
        commands,
        "migrate",
        run=_run,
        summary="bring the store to the format of this version",
        description=(
            "Bring a store that an older ragvec made to the format of this version, step by step. Each step happens "
            "as a whole or not at all, also when it is killed or the disk is full, and the next run goes on from "
            "there.\n\n"
            "Steps that take moments are also taken when a store is opened for writing. Older versions of ragvec "
            "cannot open the store afterwards: make a backup first if you may want to go back.\n\n"
            "With --check nothing is changed; the exit code is 1 when there is something to do."
        ),
        examples="ragvec migrate --check\nragvec migrate --store notes --json",
        parents=(common,),
    )
    parser.add_argument("--check", action="store_true", help="only say what would be done")


def _run(arguments: argparse.Namespace, output: Output) -> int:
    from ragvec.care import migrate, pending_migration

    if arguments.check:
        due = pending_migration(arguments.store)
        output.tell(_document(due), _text(due, done=False))
        return DUE if due else 0
    done = migrate(arguments.store)
    output.tell(_document(done), _text(done, done=True))
    return 0


def _document(migration: Migration) -> dict[str, object]:
    return {
        "store": migration.store,
        "from": migration.from_format,
        "to": migration.to_format,
        "steps": list(migration.steps),
        "rewritten": migration.rewritten,
    }


def _text(migration: Migration, *, done: bool) -> str:
    if not migration:
        return f"The store has format {migration.from_format}, that of this version; there is nothing to do."
    head = (
        f"Migrated from format {migration.from_format} to {migration.to_format}"
        if done
        else (f"The store has format {migration.from_format}, this version {migration.to_format}. To do")
    )
    rewritten = f" ({number_text(migration.rewritten, 'index')} rewritten)" if migration.rewritten else ""
    return "\n".join([f"{head}{rewritten}:", *(f"  {step}" for step in migration.steps)])
