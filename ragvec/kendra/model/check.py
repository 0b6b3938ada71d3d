"""The check of a request against its shape, with the complaints that boto3 makes: all of them at once.

boto3 checks types, required and unknown members, least lengths and least numbers, and sends the rest to the service.
Times are narrower here: numbers and ISO 8601 text, where boto3 also guesses at other ways to write a date.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from functools import cache
from typing import Any

from ragvec.errors import InvalidRequest
from ragvec.kendra.attributes import epoch_seconds
from ragvec.kendra.model.operations import REQUESTS, STRUCTURES
from ragvec.kendra.problems import shown, unexpected

__all__ = ["ParamValidationError", "check_request", "members_of"]

_MEMBER = re.compile(r"(\w+)(!?):(\S+)")
_KIND = re.compile(r"(.*?)(\d*)$")


class ParamValidationError(InvalidRequest):
    """A request does not have the shape of its operation; nothing was done. `kwargs["report"]` lists every fault.

    It is also a `botocore.exceptions.ParamValidationError` whenever that module is imported in the process.
    """

    def __init__(self, *, report: str) -> None:
        message = f"Parameter validation failed:\n{report}"
        # Not super().__init__: the next class may be botocore's, which takes other arguments.
        Exception.__init__(self, message)
        self.kwargs = {"report": report}
        self.plain = self.detail = message
        self.path = ""
        self.fields = ()

    def __reduce__(self) -> tuple[Any, ...]:
        return _raised, (self.kwargs["report"],)


def check_request(operation: str, members: Mapping[str, Any]) -> None:
    """Return when `members` have the shape of this operation's request.

    Raises:
        ParamValidationError: they do not; every fault is told, in the words of boto3.
        InvalidRequest: they are nested too deep to be looked at, or a text in them is none: half a surrogate pair,
            which JSON can hold and UTF-8 cannot.
    """
    if operation not in REQUESTS:  # one that is refused whatever it is asked
        return
    faults = _Faults()
    try:
        _check_structure(REQUESTS[operation], members, "", faults)
    except RecursionError:
        raise InvalidRequest(f"The request is nested too deep - at `{operation}`", path=operation) from None
    if faults:
        raise _raised("\n".join(faults))
    if faults.no_text:
        raise unexpected("text in Unicode", "half a surrogate pair", path=faults.no_text)


class _Faults(list[str]):
    """Complaints, and the place of a text that is none, of which boto3 does not complain."""

    no_text = ""


@cache
def members_of(line: str) -> dict[str, tuple[str, bool]]:
    """The members of a shape as it is written in the tables: name to kind, and whether it is required."""
    return {name: (kind, bool(required)) for name, required, kind in _MEMBER.findall(line)}


@cache
def _least(kind: str) -> tuple[str, int | None]:
    """A kind without its number, and the number."""
    match = _KIND.match(kind)
    assert match is not None
    return match[1], int(match[2]) if match[2] else None


def _check(kind: str, value: Any, name: str, faults: _Faults) -> None:
    bare, least = _least(kind)
    if bare in STRUCTURES:
        _check_structure(STRUCTURES[bare], value, name, faults)
    elif bare.startswith("["):
        if _typed(value, (list, tuple), name, faults):
            _check_least(len(value), least, name, faults, what="length")
            for number, item in enumerate(value):
                _check(bare[1:-1], item, f"{name}[{number}]", faults)
    elif bare.startswith("{"):
        of_keys, of_values = bare[1:-1].split("=")
        if _typed(value, (dict,), name, faults):
            for key, item in value.items():
                _check(of_keys, key, f"{name} (key: {key})", faults)
                _check(of_values, item, f"{name}.{key}", faults)
    else:
        _SCALARS[bare](value, least, name, faults)


def _check_structure(line: str, value: Any, name: str, faults: _Faults) -> None:
    if not _typed(value, (dict,), name, faults):
        return
    members = members_of(line)
    faults += [
        f'Missing required parameter in {_named(name)}: "{member}"'
        for member, (_, required) in members.items()
        if required and member not in value
    ]
    faults += [
        f'Unknown parameter in {_named(name)}: "{given}", must be one of: {", ".join(members)}'
        for given in value
        if given not in members
    ]
    for member, content in value.items():
        if member in members:
            _check(members[member][0], content, f"{name}.{member}", faults)


def _check_text(value: Any, least: int | None, name: str, faults: _Faults) -> None:
    if not _typed(value, (str,), name, faults):
        return
    _check_least(len(value), least, name, faults, what="length")
    _note_no_text(value, name, faults)


def _check_int(value: Any, least: int | None, name: str, faults: _Faults) -> None:
    if _typed(value, (int,), name, faults):
        _check_least(value, least, name, faults, what="value")


def _check_flag(value: Any, _: int | None, name: str, faults: _Faults) -> None:
    _typed(value, (bool,), name, faults)


def _check_time(value: Any, _: int | None, name: str, faults: _Faults) -> None:
    if not isinstance(value, (str, datetime, int, float)) or not _is_time(value):
        _complain(value, f"{datetime}, timestamp-string", name, faults)


def _check_blob(value: Any, _: int | None, name: str, faults: _Faults) -> None:
    if not isinstance(value, (bytes, bytearray, str)) and not hasattr(value, "read"):
        _complain(value, f"{bytes}, {bytearray}, file-like object", name, faults)
    elif isinstance(value, str):
        _note_no_text(value, name, faults)


def _note_no_text(value: str, name: str, faults: _Faults) -> None:
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            faults.no_text = faults.no_text or _named(name)


_SCALARS: dict[str, Callable[[Any, int | None, str, _Faults], None]] = {
    "text": _check_text,
    "int": _check_int,
    "flag": _check_flag,
    "time": _check_time,
    "blob": _check_blob,
}


def _is_time(value: Any) -> bool:
    if isinstance(value, str):
        with suppress(ValueError):
            value = float(value)
    try:
        epoch_seconds(float(value) if isinstance(value, bool) else value, path="")
    except (InvalidRequest, OverflowError):
        return False
    return True


def _typed(value: Any, kinds: tuple[type, ...], name: str, faults: _Faults) -> bool:
    if isinstance(value, kinds):
        return True
    _complain(value, ", ".join(map(str, kinds)), name, faults)
    return False


def _complain(value: Any, kinds: str, name: str, faults: _Faults) -> None:
    faults.append(
        f"Invalid type for parameter {_named(name)}, value: {_told(value)}, type: {type(value)}, valid types: {kinds}"
    )


def _check_least(size: int, least: int | None, name: str, faults: _Faults, *, what: str) -> None:
    if least is not None and size < least:
        faults.append(f"Invalid {what} for parameter {_named(name)}, value: {_told(size)}, valid min {what}: {least}")


def _named(name: str) -> str:
    return name[1:] if name.startswith(".") else name or "input"


def _told(value: Any) -> str:
    try:
        return str(value)
    except (ValueError, RecursionError):  # thousands of digits, thousands of brackets
        return shown(value)


def _raised(report: str) -> ParamValidationError:
    botocore: Any = sys.modules.get("botocore.exceptions")
    kind = ParamValidationError if botocore is None else _class_for_botocore(botocore.ParamValidationError)
    return kind(report=report)


@cache
def _class_for_botocore(base: type[Exception]) -> type[ParamValidationError]:
    return type(
        "ParamValidationError",
        (ParamValidationError, base),
        {
            "__module__": __name__,
            "__doc__": ParamValidationError.__doc__,
            "__reduce__": ParamValidationError.__reduce__,
        },
    )
