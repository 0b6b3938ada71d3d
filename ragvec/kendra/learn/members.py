"""The members of a request, read with the checks that several operations share, and pages of a list."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, TypeVar

from ragvec.errors import InvalidRequest
from ragvec.kendra.problems import shown, unexpected

__all__ = [
    "AS_LISTED",
    "CLIENT_TOKEN",
    "ID",
    "at",
    "choice",
    "flag",
    "mapping",
    "mappings",
    "page",
    "s3_path",
    "text",
    "text_or_none",
    "texts",
    "whole",
]

T = TypeVar("T")

ID = r"[a-zA-Z0-9][a-zA-Z0-9_-]*"
CLIENT_TOKEN = 100
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
AS_LISTED = 100
"""The longest page of a list."""


def text(
    members: Mapping[str, Any],
    name: str,
    *,
    least: int = 1,
    most: int | None = None,
    pattern: str | None = None,
    printable: bool = False,
    path: str = "",
) -> str:
    """The text under `name`, of `least` to `most` characters, all of it matching `pattern`. `path` leads to it.

    Raises:
        InvalidRequest: it is missing, no text, too short or long, or of another form.
    """
    return _checked_text(
        members.get(name), path=path or name, least=least, most=most, pattern=pattern, printable=printable
    )


def text_or_none(members: Mapping[str, Any], name: str, **rules: Any) -> str | None:
    """As `text`; None where it is not given."""
    return None if members.get(name) is None else text(members, name, **rules)


def _checked_text(
    value: object, *, path: str, least: int, most: int | None, pattern: str | None = None, printable: bool = False
) -> str:
    if not isinstance(value, str):
        raise unexpected("text", "nothing" if value is None else shown(value), path=path)
    if len(value) < least or (most is not None and len(value) > most):
        limits = f"at least {least}" if most is None else f"{least}" if least == most else f"{least} to {most}"
        raise unexpected(f"{limits} characters", len(value), path=path)
    if pattern is not None and re.fullmatch(pattern, value) is None:
        raise unexpected(f"text of the form {pattern}", shown(value), path=path)
    if printable and _CONTROL.search(value):
        raise unexpected("text without control characters", shown(value), path=path)
    return value


def texts(
    members: Mapping[str, Any],
    name: str,
    *,
    least: int = 0,
    most: int | None,
    longest: int | None = None,
    shortest: int = 1,
    pattern: str | None = None,
    path: str = "",
) -> tuple[str, ...]:
    """The list of `least` to `most` texts under `name`. Raises InvalidRequest."""
    path = path or name
    given = _sequence(members.get(name), path=path, least=least, most=most)
    return tuple(
        _checked_text(value, path=f"{path}[{i}]", least=shortest, most=longest, pattern=pattern)
        for i, value in enumerate(given)
    )


def _sequence(value: object, *, path: str, least: int, most: int | None) -> Sequence[Any]:
    if not isinstance(value, (list, tuple)):
        raise unexpected("a list", "nothing" if value is None else shown(value), path=path)
    if len(value) < least or (most is not None and len(value) > most):
        raise unexpected(
            f"at least {least} entries" if most is None else f"{least} to {most} entries", len(value), path=path
        )
    return value


def mappings(
    members: Mapping[str, Any], name: str, *names: str, least: int = 0, most: int | None
) -> list[tuple[str, dict[str, Any]]]:
    """The list of structures under `name`, each with its path and those of the members `names` that it has."""
    given = _sequence(members.get(name), path=name, least=least, most=most)
    return [(f"{name}[{i}]", _known(value, names, path=f"{name}[{i}]")) for i, value in enumerate(given)]


def mapping(members: Mapping[str, Any], name: str, *names: str) -> dict[str, Any]:
    """The structure under `name`, with those of the members `names` that it has. Raises InvalidRequest."""
    return _known(members.get(name), names, path=name)


def _known(value: object, names: Sequence[str], *, path: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise unexpected("a structure", "nothing" if value is None else shown(value), path=path)
    unknown = sorted(str(name) for name in value if name not in names)
    if unknown:
        raise InvalidRequest(
            f"Unknown member {shown(unknown[0])} - at `{path}`; known are {', '.join(names)}", path=path
        )
    return {name: inner for name, inner in value.items() if inner is not None}


def whole(members: Mapping[str, Any], name: str, *, least: int, most: int | None, path: str = "") -> int:
    """The whole number under `name`, from `least` to `most`. Raises InvalidRequest."""
    value = members.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or value < least or (most is not None and value > most):
        got = "nothing" if value is None else shown(value)
        limits = f"a whole number from {least}" + (" on" if most is None else f" to {most}")
        raise unexpected(limits, got, path=path or name)
    return value


def choice(members: Mapping[str, Any], name: str, values: Sequence[str], *, path: str = "") -> str:
    """The text under `name`, one of `values`. Raises InvalidRequest."""
    value = members.get(name)
    if value not in values:
        got = "nothing" if value is None else shown(value)
        raise unexpected(f"one of {', '.join(values)}", got, path=path or name)
    return str(value)


def flag(members: Mapping[str, Any], name: str, *, path: str = "") -> bool:
    """True or false under `name`. Raises InvalidRequest."""
    value = members.get(name)
    if not isinstance(value, bool):
        raise unexpected("true or false", "nothing" if value is None else shown(value), path=path or name)
    return value


def s3_path(members: Mapping[str, Any], name: str = "SourceS3Path") -> dict[str, str]:
    """The bucket and key under `name`, as they were given. Raises InvalidRequest."""
    given = mapping(members, name, "Bucket", "Key")
    bucket = text(
        given, "Bucket", least=3, most=63, pattern=r"[a-z0-9][.\-a-z0-9]{1,61}[a-z0-9]", path=f"{name}.Bucket"
    )
    return {"Bucket": bucket, "Key": text(given, "Key", most=1024, path=f"{name}.Key")}


def page(items: Sequence[T], members: Mapping[str, Any], *, most: int = AS_LISTED) -> tuple[Sequence[T], str | None]:
    """The items that MaxResults and NextToken ask for, and the token that goes on; None after the last.

    A token counts the items before it: what is added or deleted meanwhile can repeat or hide one.
    """
    size = whole(members, "MaxResults", least=1, most=most) if members.get("MaxResults") is not None else most
    first = 0
    if members.get("NextToken") is not None:
        token = text(members, "NextToken", most=800)
        if not re.fullmatch("[0-9]{1,9}", token):
            raise unexpected("a token that the previous response gave", shown(token), path="NextToken")
        first = int(token)
    rest = items[first : first + size]
    return rest, str(first + size) if first + size < len(items) else None


def at(seconds: float) -> datetime:
    """Epoch seconds as boto3 delivers a time."""
    return datetime.fromtimestamp(seconds, tz=timezone.utc)
