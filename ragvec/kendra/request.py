"""Query and Retrieve requests: Kendra's members read, checked and turned into what the search needs.

A member of Kendra's that is not built is refused by its name; nothing that could change a result is ignored.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from ragvec.errors import InvalidRequest
from ragvec.filters.nodes import EVERYTHING, And, Eq, Filter
from ragvec.kendra.access import user_context
from ragvec.kendra.attributes import Field, Schema
from ragvec.kendra.filters import compile_filter, leaves
from ragvec.kendra.limits import Limits
from ragvec.kendra.problems import shown, unexpected
from ragvec.kendra.settings import Settings
from ragvec.pipeline.passages import LANGUAGE_CODE

__all__ = ["FacetRequest", "Request", "SortKey", "conjunction", "in_language", "paging", "read_query", "read_retrieve"]

_SHARED = frozenset(
    {
        "IndexId",
        "QueryText",
        "AttributeFilter",
        "RequestedDocumentAttributes",
        "DocumentRelevanceOverrideConfigurations",
        "PageNumber",
        "PageSize",
        "UserContext",
    }
)
_QUERY = _SHARED | {
    "Facets",
    "QueryResultTypeFilter",
    "SortingConfiguration",
    "SortingConfigurations",
    "VisitorId",
    "SpellCorrectionConfiguration",
    "CollapseConfiguration",
}
_RESULT_TYPES = ("DOCUMENT", "QUESTION_ANSWER", "ANSWER")


class SortKey(msgspec.Struct, frozen=True):
    """One field of an order."""

    field: Field
    descending: bool


class FacetRequest(msgspec.Struct, frozen=True):
    """A field to count the values of, at most `most` of them (None: all), and one field to count inside each value."""

    field: Field
    most: int | None
    nested: FacetRequest | None = None


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A checked request. Without `text` it browses; `requested` None stands for every displayable attribute."""

    text: str | None = None
    where: Filter = EVERYTHING
    facets: tuple[FacetRequest, ...] = ()
    sort: tuple[SortKey, ...] = ()
    page: int = 1
    page_size: int = 10
    requested: tuple[str, ...] | None = None


def read_query(members: Mapping[str, Any], *, schema: Schema, settings: Settings) -> Request:
    """The request that the members of a Query ask for.

    Text that is empty or white space counts as no text. Raises InvalidRequest, with the member's path, for whatever is
    wrong, not known, or not built.
    """
    given = _given(members, known=_QUERY, operation="Query")
    limits = settings.limits
    _refuse_unbuilt(given)
    text = _text(given.get("QueryText"), limits=limits)
    if text is None and not given.get("AttributeFilter") and not given.get("Facets"):
        raise unexpected("QueryText, or AttributeFilter or Facets to browse with", "none of them", path="QueryText")
    _check_visitor(given.get("VisitorId"))
    page, page_size = paging(given.get("PageNumber"), given.get("PageSize"), limits=limits)
    return Request(
        text=text,
        where=_where(given, schema=schema, settings=settings),
        facets=_facets(given.get("Facets"), schema=schema, limits=limits),
        sort=_sorting(given, schema=schema, limits=limits),
        page=page,
        page_size=page_size,
        requested=_requested(given.get("RequestedDocumentAttributes"), limits=limits),
    )


def read_retrieve(members: Mapping[str, Any], *, schema: Schema, settings: Settings) -> Request:
    """The request that the members of a Retrieve ask for. Raises InvalidRequest as `read_query`, and without text."""
    given = _given(members, known=_SHARED, operation="Retrieve")
    _refuse_unbuilt(given)
    text = _text(given.get("QueryText"), limits=settings.limits)
    if text is None:
        raise unexpected("text", "none", path="QueryText")
    page, page_size = paging(given.get("PageNumber"), given.get("PageSize"), limits=settings.limits)
    return Request(
        text=text,
        where=_where(given, schema=schema, settings=settings),
        page=page,
        page_size=page_size,
        requested=_requested(given.get("RequestedDocumentAttributes"), limits=settings.limits),
    )


def in_language(where: Filter, *, settings: Settings) -> Filter:
    """`where` narrowed to the language of the settings, unless it asks for a language itself."""
    if settings.language is None or any(getattr(leaf, "field", "") == LANGUAGE_CODE for leaf in leaves(where)):
        return where
    return conjunction(where, Eq(LANGUAGE_CODE, settings.language))


def conjunction(*filters: Filter) -> Filter:
    """All of the filters at once, those that restrict nothing left out."""
    real = tuple(where for where in filters if where != EVERYTHING)
    return real[0] if len(real) == 1 else And(real)


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


def _given(members: Mapping[str, Any], *, known: frozenset[str], operation: str) -> dict[str, Any]:
    unknown = sorted(members.keys() - known)
    if unknown:
        raise InvalidRequest(
            f"Unknown member {shown(unknown[0])} of {operation}; known are {', '.join(sorted(known))}", path=unknown[0]
        )
    return {name: value for name, value in members.items() if value is not None}


