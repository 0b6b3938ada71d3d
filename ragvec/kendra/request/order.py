"""The order of a request's results, and what is collapsed in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from ragvec.errors import InvalidRequest
from ragvec.kendra.attributes import Schema
from ragvec.kendra.limits import Limits
from ragvec.kendra.problems import shown, unexpected
from ragvec.kendra.request.asked import Collapse, Missing, SortKey
from ragvec.kendra.request.members import flag, objects

__all__ = ["read_collapse", "read_sorting"]

_SORTING = frozenset({"DocumentAttributeKey", "SortOrder"})
_COLLAPSE = frozenset(
    {
        "DocumentAttributeKey",
        "SortingConfigurations",
        "MissingAttributeKeyStrategy",
        "Expand",
        "ExpandConfiguration",
    }
)
_EXPANSION = frozenset({"MaxResultItemsToExpand", "MaxExpandedResultsPerItem"})


def read_sorting(given: Mapping[str, Any], *, schema: Schema, limits: Limits) -> tuple[SortKey, ...]:
    """The order that `SortingConfiguration` or `SortingConfigurations` ask for. Raises InvalidRequest: both do."""
    one, several = given.get("SortingConfiguration"), given.get("SortingConfigurations")
    if one is not None and several is not None:
        raise unexpected("SortingConfiguration or SortingConfigurations", "both", path="SortingConfiguration")
    if one is not None:
        path = "SortingConfiguration"
        (entry,) = objects([one], path=path, members=_SORTING, key="DocumentAttributeKey")
        return (_key(entry, schema=schema, path=path),)
    return _keys(several, schema=schema, limits=limits, path="SortingConfigurations")


def read_collapse(value: object, *, schema: Schema, limits: Limits) -> Collapse | None:
    """Kendra's `CollapseConfiguration`. Raises InvalidRequest, with the place."""
    path = "CollapseConfiguration"
    if value is None:
        return None
    if not isinstance(value, Mapping) or not isinstance(value.get("DocumentAttributeKey"), str):
        raise unexpected("an object with DocumentAttributeKey", shown(value), path=path)
    _no_others(value, _COLLAPSE, path=path)
    expand = value.get("Expand")
    sizes = value.get("ExpandConfiguration")
    sizes = {} if sizes is None else sizes
    if not isinstance(sizes, Mapping):
        raise unexpected("an object", shown(sizes), path=f"{path}.ExpandConfiguration")
    _no_others(sizes, _EXPANSION, path=f"{path}.ExpandConfiguration")
    numbers = []
    for name, default in (
        ("MaxResultItemsToExpand", limits.expanded_items_default),
        ("MaxExpandedResultsPerItem", limits.expanded_results_default),
    ):
        number = sizes.get(name)
        number = default if number is None else number
        if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= (limits.expanded or number):
            expected = f"a whole number from 0 to {limits.expanded or 'any'}"
            raise unexpected(expected, shown(number), path=f"{path}.ExpandConfiguration.{name}")
        numbers.append(number)
    return Collapse(
        field=schema.sortable(value["DocumentAttributeKey"], path=f"{path}.DocumentAttributeKey"),
        sort=_keys(
            value.get("SortingConfigurations"), schema=schema, limits=limits, path=f"{path}.SortingConfigurations"
        ),
        missing=_missing(value.get("MissingAttributeKeyStrategy"), path=f"{path}.MissingAttributeKeyStrategy"),
        expand=False if expand is None else flag(expand, path=f"{path}.Expand"),
        groups=numbers[0],
        members=numbers[1],
    )


def _missing(value: object, *, path: str) -> Missing:
    if value is None:
        return "COLLAPSE"
    strategies: tuple[Missing, ...] = get_args(Missing)
    for strategy in strategies:
        if value == strategy:
            return strategy
    raise unexpected(f"one of {', '.join(strategies)}", shown(value), path=path)


def _keys(value: object, *, schema: Schema, limits: Limits, path: str) -> tuple[SortKey, ...]:
    if value is None:
        return ()
    entries = objects(value, path=path, members=_SORTING, key="DocumentAttributeKey")
    if not entries or (limits.sort_fields is not None and len(entries) > limits.sort_fields):
        raise unexpected(f"1 to {limits.sort_fields or 'any number of'} fields", len(entries), path=path)
    return tuple(_key(entry, schema=schema, path=f"{path}[{i}]") for i, entry in enumerate(entries))


def _key(entry: Mapping[str, Any], *, schema: Schema, path: str) -> SortKey:
    order = entry.get("SortOrder")
    if order not in ("ASC", "DESC"):
        raise unexpected("ASC or DESC", shown(order), path=path)
    field = schema.sortable(entry["DocumentAttributeKey"], path=f"{path}.DocumentAttributeKey")
    return SortKey(field, order == "DESC")


def _no_others(value: Mapping[str, Any], members: frozenset[str], *, path: str) -> None:
    unknown = sorted(map(str, value.keys() - members))
    if unknown:
        raise InvalidRequest(f"Unknown member {shown(unknown[0])} - at `{path}`", path=path)
