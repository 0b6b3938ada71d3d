"""Sorted distinct values as arrays: `Numbers` and `Texts`, how they are searched, and how several merge into one.

A million distinct values are two arrays, not a million objects.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from itertools import chain, count, pairwise
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ragvec.engine.local.posting_search import Spans, common

__all__ = ["Numbers", "Positions", "Texts", "encoded", "is_plain_number", "merge_values", "offsets_of"]

Positions: TypeAlias = "npt.NDArray[np.int64]"
"""Places in a sorted array of values."""

_MERGE_STEP = 65_536
_INT16 = 0x7FFF
_MANY = 256


class Numbers:
    """Sorted distinct numbers: the nearest double and, where any differs from its double, what is to be added (int16).

    Every integer up to ±2^64 is within 1,024 of its double, so the pair is exact. Larger integers that no double equals
    do not fit: see `is_plain_number`.
    """

    def __init__(self, doubles: npt.NDArray[np.float64], residuals: npt.NDArray[np.int16] | None = None) -> None:
        self.doubles, self.residuals = doubles, residuals

    @classmethod
    def of(cls, values: Sequence[int | float]) -> Numbers:
        """From plain numbers, sorted and distinct."""
        doubles, residuals = _split(values)
        return cls(doubles, residuals if residuals.any() else None)

    def __len__(self) -> int:
        return len(self.doubles)

    def cut(self, value: int | float, *, right: bool) -> int:
        """How many of the numbers are less than `value` or, with `right`, at most `value`. `value` is not NaN."""
        double = _double(value)
        low = int(np.searchsorted(self.doubles, double, side="left"))
        high = int(np.searchsorted(self.doubles, double, side="right"))
        residual = value - int(double) if isinstance(value, int) and math.isfinite(double) else 0
        if self.residuals is None:
            return high if residual > 0 or (residual == 0 and right) else low
        near = np.int16(max(-_INT16, min(_INT16, residual)))
        return low + int(np.searchsorted(self.residuals[low:high], near, side="right" if right else "left"))

    def find(self, wanted: Numbers) -> Positions:
        """The positions of the numbers of `wanted` that are here, ascending."""
        low = np.searchsorted(self.doubles, wanted.doubles, side="left")
        if self.residuals is not None:
            high = np.searchsorted(self.doubles, wanted.doubles, side="right")
            for at in np.flatnonzero(high > low):
                residual = np.int16(0) if wanted.residuals is None else wanted.residuals[at]
                low[at] += np.searchsorted(self.residuals[low[at] : high[at]], residual)
        kept = low < len(self.doubles)
        kept[kept] = self.doubles[low[kept]] == wanted.doubles[kept]
        if self.residuals is not None:
            kept[kept] = self.residuals[low[kept]] == (0 if wanted.residuals is None else wanted.residuals[kept])
        elif wanted.residuals is not None:
            kept &= wanted.residuals == 0
        return low[kept]

    def sections(self) -> dict[str, npt.NDArray[Any]]:
        """The arrays to store, by name."""
        if self.residuals is None:
            return {"doubles": self.doubles}
        return {"doubles": self.doubles, "residuals": self.residuals}


class Texts(Sequence[bytes]):
    """Sorted distinct byte strings: `blob` holds them end to end, string i is `blob[starts[i]:starts[i + 1]]`."""

    def __init__(self, blob: npt.NDArray[np.uint8], starts: npt.NDArray[Any]) -> None:
        self.blob, self.starts = blob, starts
        self._bytes, self._at = blob.data, starts.data
        self._made: Spans | None = None

    @classmethod
    def of(cls, texts: Sequence[bytes]) -> Texts:
        """From byte strings, sorted and distinct."""
        lengths = np.fromiter(map(len, texts), np.int64, len(texts))
        return cls(np.frombuffer(b"".join(texts), np.uint8), offsets_of(lengths))

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, position: Any) -> Any:
        return bytes(self._bytes[self._at[position] : self._at[position + 1]])

    def between(self, low: int, high: int) -> list[bytes]:
        """The strings at positions [low, high)."""
        starts = self.starts[low : high + 1].tolist()
        text, origin = bytes(self._bytes[starts[0] : starts[-1]]), starts[0]
        return [text[start - origin : stop - origin] for start, stop in pairwise(starts)]

    def find(self, wanted: Sequence[bytes]) -> Positions:
        """The positions of those strings of `wanted` (sorted, distinct) that are here, ascending."""
        if len(wanted) < _MANY:
            return np.asarray([place for text in wanted if (place := self._place(text)) is not None], np.int64)
        sought = wanted if isinstance(wanted, Texts) else Texts.of(wanted)
        here, there = common(self._spans(), sought._spans())
        differ = np.flatnonzero(_lengths(self.starts, here) != _lengths(sought.starts, there))
        if len(differ):
            again = [self._place(wanted[at]) for at in there[differ].tolist()]
            here[differ] = [-1 if place is None else place for place in again]
            here = here[here >= 0]
        return here

    def _spans(self) -> Spans:
        if self._made is None:
            self._made = Spans(self.blob, self.starts)
        return self._made

    def _place(self, text: bytes) -> int | None:
        place = bisect.bisect_left(self, text)
        return place if place < len(self) and self[place] == text else None

    def prefixed(self, prefix: bytes) -> tuple[int, int]:
        """The range of positions of the strings that begin with `prefix`, which is UTF-8 and so has no byte 0xFF."""
        if not prefix:
            return 0, len(self)
        low = bisect.bisect_left(self, prefix)
        return low, bisect.bisect_left(self, prefix[:-1] + bytes([prefix[-1] + 1]), low)

    def sections(self) -> dict[str, npt.NDArray[Any]]:
        """The arrays to store, by name."""
        return {"blob": self.blob, "starts": self.starts}


def is_plain_number(value: int | float) -> bool:
    """Whether `Numbers` can hold it: a double, or an integer that a double equals or that is within ±2^64."""
    return not isinstance(value, int) or -(2**64) <= value <= 2**64 or _double(value) == value


def encoded(value: str | int) -> bytes:
    """The form in which `Texts` holds a string (UTF-8, so in code point order) or a giant integer (hexadecimal)."""
    return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else f"{value:x}".encode()


def offsets_of(lengths: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
    """Where each of a sequence of spans laid end to end begins, and where the last ends; uint32 if that suffices."""
    ends = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=ends[1:])
    return ends.astype(np.uint32 if ends[-1] < 2**32 else np.uint64)


def _lengths(starts: npt.NDArray[Any], positions: Positions) -> Positions:
    ends: Positions = starts[positions + 1].astype(np.int64)
    return ends - starts[positions].astype(np.int64)


def _double(value: int | float) -> float:
    """The nearest double; an infinity for integers beyond all doubles."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _split(values: Sequence[int | float]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int16]]:
    doubles = np.fromiter(map(float, values), np.float64, len(values))
    residuals = np.zeros(len(values), np.int16)
    for at in np.flatnonzero(np.abs(doubles) >= 2.0**53).tolist():
        value = values[at]
        if isinstance(value, int):
            residuals[at] = value - int(doubles[at])
    return doubles, residuals


