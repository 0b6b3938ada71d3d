"""The newest rows' posting lists: columns that grow by appending, until a block is full and becomes a run."""

from __future__ import annotations

import bisect
from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from pyroaring import BitMap

from ragvec.engine.local.posting_columns import Column, FieldPostings, Kind
from ragvec.engine.local.posting_runs import Run
from ragvec.engine.local.posting_values import is_plain_number
from ragvec.filters.bitmap import Bounds
from ragvec.types import RowArray, Scalar

__all__ = ["Tail"]


class _Postings:
    """Pairs of a value's code and a row, in row order, and the codes: 0, 1, … in order of first appearance.

    Everything is only ever appended to, and copied in one step before it is looked at, so threads may read while one
    adds. Python's own equality and order of numbers are exact, and equal numbers hash alike, so a plain dict will do.
    """

    __slots__ = ("_sorted", "code_of", "codes", "rows")

    def __init__(self) -> None:
        self.code_of: dict[Any, int] = {}
        self.codes = array("I")
        self.rows = array("I")
        self._sorted: list[Any] = []

    def post(self, value: Any, row: int) -> None:
        code_of = self.code_of
        self.codes.append(code_of.setdefault(value, len(code_of)))
        self.rows.append(row)

    def pairs(self) -> tuple[npt.NDArray[np.uint32], RowArray]:
        """Codes and rows, copied."""
        rows = np.frombuffer(self.rows.tobytes(), np.uint32)
        return np.frombuffer(self.codes.tobytes(), np.uint32)[: len(rows)], rows

    def rows_of(self, values: Iterable[Any]) -> RowArray:
        """The rows of these values, of which some may not occur."""
        found = [code for code in map(self.code_of.get, values) if code is not None]
        if not found:
            return np.empty(0, np.uint32)
        codes, rows = self.pairs()
        if len(found) == 1:
            return np.compress(codes == found[0], rows)
        wanted = np.zeros(len(self.code_of), np.bool_)
        wanted[found] = True
        return rows[wanted[codes]]

    def ordered(self) -> list[Any]:
        """The values, sorted; not to be modified."""
        known = self._sorted
        if len(known) != len(self.code_of):
            # A dict keeps the order of insertion, so what is not yet sorted is at its end; list() is one atomic step.
            known = sorted(known + list(self.code_of)[len(known) :])
            self._sorted = known
        return known


class _Field:
    __slots__ = ("booleans", "listed", "numbers", "rows", "strings")

    def __init__(self) -> None:
        self.rows = array("I")
        self.strings, self.booleans, self.numbers, self.listed = _Postings(), _Postings(), _Postings(), _Postings()


class Tail:
    """Posting lists of the rows from `first` on. Answers may hold rows added later: the caller cuts them off."""

    def __init__(self, first: int, *, non_filterable: Collection[str]) -> None:
        self.first = first
        self._excluded = frozenset(non_filterable)
        self._fields: dict[str, _Field] = {}

    def add(self, row: int, metadata: Mapping[str, Any]) -> None:
        """Index a row, greater than all before it."""
        fields, excluded = self._fields, self._excluded
        for name, value in metadata.items():
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
        texts: list[str] = []
        booleans: list[bool] = []
        numbers: list[int | float] = []
        for value in values:
            if isinstance(value, str):
                texts.append(value)
            elif isinstance(value, bool):
                booleans.append(value)
            else:
                numbers.append(value)
        return _bitmap(
            found.strings.rows_of(texts),
            found.booleans.rows_of(booleans),
            found.numbers.rows_of(numbers),
            found.listed.rows_of(numbers),
        )

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
        return _bitmap(found.numbers.rows_of(values[low:high]))

    def starts_with(self, field: str, prefix: str) -> BitMap:
        """Rows whose field is a string that begins with `prefix`, or is a list that holds one."""
        found = self._fields.get(field)
        if found is None:
            return BitMap()
        values = found.strings.ordered()
        low = bisect.bisect_left(values, prefix)
        high = bisect.bisect_right(values, prefix, low, key=lambda value: value[: len(prefix)])
        return _bitmap(found.strings.rows_of(values[low:high]))

    def exists(self, field: str) -> BitMap:
        """Rows that have the field."""
        found = self._fields.get(field)
        return BitMap() if found is None else BitMap(found.rows[:])

    def texts(self, field: str) -> Column | None:
        """The texts under the field so far, None for none."""
        found = self._fields.get(field)
        if found is None:
            return None
        codes, rows = found.strings.pairs()
        values = list(found.strings.code_of)
        if not len(rows):
            return None
        return Column.of("string", values, codes=codes, rows=rows, first=self.first, last=int(rows[-1]) + 1)

    def freeze(self, last: int) -> Run:
        """All of it, the rows [first, last), as a run in memory."""
        fields = {
            name: self._frozen(field, last) for name, field in sorted(self._fields.items(), key=lambda item: item[0])
        }
        return Run(first=self.first, last=last, fields=fields)

    def _frozen(self, field: _Field, last: int) -> FieldPostings:
        exists = BitMap(field.rows)
        exists.run_optimize()
        columns: dict[Kind, Column] = {}
        for kind, values, codes, rows in _by_kind(field):
            if values:
                columns[kind] = Column.of(kind, values, codes=codes, rows=rows, first=self.first, last=last)
        return FieldPostings(exists, columns)


def _post_elements(field: _Field, elements: list[Any], row: int) -> None:
    for element in elements:
        kind = type(element)
        if kind is str:
            field.strings.post(element, row)
        elif kind is int or kind is float:
            field.listed.post(element, row)
        elif kind is bool:
            field.booleans.post(element, row)


def _by_kind(field: _Field) -> Iterator[tuple[Kind, list[Any], npt.NDArray[Any], RowArray]]:
    yield ("string", list(field.strings.code_of), *field.strings.pairs())
    yield ("boolean", list(field.booleans.code_of), *field.booleans.pairs())
    kinds: dict[Kind, tuple[Kind, _Postings]] = {
        "number": ("giant", field.numbers),
        "listed_number": ("listed_giant", field.listed),
    }
    for kind, (giant_kind, postings) in kinds.items():
        values = list(postings.code_of)
        codes, rows = postings.pairs()
        plain = np.fromiter(map(is_plain_number, values), np.bool_, len(values))
        for part, chosen in ((kind, plain), (giant_kind, ~plain)):
            kept = chosen[codes]
            part_codes = (np.cumsum(chosen) - 1)[codes[kept]]
            yield part, [value for value, is_in in zip(values, chosen, strict=True) if is_in], part_codes, rows[kept]


def _bitmap(*rows: RowArray) -> BitMap:
    return BitMap(array("I", b"".join(part.tobytes() for part in rows)))
