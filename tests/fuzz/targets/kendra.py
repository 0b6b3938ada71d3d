"""Kendra's attribute filters and whole requests."""

from __future__ import annotations

from ragvec.errors import InvalidFilter, InvalidRequest
from ragvec.filters.interpret import matches
from ragvec.kendra.attributes import Schema
from ragvec.kendra.filters import compile_filter
from ragvec.kendra.limits import KENDRA, NATIVE
from ragvec.kendra.request import read_query, read_retrieve
from ragvec.kendra.settings import Settings
from tests.fuzz.harness import ABSENT, Target, decoded, told

__all__ = ["TARGETS"]

_SCHEMA = Schema.of({"year": "LONG_VALUE", "tags": "STRING_LIST_VALUE", "rate": "DOUBLE", "open": "BOOLEAN"})
_RECORDS: list[dict[str, object]] = [
    {},
    {"_document_id": "a", "year": 2020, "tags": ["x", "y"], "rate": 0.5, "open": True, "_created_at": 1.5e9},
    {"_document_id": "b", "_acl_allow": ["user:me", "group:hr"], "_acl_deny": ["user:you"], "_category": "c"},
]


def kendra_filter(data: bytes) -> None:
    document = decoded(data)
    if document is ABSENT:
        return
    for limits in (NATIVE, KENDRA):
        try:
            where = compile_filter(document, schema=_SCHEMA, limits=limits)
        except InvalidFilter as error:
            told(error)
            continue
        for record in _RECORDS:
            assert matches(where, record) in (True, False)


def kendra_request(data: bytes) -> None:
    document = decoded(data)
    if not isinstance(document, dict):
        return
    for read in (read_query, read_retrieve):
        try:
            request = read(document, schema=_SCHEMA, settings=Settings())
        except InvalidRequest as error:
            told(error)
            continue
        for record in _RECORDS:
            assert matches(request.where, record) in (True, False)


_FILTERS = (
    b"{}",
    b"null",
    b'{"EqualsTo": {"Key": "_category", "Value": {"StringValue": "c"}}}',
    b'{"EqualsTo": {"Key": "_document_id", "Value": {"StringValue": "a"}}}',
    b'{"AndAllFilters": [{"GreaterThan": {"Key": "year", "Value": {"LongValue": 2019}}}, {"NotFilter": {"ContainsAny": '
    b'{"Key": "tags", "Value": {"StringListValue": ["x"]}}}}]}',
    b'{"OrAllFilters": [{"EqualsTo": {"Key": "_user_id", "Value": {"StringValue": "me"}}}, {"EqualsTo": {"Key": '
    b'"_group_ids", "Value": {"StringListValue": ["hr"]}}}]}',
    b'{"LessThan": {"Key": "_created_at", "Value": {"DateValue": "2020-01-01T00:00:00Z"}}}',
    b'{"LessThan": {"Key": "_created_at", "Value": {"DateValue": 1e308}}}',
    b'{"LessThan": {"Key": "_created_at", "Value": {"DateValue": "9999-12-31T23:59:59-23:59"}}}',
    b'{"EqualsTo": {"Key": "rate", "Value": {"StringValue": "NaN"}}}',
    b'{"EqualsTo": {"Key": "rate", "Value": {"StringValue": "1' + b"0" * 5000 + b'"}}}',
    b'{"EqualsTo": {"Key": "\\ud800", "Value": {"StringValue": "\\ud800"}}}',
    b'{"NotFilter": ' * 40 + b"{}" + b"}" * 40,
    b'{"AndAllFilters": ' + b"[" * 300 + b"]" * 300 + b"}",
)
TARGETS = [
    Target("kendra_filter", kendra_filter, _FILTERS),
    Target(
        "kendra_request",
        kendra_request,
        (
            *(b'{"QueryText": "x", "AttributeFilter": ' + each + b"}" for each in _FILTERS),
            b'{"QueryText": "x", "PageNumber": 2, "PageSize": 3, "UserContext": {"UserId": "me", "Groups": ["hr"]}}',
            b'{"QueryText": "x", "Facets": [{"DocumentAttributeKey": "year", "MaxResults": 3, "Facets": [{}]}]}',
            b'{"QueryText": "x", "SortingConfiguration": {"DocumentAttributeKey": "year", "SortOrder": "DESC"}}',
            b'{"QueryText": "\\ud800", "PageNumber": 1e300, "PageSize": -1}',
        ),
    ),
]
