"""The search behind Retrieve: the passages themselves, several of one document if they are the nearest."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from ragvec.kendra import stages
from ragvec.kendra.browse import with_text
from ragvec.kendra.found import Found, Outcome
from ragvec.kendra.query import Search, page_of
from ragvec.kendra.request.asked import Request
from ragvec.pipeline.passages import BEGIN, END

__all__ = ["find_passages"]


def find_passages(search: Search, request: Request) -> Outcome:
    """The page of passages that the request asks for, best first, none of which repeats most of a better one."""
    read = stages.understood(search, request)
    asked = read.request
    passages, _ = stages.ranked(search, asked, scale=read.scale)
    outcome = page_of(_without_repeats(passages), asked, most=search.settings.limits.results)
    return msgspec.structs.replace(
        outcome,
        items=tuple(with_text(search.index, outcome.items, where=asked.where)),
        words=asked.text or "",
        synonyms=stages.synonyms(search, asked.text or ""),
    )


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
