"""The filter of a request, read by the rules of the dialect and for one index."""

from __future__ import annotations

from typing import Any

from ragvec.api.access import Session
from ragvec.api.buckets import DEFAULT_MODE, MODES
from ragvec.api.constraints import Constraints
from ragvec.engine.protocol import IndexSpec
from ragvec.errors import InvalidFilter, InvalidRequest, NonFilterableKey
from ragvec.filters.nodes import EVERYTHING, Filter
from ragvec.filters.parse import FilterRules
from ragvec.filters.parsed import parsed_filter

__all__ = ["where_of"]


def where_of(session: Session, spec: IndexSpec, document: Any, *, mode: str | None = None) -> Filter:
    """The meaning of a request's filter; None lets everything through. `mode` is the query's own, None for the index's.

    Raises:
        NonFilterableKey: it names a key that the index declares non-filterable.
        InvalidFilter: it is malformed in this dialect.
        InvalidRequest: `mode` is none, or CLASSIC is asked of an index of mode ENHANCED.
    """
    rules = _rules(session, spec, mode)
    if document is None:
        return EVERYTHING
    try:
        return parsed_filter(document, rules, non_filterable=spec.non_filterable)
    except NonFilterableKey as error:
        raise _worded(session, error, "Invalid use of non-filterable metadata in filter") from error
    except InvalidFilter as error:
        raise _worded(session, error, "Invalid filter") from error


def _rules(session: Session, spec: IndexSpec, mode: str | None) -> FilterRules:
    constraints = Constraints(hints=session.dialect.hints)
    constraints.one_of("/queryMode", mode, MODES)
    constraints.check()
    kept = spec.index_mode or DEFAULT_MODE
    if mode == "CLASSIC" and kept == "ENHANCED":
        raise InvalidRequest("queryMode CLASSIC is not available on an index of mode ENHANCED", path="/queryMode")
    if (mode or kept) == "CLASSIC" and session.dialect.classic_filters is not None:
        return session.dialect.classic_filters
    return session.dialect.filters


def _worded(session: Session, error: InvalidFilter, message: str) -> InvalidFilter:
    """The same error in the service's words; what is wrong, and where, stays in the detail."""
    text = f"{message}: {error.message}" if session.dialect.hints else message
    return type(error)(text, path="filter", detail=error.message)
