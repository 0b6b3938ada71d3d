"""Query and Retrieve requests: Kendra's members read, checked and turned into what the search needs."""

from ragvec.kendra.request.asked import (
    Collapse,
    FacetRequest,
    Missing,
    Request,
    ResultType,
    SortKey,
    conjunction,
    conjuncts,
)
from ragvec.kendra.request.members import paging
from ragvec.kendra.request.read import in_language, read_query, read_retrieve

__all__ = [
    "Collapse",
    "FacetRequest",
    "Missing",
    "Request",
    "ResultType",
    "SortKey",
    "conjunction",
    "conjuncts",
    "in_language",
    "paging",
    "read_query",
    "read_retrieve",
]
