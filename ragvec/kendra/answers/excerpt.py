"""The part of a table that answers: at most five columns and three rows around its most relevant cells.

The row that the answer lies in is shown below the names of the columns, with the row after it, or the one before it
where it is the last. Shown are the first column, which names a row, and those that have most of the question's words or
what it asks for, in their order. The most relevant cell of the answering row is as sure as the answer, the others of
the row one level less sure: VERY_HIGH is a top answer and highlighted, HIGH highlighted, MEDIUM plain.
"""

from __future__ import annotations

from collections.abc import Sequence

from ragvec.kendra.answers.question import Asked, answers_kind, asked, terms_of
from ragvec.kendra.answers.reader import ReadSpan
from ragvec.kendra.answers.tables import Grid, GridRow, grids
from ragvec.kendra.found import Cell, Confidence, Found, Table
from ragvec.pipeline.passages import TEXT

__all__ = ["COLUMNS", "ROWS", "table_excerpt"]

COLUMNS = 5
ROWS = 3

_LESS_SURE: dict[Confidence, Confidence] = {"VERY_HIGH": "HIGH", "HIGH": "MEDIUM"}


def table_excerpt(question: str, span: ReadSpan, passages: Sequence[Found], *, confidence: Confidence) -> Table | None:
    """The excerpt of the table that the span lies in; None where most of it is no table.

    `total_rows` counts the rows of the table with its row of names, as far as `passages` of the document hold them.
    """
    text = passages[span.passage].metadata[TEXT]
    grid = next((grid for grid in grids(text) if 2 * _shared(span, grid.begin, grid.end) > span.end - span.begin), None)
    if grid is None:
        return None
    about = asked(question)
    at = max(range(len(grid.rows)), key=lambda row: (_merit(about, text, grid.rows[row], span), -row))
    shown = [at, at + 1] if at + 1 < len(grid.rows) else [at - 1, at] if at else [at]
    best, columns = _columns(about, text, grid, grid.rows[at])
    rows = [tuple(Cell(grid.names[column], header=True) for column in columns)]
    for number in shown:
        values = {cell.column: text[cell.begin : cell.end] for cell in grid.rows[number].cells}
        rows.append(
            tuple(
                _cell(
                    values.get(column, ""),
                    "MEDIUM"
                    if number != at
                    else confidence
                    if column == best
                    else _LESS_SURE.get(confidence, "MEDIUM"),
                )
                for column in columns
            )
        )
    return Table(tuple(rows), 1 + _total(passages, passages[span.passage].document_id, grid.names))


def _shared(span: ReadSpan, begin: int, end: int) -> int:
    return max(0, min(span.end, end) - max(span.begin, begin))


def _merit(about: Asked, text: str, row: GridRow, span: ReadSpan) -> tuple[bool, int, int]:
    """Rows that the span touches, by how many of the question's words they have, then by how much of them it takes."""
    touched = _shared(span, row.begin, row.end)
    values = terms_of(" ".join(text[cell.begin : cell.end] for cell in row.cells))
    return touched > 0, len(values & (about.terms | about.numbers)), touched


def _columns(about: Asked, text: str, grid: Grid, row: GridRow) -> tuple[int, list[int]]:
    """The column of the most relevant cell, and those that are shown, ascending.

    A cell is relevant by the question's words in its column's name, by having what the question asks for, and by not
    being what the question says itself; the first column names the row, and answers only where no other is better.
    """
    sought = about.terms | about.numbers
    label = row.cells[0].column
    merits: dict[int, tuple[int, bool, int, int]] = {}
    for cell in row.cells:
        value = text[cell.begin : cell.end]
        kind = next((answers_kind(value, kind) for kind in about.wanted), False)
        named = len(terms_of(grid.names[cell.column]) & sought)
        said = len(terms_of(value) & sought)
        merits[cell.column] = (named + kind, cell.column != label, -said, -cell.column)
    best = max(merits, key=lambda column: merits[column])
    relevance = {
        column: (column == best, column == label, merit[0] - merit[2], -column) for column, merit in merits.items()
    }
    columns = sorted(relevance, key=lambda column: relevance[column], reverse=True)[:COLUMNS]
    return best, sorted(columns)


def _cell(value: str, confidence: Confidence) -> Cell:
    return Cell(value, highlighted=confidence in ("VERY_HIGH", "HIGH"), top_answer=confidence == "VERY_HIGH")


def _total(passages: Sequence[Found], document_id: str, names: tuple[str, ...]) -> int:
    """The rows of a table that is cut into passages: those whose table has most names in common with it."""
    total = 0
    for passage in passages:
        if passage.document_id == document_id:
            for grid in grids(passage.metadata[TEXT]):
                common = len(set(grid.names) & set(names))
                if 2 * common >= min(len(grid.names), len(names)):
                    total += len(grid.rows)
    return total
