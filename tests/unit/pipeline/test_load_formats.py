"""What is read out of each of the newer formats, and that its chunks stand where they say."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

import pytest

from ragvec.limits import FileLimits
from ragvec.pipeline.chunk import StructureChunker
from ragvec.pipeline.chunkers import SentenceChunker, TokenChunker
from ragvec.pipeline.documents import Document, Failure
from ragvec.pipeline.load import FILE_TYPES, load
from ragvec.pipeline.loaders.code import CODE

sys.path.insert(0, str(Path(__file__).parent))
from formats import MARKDOWN, blocks_of, documents, make_docx, make_pdf, only
from more_formats import letter, make_epub, make_ipynb, make_pptx, make_xlsx

HERE = FileLimits(isolate=False)
"""Read in this process: starting another for each of these files takes longer than all the rest."""

CHUNKERS = (
    StructureChunker(max_tokens=12),
    StructureChunker(max_tokens=12, overlap=4),
    TokenChunker(max_tokens=10, overlap=3),
    SentenceChunker(sentences=2, overlap=1),
)


def written(text: str | bytes) -> Callable[[Path], Path]:
    def make(path: Path) -> Path:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return make


PYTHON = '''"""What tides do."""
import os

LEVEL = 3


# How high it is.
@cached
def height(hour,
           *, port="Porto"):
    """The height."""
    return LEVEL


class Port(Base):
    """A port."""

    name = "x"

    async def moor(self):
        if self.name:
            return 1
        return 2
'''
TYPESCRIPT = """import { x } from "y";

// A ship } with "braces
export class Ship<T> extends Base {
  private n = 1;

  constructor(readonly a: string) {
    super();
  }

  async load(cargo: number): Promise<void> {
    if (cargo) { return; }
  }
}

export const depart = async (ship: Ship) => {
  await ship.go();
};
"""
GO = (
    "package quay\n\ntype Berth struct {\n\tn int\n}\n\nfunc (b *Berth) Free(a int) bool {\n\treturn b.n == 0 // {\n}\n"
)
RUST = "impl<T> Foo for Bar<T> {\n    pub fn new(a: &'a str) -> Self {\n        Self { a }\n    }\n}\n"
JAVA = """package a.b;

