"""From a mapping of parameters, as a caller or a JSON body gives them, to a request struct."""

from __future__ import annotations

import re
from collections.abc import Mapping, Set
from functools import cache, lru_cache
from typing import Any, TypeVar

import msgspec
import numpy as np

from ragvec.api.constraints import Constraints
from ragvec.api.dialects import Dialect
from ragvec.api.requests import Request
from ragvec.errors import InvalidRequest

__all__ = ["decode_request", "parameters"]

R = TypeVar("R", bound=Request)

_STEP = re.compile(r"\.([^.\[\]`]+)|\[(\d+|\.\.\.)\]")


_PLAIN = (str, int, float, bool, dict, list)
"""Types of values that are what they seem."""


def parameters(kind: type[Request], *, operation: str, dialect: Dialect) -> Mapping[str, bool]:
    """The parameters of an operation in a dialect, each with whether it is required."""
    return _parameters(kind, operation, dialect.absent)


def decode_request(kind: type[R], arguments: Mapping[str, Any], *, operation: str, dialect: Dialect) -> R:
    """Return the request; a parameter that is None counts as not given. `arguments` is not modified.

    Raises:
        InvalidRequest: a parameter is unknown in this dialect, missing, or of a wrong type; the message names it.
    """
    known = parameters(kind, operation=operation, dialect=dialect)
    if not arguments.keys() <= known.keys():
        unknown = sorted(set(arguments) - set(known))
        names = ", ".join(f"`{name}`" for name in unknown)
        raise InvalidRequest(
            f"Unknown parameter {names} for {operation} in the {dialect.name} dialect; expected {_listed(known)}",
            path=f"/{unknown[0]}",
        )
    given = dict(dialect.defaults.get(operation, {}))
    for name, value in arguments.items():
        if value is not None:
            given[name] = value if type(value) in _PLAIN else _plain(value)
    if not given.keys() >= _required(kind):
        constraints = Constraints(hints=dialect.hints)
        for name, required in known.items():
            if required:
                constraints.required(f"/{name}", given.get(name))
        constraints.check()
    try:
        return msgspec.convert(given, kind)
    except msgspec.ValidationError as error:
        raise _translated(str(error), dialect) from error


@lru_cache(maxsize=256)
def _parameters(kind: type[Request], operation: str, absent: frozenset[str]) -> Mapping[str, bool]:
    return {
        field.encode_name: field.required
        for field in msgspec.structs.fields(kind)
        if f"{operation}.{field.encode_name}" not in absent
    }


@cache
def _required(kind: type[Request]) -> Set[str]:
    return frozenset(field.encode_name for field in msgspec.structs.fields(kind) if field.required)


def _listed(known: Mapping[str, bool]) -> str:
    return ", ".join(known) or "none"


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, str) and type(value) is not str:
        return str.__str__(value)
    return value


def _translated(message: str, dialect: Dialect) -> InvalidRequest:
    """The words of msgspec with the path in the style of the services: `$.vectors[0].key` as /vectors/0/key."""
    text, _, place = message.replace(" | null`", "`").rpartition(" - at ")
    if not text:
        text, place = message, "`$`"
    path = "".join(f"/{name or number}" for name, number in _STEP.findall(place))
    missing = re.fullmatch(r"Object missing required field `(\w+)`", text)
    if missing:
        constraints = Constraints(hints=dialect.hints)
        constraints.required(f"{path}/{missing[1]}", None)
        return constraints.error()
    unknown = re.fullmatch(r"Object contains unknown field `(.*)`", text)
    if unknown:
        path, text = f"{path}/{unknown[1]}", f"Unknown parameter `{unknown[1]}`"
    return InvalidRequest(f"{text} - at `{path or '/'}`", path=path)
