"""`ragvec version`."""

from __future__ import annotations

import argparse
import sys

import ragvec
from ragvec.cli.arguments import Commands, command
from ragvec.cli.output import Output

__all__ = ["add"]


def add(commands: Commands[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    """Add the command."""
    command(
        commands,
        "version",
        run=_run,
        summary="print the version",
        description="Print the version of ragvec; with --json, of Python too.",
        examples="ragvec version\nragvec version --json",
        parents=(common,),
    )


def _run(_: argparse.Namespace, output: Output) -> int:
    if output.json:
        import platform

        versions = {"ragvec": ragvec.__version__, "python": platform.python_version()}
        output.show(versions, lambda _: None)
    else:
        sys.stdout.write(f"ragvec {ragvec.__version__}\n")
    return 0
