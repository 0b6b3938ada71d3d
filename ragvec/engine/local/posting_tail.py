"""The newest rows' posting lists: dicts that grow by appending, until a block is full and becomes a run."""

from __future__ import annotations

import bisect
from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from pyroaring import BitMap

from ragvec.engine.local.posting_columns import Column, FieldPostings, Kind
from ragvec.engine.local.posting_runs import Run
from ragvec.engine.local.posting_values import is_plain_number
from ragvec.filters.bitmap import Bounds
from ragvec.types import Scalar

__all__ = ["Tail"]


class _Postings(dict[Any, list[int]]):
    """Value to ascending rows. Keys and rows are only ever added, so threads may read while one thread adds."""

    def __init__(self) -> None:
        super().__init__()
        self._ordered: list[Any] = []

    def post(self, value: Any, row: int) -> None:
        rows = self.get(value)
        if rows is None:
            self[value] = [row]
        elif rows[-1] != row:
            rows.append(row)

    def ordered(self) -> list[Any]:
        """The values, sorted; not to be modified."""
        known = self._ordered
        if len(known) != len(self):
            # A dict keeps the order of insertion, so what is not yet sorted is at its end; list() is one atomic step.
            known = sorted(known + list(self)[len(known) :])
            self._ordered = known
        return known


class _Field:
    def __init__(self) -> None:
        self.rows: list[int] = []
        self.strings = _Postings()
        self.booleans = _Postings()
        self.numbers = _Postings()
        self.listed = _Postings()


class Tail:
    """Posting lists of the rows from `first` on. Answers may hold rows added later: the caller cuts them off.

    Python's own equality and order of numbers are exact, and equal numbers hash alike, so plain dicts will do.
    """

    def __init__(self, first: int, *, non_filterable: Collection[str]) -> None:
        self.first = first
        self._excluded = frozenset(non_filterable)
        self._fields: dict[str, _Field] = {}

    def add(self, first: int, documents: Sequence[Mapping[str, Any]]) -> None:
        """Index the metadata of the rows first, first + 1, …"""
        fields, excluded = self._fields, self._excluded
        for row, document in enumerate(documents, first):
            for name, value in document.items():
                if name in excluded:
                    continue
                field = fields.get(name)
                if field is None:
                    field = fields[name] = _Field()
                field.rows.append(row)
                kind = type(value)
                if kind is str:
                    field.strings.post(value, row)
                elif kind is int or kind is float:
                    field.numbers.post(value, row)
                elif kind is bool:
                    field.booleans.post(value, row)
                elif kind is list:
                    _post_elements(field, value, row)

    def any_of(self, field: str, values: Iterable[Scalar]) -> BitMap:
        """Rows whose field is one of `values`, or is a list that holds one."""
        found = self._fields.get(field)
        if found is None:
            return BitMap()
        lists: list[list[int]] = []
        for value in values:
            if isinstance(value, str):
                lists.append(found.strings.get(value, []))
            elif isinstance(value, bool):
                lists.append(found.booleans.get(value, []))
            else:
                lists.append(found.numbers.get(value, []))
                lists.append(found.listed.get(value, []))
        return _union(lists)

    def compare(self, field: str, bounds: Bounds) -> BitMap:
        """Rows whose field is a number, not in a list, that satisfies every bound; no bound is NaN."""
        found = self._fields.get(field)
        if found is None:
            return BitMap()
        values = found.numbers.ordered()
        low, high = 0, len(values)
        for relation, bound in bounds:
            if relation in ("gt", "gte"):
                low = max(low, (bisect.bisect_right if relation == "gt" else bisect.bisect_left)(values, bound))
            else:
                high = min(high, (bisect.bisect_left if relation == "lt" else bisect.bisect_right)(values, bound))
        return _union(found.numbers[value] for value in values[low:high])

    def starts_with(self, field: str, prefix: str) -> BitMap:
        """Rows whose field is a string that begins with `prefix`, or is a list that holds one."""
        found = self._fields.get(field)
        if found is None:
            return BitMap()
        values = found.strings.ordered()
        low = bisect.bisect_left(values, prefix)
        high = bisect.bisect_right(values, prefix, low, key=lambda value: value[: len(prefix)])
        return _union(found.strings[value] for value in values[low:high])

    def exists(self, field: str) -> BitMap:
        """Rows that have the field."""
        found = self._fields.get(field)
        return BitMap() if found is None else BitMap(array("I", found.rows))

    def freeze(self, last: int) -> Run:
        """All of it, the rows [first, last), as a run in memory."""
        fields = {
            name: FieldPostings(_exists(field), dict(self._columns(field, last))) for name, field in self._sorted()
        }
        return Run(first=self.first, last=last, fields=fields)

    def _sorted(self) -> list[tuple[str, _Field]]:
        return sorted(self._fields.items(), key=lambda item: item[0])

    def _columns(self, field: _Field, last: int) -> Iterator[tuple[Kind, Column]]:
        plain, giants = _apart(field.numbers)
        listed, listed_giants = _apart(field.listed)
        by_kind: dict[Kind, Mapping[Any, list[int]]] = {
            "string": field.strings,
            "boolean": field.booleans,
            "number": plain,
            "listed_number": listed,
            "giant": giants,
            "listed_giant": listed_giants,
        }
        for kind, postings in by_kind.items():
            if postings:
                yield kind, Column.of(kind, postings, first=self.first, last=last)


def _post_elements(field: _Field, elements: list[Any], row: int) -> None:
    for element in elements:
        kind = type(element)
        if kind is str:
            field.strings.post(element, row)
        elif kind is int or kind is float:
            field.listed.post(element, row)
        elif kind is bool:
            field.booleans.post(element, row)


def _apart(numbers: _Postings) -> tuple[Mapping[Any, list[int]], Mapping[Any, list[int]]]:
    giants = {value: rows for value, rows in numbers.items() if not is_plain_number(value)}
    plain = {value: rows for value, rows in numbers.items() if value not in giants} if giants else numbers
    return plain, giants


def _exists(field: _Field) -> BitMap:
    rows = BitMap(array("I", field.rows))
    rows.run_optimize()
    return rows


def _union(lists: Iterable[list[int]]) -> BitMap:
    return BitMap(array("I", chain.from_iterable(lists)))
