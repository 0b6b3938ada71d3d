"""The form of every complaint about a request: what was expected, what was got, and where."""

from __future__ import annotations

import reprlib
from typing import Any

from ragvec.errors import InvalidRequest

__all__ = ["shown", "unexpected"]

_LONGEST = 200
_LARGEST_BITS = 256


def unexpected(expected: str, got: object, *, path: str) -> InvalidRequest:
    """The error for a value that breaks a rule; the text of `got` stands as it is, cut after 200 characters."""
    text = str(got)
    text = text if len(text) <= _LONGEST else text[:_LONGEST] + "..."
    return InvalidRequest(f"Expected {expected}, got {text} - at `{path}`", path=path)


class _Short(reprlib.Repr):
    """`repr` of a value that somebody sent: neither deep nor long, and of integers of any size."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 4
        self.maxstring = self.maxother = _LONGEST
        self.maxlist = self.maxdict = 10

    def repr_int(self, x: int, level: int) -> str:  # noqa: ARG002 - the signature is that of reprlib
        """Python itself refuses to write thousands of digits."""
        return repr(x) if x.bit_length() <= _LARGEST_BITS else f"an integer of {x.bit_length():,} bits"


_short: Any = _Short()


def shown(value: object) -> str:
    """A value in a message, whatever it is: the beginning of what `repr` says of it."""
    text = str(_short.repr(value))
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "..."
