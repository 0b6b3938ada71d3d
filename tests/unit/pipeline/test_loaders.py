"""What is read out of each format."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ragvec.limits import FileLimits
from ragvec.pipeline.documents import Document, Failure
from ragvec.pipeline.load import load
from ragvec.pipeline.loaders.front_matter import front_matter

sys.path.insert(0, str(Path(__file__).parent))
from formats import MARKDOWN, blocks_of, make_docx, make_pdf, only, plain_pdf


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def failure(source: object) -> Failure:
    (found,) = load(source)  # type: ignore[arg-type]  # whatever a test wants to load
    assert isinstance(found, Failure)
    return found


def test_text_stays_as_it_is(tmp_path: Path) -> None:
    document = only(write(tmp_path / "a.txt", "RESTORE\r\n\r\n  Every quarter.\r\n"))
    assert document == Document(
        id="a.txt",
        text="RESTORE\n\n  Every quarter.\n",
        title="RESTORE",
        uri=(tmp_path / "a.txt").as_uri(),
        file_type="txt",
        blocks=document.blocks,
    )
    assert only(write(tmp_path / "b.txt", "no heading here")).title == "b"


def test_markdown_is_read_as_it_looks(tmp_path: Path) -> None:
    document = only(write(tmp_path / "a.md", MARKDOWN))
    assert (document.title, document.file_type) == ("Expenses", "md")
    assert blocks_of(document) == [
        ("heading", 1, "Expenses"),
        ("paragraph", 0, "Rules for money you spend; see the form and FX-1. Second line of the paragraph."),
        ("heading", 2, "Per diem"),
        ("item", 0, "- Keep receipts"),
        ("item", 0, "- Ask first"),
        ("item", 0, "1. your manager"),
        ("item", 0, "2. finance"),
        ("row", 0, "City: Porto; Rate: 48"),
        ("row", 0, "City: Lisbon; Rate: 54"),
        ("code", 0, "total = 48 * 2\n\nprint(total)"),
    ]


def test_front_matter_gives_title_and_attributes(tmp_path: Path) -> None:
    head = "---\ntitle: 'Real title'\nauthors: [Ann, \"Bo\"]\ntags:\n  - a\n  - b\nview_count: 12\nversion: 1.10\n---\n"
    document = only(write(tmp_path / "a.md", head + MARKDOWN))
    assert document.title == "Real title"
    assert document.attributes == {"_authors": ["Ann", "Bo"], "tags": ["a", "b"], "_view_count": 12, "_version": "1.10"}
    assert document.text.startswith("Expenses\n\n")


def test_what_only_looks_like_front_matter_is_text() -> None:
    assert front_matter("--- \nnot closed: x") == ({}, "--- \nnot closed: x", ())
    assert front_matter("---\ndraft: true\nrate: 0.5\nnested:\n  deep: 1\n---\nx") == (
        {"draft": True, "rate": 0.5},
        "x",
        ("front matter: 'nested' left out: expected text, number, boolean, date or list of texts",),
    )


PLAIN = """title: "Rules: of the quay"   # not a part of it
# a comment
author: O'Hara
motto: 'it''s # fine'
escaped: "tab\\t\\u00e9"
draft: false
count: 12
rate: -0.5
empty:
nothing: ~
tags: [one, "two, three", 'four']
groups:
- "a: b"
- c # said

words: >
  folded
  lines

  and another
code: |-
    def f():
      return 1
long: goes on
  below
