"""`ragvec demo`."""

from __future__ import annotations

import argparse

from ragvec.cli.arguments import Commands

__all__ = ["add"]


def add(commands: Commands[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    """Add the command."""