def _refuse_unbuilt(given: Mapping[str, Any]) -> None:
    wanted = []
    if given.get("DocumentRelevanceOverrideConfigurations"):
        wanted.append("DocumentRelevanceOverrideConfigurations")
    if "CollapseConfiguration" in given:
        wanted.append("CollapseConfiguration")
    spelling = given.get("SpellCorrectionConfiguration")
    if spelling is not None and spelling != {"IncludeQuerySpellCheckSuggestions": False}:
        wanted.append("SpellCorrectionConfiguration")
    kind = given.get("QueryResultTypeFilter")
    if kind is not None and kind not in _RESULT_TYPES:
        raise unexpected(f"one of {', '.join(_RESULT_TYPES)}", shown(kind), path="QueryResultTypeFilter")
    if kind is not None and kind != "DOCUMENT":
        wanted.append(f"QueryResultTypeFilter {kind}")
    if wanted:
        raise InvalidRequest(f"{wanted[0]} is not supported by this version", path=wanted[0].partition(" ")[0])


def _text(value: object, *, limits: Limits) -> str | None:
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


def _where(given: Mapping[str, Any], *, schema: Schema, settings: Settings) -> Filter:
    context = given.get("UserContext")
    if context is not None and not isinstance(context, Mapping):
        raise unexpected("an object", shown(context), path="UserContext")
    of_attributes = compile_filter(given.get("AttributeFilter"), schema=schema, limits=settings.limits)
    return conjunction(in_language(of_attributes, settings=settings), user_context(context, limits=settings.limits))


def _requested(value: object, *, limits: Limits) -> tuple[str, ...] | None:
    path = "RequestedDocumentAttributes"
    if value is None:
        return None
    if not isinstance(value, (list, tuple)) or not all(isinstance(name, str) for name in value):
        raise unexpected("a list of names", shown(value), path=path)
    if not value or (limits.requested_attributes is not None and len(value) > limits.requested_attributes):
        most = limits.requested_attributes or "any number of"
        raise unexpected(f"1 to {most} names", len(value), path=path)
    return tuple(value)


def _check_visitor(value: object) -> None:
    """A visitor id changes no result; it is checked as Kendra describes it."""
    if value is not None and not (isinstance(value, str) and re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9_-]{0,255}", value)):
        raise unexpected("1 to 256 letters, digits, '_' or '-'", shown(value), path="VisitorId")


def _objects(value: object, *, path: str, members: frozenset[str]) -> list[Mapping[str, Any]]:
    if not isinstance(value, (list, tuple)):
        raise unexpected("a list of objects", shown(value), path=path)
    for i, entry in enumerate(value):
        if not isinstance(entry, Mapping) or not isinstance(entry.get("DocumentAttributeKey"), str):
            raise unexpected("an object with DocumentAttributeKey", shown(entry), path=f"{path}[{i}]")
        unknown = sorted(map(str, entry.keys() - members))
        if unknown:
            raise InvalidRequest(f"Unknown member {shown(unknown[0])} - at `{path}[{i}]`", path=f"{path}[{i}]")
    return list(value)


def _facets(value: object, *, schema: Schema, limits: Limits) -> tuple[FacetRequest, ...]:
    if value is None:
        return ()
    return _facet_level(value, schema=schema, limits=limits, path="Facets", level=0)


def _facet_level(value: object, *, schema: Schema, limits: Limits, path: str, level: int) -> tuple[FacetRequest, ...]:
    facets = []
    for i, entry in enumerate(
        _objects(value, path=path, members=frozenset({"DocumentAttributeKey", "Facets", "MaxResults"}))
    ):
        place = f"{path}[{i}]"
        field = schema.facetable(entry["DocumentAttributeKey"], path=f"{place}.DocumentAttributeKey")
        most = entry.get("MaxResults")
        most = limits.facet_values_default if most is None else most
        if isinstance(most, bool) or not isinstance(most, int) or not 0 <= most <= (limits.facet_values or most):
            raise unexpected(
                f"a whole number from 0 to {limits.facet_values or 'any'}", shown(most), path=f"{place}.MaxResults"
            )
        inner = entry.get("Facets") or ()
        if inner and (level >= limits.nested_facets or len(inner) > 1):
            raise InvalidRequest(f"Expected one nested facet in a facet, and none in that - at `{place}`", path=place)
        nested = _facet_level(inner, schema=schema, limits=limits, path=f"{place}.Facets", level=level + 1)
        facets.append(FacetRequest(field, most, nested[0] if nested else None))
    return tuple(facets)


def _sorting(given: Mapping[str, Any], *, schema: Schema, limits: Limits) -> tuple[SortKey, ...]:
    one, several = given.get("SortingConfiguration"), given.get("SortingConfigurations")
    if one is not None and several is not None:
        raise unexpected("SortingConfiguration or SortingConfigurations", "both", path="SortingConfiguration")
    if one is None and several is None:
        return ()
    path = "SortingConfigurations" if one is None else "SortingConfiguration"
    entries = _objects(
        several if one is None else [one], path=path, members=frozenset({"DocumentAttributeKey", "SortOrder"})
    )
    if not entries or (limits.sort_fields is not None and len(entries) > limits.sort_fields):
        raise unexpected(f"1 to {limits.sort_fields or 'any number of'} fields", len(entries), path=path)
    keys = []
    for i, entry in enumerate(entries):
        place = path if one is not None else f"{path}[{i}]"
        order = entry.get("SortOrder")
        if order not in ("ASC", "DESC"):
            raise unexpected("ASC or DESC", shown(order), path=place)
        field = schema.sortable(entry["DocumentAttributeKey"], path=f"{place}.DocumentAttributeKey")
        keys.append(SortKey(field, order == "DESC"))
    return tuple(keys)
