"""The folders of segments: their names, listing them, and which of several lead furthest."""

from __future__ import annotations

import os
import re
from pathlib import Path

import msgspec

__all__ = ["Place", "cover", "listed", "segment_name"]

_NAME = re.compile(r"(\d{12})-(\d{12})")


class Place(msgspec.Struct, frozen=True):
    """A segment's folder as listed, over the rows [first, last); `inode` and `changed` tell it from another of the same
    name."""

    first: int
    last: int
    inode: int
    changed: int


def segment_name(first: int, last: int) -> str:
    """The name of the folder of a segment over the rows [first, last)."""
    return f"{first:012d}-{last:012d}"


def listed(folder: Path) -> list[Place]:
    """The segments in `folder`, in no order; none where it is absent."""
    found = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                match = _NAME.fullmatch(entry.name)
                if match is None:
                    continue
                try:
                    status = entry.stat()
                except FileNotFoundError:
                    continue
                first, last = int(match[1]), int(match[2])
                if first < last:
                    found.append(Place(first, last, status.st_ino, status.st_mtime_ns))
    except FileNotFoundError:
        return []
    return found


def cover(places: list[Place]) -> list[Place]:
    """Of some places those that lead from row 0 furthest without gap or overlap, in order of rows; the fewest such."""
    best: dict[int, tuple[int, int, Place | None]] = {}
    for place in sorted(places, key=lambda place: place.first, reverse=True):
        end, count, _ = best.get(place.last, (place.last, 0, None))
        known = best.get(place.first)
        if known is None or (end, -count - 1) > (known[0], -known[1]):
            best[place.first] = (end, count + 1, place)
    chain: list[Place] = []
    at = 0
    while at in best:
        chosen = best[at][2]
        assert chosen is not None
        chain.append(chosen)
        at = chosen.last
    return chain