public class Main {
    /** Says. */
    @Override
    public static <T> List<T> say(final String[] args) throws IOException {
        run(args);
    }
}
"""
RTF = (
    rb"{\rtf1\ansi\ansicpg1252 {\fonttbl\f0 Arial;}{\b HARBOUR RULES}\par "
    rb"Keep left, caf\'e9 closed.\par Slow \u8211? always.\par}"
)

MADE: dict[str, Callable[[Path], Path]] = {
    "a.txt": written("RULES\n\nKeep left. Slow down.\n\n- one\n- two, which is longer\n"),
    "a.md": written(MARKDOWN),
    "a.html": written("<h1>Rules</h1><p>Keep left. Slow down.</p><ul><li>one<li>two</ul>"),
    "a.docx": make_docx,
    "a.pdf": make_pdf,
    "a.csv": written("City,Rate\nPorto,48\nLisbon,54\n"),
    "a.xlsx": make_xlsx,
    "a.pptx": make_pptx,
    "a.epub": make_epub,
    "a.ipynb": make_ipynb,
    "a.rtf": written(RTF),
    "a.json": written(json.dumps({"port": {"name": "Porto", "berths": [1, 2]}, "note": "Call ahead. Always."})),
    "a.jsonl": written('{"id": "x", "text": "Keep left. Slow down."}\n'),
    "a.eml": written(bytes(letter())),
    "a.py": written(PYTHON),
    "a.ts": written(TYPESCRIPT),
    "a.go": written(GO),
    "a.rs": written(RUST),
    "a.java": written(JAVA),
    "a.toml": written("[ship]\nname = 'x'\n\n[ship.crew]\nsize = 3\n"),
    "a.sql": written("-- Ships\nCREATE TABLE ships (\n  id int\n);\nSELECT 1;\n"),
}


@pytest.mark.parametrize("name", MADE)
def test_chunks_of_every_format_stand_where_they_say(tmp_path: Path, name: str) -> None:
    if name.endswith(".pdf"):
        pytest.importorskip("reportlab")
    document = only(MADE[name](tmp_path / name), limits=HERE)
    text = document.text
    for chunker in CHUNKERS:
        chunks = chunker.split(document)
        covered = [False] * len(text)
        for chunk in chunks:
            assert text[chunk.begin : chunk.end] == chunk.text
            assert chunk.page == document.page_at(chunk.begin)
            covered[chunk.begin : chunk.end] = [True] * len(chunk.text)
        assert chunks
        assert all(seen or text[at].isspace() for at, seen in enumerate(covered))


def test_a_workbook_is_its_sheets(tmp_path: Path) -> None:
    document = only(make_xlsx(tmp_path / "a.xlsx"), limits=HERE)
    assert (document.title, document.file_type) == ("Rates, all of them", "xlsx")
    assert blocks_of(document) == [
        ("heading", 1, "Rates"),
        ("paragraph", 0, "Rates of 2026"),
        ("row", 0, "City: Porto; Rate: 48; Since: 2026-01-01"),
        ("row", 0, "City: Lisbon; Rate: 54.5"),
        ("heading", 1, "Plain"),
        ("row", 0, "1; 2; yes"),
    ]
    assert [document.page_at(document.text.index(words)) for words in ("Rates", "Lisbon", "Plain", "yes")] == [
        1,
        1,
        2,
        2,
    ]


def test_a_presentation_is_its_slides(tmp_path: Path) -> None:
    document = only(make_pptx(tmp_path / "a.pptx"), limits=HERE)
    assert (document.title, document.file_type) == ("Safety first", "pptx")
    assert blocks_of(document) == [
        ("heading", 1, "Safety first"),
        ("item", 0, "- Wear a vest"),
        ("item", 0, "- Look twice"),
        ("paragraph", 0, "Notes: Tell the story of the crane."),
        ("heading", 1, "Depths"),
        ("row", 0, "Depth: 8 m; Rope: 20 m"),
        ("paragraph", 0, "Words in a box."),
    ]
    assert document.page_at(document.text.index("Words in")) == 2


def test_a_book_is_its_chapters(tmp_path: Path) -> None:
    document = only(make_epub(tmp_path / "a.epub"), limits=HERE)
    assert (document.title, document.file_type) == ("The Tide Tables", "epub")
    assert document.attributes == {
        "_authors": ["Ann Quist"],
        "_language_code": "en",
        "_created_at": datetime(2024, 5, 1, tzinfo=timezone.utc),
    }
    assert blocks_of(document) == [
        ("heading", 1, "Springs"),
        ("paragraph", 0, "High water, é."),
        ("heading", 1, "Neaps"),
        ("item", 0, "- low"),
    ]


def test_a_notebook_is_its_cells(tmp_path: Path) -> None:
    document = only(make_ipynb(tmp_path / "a.ipynb"), limits=HERE)
    assert (document.title, document.attributes) == ("Tides", {"programming_language": "python"})
    assert blocks_of(document) == [
        ("heading", 1, "Tides"),
        ("paragraph", 0, "Read the table."),
        ("code", 0, "level = 3\n\nprint(level)"),
        ("paragraph", 0, "As it is."),
    ]


def test_rich_text_is_its_words(tmp_path: Path) -> None:
    document = only(written(RTF)(tmp_path / "a.rtf"), limits=HERE)
    assert document.title == "HARBOUR RULES"
    assert blocks_of(document) == [
        ("heading", 1, "HARBOUR RULES"),
        ("paragraph", 0, "Keep left, café closed."),
        ("paragraph", 0, "Slow – always."),
    ]


def headings(document: Document) -> list[tuple[int, object, str]]:
    text = document.text
    return [
        (block.level, block.label, text[block.begin : block.end].splitlines()[0])
        for block in document.blocks
        if block.kind == "heading"
    ]


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        (
            "a.py",
            PYTHON,
            [
                (1, "height", "# How high it is."),
                (1, "Port", "class Port(Base):"),
                (2, "moor", "async def moor(self):"),
            ],
        ),
        (
            "a.ts",
            TYPESCRIPT,
            [
                (1, "Ship<T>", '// A ship } with "braces'),
                (2, "constructor", "constructor(readonly a: string) {"),
                (2, "load", "async load(cargo: number): Promise<void> {"),
                (1, "depart", "export const depart = async (ship: Ship) => {"),
            ],
        ),
        ("a.go", GO, [(1, "Berth", "type Berth struct {"), (1, "Free", "func (b *Berth) Free(a int) bool {")]),
        (
            "a.rs",
            RUST,
            [(1, "impl<T> Foo for Bar<T>", "impl<T> Foo for Bar<T> {"), (2, "new", "pub fn new(a: &'a str) -> Self {")],
        ),
        ("a.java", JAVA, [(1, "Main", "public class Main {"), (2, "say", "/** Says. */")]),
        (
            "a.rb",
            "class Ship\n  def sail(x)\n    1\n  end\nend\n",
            [(1, "Ship", "class Ship"), (2, "sail", "def sail(x)")],
        ),
        ("a.sh", "# Says.\nsay() {\n  echo 1\n}\n", [(1, "say", "# Says.")]),
        ("a.sql", "CREATE OR REPLACE VIEW v AS SELECT 1;\n", [(1, "v", "CREATE OR REPLACE VIEW v AS SELECT 1;")]),
        ("a.toml", "[a]\nx = 1\n[a.b]\ny = 2\n", [(1, "a", "[a]"), (1, "a.b", "[a.b]")]),
        ("broken.py", "class Ship:\n  def sail(:\n", [(1, "Ship", "class Ship:"), (2, "sail", "def sail(:")]),
    ],
    ids=["python", "typescript", "go", "rust", "java", "ruby", "shell", "sql", "toml", "broken python"],
)
def test_code_is_structured_by_what_it_defines(tmp_path: Path, name: str, text: str, found: list[object]) -> None:
    document = only(written(text)(tmp_path / name), limits=HERE)
    assert document.text == text
    assert (document.title, document.file_type) == (name, name.partition(".")[2])
    assert headings(document) == found


def test_passages_of_code_know_what_they_are_in(tmp_path: Path) -> None:
    document = only(written(PYTHON)(tmp_path / "a.py"), limits=HERE)
    chunks = StructureChunker(max_tokens=60, min_tokens=1).split(document)
    assert [chunk.heading for chunk in chunks] == ["", "height", "Port", "Port > moor"]
    assert chunks[1].text.startswith("# How high it is.\n@cached\ndef height(hour,\n           *, port")


def test_every_type_of_code_is_loaded(tmp_path: Path) -> None:
    for suffix in CODE:
        (tmp_path / f"a{suffix}").write_text("a line\n")
    assert {Path(document.id).suffix for document in documents(tmp_path, limits=HERE)} == set(CODE)
    assert set(CODE) <= set(FILE_TYPES)


@pytest.mark.parametrize("name", ["a.xlsx", "a.pptx", "a.epub", "a.docx", "a.zip"])
@pytest.mark.parametrize("raw", [b"", b"not a zip", b"PK\x05\x06" + bytes(18)], ids=["empty", "text", "no members"])
def test_broken_files_say_what_was_expected(tmp_path: Path, name: str, raw: bytes) -> None:
    (tmp_path / name).write_bytes(raw)
    for found in load(tmp_path / name, limits=HERE):
        assert isinstance(found, Failure)
        assert found.reason.startswith("Expected ")
        assert found.document_id == ("" if name == "a.zip" else name)


@pytest.mark.parametrize(
    ("name", "raw", "reason"),
    [
        ("a.ipynb", b"{}", "Expected a notebook with `cells`, got none"),
        ("a.ipynb", b"[", "Expected a notebook in JSON"),
        ("a.ipynb", b'{"cells": [{"source": 1}]}', "Expected text as the source of cell 1 of the notebook, got int"),
        ("a.json", b"{", "Expected a JSON file: Input data was truncated"),
        ("a.json", b"[" * 100_000, "Expected a JSON file, got one that is nested too deep"),
        ("a.rtf", b"plain", "Expected rich text, which begins with {\\rtf, got another file"),
        (
            "a.eml",
            b"\n\nno headers",
            "Expected a letter, which begins with lines such as `Subject: …`",
        ),
        ("a.mbox", b"no box", "Expected a box of letters, which begins with a line `From …`, got another file"),
        ("a.parquet", b"PAR1", "Expected a Parquet file, got one that cannot be read as one"),
        (
            "a.doc",
            b"x",
            "Expected a file that can be read, got .doc: save it as .docx, as `soffice --conv",
        ),
        ("a.xls", b"x", "Expected a file that can be read, got .xls: save it as .xlsx"),
        ("a.ppt", b"x", "Expected a file that can be read, got .ppt: save it as .pptx"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.startswith("a.") else "",
)
def test_what_is_not_what_its_name_says_is_refused(tmp_path: Path, name: str, raw: bytes, reason: str) -> None:
    (tmp_path / name).write_bytes(raw)
    (found,) = load(tmp_path / name, limits=HERE)
    assert isinstance(found, Failure)
    assert found.reason.startswith(reason)


@pytest.mark.parametrize(
    ("name", "module", "package", "extra"),
    [
        ("a.xlsx", "openpyxl", "openpyxl", "documents"),
        ("a.pptx", "pptx", "python-pptx", "documents"),
        ("a.rtf", "striprtf.striprtf", "striprtf", "documents"),
        ("a.docx", "docx", "python-docx", "documents"),
        ("a.parquet", "pyarrow", "pyarrow", "parquet"),
    ],
    ids=["xlsx", "pptx", "rtf", "docx", "parquet"],
)
def test_a_library_that_is_missing_is_named_with_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, module: str, package: str, extra: str
) -> None:
    (tmp_path / name).write_bytes(b"x")
    (tmp_path / "b.txt").write_text("found")
    monkeypatch.setitem(sys.modules, module, None)
    missing, other = load(tmp_path, limits=HERE)
    assert isinstance(missing, Failure)
    assert f"needs the package {package}: pip install 'ragvec[{extra}]'" in missing.reason
    assert isinstance(other, Document)


def test_a_wide_sheet_is_refused(tmp_path: Path) -> None:
    import openpyxl

    book = openpyxl.Workbook()
    book.active.append(["x"] * 50)
    book.save(tmp_path / "a.xlsx")
    (found,) = load(tmp_path / "a.xlsx", limits=FileLimits(columns=40, isolate=False))
    assert str(found) == "a.xlsx: Expected at most 40 columns in a table, got 50: FileLimits(columns=…) allows more"
