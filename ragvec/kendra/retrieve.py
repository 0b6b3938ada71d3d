"""The search behind Retrieve: the passages themselves, several of one document if they are the nearest."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from ragvec.kendra.found import Found, Outcome
from ragvec.kendra.query import nearest_passages, page_of
from ragvec.kendra.relevance import Scale
from ragvec.kendra.request import Request
from ragvec.kendra.settings import Settings
from ragvec.pipeline.passages import BEGIN, END
from ragvec.types import FloatVector

if TYPE_CHECKING:
    from ragvec.store import Index

__all__ = ["find_passages"]


def find_passages(
    index: Index, request: Request, *, embed: Callable[[str], FloatVector], scale: Scale, settings: Settings
) -> Outcome:
    """The page of passages that the request asks for, nearest first, none of which repeats most of a better one."""
    nearest = nearest_passages(index, request, embed=embed, scale=scale, settings=settings)
    return page_of(_without_repeats(nearest), request, most=settings.limits.results)


def _without_repeats(passages: Iterable[Found]) -> list[Found]:
    """The passages, less those of which more than half was said by better ones of the same document."""
    kept: list[Found] = []
    spans: dict[str, list[tuple[int, int]]] = {}
    for passage in passages:
        begin, end = passage.metadata.get(BEGIN, 0), passage.metadata.get(END, 0)
        better = spans.setdefault(passage.document_id, [])
        shared = sum(max(0, min(end, other_end) - max(begin, other_begin)) for other_begin, other_end in better)
        if 2 * shared > end - begin:
            continue
        better.append((begin, end))
        kept.append(passage)
    return kept
