"""Superseded documents, near-duplicates and older versions: left out where what is there in their place was found too.

Which documents these are, attributes tell:

- superseded: the attribute `superseded_by` holds the id of the document that took its place. It is left out when that
  one was found, or one that superseded that one in turn;
- near-duplicates: the attribute `near_duplicate_of` holds the id of the document that it repeats. Of an original and
  those that repeat it, the most relevant one is kept;
- older versions: of documents that share the attribute `same`, the one with the highest `version` is kept, runs of
  digits being compared as numbers ("2.10" is above "2.9"); those without a version count as the lowest, and of equal
  ones the most relevant is kept.

What was not found replaces nothing, so a filter or an access list never makes a document disappear without another in
its place that whoever asks may see.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from ragvec.kendra.found import Found
from ragvec.pipeline.passages import VERSION

__all__ = ["Versions", "newest"]


class Versions(msgspec.Struct, frozen=True, kw_only=True):
    """The attributes that tell what replaces what; None for what is not looked at."""

    superseded_by: str | None = "superseded_by"
    near_duplicate_of: str | None = "near_duplicate_of"
    same: str | None = None
    version: str = VERSION


def newest(documents: Sequence[Found], versions: Versions) -> list[Found]:
    """The documents, most relevant first, less those that another of them replaces, in the same order."""
    kept = list(documents)
    if versions.same is not None:
        kept = _highest(kept, versions.same, versions.version)
    if versions.superseded_by is not None:
        kept = _current(kept, versions.superseded_by)
    if versions.near_duplicate_of is not None:
        kept = _distinct(kept, versions.near_duplicate_of)
    return kept


def _highest(documents: Sequence[Found], same: str, version: str) -> list[Found]:
    best: dict[str, Found] = {}
    for found in documents:
        shared = found.metadata.get(same)
        if isinstance(shared, str) and shared:
            other = best.get(shared)
            if other is None or _order(found.metadata.get(version)) > _order(other.metadata.get(version)):
                best[shared] = found
    return [found for found in documents if best.get(str(found.metadata.get(same)), found) is found]


def _current(documents: Sequence[Found], superseded_by: str) -> list[Found]:
    there = {found.document_id: found.metadata.get(superseded_by) for found in documents}
    kept = []
    for found in documents:
        seen = [found.document_id]
        successor = there[found.document_id]
        while isinstance(successor, str) and successor in there and successor not in seen:
            seen.append(successor)
            successor = there[successor]
        # In a ring each supersedes the others: the most relevant of it stays.
        ring = len(seen) > 1 and successor == found.document_id
        if len(seen) == 1 or (ring and _first(documents, seen) is found):
            kept.append(found)
    return kept


def _first(documents: Sequence[Found], ids: Sequence[str]) -> Found:
    return next(found for found in documents if found.document_id in ids)


def _distinct(documents: Sequence[Found], near_duplicate_of: str) -> list[Found]:
    seen: set[str] = set()
    kept = []
    for found in documents:
        original = found.metadata.get(near_duplicate_of)
        group = original if isinstance(original, str) and original else found.document_id
        if group not in seen:
            seen.add(group)
            kept.append(found)
    return kept


def _order(version: Any) -> tuple[tuple[int, str], ...]:
    """Versions in order: digits as numbers, other characters as they are."""
    parts = re.findall(r"[0-9]+|[^0-9]+", version) if isinstance(version, str) else []
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in parts)