date: 2026-03-02
url: https://example.org/#part
quoted name: "x" # y
"""


def test_front_matter_is_what_yaml_says() -> None:
    yaml = pytest.importorskip("yaml")
    found, rest, notes = front_matter(f"---\n{PLAIN}---\nbody")
    wanted = {name: value for name, value in yaml.safe_load(PLAIN).items() if value is not None}
    wanted["date"] = wanted["date"].isoformat()
    assert {name: value.strip() if isinstance(value, str) else value for name, value in wanted.items()} == found
    assert (rest, notes) == ("body", ())


def test_what_front_matter_cannot_say_is_told(tmp_path: Path) -> None:
    head = "---\na: {x: 1}\nb: [[1]]\nc:\n  - x: 1\nd: *ref\n  odd\n\n: what\ntitle: T\n---\n"
    document = only(write(tmp_path / "a.md", head + "words"))
    assert (document.title, document.attributes, document.text) == ("T", {}, "words")
    assert [note.partition(" left out")[0] for note in document.notes] == [
        "front matter: 'a'",
        "front matter: 'b'",
        "front matter: 'c'",
        "front matter: 'd'",
        "front matter: ': what'",
    ]


def test_html_is_read_as_it_looks(tmp_path: Path) -> None:
    page = """<!DOCTYPE html><html lang="pt-BR"><head><title>Window title</title><style>p {}</style></head><body>
    <nav><ul><li>Home</li></ul></nav><script>var x = "<p>no</p>";</script>
    <h1>Health   cover</h1><p>Everybody &amp; their <b>partner</b>,<br>from day&nbsp;one.
    <ol start="3"><li>Ask<li><p>Wait</p></li></ol>
    <table><caption>Limits</caption><tr><th>Benefit</th><th>Limit</th></tr>
    <tr><td>Dental<td>GBP <i>180</i></tr><tr><td><table><tr><td>inner</td></tr></table></td><td></td></tr></table>
    <table><tr><td>Excess</td><td>100</td></tr><tr><td>Cap</td><td>200</td></tr></table>
    <pre>a =  1
