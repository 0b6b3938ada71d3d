"""Inverted lists: which rows hold which terms of a text field, and how often. Immutable, in memory or in a file.

A file, `<first>-<last>.text`, is a `SectionFile` of the arrays that `Inverted` describes; see docs/format.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ragvec.errors import Corrupted
from ragvec.text.near import TermShapes
from ragvec.text.sections import SectionFile, write_sections
from ragvec.types import RowArray

__all__ = ["MAGIC", "VERSION", "Inverted", "Occurrences", "merged"]

MAGIC = b"ragvtext"
VERSION = 1

_K1, _B = 1.2, 0.75
Counts = npt.NDArray[np.unsignedinteger[Any]]


class Occurrences(NamedTuple):
    """Where a term occurs: `rows` uint32 ascending, counted from the first row of the lists, and `counts`, how often;
    `peak` bounds count ÷ (count + k1 × (1 − b + b × length ÷ the lists' average length)) from above."""

    rows: RowArray
    counts: Counts
    peak: float


class Inverted:
    """The inverted lists of one field of the rows [first, last).

    Arrays, by name: `terms` uint8, the distinct terms in UTF-8, in byte order, one after the other, term t being
    `terms[bounds[t]:bounds[t + 1]]`; `starts` int64, of which the occurrences of term t are `starts[t]` to
    `starts[t + 1]` in `rows` (uint32, counted from `first`) and `counts` (unsigned, as narrow as they fit); `peaks`
    float32, see `Occurrences`; `lengths` (unsigned), the number of terms of each row, 0 for a row without the field.
    """

    def __init__(
        self, arrays: Mapping[str, npt.NDArray[Any]] | SectionFile, *, first: int, last: int, path: Path | None = None
    ) -> None:
        self.first, self.last, self.path = first, last, path
        self._arrays = arrays
        self._bounds: npt.NDArray[np.int64] = arrays["bounds"]
        self._text = arrays["terms"].data.cast("B") if len(arrays["terms"]) else memoryview(b"")
        self.lengths: Counts = arrays["lengths"]
        if len(self.lengths) != last - first:
            raise Corrupted(f"`{path}` has {len(self.lengths)} lengths for {last - first} rows", store=str(path))
        self.documents = int(np.count_nonzero(self.lengths))
        self.tokens = int(self.lengths.sum(dtype=np.int64))

    def __repr__(self) -> str:
        return f"Inverted({self.first}, {self.last}, {'memory' if self.path is None else self.path.name})"

    def __len__(self) -> int:
        """The number of distinct terms."""
        return len(self._bounds) - 1

    def term(self, number: int) -> bytes:
        """The term of this number, in UTF-8."""
        return bytes(self._text[self._bounds[number] : self._bounds[number + 1]])

    def vocabulary(self) -> Iterator[bytes]:
        """All terms in byte order."""
        bounds = self._bounds.tolist()
        text = bytes(self._text)
        return (text[start:end] for start, end in pairwise(bounds))

    @cached_property
    def shapes(self) -> TermShapes:
        """The terms, to look for those near a word."""
        return TermShapes(np.frombuffer(self._text, np.uint8), np.asarray(self._bounds))

    def find(self, term: str) -> Occurrences | None:
        """Where the term occurs; None where it does not."""
        sought, text, bounds = term.encode("utf-8", "surrogatepass"), self._text, self._bounds
        low = self._place(sought)
        if low == len(self) or text[bounds[low] : bounds[low + 1]] != sought:
            return None
        starts = self._arrays["starts"]
        start, end = int(starts[low]), int(starts[low + 1])
        return Occurrences(
            self._arrays["rows"][start:end], self._arrays["counts"][start:end], float(self._arrays["peaks"][low])
        )

    def beginning(self, prefix: str) -> list[str]:
        """The terms that begin so, which is not empty, in byte order."""
        sought, bounds = prefix.encode("utf-8", "surrogatepass"), self._bounds
        low, high = self._place(sought), self._place(sought + b"\xff")
        text, ends = self._text[bounds[low] : bounds[high]].tobytes(), bounds[low : high + 1] - bounds[low]
        return [text[start:end].decode("utf-8", "surrogatepass") for start, end in pairwise(ends.tolist())]

    def _place(self, sought: bytes) -> int:
        """The number of the first term that is not less."""
        text, bounds = self._text, self._bounds
        low, high = 0, len(self)
        while low < high:
            middle = (low + high) >> 1
            if text[bounds[middle] : bounds[middle + 1]].tobytes() < sought:
                low = middle + 1
            else:
                high = middle
        return low

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """All arrays by name."""
        names = ("terms", "bounds", "starts", "rows", "counts", "peaks", "lengths")
        return {name: self._arrays[name] for name in names}

    def write(self, path: Path, *, about: Mapping[str, Any]) -> None:
        """Write a file, durable on return but for its name. `about` tells what the lists are of. Raises OSError."""
        described = {**about, "first": self.first, "last": self.last}
        write_sections(path, self.arrays(), about=described, magic=MAGIC, version=VERSION)

    @staticmethod
    def open(path: Path, *, about: Mapping[str, Any]) -> Inverted:
        """The lists in a file. Raises FileNotFoundError; Corrupted: damaged, or lists of something else."""
        file = SectionFile(path, magic=MAGIC, version=VERSION)
        first, last = file.about.get("first"), file.about.get("last")
        if (
            not isinstance(first, int)
            or not isinstance(last, int)
            or file.about != {**about, "first": first, "last": last}
        ):
            raise Corrupted(f"`{path}` holds the terms of something else: {file.about}", store=str(path))
        return Inverted(file, first=first, last=last, path=path)

    def verify(self) -> None:
        """Check every array of the file. Raises Corrupted."""
        if isinstance(self._arrays, SectionFile):
            self._arrays.verify()

    @staticmethod
    def of(
        terms: Sequence[bytes], occurrences: Sequence[tuple[RowArray, Counts]], *, lengths: Counts, first: int
    ) -> Inverted:
        """Lists of `terms`, in byte order; each with its rows, counted from `first`, and counts."""
        sizes = np.fromiter((len(rows) for rows, _ in occurrences), np.int64, len(occurrences))
        rows = np.concatenate([rows for rows, _ in occurrences] or [np.empty(0, np.uint32)])
        counts = np.concatenate([counts for _, counts in occurrences] or [np.empty(0, np.uint32)])
        return _assembled(terms, sizes, rows, counts, lengths=lengths, first=first)

    @staticmethod
    def of_arrays(
        terms: Sequence[bytes],
        *,
        sizes: npt.NDArray[np.int64],
        rows: RowArray,
        counts: Counts,
        lengths: Counts,
        first: int,
    ) -> Inverted:
        """As `of`, with the rows and counts of all terms end to end, `sizes` of them for each."""
        return _assembled(terms, sizes, rows, counts, lengths=lengths, first=first)


def merged(lists: Sequence[Inverted]) -> Inverted:
    """Lists of adjacent rows, given in row order, as one in memory."""
    first = lists[0].first
    terms = sorted(set(chain.from_iterable(part.vocabulary() for part in lists)))
    number_of = {term: number for number, term in enumerate(terms)}
    sizes = np.zeros((len(lists), len(terms)), np.int64)
    numbers: list[npt.NDArray[np.int64]] = []
    for at, part in enumerate(lists):
        known = np.fromiter((number_of[term] for term in part.vocabulary()), np.int64, len(part))
        sizes[at, known] = np.diff(part.arrays()["starts"])
        numbers.append(known)
    ends = np.cumsum(sizes, axis=0)
    totals = ends[-1] if len(lists) else np.zeros(len(terms), np.int64)
    begin = np.cumsum(totals) - totals
    rows = np.empty(int(totals.sum()), np.uint32)
    counts = np.empty(len(rows), np.result_type(*(part.arrays()["counts"] for part in lists)))
    for at, (part, known) in enumerate(zip(lists, numbers, strict=True)):
        arrays = part.arrays()
        # Of each term, the occurrences of earlier parts come before those of this one.
        offset = (begin + ends[at] - sizes[at])[known] - arrays["starts"][:-1]
        places = np.repeat(offset, sizes[at, known]) + np.arange(len(arrays["rows"]))
        rows[places] = arrays["rows"] + np.uint32(part.first - first)
        counts[places] = arrays["counts"]
    lengths = np.concatenate([part.lengths for part in lists])
    return _assembled(terms, totals, rows, counts, lengths=lengths, first=first)


def _assembled(
    terms: Sequence[bytes],
    sizes: npt.NDArray[np.int64],
    rows: RowArray,
    counts: Counts,
    *,
    lengths: Counts,
    first: int,
) -> Inverted:
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    documents = int(np.count_nonzero(lengths))
    average = float(lengths.sum(dtype=np.int64)) / documents if documents else 1.0
    fraction = counts.astype(np.float32)
    fraction /= fraction + (_K1 * (1 - _B) + _K1 * _B / average * lengths[rows]).astype(np.float32)
    arrays: dict[str, npt.NDArray[Any]] = {
        "terms": np.frombuffer(b"".join(terms), np.uint8),
        "bounds": np.concatenate([[0], np.cumsum(_sizes(terms))]).astype(np.int64),
        "starts": starts,
        "rows": rows,
        "counts": _narrow(counts),
        "peaks": np.maximum.reduceat(fraction, starts[:-1]) if len(fraction) else np.empty(0, np.float32),
        "lengths": _narrow(lengths),
    }
    return Inverted(arrays, first=first, last=first + len(lengths))


def _sizes(terms: Iterable[bytes]) -> npt.NDArray[np.int64]:
    return np.fromiter(map(len, terms), np.int64)


def _narrow(values: Counts) -> Counts:
    """The same numbers in the narrowest unsigned type that holds them."""
    return values.astype(np.min_scalar_type(int(values.max()) if len(values) else 0), copy=False)
