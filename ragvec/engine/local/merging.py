"""Which segments to build next: a policy over ranges of rows, for two lanes that work at the same time.

The "tail" lane turns the newest rows into segments, so that few are searched one by one, and keeps those segments few
by building some of them anew together with the next. The "merge" lane joins larger ones, which may take minutes; the
tail lane is not held up by it, nor by compaction, which runs in the merge lane too.

A search costs some 25 µs for each segment and 30 µs for each 1,000 rows that none covers; building takes some 0.25 ms a
row, more in small segments. Under 1,000 rows a second on an index of a million, with one processor for both lanes,
these thresholds gave 11 segments and 5,000 uncovered rows on average and an estimated p99 of 0.8 ms, where doubling in
one lane gave 4 ms, since rows waited for merges. Once an index is quiet it is tidied to at most 1 + log₅(n / 4096).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

__all__ = ["LANES", "SEGMENT_MIN_ROWS", "Lane", "Span", "next_merge", "next_tail"]

Lane = Literal["tail", "merge"]
LANES: tuple[Lane, ...] = ("tail", "merge")

SEGMENT_MIN_ROWS = 4096
"""From this many rows past the last segment on, a new one is due; fewer are searched exactly in well under 1 ms."""

_SMALL_ROWS = 4 * SEGMENT_MIN_ROWS
_FEW = 3
"""Smaller segments than `_SMALL_ROWS` at the end that may stay as they are when another is built."""

_LITTLE = 0.25
"""Older rows that are built anew with the newest, as a share of these, because it is not worth speaking of."""

_LEAST = 3
"""Segments that a merge under load joins; with fewer, the same rows would be built more often."""

_ABSORBED_SHARE = 1 / 8
"""How many of the newest rows may wait for their segment, as a share of those covered, where segments absorb them; in a
process that opens the index they are searched exactly at first."""

_TIDY = 4
"""In a tidy index every segment is more than this many times as long as all that follow it."""


class Span(Protocol):
    """The rows [first, last)."""

    @property
    def first(self) -> int:
        """Its first row."""
        ...

    @property
    def last(self) -> int:
        """The row after its last one."""
        ...


def next_tail(segments: Sequence[Span], rows: int, *, absorbing: bool = False) -> tuple[int, int] | None:
    """The range whose segment should be built next when the index holds `rows`; None when none should.

    `segments` adjoin each other, from row 0 on. When they are `absorbing`, the newest rows cost searches little in the
    processes that have long been open, and may be more.
    """
    first = segments[-1].last if segments else 0
    if rows - first < _least(first, absorbing=absorbing):
        return None
    small = 0
    while small < len(segments) and _length(segments[-1 - small]) < _SMALL_ROWS:
        small += 1
    if small >= _FEW:
        first = segments[-small].first
    for segment in reversed(segments):
        if segments[-1].last - segment.first <= _LITTLE * (rows - segments[-1].last):
            first = min(first, segment.first)
    return first, rows


def next_merge(segments: Sequence[Span], *, tidy: bool) -> tuple[int, int] | None:
    """The range of two or more segments that should become one; None when none should.

    Under load only larger segments are joined, and only several of about one size at a time, so that rows are built
    few times; with `tidy` as many as leave few segments.
    """
    end = len(segments)
    while not tidy and end and _length(segments[end - 1]) < _SMALL_ROWS:
        end -= 1
    if not end:
        return None
    factor = _TIDY if tidy else 1
    at = end - 1
    while at and _length(segments[at - 1]) <= factor * (segments[end - 1].last - segments[at].first):
        at -= 1
    if end - at < (2 if tidy else _LEAST):
        return None
    return segments[at].first, segments[end - 1].last


def _least(first: int, *, absorbing: bool) -> float:
    """How many rows after the first `first` are worth a segment."""
    if not (absorbing and first):
        return SEGMENT_MIN_ROWS
    return max(min(2 * SEGMENT_MIN_ROWS, first / 2), _ABSORBED_SHARE * first)


def _length(segment: Span) -> int:
    return segment.last - segment.first