b</pre>last words</body></html>"""
    document = only(write(tmp_path / "a.html", page))
    assert (document.title, document.attributes) == ("Health cover", {"_language_code": "pt"})
    assert blocks_of(document) == [
        ("heading", 1, "Health cover"),
        ("paragraph", 0, "Everybody & their partner,\nfrom day one."),
        ("item", 0, "3. Ask"),
        ("item", 0, "4. Wait"),
        ("paragraph", 0, "Limits"),
        ("row", 0, "Benefit: Dental; Limit: GBP 180"),
        ("row", 0, "Benefit: inner"),
        ("row", 0, "Excess: 100"),
        ("row", 0, "Cap: 200"),
        ("code", 0, "a =  1\nb"),
        ("paragraph", 0, "last words"),
    ]


def test_html_in_its_declared_encoding(tmp_path: Path) -> None:
    page = '<html><head><meta charset="windows-1251"><title>Отпуск</title></head><body>Сколько дней</body></html>'
    document = only(write(tmp_path / "a.htm", page, "cp1251"))
    assert (document.title, document.text) == ("Отпуск", "Сколько дней")
    assert document.notes == ("decoded as windows-1251, as the file declares",)


@pytest.mark.parametrize(
    "page", ["<p>a<p>b", "a<table><tr><td>b", "<ul><li>a<li>b</ul></div></table></h2>", "<h2>a<p>b"]
)
def test_unclosed_html_loses_nothing(tmp_path: Path, page: str) -> None:
    text = only(write(tmp_path / "a.html", page)).text
    assert "a" in text
    assert ("b" in text) == ("b" in page)


def test_docx_keeps_headings_lists_and_tables(tmp_path: Path) -> None:
    document = only(make_docx(tmp_path / "a.docx"))
    assert (document.title, document.file_type) == ("Travel policy", "docx")
    assert blocks_of(document) == [
        ("heading", 1, "Travel policy"),
        ("paragraph", 0, "Book in Harbor. Trains before planes."),
        ("heading", 2, "Rates"),
        ("item", 0, "- Keep receipts"),
        ("item", 0, "- Ask first"),
        ("row", 0, "City: Porto; Rate: 48"),
        ("row", 0, "City: Lisbon; Rate: 54; Note: capital"),
        ("row", 0, "Who: Ann, always; Where: Porto"),
        ("paragraph", 0, "The end."),
    ]


def test_docx_without_heading_is_called_by_its_properties(tmp_path: Path) -> None:
    import docx

    document = docx.Document()
    document.core_properties.title = "From the properties"
    document.add_paragraph("Text.")
    document.save(str(tmp_path / "a.docx"))
    assert only(tmp_path / "a.docx").title == "From the properties"


def test_pdf_keeps_pages_and_finds_structure(tmp_path: Path) -> None:
    pytest.importorskip("reportlab")
    document = only(make_pdf(tmp_path / "a.pdf"))
    words = "The crew walks the site twice before anything is lifted, and writes down what it saw in the register."
    assert (document.title, document.file_type) == ("Field manual", "pdf")
    assert blocks_of(document) == [
        ("heading", 1, "Field manual"),
        ("heading", 2, "Before you go"),
        ("paragraph", 0, " ".join([words] * 4)),
        ("paragraph", 0, "A second paragraph stands apart."),
        ("item", 0, "- Take the permit"),
        ("item", 0, "- Take the rope"),
        ("heading", 2, "Depths"),
        ("row", 0, "Depth: 8 m; Rope: 20 m; Anchor: 60 kg"),
        ("row", 0, "Depth: 20 m; Anchor: 140 kg"),
    ]
    assert [document.page_at(document.text.index(text)) for text in ("Field", "rope", "Depths", "140")] == [1, 1, 2, 2]


def test_a_pdf_without_properties_is_called_by_its_file(tmp_path: Path) -> None:
    document = only(plain_pdf(tmp_path / "buoy.pdf", "Only one line"))
    assert (document.title, document.text, document.pages) == ("buoy", "Only one line", (0,))


def test_pdfs_that_cannot_be_read_say_why(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pypdf = pytest.importorskip("pypdf")
    assert "it is a scan" in failure(plain_pdf(tmp_path / "scan.pdf", "")).reason
    writer = pypdf.PdfWriter(str(plain_pdf(tmp_path / "open.pdf", "secret")))
    writer.encrypt("password", algorithm="RC4-128")
    writer.write(str(tmp_path / "locked.pdf"))
    assert "encrypted with a password" in failure(tmp_path / "locked.pdf").reason
    whole = (tmp_path / "open.pdf").read_bytes()
    (tmp_path / "broken.pdf").write_bytes(whole[: len(whole) // 3])
    assert "Expected a PDF document" in failure(tmp_path / "broken.pdf").reason
    (tmp_path / "stub.pdf").write_bytes(b"%PDF-1.4 garbage")
    assert "Expected a PDF document" in failure(tmp_path / "stub.pdf").reason
    assert not caplog.records, "the parser's own messages would break into the progress bar"


@pytest.mark.parametrize("raw", [b"", b"not a zip", b"PK\x03\x04 damaged"])
def test_a_broken_docx_says_so(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "a.docx").write_bytes(raw)
    found = failure(tmp_path / "a.docx")
    assert found.reason.startswith("Expected a docx document")
    assert (found.source, found.document_id) == ("a.docx", "a.docx")


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_csv_rows_name_their_columns(tmp_path: Path, delimiter: str) -> None:
    rows = [["City", "Rate", "Note"], ["Porto", "48", ""], ['"São João"', "1.5", '"two\nlines"'], ["", "", ""]]
    path = write(tmp_path / "rates.csv", "\r\n".join(delimiter.join(row) for row in rows))
    document = only(path)
    assert (document.title, document.file_type) == ("rates", "csv")
    assert blocks_of(document) == [
        ("paragraph", 0, "Columns: City, Rate, Note"),
        ("row", 0, "City: Porto; Rate: 48"),
        ("row", 0, "City: São João; Rate: 1.5; Note: two lines"),
    ]


def test_a_cell_of_a_csv_may_be_long(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", 'name,text\n"' + "x" * 200_000 + '",1')
    assert only(path).text.endswith("x; text: 1")
    (found,) = load(path, limits=FileLimits(characters=150_000))
    assert isinstance(found, Failure)
    assert found.reason.startswith("Expected at most 150,000 characters in a document, got more")
