"""The form of every complaint about a request: what was expected, what was got, and where."""

from __future__ import annotations

from ragvec.errors import InvalidRequest

__all__ = ["unexpected"]

_LONGEST = 200


def unexpected(expected: str, got: object, *, path: str) -> InvalidRequest:
    """The error for a value that breaks a rule; the text of `got` stands as it is, cut after 200 characters."""
    shown = str(got)
    shown = shown if len(shown) <= _LONGEST else shown[:_LONGEST] + "..."
    return InvalidRequest(f"Expected {expected}, got {shown} - at `{path}`", path=path)
