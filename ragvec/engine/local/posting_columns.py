"""Posting lists as arrays: the distinct values of one kind under one field, and the rows that hold each.

The rows of value i are `rows[offsets[i]:offsets[i + 1]]`, ascending. Equality, ranges and prefixes are binary searches,
and the answer to a range is one slice of `rows`.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt
from pyroaring import BitMap

from ragvec.engine.local.posting_values import (
    Numbers,
    Positions,
    Texts,
    encoded,
    is_plain_number,
    merge_values,
    offsets_of,
)
from ragvec.engine.local.row_bitmaps import bitmap_of
from ragvec.filters.bitmap import Bounds
from ragvec.types import RowArray, Scalar

__all__ = ["Column", "FieldPostings", "Kind", "Wanted", "merge_fields", "satisfied"]

Kind: TypeAlias = Literal["string", "boolean", "number", "listed_number", "giant", "listed_giant"]
"""Comparisons look at no lists, so numbers within lists have a column of their own; so have giants, the integers beyond
±2^64 that no double equals."""

_TEXTS = ("string", "giant", "listed_giant")
_GIANT = re.compile(rb"-?[0-9a-f]{1,4096}")
_KEPT_FROM = 2_048
_RELATIONS = {"gt": operator.gt, "gte": operator.ge, "lt": operator.lt, "lte": operator.le}


def satisfied(value: int | float, bounds: Bounds) -> bool:
    """Whether a number satisfies every bound."""
    return all(_RELATIONS[relation](value, bound) for relation, bound in bounds)


class Column:
    """The posting lists of one kind under one field, all rows within [first, last)."""

    def __init__(
        self, values: Numbers | Texts, *, offsets: npt.NDArray[Any], rows: RowArray, first: int, last: int
    ) -> None:
        self.values, self.offsets, self.rows = values, offsets, rows
        self.first, self.last = first, last
        self._kept = _kept_bitmaps(rows, first, last)

    @classmethod
    def of(
        cls, kind: Kind, values: Sequence[Any], *, codes: npt.NDArray[Any], rows: RowArray, first: int, last: int
    ) -> Column:
        """From distinct values in any order, and pairs in row order of a position in `values` and a row.

        A pair that repeats, as from a list that holds a value twice, counts once.
        """
        texts = kind in _TEXTS
        keys = [encoded(value) for value in values] if texts else values
        order = sorted(range(len(keys)), key=keys.__getitem__)
        ordered: Any = [keys[at] for at in order]
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(order))
        ranks = rank[codes]
        by_value = np.argsort(ranks, kind="stable")
        ranks, rows = ranks[by_value], rows[by_value]
        new = np.ones(len(rows), np.bool_)
        new[1:] = (ranks[1:] != ranks[:-1]) | (rows[1:] != rows[:-1])
        offsets = offsets_of(np.bincount(ranks[new], minlength=len(order)))
        sorted_values = Texts.of(ordered) if texts else Numbers.of(ordered)
        return cls(sorted_values, offsets=offsets, rows=rows[new], first=first, last=last)

    @classmethod
    def from_sections(cls, sections: Mapping[str, npt.NDArray[Any]], *, kind: Kind, first: int, last: int) -> Column:
        """The column that `sections()` described. Raises KeyError when an array is missing, ValueError when one does
        not go with the others."""
        values: Numbers | Texts
        if kind in _TEXTS:
            blob, starts = sections["blob"], sections["starts"]
            _check_spans(starts, len(blob))
            _check("blob", blob.dtype == np.uint8)
            values = Texts(blob, starts)
            if kind != "string":
                _check("giants", all(_GIANT.fullmatch(text) for text in values))
        else:
            doubles, residuals = sections["doubles"], sections.get("residuals")
            _check("doubles", doubles.dtype == np.float64)
            _check("residuals", residuals is None or (residuals.dtype == np.int16 and len(residuals) == len(doubles)))
            values = Numbers(doubles, residuals)
        offsets, rows = sections["offsets"], sections["rows"]
        _check_spans(offsets, len(rows))
        _check("offsets", len(offsets) == len(values) + 1)
        _check(
            "rows", rows.dtype == np.uint32 and (not len(rows) or first <= int(rows.min()) <= int(rows.max()) < last)
        )
        return cls(values, offsets=offsets, rows=rows, first=first, last=last)

    def sections(self) -> dict[str, npt.NDArray[Any]]:
        """The arrays to store, by name."""
        return {**self.values.sections(), "offsets": self.offsets, "rows": self.rows}

    def between(self, low: int, high: int) -> BitMap:
        """The rows of the values at positions [low, high); not to be modified."""
        start, stop = int(self.offsets[low]), int(self.offsets[high])
        if stop - start >= _KEPT_FROM:
            return self._kept(start, stop)
        return bitmap_of(self.rows[start:stop], first=self.first, last=self.last)

    def at(self, positions: Positions) -> BitMap:
        """The rows of the values at these positions; not to be modified."""
        if len(positions) <= 1:
            return self.between(int(positions[0]), int(positions[0]) + 1) if len(positions) else BitMap()
        starts = self.offsets[positions].astype(np.int64)
        lengths = self.offsets[positions + 1].astype(np.int64) - starts
        if len(positions) <= 16 and int(lengths.sum()) >= _KEPT_FROM:
            return BitMap.union(*(self.between(int(position), int(position) + 1) for position in positions))
        return bitmap_of(self.rows[_spans(starts, lengths)], first=self.first, last=self.last)


def _check(name: str, holds: bool) -> None:
    if not holds:
        raise ValueError(f"the array `{name}` does not go with the others")


def _check_spans(ends: npt.NDArray[Any], length: int) -> None:
    """Spans laid end to end over so many elements."""
    whole = ends.dtype in (np.uint32, np.uint64) and len(ends) > 0 and ends[0] == 0 and ends[-1] == length
    _check("offsets", bool(whole and (ends[1:] >= ends[:-1]).all()))


def _kept_bitmaps(rows: RowArray, first: int, last: int) -> Callable[[int, int], BitMap]:
    # A closure over the rows alone: a cached bound method would be a cycle that keeps a removed file mapped.
    @lru_cache(maxsize=32)
    def kept(start: int, stop: int) -> BitMap:
        return bitmap_of(rows[start:stop], first=first, last=last)

    return kept


def _lengths(offsets: npt.NDArray[Any]) -> Positions:
    ends = offsets.astype(np.int64)
    return ends[1:] - ends[:-1]


def _spans(starts: Positions, lengths: Positions) -> Positions:
    """The integers of the spans [start, start + length), one span after the other."""
    before = np.cumsum(lengths) - lengths
    return np.repeat(starts - before, lengths) + np.arange(int(lengths.sum()))


class Wanted:
    """Values to look up, sorted into the kinds of columns that can hold them: made once, used for every run."""

    def __init__(self, values: Iterable[Scalar]) -> None:
        texts: set[bytes] = set()
        giants: set[bytes] = set()
        booleans: set[int | float] = set()
        numbers: set[int | float] = set()
        for value in values:
            if isinstance(value, str):
                texts.add(encoded(value))
            elif isinstance(value, bool):
                booleans.add(value)
            elif value != value:
                continue  # NaN equals nothing
            elif is_plain_number(value):
                numbers.add(value)
            else:
                giants.add(encoded(int(value)))
        self.numbers: dict[Kind, Numbers] = {}
        self.texts: dict[Kind, Texts] = {}
        if booleans:
            self.numbers["boolean"] = Numbers.of(sorted(booleans))
        if numbers:
            self.numbers["number"] = self.numbers["listed_number"] = Numbers.of(sorted(numbers))
        if texts:
            self.texts["string"] = Texts.of(sorted(texts))
        if giants:
            self.texts["giant"] = self.texts["listed_giant"] = Texts.of(sorted(giants))


class FieldPostings(msgspec.Struct, frozen=True, eq=False):
    """All postings of one field: the rows that have it, and a column for each kind of value that occurs.

    The methods give bitmaps, not to be modified, whose union is the answer.
    """

    exists: BitMap
    columns: dict[Kind, Column]

    def any_of(self, wanted: Wanted) -> Iterator[BitMap]:
        """Rows that hold one of the wanted values."""
        for kind, numbers in wanted.numbers.items():
            column = self.columns.get(kind)
            if column is not None and isinstance(column.values, Numbers):
                yield column.at(column.values.find(numbers))
        for kind, texts in wanted.texts.items():
            column = self.columns.get(kind)
            if column is not None and isinstance(column.values, Texts):
                yield column.at(column.values.find(texts))

    def compare(self, bounds: Bounds) -> Iterator[BitMap]:
        """Rows whose number, not in a list, satisfies every bound; no bound is NaN."""
        column = self.columns.get("number")
        if column is not None and isinstance(column.values, Numbers):
            low, high = 0, len(column.values)
            for relation, bound in bounds:
                cut = column.values.cut(bound, right=relation in ("gt", "lte"))
                low, high = (max(low, cut), high) if relation in ("gt", "gte") else (low, min(high, cut))
            if low < high:
                yield column.between(low, high)
        column = self.columns.get("giant")
        if column is not None and isinstance(column.values, Texts):
            for position, text in enumerate(column.values):
                if satisfied(int(text, 16), bounds):
                    yield column.between(position, position + 1)

    def starts_with(self, prefix: bytes) -> Iterator[BitMap]:
        """Rows that hold a string beginning with `prefix`, in UTF-8."""
        column = self.columns.get("string")
        if column is not None and isinstance(column.values, Texts):
            low, high = column.values.prefixed(prefix)
            if low < high:
                yield column.between(low, high)


def merge_fields(parts: Sequence[FieldPostings], *, first: int, last: int) -> FieldPostings:
    """The postings of one field over adjacent ranges of rows, given in row order, as one over [first, last)."""
    exists = BitMap.union(*(part.exists for part in parts))
    exists.run_optimize()
    by_kind: dict[Kind, list[Column]] = {}
    for part in parts:
        for kind, column in part.columns.items():
            by_kind.setdefault(kind, []).append(column)
    merged = {kind: _merge_columns(columns, first=first, last=last) for kind, columns in by_kind.items()}
    return FieldPostings(exists, merged)


def _merge_columns(parts: Sequence[Column], *, first: int, last: int) -> Column:
    values, positions = merge_values([part.values for part in parts])  # type: ignore[arg-type]  # one kind, so one class
    counts = [_lengths(part.offsets) for part in parts]
    lengths = np.zeros(len(values), np.int64)
    for position, count in zip(positions, counts, strict=True):
        lengths[position] += count
    offsets = offsets_of(lengths)
    free = offsets[:-1].astype(np.int64)
    rows = np.empty(int(offsets[-1]), np.uint32)
    for part, position, count in zip(parts, positions, counts, strict=True):
        rows[_spans(free[position], count)] = part.rows
        free[position] += count
    return Column(values, offsets=offsets, rows=rows, first=first, last=last)
