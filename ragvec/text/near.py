"""Terms near a word: those of an index that a few typing errors away stand for it.

The distance counts letters inserted, dropped, replaced, or swapped with their neighbour, no letter twice (optimal
string alignment). Few terms are compared letter by letter: each has the set of its letters as bits, of which one error
changes two at most, and that of its pairs of letters, of which one error changes six at most, so that nearly all others
are passed over in vectorised steps.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["TermShapes", "distance", "near"]

_ONES: npt.NDArray[np.uint8] = (
    np.unpackbits(np.arange(1 << 16, dtype="<u2").view(np.uint8)).reshape(-1, 16).sum(1, np.uint8)
)


class TermShapes:
    """Terms with what can be told of them at a glance: `lengths` in characters, `letters`, a bit for each ASCII
    character modulo 32, and `pairs`, a bit for each two neighbouring ASCII characters, by a hash modulo 64."""

    def __init__(self, text: npt.NDArray[np.uint8], bounds: npt.NDArray[np.int64]) -> None:
        """Term t is the UTF-8 of `text[bounds[t]:bounds[t + 1]]`; none is empty."""
        self._text, self._bounds = text, bounds
        bits = np.where(text < 128, np.left_shift(np.uint32(1), (text & 31).astype(np.uint32)), np.uint32(0))
        pairs = np.zeros(len(text), np.uint64)
        both = np.flatnonzero((text[:-1] < 128) & (text[1:] < 128))
        pairs[both] = np.left_shift(np.uint64(1), _hashed(text[both].astype(np.uint64), text[both + 1]))
        pairs[bounds[1:] - 1] = 0  # not with the next term's first
        starts = (text & 0xC0) != 0x80  # not the later bytes of a character
        if len(bounds) > 1:
            self.letters: npt.NDArray[np.uint32] = np.bitwise_or.reduceat(bits, bounds[:-1])
            self.lengths: npt.NDArray[np.int64] = np.add.reduceat(starts.astype(np.int64), bounds[:-1])
            self.pairs: npt.NDArray[np.uint64] = np.bitwise_or.reduceat(pairs, bounds[:-1])
        else:
            self.letters, self.lengths = np.empty(0, np.uint32), np.empty(0, np.int64)
            self.pairs = np.empty(0, np.uint64)

    @staticmethod
    def of(terms: Iterable[str]) -> TermShapes:
        """Those of terms, none of them empty."""
        encoded = [term.encode("utf-8", "surrogatepass") for term in terms]
        bounds = np.zeros(len(encoded) + 1, np.int64)
        np.cumsum([len(term) for term in encoded], out=bounds[1:])
        return TermShapes(np.frombuffer(b"".join(encoded), np.uint8), bounds)

    def __len__(self) -> int:
        return len(self.lengths)

    def alike(self, word: str, *, most: int) -> Iterator[str]:
        """The terms that may be within the distance `most` of the word, and many that are not."""
        shape = TermShapes.of([word])
        chosen = np.flatnonzero(np.abs(self.lengths - len(word)) <= most)
        chosen = chosen[_ones(self.letters[chosen] ^ shape.letters) <= 2 * most]
        chosen = chosen[_ones(self.pairs[chosen] ^ shape.pairs) <= 6 * most]
        for number in chosen.tolist():
            start, end = self._bounds[number], self._bounds[number + 1]
            yield self._text[start:end].tobytes().decode("utf-8", "surrogatepass")


def _hashed(first: npt.NDArray[np.uint64], second: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint64]:
    hashed: npt.NDArray[np.uint64] = (first * np.uint64(27) + second) & np.uint64(63)
    return hashed


def _ones(sets: npt.NDArray[np.unsignedinteger[Any]]) -> npt.NDArray[np.int64]:
    """How many bits are set in each."""
    parts = np.ascontiguousarray(sets).view(np.uint16).reshape(len(sets), sets.itemsize // 2)
    counted: npt.NDArray[np.int64] = _ONES[parts].sum(axis=1, dtype=np.int64)
    return counted


def near(shapes: TermShapes, word: str, *, most: int) -> dict[str, int]:
    """The terms within the distance `most` of the word, with their distances."""
    found = {}
    for term in shapes.alike(word, most=most):
        away = distance(word, term, most=most)
        if away is not None:
            found[term] = away
    return found


def distance(first: str, second: str, *, most: int) -> int | None:
    """How many errors lie between two words; None for more than `most`."""
    if abs(len(first) - len(second)) > most:
        return None
    far = most + 1
    width = len(second) + 1
    earlier: list[int] = []
    before: list[int] = []
    row = [min(j, far) for j in range(width)]
    for i, letter in enumerate(first, 1):
        # Only cells this near to the diagonal can lie within the distance.
        start, stop = max(1, i - most), min(width, i + most + 1)
        earlier, before, row = before, row, [far] * width
        row[0] = least = min(i, far)
        for j in range(start, stop):
            other = second[j - 1]
            best = before[j - 1] + (letter != other)
            if before[j] < best:
                best = before[j] + 1
            if row[j - 1] < best:
                best = row[j - 1] + 1
            if i > 1 and j > 1 and letter == second[j - 2] and first[i - 2] == other and earlier[j - 2] < best:
                best = earlier[j - 2] + 1
            row[j] = best
            if best < least:
                least = best
        if least > most and min(before) > most:
            return None
    return row[-1] if row[-1] <= most else None
