"""Counts of documents by attribute value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ragvec.kendra.found import FacetCounts, FacetValue
from ragvec.kendra.request import FacetRequest
from ragvec.types import Scalar

__all__ = ["count_facets"]


def count_facets(documents: Sequence[Mapping[str, Any]], facets: Sequence[FacetRequest]) -> tuple[FacetCounts, ...]:
    """One count for each facet asked for, over documents given by their metadata.

    Every element of a list is a value of its own and counts a document once; documents without a value count nowhere.
    """
    return tuple(_count(documents, facet) for facet in facets)


def _count(documents: Sequence[Mapping[str, Any]], facet: FacetRequest) -> FacetCounts:
    having: dict[Scalar, list[Mapping[str, Any]]] = {}
    for metadata in documents:
        for value in _values(metadata.get(facet.field.name)):
            having.setdefault(value, []).append(metadata)
    ranked = sorted(having.items(), key=lambda pair: (-len(pair[1]), isinstance(pair[0], str), pair[0]))
    return FacetCounts(
        facet.field,
        tuple(
            FacetValue(value, len(those), _count(those, facet.nested) if facet.nested is not None else None)
            for value, those in ranked[: facet.most]
        ),
    )


def _values(value: Any) -> set[Scalar]:
    if value is None:
        return set()
    return set(value) if isinstance(value, (list, tuple)) else {value}
