"""The pieces of a passage among which an answer is looked for: sentences, items of lists, rows of tables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, TypeAlias

import msgspec

from ragvec.kendra.answers.tables import Grid, grids
from ragvec.pipeline.documents import Block
from ragvec.pipeline.outline import outline
from ragvec.pipeline.sentences import sentence_starts

__all__ = ["LONGEST", "Unit", "UnitKind", "units"]

UnitKind: TypeAlias = Literal["sentence", "item", "row", "heading"]

LONGEST = 400
"""Characters of a unit; what is longer is cut where there is white space."""

_CUT = 60
_WORD = re.compile(r"\w")
_MARKER = re.compile(r"\(?\w{1,3}[.)]\s*$")


class Unit(msgspec.Struct, frozen=True, gc=False):
    """The characters `[begin, end)` of a passage's text."""

    begin: int
    end: int
    kind: UnitKind


def units(text: str, *, heading: str = "") -> list[Unit]:
    """The units of a passage's text, disjoint and in its order; what has no word in it is left out.

    A first line that says what the last part of `heading`, a path, says is a heading even where it looks like none.
    """
    tables = grids(text)
    label = heading.rpartition(" > ")[2]
    found: list[Unit] = []
    for block in outline(text):
        if block.kind == "heading" or (not found and label and text[block.begin : block.end].strip("# ") == label):
            found += _cut(text, block.begin, block.end, "heading")
        else:
            found += _units(text, block, tables)
    return [unit for unit in found if _WORD.search(text, unit.begin, unit.end)]


def _units(text: str, block: Block, tables: list[Grid]) -> Iterator[Unit]:
    position = block.begin
    for table in tables:
        for row in table.rows:
            if position <= row.begin < block.end:
                yield from _prose(text, position, row.begin, block)
                yield from _cut(text, row.begin, min(row.end, block.end), "row")
                position = min(row.end, block.end)
    yield from _prose(text, position, block.end, block)


def _prose(text: str, begin: int, end: int, block: Block) -> Iterator[Unit]:
    while begin < end and text[begin].isspace():
        begin += 1
    while end > begin and text[end - 1].isspace():
        end -= 1
    if begin == end:
        return
    if block.kind == "row":
        yield from _cut(text, begin, end, "row")
        return
    starts = sentence_starts(text, begin, end)
    if len(starts) > 1 and _MARKER.match(text, begin, starts[1]):
        del starts[1]  # the number of an item, not a sentence
    kind: UnitKind = "item" if block.kind == "item" else "sentence"
    for first, after in zip(starts, [*starts[1:], end], strict=True):
        yield from _cut(text, first, after, kind)


def _cut(text: str, begin: int, end: int, kind: UnitKind) -> Iterator[Unit]:
    """[begin, end) without white space at its end, in parts of at most LONGEST characters."""
    while end > begin and text[end - 1].isspace():
        end -= 1
    while end - begin > LONGEST:
        cut = begin + LONGEST
        cut = next((at for at in range(cut, cut - _CUT, -1) if text[at - 1].isspace()), cut)
        stop = cut
        while stop > begin and text[stop - 1].isspace():
            stop -= 1
        if stop > begin:
            yield Unit(begin, stop, kind)
        begin = cut
    if begin < end:
        yield Unit(begin, end, kind)
