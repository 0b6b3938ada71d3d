"""The members of Query and Retrieve as a checked request; nothing that could change a result is ignored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, get_args

from ragvec.errors import InvalidRequest
from ragvec.filters.nodes import Eq, Filter
from ragvec.kendra.access import restriction, user_context
from ragvec.kendra.access.rules import PLAIN, Rules
from ragvec.kendra.attributes import Schema
from ragvec.kendra.filters import compile_filter, leaves, names_callers
from ragvec.kendra.problems import shown, unexpected
from ragvec.kendra.request.asked import Request, ResultType, conjunction, conjuncts
from ragvec.kendra.request.facets import read_facets
from ragvec.kendra.request.members import flag, given_members, paging, requested_attributes, text_of, visitor_id
from ragvec.kendra.request.order import read_collapse, read_sorting
from ragvec.kendra.request.overrides import read_overrides
from ragvec.kendra.settings import Settings
from ragvec.pipeline.passages import LANGUAGE_CODE

if TYPE_CHECKING:
    from ragvec.kendra.notes import Notes

__all__ = ["in_language", "read_query", "read_retrieve"]

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


def read_query(
    members: Mapping[str, Any], *, schema: Schema, settings: Settings, notes: Notes | None = None
) -> Request:
    """The request that the members of a Query ask for.

    Text that is empty or white space counts as no text. `notes` are the index's, which say how it reads a UserContext.
    Raises InvalidRequest, with the member's path, for whatever is wrong or not known.
    """
    given = given_members(members, known=_QUERY, operation="Query")
    limits = settings.limits
    kind = _kind(given.get("QueryResultTypeFilter"))
    text = text_of(given.get("QueryText"), limits=limits)
    if text is None and not given.get("AttributeFilter") and not given.get("Facets"):
        raise unexpected("QueryText, or AttributeFilter or Facets to browse with", "none of them", path="QueryText")
    page, page_size = paging(given.get("PageNumber"), given.get("PageSize"), limits=limits)
    where, access = _restrictions(given, schema=schema, settings=settings, notes=notes)
    return Request(
        text=text,
        where=where,
        access=access,
        facets=read_facets(given.get("Facets"), schema=schema, settings=settings),
        sort=read_sorting(given, schema=schema, limits=limits),
        page=page,
        page_size=page_size,
        requested=requested_attributes(given.get("RequestedDocumentAttributes"), limits=limits),
        kind=kind,
        overrides=read_overrides(given.get("DocumentRelevanceOverrideConfigurations"), schema=schema, limits=limits),
        collapse=read_collapse(given.get("CollapseConfiguration"), schema=schema, limits=limits),
        spelling=_spelling(given.get("SpellCorrectionConfiguration")),
        visitor=visitor_id(given.get("VisitorId")),
        user=(given.get("UserContext") or {}).get("UserId"),
        syntax=True,
        answers=kind in (None, "ANSWER"),
        faqs=kind in (None, "QUESTION_ANSWER"),
        featured=kind in (None, "DOCUMENT"),
    )


def read_retrieve(
    members: Mapping[str, Any], *, schema: Schema, settings: Settings, notes: Notes | None = None
) -> Request:
    """The request that the members of a Retrieve ask for. Raises InvalidRequest as `read_query`, and without text."""
    given = given_members(members, known=_SHARED, operation="Retrieve")
    limits = settings.limits
    text = text_of(given.get("QueryText"), limits=limits)
    if text is None:
        raise unexpected("text", "none", path="QueryText")
    page, page_size = paging(given.get("PageNumber"), given.get("PageSize"), limits=limits)
    where, access = _restrictions(given, schema=schema, settings=settings, notes=notes)
    return Request(
        text=text,
        where=where,
        access=access,
        page=page,
        page_size=page_size,
        requested=requested_attributes(given.get("RequestedDocumentAttributes"), limits=limits),
        overrides=read_overrides(given.get("DocumentRelevanceOverrideConfigurations"), schema=schema, limits=limits),
        user=(given.get("UserContext") or {}).get("UserId"),
    )


def in_language(where: Filter, *, settings: Settings) -> Filter:
    """`where` narrowed to the language of the settings, unless it asks for a language itself."""
    if settings.language is None or any(getattr(leaf, "field", "") == LANGUAGE_CODE for leaf in leaves(where)):
        return where
    return conjunction(where, Eq(LANGUAGE_CODE, settings.language))


def _kind(value: object) -> ResultType | None:
    if value is None:
        return None
    kinds: tuple[ResultType, ...] = get_args(ResultType)
    for kind in kinds:
        if value == kind:
            return kind
    raise unexpected(f"one of {', '.join(kinds)}", shown(value), path="QueryResultTypeFilter")


def _spelling(value: object) -> bool:
    path, member = "SpellCorrectionConfiguration", "IncludeQuerySpellCheckSuggestions"
    if value is None:
        return False
    if not isinstance(value, Mapping) or value.keys() != {member}:
        raise InvalidRequest(f"Expected an object with {member} alone, got {shown(value)} - at `{path}`", path=path)
    return flag(value[member], path=f"{path}.{member}")


def _access(context: object, *, settings: Settings, notes: Notes | None) -> Filter:
    if context is not None and not isinstance(context, Mapping):
        raise unexpected("an object", shown(context), path="UserContext")
    if notes is None:
        return user_context(context, limits=settings.limits)
    return restriction(context, notes=notes, limits=settings.limits, keys=settings.token_keys)


def _restrictions(
    given: Mapping[str, Any], *, schema: Schema, settings: Settings, notes: Notes | None
) -> tuple[Filter, Filter]:
    """What holds for all that may be found, and for all that may be seen beside it."""
    access = _access(given.get("UserContext"), settings=settings, notes=notes)
    asked = given.get("AttributeFilter")
    # Only conditions on who is asking look at the rules.
    rules = PLAIN if notes is None or not asked else Rules.of(notes)
    of_attributes = compile_filter(asked, schema=schema, limits=settings.limits, rules=rules)
    access = conjunction(*(part for part in conjuncts(of_attributes) if names_callers(part)), access)
    return conjunction(in_language(of_attributes, settings=settings), access), access
