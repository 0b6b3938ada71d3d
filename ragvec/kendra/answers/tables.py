"""Tables in the text of a passage: the pipeline writes a row as a line "column: value; column: value"."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

import msgspec

__all__ = ["Grid", "GridCell", "GridRow", "grids"]

_LINE = re.compile(r"[^\n]+")
_NAME = re.compile(r"((?:(?![.!?]\s)[^:;\n]){1,80}): (?=\S)")
_LONGEST_ROW = 4_000
_FEW = 4
"""In as many rows, a name that stands only once may be part of a value."""


class GridCell(msgspec.Struct, frozen=True, gc=False):
    """A value at `[begin, end)` of the text, in the column of this number."""

    column: int
    begin: int
    end: int


class GridRow(msgspec.Struct, frozen=True):
    """A line of a table; empty cells are not there."""

    begin: int
    end: int
    cells: tuple[GridCell, ...]


class Grid(msgspec.Struct, frozen=True):
    """A table, or the part of one that a passage holds: the names of its columns and at least one row."""

    names: tuple[str, ...]
    rows: tuple[GridRow, ...]

    @property
    def begin(self) -> int:
        """Where its first row begins."""
        return self.rows[0].begin

    @property
    def end(self) -> int:
        """Where its last row ends."""
        return self.rows[-1].end


class _Part(msgspec.Struct, frozen=True, gc=False):
    """What stands between two semicolons: [begin, end), its name if it has one, and where its value begins."""

    begin: int
    end: int
    name: str
    value: int


def grids(text: str) -> list[Grid]:
    """The tables in a text, in its order.

    A row is a line of two or more parts "name: value" with "; " between them, of which the first has a name; rows that
    follow each other and have most names in common are one table. A table without names of columns is not recognised.
    """
    found: list[Grid] = []
    lines: list[list[_Part]] = []
    position = -1
    for match in _LINE.finditer(text):
        parts = _parts(text, *_stripped(text, *match.span()))
        follows = match.start() == position + 1 and (not lines or _alike(lines[-1], parts))
        if lines and not follows:
            found.append(_grid(lines))
            lines = []
        if parts:
            lines.append(parts)
        position = match.end()
    if lines:
        found.append(_grid(lines))
    return found


def _stripped(text: str, begin: int, end: int) -> tuple[int, int]:
    while begin < end and text[begin].isspace():
        begin += 1
    while end > begin and text[end - 1].isspace():
        end -= 1
    return begin, end


def _parts(text: str, begin: int, end: int) -> list[_Part]:
    """The parts of a row, an empty list where the line is none."""
    if end - begin > _LONGEST_ROW or "; " not in text[begin:end]:
        return []
    parts = []
    position = begin
    for piece in text[begin:end].split("; "):
        after = position + len(piece)
        name = _NAME.match(text, position, after)
        parts.append(_Part(position, after, name[1] if name else "", name.end() if name else position))
        position = after + 2
    named = sum(bool(part.name) for part in parts)
    return parts if parts[0].name and named >= 2 else []


def _alike(row: Sequence[_Part], other: Sequence[_Part]) -> bool:
    names, others = {part.name for part in row if part.name}, {part.name for part in other if part.name}
    return bool(others) and 2 * len(names & others) >= min(len(names), len(others))


def _grid(lines: Sequence[Sequence[_Part]]) -> Grid:
    counts = Counter(name for parts in lines for name in {part.name for part in parts if part.name})
    known = {name for name, count in counts.items() if count > 1 or len(lines) < _FEW}
    rows = [list(_cells(parts, known)) for parts in lines]
    names: list[str] = []
    for row in rows:
        place = 0
        for name, _, _ in row:
            if name in names:
                place = names.index(name) + 1
            else:
                names.insert(place, name)
                place += 1
    columns = {name: column for column, name in enumerate(names)}
    return Grid(
        tuple(names),
        tuple(
            GridRow(parts[0].begin, parts[-1].end, tuple(GridCell(columns[name], *span) for name, *span in row))
            for parts, row in zip(lines, rows, strict=True)
        ),
    )


def _cells(parts: Sequence[_Part], known: set[str]) -> Iterator[tuple[str, int, int]]:
    """(name, begin, end) of the cells: a part without a known name, or with one that was there, goes on in the value
    before it. The name of the first part is always one.
    """
    seen: set[str] = set()
    name, begin, end = parts[0].name, parts[0].value, parts[0].end
    for part in parts[1:]:
        if part.name in known and part.name not in seen and part.name != name:
            yield name, begin, end
            seen.add(name)
            name, begin = part.name, part.value
        end = part.end
    yield name, begin, end
