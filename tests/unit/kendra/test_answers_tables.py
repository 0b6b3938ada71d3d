"""Answers from tables of every file type, and the excerpts of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kendra_corpus import BagOfStems

from ragvec.kendra.answers.excerpt import COLUMNS, ROWS, table_excerpt
from ragvec.kendra.answers.find import find_answers
from ragvec.kendra.answers.reader import Levels, ReadSpan
from ragvec.kendra.answers.tables import grids
from ragvec.kendra.answers.units import LONGEST, units
from ragvec.kendra.found import Cell, Confidence, Found, Table
from ragvec.pipeline.chunk import StructureChunker
from ragvec.pipeline.documents import Document
from ragvec.pipeline.load import load
from ragvec.pipeline.loaders.builder import row_text

HEAD = ("Line", "From", "To", "Minutes", "Fare", "Dogs")
ROWS_OF = (
    ("1", "Quay", "Island", "25", "9.00 pounds", "yes"),
    ("2", "Quay", "Castle", "40", "12.50 pounds", "no"),
    ("3", "Mill", "Island", "15", "6.00 pounds", "yes"),
    ("4", "Mill", "Castle", "55", "14.00 pounds", "no"),
)


def found(text: str, *, key: str = "d#0", document: str = "d") -> Found:
    return Found(key, document, {"_document_id": document, "_text": text, "_document_title": "Lines"}, 0.6, 0.6, 1.0)


def written(folder: Path, kind: str) -> Path:
    path = folder / f"lines.{kind}"
    if kind == "csv":
        path.write_text("\n".join(",".join(row) for row in (HEAD, *ROWS_OF)), encoding="utf-8")
    elif kind == "md":
        lines = ["# Lines", "", "| " + " | ".join(HEAD) + " |", "|" + "---|" * len(HEAD)]
        path.write_text("\n".join(lines + ["| " + " | ".join(row) + " |" for row in ROWS_OF]), encoding="utf-8")
    elif kind == "html":
        head = "".join(f"<th>{name}</th>" for name in HEAD)
        body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in ROWS_OF)
        path.write_text(f"<h1>Lines</h1><table><tr>{head}</tr>{body}</table>", encoding="utf-8")
    else:
        docx = pytest.importorskip("docx")
        document = docx.Document()
        table = document.add_table(rows=0, cols=len(HEAD))
        for row in (HEAD, *ROWS_OF):
            for cell, value in zip(table.add_row().cells, row, strict=True):
                cell.text = value
        document.save(path)
    return path


def passages_of(path: Path) -> list[Found]:
    [document] = load(path)
    assert isinstance(document, Document)
    return [found(chunk.text, key=f"d#{n}") for n, chunk in enumerate(StructureChunker(max_tokens=120).split(document))]


class Pointing:
    """A reader that points at the first place where some words stand."""

    def __init__(self, words: str, *, score: float = 0.95) -> None:
        self.words, self.score = words, score
        self.levels = Levels(least=0.5, high=0.7, very_high=0.9)

    def read(self, question: str, passages: Sequence[str]) -> list[ReadSpan]:
        return [
            ReadSpan(number, text.index(self.words), text.index(self.words) + len(self.words), self.score)
            for number, text in enumerate(passages)
            if self.words in text
        ]


@pytest.mark.parametrize("kind", ["csv", "md", "html", "docx"])
def test_a_table_of_any_file_is_read_back_from_its_passages(tmp_path: Path, kind: str) -> None:
    rows = []
    for passage in passages_of(written(tmp_path, kind)):
        text = passage.metadata["_text"]
        for grid in grids(text):
            assert grid.names == HEAD
            rows += [tuple(text[cell.begin : cell.end] for cell in row.cells) for row in grid.rows]
    assert tuple(rows) == ROWS_OF


@pytest.mark.parametrize("kind", ["csv", "md", "html", "docx"])
def test_the_excerpt_shows_the_answering_row_below_the_names(tmp_path: Path, kind: str) -> None:
    passages = passages_of(written(tmp_path, kind))
    question = "What is the fare of the line to the Castle that leaves from Mill?"
    reader = Pointing("Line: 4; From: Mill; To: Castle; Minutes: 55; Fare: 14.00 pounds")
    [answer] = find_answers(question, passages, embed=BagOfStems(), reader=reader)
    assert isinstance(answer.table, Table)
    names, *rows = answer.table.rows
    assert len(names) <= COLUMNS
    assert len(answer.table.rows) <= ROWS
    assert all(cell.header for cell in names)
    assert names[0].value == "Line"
    assert {"From", "To", "Fare"} <= {cell.value for cell in names}
    [top] = [cell for row in rows for cell in row if cell.top_answer]
    assert top == Cell("14.00 pounds", highlighted=True, top_answer=True)
    assert not any(cell.header for row in rows for cell in row)
    assert answer.table.total_rows == 1 + len(ROWS_OF)


TEXT = "\n".join(row_text(HEAD, row) for row in ROWS_OF)


@pytest.mark.parametrize(
    ("confidence", "best", "others"),
    [
        ("VERY_HIGH", (True, True), (True, False)),
        ("HIGH", (True, False), (False, False)),
        ("MEDIUM", (False, False), (False, False)),
    ],
)
def test_cells_are_marked_by_confidence(
    confidence: Confidence, best: tuple[bool, bool], others: tuple[bool, bool]
) -> None:
    row = row_text(HEAD, ROWS_OF[1])
    begin = TEXT.index(row)
    table = table_excerpt("fare", ReadSpan(0, begin, begin + len(row), 1.0), [found(TEXT)], confidence=confidence)
    assert table is not None
    _, answering, following = table.rows
    assert answering[0].value == "2"
    assert following[0].value == "3"
    marks = {cell.value: (cell.highlighted, cell.top_answer) for cell in answering}
    assert marks.pop("12.50 pounds") == best
    assert set(marks.values()) == {others}
    assert not any(cell.highlighted or cell.top_answer for cell in following)


def test_the_last_row_is_shown_below_the_one_before_it() -> None:
    row = row_text(HEAD, ROWS_OF[3])
    span = ReadSpan(0, TEXT.index(row), len(TEXT), 1.0)
    table = table_excerpt("fare", span, [found(TEXT)], confidence="HIGH")
    assert table is not None
    assert [cells[0].value for cells in table.rows] == ["Line", "3", "4"]


def test_rows_are_counted_over_the_passages_of_the_document() -> None:
    cut = ["\n".join(row_text(HEAD, row) for row in rows) for rows in (ROWS_OF[:1], ROWS_OF[1:])]
    passages = [found(text, key=f"d#{n}") for n, text in enumerate(cut)] + [found(TEXT, key="e#0", document="e")]
    table = table_excerpt("fare", ReadSpan(0, 0, 20, 1.0), passages, confidence="HIGH")
    assert table is not None
    assert table.total_rows == 5
    assert [cells[0].value for cells in table.rows] == ["Line", "1"]


def test_a_paragraph_beside_a_table_has_no_excerpt() -> None:
    text = f"Dogs travel free of charge.\n\n{TEXT}"
    assert table_excerpt("dogs", ReadSpan(0, 0, 27, 1.0), [found(text)], confidence="HIGH") is None


def test_a_better_paragraph_of_the_document_wins_over_its_table() -> None:
    class Both(Pointing):
        def read(self, question: str, passages: Sequence[str]) -> list[ReadSpan]:
            return [ReadSpan(0, 0, 27, 0.8), ReadSpan(1, 0, 20, 0.75)]

    passages = [found("Dogs travel free of charge."), found(TEXT, key="d#1")]
    [answer] = find_answers("dogs", passages, embed=BagOfStems(), reader=Both(""))
    assert answer.table is None
    assert answer.passage.key == "d#0"


def test_empty_cells_stay_empty() -> None:
    text = "Name: A; Fare: 1; Note: x\nName: B; Note: y\nName: C; Fare: 3"
    table = table_excerpt(
        "fare of C", ReadSpan(0, text.index("Name: C"), len(text), 1.0), [found(text)], confidence="HIGH"
    )
    assert table is not None
    assert [[cell.value for cell in row] for row in table.rows] == [["Name", "Fare"], ["B", ""], ["C", "3"]]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A sentence; another one: with a colon.",
        "Note: this is prose. It goes on; and on.",
        "first; second; third",
        "Name: value",
    ],
)
def test_prose_is_no_table(text: str) -> None:
    assert grids(text) == []


def test_semicolons_and_colons_inside_values_divide_nothing() -> None:
    text = "Benefit: Care; Notes: 8 sessions; a further 8 if asked: in writing; Limit: 16"
    others = [f"Benefit: {name}; Notes: none; Limit: 2" for name in ("Teeth", "Eyes", "Ears")]
    [grid] = grids("\n".join([text, *others]))
    assert grid.names == ("Benefit", "Notes", "Limit")
    [row] = [row for row in grid.rows if row.begin == 0]
    assert [text[cell.begin : cell.end] for cell in row.cells] == [
        "Care",
        "8 sessions; a further 8 if asked: in writing",
        "16",
    ]


def test_units_are_sentences_items_rows_and_headings() -> None:
    prose = "A ticket costs nine pounds. Dr. Hill pays less, e.g. six."
    text = f"Fares\n\n{prose}\n\n1. Buy a ticket.\n2. Board. Sit down.\n\n{TEXT}"
    shown = [(unit.kind, text[unit.begin : unit.end]) for unit in units(text, heading="Guide > Fares")]
    assert shown == [
        ("heading", "Fares"),
        ("sentence", "A ticket costs nine pounds."),
        ("sentence", "Dr. Hill pays less, e.g. six."),
        ("item", "1. Buy a ticket."),
        ("item", "2. Board."),
        ("item", "Sit down."),
        *(("row", row_text(HEAD, row)) for row in ROWS_OF),
    ]


_CELL = st.text(alphabet=st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=12)


@given(st.lists(st.lists(_CELL, min_size=2, max_size=6), min_size=1, max_size=6), st.text(max_size=40))
def test_units_are_disjoint_and_short_whatever_the_text(rows: list[list[str]], prose: str) -> None:
    text = prose + "\n" + "\n".join("; ".join(f"{cell}: {cell}" for cell in row) for row in rows)
    position = 0
    for unit in units(text):
        assert position <= unit.begin < unit.end <= len(text)
        assert unit.end - unit.begin <= LONGEST
        position = unit.end
    for grid in grids(text):
        for row in grid.rows:
            assert len({cell.column for cell in row.cells}) == len(row.cells)
            assert all(row.begin <= cell.begin <= cell.end <= row.end for cell in row.cells)
