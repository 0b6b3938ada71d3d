"""`ragvec`: parse, run one command, and turn what went wrong into an exit code.

0 done · 1 an error that ragvec can name · 2 wrong usage · 130 interrupted · 141 the reader of standard output has gone.
Anything else is a bug, and keeps its traceback.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence

from ragvec.cli.output import clean
from ragvec.cli.parser import parse
from ragvec.cli.problems import CommandError
from ragvec.errors import RagvecError

__all__ = ["main"]

INTERRUPTED = 130
PIPE_CLOSED = 141


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (default: that of the process) and return its exit code."""
    try:
        arguments, output = parse(argv)
        status: int = arguments.run(arguments, output)
        sys.stdout.flush()
        return status
    except SystemExit as asked:  # argparse: help, or wrong usage
        return asked.code if isinstance(asked.code, int) else 0 if asked.code is None else 2
    except CommandError as error:
        _complain(str(error))
        return error.status
    except RagvecError as error:
        _complain(error.message)
        return 1
    except KeyboardInterrupt:
        _complain("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        _abandon(sys.stdout)
        return PIPE_CLOSED


def _complain(message: str) -> None:
    # The reader of the answer may be gone; what it has not read yet must not hide the message.
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.flush()
    print(f"ragvec: error: {clean(message)}", file=sys.stderr)  # noqa: T201


def _abandon(stream: object) -> None:
    """Point the stream's file at nothing, so that the interpreter's last flush does not complain."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, stream.fileno())  # type: ignore[attr-defined]  # a stream without a descriptor is left alone
        os.close(nothing)