def merge_values(parts: Sequence[Numbers] | Sequence[Texts]) -> tuple[Numbers | Texts, list[Positions]]:
    """The distinct values of all parts, sorted, and for each part the positions of its values among them."""
    texts = [part for part in parts if isinstance(part, Texts)]
    return _merge_texts(texts) if texts else _merge_numbers([part for part in parts if isinstance(part, Numbers)])


def _merge_numbers(parts: Sequence[Numbers]) -> tuple[Numbers, list[Positions]]:
    doubles = np.concatenate([part.doubles for part in parts])
    residuals = np.concatenate(
        [np.zeros(len(part), np.int16) if part.residuals is None else part.residuals for part in parts]
    )
    exact = not residuals.any()
    order = np.argsort(doubles, kind="stable") if exact else np.lexsort((residuals, doubles))
    doubles, residuals = doubles[order], residuals[order]
    new = np.ones(len(doubles), np.bool_)
    new[1:] = (doubles[1:] != doubles[:-1]) | (residuals[1:] != residuals[:-1])
    positions = np.empty(len(order), np.int64)
    positions[order] = np.cumsum(new) - 1
    merged = Numbers(doubles[new], None if exact else residuals[new])
    return merged, np.split(positions, np.cumsum([len(part) for part in parts])[:-1])


def _merge_texts(parts: Sequence[Texts]) -> tuple[Texts, list[Positions]]:
    # By slices of the range of values, so that few strings are objects at a time. sorted() is quick on sorted runs.
    largest = max(parts, key=len)
    pivots = [largest[at] for at in range(_MERGE_STEP, len(largest), _MERGE_STEP)]
    cuts = [[0, *(bisect.bisect_left(part, pivot) for pivot in pivots), len(part)] for part in parts]
    positions = [np.empty(len(part), np.int64) for part in parts]
    blobs: list[bytes] = []
    lengths: list[npt.NDArray[np.int64]] = []
    total = 0
    for step in range(len(pivots) + 1):
        slices = [part.between(cut[step], cut[step + 1]) for part, cut in zip(parts, cuts, strict=True)]
        merged = dict.fromkeys(sorted(chain.from_iterable(slices)))
        place = dict(zip(merged, count(total), strict=False))
        for position, cut, texts in zip(positions, cuts, slices, strict=True):
            position[cut[step] : cut[step + 1]] = np.fromiter(map(place.__getitem__, texts), np.int64, len(texts))
        blobs.append(b"".join(merged))
        lengths.append(np.fromiter(map(len, merged), np.int64, len(merged)))
        total += len(merged)
    return Texts(np.frombuffer(b"".join(blobs), np.uint8), offsets_of(np.concatenate(lengths))), positions
