"""How strongly a field counts: Kendra's `Relevance`, of an index's field or of one query, read and checked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias, get_args

import msgspec

from ragvec.kendra.problems import shown, unexpected

__all__ = ["DEFAULT_DURATION", "Override", "RankOrder", "Relevance", "read_importance", "read_relevance"]

RankOrder: TypeAlias = Literal["ASCENDING", "DESCENDING"]

DEFAULT_DURATION = 25_920_000
"""Seconds after which freshness has faded unless a field says otherwise: 300 days, as a fresh Kendra index has it."""

_MEMBERS = frozenset({"Importance", "Freshness", "Duration", "RankOrder", "ValueImportanceMap"})
_LEAST, _MOST = 1, 10
_LONGEST_VALUE = 50
_DURATION = re.compile(r"[0-9]{1,9}s")


class Relevance(msgspec.Struct, frozen=True, kw_only=True):
    """How a field's value moves a document up or down; what is None was not given.

    `importance` and the numbers of `values` are from 1 (neutral) to 10, `duration` is in seconds.
    """

    importance: int | None = None
    freshness: bool | None = None
    duration: int | None = None
    rank_order: RankOrder | None = None
    values: dict[str, int] | None = None


class Override(msgspec.Struct, frozen=True):
    """The relevance of a field for one query, in place of the index's own."""

    name: str
    relevance: Relevance


def read_relevance(value: object, *, path: str) -> Relevance:
    """Kendra's `Relevance` object. Raises InvalidRequest: a member is unknown, of a wrong type or out of its range."""
    if not isinstance(value, Mapping):
        raise unexpected("an object", shown(value), path=path)
    unknown = sorted(map(str, value.keys() - _MEMBERS))
    if unknown:
        raise unexpected(f"members among {', '.join(sorted(_MEMBERS))}", shown(unknown[0]), path=path)
    given: dict[str, Any] = {name: member for name, member in value.items() if member is not None}
    freshness = given.get("Freshness")
    if freshness is not None and not isinstance(freshness, bool):
        raise unexpected("true or false", shown(freshness), path=f"{path}.Freshness")
    order = given.get("RankOrder")
    if order is not None and order not in get_args(RankOrder):
        raise unexpected(f"one of {', '.join(get_args(RankOrder))}", shown(order), path=f"{path}.RankOrder")
    importance = given.get("Importance")
    return Relevance(
        importance=None if importance is None else read_importance(importance, path=f"{path}.Importance"),
        freshness=freshness,
        duration=_duration(given.get("Duration"), path=f"{path}.Duration"),
        rank_order=order,
        values=_values(given.get("ValueImportanceMap"), path=f"{path}.ValueImportanceMap"),
    )


def read_importance(value: object, *, path: str) -> int:
    """A whole number from 1 to 10. Raises InvalidRequest for anything else."""
    if isinstance(value, bool) or not isinstance(value, int) or not _LEAST <= value <= _MOST:
        raise unexpected(f"a whole number from {_LEAST} to {_MOST}", shown(value), path=path)
    return value


def _duration(value: object, *, path: str) -> int | None:
    if value is None:
        return None
    if not isinstance(value, str) or not _DURATION.fullmatch(value):
        raise unexpected("seconds as text, like '25920000s'", shown(value), path=path)
    return int(value[:-1])


def _values(value: object, *, path: str) -> dict[str, int] | None:
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise unexpected("an object of values and their importance", shown(value), path=path)
    read = {}
    for name, importance in value.items():
        if not isinstance(name, str) or not 1 <= len(name) <= _LONGEST_VALUE:
            raise unexpected(f"values of 1 to {_LONGEST_VALUE} characters", shown(name), path=path)
        read[name] = read_importance(importance, path=f"{path}.{name}")
    return read
