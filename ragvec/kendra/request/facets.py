"""The facets of a request."""

from __future__ import annotations

import msgspec

from ragvec.errors import InvalidRequest
from ragvec.kendra.attributes import Schema
from ragvec.kendra.limits import Limits
from ragvec.kendra.problems import shown, unexpected
from ragvec.kendra.request.asked import FacetRequest
from ragvec.kendra.request.members import objects
from ragvec.kendra.settings import Settings

__all__ = ["most_values", "read_facets"]

_MEMBERS = frozenset({"DocumentAttributeKey", "Facets", "MaxResults"})


def read_facets(value: object, *, schema: Schema, settings: Settings) -> tuple[FacetRequest, ...]:
    """Kendra's `Facets`, with what the settings add to each. Raises InvalidRequest, with the place."""
    if value is None:
        return ()
    facets = _level(value, schema=schema, limits=settings.limits, path="Facets", level=0)
    return tuple(_beyond(facet, settings) for facet in facets)


def most_values(value: object, *, limits: Limits, path: str) -> int:
    """How many values a facet lists at most. Raises InvalidRequest: not a whole number within the limit."""
    value = limits.facet_values_default if value is None else value
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= (limits.facet_values or value):
        raise unexpected(f"a whole number from 0 to {limits.facet_values or 'any'}", shown(value), path=path)
    return value


def _level(value: object, *, schema: Schema, limits: Limits, path: str, level: int) -> tuple[FacetRequest, ...]:
    facets = []
    for i, entry in enumerate(objects(value, path=path, members=_MEMBERS, key="DocumentAttributeKey")):
        place = f"{path}[{i}]"
        field = schema.facetable(entry["DocumentAttributeKey"], path=f"{place}.DocumentAttributeKey")
        most = most_values(entry.get("MaxResults"), limits=limits, path=f"{place}.MaxResults")
        inner = entry.get("Facets") or ()
        if inner and (level >= limits.nested_facets or len(inner) > 1):
            raise InvalidRequest(f"Expected one nested facet in a facet, and none in that - at `{place}`", path=place)
        nested = _level(inner, schema=schema, limits=limits, path=f"{place}.Facets", level=level + 1)
        facets.append(FacetRequest(field, most, nested[0] if nested else None))
    return tuple(facets)


def _beyond(facet: FacetRequest, settings: Settings) -> FacetRequest:
    """The facet, its dates in intervals and its filter set aside where the settings say so."""
    return msgspec.structs.replace(
        facet,
        interval=settings.date_interval if facet.field.type == "DATE_VALUE" else None,
        disjunctive=settings.disjunctive_facets,
        nested=None if facet.nested is None else _beyond(facet.nested, settings),
    )
