"""Errors of the command line itself; what the core raises keeps its own class."""

from __future__ import annotations

__all__ = ["CommandError", "UsageError"]


class CommandError(Exception):
    """A command cannot do what it was asked, for a reason outside the store: a file, a stream, an unfinished answer.

    Shown as one line, without a traceback; `status` is the exit code.
    """

    status = 1


class UsageError(CommandError):
    """The arguments are well-formed each by itself and make no sense together, or a confirmation is missing."""

    status = 2
