"""Members of a request read one by one, each with its limit."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ragvec.errors import InvalidRequest
from ragvec.kendra.limits import Limits
from ragvec.kendra.problems import shown, unexpected

__all__ = ["flag", "given_members", "objects", "paging", "requested_attributes", "text_of", "visitor_id"]


def given_members(members: Mapping[str, Any], *, known: frozenset[str], operation: str) -> dict[str, Any]:
    """The members that are given, None counting as not. Raises InvalidRequest: one is not known."""
    unknown = sorted(members.keys() - known)
    if unknown:
        raise InvalidRequest(
            f"Unknown member {shown(unknown[0])} of {operation}; known are {', '.join(sorted(known))}", path=unknown[0]
        )
    return {name: value for name, value in members.items() if value is not None}


def paging(number: object, size: object, *, limits: Limits) -> tuple[int, int]:
    """Page number (from 1) and page size, defaults filled in; a size above the limit is reduced to it.

    Raises:
        InvalidRequest: one of them is not a whole number of at least 1.
    """
    read = []
    for name, value, default in (("PageNumber", number, 1), ("PageSize", size, limits.page_size_default)):
        value = default if value is None else value
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise unexpected("a whole number of at least 1", shown(value), path=name)
        read.append(value)
    return read[0], min(read[1], limits.page_size or read[1])


def text_of(value: object, *, limits: Limits) -> str | None:
    """The text to search for; None where there is none but white space. Raises InvalidRequest: it is too long."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise unexpected("text", shown(value), path="QueryText")
    if limits.query_text is not None and len(value) > limits.query_text:
        raise InvalidRequest(
            f"Expected at most {limits.query_text} characters, got {len(value)} - at `QueryText`; shorten the query, "
            "or lift the limit with Settings(limits=NATIVE)",
            path="QueryText",
        )
    return value if value.strip() else None


def requested_attributes(value: object, *, limits: Limits) -> tuple[str, ...] | None:
    """The names of the attributes to return; None for those returned unasked."""
    path = "RequestedDocumentAttributes"
    if value is None:
        return None
    if not isinstance(value, (list, tuple)) or not all(isinstance(name, str) for name in value):
        raise unexpected("a list of names", shown(value), path=path)
    if not value or (limits.requested_attributes is not None and len(value) > limits.requested_attributes):
        most = limits.requested_attributes or "any number of"
        raise unexpected(f"1 to {most} names", len(value), path=path)
    return tuple(value)


def visitor_id(value: object) -> str | None:
    """The visitor's id, which changes no result. Raises InvalidRequest: it is not as Kendra describes it."""
    if value is None:
        return None
    if not (isinstance(value, str) and re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9_-]{0,255}", value)):
        raise unexpected("1 to 256 letters, digits, '_' or '-'", shown(value), path="VisitorId")
    return value


def flag(value: object, *, path: str) -> bool:
    """True or false. Raises InvalidRequest for anything else."""
    if not isinstance(value, bool):
        raise unexpected("true or false", shown(value), path=path)
    return value


def objects(value: object, *, path: str, members: frozenset[str], key: str) -> list[Mapping[str, Any]]:
    """A list of objects that each have `key` as text and no members but these. Raises InvalidRequest otherwise."""
    if not isinstance(value, (list, tuple)):
        raise unexpected("a list of objects", shown(value), path=path)
    for i, entry in enumerate(value):
        if not isinstance(entry, Mapping) or not isinstance(entry.get(key), str):
            raise unexpected(f"an object with {key}", shown(entry), path=f"{path}[{i}]")
        unknown = sorted(map(str, entry.keys() - members))
        if unknown:
            raise InvalidRequest(f"Unknown member {shown(unknown[0])} - at `{path}[{i}]`", path=f"{path}[{i}]")
    return list(value)
