"""Counts of documents by attribute value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from itertools import chain
from typing import Any

from ragvec.kendra.found import FacetCounts, FacetValue
from ragvec.kendra.request.asked import FacetRequest
from ragvec.kendra.settings import Interval
from ragvec.types import Scalar

__all__ = ["begins", "count_facet", "count_facets"]

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_FIRST = int((datetime(1, 1, 1, tzinfo=timezone.utc) - _EPOCH).total_seconds())
_LAST = int((datetime(9999, 12, 31, 23, 59, 59, tzinfo=timezone.utc) - _EPOCH).total_seconds())


def count_facets(documents: Sequence[Mapping[str, Any]], facets: Sequence[FacetRequest]) -> tuple[FacetCounts, ...]:
    """One count for each facet asked for, over documents given by their metadata.

    Every element of a list is a value of its own and counts a document once; documents without a value count nowhere.
    Most first, equal counts in order of value; intervals of dates in order of time, oldest first.
    """
    return tuple(count_facet(documents, facet) for facet in facets)


def count_facet(documents: Sequence[Mapping[str, Any]], facet: FacetRequest) -> FacetCounts:
    """The count of one facet, as `count_facets`."""
    if facet.nested is None:
        counts = _counted(documents, facet)
        return FacetCounts(facet.field, tuple(FacetValue(value, n) for value, n in _ranked(counts.items(), facet)))
    having: dict[Scalar, list[Mapping[str, Any]]] = {}
    for metadata in documents:
        for value in _values(metadata, facet):
            having.setdefault(value, []).append(metadata)
    ranked = _ranked(((value, len(those)) for value, those in having.items()), facet)
    return FacetCounts(
        facet.field,
        tuple(FacetValue(value, n, count_facet(having[value], facet.nested)) for value, n in ranked),
    )


def _counted(documents: Sequence[Mapping[str, Any]], facet: FacetRequest) -> Counter[Scalar]:
    """How many documents have each value. Most of the time here is Python's, so that single values go in one sweep."""
    name, interval = facet.field.name, facet.interval
    given = [metadata[name] for metadata in documents if name in metadata]
    counts: Counter[Scalar] = Counter()
    single: Iterable[Any] = [value for value in given if value is not None and not isinstance(value, (list, tuple))]
    if interval is not None:
        single = [begins(value, interval) if isinstance(value, (int, float)) else value for value in single]
    counts.update(single)
    counts.update(chain.from_iterable(set(value) for value in given if isinstance(value, (list, tuple))))
    return counts


def begins(value: int | float, interval: Interval | float) -> int | float:
    """Where the interval begins that a number is in: the largest multiple of `interval` that is not above it.

    For a named interval the number is a time in seconds since 1970, UTC, and so is the result; one that no calendar has
    (before the year 1, after 9999) stands for itself.
    """
    if not isinstance(interval, str):
        return value // interval * interval
    seconds = value
    if not _FIRST <= seconds <= _LAST:
        return seconds
    moment = _EPOCH + timedelta(seconds=seconds)
    first = moment.replace(minute=0, second=0, microsecond=0)
    if interval != "hour":
        first = first.replace(hour=0)
    if interval == "week":
        days = min(first.weekday(), (first - _EPOCH).days - _FIRST // 86_400)
        first -= timedelta(days=days)
    elif interval == "month":
        first = first.replace(day=1)
    elif interval == "quarter":
        first = first.replace(day=1, month=3 * ((first.month - 1) // 3) + 1)
    elif interval == "year":
        first = first.replace(day=1, month=1)
    return int((first - _EPOCH).total_seconds())


def _ranked(counts: Iterable[tuple[Scalar, int]], facet: FacetRequest) -> list[tuple[Scalar, int]]:
    if facet.interval is None:
        return sorted(counts, key=lambda pair: (-pair[1], isinstance(pair[0], str), pair[0]))[: facet.most]
    # A histogram keeps its most frequent intervals and shows them as they follow each other.
    kept = sorted(counts, key=lambda pair: (-pair[1], isinstance(pair[0], str), pair[0]))[: facet.most]
    return sorted(kept, key=lambda pair: (isinstance(pair[0], str), pair[0]))


def _values(metadata: Mapping[str, Any], facet: FacetRequest) -> Iterator[Scalar]:
    value = metadata.get(facet.field.name)
    if value is None:
        return
    if isinstance(value, (list, tuple)):
        yield from set(value)
    elif facet.interval is not None and isinstance(value, (int, float)):
        yield begins(value, facet.interval)
    else:
        yield value
