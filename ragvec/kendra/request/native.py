"""The Pythonic forms of facets, orders, collapse and relevance, made the request's own."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias, get_args

import msgspec

from ragvec.errors import InvalidRequest
from ragvec.kendra.attributes import Field, Schema
from ragvec.kendra.problems import shown, unexpected
from ragvec.kendra.rank.tuning import Tuning, read_relevance
from ragvec.kendra.request.asked import Collapse, FacetRequest, Missing, SortKey
from ragvec.kendra.settings import Interval, Settings

__all__ = ["Boosts", "CollapseBy", "Facet", "Facets", "boosts_of", "collapse_of", "facets_of", "sorting_of"]

_EVERYTHING = 2**31


class Facet(msgspec.Struct, frozen=True):
    """An attribute to count: its `most` most frequent values (None: all), in each of them the counts of `nested`.

    `interval` counts dates by year, quarter, month, week, day or hour, and numbers by a width, such as 100. A
    `disjunctive` facet counts as if the filter did not restrict its own attribute, so that the values beside a chosen
    one can be offered too. None takes what the settings say.
    """

    name: str
    most: int | None = 10
    nested: Facet | str | None = None
    interval: Interval | float | None = None
    disjunctive: bool | None = None


class CollapseBy(msgspec.Struct, frozen=True):
    """Documents that share an attribute's value shown as one: the first by `sort`, or else the most relevant.

    `missing`: documents without a value make one group ("COLLAPSE"), are left out ("IGNORE") or stand alone
    ("EXPAND"). `expand` is how many others of its group a document carries, in the first `groups` groups (None: all).
    """

    name: str
    sort: str | Sequence[str] | None = None
    missing: Missing = "COLLAPSE"
    expand: int = 0
    groups: int | None = None


Facets: TypeAlias = "str | Facet | Sequence[str | Facet] | Mapping[str, int | Interval | None]"
Boosts: TypeAlias = "Mapping[str, int | Mapping[str, Any]]"


def facets_of(facets: Facets, schema: Schema, settings: Settings) -> tuple[FacetRequest, ...]:
    """The facets asked for: by names, by names and numbers or intervals, or in full.

    Raises:
        InvalidRequest: an unknown attribute, an interval for what is no date, a negative number.
    """
    asked: Iterable[Any]
    if isinstance(facets, Mapping):
        asked = [
            Facet(name, None, interval=most) if isinstance(most, str) else Facet(name, most)
            for name, most in facets.items()
        ]
    else:
        asked = [facets] if isinstance(facets, (str, Facet)) else facets
    return tuple(_facet(facet, schema, settings, level=0) for facet in asked)


def sorting_of(sort: str | Sequence[str] | None, schema: Schema, *, path: str = "sort") -> tuple[SortKey, ...]:
    """The order named by attributes, "-" before a name for descending. Raises InvalidRequest: one has no order."""
    names = [sort] if isinstance(sort, str) else sort or ()
    for name in names:
        if not isinstance(name, str):
            raise unexpected("names of attributes", shown(name), path=path)
    return tuple(SortKey(schema.sortable(name.removeprefix("-"), path=path), name.startswith("-")) for name in names)


def collapse_of(collapse: str | CollapseBy | None, schema: Schema) -> Collapse | None:
    """What to collapse by. Raises InvalidRequest: an attribute that has no order, or a wrong member."""
    if collapse is None:
        return None
    by = CollapseBy(collapse) if isinstance(collapse, str) else collapse
    if not isinstance(by, CollapseBy):
        raise unexpected("the name of an attribute, or CollapseBy", shown(by), path="collapse")
    if by.missing not in get_args(Missing):
        raise unexpected(f"one of {', '.join(get_args(Missing))}", shown(by.missing), path="collapse.missing")
    for number, path in ((by.expand, "collapse.expand"), (by.groups, "collapse.groups")):
        if number is not None and not _is_count(number):
            raise unexpected("a whole number of at least 0", shown(number), path=path)
    return Collapse(
        field=schema.sortable(by.name, path="collapse"),
        sort=sorting_of(by.sort, schema, path="collapse.sort"),
        missing=by.missing,
        expand=by.expand > 0,
        groups=_EVERYTHING if by.groups is None else by.groups,
        members=by.expand,
    )


def boosts_of(boosts: Boosts | None, schema: Schema) -> tuple[Tuning, ...]:
    """The relevance of fields for one search: an importance from 1 to 10, or Kendra's `Relevance` in full.

    Raises:
        InvalidRequest: an unknown attribute, or a member that is wrong or means nothing for it.
    """
    if boosts is not None and not isinstance(boosts, Mapping):
        raise unexpected("an object of attributes and their importance", shown(boosts), path="boost")
    tunings = []
    for name, value in (boosts or {}).items():
        field = schema.field(name, path="boost")
        relevance = value if isinstance(value, Mapping) else {"Importance": value}
        tunings.append(read_relevance(relevance, field=field, path=f"boost.{name}"))
    return tuple(tunings)


def _facet(facet: str | Facet, schema: Schema, settings: Settings, *, level: int) -> FacetRequest:
    if isinstance(facet, str):
        facet = Facet(facet, settings.limits.facet_values_default)
    if not isinstance(facet, Facet):
        raise unexpected("names of attributes, or Facet", shown(facet), path="facets")
    field = schema.facetable(facet.name, path="facets")
    if facet.most is not None and not _is_count(facet.most):
        raise unexpected("a whole number of at least 0", shown(facet.most), path="facets")
    if facet.interval is not None:
        _check_interval(facet.interval, field)
    if facet.nested is not None and level >= settings.limits.nested_facets:
        raise InvalidRequest(f"Expected at most {settings.limits.nested_facets} nested facet - at `facets`")
    return FacetRequest(
        field,
        facet.most,
        None if facet.nested is None else _facet(facet.nested, schema, settings, level=level + 1),
        interval=facet.interval or (settings.date_interval if field.type == "DATE_VALUE" else None),
        disjunctive=settings.disjunctive_facets if facet.disjunctive is None else facet.disjunctive,
    )


def _check_interval(interval: object, field: Field) -> None:
    """Raise InvalidRequest if values of this field have no such intervals."""
    if field.type == "DATE_VALUE":
        if interval not in get_args(Interval):
            raise unexpected(f"one of {', '.join(get_args(Interval))} for a date", shown(interval), path="facets")
    elif field.type not in ("LONG_VALUE", "DOUBLE"):
        raise unexpected(
            "a date or a number to count by intervals", f"{field.name!r}, of type {field.type}", path="facets"
        )
    elif isinstance(interval, bool) or not isinstance(interval, (int, float)) or not 0 < interval < math.inf:
        raise unexpected("an interval of numbers above 0", shown(interval), path="facets")


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
