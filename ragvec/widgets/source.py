"""A passage where it stands: the text of its document around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from ragvec.filters.nodes import Eq
from ragvec.kendra.request import conjunction
from ragvec.pipeline.passages import BEGIN, DOCUMENT_ID, END, HASH, HEADING, PAGE_NUMBER, PASSAGE, TEXT

if TYPE_CHECKING:
    from ragvec.kendra.index import QueryIndex

__all__ = ["NEAR", "Part", "Source", "source_of"]

NEAR = 2
"""Passages shown before and behind the one that was found."""
_WHOLE = 400
"""Passages of a document that are shown at most."""


class Part(msgspec.Struct, frozen=True):
    """A piece of a document; `found` is the one sought. Headings and pages where they change."""

    text: str
    found: bool
    heading: str = ""
    page_number: int | None = None


class Source(msgspec.Struct, frozen=True):
    """What is shown of a document, in its order, and how many of its passages stand `before` and `after` that."""

    document_id: str
    parts: tuple[Part, ...]
    before: int
    after: int


def source_of(
    query_index: QueryIndex,
    document_id: str,
    passage: str,
    *,
    whole: bool = False,
    user: str | None = None,
    groups: Sequence[str] | None = None,
) -> Source:
    """The passages around the one of this text, or with `whole` 400 of them, as far as these may see them.

    Where passages overlap, what the next one repeats is left out. The passage is not there when it was replaced or
    removed meanwhile: then the beginning of the document is shown, and no part is the one found.
    """
    access = query_index.condition(user=user, groups=groups)
    records = query_index.index.iter(where=conjunction(Eq(DOCUMENT_ID, document_id), access))
    every = sorted((record.metadata or {} for record in records), key=lambda at: at.get(PASSAGE, 0))
    place = next((n for n, at in enumerate(every) if at.get(TEXT, "") == passage), None)
    near = _WHOLE // 2 if whole else NEAR
    first = max(0, (place or 0) - near)
    after = min(len(every), (place or 0) + near + 1)
    return Source(document_id, tuple(_parts(every[first:after], at=place, first=first)), first, len(every) - after)


def _parts(passages: Sequence[Mapping[str, Any]], *, at: int | None, first: int) -> list[Part]:
    parts: list[Part] = []
    heading, page = "", None
    shown, of_hash = 0, None
    for number, passage in enumerate(passages, start=first):
        text = str(passage.get(TEXT, ""))
        begin, end = passage.get(BEGIN, 0), passage.get(END, 0)
        repeated = max(0, shown - begin) if passage.get(HASH) == of_hash and number != at else 0
        # Places are those of the document's text only where a passage is a piece of it, unchanged.
        cut = text[repeated:] if end - begin == len(text) else text
        now_heading, now_page = str(passage.get(HEADING, "")), passage.get(PAGE_NUMBER)
        if cut:
            parts.append(
                Part(
                    cut,
                    number == at,
                    "" if now_heading == heading or cut.lstrip().startswith(now_heading) else now_heading,
                    now_page if now_page != page else None,
                )
            )
        heading, page = now_heading, now_page
        shown, of_hash = max(shown, end) if passage.get(HASH) == of_hash else end, passage.get(HASH)
    return parts
