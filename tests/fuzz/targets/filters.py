"""Metadata filters: JSON to AST; the interpreter, the predicate and the posting lists say the same of every record."""

from __future__ import annotations

import functools

import msgspec

from ragvec.api.dialects import DIALECTS
from ragvec.engine.local.postings import PostingStore, PostingView
from ragvec.errors import InvalidFilter
from ragvec.filters.bitmap import rows_matching
from ragvec.filters.interpret import matches
from ragvec.filters.parse import NATIVE, parse_filter, to_json
from ragvec.filters.predicate import predicate
from tests.fuzz.harness import ABSENT, Target, decoded, scratch, told

__all__ = ["TARGETS"]

_RECORDS: list[dict[str, object]] = [
    {},
    {"a": 1, "b": "x"},
    {"a": 1.0, "b": ["x", "y"], "": ""},
    {"a": -5, "b": "xyz", "c": True},
    {"a": [1, 2.5], "c": False},
    {"a": 2**63, "b": ""},
    {"a": 2**64 - 1, "é": "ü"},
    {"a": 0.1, "b": "\x00"},
    {"a": "1", "b": "\U0010ffff"},
    {"a": True, "a.b": 3},
]
_RULES = (NATIVE, DIALECTS["s3"].filters, DIALECTS["oss"].filters)


@functools.cache
def _view() -> PostingView:
    store = PostingStore(scratch() / "postings", non_filterable=(), block_rows=4)
    store.extend(0, [msgspec.json.encode(record) for record in _RECORDS])
    return store.view()


def metadata_filter(data: bytes) -> None:
    document = decoded(data)
    if document is ABSENT:
        return
    for rules in _RULES:
        try:
            where = parse_filter(document, rules, non_filterable=("text",))
        except InvalidFilter as error:
            told(error, "`filter")
            continue
        expected = [row for row, metadata in enumerate(_RECORDS) if matches(where, metadata)]
        test = predicate(where)
        assert [row for row, metadata in enumerate(_RECORDS) if test(metadata)] == expected
        assert list(rows_matching(where, _view())) == expected
        try:
            again = parse_filter(to_json(where))
        except InvalidFilter:
            continue
        assert [row for row, metadata in enumerate(_RECORDS) if matches(again, metadata)] == expected


TARGETS = [
    Target(
        "metadata_filter",
        metadata_filter,
        (
            b"{}",
            b'{"a": 1}',
            b'{"b": {"$in": ["x", "y", 1, true]}}',
            b'{"$and": [{"a": {"$gt": -1, "$lte": 9223372036854775808}}, {"$or": [{"c": true}, {"b": "x"}]}]}',
            b'{"b": {"$startsWith": "x"}, "a": {"$exists": false}}',
            b'{"a": {"$ne": 1.0}, "b": {"$nin": ["\\ud800"]}}',
            b'{"a": {"$gt": NaN}}',
            b'{"a": {"$eq": 1' + b"0" * 400 + b"}}",
            b'{"$or": [' * 70 + b'{"a": 1}' + b"]}" * 70,
            b'{"a": {"$in": ' + b"[" * 300 + b"]" * 300 + b"}}",
            b'{"text": 1}',
            b'{"$and": []}',
            b'{"$not": {"a": 1}}',
            b'{"a": 18446744073709551617}',
        ),
    )
]
